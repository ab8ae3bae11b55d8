/* Rows with options that act on single elements: soft targets of another type than the logits or
 * with weights or smoothing, smoothing under a mask, softcap, accumulation, Hessians, statistics.
 *
 * a) Such a row is staged: its logits x, as the loss sees them, and its target t, with weights and
 *    smoothing worked in, become contiguous arrays of T (or are used where they lie if they are so
 *    already). Everything after that is one path for any number of classes.
 * b) With k the anchor, a maximum of x (or, if only one t_j is not 0, that class),
 *        loss       = sum of t_j (x_k - x_j) + T (logsumexp - x_k)       T = sum of t_j
 *        gradient_j = T p_j - t_j,    gradient_k = (T - t_k) - T (1 - p_k) as well
 *    Every term of the loss is positive, and where p_k and t_k are close to T the second form of
 *    gradient_k is a difference of two small numbers, each exact, instead of two large ones.
 */
#if IS_DOUBLE
#include "kernels/softmax/softcap.inc.h"
#endif

/* Whether rows have digits to lose to the rounding of capped logits. */
static inline int keeps_cap_lows(const struct crossent_softmax *call)
{
    return IS_DOUBLE && call->softcap != 0 && call->logits.dtype == CROSSENT_F64;
}

/* The logits of a row as the loss sees them; `buffer` where they cannot be used as they lie. */
static const T *stage_logits(const struct crossent_softmax *call, const char *x,
                             const char *class_mask, T *buffer, T *low, T *slope)
{
    const size_t n = call->classes;
    const T *staged = load_any(x, call->logits.step, call->logits.dtype, n, buffer);
    if (!class_mask && call->temperature == 0 && call->softcap == 0)
        return staged;
    const struct logit_transform change = logit_transform_of(call);
    transform_elements(&change, staged, call->softcap == 0 ? class_mask : NULL, buffer, n);
#if IS_DOUBLE
    if (call->softcap != 0)
        cap_elements(buffer, low, slope, n, call->softcap, keeps_cap_lows(call));
#endif
    for (size_t i = 0; call->softcap != 0 && class_mask && i < n; i++)
        if (!class_mask[(ptrdiff_t)i * call->class_mask.step]) {
            buffer[i] = -(T)INFINITY;
            low[i] = 0;
            slope[i] = 1;
        }
    return buffer;
}

/* The target of a row: `keep` of t (NULL: none but the label's), `spread` for each class that takes
 * part, class weights; what rounding cuts off it in `low`. Without anything to do, t where it
 * lies. */
static const T *stage_target(const struct crossent_softmax *call, const char *t,
                             const char *class_mask, struct pair spread, struct pair keep,
                             T *buffer, T *low)
{
    const size_t n = call->classes;
    const double *weight = weighs_by_target(call) ? NULL : call->class_weight;
    if (t && !weight && spread.hi == 0) {
        for (size_t i = 0; IS_DOUBLE && i < n; i++)
            low[i] = 0;
        return load_any(t, call->target.step, call->target.dtype, n, buffer);
    }
    for (size_t i = 0; i < n; i++) {
        int out = class_mask && !class_mask[(ptrdiff_t)i * call->class_mask.step];
        struct pair share = out ? (struct pair){0, 0} : spread;
        if (t)
            share = pair_add(share, pair_product(keep, (struct pair){target_at(call, t, i), 0}));
        if (weight)
            share = pair_product(share, (struct pair){weight[i], 0});
        buffer[i] = (T)pair_value(share);
        if (IS_DOUBLE)
            low[i] = (T)((share.hi - (double)buffer[i]) + share.lo);
    }
    return buffer;
}

static size_t count_left(const struct crossent_softmax *call, const char *class_mask)
{
    size_t left = call->classes;
    for (size_t i = 0; class_mask && i < call->classes; i++)
        left -= !class_mask[(ptrdiff_t)i * call->class_mask.step];
    return left;
}

/* The class of a one-hot target, which then is that label and nothing else; or -1. */
static int64_t one_hot_class(const struct crossent_softmax *call, const char *t)
{
    int64_t only = -1;
    for (size_t i = 0; i < call->classes; i++) {
        double share = target_at(call, t, i);
        if (share == 0)
            continue;
        if (only >= 0 || share != 1)
            return -1;
        only = (int64_t)i;
    }
    return only;
}

/* The label's share in its place: what smoothing keeps for it is negative, and would be taken back
 * from sums. */
