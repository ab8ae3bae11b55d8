/* Soft targets: sums of t_j (top - x_j) and of t_j, and the gradient a e_j - b t_j. */
#ifndef T
#error "soft_rows.inc.h: define T, SUFFIX and IS_DOUBLE"
#endif

/* The class that has all of the target, or -1. */
static inline int64_t only_class(const T *t, size_t n)
{
    const vec zero = vset(0);
    int64_t only = -1;
    for (size_t i = 0; i < n; i += LANES) {
        vec v = vload_part(t + i, n - i, zero);
        unsigned none = vbits(vequal(v, zero)), some = ~none & (unsigned)((1ull << LANES) - 1);
        if (!some)
            continue;
        if (only >= 0 || (some & (some - 1)))
            return -1;
        only = (int64_t)i + __builtin_ctz(some);
    }
    return only;
}

/* Adds a (top - x) to `distance` and a to `weight`; a = 0 takes nothing, even from x = -inf. In
 * double, and for T = double in pairs, where `a_low` corrects a. Terms are rounded unless `exact`:
 * all are positive, so that costs the sum one unit in the last place at most. */
INLINE void distance_add(struct F(totals) *distance, struct F(totals) *weight, int h, vec top,
                         vec x, vec a, vec a_low, const int exact)
{
    x = vselect(vequal(a, vset(0)), top, x);
    for (int part = 0; part < PARTS; part++) {
        vec_f64 share = vwiden(a, part), from = vwiden(top, part), other = vwiden(x, part), low;
        vec_f64 d = from - other, term = share * d, rest = vwiden(a_low, part);
        if (!IS_DOUBLE) {
            vec_f64 *sum = &distance->hi[h * PARTS + part];
            *sum = vfma_f64(share, d, *sum);
        } else {
            totals_add_part(distance, h, part, term);
        }
        totals_add_part(weight, h, part, share);
        if (!IS_DOUBLE || !exact)
            continue;
        two_sum_f64(from, vset_f64(0) - other, &low);
        totals_add_low(distance, h, part,
                       vfma_f64(share, d, vset_f64(0) - term) + (share * low + rest * d));
        totals_add_low(weight, h, part, rest);
    }
}

/* sum of a_j (top - x_j) and sum of a_j, j != k. `a_low`, or NULL, corrects a. */
INLINE struct pair distance_sum(const T *x, const T *a, const T *a_low, size_t n, size_t k, T top,
                                struct pair *weights, const int exact)
{
    const vec zero = vset(0), from = vset(top == -(T)INFINITY ? 0 : top), step = vset(LANES);
    vec index = vlanes(), skip = vset(k < n ? (T)k : -1);
    struct F(totals) distance, weight;
    totals_clear(&distance);
    totals_clear(&weight);
    size_t i = 0;
    for (; i + WIDE <= n; i += WIDE)
        for (int h = 0; h < HALVES; h++, index = index + step) {
            size_t at = i + (size_t)(h * LANES);
            vec v = vselect(vequal(index, skip), zero, vload(a + at)), low = zero;
            __builtin_prefetch(a + at + AHEAD, 0, 3);
            __builtin_prefetch(x + at + AHEAD, 0, 3);
            if (IS_DOUBLE && a_low)
                low = vload(a_low + at);
            distance_add(&distance, &weight, h, from, vload(x + at), v, low, exact);
        }
    for (int h = 0; i < n && h < HALVES; h++, index = index + step) {
        size_t at = i + (size_t)(h * LANES), left = at < n ? n - at : 0;
        vec v = vselect(vequal(index, skip), zero, vload_part(a + at, left, zero)), low = zero;
        if (IS_DOUBLE && a_low)
            low = vload_part(a_low + at, left, zero);
        distance_add(&distance, &weight, h, from, vload_part(x + at, left, from), v, low, exact);
    }
    *weights = totals_pair(&weight);
    return totals_pair(&distance);
}

/* Anchor and sums of a row; before the exponentials, which may take x's place. The anchor is the
 * target's only class, or else the first of the largest logits. Where a block has a larger one than
 * those before, their distances grow by as much. */
static void soft_sums(struct rows *rows, size_t r, struct scratch *scratch)
{
    const T *t = rows->t[r];
    const int64_t only = only_class(t, rows->classes);
    size_t k = only < 0 ? 0 : (size_t)only;
    struct pair distance = {0, 0}, others = {0, 0}, part;
    T top = -(T)INFINITY;
    for (size_t base = 0, n; only < 0 && base < rows->classes; base += n) {
        n = rows->classes - base < BLOCK ? rows->classes - base : BLOCK;
        const T *x = block_logits(rows, r, base, n, (T *)scratch->load);
        T max = block_max(x, n, n);
        if (base == 0 || max > top) {
            if (base > 0)
                others = pair_add(others, (struct pair){(double)t[k], 0});
            if (others.hi != 0)
                distance = pair_add(
                    distance, pair_product(others, pair_of((double)max, -(double)top)));
            size_t found = block_find(x, n, max);
            k = found < n ? base + found : base;      /* nothing but NaN */
            top = max;
        }
        distance = pair_add(distance, distance_sum(x, t + base, NULL, n, k - base, top, &part, 0));
        others = pair_add(others, part);
    }
    if (top == (T)INFINITY)
        distance = (struct pair){others.hi != 0 ? INFINITY : 0, 0};
    rows->anchor[r] = (int64_t)k;
    rows->distances[r] = distance.hi;
    rows->distances_low[r] = distance.lo;
    rows->t_rest[r] = others.hi;
    rows->t_rest_low[r] = others.lo;
    rows->t_anchor[r] = (double)t[k];
}

/* What t is multiplied by in e - b t. Where one class has all of t, and its entry is set apart, a
 * b below 0 would turn the -0 of the others, which a label leaves them, into -0 + 0 = 0. */
static inline double target_factor(double b, double others) { return others == 0 ? fabs(b) : b; }

/* to = e * scale * factor - b t */
static void soft_elements(T *to, const T *e, const T *t, size_t n, double scale, double factor,
                          double b)
{
    T pre, rest = split_scale(scale, factor, &pre);
    const vec first = vset(pre), second = vset(rest), less = vset((T)-b);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vstore(to + i, vfma(less, vload(t + i), vload(e + i) * first * second));
    if (i < n)
        vstore_part(to + i, n - i, vfma(less, vload_part(t + i, n - i, vset(0)),
                                        vload_part(e + i, n - i, vset(0)) * first * second));
}

