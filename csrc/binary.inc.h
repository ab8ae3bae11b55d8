/* Binary cross-entropies with options, from logits x or from probabilities p.
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
 * a) p^gamma = e^(-gamma u) and q^gamma = e^(-gamma v): right where p or q rounds to 1, and finite for
 *    any gamma >= 0. (Lin et al., 2017, arXiv:1708.02002.)
 * b) All terms have one sign but the two of the slope, of which one is 0 where the target is 0 or 1.
 *    A share A or B of 0 takes nothing, whatever it is a share of.
 * c) u, v and their slopes are computed in T; what weighs and adds them is cheap beside them and done
 *    in double, so that weights, however small or large, cost no digit. The focal factors multiply
 *    the error of u and v by gamma u: float elements with them go through the kernel of double.
 */
#ifndef T
#error "binary.inc.h: define T, SUFFIX and IS_DOUBLE"
#endif

/* Of each element in a register; udv = u dv, vdu = v du. */
struct outcome {
    vec p, u, v, du, dv, udv, vdu, p_gamma, q_gamma;
};

INLINE void from_logit(vec x, struct outcome *o)
{
    const vec zero = vset(0), one = vset(1), most = vset((T)0x1p100);
    vec e = exp_negative(vabs(x)), l = log1p_unit(e), whole = one + e;
    mask negative = vless(x, zero);
    vec larger = one / whole, smaller = e / whole;
    o->p = o->dv = vselect(negative, smaller, larger);
    o->du = vselect(negative, larger, smaller);
    o->u = l + vmax(zero - x, zero);
    o->v = l + vmax(x, zero);
    o->udv = vmin(most, o->u) * o->dv;    /* u = inf where dv is 0 */
    o->vdu = vmin(most, o->v) * o->du;
}

/* -log(w + low), 0 <= w <= 1, low at most half an ulp of w; inf for 0. */
INLINE vec minus_log(vec w, vec low)
{
    const vec zero = vset(0), lift = vset((T)0x1p64);
    mask tiny = vless(w, vset(TINY));
    vec k, m = vsplit(vselect(tiny, w * lift, w), &k);
    low = low * vpow2(vset(ROUNDER + EXPONENT_BIAS) - k);   /* 2^-k */
    vec log = log_parts(vselect(tiny, k - vset(64), k), m - vset(1), low);
    return vselect(vequal(w, zero), vset(INFINITY), zero - log);
}

/* The slopes of the clipped functions are 0 where they are clipped. */
INLINE void from_probability(vec given, const struct crossent_sigmoid_options *options,
                             struct outcome *o)
{
    const vec zero = vset(0), one = vset(1), each = vset((T)options->clip_each);
    const vec low = vset((T)options->clip_low), high = vset((T)(1 - options->clip_high));
    vec p = vmax(low, vmin(high, given));
    vec q = one - p, q_low = (one - q) - p;
    mask p_clipped = vless(p, each), q_clipped = vless(q, each);
    o->p = p;
    o->u = minus_log(vmax(p, each), zero);
    o->v = minus_log(vmax(q, each), vselect(q_clipped, zero, q_low));
    if (options->log_limit != 0) {
        vec limit = vset((T)options->log_limit), both = vmax(p * q, vset((T)1e-12));
        o->u = vmin(limit, o->u);
        o->v = vmin(limit, o->v);
        o->du = q / both;
        o->dv = p / both;
        o->udv = o->u * o->dv;
        o->vdu = o->v * o->du;
        return;
    }
    mask inside = vequal(p, given);
    o->du = vselect(inside, vselect(p_clipped, zero, one / p), zero);
    o->dv = vselect(inside, vselect(q_clipped, zero, one / q), zero);
    o->udv = vselect(inside, vselect(q_clipped, zero, o->u / q), zero);
    o->vdu = vselect(inside, vselect(p_clipped, zero, o->v / p), zero);
}

INLINE vec_f64 share(vec_f64 a, vec_f64 of)
{
    return vselect_f64(vequal_f64(a, vset_f64(0)), vset_f64(0), a * of);
}