static void whole_label(const struct crossent_softmax *call, struct rows *rows, size_t r,
                        struct pair share, int weighed, struct scratch *scratch)
{
    const size_t label = (size_t)rows->label[r];
    struct pair whole = label_target(call, share, rows->kept_share[r]);
    if (weighed)
        whole = pair_product(whole, (struct pair){call->class_weight[label], 0});
    const T hi = (T)pair_value(whole);
    ((T *)scratch->staged_target[r])[label] = hi;
    if (IS_DOUBLE)
        ((T *)scratch->target_low[r])[label] = (T)((whole.hi - (double)hi) + whole.lo);
    rows->label_share[r] = (struct pair){0, 0};
}

static void stage_row(const struct crossent_softmax *call, struct rows *rows, size_t r,
                      const char *class_mask, const char *target, struct scratch *scratch)
{
    const int smooth = call->label_smoothing != 0, labels = !target;
    if (target)
        rows->label[r] = one_hot_class(call, target);
    if (rows->label[r] >= 0)
        target = NULL;
    rows->x[r] = (const char *)stage_logits(call, rows->x[r], class_mask, scratch->staged[r],
                                            scratch->cap_low[r], scratch->slope[r]);
    rows->t[r] = NULL;
    rows->label_share[r] = (struct pair){1, 0};
    rows->classes_left[r] = count_left(call, class_mask);
    struct pair share = smoothing_share(call, rows->classes_left[r], &rows->kept_share[r]);
    if (!target && (!smooth || rows->smoothing.on))
        return;
    const int shuns = !target && rows->kept_share[r].hi < 0;
    const int weighed = call->class_weight && !weighs_by_target(call);
    if (!target)
        rows->label_share[r] = rows->kept_share[r];
    if (!target && weighed)
        rows->label_share[r] = pair_product(
            rows->kept_share[r], (struct pair){call->class_weight[rows->label[r]], 0});
    const int shares = labels && !class_mask && !has_focal(call) && !shuns;   /* focal: replace t */
    if (shares && scratch->shared_target) {
        rows->t[r] = scratch->shared_target;
        rows->t_low[r] = scratch->shared_low;
        return;
    }
    rows->t_low[r] = scratch->target_low[r];
    rows->t[r] = stage_target(call, target, class_mask, share, rows->kept_share[r],
                              scratch->staged_target[r], scratch->target_low[r]);
    if (shares) {
        scratch->shared_target = rows->t[r];
        scratch->shared_low = rows->t_low[r];
    }
    if (shuns)
        whole_label(call, rows, r, share, weighed, scratch);
}

/* e_j on the row's scale */
static inline double class_exp(const struct rows *rows, const struct scratch *scratch, size_t r,
                               size_t class)
{
    return (double)((const T *)rows->exps[r])[class] * block_factor(rows, scratch, r, class);
}

/* The first class whose logit leaves a row without a loss, or SIZE_MAX. */
static size_t fault_column_of(const struct rows *rows, size_t r)
{
    const T *x = (const T *)rows->x[r];
    if (rows->shift[r] != INFINITY && !isnan(rows->sum_without_anchor[r]) &&
        !isnan(rows->at_anchor[r]) &&
        !(rows->max[r] == -INFINITY && rows->at_anchor[r] == -INFINITY))
        return SIZE_MAX;
    for (size_t i = 0; i < rows->classes; i++)
        if (isnan(x[i]) || x[i] == (T)INFINITY)
            return i;
    return 0;
}

/* sum of t_j (x_k - x_j) and *others of t_j, j != k; terms as soft_sums has them unless `exact`. */
static struct pair staged_distance(const struct rows *rows, size_t r, size_t k, T x_k,
                                   struct pair *others, int exact)
{
    const T *x = (const T *)rows->x[r], *t = rows->t[r], *low = rows->t_low[r];
    struct pair distance = {0, 0}, part;
    if (!exact && rows->classes <= TILE_CLASSES)
        return short_distance(x, t, rows->classes, k, x_k, others);
    *others = distance;
    for (size_t base = 0, n; base < rows->classes; base += n) {
        n = rows->classes - base < BLOCK ? rows->classes - base : BLOCK;
        struct pair d;
        if (exact)
            d = distance_sum(x + base, t + base, low + base, n, k - base, x_k, &part, 1);
        else
            d = distance_sum(x + base, t + base, NULL, n, k - base, x_k, &part, 0);
        distance = pair_add(distance, d);
        *others = pair_add(*others, part);
    }
    return distance;
}

