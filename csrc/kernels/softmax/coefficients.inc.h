/* The coefficients of rows of labels, or of soft targets that lie as they are, under the options
 * that act on whole rows: the formulas of softmax/options.c, LANES rows at a time, in double.
 */
/* The row's loss before weights: logsumexp(x) - x_anchor, or that of another target. */
INLINE vec own_loss(const struct crossent_softmax *call, const struct rows *rows, size_t r,
                    size_t n, vec *low)
{
    const vec zero = vset(0), infinite = vset(INFINITY);
    if (rows->smoothing.on || rows->soft) {
        *low = vload_part(rows->smoothed_low + r, n, zero);
        return vload_part(rows->smoothed + r, n, zero);
    }
    vec loss = vload_part(rows->loss + r, n, zero);
    *low = zero;
    if (call->logits.dtype == CROSSENT_F64)
        *low = vselect(vless(vabs(loss), infinite), vload_part(rows->loss_low + r, n, zero), zero);
    return loss;
}

/* a w T / sum of e_j, T the sum of a soft target. */
INLINE vec soft_scale(const struct rows *rows, size_t r, size_t n, vec a, vec inverse)
{
    const vec zero = vset(0);
    vec low, pull = finite_times(a, zero, vload_part(rows->weight + r, n, zero), zero, &low);
    pull = finite_times(pull, low, vload_part(rows->t_total + r, n, zero),
                        vload_part(rows->t_total_low + r, n, zero), &low);
    pull = finite_times(pull, low, inverse, zero, &low);
    return pull + low;
}

INLINE void weigh_lanes(const struct crossent_softmax *call, struct rows *rows, size_t r, size_t n)
{
    const vec zero = vset(0), one = vset(1), lambda = vset(call->z_loss);
    const int focal = has_focal(call), gap = rows->smoothing.on || rows->soft;
    const vec a = vset(call->coefficient) * vload_part(rows->upstream + r, n, zero);
    const vec w = vload_part(rows->weight + r, n, zero), s = vload_part(rows->sample + r, n, zero);
    const vec inverse = vload_part(rows->scale + r, n, zero);
    const vec p = vload_part(rows->anchor_p + r, n, zero);
    const vec q = focal ? vload_part(rows->focal_slope + r, n, zero) : one;
    const vec sum = rows->soft ? vload_part(rows->t_total + r, n, zero) : one;
    const vec pull = a * w, push = pull * q * sum;
    vec low, loss = own_loss(call, rows, r, n, &low);
    vstore_part(rows->log_sum + r, n, vload_part(rows->loss + r, n, zero));
    loss = finite_times(w, vload_part(rows->weight_low + r, n, zero), loss, low, &low);
    loss = loss + low;
    if (focal)
        loss = loss * vload_part(rows->focal + r, n, zero);
    vec scale = push * inverse, own = zero - pull * q * vload_part(rows->rest + r, n, zero);
    if (rows->soft)
        scale = soft_scale(rows, r, n, a, inverse);
    if (gap)
        own = pull * vload_part(rows->gap + r, n, zero);
    vec curvature = pull * sum, lse_curvature = zero;
    vstore_part(rows->hessian + r, n, curvature);
    if (call->z_loss != 0) {
        const vec lse = vload_part(rows->logsumexp + r, n, zero);
        lse_curvature = vset(2) * a * s * lambda;
        vec z = lse_curvature * lse;
        loss = loss + s * lambda * lse * lse;
        scale = (push + z) * inverse;
        own = own + z * p;
        curvature = curvature + z;
    }
    vstore_part(rows->loss + r, n, loss);
    vstore_part(rows->scale + r, n, scale);
    vstore_part(rows->anchor_gradient + r, n, own);
    vstore_part(rows->b + r, n, pull);
    vstore_part(rows->inverse + r, n, inverse);
    vstore_part(rows->probability + r, n, p);
    vstore_part(rows->curvature + r, n, curvature);
    vstore_part(rows->lse_curvature + r, n, lse_curvature);
}

static void weigh_rows(const struct crossent_softmax *call, struct rows *rows, size_t begin,
                       size_t end)
{
    for (size_t r = begin; r < end; r += LANES)
        weigh_lanes(call, rows, r, end - r);
}

/* The same without an option of whole rows but smoothing. */
static void plain_rows(double coefficient, struct rows *rows)
{
    const vec a = vset(coefficient);
    for (size_t r = 0; r < rows->count; r += LANES) {
        const vec inverse = vload(rows->scale + r);
        if (rows->curved) {
            vstore(rows->inverse + r, inverse);
            vstore(rows->hessian + r, a);
        }
        vstore(rows->scale + r, inverse * a);
        if (rows->smoothing.on) {
            vstore(rows->loss + r, vload(rows->smoothed + r));
            vstore(rows->anchor_gradient + r, a * vload(rows->gap + r));
            vstore(rows->b + r, a);
        } else {
            vstore(rows->anchor_gradient + r, vset(0) - a * vload(rows->rest + r));
        }
    }
}

/* p + low = a b, n products; low is 0 where p is infinite. Whether all are above 0. */
static int multiply_pairs(const double *a, const double *b, double *p, double *low, size_t n)
{
    const vec zero = vset(0), one = vset(1);
    unsigned above = ~0u;
    for (size_t i = 0; i < n; i += LANES) {
        vec rest, product = finite_times(vload_part(a + i, n - i, one), zero,
                                         vload_part(b + i, n - i, one), zero, &rest);
        vstore_part(p + i, n - i, product);
        vstore_part(low + i, n - i, rest);
        above &= vbits(vless(zero, product)) & vbits(vless(product, vset(INFINITY)));
    }
    return above == vbits(vless(zero, one));
}
