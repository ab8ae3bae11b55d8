/* Binary cross-entropies with options, from logits x or from probabilities p, in double for every
 * type.
 *
 * With q = 1 - p, u and v the losses of targets 1 and 0, du and dv the sizes of their slopes:
 *
 *     logits           u = softplus(-x)   v = softplus(x)   du = q       dv = p
 *     probabilities    u = -log p         v = -log q        du = 1 / p   dv = 1 / q
 *
 *     y = t + smoothing (1/2 - t)         the smoothed target
 *     A = s w alpha_1 y,  B = s alpha_0 (1 - y)     s sample weight, w that of positives
 *     loss  = A q^gamma u + B p^gamma v
 *     slope = B p^gamma (dv + gamma v du) - A q^gamma (du + gamma u dv)
 *
 * a) p^gamma = e^(-gamma u) and q^gamma = e^(-gamma v): right where p or q rounds to 1, and
 *    finite for any gamma >= 0. (Lin et al., 2017, arXiv:1708.02002.)
 * b) All terms have one sign but the two of the slope, of which one is 0 where the target is 0
 *    or 1. A share A or B of 0 takes nothing, whatever it is a share of.
 * c) A weight multiplies the error of what it weighs and adds its own rounding. So all of these
 *    are unevaluated sums (math/pairs.inc.h), and loss, gradient and Hessian are rounded once.
 * d) Where |x| > 700, the terms with e^-|x| would be cut to 0 before a large weight multiplies
 *    them: they carry e^(-|x| / 2), and are multiplied by it once more behind the weights. Focal
 *    factors are applied in two halves for the same reason.
 */
/* Of each element in a register. p in full is p * p_more, and so on. */
struct outcome {
    struct vpair p, u, v, du, dv;
    struct vpair u_more, v_more;   /* still to multiply p, v and dv, q, u and du by */
    mask far;                      /* where these are not 1 */
};

/* e^-a as a pair, a >= 0 */
INLINE struct vpair exp_minus(struct vpair a)
{
    vec low, e = exp_pair(vset(0) - a.hi, exp_range(vset(0)), &low) * vset(UNSCALE);
    return (struct vpair){e, low * vset(UNSCALE) - e * a.low};
}

INLINE void from_logit(vec x, struct outcome *o)
{
    const vec zero = vset(0);
    const struct vpair one = vpair_exact(vset(1));
    const vec size = vabs(x);
    const mask far = vless(vset(700), size), negative = vless(x, zero);
    struct vpair e = exp_minus(vpair_exact(vselect(far, vset(0.5), vset(1)) * size));
    struct vpair l, whole = vpair_plus(one, e), more = vpair_select(far, e, one);
    l.hi = log1p_pair(e.hi, e.low, &l.low);
    struct vpair large = vpair_plus(vpair_exact(size), vpair_select(far, vpair_exact(zero), l));
    struct vpair larger = vpair_over(one, whole), smaller = vpair_over(e, whole);
    l = vpair_select(far, e, l);
    o->p = o->dv = vpair_select(negative, smaller, larger);
    o->du = vpair_select(negative, larger, smaller);
    o->u = vpair_select(negative, large, l);
    o->v = vpair_select(negative, l, large);
    o->u_more = vpair_select(negative, one, more);
    o->v_more = vpair_select(negative, more, one);
    o->far = far;
}

/* -log(w + low), 0 <= w <= 1, low at most half an ulp of w; inf for 0. */
INLINE struct vpair minus_log(struct vpair w)
{
    vec low, log = log_pair(w.hi, w.low, &low);
    struct vpair infinite = vpair_exact(vset(INFINITY));
    return vpair_select(vequal(w.hi, vset(0)), infinite, vpair_minus((struct vpair){log, low}));
}