/* The sum of f_j (top - x_j) and *others of f_j, j != at, f_j the exponentials of the row. */
static double weighed_distances(const struct rows *rows, size_t r, const struct scratch *scratch,
                                const T *x, size_t at, double *others)
{
    const size_t n = rows->classes;
    struct pair distance = {0, 0}, total = {0, 0}, part;
    for (size_t base = 0; base < n; base += BLOCK) {
        double f = block_factor(rows, scratch, r, base);
        struct pair d = distance_sum(x + base, (const T *)rows->exps[r] + base, NULL,
                                     n - base < BLOCK ? n - base : BLOCK, at - base, x[at],
                                     &part, 1);
        two_sum_into(&distance.hi, &distance.lo, f * pair_value(d));
        two_sum_into(&total.hi, &total.lo, f * pair_value(part));
    }
    *others = pair_value(total);
    return pair_value(distance);
}

/* What entropy and logsumexp need: sums that count from the largest logit. */
static void top_sums(struct rows *rows, size_t r, const struct scratch *scratch)
{
    const T *x = (const T *)rows->x[r];
    size_t k = (size_t)rows->anchor[r], top = k;
    if (rows->max[r] > rows->at_anchor[r])
        top = block_find(x, rows->classes, (T)rows->max[r]);
    top = top < rows->classes ? top : k;
    double others;
    rows->entropy[r] = weighed_distances(rows, r, scratch, x, top, &others);
    rows->top_others[r] = top == k ? -1 : others / class_exp(rows, scratch, r, top);
    rows->at_top[r] = (double)x[top];
}

static void set_target_sums(struct rows *rows, size_t r, struct pair t_anchor, struct pair others)
{
    rows->t_anchor[r] = pair_value(t_anchor);
    rows->t_others[r] = pair_value(others);
    rows->t_sum[r] = pair_add(t_anchor, others);
}

/* The anchor, or -1, and the largest logit's class where that is asked for. */
static void general_anchor(const struct crossent_softmax *call, struct rows *rows, size_t r)
{
    const size_t n = rows->classes;
    const T *t = rows->t[r], *x = (const T *)rows->x[r];
    const int64_t label = rows->label[r];
    if (t)
        rows->anchor[r] = label < 0 ? only_class(t, n) : -1;
    else
        rows->anchor[r] = label;
    if (call->output == CROSSENT_HESSIAN_VECTOR)      /* whose centre must be a class that counts */
        rows->anchor[r] = -1;
    if (call->argmax.data || call->correct.data) {
        size_t at = block_find(x, n, block_max(x, n, n));
        rows->argmax[r] = at < n ? (int64_t)at : -1;
    }
}

/* Short rows in the lanes, as they are without the options; their exponentials as rows. */
static void general_tiles(struct rows *rows, struct scratch *scratch)
{
    const size_t n = rows->classes;
    for (size_t r = 0; r < rows->count; r++) {
        const T *x = (const T *)rows->x[r];
        size_t at = rows->anchor[r] < 0 ? block_find(x, n, block_max(x, n, n)) : 0;
        if (rows->anchor[r] < 0)
            rows->anchor[r] = at < n ? (int64_t)at : 0;      /* nothing but NaN */
    }
    pad_rows(rows);
    short_rows(rows, scratch, CROSSENT_GRADIENT);
    for (size_t r0 = 0; r0 < rows->count; r0 += LANES) {
        const T *tile = (const T *)scratch->tile + r0 * n;
        for (size_t c = 0; c < n; c += LANES) {
            vec v[LANES];
            for (size_t k = 0; k < LANES; k++)
                v[k] = vload(tile + (c + k < n ? c + k : c) * LANES);
            vtranspose(v);
            for (size_t l = 0; l < lane_count(rows, r0); l++)
                vstore_part((T *)rows->exps[r0 + l] + c, n - c, v[l]);
        }
    }
}

