/* The options that act on whole rows. With k the anchor, p the softmax, ce = logsumexp - x_k, s the
 * sample weight, w = s * class weight, a = coefficient * upstream, lambda = z_loss:
 *
 * labels         loss       = w f ce + s lambda lse^2            f = alpha (1 - p_k)^gamma
 *                gradient_j = a (w q + 2 s lambda lse) p_j
 *                gradient_k = -a w q (1 - p_k) + 2 a s lambda lse p_k
 *                q          = f + alpha gamma p_k (1 - p_k)^(gamma - 1) ce
 * smoothed       as labels with f = q = 1, but with the loss and with t_k - p_k in the place of
 *                1 - p_k that the epilogue found, and less a w t_j in every other gradient_j
 * soft targets   loss       = s (sum of t_j (x_k - x_j) + T ce) + s lambda lse^2
 *                gradient_j = a s (T + 2 lambda lse) p_j - a s t_j
 *                gradient_k = a s (T p_k - t_k) + 2 a s lambda lse p_k
 *                (class weights are in t; if smoothing weighs whole rows, w stands for s before t)
 *
 * Hessian        H v = c p o (v - <p, v>) + z p <p, v>    without focal factor
 *                c = a w (labels) or a s T, plus 2 a s lambda lse;    z = 2 a s lambda
 *
 * 1 - p_k comes from the epilogue as a sum of positive terms, so the focal factor is exact where
 * p_k rounds to 1; (1 - p_k)^(gamma - 1) ce is formed as (1 - p_k)^gamma (ce / (1 - p_k)), whose
 * quotient tends to 1, and stays finite for any gamma >= 0. (Lin et al., 2017, arXiv:1708.02002.)
 */
#include "kernels/softmax/options.h"

#include <math.h>

#include "base/pairs.h"

/* Contiguous rows of the logits' type, of 32 or 64 bits. */
static int like_logits(const struct crossent_softmax *call, const struct crossent_array *array)
{
    ptrdiff_t size = call->logits.dtype == CROSSENT_F64 ? sizeof(double) : sizeof(float);
    return array->data && array->dtype == call->logits.dtype && array->dtype <= CROSSENT_F64 &&
           array->step == size;
}

struct logit_transform logit_transform_of(const struct crossent_softmax *call)
{
    struct logit_transform change = {call->temperature != 0 || call->class_mask.data, 1,
                            call->class_mask.step};
    if (call->temperature != 0)
        change.factor = 1 / call->temperature;
    return change;
}

/* A diagonal of the Hessian that the rows of labels write beside their gradient. */
static int plain_hessian(const struct crossent_softmax *call)
{
    const int counted = call->hessian_rule == CROSSENT_FRIEDMAN && call->class_mask.data;
    return !counted && like_logits(call, &call->hessian) && call->output == CROSSENT_GRADIENT &&
           call->hessian_rule != CROSSENT_RESIDUAL;
}

int unweighted_soft(const struct crossent_softmax *call)
{
    return call->label_smoothing == 0 && !call->class_weight && !has_focal(call);
}

int plain_soft(const struct crossent_softmax *call)
{
    return like_logits(call, &call->target) && unweighted_soft(call) && !call->probability.data;
}

static int needs_general_rows(const struct crossent_softmax *call, const struct plan *plan)
{
    int soft = call->target.data && !plan->labels;
    int half = call->out.dtype == CROSSENT_F16 || call->out.dtype == CROSSENT_BF16;
    return (soft && !plain_soft(call)) || call->softcap != 0 ||
           (call->accumulate && half) || (call->hessian.data && !plain_hessian(call)) ||
           call->output == CROSSENT_HESSIAN_VECTOR || call->focal_gamma != 0 ||
           call->target_gradient.data || call->entropy.data || call->logsumexp.data ||
           call->argmax.data || call->correct.data || call->nonfinite != CROSSENT_PROPAGATE;
}

int has_focal(const struct crossent_softmax *call)
{
    return call->focal_gamma != 0 || call->focal_alpha;
}

struct pair smoothing_share(const struct crossent_softmax *call, size_t left,
                            struct pair *label_share)
{
    const int off_target = call->smoothing_off_target;
    struct pair smoothing = {off_target && left < 2 ? 0 : call->label_smoothing, 0};
    double classes = (double)(off_target ? left - 1 : left);
    struct pair share = {0, 0}, kept = pair_of(1, -smoothing.hi);
    if (smoothing.hi != 0 && left)
        share = pair_quotient(smoothing, (struct pair){classes, 0});
    *label_share = off_target ? pair_add(kept, (struct pair){-share.hi, -share.lo}) : kept;
    return share;
}