/* The slopes of the clipped functions are 0 where they are clipped. */
INLINE void from_probability(vec given, const struct crossent_sigmoid_options *options,
                             struct outcome *o)
{
    const struct vpair zero = vpair_exact(vset(0)), one = vpair_exact(vset(1));
    const vec each = vset(options->clip_each);
    const vec low = vset(options->clip_low), high = vset(1 - options->clip_high);
    struct vpair p = vpair_exact(vmax(low, vmin(high, given))), q;
    q.hi = vset(1) - p.hi;
    q.low = (vset(1) - q.hi) - p.hi;
    mask p_clipped = vless(p.hi, each), q_clipped = vless(q.hi, each);
    o->p = p;
    o->u = minus_log(vpair_exact(vmax(p.hi, each)));
    o->v = minus_log(vpair_select(q_clipped, vpair_exact(each), q));
    o->u_more = o->v_more = one;
    o->far = vless(vset(1), vset(0));
    if (options->log_limit != 0) {
        struct vpair limit = vpair_exact(vset(options->log_limit)), both = vpair_times(p, q);
        both = vpair_select(vless(vset(1e-12), both.hi), both, vpair_exact(vset(1e-12)));
        o->u = vpair_select(vless(o->u.hi, limit.hi), o->u, limit);
        o->v = vpair_select(vless(o->v.hi, limit.hi), o->v, limit);
        o->du = vpair_over(q, both);
        o->dv = vpair_over(p, both);
        return;
    }
    mask inside = vequal(p.hi, given);
    o->du = vpair_select(inside, vpair_select(p_clipped, zero, vpair_over(one, p)), zero);
    o->dv = vpair_select(inside, vpair_select(q_clipped, zero, vpair_over(one, q)), zero);
}

/* a x, and 0 where a is 0. */
INLINE struct vpair share(struct vpair a, struct vpair x)
{
    return vpair_select(vequal(a.hi, vset(0)), vpair_exact(vset(0)), vpair_times(a, x));
}

/* t + smoothing (1/2 - t) */
INLINE struct vpair smoothed(vec smoothing, struct vpair t)
{
    struct vpair half = vpair_plus(vpair_exact(vset(0.5)), vpair_minus(t));
    return vpair_plus(t, vpair_times(half, vpair_exact(smoothing)));
}

/* What the elements from i on weigh: A and B without the focal factors. */
INLINE void element_shares(const struct crossent_sigmoid_options *options, const struct elements *e,
                           size_t i, struct vpair *a, struct vpair *b)
{
    const vec smoothing = vset(options->label_smoothing);
    const struct vpair t = vpair_exact(vload(e->target + i));
    const struct vpair s = vpair_exact(vload(e->sample + i));
    *a = smoothed(smoothing, t);
    *b = smoothed(smoothing, vpair_plus(vpair_exact(vset(1)), vpair_minus(t)));
    *a = vpair_times(vpair_times(*a, vpair_exact(vload(e->positive + i))), s);
    *b = vpair_times(*b, s);
    if (options->focal_alpha) {
        *a = vpair_times(*a, vpair_exact(vset(options->focal_alpha[1])));
        *b = vpair_times(*b, vpair_exact(vset(options->focal_alpha[0])));
    }
}

/* a e^(-gamma loss), in two halves */
INLINE struct vpair with_focal(struct vpair a, vec gamma, struct vpair loss)
{
    struct vpair half = exp_minus(vpair_times(vpair_exact(vset(0.5) * gamma), loss));
    return vpair_times(vpair_times(a, half), half);
}

/* slope + gamma loss other, where loss may be infinite and other 0 */
INLINE struct vpair focal_slope(struct vpair slope, vec gamma, struct vpair loss,
                                struct vpair other)
{
    loss.hi = vmin(vset(0x1p100), loss.hi);
    return vpair_plus(slope, vpair_times(vpair_exact(gamma), vpair_times(loss, other)));
}

/* The second derivative, or the boosting rules in its place, times `factor`. */
INLINE struct vpair hessian_diag(enum crossent_hessian rule, const struct outcome *o,
                                 struct vpair a, struct vpair b, struct vpair gradient,
                                 struct vpair factor)
{
    const vec zero = vset(0);
    if (rule == CROSSENT_RESIDUAL) {
        struct vpair size = vpair_select(vless(gradient.hi, zero), vpair_minus(gradient), gradient);
        return vpair_select(vless(factor.hi, zero), vpair_minus(size), size);
    }
    struct vpair h = vpair_times(vpair_plus(a, b), factor);
    h = vpair_times(vpair_times(h, o->du), o->dv);
    h = vpair_times(vpair_times(h, o->u_more), o->v_more);
    if (rule != CROSSENT_EXACT)
        h = vpair_plus(h, h);                 /* two classes: K / (K - 1) is 2 as well */
    return h;
}