/* What is left to find of a row: faults, and the sums that soft targets and entropy add. */
static void general_sums(const struct crossent_softmax *call, struct rows *rows, size_t r,
                         struct scratch *scratch)
{
    const size_t n = rows->classes;
    const T *t = rows->t[r], *x = (const T *)rows->x[r];
    const int64_t label = rows->label[r];
    rows->fault_column[r] =
        call->nonfinite == CROSSENT_PROPAGATE ? SIZE_MAX : fault_column_of(rows, r);
    const size_t k = (size_t)rows->anchor[r];
    if (t && k < n) {
        const T x_k = x[k];
        struct pair share = label < 0 ? (struct pair){0, 0} : rows->label_share[r], others;
        struct pair t_anchor = {(double)t[k],
                                IS_DOUBLE ? (double)((const T *)rows->t_low[r])[k] : 0};
        rows->distance[r] = staged_distance(rows, r, k, x_k, &others, !unweighted_soft(call));
        if (x_k == (T)INFINITY)
            rows->distance[r] = distance_to_infinity(others);
#if IS_DOUBLE
        if (keeps_cap_lows(call))
            rows->distance[r] = pair_add(rows->distance[r],
                                         (struct pair){cap_distance(rows, r, scratch), 0});
#endif
        if (label == (int64_t)k) {
            t_anchor = pair_add(t_anchor, share);
        } else if (share.hi != 0) {
            struct pair d = pair_of((double)x_k, -(double)x[label]);
            if (keeps_cap_lows(call))
                d.lo += (double)((const T *)scratch->cap_low[r])[k] -
                        (double)((const T *)scratch->cap_low[r])[label];
            rows->distance[r] = pair_add(rows->distance[r], pair_product(share, d));
            others = pair_add(others, share);
        }
        set_target_sums(rows, r, t_anchor, others);
    }
    if (rows->shift[r] != 0) {
        shift_elements(scratch->staged[r], x, n, (T)rows->shift[r]);
        rows->x[r] = scratch->staged[r];
    }
    if (label >= 0)
        rows->label_exp[r] = class_exp(rows, scratch, r, (size_t)label);
    if (wants_top(call))
        top_sums(rows, r, scratch);
}

/* block_rows leaves 0 where the anchor's exponential was, which top_sums needs. */
static void restore_anchors(struct rows *rows)
{
    for (size_t r = 0; r < rows->count; r++) {
        const struct exp_scale scale = exp_range(vset((T)rows->exponent[r]));
        vec e = exp_scaled(vset((T)rows->at_anchor[r]), scale);
        ((T *)rows->exps[r])[rows->anchor[r]] = vtop(e);
    }
}

static void general_rows_statistics(const struct crossent_softmax *call, struct rows *rows,
                                    struct scratch *scratch)
{
    for (size_t r = 0; r < rows->count; r++)
        general_anchor(call, rows, r);
    if (rows->classes <= TILE_CLASSES)
        general_tiles(rows, scratch);
    else if (rows->classes <= BLOCK)
        block_rows(rows, scratch, CROSSENT_GRADIENT);
    else
        long_rows(rows, scratch, CROSSENT_GRADIENT);
    if (rows->classes > TILE_CLASSES && rows->classes <= BLOCK && wants_top(call))
        restore_anchors(rows);
#if IS_DOUBLE
    for (size_t r = 0; keeps_cap_lows(call) && r < rows->count; r++)
        cap_exponentials(rows, r, scratch);
#endif
    for (size_t r = 0; r < rows->count; r++)
        general_sums(call, rows, r, scratch);
}

/* Cross-entropy ce of class i and its factors f, q (focal_factors); p_j = inverse * e_j. */
static double class_factors(const struct crossent_softmax *call, const struct rows *rows,
                            const struct scratch *scratch, size_t r, size_t i, double inverse,
                            double log_sum, double *ce, double *q)
{
    const int anchor = i == (size_t)rows->anchor[r];
    const double x = (double)((const T *)rows->x[r])[i];
    double f, p = anchor ? rows->anchor_p[r] : class_exp(rows, scratch, r, i) * inverse;
    *ce = anchor ? log_sum : (rows->at_anchor[r] - x) + log_sum;
    focal_factors(OF_ISA(kernels_).exp, OF_ISA(kernels_).log,
                  call->focal_alpha ? call->focal_alpha[i] : 1, call->focal_gamma, p,
                  anchor ? rows->one_minus_p_anchor[r] : 1 - p, *ce, &f, q);
    return f;
}

/* n logits from class `base` on, in double. */
static const double *double_logits(const struct rows *rows, size_t r, size_t base, size_t n,
                                   struct scratch *scratch)
{
    const T *x = (const T *)rows->x[r] + base;
    for (size_t i = 0; i < n; i++)
        scratch->load[i] = (double)x[i];
    return scratch->load;
}

