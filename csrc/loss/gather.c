/* Which rows of a group take part, their labels and weights, and pointers to where they lie; and
 * what each row gives, to where the caller wants it. */
#include "loss/run.h"

#include <math.h>
#include <string.h>

#include "base/dtype.h"
#include "base/memory.h"

/* ---- labels -------------------------------------------------------------------------------- */

/* Of the n rows from `cursor` on. */
static void read_labels(const struct crossent_softmax *call, const struct cursor *cursor, size_t n,
                        int64_t *to)
{
    const enum crossent_dtype dtype = call->target.dtype;
    char *p[GROUP];
    if (dtype == CROSSENT_I64 && call->ndim == 1 && call->target.stride[0] == sizeof *to) {
        memcpy(to, row_of(&call->target, cursor, 1), n * sizeof *to);
        return;
    }
    row_pointers(&call->target, *cursor, call->shape, call->ndim, n, p);
    for (size_t i = 0; i < n; i++)
        to[i] = read_label(p[i], dtype);
}

/* ---- which rows take part, and with which weight ------------------------------------------ */

/* A double of each of n rows, or `none` where the array is absent. */
static void read_doubles(const struct crossent_softmax *call, const struct crossent_array *array,
                         const struct cursor *cursor, size_t n, double none, double *to)
{
    char *p[GROUP];
    if (array->data)
        row_pointers(array, *cursor, call->shape, call->ndim, n, p);
    for (size_t i = 0; i < n; i++)
        to[i] = array->data ? *(const double *)p[i] : none;
}

/* The weight of a row of soft targets: the mean of the class weights under its target. */
static struct pair soft_weight(const struct crossent_softmax *call, const char *t)
{
    struct pair sum = {0, 0}, weighted = {0, 0};
    for (size_t j = 0; j < call->classes; j++) {
        struct pair one = {target_at(call, t, j), 0}, weight = {call->class_weight[j], 0};
        sum = pair_add(sum, one);
        weighted = pair_add(weighted, pair_product(one, weight));
    }
    return sum.hi == 0 ? (struct pair){1, 0} : pair_quotient(weighted, sum);
}

static void weigh_row(struct rows *rows, size_t i, struct pair class_weight)
{
    struct pair weight = pair_product((struct pair){rows->weight[i], 0}, class_weight);
    rows->weight[i] = pair_value(weight);
    rows->weight_low[i] = (weight.hi - rows->weight[i]) + weight.lo;
}

/* Labels and weights of the n rows from `row` on. A row that takes no part has sample weight 0. */
void row_weights(const struct softmax_run *run, size_t row, size_t n,
                 const struct cursor *cursor, struct rows *rows, struct partial *partial)
{
    const struct crossent_softmax *call = run->call;
    char *p[GROUP];
    for (size_t i = 0; i < n; i++)
        rows->label[i] = -1;
    if (run->plan.labels)
        read_labels(call, cursor, n, rows->label);
    read_doubles(call, &call->sample_weight, cursor, n, 1, rows->sample);
    int soft = !run->plan.labels && call->target.data && call->class_weight;
    if (soft)
        row_pointers(&call->target, *cursor, call->shape, call->ndim, n, p);
    for (size_t i = 0; i < n; i++) {
        int64_t label = rows->label[i];
        rows->weight[i] = rows->sample[i];
        rows->weight_low[i] = 0;
        if (!(rows->sample[i] >= 0 && rows->sample[i] < INFINITY)) {
            partial_fault(partial, CROSSENT_BAD_WEIGHT, row + i, 0);
            rows->sample[i] = 0;
        }
        if (soft && rows->sample[i] != 0) {
            weigh_row(rows, i, soft_weight(call, p[i]));
            rows->sample[i] *= rows->weight[i] != 0;
        }
        if (!run->plan.labels || rows->sample[i] == 0)
            continue;
        if (is_ignored(call, label)) {
            rows->sample[i] = 0;
        } else if (label < 0 || (uint64_t)label >= call->classes) {
            partial_fault(partial, CROSSENT_BAD_LABEL, row + i, 0);
            rows->sample[i] = 0;
        } else if (call->class_weight) {
            weigh_row(rows, i, (struct pair){call->class_weight[label], 0});
            if (rows->weight[i] == 0)
                rows->sample[i] = 0;
        }
    }
}