/* One register of elements; the last two are constants where this is called. */
INLINE void binary_lanes(const struct crossent_sigmoid *call, struct elements *e, size_t i,
                         const int probabilities, const int focal)
{
    const struct crossent_sigmoid_options *options = call->options;
    const vec zero = vset(0);
    struct outcome o;
    struct vpair a, b;
    if (probabilities)
        from_probability(vload(e->x + i), options, &o);
    else
        from_logit(vload(e->x + i), &o);
    element_shares(options, e, i, &a, &b);
    struct vpair factor = vpair_times(vpair_exact(vset(call->coefficient)),
                                      vpair_exact(vload(e->upstream + i)));
    struct vpair down = o.du, up = o.dv, a_slope = vpair_times(a, factor),
                 b_slope = vpair_times(b, factor);
    if (focal) {
        const vec gamma = vset(options->focal_gamma);
        a = with_focal(a, gamma, o.v);
        b = with_focal(b, gamma, o.u);
        a_slope = with_focal(a_slope, gamma, o.v);
        b_slope = with_focal(b_slope, gamma, o.u);
        down = focal_slope(o.du, gamma, o.u, o.dv);
        up = focal_slope(o.dv, gamma, o.v, o.du);
    }
    struct vpair of_1 = share(a, o.u), of_0 = share(b, o.v);
    down = share(a_slope, down);
    up = share(b_slope, up);
    if (vbits(o.far)) {
        of_1 = vpair_times(of_1, o.u_more);
        of_0 = vpair_times(of_0, o.v_more);
        down = vpair_times(down, o.u_more);
        up = vpair_times(up, o.v_more);
    }
    mask none = vequal(vload(e->sample + i), zero);
    struct vpair loss = vpair_plus(of_1, of_0), gradient = vpair_plus(up, vpair_minus(down));
    vstore(e->loss + i, vselect(none, zero, vpair_value(loss)));
    vstore(e->gradient + i, vselect(none, zero, vpair_value(gradient)));
    if (options->probability.data)
        vstore(e->probability + i,
               vselect(none, vset(NAN), vpair_value(vpair_times(o.p, o.v_more))));
    if (options->hessian.data) {
        struct vpair h = hessian_diag(options->hessian_rule, &o, a, b, gradient, factor);
        vstore(e->hessian + i, vselect(none, zero, vpair_value(h)));
    }
}

INLINE void binary_elements(const struct crossent_sigmoid *call, struct elements *e,
                            const int probabilities, const int focal)
{
    for (size_t i = 0; i < e->count; i += WIDE)
        for (int h = 0; h < HALVES; h++)
            binary_lanes(call, e, i + (size_t)(h * LANES), probabilities, focal);
}

/* Whole registers: beyond n, x must be 0 as far as WIDEST goes. */
static double sum_elements(const double *x, size_t n)
{
    struct totals sum;
    totals_clear(&sum);
    for (size_t i = 0; i < n; i += WIDE)
        for (int h = 0; h < HALVES; h++)
            totals_add(&sum, h, vload(x + i + (size_t)(h * LANES)));
    return totals_value(&sum);
}

/* Whole registers: beyond e->count, sample weights must be 0 as far as WIDEST goes. */
static double binary_losses(const struct crossent_sigmoid *call, struct elements *e)
{
    const int focal = call->options->focal_gamma != 0;
    if (call->function == CROSSENT_BINARY_CROSS_ENTROPY && focal)
        binary_elements(call, e, 1, 1);
    else if (call->function == CROSSENT_BINARY_CROSS_ENTROPY)
        binary_elements(call, e, 1, 0);
    else if (focal)
        binary_elements(call, e, 0, 1);
    else
        binary_elements(call, e, 0, 0);
    return sum_elements(e->loss, e->count);
}