static struct focal_row focal_of_row(const struct crossent_softmax *call, const struct rows *rows,
                                     size_t r, struct scratch *scratch)
{
    const struct kernels *kernels = &OF_ISA(kernels_);
    const double own = rows->at_anchor[r], max = rows->max[r];
    struct focal_row row = {.at_anchor = own, .top = max > own ? max : own,
                            .exponent = rows->exponent[r], .gamma = call->focal_gamma};
    for (size_t base = 0, n; base < rows->classes; base += n) {
        n = rows->classes - base < BLOCK ? rows->classes - base : BLOCK;
        kernels->focal_sum(&row, double_logits(rows, r, base, n, scratch), n,
                           (size_t)rows->anchor[r] - base);
    }
    kernels->focal_anchor(&row);
    if (isnan(rows->loss[r]))
        row.p = row.rest = row.ce = row.inverse = (struct pair){NAN, 0};
    return row;
}

/* The factors of a label, and what they are made of in the place of what the epilogue found. */
static void focal_label(const struct crossent_softmax *call, struct rows *rows, size_t r,
                        const struct focal_row *row)
{
    const double *alpha = call->focal_alpha ? call->focal_alpha + rows->label[r] : NULL;
    struct focal_class of;
    OF_ISA(kernels_).focal_classes(row, &row->at_anchor, alpha, 1, 0, &of);
    rows->focal[r] = of.f.hi;
    rows->focal_low[r] = of.f.lo;
    rows->focal_slope[r] = of.q.hi;
    rows->focal_slope_low[r] = of.q.lo;
    rows->loss[r] = row->ce.hi;
    rows->loss_low[r] = row->ce.lo;
    rows->one_minus_p_anchor[r] = pair_value(row->rest);
}

enum { FOCAL_PART = 64 };

/* Each class's share t_j of the loss, weighted by its focal factor: the loss is sum of t_j f_j
 * ce_j, and its gradient that of a soft target t_j q_j. Of a label without any other share, its
 * factors alone. */
static void focal_targets(const struct crossent_softmax *call, struct rows *rows, size_t r,
                          struct scratch *scratch)
{
    const T *t = rows->t[r], *t_low = rows->t_low[r];
    const struct focal_row row = focal_of_row(call, rows, r, scratch);
    const size_t k = (size_t)rows->anchor[r];
    T *to = scratch->staged_target[r];
    struct pair loss = {0, 0}, anchor = loss, others = loss;
    struct focal_class of[FOCAL_PART];
    if (!t) {
        focal_label(call, rows, r, &row);
        return;
    }
    for (size_t i = 0; i < rows->classes; i++) {
        const size_t at = i % FOCAL_PART, left = rows->classes - i;
        const size_t n = left < FOCAL_PART ? left : FOCAL_PART;
        if (at == 0)
            OF_ISA(kernels_).focal_classes(&row, double_logits(rows, r, i, n, scratch),
                                           call->focal_alpha ? call->focal_alpha + i : NULL, n,
                                           k - i, of);
        struct pair share = {(double)t[i], IS_DOUBLE ? (double)t_low[i] : 0};
        if ((int64_t)i == rows->label[r])
            share = pair_add(share, rows->label_share[r]);
        const struct pair label_scale = pair_product(share, of[at].q);
        if (share.hi != 0)
            loss = pair_add(loss, pair_product(pair_product(share, of[at].f), of[at].ce));
        to[i] = (T)pair_value(label_scale);
        if (i == k)
            anchor = label_scale;
        else
            others = pair_add(others, label_scale);
    }
    rows->t[r] = to;
    rows->focal_loss[r] = loss;
    rows->label_share[r] = (struct pair){0, 0};
    set_target_sums(rows, r, anchor, others);
}

/* to_j = a p_j - b t_j - share for a block; e_j * scale = p_j */
static inline void gradient_elements(T *to, const T *e, const T *t, size_t n, double scale,
                                     double f, double b, double share)
{
    scale_elements(to, e, n, scale, f, share);
    if (!t)
        return;
    const vec factor = vset((T)-b);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vstore(to + i, vfma(factor, vload(t + i), vload(to + i)));
    if (i < n)
        vstore_part(to + i, n - i, vfma(factor, vload_part(t + i, n - i, vset(0)),
                                        vload_part(to + i, n - i, vset(0))));
}

