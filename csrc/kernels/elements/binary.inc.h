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
 * c) A weight multiplies the error of what it weighs and adds its own rounding. So A, B, u and
 *    v are unevaluated sums, and the loss is rounded once. Under a focal factor A and B are
 *    rounded.
 */
/* Of each element in a register; udv = u dv, vdu = v du; u_low, v_low: what rounding cut off. */
struct outcome {
    vec p, u, v, u_low, v_low, du, dv, udv, vdu;
};

INLINE void from_logit(vec x, struct outcome *o)
{
    const vec zero = vset(0), most = vset(0x1p100);
    vec low, e = exp_pair(zero - vabs(x), exp_range(zero), &low) * vset(UNSCALE);
    vec lost, l = log1p_pair(e, low * vset(UNSCALE), &lost);
    mask negative = vless(x, zero);
    vec larger = larger_share(e), smaller = smaller_share(e);
    o->p = o->dv = vselect(negative, smaller, larger);
    o->du = vselect(negative, larger, smaller);
    o->u = two_sum(vmax(zero - x, zero), l, &o->u_low);
    o->v = two_sum(vmax(x, zero), l, &o->v_low);
    o->u_low = o->u_low + lost;
    o->v_low = o->v_low + lost;
    o->udv = vmin(most, o->u) * o->dv;    /* u = inf where dv is 0 */
    o->vdu = vmin(most, o->v) * o->du;
}

/* -log(w + low), 0 <= w <= 1, low at most half an ulp of w; inf for 0. */
INLINE vec minus_log(vec w, vec low, vec *minus_low)
{
    const vec zero = vset(0);
    vec lost, log = log_pair(w, low, &lost);
    *minus_low = zero - lost;
    return vselect(vequal(w, zero), vset(INFINITY), zero - log);
}

/* The slopes of the clipped functions are 0 where they are clipped. */
INLINE void from_probability(vec given, const struct crossent_sigmoid_options *options,
                             struct outcome *o)
{
    const vec zero = vset(0), one = vset(1), each = vset(options->clip_each);
    const vec low = vset(options->clip_low), high = vset(1 - options->clip_high);
    vec p = vmax(low, vmin(high, given));
    vec q = one - p, q_low = (one - q) - p;
    mask p_clipped = vless(p, each), q_clipped = vless(q, each);
    o->p = p;
    o->u = minus_log(vmax(p, each), zero, &o->u_low);
    o->v = minus_log(vmax(q, each), vselect(q_clipped, zero, q_low), &o->v_low);
    if (options->log_limit != 0) {
        vec limit = vset(options->log_limit), both = vmax(p * q, vset(1e-12));
        o->u_low = vselect(vless(o->u, limit), o->u_low, zero);
        o->v_low = vselect(vless(o->v, limit), o->v_low, zero);
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

/* a x, and 0 where a is 0. */
INLINE vec share(vec a, vec x)
{
    return vselect(vequal(a, vset(0)), vset(0), a * x);
}

/* (a + *a_low) b, as a sum too */
INLINE vec product(vec a, vec b, vec *a_low)
{
    vec p = a * b;
    *a_low = vfma(a, b, vset(0) - p) + *a_low * b;
    return p;
}

/* t + smoothing (1/2 - t), t = hi + *low as well. */
INLINE vec smoothed(vec smoothing, vec t, vec *low)
{
    vec half_low, sum_low, half = two_sum(vset(0.5), vset(0) - t, &half_low);
    half_low = half_low - *low;
    vec step = product(half, smoothing, &half_low), sum = two_sum(t, step, &sum_low);
    *low = *low + (sum_low + half_low);
    return sum;
}

/* What the elements from i on weigh: A and B without the focal factors. */
INLINE void element_shares(const struct crossent_sigmoid_options *options, const struct elements *e,
                           size_t i, vec *a, vec *b, vec *a_low, vec *b_low)
{
    const vec zero = vset(0), smoothing = vset(options->label_smoothing);
    vec t = vload(e->target + i), s = vload(e->sample + i);
    *a_low = zero;
    *a = smoothed(smoothing, t, a_low);
    *b = smoothed(smoothing, two_sum(vset(1), zero - t, b_low), b_low);
    *a = product(product(*a, vload(e->positive + i), a_low), s, a_low);
    *b = product(*b, s, b_low);
    if (options->focal_alpha) {
        *a = product(*a, vset(options->focal_alpha[1]), a_low);
        *b = product(*b, vset(options->focal_alpha[0]), b_low);
    }
}

/* a u + b v, in which a share of 0 takes nothing, rounded once. */
INLINE vec weighted_loss(vec a, vec b, vec a_low, vec b_low, const struct outcome *o)
{
    const vec zero = vset(0);
    mask no_a = vequal(a, zero), no_b = vequal(b, zero);
    vec low, of_1 = vselect(no_a, zero, a * o->u), of_0 = vselect(no_b, zero, b * o->v);
    vec low_1 = vfma(a, o->u, zero - of_1) + (a * o->u_low + a_low * o->u);
    vec low_0 = vfma(b, o->v, zero - of_0) + (b * o->v_low + b_low * o->v);
    vec sum = two_sum(of_1, of_0, &low);
    low = low + (vselect(no_a, zero, low_1) + vselect(no_b, zero, low_0));
    return sum + vselect(vless(vabs(sum), vset(INFINITY)), low, zero);
}

/* One register of elements; the last two are constants where this is called. */
INLINE void binary_lanes(const struct crossent_sigmoid *call, struct elements *e, size_t i,
                         const int probabilities, const int focal)
{
    const struct crossent_sigmoid_options *options = call->options;
    const vec zero = vset(0);
    struct outcome o;
    vec a, b, a_low, b_low;
    if (probabilities)
        from_probability(vload(e->x + i), options, &o);
    else
        from_logit(vload(e->x + i), &o);
    element_shares(options, e, i, &a, &b, &a_low, &b_low);
    vec down = o.du, up = o.dv;
    if (focal) {
        const vec gamma = vset(options->focal_gamma);
        a = a * exp_negative(gamma * o.v);
        b = b * exp_negative(gamma * o.u);
        a_low = b_low = zero;
        down = vfma(gamma, o.udv, down);
        up = vfma(gamma, o.vdu, up);
    }
    mask none = vequal(vload(e->sample + i), zero);
    vec loss = weighted_loss(a, b, a_low, b_low, &o), slope = share(b, up) - share(a, down);
    vec factor = vset(call->coefficient) * vload(e->upstream + i);
    vstore(e->loss + i, vselect(none, zero, loss));
    vstore(e->gradient + i, vselect(none, zero, slope * factor));
    if (options->probability.data)
        vstore(e->probability + i, vselect(none, vset(NAN), o.p));
    if (options->hessian.data) {
        vec bend = (a + b) * o.du * o.dv;
        if (options->hessian_rule == CROSSENT_RESIDUAL)
            bend = vabs(slope);
        else if (options->hessian_rule != CROSSENT_EXACT)
            bend = bend + bend;           /* two classes: K / (K - 1) is 2 as well */
        vstore(e->hessian + i, vselect(none, zero, bend * factor));
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
