/* From a row's statistics to its loss and the coefficients of its gradient, LANES rows at a time,
 * in double for both types. With E the scaled exponentials, k the anchor, x - shift as x:
 *
 *     O    = sum of E_j, j != k
 *     loss = log(1 + O / E_k)                = logsumexp(x) - x_k
 *     p_j  = E_j / (O + E_k)                 1 - p_k = O / (O + E_k)
 *
 * Nothing is subtracted, so loss and 1 - p_k keep their relative accuracy however small they are.
 * An anchor more than FAR below the largest logit counts as that far below, and what is missing is
 * added to the loss: O / E_k does not overflow.
 */
static const double FAR = 700;

/* p_k, which near 1 is best known by what is left. */
INLINE void store_shares(struct rows *rows, size_t r, vec rest, vec p)
{
    vstore(rows->one_minus_p_anchor + r, rest);
    vstore(rows->anchor_p + r, vselect(vless(rest, vset(0.5)), vset(1) - rest, p));
}

/* Where smoothing gives every class `share`, and `kept` more to the label k, with m a maximum:
 *     loss = log1p(v) + kept (x_m - x_k) + share sum of (x_m - x_j)
 *     gap  = p_k - t_k = (sum of the other t_j) - (1 - p_k), whichever takes less from less
 */
INLINE void
smoothed_lanes(struct rows *rows, size_t r, vec top, vec anchor, vec log_of_sum, vec log_low)
{
    const struct smoothing *s = &rows->smoothing;
    const vec zero = vset(0);
    vec low, d_low, b_low, lost;
    vec d = pair_times(vset(s->share.hi * 0x1p64), vset(s->share.lo * 0x1p64),
                       vload(rows->distances + r), vload(rows->distances_low + r), &d_low);
    vec behind = two_sum(top, zero - anchor, &b_low);
    behind = pair_times(vset(s->kept.hi), vset(s->kept.lo), behind, b_low, &b_low);
    vec loss = two_sum(d, behind, &low);
    low = low + (d_low + b_low);
    loss = two_sum(loss, log_of_sum, &lost);
    low = vselect(vless(loss, vset(INFINITY)), low + (lost + log_low), zero);
    vstore(rows->smoothed + r, loss + low);
    vstore(rows->smoothed_low + r, (loss - (loss + low)) + low);

    const vec t = vset(s->label), others = vset(s->others);
    vec p = vload(rows->anchor_p + r), rest = vload(rows->one_minus_p_anchor + r);
    mask small = vless(p + t, rest + others);
    vstore(rows->anchor_residual + r, vselect(small, p - t, others - rest));
}

/* Of a soft target t of sum T:
 *     loss = T (logsumexp(x) - x_k) + sum of t_j (x_k - x_j)
 *     gap  = T p_k - t_k = (T - t_k) - T (1 - p_k), whichever takes less from less
 */
INLINE void soft_lanes(struct rows *rows, size_t r, vec ce, vec ce_low)
{
    const vec zero = vset(0), infinite = vset(INFINITY);
    vec t = vload(rows->t_anchor + r), others = vload(rows->t_rest + r), t_low, low, lost;
    vec total = two_sum(others, t, &t_low);
    t_low = t_low + vload(rows->t_rest_low + r);
    vec own = pair_times(total, t_low, ce, ce_low, &low);
    mask none = vequal(total + t_low, zero);
    own = vselect(none, zero, own);
    vec loss = two_sum(own, vload(rows->distances + r), &lost);
    low = vselect(none, zero, low) + (lost + vload(rows->distances_low + r));
    low = vselect(vless(loss, infinite), low, zero);
    vstore(rows->smoothed + r, loss + low);
    vstore(rows->smoothed_low + r, (loss - (loss + low)) + low);

    t = total;
    total = total + t_low;
    vstore(rows->t_total_low + r, (t - total) + t_low);
    t = vload(rows->t_anchor + r);
    vec p = total * vload(rows->anchor_p + r), rest = total * vload(rows->one_minus_p_anchor + r);
    mask small = vless(p + t, rest + others);
    vstore(rows->anchor_residual + r, vselect(small, p - t, others - rest));
    vstore(rows->t_total + r, total);
}

/* The polynomials of float, evaluated in double: their error, 0.08 ulp of float, is what float rows
 * have left to lose. */
INLINE vec short_poly(const float *c, int n, vec x)
{
    T wide[16];
    for (int i = 0; i < n; i++)
        wide[i] = (T)c[i];
    return poly_pairs(wide, n, x, x * x);
}

