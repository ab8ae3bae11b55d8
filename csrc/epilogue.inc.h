/* From a row's statistics to its loss and the coefficients of its gradient, LANES rows at a time, in
 * double for both types. With E the scaled exponentials, k the anchor, m a maximum
 * of all classes, x - shift as x:
 *
 *     O   = sum of E_j, j != k
 *     v   = (O + (E_k - E_m)) / E_m          so that 1 + v = (sum of all E) / E_m
 *     loss = (x_m - x_k) + log1p(v)          = logsumexp(x) - x_k
 *     p_j = E_j / (O + E_k)                  1 - p_k = O / (O + E_k)
 *
 * Where k is a maximum, E_k - E_m is exactly 0, v = O / E_k is a quotient of positive numbers, and
 * loss and 1 - p_k keep their relative accuracy however small they are. Elsewhere the loss is at
 * least log 2, so an absolute error of an ulp in v does no harm. Nothing else is ever subtracted.
 */
#ifndef T
#error "epilogue.inc.h: include with T = double"
#endif

/* a + b = s + *low, exactly (Knuth). */
static inline vec two_sum(vec a, vec b, vec *low)
{
    vec s = a + b, back = s - a;
    *low = (a - (s - back)) + (b - back);
    return s;
}

/* (a + a_low) / d corrected by one residual; inverse = 1 / d, d_low a correction to d. */
static inline vec quotient(vec a, vec a_low, vec d, vec d_low, vec inverse, vec *low)
{
    vec q = a * inverse;
    vec rest = vfma(vset(0) - q, d, a) + vfma(vset(0) - q, d_low, a_low);
    *low = rest * inverse;
    return q;
}

/* `bias` is that of the rows' type. */
static inline __attribute__((always_inline)) void
epilogue_lanes(struct rows *rows, size_t r, const int bias)
{
    const vec zero = vset(0), one = vset(1);
    vec max = vload(rows->max + r), anchor = vload(rows->at_anchor + r);
    vec others_low = vload(rows->others_low + r), hi = vload(rows->others + r);
    vec others = hi + others_low;
    others_low = (hi - others) + others_low;   /* now below an ulp, as log1p_pair needs it */
    struct exp_scale scale = exp_range(vload(rows->exponent + r) + vset(BIAS - bias));

    vec em_low, ek_low, low, sum_low, v_low;
    vec top = vmax(anchor, max);
    vec em = exp_pair(top, scale, &em_low), ek = exp_pair(anchor, scale, &ek_low);
    vec v = two_sum(others, ek - em, &low);
    low = low + (others_low + (ek_low - em_low));
    v = quotient(v, low, em, em_low, one / em, &v_low);

    vec behind = two_sum(top, zero - anchor, &low);
    low = vselect(vless(behind, vset(INFINITY)), low, zero);
    vec log_of_sum = log1p_pair(v, v_low);
    vec loss = behind + (low + log_of_sum);

    vec sum = two_sum(others, ek, &sum_low);
    sum_low = sum_low + (others_low + ek_low);
    vec inverse = one / sum, part_low;
    inverse = vfma(inverse, vfma(zero - inverse, sum, one) - inverse * sum_low, inverse);
    vec part = quotient(others, others_low, sum, sum_low, inverse, &part_low);

    vstore(rows->loss + r, loss);
    vstore(rows->logsumexp + r, vload(rows->shift + r) + (top + log_of_sum));
    vstore(rows->scale + r, inverse);
    vstore(rows->rest + r, part + part_low);
    vstore(rows->anchor_p + r, ek * inverse);
}

/* Rows that have no sum: all -inf (a maximum of -inf, and a logsumexp of -inf), or +inf more than once,
 * where inf - inf would decide (no loss, no gradient, but a logsumexp of +inf). */
static void epilogue_special(struct rows *rows, size_t r, int bias)
{
    if (rows->max[r] == -INFINITY && rows->at_anchor[r] == -INFINITY && rows->others[r] == 0)
        rows->logsumexp[r] = -INFINITY;
    if (rows->shift[r] != INFINITY)
        return;
    /* x - shift is 0 at +inf. The exponent is 0 unless no other is +inf: then `others` is 0. */
    double infinities = rows->others[r] / ldexp(1, bias) + (rows->at_anchor[r] == 0);
    if (infinities > 1.5)
        rows->loss[r] = rows->scale[r] = rows->rest[r] = rows->anchor_p[r] = NAN;
}

static void rows_epilogue(struct rows *rows, int bias)
{
    unsigned special = (unsigned)rows->shifted;
    for (size_t r = 0; r < rows->count; r += LANES) {
        if (bias == BIAS)
            epilogue_lanes(rows, r, BIAS);
        else
            epilogue_lanes(rows, r, 32);
        special |= vbits(vequal(vload(rows->max + r), vset(-INFINITY)));
    }
    for (size_t r = 0; special && r < rows->count; r++)
        epilogue_special(rows, r, bias);
}

/* exp and log of one double, by the same texts as everywhere; for the options of a row. */
static double exp_one(double x)
{
    if (!(x > -745.2))
        return x == x ? 0 : x;
    struct exp_scale scale = exp_range(vset(0));
    return vtop(exp_scaled(vset(x), scale) * vset(UNSCALE));
}

static double log_one(double x)
{
    vec k, m = vsplit(vset(x), &k);
    if (!(x > 0) || x == INFINITY)
        return x == 0 ? -INFINITY : x > 0 ? x : NAN;
    return vtop(log_parts(k, m - vset(1), vset(0)));
}
