/* softcap: x' = cap tanh(x / cap), and its slope, in double for logits of either type: a rounding
 * of x' to float would move a gradient by as much as 2^-24 |x'|. Doubles keep what rounding cuts
 * off x' too, a pair that general.inc.h works into the exponentials.
 */
/* 1 / k! for k = 15 to 4. */
static const double TAYLOR[] = {
    0x1.ae7f3e733b81fp-41, 0x1.93974a8c07c9dp-37, 0x1.6124613a86d09p-33,
    0x1.1eed8eff8d898p-29, 0x1.ae64567f544e4p-26, 0x1.27e4fb7789f5cp-22,
    0x1.71de3a556c734p-19, 0x1.a01a01a01a01ap-16, 0x1.a01a01a01a01ap-13,
    0x1.6c16c16c16c17p-10, 0x1.1111111111111p-7, 0x1.5555555555555p-5,
};

/* e^(r + low) - 1 for |r| <= log(2)/2, to 2^-62 of it: r + r^2 (1/2 + r (1/6 + r Q(r))), where each
 * sum and product but Q is a pair. */
static inline vec expm1_pair(vec r, vec r_low, vec *low)
{
    vec square_low, half_low, sixth_low, lost;
    const vec square = pair_times(r, r_low, r, r_low, &square_low);
    vec sum = two_sum(vset(0x1.5555555555555p-3), r * poly(TAYLOR, COUNT(TAYLOR), r), &sixth_low);
    sum = pair_times(r, r_low, sum, sixth_low + vset((T)0x1.5555555555555p-57), &half_low);
    sum = two_sum(vset(0.5), sum, &lost);
    sum = pair_times(square, square_low, sum, half_low + lost, &half_low);
    sum = two_sum(r, sum, &lost);
    *low = lost + (half_low + r_low);
    return sum;
}

/* With w = e^(-2 |x| / cap) = 2^n (1 + s), s = e^r - 1:
 *     tanh = (1 - w) / (1 + w),   1 - w = (1 - 2^n) - 2^n s,      slope = 4 w / (1 + w)^2
 * Nothing cancels, for n = 0 because the bracket is 0. The slope is 1 - tanh^2, which would be 0
 * from 19 cap on, and is right down to the subnormal numbers. Of float logits (`exact` is 0)
 * doubles have digits enough without low parts. */
INLINE vec capped(vec x, vec cap, vec *x_low, vec *slope, const int exact)
{
    const vec one = vset(1), zero = vset(0);
    vec q = x / cap, q_low = zero;
    if (exact)
        q_low = vfma(zero - q, cap, x) / cap;
    q_low = vsigned(vselect(vless(vabs(q), vset(INFINITY)), q_low, zero), x);
    const struct exp_scale scale = exp_range(zero);
    const struct exp_parts e =
        exp_begin(vset(-2) * vmin(vabs(q), vset(375)), scale.rounder);
    vec low = vfma(vset(-2), q_low, e.low), s_low, r = e.exact + low;
    const vec raised = vpow2(e.power), power = raised * vset(UNSCALE);
    if (!exact) {
        const vec s = e.exact + vfma(r * r, poly(EXP, COUNT(EXP), r), low), ps = power * s;
        const vec inverse = one / ((one + power) + ps), t = ((one - power) - ps) * inverse;
        *slope = vselect(vequal(x, x), vset(4) * (power + ps) * inverse * inverse, x);
        *x_low = zero;
        return vselect(vequal(x, x), vsigned(cap * t, x), x);
    }
    const vec s = expm1_pair(r, (e.exact - r) + low, &s_low), ps = power * s;
    const vec ps_low = power * s_low;
    vec less = one - power, more = one + power, less_low, more_low, t_low;
    less_low = (one - less) - power;
    more_low = (one - more) + power;
    vec lost, above = two_sum(less, zero - ps, &lost);
    less_low = lost + (less_low - ps_low);
    vec below = two_sum(more, ps, &lost);
    more_low = lost + (more_low + ps_low);
    const vec inverse = one / below;
    const vec t = quotient(above, less_low, below, more_low, inverse, &t_low);

    vec inverse_low, w_low, d = quotient(one, zero, below, more_low, inverse, &inverse_low);
    vec w = two_sum(one, s, &w_low);
    w = pair_times(w, w_low + s_low, d, inverse_low, &w_low);
    w = pair_times(w, w_low, d, inverse_low, &w_low);
    *slope = vselect(vequal(x, x), vset(4) * (w + w_low) * raised * vset(UNSCALE), x);

    const vec value = cap * t;
    *x_low = vsigned(vfma(cap, t, zero - value) + cap * t_low, x);
    return vselect(vequal(x, x), vsigned(value, x), x);
}

/* x, n logits, capped in place; what rounding cut off them, and their slopes. */
INLINE void cap_all(T *x, T *low, T *slope, size_t n, T cap, const int exact)
{
    for (size_t i = 0; i < n; i += LANES) {
        vec lost, d, v = capped(vload_part(x + i, n - i, vset(0)), vset(cap), &lost, &d, exact);
        vstore_part(x + i, n - i, v);
        vstore_part(low + i, n - i, lost);
        vstore_part(slope + i, n - i, d);
    }
}

static void cap_elements(T *x, T *low, T *slope, size_t n, T cap, int exact)
{
    if (exact)
        cap_all(x, low, slope, n, cap, 1);
    else
        cap_all(x, low, slope, n, cap, 0);
}

/* What the low parts of a row's logits, counted from the anchor's as it scales all, make of its
 * exponentials: e_j e^d, d = low_j - low_anchor, and of their sum. */
static void cap_exponentials(struct rows *rows, size_t r, const struct scratch *scratch)
{
    const T *low = scratch->cap_low[r];
    const size_t n = rows->classes, k = (size_t)rows->anchor[r];
    const vec from = vset(low[k]), half = vset(0.5), one = vset(1);
    double more = 0;
    for (size_t base = 0; base < n; base += BLOCK) {
        const size_t end = n - base < BLOCK ? n : base + BLOCK;
        T *e = (T *)rows->exps[r];
        struct totals sum;
        totals_clear(&sum);
        for (size_t i = base; i < end; i += WIDE)
            for (size_t h = 0, at = i; h < HALVES && at < end; h++, at += LANES) {
                const vec d = vload_part(low + at, end - at, from) - from;
                const vec own = vload_part(e + at, end - at, vset(0));
                const vec moved = own * (d * vfma(half, d, one));
                totals_add(&sum, (int)h, moved);
                vstore_part(e + at, end - at, own + moved);
            }
        const double factor =
            n <= BLOCK ? 1 : scratch->factors[r * block_count(n) + base / BLOCK];
        more += totals_value(&sum) * factor;
    }
    rows->sum_without_anchor_low[r] += more;
}

/* The sum of t_j (low_anchor - low_j), which belongs to that of t_j (x_anchor - x_j). */
static double cap_distance(const struct rows *rows, size_t r, const struct scratch *scratch)
{
    const T *t = rows->t[r], *low = scratch->cap_low[r];
    const T from = low[rows->anchor[r]];
    double sum = 0;
    for (size_t i = 0; i < rows->classes; i++)
        sum += (double)t[i] * (double)(from - low[i]);
    return sum;
}