/* ---- rows that take no part ---------------------------------------------------------------- */

void fill_row(const struct softmax_run *run, const struct crossent_array *array, char *p,
              double value)
{
    for (size_t j = 0; j < run->call->classes; j++)
        run->typed->store(p + (ptrdiff_t)j * array->step, array->dtype, value);
}

/* Outputs of a row that is not read: gradient 0, loss 0, and no statistics. */
void skip_row(const struct softmax_run *run, const struct cursor *cursor)
{
    const struct crossent_softmax *call = run->call;
    const struct crossent_array *wide[] = {&call->out, &call->hessian, &call->target_gradient};
    const struct crossent_array *narrow[] = {&call->logsumexp, &call->probability, &call->entropy};
    for (int i = call->accumulate ? 1 : 0; i < 3; i++)
        if (wide[i]->data)
            fill_row(run, wide[i], row_of(wide[i], cursor, call->ndim), 0);
    for (int i = 0; i < 3; i++)
        if (narrow[i]->data)
            run->typed->store(row_of(narrow[i], cursor, call->ndim), narrow[i]->dtype, NAN);
    if (call->loss.data)
        run->typed->store(row_of(&call->loss, cursor, call->ndim), call->loss.dtype, 0);
    if (call->argmax.data)
        *(int64_t *)row_of(&call->argmax, cursor, call->ndim) = -1;
    if (call->correct.data)
        *(uint8_t *)row_of(&call->correct, cursor, call->ndim) = 0;
}

/* ---- the rows of a group ------------------------------------------------------------------- */

/* The first n rows of any group: they all take part, with weight 1. */
static void reset_rows(struct rows *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        rows->source[i] = i;
        rows->weight[i] = rows->sample[i] = rows->upstream[i] = 1;
        rows->weight_low[i] = 0;
    }
    rows->not_uniform = 0;
}

/* All that the rows of a call have in common, and groups of up to `group` rows before the first of
 * them: no field of struct rows is read that is neither set here nor found for a group. */
struct workspace *begin_rows(struct softmax_run *run, size_t group)
{
    _Static_assert(sizeof(struct workspace) <= THREAD_BYTES, "THREAD_BYTES: too few");
    struct workspace *work = thread_memory();
    if (!work) {
        atomic_store(&run->no_memory, 1);
        return NULL;
    }
    struct rows *rows = &work->rows;
    memset(rows->t, 0, group * sizeof *rows->t);
    memset(rows->class_mask, 0, group * sizeof *rows->class_mask);
    reset_rows(rows, group);
    rows->count = 0;
    rows->classes = run->call->classes;
    rows->columns = run->columns;
    rows->shifted = 0;
    rows->x_step = run->call->logits.step;
    rows->out_step = run->call->out.step;
    rows->logit_transform = run->plan.change;
    rows->smoothing = run->plan.smoothing;
    rows->soft = run->plan.soft;
    rows->shared_target = run->plan.shared_target;
    rows->weighs = run->plan.weighs || run->plan.soft ||
                   (run->plan.general && (!run->plan.labels || run->call->label_smoothing != 0));
    rows->hessian_wanted = run->plan.hessian_wanted;
    rows->hessian_factor = run->plan.curved_factor;
    rows->exps = rows->memory;
    work->scratch.tiles = NULL;
    work->scratch.factors = NULL;
    work->scratch.parts = NULL;
    work->scratch.shared_target = work->scratch.shared_low = NULL;
    return work;
}