/* The gradient of row r into `to`, contiguous. */
static void general_gradient(const struct crossent_softmax *call, const struct rows *rows, size_t r,
                             const struct scratch *scratch, T *to)
{
    const size_t n = rows->classes, k = (size_t)rows->anchor[r];
    const T *e = (const T *)rows->exps[r], *t = rows->t[r];
    const double share = t ? 0 : rows->target_scale[r] * rows->smoothing.share.hi;
    const double b =
        t ? target_factor(rows->target_scale[r], rows->t_others[r]) : rows->target_scale[r];
    const int tiny = fabs(rows->scale[r]) < 0x1p-900;    /* of a focal factor: both by themselves */
    const double scale = tiny ? rows->inverse[r] : rows->scale[r],
                 prob_scale = tiny ? rows->prob_scale[r] : 1;
    for (size_t base = 0; base < n; base += BLOCK)
        gradient_elements(to + base, e + base, t ? t + base : NULL,
                          n - base < BLOCK ? n - base : BLOCK, scale,
                          prob_scale * block_factor(rows, scratch, r, base), b, share);
    int64_t label = rows->label[r];
    if (t && label >= 0)      /* the label's own share is not in t */
        to[label] -= (T)(rows->target_scale[r] * pair_value(rows->label_share[r]));
    to[k] = (T)rows->anchor_gradient[r];
    if (call->softcap != 0)
        for (size_t i = 0; i < n; i++)
            to[i] *= ((const T *)scratch->slope[r])[i];
}

/* softmax or log_softmax of row r into `to`, contiguous. */
static void general_function(const struct crossent_softmax *call, const struct rows *rows,
                             size_t r, const struct scratch *scratch, T *to)
{
    const size_t n = rows->classes, k = (size_t)rows->anchor[r];
    const T *x = (const T *)rows->x[r], *low = scratch->cap_low[r];
    if (call->output == CROSSENT_LOG_SOFTMAX) {
        for (size_t i = 0; i < n; i++) {
            const T lost = keeps_cap_lows(call) ? low[k] - low[i] : 0;
            to[i] = (x[i] - (T)rows->at_anchor[r]) - ((T)rows->loss[r] + lost);
        }
        return;
    }
    for (size_t base = 0; base < n; base += BLOCK)
        scale_elements(to + base, (const T *)rows->exps[r] + base,
                       n - base < BLOCK ? n - base : BLOCK, rows->scale[r],
                       block_factor(rows, scratch, r, base), 0);
    to[k] = (T)rows->anchor_p[r];
}

static void hessian_elements(const struct crossent_softmax *call, const struct rows *rows, size_t r,
                            const struct scratch *scratch, T *to)
{
    const size_t n = rows->classes, k = (size_t)rows->anchor[r];
    const T *t = rows->t[r];
    const double a = rows->hessian[r] * hessian_factor(call->hessian_rule, rows->classes_left[r]);
    if (call->hessian_rule != CROSSENT_RESIDUAL) {
        hessian_row(rows, r, scratch, a, to);
        return;
    }
    const double sum = t ? rows->t_others[r] + rows->t_anchor[r] : 1,
                 scale = sum * rows->inverse[r];
    const int64_t label = rows->label[r];
    const double kept = rows->smoothing.on ? rows->smoothing.kept.hi : 1;
    const double own = t ? rows->label_share[r].hi : kept;
    for (size_t i = 0; i < n; i++) {
        double target = (t ? (double)t[i] : rows->smoothing.share.hi) +
                        ((int64_t)i == label ? own : 0);
        double gap = i == k ? fma(sum, rows->anchor_p[r], -target)
                            : fma(class_exp(rows, scratch, r, i), scale, -target);
        if (i == k && target == sum)
            gap = sum * rows->one_minus_p_anchor[r];
        to[i] = (T)(rows->residual[r] * fabs(gap));
    }
}

/* H v = c p o (v - <p, v>) + z p <p, v> (options.c). With k the anchor, of largest p, d = v - v_k:
 *     v_j - <p, v> = d_j - sum of p_i d_i,    v_k - <p, v> = -sum of p_i d_i
 * so that what all of v has in common, and p_k close to 1, cancel nothing. */
