/* The driver of the loss from probabilities, which shares slabs, labels, weights and faults with
 * softmax.c; `call->rows.logits` are the probabilities here.
 *
 * Class indices, and nothing else that concerns other classes: one number of each row is read, and
 * the gradient is 0 but there. All else goes row by row through elements/probabilities.inc.h.
 */
#include "loss/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arithmetic.h"
#include "base/dtype.h"
#include "base/pairs.h"
#include "base/parallel.h"
#include "kernels/elements/probabilities.h"

/* What clipped probabilities cost. */
static void set_limits(const struct crossent_categorical *call, const struct kernels *kernels,
                       double *low_loss, double *high_loss)
{
    *low_loss = 0 - log_scaled(kernels->log, call->clip_low, 0);
    *high_loss = 0 - pair_log1p(kernels->log, (struct pair){-call->clip_high, 0});
}

/* ---- storing a row of doubles --------------------------------------------------------------- */

static void store_gradient(const struct softmax_run *run, char *p, double *values, double *scratch)
{
    const struct crossent_array *out = &run->call->out;
    const size_t n = run->call->classes;
    if (run->call->accumulate) {
        const double *old = run->kernels->f64->load(p, out->step, out->dtype, n, scratch);
        for (size_t j = 0; j < n; j++)
            values[j] += old[j];
    }
    if (out->dtype == CROSSENT_F32)
        for (size_t j = 0; j < n; j++)
            *(float *)(p + (ptrdiff_t)j * out->step) = (float)values[j];
    else if (out->dtype == CROSSENT_F64)
        for (size_t j = 0; j < n; j++)
            *(double *)(p + (ptrdiff_t)j * out->step) = values[j];
    else
        for (size_t j = 0; j < n; j++)
            run->typed->store(p + (ptrdiff_t)j * out->step, out->dtype, values[j]);
}

/* A gradient that is 0 but at one class. */
static void store_single(const struct softmax_run *run, char *p, size_t class, double value)
{
    const struct crossent_array *out = &run->call->out;
    const size_t size = dtype_size(out->dtype);
    char *at = p + (ptrdiff_t)class * out->step;
    double room;
    if (run->call->accumulate)
        value += *(const double *)run->kernels->f64->load(at, 0, out->dtype, 1, &room);
    else if (out->step == (ptrdiff_t)size)
        memset(p, 0, run->call->classes * size);
    else
        fill_row(run, out, p, 0);
    run->typed->store(at, out->dtype, value);
}

/* ---- groups of rows ------------------------------------------------------------------------- */

/* A row that has no loss writes nothing. */
static void bad_probability(struct rows *rows, size_t r, size_t row, size_t class,
                            struct partial *partial)
{
    partial_fault(partial, CROSSENT_BAD_PROBABILITY, row + rows->source[r], class);
    rows->sample[r] = rows->loss[r] = 0;
    rows->not_uniform = 1;
}

/* Labels, and nothing that needs the other classes. */
static void sparse_rows(const struct softmax_run *run, size_t row, struct rows *rows,
                        struct partial *partial)
{
    const struct crossent_categorical *call = (const struct crossent_categorical *)run->call;
    const struct crossent_array *array = &call->rows.logits;
    double p[GROUP], log[GROUP], log_low[GROUP], low_loss, high_loss;
    set_limits(call, run->kernels, &low_loss, &high_loss);
    for (size_t r = 0; r < rows->count; r++) {
        const char *at = rows->x[r] + (ptrdiff_t)rows->label[r] * array->step;
        p[r] = *(const double *)run->kernels->f64->load(at, 0, array->dtype, 1, &p[r]);
        log[r] = p[r] >= 0x1p-1022 && p[r] <= 1 ? p[r] : 1;
    }
    run->kernels->logs(log, log_low, rows->count);
    for (size_t r = 0; r < rows->count; r++) {
        const int below = p[r] < call->clip_low, above = 1 - p[r] < call->clip_high;
        const struct pair weight = {rows->weight[r], rows->weight_low[r]};
        const double slope = call->rows.coefficient;
        struct pair loss = {0 - log[r], 0 - log_low[r]};
        if (below || above)
            loss = (struct pair){below ? low_loss : high_loss, 0};
        else if (p[r] < 0x1p-1022)
            loss = (struct pair){0 - log_scaled(run->kernels->log, p[r], 0), 0};
        rows->loss[r] = pair_value(pair_product(weight, loss));
        if (!(p[r] >= 0 && p[r] <= 1))
            bad_probability(rows, r, row, (size_t)rows->label[r], partial);
        else if (call->rows.output == CROSSENT_GRADIENT)
            store_single(run, rows->out[r], (size_t)rows->label[r],
                         below || above ? 0 : 0 - pair_value(pair_quotient(
                             pair_product(pair_product((struct pair){slope, 0}, weight),
                                          (struct pair){rows->upstream[r], 0}),
                             (struct pair){p[r] + 0.0, 0})));
    }
}

/* The target of a row, class by class, and what rounding cut off it: in `to` and `low` where it is
 * not there already. */
static const double *whole_target(const struct rows *rows, size_t r, double *to, const double **low,
                                  double *low_room)
{
    const size_t n = rows->classes;
    if (rows->label[r] < 0) {
        *low = rows->t_low[r];
        return rows->t[r];
    }
    memset(to, 0, n * sizeof *to);
    memset(low_room, 0, n * sizeof *low_room);
    if (rows->t[r]) {
        memcpy(to, rows->t[r], n * sizeof *to);
        memcpy(low_room, rows->t_low[r], n * sizeof *low_room);
    }
    const int64_t k = rows->label[r];
    struct pair share = pair_add((struct pair){to[k], low_room[k]}, rows->label_share[r]);
    to[k] = pair_value(share);
    low_room[k] = (share.hi - to[k]) + share.lo;
    *low = low_room;
    return to;
}

