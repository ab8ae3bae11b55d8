/* Sums that do not care how wide a register is.
 *
 * a) A sum has WIDE lanes (one for each element of 64 bytes), whatever the register: element j
 *    belongs to lane j mod WIDE.
 * b) Terms lie between 0 and `base`, a power of two that the largest term reaches but for a factor
 *    of four. A lane starts at `base`, so it is never less than what is added to it, and what
 *    rounding cuts off, term - ((sum + term) - sum), is exact (Dekker's fast two-sum). It is added
 *    up apart. Four additions in T thus carry twice the digits of T: 300,000 equal terms do not
 *    drift, and a single term that outweighs the others keeps its last digit, which the loss needs.
 * c) Lanes are added in halves: i with i + WIDE/2, and so on, in double.
 */
#ifndef T
#error "sums.inc.h: define T, SUFFIX and IS_DOUBLE"
#endif

struct accumulator {
    vec base, sum[HALVES], rest[HALVES];
};

INLINE void sum_clear(struct accumulator *sum, vec base)
{
    sum->base = base;
    for (int h = 0; h < HALVES; h++) {
        sum->sum[h] = base;
        sum->rest[h] = vset(0);
    }
}

/* Adds v >= 0 to a sum that is no less than v, and what rounding cuts off to `rest`. */
INLINE void lane_add(vec *sum, vec *rest, vec v)
{
    vec s = *sum + v;
    *rest = *rest + (v - (s - *sum));
    *sum = s;
}

/* Adds v to the lanes [h * LANES, (h + 1) * LANES). */
INLINE void sum_add(struct accumulator *sum, int h, vec v)
{
    lane_add(&sum->sum[h], &sum->rest[h], v);
}

/* Part `part` of lanes h as doubles, hi + lo; lo is 0 for float. */
INLINE vec_f64 sum_lanes(const struct accumulator *sum, int h, int part, vec_f64 *lo)
{
    vec_f64 hi = vwiden(sum->sum[h] - sum->base, part), rest = vwiden(sum->rest[h], part);
    if (IS_DOUBLE) {
        *lo = rest;
        return hi;
    }
    *lo = vset_f64(0);
    return hi + rest;
}

/* All lanes together, as hi + *low (low is 0 for float). */
INLINE double sum_total(const struct accumulator *sum, double *low)
{
    enum { PIECES = HALVES * PARTS };
    vec_f64 hi[PIECES], lo[PIECES];
    for (int i = 0; i < PIECES; i++)
        hi[i] = sum_lanes(sum, i / PARTS, i % PARTS, &lo[i]);
    if (!IS_DOUBLE) {
        for (int half = PIECES / 2; half; half /= 2)
            for (int i = 0; i < half; i++)
                hi[i] = hi[i] + hi[i + half];
        *low = 0;
        return vsum_f64(hi[0]);
    }
    double h[WIDE], l[WIDE];
    for (int i = 0; i < PIECES; i++) {
        vstore_f64(h + i * LANES_f64, hi[i]);
        vstore_f64(l + i * LANES_f64, lo[i]);
    }
    for (int half = WIDE / 2; half; half /= 2)
        for (int i = 0; i < half; i++) {
            double s = h[i] + h[i + half], back = s - h[i];
            l[i] = (l[i] + l[i + half]) + ((h[i] - (s - back)) + (h[i + half] - back));
            h[i] = s;
        }
    *low = l[0];
    return h[0];
}

/* The same lanes for terms of any sign and size: in double, and for T = double with what rounding
 * loses kept apart (Knuth's two-sum). */
struct F(totals) {
    vec_f64 hi[HALVES * PARTS], lo[HALVES * PARTS];
};

INLINE void totals_clear(struct F(totals) *sum)
{
    for (int i = 0; i < HALVES * PARTS; i++)
        sum->hi[i] = sum->lo[i] = vset_f64(0);
}

/* Adds to the lanes from `piece` * LANES_f64 on. */
INLINE void totals_add_piece(struct F(totals) *sum, int piece, vec_f64 term)
{
    vec_f64 *hi = &sum->hi[piece], *lo = &sum->lo[piece], s = *hi + term;
    if (IS_DOUBLE) {
        vec_f64 back = s - *hi;
        *lo = *lo + ((*hi - (s - back)) + (term - back));
    }
    *hi = s;
}

INLINE void totals_add(struct F(totals) *sum, int h, vec v)
{
    for (int part = 0; part < PARTS; part++)
        totals_add_piece(sum, h * PARTS + part, vwiden(v, part));
}

/* Adds n elements, times SHRINK. */
INLINE void totals_add_all(struct F(totals) *sum, const T *x, size_t n)
{
    const vec_f64 shrink = vset_f64((double)SHRINK);
    size_t i = 0;
    for (; i + WIDE <= n; i += WIDE)
        for (int p = 0; p < HALVES * PARTS; p++)
            totals_add_piece(sum, p, vload_wide(x + i + p * LANES_f64) * shrink);
    for (int h = 0; i < n && h < HALVES; h++) {
        size_t at = i + (size_t)(h * LANES), left = at < n ? n - at : 0;
        totals_add(sum, h, vload_part(x + at, left, vset(0)) * vset(SHRINK));
    }
}

/* Adds what is small beside the terms. */
INLINE void totals_add_low(struct F(totals) *sum, int piece, vec_f64 low)
{
    sum->lo[piece] = sum->lo[piece] + low;
}

INLINE double totals_value(struct F(totals) *sum)
{
    for (int half = HALVES * PARTS / 2; half; half /= 2)
        for (int i = 0; i < half; i++) {
            sum->hi[i] = sum->hi[i] + sum->hi[i + half];
            sum->lo[i] = sum->lo[i] + sum->lo[i + half];
        }
    double hi = vsum_f64(sum->hi[0]), lo = vsum_f64(sum->lo[0]);
    return isfinite(hi) ? hi + lo : hi;
}

/* The same, of which nothing is cut off; for float a double, as all of it fits. */
INLINE struct pair totals_pair(struct F(totals) *sum)
{
    if (!IS_DOUBLE)
        return (struct pair){totals_value(sum), 0};
    double h[WIDE], l[WIDE];
    for (int i = 0; i < HALVES * PARTS; i++) {
        vstore_f64(h + i * LANES_f64, sum->hi[i]);
        vstore_f64(l + i * LANES_f64, sum->lo[i]);
    }
    for (int i = 0; i < WIDE; i++)
        l[i] = isfinite(h[i]) ? l[i] : 0;
    for (int half = WIDE / 2; half; half /= 2)
        for (int i = 0; i < half; i++) {
            struct pair s = pair_of(h[i], h[i + half]);
            h[i] = s.hi;
            l[i] = s.lo + (l[i] + l[i + half]);
        }
    return pair_of(h[0], l[0]);
}