static void write_hessian_vector(const struct crossent_softmax *call, const struct rows *rows,
                                 size_t r, const struct scratch *scratch)
{
    const size_t n = rows->classes, k = (size_t)rows->anchor[r];
    const T *v = load_any(rows->vector_at[r], call->vector.step, call->vector.dtype, n,
                          scratch->slope[r]);
    double others, c = rows->curvature[r], z = rows->lse_curvature[r], v_k = (double)v[k];
    double mean = 0 - rows->inverse[r] * weighed_distances(rows, r, scratch, v, k, &others);
    for (size_t i = 0; i < n; i++) {
        double p = i == k ? rows->anchor_p[r] : class_exp(rows, scratch, r, i) * rows->inverse[r];
        double centred = i == k ? 0 - mean : ((double)v[i] - v_k) - mean;
        double value = p == 0 ? 0 : p * (c * centred + (z == 0 ? 0 : z * (v_k + mean)));
        store_any(rows->out[r] + (ptrdiff_t)i * call->out.step, call->out.dtype, value);
    }
}

/* d loss / d t_j = w_j f_j (-log p_j), t before smoothing, which leaves the kept share of it. */
static void write_target_gradient(const struct crossent_softmax *call, const struct rows *rows,
                                  size_t r, const struct scratch *scratch)
{
    const double kept = pair_value(rows->kept_share[r]);
    const double a = call->coefficient * rows->upstream[r] * rows->sample[r] * kept;
    for (size_t i = 0; i < rows->classes; i++) {
        double ce, q, w = call->class_weight ? call->class_weight[i] : 1;
        double f = class_factors(call, rows, scratch, r, i, rows->inverse[r], rows->log_sum[r],
                                 &ce, &q);
        store_any(rows->target_gradient_at[r] + (ptrdiff_t)i * call->target_gradient.step,
                  call->target_gradient.dtype, a * w * f == 0 ? 0 : a * w * f * ce);
    }
}

/* Writes the outputs of row r that have one number for each class. */
static void write_general_row(const struct crossent_softmax *call, const struct rows *rows,
                          size_t r, struct scratch *scratch)
{
    const size_t n = rows->classes;
    const enum crossent_dtype native = IS_DOUBLE ? CROSSENT_F64 : CROSSENT_F32;
    const int wide = call->out.dtype == native;
    const int plain = wide && call->out.step == (ptrdiff_t)sizeof(T);
    T *to = scratch->staged[r];
    if (call->target_gradient.data)
        write_target_gradient(call, rows, r, scratch);
    if (call->hessian.data) {
        const int direct =
            call->hessian.dtype == native && call->hessian.step == (ptrdiff_t)sizeof(T);
        hessian_elements(call, rows, r, scratch, direct ? (T *)rows->hessian_at[r] : to);
        for (size_t i = 0; !direct && i < n; i++)
            store_any(rows->hessian_at[r] + (ptrdiff_t)i * call->hessian.step, call->hessian.dtype,
                      (double)to[i]);
    }
    if (call->output == CROSSENT_HESSIAN_VECTOR)
        write_hessian_vector(call, rows, r, scratch);
    if (call->output == CROSSENT_NOTHING || call->output == CROSSENT_HESSIAN_VECTOR)
        return;
    T *first = plain && !call->accumulate ? (T *)rows->out[r] : to;
    if (call->output == CROSSENT_GRADIENT)
        general_gradient(call, rows, r, scratch, first);
    else
        general_function(call, rows, r, scratch, first);
    if (wide && call->accumulate)
        add_elements(rows->out[r], call->out.step, to, n);
    if (plain || (wide && call->accumulate))
        return;
    char *out = rows->out[r];
    if (IS_DOUBLE && call->out.dtype == CROSSENT_F32 && call->out.step == sizeof(float) &&
        !call->accumulate) {
        for (size_t i = 0; i < n; i++)
            ((float *)out)[i] = (float)to[i];
        return;
    }
    for (size_t i = 0; i < n; i++) {
        char *p = out + (ptrdiff_t)i * call->out.step;
        double value = i == (size_t)rows->anchor[r] && !wide && call->softcap == 0
                           ? rows->anchor_gradient[r] : (double)to[i];
        if (call->accumulate) {
            T old = 0;
            from_numbers(p, 0, call->out.dtype, 1, &old);
            if (call->out.dtype == CROSSENT_F32)     /* as if the gradient had been stored first */
                value = (double)(float)value;
            value = (double)old + value;
        }
        store_any(p, call->out.dtype, value);
    }
}