static void dense_row(const struct softmax_run *run, size_t row, struct rows *rows, size_t r,
                      const char *target, struct scratch *scratch, struct partial *partial)
{
    const struct crossent_categorical *call = (const struct crossent_categorical *)run->call;
    const size_t n = rows->classes;
    run->typed->stage(&call->rows, rows, r, NULL, target, scratch);
    double *room = (double *)scratch->staged_target[r];
    int labelled = weighs_by_target(&call->rows) || (rows->label[r] >= 0 && !rows->t[r]);
    struct pair s = {labelled ? rows->weight[r] : rows->sample[r],
                     labelled ? rows->weight_low[r] : 0};
    struct probabilities p = {
        .classes = n, .p = (const double *)rows->x[r], .normalize = call->normalize,
        .clip_low = call->clip_low, .clip_high = call->clip_high,
        .scaled = room + 3 * n, .terms = scratch->slope[r], .low = room + 4 * n,
        .live = (double *)rows->memory[r],
        .gradient = call->rows.output == CROSSENT_GRADIENT,
        .factor = pair_product(pair_product((struct pair){call->rows.coefficient, 0}, s),
                               (struct pair){rows->upstream[r], 0})};
    p.t = whole_target(rows, r, room + n, &p.t_low, room + 2 * n);
    set_limits(call, run->kernels, &p.low_loss, &p.high_loss);
    run->kernels->probabilities(&p);
    rows->loss[r] = pair_value(pair_product(s, p.loss));
    if (p.bad != SIZE_MAX)
        bad_probability(rows, r, row, p.bad, partial);
    else if (p.gradient)
        store_gradient(run, rows->out[r], p.terms, p.live);
}

static int is_dense(const struct crossent_categorical *call)
{
    int soft = call->rows.target.dtype <= CROSSENT_BF16;
    return soft || call->normalize || call->rows.label_smoothing != 0;
}

static void categorical_group(const struct softmax_run *run, size_t row, size_t n,
                              struct rows *rows, struct scratch *scratch, struct partial *partial)
{
    const struct crossent_softmax *call = run->call;
    struct cursor cursor = cursor_at(call->shape, call->ndim, row);
    char *target[GROUP];
    gather_rows(run, row, n, &cursor, rows, partial);
    if (call->upstream.data)
        gather_upstream(call, n, &cursor, rows);
    if (is_dense((const struct crossent_categorical *)call)) {
        gather_pointers(call, &call->target, &cursor, n, rows, target);
        for (size_t r = 0; r < rows->count; r++)
            dense_row(run, row, rows, r, run->plan.labels ? NULL : target[r], scratch, partial);
    } else {
        sparse_rows(run, row, rows, partial);
    }
    if (call->loss.data)
        scatter_rows(run, &call->loss, n, &cursor, rows, rows->loss);
    add_losses(run, n, rows, partial);
}

/* One row's buffers serve every row of a group, which are worked on one after the other. */
static char *categorical_scratch(struct softmax_run *run, struct rows *rows,
                                 struct scratch *scratch)
{
    const size_t row = run->call->classes;
    double *memory = run_allocate(run, 9 * row * sizeof *memory);
    for (size_t r = 0; memory && r < GROUP; r++) {
        rows->memory[r] = (char *)memory;
        scratch->slope[r] = memory + row;
        scratch->staged[r] = memory + 2 * row;
        scratch->target_low[r] = memory + 3 * row;
        scratch->staged_target[r] = memory + 4 * row;    /* and behind it room for dense_row */
    }
    return (char *)memory;
}

static void categorical_task(void *context, size_t begin, size_t end)
{
    struct softmax_run *shared = context;
    const struct crossent_softmax *call = shared->call;
    const struct softmax_run run = {
        .call = shared->call, .kernels = shared->kernels, .typed = shared->kernels->f64,
        .size = sizeof(double), .slab = shared->slab, .unit = shared->unit,
        .plan = shared->plan, .partials = shared->partials};
    struct workspace *work = begin_rows(shared, GROUP);
    if (!work)
        return;
    char *memory = categorical_scratch(shared, &work->rows, &work->scratch);
    for (size_t slab = begin; memory && slab < end; slab++) {
        struct partial *partial = &run.partials[slab];
        size_t row = slab * run.slab, last = smaller(row + run.slab, call->rows);
        *partial = (struct partial){.fault_row = SIZE_MAX};
        for (size_t n; row < last; row += n) {
            n = smaller(GROUP, last - row);
            categorical_group(&run, row, n, &work->rows, &work->scratch, partial);
        }
    }
    free(memory);
}

int crossent_categorical(struct crossent_categorical *call)
{
    const uint64_t mode = arithmetic_begin();
    struct partial total;
    struct crossent_softmax *rows = &call->rows;
    /* Each row has a target of its own, smoothing and weights included (dense_row). */
    const struct plan plan = {.labels = rows->target.dtype > CROSSENT_BF16, .general = 1,
                              .focal = has_focal(rows), .change = {0, 1, 0}};
    int wide = is_dense(call) || rows->output == CROSSENT_GRADIENT;
    size_t work = wide ? rows->rows * rows->classes : rows->rows;
    int status = run_slabs(rows, &plan, categorical_task, work < PARALLEL_ELEMENTS, &total);
    rows->total = isfinite(total.sum) ? total.sum + total.low : total.sum;
    arithmetic_end(mode);
    return status;
}
