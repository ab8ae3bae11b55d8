/* Soft targets: sums of t_j (top - x_j) and of t_j, and the gradient a e_j - b t_j. */
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

/* Adds a (top - x) to `distance` and a to `weight`. In double, and for T = double in pairs, where
 * `a_low` corrects a. Unless `exact`, top - x is rounded: all terms are positive, so that costs the
 * sum half a unit in the last place at most. */
INLINE void distance_add(struct totals *distance, struct totals *weight, int piece,
                         vec_f64 top, vec_f64 x, vec_f64 a, vec_f64 a_low, const int exact)
{
    vec_f64 low, d = top - x, term = a * d;
    if (!IS_DOUBLE) {
        distance->hi[piece] = vfma_f64(a, d, distance->hi[piece]);
        weight->hi[piece] = weight->hi[piece] + a;
        return;
    }
    totals_add_piece(distance, piece, term);
    totals_add_piece(weight, piece, a);
    vec_f64 lost = vfma_f64(a, d, vset_f64(0) - term);
    if (exact) {
        two_sum(top, vset_f64(0) - x, &low);
        lost = lost + (a * low + a_low * d);
        totals_add_low(weight, piece, a_low);
    }
    totals_add_low(distance, piece, lost);
}

/* WIDE elements, without the one at `skip`, which may be none of them. `looking`: those with a = 0
 * take nothing, even from x = -inf. */
INLINE void
distance_wide(struct totals *distance, struct totals *weight, const T *x, const T *a,
              const T *a_low, T top, double skip, const int skipping, const int looking,
              const int exact)
{
    const vec_f64 from = vset_f64((double)top), zero = vset_f64(0);
    for (int p = 0; p < HALVES * PARTS; p++) {
        const int at = p * LANES_f64;
        vec_f64 share = vload_wide(a + at), other = vload_wide(x + at), low = zero;
        if (IS_DOUBLE && a_low)
            low = vload_wide(a_low + at);
        if (skipping) {
            vec_f64 here = vlanes_f64() + vset_f64((double)at);
            mask_f64 out = vequal_f64(here, vset_f64(skip));
            share = vselect_f64(out, zero, share);
            low = vselect_f64(out, zero, low);
        }
        if (looking)
            other = vselect_f64(vequal_f64(share, zero), from, other);
        distance_add(distance, weight, p, from, other, share, low, exact);
    }
}

/* The last n < WIDE elements. */
INLINE void
distance_left(struct totals *distance, struct totals *weight, const T *x, const T *a,
              const T *a_low, size_t n, T top, double skip, const int looking, const int exact)
{
    T xs[WIDE], as[WIDE], lows[WIDE];
    for (int h = 0; h < HALVES; h++) {
        const size_t at = (size_t)(h * LANES), left = at < n ? n - at : 0;
        vstore(xs + at, vload_part(x + at, left, vset(top)));
        vstore(as + at, vload_part(a + at, left, vset(0)));
        if (a_low)
            vstore(lows + at, vload_part(a_low + at, left, vset(0)));
    }
    distance_wide(distance, weight, xs, as, a_low ? lows : NULL, top, skip, 1, looking, exact);
}

/* Whole WIDE from i to `end`, the anchor in none of them; returns where the rest begins. */
INLINE size_t
distance_run(struct totals *distance, struct totals *weight, const T *x, const T *a,
             const T *a_low, size_t i, size_t end, T top, const int looking, const int exact)
{
    for (; i + WIDE <= end; i += WIDE)
        distance_wide(distance, weight, x + i, a + i, a_low ? a_low + i : NULL, top, 0, 0, looking,
                      exact);
    return i;
}

INLINE struct pair
distance_pass(const T *x, const T *a, const T *a_low, size_t n, size_t k, T top,
              struct pair *weights, const int looking, const int exact)
{
    struct totals distance, weight;
    const size_t near = (k < n ? k : n) / WIDE * WIDE;
    totals_clear(&distance);
    totals_clear(&weight);
    size_t i = distance_run(&distance, &weight, x, a, a_low, 0, near, top, looking, exact);
    if (i + WIDE <= n) {
        distance_wide(&distance, &weight, x + i, a + i, a_low ? a_low + i : NULL, top,
                      (double)(k - i), 1, looking, exact);
        i = distance_run(&distance, &weight, x, a, a_low, i + WIDE, n, top, looking, exact);
    }
    if (i < n)
        distance_left(&distance, &weight, x + i, a + i, a_low ? a_low + i : NULL, n - i, top,
                      k - i < WIDE ? (double)(k - i) : -1, looking, exact);
    *weights = totals_pair(&weight);
    return totals_pair(&distance);
}

