/* Sums that do not care how wide a register is.
 *
 * a) A sum has WIDE lanes (one for each element of 64 bytes), whatever the register: element j
 *    belongs to lane j mod WIDE.
 * b) Terms lie between 0 and `base`, a power of two with base / 4 <= largest term <= base. A lane
 *    starts at `base`, so it is never less than what is added to it, and what rounding cuts off,
 *    term - ((sum + term) - sum), is exact (Dekker's fast two-sum). It is added up apart. Four
 *    additions in T thus carry twice the digits of T: 300,000 equal terms do not drift, and a
 *    single term that outweighs the others keeps its last digit, which the loss needs.
 * c) Lanes are added in halves: i with i + WIDE/2, and so on, in double.
 */
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

/* hi[i] + lo[i] += hi[i + n] + lo[i + n] for i < n; lo is not read for float. */
INLINE void add_half(vec_f64 *hi, vec_f64 *lo, const int n)
{
    for (int i = 0; i < n; i++) {
        vec_f64 lost, s = two_sum(hi[i], hi[i + n], &lost);
        if (IS_DOUBLE)
            lo[i] = (lo[i] + lo[i + n]) + lost;
        hi[i] = s;
    }
}

/* hi[0] + lo[0] = all n <= WIDE hi[i] + lo[i], n a power of two. */
INLINE void add_halves(vec_f64 *hi, vec_f64 *lo, const int n)
{
    if (n > 8)
        add_half(hi, lo, 8);
    if (n > 4)
        add_half(hi, lo, 4);
    if (n > 2)
        add_half(hi, lo, 2);
    if (n > 1)
        add_half(hi, lo, 1);
}

/* The lanes of a row's sum, from 0. */
struct lanes {
    T sum[WIDE], rest[WIDE];
};

INLINE void sum_store(const struct accumulator *sum, struct lanes *to)
{
    for (int h = 0; h < HALVES; h++) {
        vstore(to->sum + h * LANES, sum->sum[h] - sum->base);
        vstore(to->rest + h * LANES, sum->rest[h]);
    }
}

/* A row's lanes, LANES_f64 of them left, as the sum + *low. */
INLINE vec_f64 lanes_left(const struct lanes *of, vec_f64 *low)
{
    enum { PIECES = WIDE / LANES_f64 };
    vec_f64 sum[PIECES], rest[PIECES];
    for (int i = 0; i < PIECES; i++) {
        sum[i] = vload_wide(of->sum + i * LANES_f64);
        rest[i] = vload_wide(of->rest + i * LANES_f64);
        if (!IS_DOUBLE)
            sum[i] = sum[i] + rest[i];
    }
    add_halves(sum, rest, PIECES);
    *low = rest[0];
    return sum[0];
}

/* All lanes together, of LANES_f64 rows at a time, as hi + lo (lo is 0 for float). */
INLINE void sum_rows(const struct lanes *of, double *hi, double *lo)
{
    vec_f64 h[LANES_f64], l[LANES_f64];
    for (int r = 0; r < LANES_f64; r++)
        h[r] = lanes_left(&of[r], &l[r]);
    vtranspose_f64(h);
    if (IS_DOUBLE)
        vtranspose_f64(l);
    add_halves(h, l, LANES_f64);
    vstore_f64(hi, h[0]);
    if (!IS_DOUBLE)
        l[0] = vset_f64(0);
    vstore_f64(lo, l[0]);
}

/* The same of one row. */
INLINE double sum_total(const struct accumulator *sum, double *low)
{
    struct lanes of[LANES_f64] = {0};
    double hi[LANES_f64], lo[LANES_f64];
    sum_store(sum, of);
    sum_rows(of, hi, lo);
    *low = lo[0];
    return hi[0];
}

/* The same lanes for terms of any sign and size: in double, and for T = double with what rounding
 * loses kept apart (two_sum). */
struct totals {
    vec_f64 hi[HALVES * PARTS], lo[HALVES * PARTS];
};

INLINE void totals_clear(struct totals *sum)
{
    for (int i = 0; i < HALVES * PARTS; i++)
        sum->hi[i] = sum->lo[i] = vset_f64(0);
}

/* Adds to the lanes from `piece` * LANES_f64 on. */
INLINE void totals_add_piece(struct totals *sum, int piece, vec_f64 term)
{
    vec_f64 lost;
    sum->hi[piece] = two_sum(sum->hi[piece], term, &lost);
    if (IS_DOUBLE)
        sum->lo[piece] = sum->lo[piece] + lost;
}

INLINE void totals_add(struct totals *sum, int h, vec v)
{
    for (int part = 0; part < PARTS; part++)
        totals_add_piece(sum, h * PARTS + part, vwiden(v, part));
}

/* Adds n elements, times SUM_SCALE. */
INLINE void totals_add_all(struct totals *sum, const T *x, size_t n)
{
    const vec_f64 shrink = vset_f64((double)SUM_SCALE);
    size_t i = 0;
    for (; i + WIDE <= n; i += WIDE)
        for (int p = 0; p < HALVES * PARTS; p++)
            totals_add_piece(sum, p, vload_wide(x + i + p * LANES_f64) * shrink);
    for (int h = 0; i < n && h < HALVES; h++) {
        size_t index = i + (size_t)(h * LANES), left = index < n ? n - index : 0;
        totals_add(sum, h, vload_part(x + index, left, vset(0)) * vset(SUM_SCALE));
    }
}

/* Adds what is small beside the terms. */
INLINE void totals_add_low(struct totals *sum, int piece, vec_f64 low)
{
    sum->lo[piece] = sum->lo[piece] + low;
}

INLINE double totals_value(struct totals *sum)
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
INLINE struct pair totals_pair(struct totals *sum)
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
