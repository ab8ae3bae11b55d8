/* The focal factors of a row's classes, in double for both types:
 *
 *     f = alpha (1 - p)^gamma      q = f + alpha gamma p (1 - p)^(gamma - 1) ce      ce = -log p
 *
 * A power multiplies the relative error of its base by gamma, so the exponentials, 1 - p, its
 * logarithm and ce are pairs, and the row's sum is made anew of exponentials that are. 1 - p of the
 * anchor is the sum of the others' exponentials over all; of another class, which has no more than
 * half unless its share of the target is 0, the difference loses nothing.
 * q = f (1 + gamma p (ce / (1 - p))) is a product of positive terms, whose quotient tends to 1.
 */
/* E = e^x on the row's scale. */
INLINE vec focal_exp(const struct focal_row *row, vec x, vec *low)
{
    return exp_pair(x, exp_range(vset(row->exponent)), low);
}

/* Adds the exponentials of n classes, but number `skip`, to the row's sum. */
static void focal_sum(struct focal_row *row, const double *x, size_t n, size_t skip)
{
    const vec zero = vset(0), without = vset(skip < n ? (double)skip : -1);
    for (size_t i = 0; i < n; i += WIDE)
        for (int h = 0; h < HALVES; h++) {
            const size_t at = i + (size_t)(h * LANES), left = at < n ? n - at : 0;
            vec low, lost, sum = vload(row->hi + h * LANES), rest = vload(row->lo + h * LANES);
            mask own = vequal(vlanes() + vset((double)at), without);
            vec e = focal_exp(row, vload_part(x + (left ? at : 0), left, vset(-INFINITY)), &low);
            sum = two_sum(sum, vselect(own, zero, e), &lost);
            vstore(row->hi + h * LANES, sum);
            vstore(row->lo + h * LANES, rest + (lost + vselect(own, zero, low)));
        }
}

/* x^gamma, 0 <= x <= 1. */
INLINE vec power_pair(vec x, vec x_low, vec gamma, vec *low)
{
    const vec zero = vset(0);
    vec log_low, y_low, e_low, log = log_pair(x, x_low, &log_low);
    vec y = pair_times(log, log_low, gamma, zero, &y_low);
    vec e = exp_pair(y, exp_range(zero), &e_low) * vset(UNSCALE);
    e_low = vfma(e, y_low, e_low * vset(UNSCALE));       /* not below an ulp of e, as y is large */
    vec sum = e + e_low;
    mask none = vequal(x, zero);
    *low = vselect(none, zero, (e - sum) + e_low);
    return vselect(none, zero, vselect(vequal(x, x), sum, x));
}

/* ce / rest, where ce = -log(1 - rest): 1 + rest / 2 + ... */
INLINE vec slope_pair(vec ce, vec ce_low, vec rest, vec rest_low, vec *low)
{
    mask small = vless(rest, vset(0x1p-30));
    vec q = quotient(ce, ce_low, rest, rest_low, vset(1) / rest, low);
    *low = vselect(small, vset(0.5) * rest, *low);
    return vselect(small, vset(1), q);
}

struct focal_lanes {
    vec p, p_low, rest, rest_low, ce, ce_low;
};

/* f and q, without alpha. */
INLINE void focal_powers(const struct focal_lanes *c, vec gamma, vec *f, vec *f_low, vec *q,
                         vec *q_low)
{
    const vec zero = vset(0);
    vec low, lost, more = slope_pair(c->ce, c->ce_low, c->rest, c->rest_low, &low);
    more = pair_times(more, low, c->p, c->p_low, &low);
    more = pair_times(more, low, gamma, zero, &low);
    mask none = vequal(c->p, zero);        /* whose ce may be infinite */
    more = two_sum(vset(1), vselect(none, zero, more), &lost);
    *f = power_pair(c->rest, c->rest_low, gamma, f_low);
    *q = pair_times(*f, *f_low, more, lost + vselect(none, zero, low), q_low);
}