/* Weights of n rows whose labels are classes; 0 unless they are all above 0. */
static int all_weigh(const struct softmax_run *run, size_t n, const struct cursor *cursor,
                     struct rows *rows)
{
    const struct crossent_softmax *call = run->call;
    double of_class[GROUP];
    rows->not_uniform = 1;
    for (size_t i = 0; i < n; i++)
        rows->source[i] = i;
    for (size_t i = 0; i < n; i++)
        of_class[i] = call->class_weight ? call->class_weight[rows->label[i]] : 1;
    read_doubles(call, &call->sample_weight, cursor, n, 1, rows->sample);
    return run->kernels->multiply(rows->sample, of_class, rows->weight, rows->weight_low, n);
}

/* Every row takes part: the common case, without a branch for each. */
int all_take_part(const struct softmax_run *run, size_t n, const struct cursor *cursor,
                  struct rows *rows)
{
    const struct crossent_softmax *call = run->call;
    const int weighted = call->sample_weight.data || call->class_weight;
    const int64_t last_class = (int64_t)call->classes - 1;
    int64_t outside = 0;       /* negative if a label is, or is above the last class, or ignored */
    if (n == 0 || (weighted && !run->plan.labels))
        return 0;
    if (rows->not_uniform && !weighted)
        reset_rows(rows, GROUP);
    rows->count = n;
    if (!run->plan.labels) {
        memset(rows->label, -1, n * sizeof *rows->label);
        memset(rows->anchor, -1, n * sizeof *rows->anchor);
        return 1;
    }
    read_labels(call, cursor, n, rows->label);
    for (size_t i = 0; i < n; i++) {
        outside |= rows->label[i] | (int64_t)((uint64_t)last_class - (uint64_t)rows->label[i]);
        rows->anchor[i] = rows->label[i];
    }
    for (size_t k = 0; k < call->ignored; k++)
        for (size_t i = 0; i < n; i++)
            outside |= -(int64_t)(rows->label[i] == call->ignore[k]);
    return outside >= 0 && (!weighted || all_weigh(run, n, cursor, rows));
}

static void those_that_take_part(const struct softmax_run *run, size_t row, size_t n,
                                 const struct cursor *cursor, struct rows *rows,
                                 struct partial *partial)
{
    const struct crossent_softmax *call = run->call;
    size_t kept = 0;
    rows->not_uniform = 1;
    row_weights(run, row, n, cursor, rows, partial);
    for (size_t i = 0; i < n; i++) {
        if (rows->sample[i] == 0) {
            struct cursor here = cursor_at(call->shape, call->ndim, row + i);
            skip_row(run, &here);
            continue;
        }
        rows->source[kept] = i;
        rows->anchor[kept] = rows->label[kept] = rows->label[i];
        rows->weight[kept] = rows->weight[i];
        rows->weight_low[kept] = rows->weight_low[i];
        rows->sample[kept++] = rows->sample[i];
    }
    rows->count = kept;
}

/* Pointers to the rows of an array that may be absent. */
void gather_pointers(const struct crossent_softmax *call, const struct crossent_array *array,
                     const struct cursor *cursor, size_t n, const struct rows *rows,
                     char **to)
{
    char *p[GROUP];
    if (array->data)
        row_pointers(array, *cursor, call->shape, call->ndim, n, rows->count == n ? to : p);
    else
        memset(to, 0, rows->count * sizeof *to);
    for (size_t r = 0; array->data && rows->count < n && r < rows->count; r++)
        to[r] = p[rows->source[r]];
}

/* Of labels with one target for all rows: it has the class weights, which then are not the rows';
 * any maximum is the anchor. */
static void label_targets(const struct crossent_softmax *call, struct rows *rows)
{
    struct pair kept;
    smoothing_share(call, call->classes, &kept);
    for (size_t r = 0; r < rows->count; r++) {
        struct pair weight = {call->class_weight[rows->label[r]], 0};
        rows->label_target[r] = pair_value(pair_product(kept, weight));
        rows->weight[r] = rows->sample[r];
        rows->weight_low[r] = 0;
        rows->anchor[r] = -1;
    }
}