/* The sum of a_j (top - x_j), where a difference may be beyond the largest double. */
static double far_distance(const T *x, const T *a, size_t step, size_t n, size_t k, double top)
{
    double sum = 0;
    for (size_t j = 0; j < n; j++)
        if (j != k && a[j * step] != 0)
            sum += (double)a[j * step] * (top * 0x1p-10 - (double)x[j * step] * 0x1p-10);
    return sum * 0x1p10;
}

/* sum of a_j (top - x_j) and sum of a_j, j != k. `a_low`, or NULL, corrects a. Where 0 met -inf,
 * once more with an eye on zeros; where a sum is too large, once more in smaller units. */
INLINE struct pair distance_sum(const T *x, const T *a, const T *a_low, size_t n, size_t k, T top,
                                struct pair *weights, const int exact)
{
    const T from = top == -(T)INFINITY ? 0 : top;
    struct pair sum = distance_pass(x, a, a_low, n, k, from, weights, 0, exact);
    if (isnan(sum.hi))
        sum = distance_pass(x, a, a_low, n, k, from, weights, 1, exact);
    if (IS_DOUBLE && isinf(sum.hi))
        sum = (struct pair){far_distance(x, a, 1, n, k, (double)from), 0};
    return sum;
}

/* Those sums of a row of up to TILE_CLASSES, class by class as softmax/tiles.inc.h has them. */
static struct pair short_distance(const T *x, const T *a, size_t n, size_t k, T top,
                                  struct pair *weights)
{
    const vec_f64 from = vset_f64(top == -(T)INFINITY ? 0 : (double)top);
    struct totals distance, weight;
    totals_clear(&distance);
    totals_clear(&weight);
    for (size_t j = 0; j < n; j++)
        if (j != k && a[j] != 0)
            distance_add(&distance, &weight, 0, from, vset_f64((double)x[j]),
                         vset_f64((double)a[j]), vset_f64(0), 0);
    *weights = pair_of(vtop_f64(weight.hi[0]), vtop_f64(weight.lo[0]));
    const double sum = vtop_f64(distance.hi[0]);
    if (isfinite(sum))
        return pair_of(sum, vtop_f64(distance.lo[0]));
    return (struct pair){isinf(sum) ? far_distance(x, a, 1, n, k, (double)top) : sum, 0};
}

/* The statistics of a soft target with anchor k: sum of t_j (x_k - x_j), of t_j, j != k. */
static inline void store_soft(struct rows *rows, size_t r, size_t k, struct pair distance,
                              struct pair others)
{
    rows->anchor[r] = (int64_t)k;
    rows->distances[r] = distance.hi;
    rows->distances_low[r] = distance.lo;
    rows->t_rest[r] = others.hi;
    rows->t_rest_low[r] = others.lo;
    rows->t_anchor[r] = (double)((const T *)rows->t[r])[k];
}

/* The same of a shared target, of which the label, x_label its logit, has more. */
static inline void store_shared(struct rows *rows, size_t r, size_t k, T x_k, T x_label,
                                struct pair distance, struct pair others)
{
    const struct pair more = {rows->label_target[r], 0};
    if (rows->label[r] != (int64_t)k) {
        struct pair far = pair_of((double)x_k, -(double)x_label);
        distance = pair_add(distance, pair_product(more, far));
        others = pair_add(others, more);
    }
    store_soft(rows, r, k, distance, others);
    if (rows->label[r] == (int64_t)k)
        rows->t_anchor[r] += more.hi;
}

/* to[label] -= b times what it has besides a shared target; the anchor's entry has it already. */
static void subtract_label_targets(const struct rows *rows)
{
    for (size_t r = 0; r < rows->count; r++) {
        T *to = (T *)(rows->out[r] + (ptrdiff_t)rows->label[r] * rows->out_step);
        if (rows->label[r] != rows->anchor[r])
            *to -= (T)(rows->target_scale[r] * rows->label_target[r]);
    }
}

/* What sums of t_j (x_k - x_j) come to where x_k is +inf. */
static inline struct pair distance_to_infinity(struct pair others)
{
    return (struct pair){others.hi != 0 ? INFINITY : 0, 0};
}

/* Anchor and sums of a row of several blocks; before the exponentials, which may take x's place.
 * The anchor is the target's only class, or else the first of the largest logits. Where a block has
 * a larger one than those before, their distances grow by as much. */
static void soft_sums(struct rows *rows, size_t r, struct scratch *scratch)
{
    const T *t = rows->t[r];
    const int64_t only = rows->shared_target ? -1 : only_class(t, rows->classes);
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
        distance = distance_to_infinity(others);
    if (rows->shared_target) {
        T room, x = *block_logits(rows, r, (size_t)rows->label[r], 1, &room);
        store_shared(rows, r, k, top, x, distance, others);
    } else {
        store_soft(rows, r, k, distance, others);
    }
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

