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

/* (a + a_low) b, rounded once. */
INLINE vec times(vec a, vec a_low, vec b) { return vfma(a, b, a_low * b); }

/* What z_loss adds to the loss and to the coefficients of a row, a + a_low being the factor of its
 * derivatives: s lambda lse^2, and z = 2 a s lambda lse for every p_j. */
INLINE void add_z_loss(const struct crossent_softmax *call, struct rows *rows, size_t r, size_t n,
                       vec a, vec a_low, vec *loss, vec *low, vec *prob_scale, vec *prob_scale_low,
                       vec *anchor_gradient)
{
    const vec zero = vset(0), p = vload_part(rows->anchor_p + r, n, zero);
    const vec lse = vload_part(rows->logsumexp + r, n, zero);
    const vec lse_low = vload_part(rows->logsumexp_low + r, n, zero);
    vec s_low, a_s_low, z_low, more, more_low, lost;
    vec s = finite_times(vload_part(rows->sample + r, n, zero), zero, vset(call->z_loss), zero,
                         &s_low);
    vec a_s = finite_times(a + a, a_low + a_low, s, s_low, &a_s_low);
    vec z = finite_times(a_s, a_s_low, lse, lse_low, &z_low);
    more = finite_times(s, s_low, lse, lse_low, &more_low);
    more = finite_times(more, more_low, lse, lse_low, &more_low);
    *loss = two_sum(*loss, more, &lost);
    *low = vselect(vless(vabs(*loss), vset(INFINITY)), (*low + more_low) + lost, zero);
    *prob_scale = two_sum(*prob_scale, z, &lost);
    *prob_scale_low =
        vselect(vless(vabs(*prob_scale), vset(INFINITY)), (*prob_scale_low + z_low) + lost, zero);
    *anchor_gradient = vfma(z, p, *anchor_gradient);
    vstore_part(rows->lse_curvature + r, n, a_s);
}

INLINE void coefficients_of_lanes(const struct crossent_softmax *call, struct rows *rows, size_t r,
                                  size_t n)
{
    const vec zero = vset(0), one = vset(1);
    const int gap = rows->smoothing.on || rows->soft;
    const vec w = vload_part(rows->weight + r, n, zero);
    const vec w_low = vload_part(rows->weight_low + r, n, zero);
    const vec inverse = vload_part(rows->scale + r, n, zero);
    vec a_low, label_scale_low, sum_low, prob_scale_low, low,
        loss = own_loss(call, rows, r, n, &low);
    const vec a = finite_times(vset(call->coefficient), vset(call->coefficient_low),
                               vload_part(rows->upstream + r, n, zero), zero, &a_low);
    const vec label_scale = finite_times(a, a_low, w, w_low, &label_scale_low);
    vec sum = label_scale;
    sum_low = label_scale_low;
    if (rows->soft)
        sum = finite_times(label_scale, label_scale_low, vload_part(rows->t_total + r, n, zero),
                           vload_part(rows->t_total_low + r, n, zero), &sum_low);
    vstore_part(rows->log_sum + r, n, vload_part(rows->loss + r, n, zero));
    loss = finite_times(w, w_low, loss, low, &low);
    vec prob_scale = sum;
    prob_scale_low = sum_low;
    if (has_focal(call)) {
        loss = finite_times(loss, low, vload_part(rows->focal + r, n, one),
                            vload_part(rows->focal_low + r, n, zero), &low);
        prob_scale = finite_times(sum, sum_low, vload_part(rows->focal_slope + r, n, one),
                            vload_part(rows->focal_slope_low + r, n, zero), &prob_scale_low);
    }
    vec anchor_gradient =
        zero - times(prob_scale, prob_scale_low, vload_part(rows->one_minus_p_anchor + r, n, zero));
    if (gap)
        anchor_gradient =
            times(label_scale, label_scale_low, vload_part(rows->anchor_residual + r, n, zero));
    vstore_part(rows->hessian + r, n, sum + sum_low);
    vstore_part(rows->residual + r, n, label_scale + label_scale_low);
    vstore_part(rows->lse_curvature + r, n, zero);
    if (call->z_loss != 0)
        add_z_loss(call, rows, r, n, a, a_low, &loss, &low, &prob_scale, &prob_scale_low,
                   &anchor_gradient);
    vstore_part(rows->curvature + r, n,
                prob_scale + prob_scale_low); /* no product takes focal factors */
    vstore_part(rows->loss + r, n, loss + low);
    prob_scale_low = prob_scale_low * inverse;
    if (rows->soft) {         /* but of a target with one class, which gives a label's bits */
        mask one_class = vequal(vload_part(rows->t_rest + r, n, zero), zero);
        vec more = vselect(one_class, zero, vload_part(rows->scale_low + r, n, zero));
        prob_scale_low = vfma(prob_scale, more, prob_scale_low);
    }
    vstore_part(rows->scale + r, n, vfma(prob_scale, inverse, prob_scale_low));
    vstore_part(rows->prob_scale + r, n, prob_scale);
    vstore_part(rows->anchor_gradient + r, n, anchor_gradient);
    vstore_part(rows->target_scale + r, n, label_scale + label_scale_low);
    vstore_part(rows->inverse + r, n, inverse);
    vstore_part(rows->probability + r, n, vload_part(rows->anchor_p + r, n, zero));
}

static void coefficients_with_options(const struct crossent_softmax *call, struct rows *rows,
                                      size_t begin, size_t end)
{
    for (size_t r = begin; r < end; r += LANES)
        coefficients_of_lanes(call, rows, r, end - r);
}

/* The same without an option of whole rows but smoothing. */
static void coefficients_plain(double coefficient, double coefficient_low, struct rows *rows)
{
    const vec a = vset(coefficient), a_low = vset(coefficient_low);
    for (size_t r = 0; r < rows->count; r += LANES) {
        const vec inverse = vload(rows->scale + r);
        if (rows->hessian_wanted) {
            vstore(rows->inverse + r, inverse);
            vstore(rows->hessian + r, a);
        }
        vstore(rows->scale + r, times(a, a_low, inverse));
        if (rows->smoothing.on) {
            vstore(rows->loss + r, vload(rows->smoothed + r));
            vstore(rows->anchor_gradient + r, times(a, a_low, vload(rows->anchor_residual + r)));
            vstore(rows->target_scale + r, a);
        } else {
            vstore(rows->anchor_gradient + r,
                   vset(0) - times(a, a_low, vload(rows->one_minus_p_anchor + r)));
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