INLINE vec exp_single(vec x, struct exp_scale scale)
{
    x = vmax(scale.low, x);
    struct exp_parts e = exp_begin(x, scale.rounder);
    vec p = short_poly(EXP_f32, COUNT(EXP_f32), e.exact);
    return vfma(vfma(p, e.exact, vset(1)), e.exact, vset(1)) * vpow2(e.power);
}

INLINE vec log1p_single(vec v)
{
    vec u = vset(1) + v, k, lost = v - (u - vset(1));
    vec m = vsplit(u, &k), shrink = vpow2(vset(ROUNDER + (T)EXPONENT_BIAS) - k);
    vec f = vfma(lost, shrink, m - vset(1));
    return vfma(k, vset(LN2_HI), vfma(f * f, short_poly(LOG1P_f32, COUNT(LOG1P_f32), f), f));
}

/* What the anchor counts as: e^FAR is finite with all that it is multiplied by. */
INLINE vec near_top(vec top, vec anchor) { return vmax(top - vset(FAR), anchor); }

/* What rounding cut off `loss` = log(1 + v). Of a small v, log1p_pair has v rounded alone; up to
 * 2^-30 the logarithm is v - v^2 / 2 to 2^-60. */
INLINE vec small_low(vec v, vec v_low, vec loss, vec low)
{
    vec exact = (v - loss) + vfma(vset(-0.5) * v, v, v_low);
    return vselect(vless(v, vset(0x1p-30)), exact, low);
}

/* Rows of float: the double they are worked out in has digits enough to drop all low parts. In
 * three passes, as the steps of one row wait for each other: shorter chains of more rows fit what
 * the processor looks ahead. */
static void epilogue_single(struct rows *rows)
{
    double from[GROUP], e[GROUP], *v = e;
    for (size_t r = 0; r < rows->count; r += LANES) {
        vec anchor = vload(rows->at_anchor + r), top = vmax(anchor, vload(rows->max + r));
        struct exp_scale scale = exp_range(vload(rows->exponent + r) + vset(BIAS - FLOAT_BIAS));
        vec start = near_top(top, anchor);
        vstore(from + r, start);
        vstore(e + r, exp_single(start, scale));
    }
    for (size_t r = 0; r < rows->count; r += LANES) {
        vec others = vload(rows->sum_without_anchor + r), ek = vload(e + r), sum = others + ek;
        vec both = vset(1) / (ek * sum), inverse = ek * both;
        vstore(v + r, others * (sum * both));
        vstore(rows->scale + r, inverse);
        vstore(rows->scale_low + r, vset(0));
        store_shares(rows, r, others * inverse, ek * inverse);
    }
    for (size_t r = 0; r < rows->count; r += LANES) {
        vec anchor = vload(rows->at_anchor + r), start = vload(from + r);
        vec log_of_sum = log1p_single(vload(v + r)), loss = (start - anchor) + log_of_sum;
        vstore(rows->loss + r, loss);
        vstore(rows->logsumexp + r, vload(rows->shift + r) + (start + log_of_sum));
        vstore(rows->logsumexp_low + r, vset(0));
        if (rows->smoothing.on) {
            vec top = vmax(anchor, vload(rows->max + r));
            smoothed_lanes(rows, r, top, anchor, (start - top) + log_of_sum, vset(0));
        }
        if (rows->soft)
            soft_lanes(rows, r, loss, vset(0));
    }
}