/* One register of doubles: what the elements from i on weigh, and what that gives. */
INLINE void binary_part(const struct crossent_sigmoid *call, struct elements *e, size_t i,
                        const struct outcome *o, int part, const int focal)
{
    const struct crossent_sigmoid_options *options = call->options;
    const vec_f64 zero = vset_f64(0), one = vset_f64(1);
    const vec_f64 smoothing = vset_f64(options->label_smoothing);
    vec_f64 t = vload_f64(e->target + i), s = vload_f64(e->sample + i);
    vec_f64 to_half = vset_f64(0.5) - t;
    vec_f64 a = s * vload_f64(e->positive + i) * vfma_f64(smoothing, to_half, t);
    vec_f64 b = s * vfma_f64(smoothing, zero - to_half, one - t);
    vec_f64 down = vwiden(o->du, part), up = vwiden(o->dv, part);
    if (options->focal_alpha) {
        a = a * vset_f64(options->focal_alpha[1]);
        b = b * vset_f64(options->focal_alpha[0]);
    }
    if (focal) {
        const vec_f64 gamma = vset_f64(options->focal_gamma);
        a = a * vwiden(o->q_gamma, part);
        b = b * vwiden(o->p_gamma, part);
        down = vfma_f64(gamma, vwiden(o->udv, part), down);
        up = vfma_f64(gamma, vwiden(o->vdu, part), up);
    }
    mask_f64 none = vequal_f64(s, zero);
    vec_f64 loss = share(a, vwiden(o->u, part)) + share(b, vwiden(o->v, part));
    vec_f64 slope = share(b, up) - share(a, down);
    vec_f64 factor = vset_f64(call->coefficient) * vload_f64(e->upstream + i);
    vstore_f64(e->loss + i, vselect_f64(none, zero, loss));
    vstore_f64(e->gradient + i, vselect_f64(none, zero, slope * factor));
    if (options->probability.data)
        vstore_f64(e->probability + i, vselect_f64(none, vset_f64(NAN), vwiden(o->p, part)));
    if (options->hessian.data) {
        vec_f64 bend = (a + b) * vwiden(o->du, part) * vwiden(o->dv, part);    /* (A + B) p q */
        if (options->hessian_rule == CROSSENT_RESIDUAL)
            bend = vabs_f64(slope);
        else if (options->hessian_rule != CROSSENT_EXACT)
            bend = bend + bend;           /* two classes: K / (K - 1) is 2 as well */
        vstore_f64(e->hessian + i, vselect_f64(none, zero, bend * factor));
    }
}

INLINE void binary_lanes(const struct crossent_sigmoid *call, struct elements *e,
                         const int probabilities, const int focal)
{
    for (size_t i = 0; i < e->count; i += LANES) {
        struct outcome o;
        vec x = narrowed(e->x + i);
        if (probabilities)
            from_probability(x, call->options, &o);
        else
            from_logit(x, &o);
        if (focal) {
            const vec gamma = vset((T)call->options->focal_gamma);
            o.p_gamma = exp_negative(gamma * o.u);
            o.q_gamma = exp_negative(gamma * o.v);
        }
        for (int part = 0; part < PARTS; part++)
            binary_part(call, e, i + (size_t)(part * LANES_f64), &o, part, focal);
    }
}

/* Whole registers: beyond n, x must be 0 as far as WIDEST goes. */
static double sum_elements(const double *x, size_t n)
{
    struct totals_f64 sum;
    totals_clear_f64(&sum);
    for (size_t i = 0; i < n; i += WIDE_f64)
        for (int h = 0; h < HALVES_f64; h++)
            totals_add_f64(&sum, h, vload_f64(x + i + (size_t)(h * LANES_f64)));
    return totals_value_f64(&sum);
}

/* Whole registers: beyond e->count, sample weights must be 0 as far as WIDEST goes. */
static double binary_losses(const struct crossent_sigmoid *call, struct elements *e)
{
    const int focal = IS_DOUBLE && call->options->focal_gamma != 0;
    if (call->function == CROSSENT_BINARY_CROSS_ENTROPY && focal)
        binary_lanes(call, e, 1, IS_DOUBLE);
    else if (call->function == CROSSENT_BINARY_CROSS_ENTROPY)
        binary_lanes(call, e, 1, 0);
    else if (focal)
        binary_lanes(call, e, 0, IS_DOUBLE);
    else
        binary_lanes(call, e, 0, 0);
    return sum_elements(e->loss, e->count);
}