/* Takes those of the n rows from `row` on that take part into `rows`; skips the others. */
void gather_rows(const struct softmax_run *run, size_t row, size_t n,
                 const struct cursor *cursor, struct rows *rows, struct partial *partial)
{
    const struct crossent_softmax *call = run->call;
    if (!all_take_part(run, n, cursor, rows))
        those_that_take_part(run, row, n, cursor, rows, partial);
    gather_pointers(call, &call->logits, cursor, n, rows, (char **)rows->x);
    if (call->class_mask.data && !run->plan.general)
        gather_pointers(call, &call->class_mask, cursor, n, rows, rows->class_mask);
    if (rows->shared_target)
        label_targets(call, rows);
    else if (rows->soft)
        gather_pointers(call, &call->target, cursor, n, rows, (char **)rows->t);
    if (call->output == CROSSENT_NOTHING)
        return;
    gather_pointers(call, &call->out, cursor, n, rows, rows->out);
    rows->out_step = call->out.step;
    if (rows->hessian_wanted)
        gather_pointers(call, &call->hessian, cursor, n, rows, rows->hessian_at);
}

void gather_upstream(const struct crossent_softmax *call, size_t n,
                     const struct cursor *cursor, struct rows *rows)
{
    double upstream[GROUP];
    read_doubles(call, &call->upstream, cursor, n, 1, upstream);
    for (size_t r = 0; r < rows->count; r++)
        rows->upstream[r] = upstream[rows->source[r]];
}

/* ---- what rows give ------------------------------------------------------------------------- */

/* Stores one number a row. */
void scatter_rows(const struct softmax_run *run, const struct crossent_array *array,
                  size_t n, const struct cursor *cursor, const struct rows *rows,
                  const double *values)
{
    char *p[GROUP];
    row_pointers(array, *cursor, run->call->shape, run->call->ndim, n, p);
    for (size_t r = 0; r < rows->count; r++)
        if (rows->sample[r] != 0)
            run->typed->store(p[rows->source[r]], array->dtype, values[r]);
}

/* lane[0] += all `width` lanes, in halves: i and i + width/2, and so on. */
static inline void add_lanes(double *lane, size_t width)
{
    for (size_t half = width / 2; half; half /= 2)
        for (size_t i = 0; i < half; i++)
            lane[i] += lane[i + half];
}

/* The sum of the losses of rows [begin, end). */
static double loss_sum(const struct rows *rows, size_t begin, size_t end)
{
    const double *loss = rows->loss + begin;
    double lane[GROUP / 2];
    size_t half = 1, n = end - begin;
    if (n < 2)
        return n ? loss[0] : 0;
    while (2 * half < n)
        half *= 2;
    for (size_t i = 0; i < n - half; i++)
        lane[i] = loss[i] + loss[i + half];
    for (size_t i = n - half; i < half; i++)
        lane[i] = loss[i];
    if (half == GROUP / 2)                 /* a constant, of which straight code is made */
        add_lanes(lane, GROUP / 2);
    else
        add_lanes(lane, half);
    return lane[0];
}

/* Adds the losses of the n rows of a group, unit by unit, to its slab or to each of its slabs. */
void add_losses(const struct softmax_run *run, size_t n, const struct rows *rows,
                struct partial *partial)
{
    size_t r = 0, slab_ends = n < run->slab ? n : run->slab;
    for (size_t at = 0, end; at < n; at = end) {
        size_t begin = r;
        end = smaller(at + run->unit, slab_ends);
        if (rows->count == n)
            r = smaller(end, n);
        while (r < rows->count && rows->source[r] < end)
            r++;
        partial_add(partial, loss_sum(rows, begin, r));
        if (end == slab_ends) {
            slab_ends += run->slab;
            partial++;
        }
    }
}