INLINE void
epilogue_lanes(struct rows *rows, size_t r)
{
    const vec zero = vset(0), one = vset(1), infinite = vset(INFINITY);
    vec anchor = vload(rows->at_anchor + r), top = vmax(anchor, vload(rows->max + r));
    vec others_low = vload(rows->sum_without_anchor_low + r),
        hi = vload(rows->sum_without_anchor + r);
    vec others = hi + others_low;
    others_low = (hi - others) + others_low;   /* now below an ulp, as log1p_pair needs it */
    struct exp_scale scale = exp_range(vload(rows->exponent + r));

    vec ek_low, v_low, log_low, low, sum_low, part_low;
    vec start = near_top(top, anchor), ek = exp_pair(start, scale, &ek_low), p = ek;
    vec v = quotient(others, others_low, ek, ek_low, one / ek, &v_low);
    vec log_of_sum = log1p_pair(v, v_low, &log_low);
    vec loss = two_sum(start - anchor, log_of_sum, &low);
    low = vselect(vless(loss, infinite), low + log_low, zero);
    const vec loss_low = low;

    vec sum = two_sum(others, ek, &sum_low);
    sum_low = sum_low + (others_low + ek_low);
    vec inverse = one / sum;
    vec more = vfma(zero - inverse, sum, one) - inverse * sum_low, near = inverse;
    inverse = vfma(near, more, near);
    if (rows->weighs)
        vstore(rows->scale_low + r, vfma(near, more, near - inverse));
    vec part = quotient(others, others_low, sum, sum_low, inverse, &part_low);
    mask far = vless(anchor, start);
    if (vbits(far))       /* the neighbours in the register keep theirs */
        p = vselect(far, exp_scaled(anchor, scale), p);

    vstore(rows->loss + r, loss + low);
    low = (loss - (loss + low)) + low;
    if (rows->weighs)
        low = small_low(v, v_low, vload(rows->loss + r), low);
    vstore(rows->loss_low + r, low);
    vstore(rows->scale + r, inverse);
    store_shares(rows, r, part + part_low, p * inverse);
    if (rows->soft)
        soft_lanes(rows, r, loss, loss_low);
    vec lse = two_sum(start, log_of_sum, &low);
    low = vselect(vless(vabs(lse), infinite), low + log_low, zero);
    vstore(rows->logsumexp + r, vload(rows->shift + r) + (lse + low));
    vstore(rows->logsumexp_low + r, (lse - (lse + low)) + low);
    if (rows->smoothing.on) {
        vec lag_low, lag = two_sum(start, zero - top, &lag_low);
        log_of_sum = two_sum(lag, log_of_sum, &low);
        smoothed_lanes(rows, r, top, anchor, log_of_sum, low + (lag_low + log_low));
    }
}

/* Rows that have no sum: all -inf (a maximum of -inf, and a logsumexp of -inf), or +inf more than
 * once, where inf - inf would decide (no loss, no gradient, but a logsumexp of +inf). */
static void epilogue_special(struct rows *rows, size_t r, int bias)
{
    if (rows->max[r] == -INFINITY && rows->at_anchor[r] == -INFINITY &&
        rows->sum_without_anchor[r] == 0)
        rows->logsumexp[r] = -INFINITY;
    if (rows->shift[r] != INFINITY)
        return;
    /* x - shift is 0 at +inf. The exponent is 0 unless no other is +inf: then `others` is 0. */
    double infinities = rows->sum_without_anchor[r] / ldexp(1, bias) + (rows->at_anchor[r] == 0);
    if (infinities > 1.5)
        rows->loss[r] = rows->scale[r] = rows->one_minus_p_anchor[r] = rows->anchor_p[r] =
            rows->smoothed[r] = rows->anchor_residual[r] = NAN;
}

/* Repeats the last row up to a whole register. */
static void pad_statistics(struct rows *rows)
{
    const size_t last = rows->count - 1;
    for (size_t r = rows->count; r % LANES; r++) {
        rows->max[r] = rows->max[last];
        rows->at_anchor[r] = rows->at_anchor[last];
        rows->exponent[r] = rows->exponent[last];
        rows->shift[r] = rows->shift[last];
        rows->sum_without_anchor[r] = rows->sum_without_anchor[last];
        rows->sum_without_anchor_low[r] = rows->sum_without_anchor_low[last];
        rows->distances[r] = rows->distances[last];
        rows->distances_low[r] = rows->distances_low[last];
        rows->t_anchor[r] = rows->t_anchor[last];
        rows->t_rest[r] = rows->t_rest[last];
        rows->t_rest_low[r] = rows->t_rest_low[last];
    }
}

static void rows_epilogue(struct rows *rows, int bias)
{
    unsigned special = (unsigned)rows->shifted;
    pad_statistics(rows);
    if (bias != BIAS)
        epilogue_single(rows);
    for (size_t r = 0; r < rows->count; r += LANES) {
        if (bias == BIAS)
            epilogue_lanes(rows, r);
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

/* e^x, for x to 100. */
static struct pair exp_of_pair(struct pair x)
{
    vec low;
    if (!(x.hi > -745.2))
        return (struct pair){x.hi == x.hi ? 0 : x.hi, 0};
    double e = vtop(exp_pair(vset(x.hi), exp_range(vset(0)), &low));
    return (struct pair){e * UNSCALE, (vtop(low) + e * x.lo) * UNSCALE};
}

static double log_one(double x)
{
    if (!(x > 0) || x == INFINITY)
        return x == 0 ? -INFINITY : x > 0 ? x : NAN;
    vec low;
    return vtop(log_pair(vset(x), vset(0), &low));
}