/* From the row's sum to what it says of the anchor. */
static void focal_anchor(struct focal_row *row)
{
    const vec zero = vset(0), one = vset(1);
    struct pair sum = {row->hi[0], row->lo[0]};
    for (size_t i = 1; i < WIDE; i++)
        sum = pair_add(sum, (struct pair){row->hi[i], row->lo[i]});
    vec anchor = vset(row->at_anchor), start = near_top(vset(row->top), anchor);
    vec e_low, v_low, log_low, low, s_low, i_low, p_low, rest_low, ce_low;
    vec e = focal_exp(row, start, &e_low), o = vset(sum.hi), o_low = vset(sum.lo);
    vec v = quotient(o, o_low, e, e_low, one / e, &v_low), log = log1p_pair(v, v_low, &log_low);
    mask small = vless(v, vset(0x1p-30));
    log_low = vselect(small, vfma(vset(-0.5) * v, v, v_low), log_low);
    log = vselect(small, v, log);
    vec ce = two_sum(start - anchor, log, &ce_low);
    ce_low = vselect(vless(ce, vset(INFINITY)), ce_low + log_low, zero);
    vec s = two_sum(o, e, &s_low);
    s_low = s_low + (o_low + e_low);
    vec inverse = quotient(one, zero, s, s_low, one / s, &i_low);
    vec rest = quotient(o, o_low, s, s_low, one / s, &rest_low);
    e = focal_exp(row, anchor, &e_low);
    vec p = pair_times(e, e_low, inverse, i_low, &p_low);
    ce = two_sum(ce, ce_low, &low);
    vec pairs[] = {p, p_low, rest, rest_low, ce, vselect(vless(ce, vset(INFINITY)), low, zero),
                   inverse, i_low};
    double *to = &row->p.hi, lane[LANES];
    for (size_t i = 0; i < COUNT(pairs); i++) {
        vstore(lane, pairs[i]);
        to[i] = lane[0];
    }
}

/* f, q and ce of n classes, of which number `anchor` is the anchor; times alpha, or 1 for NULL. */
static void focal_classes(const struct focal_row *row, const double *x, const double *alpha,
                          size_t n, size_t anchor, struct focal_class *to)
{
    const vec zero = vset(0), one = vset(1), gamma = vset(row->gamma);
    for (size_t i = 0; i < n; i += LANES) {
        const vec logit = vload_part(x + i, n - i, zero);
        const vec a = alpha ? vload_part(alpha + i, n - i, zero) : one;
        mask own = vequal(vlanes() + vset((double)i), vset(anchor < n ? (double)anchor : -1));
        struct focal_lanes c;
        vec low, f_low, q_low, f = one, q = one, e = focal_exp(row, logit, &low);
        c.p = pair_times(e, low, vset(row->inverse.hi), vset(row->inverse.lo), &c.p_low);
        c.p = vselect(own, vset(row->p.hi), c.p);
        c.p_low = vselect(own, vset(row->p.lo), c.p_low);
        c.rest = two_sum(one, zero - c.p, &low);
        c.rest_low = vselect(own, vset(row->rest.lo), low - c.p_low);
        c.rest = vselect(own, vset(row->rest.hi), c.rest);
        vec behind = two_sum(vset(row->at_anchor), zero - logit, &c.ce_low);
        c.ce = two_sum(behind, vset(row->ce.hi), &low);
        c.ce_low = vselect(own, vset(row->ce.lo), c.ce_low + (low + vset(row->ce.lo)));
        c.ce = vselect(own, vset(row->ce.hi), c.ce);
        f_low = q_low = zero;
        if (row->gamma != 0)
            focal_powers(&c, gamma, &f, &f_low, &q, &q_low);
        f = finite_times(f, f_low, a, zero, &f_low);
        q = finite_times(q, q_low, a, zero, &q_low);
        c.ce_low = vselect(vless(vabs(c.ce), vset(INFINITY)), c.ce_low, zero);
        double lanes[6][LANES];
        vstore(lanes[0], f);
        vstore(lanes[1], f_low);
        vstore(lanes[2], q);
        vstore(lanes[3], q_low);
        vstore(lanes[4], c.ce);
        vstore(lanes[5], c.ce_low);
        for (size_t l = 0; l < LANES && i + l < n; l++)
            to[i + l] = (struct focal_class){{lanes[0][l], lanes[1][l]},
                                             {lanes[2][l], lanes[3][l]},
                                             {lanes[4][l], lanes[5][l]}};
    }
}