/* The label has less than any other class: the anchor of its row is the largest logit, as of a soft
 * target, since logsumexp(x) - x_label may be nearly all taken back. */
static int shuns_label(const struct crossent_softmax *call, size_t left)
{
    struct pair kept;
    smoothing_share(call, left, &kept);
    return kept.hi < 0;
}

struct pair label_target(const struct crossent_softmax *call, struct pair share, struct pair kept)
{
    return call->smoothing_off_target && share.hi != 0 ? pair_of(1, -call->label_smoothing)
                                                       : pair_add(share, kept);
}

static struct smoothing even_smoothing(const struct crossent_softmax *call)
{
    struct smoothing s = {0};
    if (call->label_smoothing == 0 || call->class_mask.data || has_focal(call) ||
        (call->class_weight && !weighs_by_target(call)) || shuns_label(call, call->classes))
        return s;
    const struct pair count = {(double)call->classes - 1, 0};
    s.on = 1;
    s.share = smoothing_share(call, call->classes, &s.kept);
    s.label = pair_value(label_target(call, s.share, s.kept));
    s.others = pair_value(pair_product(s.share, count));
    return s;
}

/* Smoothing under class weights: t_j = share w_j of every row, and for its label more. Doubles need
 * what rounding cuts off t_j as well (softmax/general.inc.h). */
static int shares_target(const struct crossent_softmax *call)
{
    return call->logits.dtype != CROSSENT_F64 && call->class_weight && !call->class_mask.data &&
           !has_focal(call) && !call->probability.data && !shuns_label(call, call->classes);
}

struct plan plan_of(const struct crossent_softmax *call)
{
    struct plan plan = {.focal = has_focal(call), .change = {0, 1, 0}};
    plan.labels = call->target.data && call->target.dtype > CROSSENT_BF16;
    plan.smoothing = even_smoothing(call);
    plan.general = call->softcap != 0 || (call->target.data && needs_general_rows(call, &plan));
    if (plan.labels && call->label_smoothing != 0 && !plan.smoothing.on) {
        plan.shared_target = !plan.general && shares_target(call);
        plan.general |= !plan.shared_target;
    }
    plan.weighs = call->class_weight || call->sample_weight.data || call->upstream.data ||
                  plan.focal || call->z_loss != 0 || call->probability.data;
    if (plan.general)
        return plan;
    plan.soft = call->target.data && (!plan.labels || plan.shared_target);
    plan.hessian_wanted = call->hessian.data != NULL;
    plan.curved_factor = hessian_factor(call->hessian_rule, call->classes);
    plan.change = logit_transform_of(call);
    return plan;
}

int is_ignored(const struct crossent_softmax *call, int64_t label)
{
    for (size_t i = 0; i < call->ignored; i++)
        if (label == call->ignore[i])
            return 1;
    return 0;
}

/* The focal factors of a row's label, without a power: those with one are the general rows'. */
static void label_focal(const struct crossent_softmax *call, struct rows *rows, size_t r)
{
    rows->focal[r] = rows->focal_slope[r] = call->focal_alpha[rows->label[r]];
    rows->focal_low[r] = rows->focal_slope_low[r] = 0;
}

static struct pair row_weight(const struct rows *rows, size_t r)
{
    return (struct pair){rows->weight[r], rows->weight_low[r]};
}

/* T p_k - t_k = (T - t_k) - T (1 - p_k): the difference of the smaller numbers. */
static double anchor_gap(const struct rows *rows, size_t r, double sum)
{
    double p = sum * rows->anchor_p[r], rest = sum * rows->one_minus_p_anchor[r];
    double t = rows->t_anchor[r], others = rows->t_others[r];
    return p + t < rest + others ? p - t : others - rest;
}

static struct pair number(double x) { return (struct pair){x, 0}; }

/* a x b, rounded once. */
static double scaled(struct pair a, double b) { return pair_value(pair_product(a, number(b))); }

static void soft_row(const struct crossent_softmax *call, struct rows *rows, size_t r)
{
    const double s = rows->sample[r], inverse = rows->scale[r];
    const struct pair w = weighs_by_target(call) ? row_weight(rows, r) : number(s);
    const struct pair slope =
        pair_product((struct pair){call->coefficient, call->coefficient_low},
                     number(rows->upstream[r]));
    const int low = call->logits.dtype == CROSSENT_F64 && isfinite(rows->loss[r]);
    const struct pair total = rows->t_sum[r], ce = {rows->loss[r], low ? rows->loss_low[r] : 0};
    const struct pair a = pair_product(slope, w);
    const double sum = pair_value(total);
    struct pair prob_scale = pair_product(a, total), loss = rows->distance[r];
    if (has_focal(call))
        loss = rows->focal_loss[r];
    else if (sum != 0)
        loss = pair_add(loss, pair_product(total, ce));
    loss = pair_product(w, loss);
    rows->inverse[r] = inverse;
    rows->log_sum[r] = ce.hi;
    rows->target_scale[r] = pair_value(a);
    rows->residual[r] = pair_value(a);
    rows->hessian[r] = pair_value(prob_scale);
    rows->lse_curvature[r] = 0;
    if (rows->label[r] >= 0)
        rows->probability[r] = rows->label[r] == rows->anchor[r] ? rows->anchor_p[r]
                                                                 : rows->label_exp[r] * inverse;
    rows->anchor_gradient[r] = scaled(a, anchor_gap(rows, r, sum));
    if (call->z_loss != 0) {
        const struct pair lse = {rows->logsumexp[r], rows->logsumexp_low[r]};
        const struct pair lambda = pair_product(number(s), number(call->z_loss));
        const struct pair hessian_diag = pair_product(pair_product(slope, number(2)), lambda);
        const struct pair z = pair_product(hessian_diag, lse);
        loss = pair_add(loss, pair_product(pair_product(lambda, lse), lse));
        prob_scale = pair_add(prob_scale, z);
        rows->anchor_gradient[r] += z.hi * rows->anchor_p[r];
        rows->lse_curvature[r] = pair_value(hessian_diag);
    }
    rows->loss[r] = pair_value(loss);
    const int one_class = rows->t_others[r] == 0 || !isfinite(inverse);
    rows->scale[r] = pair_value(
        pair_product(prob_scale, (struct pair){inverse, one_class ? 0 : rows->scale_low[r]}));
    rows->prob_scale[r] = prob_scale.hi;
    rows->curvature[r] = pair_value(prob_scale);
}

/* sum of p_j (-log p_j) = (logsumexp - x_top) + sum of p_j (x_top - x_j): terms of one sign. */
static void finish_statistics(const struct kernels *kernels, struct rows *rows, size_t r)
{
    struct pair others = {rows->top_others[r], 0};
    double log_sum = others.hi < 0 ? rows->log_sum[r] : pair_log1p(kernels->log, others);
    rows->entropy[r] = log_sum + rows->entropy[r] * rows->inverse[r];
    if (others.hi >= 0)       /* an ulp of the anchor's lag is more than one of logsumexp */
        rows->logsumexp[r] = rows->shift[r] + (rows->at_top[r] + log_sum);
}

static void divide(double *x, size_t n, double by)
{
    for (size_t i = 0; i < n; i++)
        x[i] /= by;
}

/* Derivatives by the logits as they were given. */
static void divide_by_temperature(const struct crossent_softmax *call, const struct plan *plan,
                      struct rows *rows)
{
    const double warm = call->temperature;
    const size_t n = rows->count;
    if (warm == 0)
        return;
    divide(rows->scale, n, warm);
    divide(rows->anchor_gradient, n, warm);
    if (call->focal_gamma != 0)
        divide(rows->prob_scale, n, warm);
    if (rows->smoothing.on || rows->soft || plan->general)
        divide(rows->target_scale, n, warm);
    if (call->hessian.data)
        divide(rows->hessian, n, warm * warm);
    if (call->hessian.data)
        divide(rows->residual, n, warm * warm);
    if (call->output == CROSSENT_HESSIAN_VECTOR) {
        divide(rows->curvature, n, warm * warm);
        divide(rows->lse_curvature, n, warm * warm);
    }
}

void apply_options(const struct crossent_softmax *call, const struct plan *plan,
                   const struct kernels *kernels, struct rows *rows)
{
    if (!call->target.data)
        return;
    for (size_t r = 0; plan->focal && call->focal_gamma == 0 && r < rows->count; r++)
        if (!rows->t[r])
            label_focal(call, rows, r);
    if (plan->general)
        for (size_t r = 0; r < rows->count; r++)
            if (rows->t[r])
                soft_row(call, rows, r);
            else
                kernels->weigh(call, rows, r, r + 1);
    else if (rows->soft || plan->weighs)
        kernels->weigh(call, rows, 0, rows->count);
    else
        kernels->plain(call->coefficient, call->coefficient_low, rows);
    for (size_t r = 0; wants_top(call) && r < rows->count; r++)
        finish_statistics(kernels, rows, r);
    divide_by_temperature(call, plan, rows);
}
