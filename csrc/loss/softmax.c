/* The driver of the softmax losses: rows into groups, groups through the kernels, sums in a fixed
 * order.
 *
 * a) Rows are cut into slabs whose size depends on the number of classes alone. Threads take whole
 *    slabs; each slab's sum is its own, and slabs are added in order. So the bits of a result do
 *    not depend on the number of threads.
 * b) Inside a slab rows go through the kernels in groups. A row's result depends on its own
 *    elements only (table.h), so groups may be cut anywhere.
 * c) A label is read once, and checked where it is used as an index.
 */
#include "crossent.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arithmetic.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "kernels/dispatch.h"
#include "kernels/table.h"
#include "loss/run.h"

enum {
    SLAB_ELEMENTS = 1 << 14,    /* a slab is about this large, but at most SLAB_ROWS rows */
    SLAB_ROWS = 256,
    NEIGHBOURS = 16,            /* rows whose elements share cache lines if classes come first */
    STAGED_BYTES = 1 << 18      /* a group of staged rows fits the second-level cache */
};

/* ---- a group of rows ------------------------------------------------------------------------ */

/* The statistics of rows with options that act on single elements. */
static void general_group(const struct softmax_run *run, size_t n, const struct cursor *cursor,
                          struct rows *rows, struct scratch *scratch)
{
    const struct crossent_softmax *call = run->call;
    char *mask[GROUP], *target[GROUP];
    gather_pointers(call, &call->class_mask, cursor, n, rows, mask);
    gather_pointers(call, &call->target, cursor, n, rows, target);
    gather_pointers(call, &call->hessian, cursor, n, rows, rows->hessian_at);
    gather_pointers(call, &call->target_gradient, cursor, n, rows, rows->target_gradient_at);
    gather_pointers(call, &call->vector, cursor, n, rows, rows->vector_at);
    for (size_t r = 0; r < rows->count; r++)
        run->typed->stage(call, rows, r, mask[r], run->plan.labels ? NULL : target[r], scratch);
    rows->x_step = (ptrdiff_t)run->size;
    run->typed->general_statistics(call, rows, scratch);
    run->kernels->epilogue(rows, run->typed->bias);
    for (size_t r = 0; run->plan.focal && r < rows->count; r++)
        if (rows->t[r] || call->focal_gamma != 0)
            run->typed->general_focal(call, rows, r, scratch);
}

/* Rows without a loss, where the caller wants to know of them or to leave them out. */
static void general_faults(const struct softmax_run *run, size_t row, struct rows *rows, size_t r,
                           struct partial *partial)
{
    if (rows->fault_column[r] == SIZE_MAX)
        return;
    int zero = run->call->nonfinite == CROSSENT_ZERO;
    partial_fault(partial, zero ? CROSSENT_OK : CROSSENT_BAD_LOGITS, row + rows->source[r],
                  rows->fault_column[r]);
    if (zero) {
        struct cursor here = cursor_at(run->call->shape, run->call->ndim, row + rows->source[r]);
        skip_row(run, &here);
        rows->loss[r] = 0;
        rows->sample[r] = 0;
        rows->not_uniform = 1;
    }
}

static void scatter_predictions(const struct softmax_run *run, size_t n,
                                const struct cursor *cursor, const struct rows *rows)
{
    const struct crossent_softmax *call = run->call;
    char *argmax[GROUP], *correct[GROUP];
    if (!call->argmax.data && !call->correct.data)
        return;
    gather_pointers(call, &call->argmax, cursor, n, rows, argmax);
    gather_pointers(call, &call->correct, cursor, n, rows, correct);
    for (size_t r = 0; r < rows->count; r++) {
        if (rows->sample[r] == 0)
            continue;
        if (argmax[r])
            *(int64_t *)argmax[r] = rows->argmax[r];
        if (correct[r])
            *(uint8_t *)correct[r] = rows->argmax[r] == rows->label[r];
    }
}

/* ---- rows that all threads share ------------------------------------------------------------- */

struct shared_row {
    struct softmax_run *run;
    struct rows *rows;
    const struct scratch *scratch;
    size_t r;
    struct progress *parts;
};

/* Buffers of this thread, with the factors that all threads share. The thread that cut the row has
 * the same buffers for its part as for the row. */
static struct scratch *thread_scratch(const struct shared_row *row)
{
    struct workspace *work = thread_memory();
    if (!work)
        atomic_store(&row->run->no_memory, 1);
    else
        work->scratch.factors = row->scratch->factors;
    return work ? &work->scratch : NULL;
}

static void segment_task(void *context, size_t begin, size_t end)
{
    const struct shared_row *row = context;
    struct scratch *scratch = thread_scratch(row);
    for (size_t s = begin; s < end; s++)
        if (scratch)
            row->run->typed->segment(row->rows, row->r, s, scratch, row->run->call->output,
                                     &row->parts[s]);
        else
            row->parts[s] = (struct progress){0};
}

static void write_task(void *context, size_t begin, size_t end)
{
    const struct shared_row *row = context;
    const size_t last = smaller(end * SEGMENT, row->rows->classes);
    struct scratch *scratch = thread_scratch(row);
    if (scratch)
        row->run->typed->write_part(row->rows, row->r, begin * SEGMENT, last, scratch,
                                    row->run->call->output);
}

static void shared_statistics(struct softmax_run *run, struct rows *rows,
                              const struct scratch *scratch)
{
    const size_t count = segment_count(rows->classes);
    struct shared_row row = {run, rows, scratch, 0, scratch->parts};
    for (; row.r < rows->count; row.r++) {
        run->typed->begin(rows, row.r);
        parallel_for(count, run->call->threads, segment_task, &row);
        run->typed->join(rows, row.r, row.parts, count);
    }
}

static void shared_write(struct softmax_run *run, struct rows *rows,
                         const struct scratch *scratch)
{
    struct shared_row row = {run, rows, scratch, 0, NULL};
    for (; row.r < rows->count; row.r++)
        parallel_for(segment_count(rows->classes), run->call->threads, write_task, &row);
}

/* Threads share rows that are too few to go round, and long enough to be cut. */
static int is_shared(const struct softmax_run *run, size_t slabs)
{
    const struct crossent_softmax *call = run->call;
    int plain = !call->hessian.data && call->label_smoothing == 0 &&
                (run->plan.labels || !call->target.data);
    if (run->plan.general || !plain || run->columns || run->staged_in || run->staged_out ||
        segment_count(call->classes) == 1)
        return 0;
    size_t threads = (size_t)usable_threads(SIZE_MAX, call->threads);
    return threads > 1 && slabs < 2 * threads;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Writes the rows to contiguous ones, and those to the output. */
static void write_staged(const struct softmax_run *run, struct rows *rows, struct scratch *scratch)
{
    const struct crossent_array *out = &run->call->out;
    const enum crossent_output output = run->call->output;
    char *to[GROUP];
    memcpy(to, rows->out, rows->count * sizeof *to);
    memcpy(rows->out, rows->memory, rows->count * sizeof *rows->out);
    rows->out_step = (ptrdiff_t)run->size;
    run->typed->write(rows, scratch, output);
    if (run->call->accumulate)
        run->typed->add(rows, to, out->step);
    else
        run->typed->scatter_strided(rows, to, out->step, out->dtype,
                           output == CROSSENT_GRADIENT ? rows->anchor_gradient : NULL);
}

static void write_group(struct softmax_run *run, size_t row, struct rows *rows,
                        struct scratch *scratch, struct partial *partial)
{
    const struct crossent_softmax *call = run->call;
    if (run->plan.general) {
        for (size_t r = 0; r < rows->count; r++) {
            general_faults(run, row, rows, r, partial);
            if (rows->sample[r] != 0)
                run->typed->general_write(call, rows, r, scratch);
        }
    } else if (run->staged_out) {
        write_staged(run, rows, scratch);
    } else if (run->shared && call->output != CROSSENT_NOTHING) {
        shared_write(run, rows, scratch);
    } else if (call->output != CROSSENT_NOTHING) {
        run->typed->write(rows, scratch, call->output);
    }
}

static void softmax_group(struct softmax_run *run, size_t row, size_t n, struct rows *rows,
                          struct scratch *scratch, struct partial *partial)
{
    const struct crossent_softmax *call = run->call;
    struct cursor cursor = cursor_at(call->shape, call->ndim, row);
    gather_rows(run, row, n, &cursor, rows, partial);
    if (rows->count == 0)
        return;
    rows->shifted = 0;
    if (run->plan.general) {
        general_group(run, n, &cursor, rows, scratch);
    } else {
        rows->x_step = call->logits.step;
        if (run->staged_in)
            run->typed->gather_contiguous(rows, call->logits.dtype);
        pad_rows(rows);
        if (run->shared)
            shared_statistics(run, rows, scratch);
        else
            run->typed->statistics(rows, scratch, call->output);
        run->kernels->epilogue(rows, run->typed->bias);
    }
    if (call->upstream.data)
        gather_upstream(call, n, &cursor, rows);
    apply_options(call, &run->plan, run->kernels, rows);
    write_group(run, row, rows, scratch, partial);
    if (call->loss.data)
        scatter_rows(run, &call->loss, n, &cursor, rows, rows->loss);
    if (call->logsumexp.data)
        scatter_rows(run, &call->logsumexp, n, &cursor, rows, rows->logsumexp);
    if (call->probability.data)
        scatter_rows(run, &call->probability, n, &cursor, rows, rows->probability);
    if (call->entropy.data)
        scatter_rows(run, &call->entropy, n, &cursor, rows, rows->entropy);
    scatter_predictions(run, n, &cursor, rows);
    add_losses(run, n, rows, partial);
}

/* ---- slabs and threads --------------------------------------------------------------------- */

/* Whole cache lines; a failure ends the work of all threads. It is noted by those that fail alone,
 * as a thread that wrote "none" might overwrite another's failure. */
void *run_allocate(struct softmax_run *run, size_t bytes)
{
    void *memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!memory)
        atomic_store(&run->no_memory, 1);
    return memory;
}

/* The most rows of a group; those in tiles are padded to whole ones. */
static size_t group_size(const struct softmax_run *run)
{
    const size_t group = smaller(run->group, run->call->rows);
    return run->columns ? pieces_of(group, WIDEST) * WIDEST : group;
}

/* Memory for the rows of a group: of the general path, staged, or in tiles. */
static char *scratch_rows(struct softmax_run *run, struct rows *rows, struct scratch *scratch)
{
    const struct crossent_softmax *call = run->call;
    size_t row_bytes = call->classes * run->size;
    if (run->plan.general || call->classes > TILE_CLASSES)
        row_bytes = (row_bytes + 63) / 64 * 64;
    const size_t needed = run->plan.general ? 5 + (call->softcap != 0)
                                            : run->columns || run->staged_in || run->staged_out;
    const size_t group = group_size(run);
    char *memory = needed ? run_allocate(run, group * row_bytes * needed) : NULL;
    scratch->tiles = memory;
    for (size_t r = 0; memory && r < group; r++) {
        char *row = memory + r * row_bytes * needed;
        rows->memory[r] = row;
        if (run->plan.general) {
            scratch->staged[r] = row + row_bytes;
            scratch->staged_target[r] = row + 2 * row_bytes;
            scratch->slope[r] = row + 3 * row_bytes;
            scratch->target_low[r] = row + 4 * row_bytes;
            scratch->cap_low[r] = row + (needed - 1) * row_bytes;
        }
    }
    return memory;
}

/* The target that all rows have in common: share w_j. */
static float *share_target(struct softmax_run *run, struct rows *rows)
{
    const struct crossent_softmax *call = run->call;
    struct pair kept, share = smoothing_share(call, call->classes, &kept);
    float *t = run_allocate(run, call->classes * sizeof *t);
    for (size_t j = 0; t && j < call->classes; j++)
        t[j] = (float)pair_value(pair_product(share, (struct pair){call->class_weight[j], 0}));
    for (size_t r = 0; r < GROUP; r++)
        rows->t[r] = t;
    return t;
}

static void softmax_task(void *context, size_t begin, size_t end)
{
    struct softmax_run *run = context;
    const struct crossent_softmax *call = run->call;
    const size_t group = group_size(run);
    struct workspace *work = begin_rows(run, group);
    if (!work)
        return;
    struct rows *rows = &work->rows;
    struct scratch *scratch = &work->scratch;
    char *memory = scratch_rows(run, rows, scratch);
    if (!run->plan.general && !run->staged_in && !run->staged_out)
        rows->exps = rows->out;
    float *target = run->plan.shared_target ? share_target(run, rows) : NULL;
    if (call->classes > BLOCK)
        scratch->factors = run_allocate(run, group * block_count(call->classes) * sizeof(double));
    if (run->shared)
        scratch->parts = run_allocate(run, segment_count(call->classes) * sizeof *scratch->parts);
    for (size_t slab = begin; slab < end; slab++)
        run->partials[slab] = (struct partial){.fault_row = SIZE_MAX};
    const size_t last = smaller(end * run->slab, call->rows);
    for (size_t row = begin * run->slab, n; row < last && !run->no_memory; row += n) {
        const size_t slab = row / run->slab, within = (slab + 1) * run->slab - row;
        n = smaller(run->group < run->slab ? smaller(run->group, within) : run->group, last - row);
        softmax_group(run, row, n, rows, scratch, &run->partials[slab]);
    }
    free(memory);
    free(target);
    free(scratch->factors);
    free(scratch->parts);
}

/* Adds the weights of n rows that take part. */
static void add_weights(const struct softmax_run *run, const struct rows *rows, size_t n,
                        struct partial *partial)
{
    double weight[GROUP] = {0};
    if (!rows->not_uniform) {
        two_sum_into(&partial->weight, &partial->weight_low, (double)n);
        partial->count += n;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const int counts = rows->sample[i] != 0;
        weight[i] = counts ? rows->weight[i] : 0;
        partial->count += (size_t)counts;
    }
    two_sum_into(&partial->weight, &partial->weight_low, run->kernels->sum(weight, n));
}

static void weigh_task(void *context, size_t begin, size_t end)
{
    struct softmax_run *run = context;
    const struct crossent_softmax *call = run->call;
    struct workspace *work = begin_rows(run, GROUP);
    if (!work)
        return;
    struct rows *rows = &work->rows;
    for (size_t slab = begin; slab < end; slab++) {
        struct partial *partial = &run->partials[slab];
        size_t row = slab * run->slab, last = smaller(row + run->slab, call->rows);
        *partial = (struct partial){.fault_row = SIZE_MAX};
        for (size_t n; row < last; row += n) {
            struct cursor cursor = cursor_at(call->shape, call->ndim, row);
            n = smaller(GROUP, last - row);
            if (!all_take_part(run, n, &cursor, rows)) {
                rows->not_uniform = 1;
                row_weights(run, row, n, &cursor, rows, partial);
            }
            add_weights(run, rows, n, partial);
        }
    }
}

/* Labels alone, both arrays' classes apart, and rows enough to fill the lanes. */
static int is_columns(const struct softmax_run *run)
{
    const struct crossent_softmax *call = run->call;
    const ptrdiff_t size = (ptrdiff_t)run->size;
    const int native = call->logits.dtype == (size == sizeof(double) ? CROSSENT_F64 : CROSSENT_F32);
    const int nothing = call->output == CROSSENT_NOTHING;
    if (call->output > CROSSENT_SOFTMAX || call->label_smoothing != 0 || call->hessian.data ||
        call->class_mask.data || call->accumulate || run->plan.change.on)
        return 0;
    return run->plan.labels && !run->plan.general && native && call->rows >= WIDEST &&
           call->classes > TILE_CLASSES &&
           call->logits.step != size && (nothing || call->out.step != size);
}

/* The kernels take rows of float and double; short ones of any step. */
static int is_staged(const struct softmax_run *run, const struct crossent_array *array)
{
    int half = array->dtype == CROSSENT_F16 || array->dtype == CROSSENT_BF16;
    return half || (run->call->classes > TILE_CLASSES && array->step != (ptrdiff_t)run->size);
}

/* Long rows become what the loss sees before the kernels read them, short ones in their tiles. */
static int is_changed(const struct softmax_run *run)
{
    const size_t n = run->call->classes;
    return n > TILE_CLASSES && n <= BLOCK && run->plan.change.on;
}

/* Rows of a group: a unit, or, staged, as many units or slabs as bring neighbours together. */
static size_t group_rows(const struct softmax_run *run)
{
    const struct crossent_softmax *call = run->call;
    if (!is_staged(run, &call->logits) && !(run->staged_out && is_staged(run, &call->out)))
        return run->unit;
    size_t n = STAGED_BYTES / (call->classes * run->size) / NEIGHBOURS;
    n = smaller(GROUP, (1 + n) * NEIGHBOURS);
    return n > run->slab ? n / run->slab * run->slab : n / run->unit * run->unit;
}

/* Runs `task` over all slabs and adds up what they give. */
int run_slabs(struct crossent_softmax *call, const struct plan *plan,
              void (*task)(void *, size_t, size_t), int small, struct partial *total)
{
    struct partial here[16];
    struct softmax_run run = {.call = call, .kernels = current_kernels(), .partials = here,
                              .plan = *plan};
    int f64 = call->logits.dtype == CROSSENT_F64 || call->softcap != 0;   /* softcap.inc.h */
    run.size = f64 ? sizeof(double) : sizeof(float);
    run.typed = f64 ? run.kernels->f64 : run.kernels->f32;
    run.columns = is_columns(&run);
    const int other = !run.plan.general && !run.columns;
    run.staged_in = other && (is_staged(&run, &call->logits) || is_changed(&run));
    run.staged_out = other && call->output != CROSSENT_NOTHING &&
                     (is_staged(&run, &call->out) || call->accumulate);
    run.slab = at_least_one(smaller(SLAB_ROWS, SLAB_ELEMENTS / call->classes));
    if (run.slab > GROUP)
        run.slab -= run.slab % GROUP;    /* whole groups: 2 to 4 % for 80 to 200 classes */
    run.unit = smaller(GROUP, run.slab);
    run.group = group_rows(&run);

    size_t slabs = pieces_of(call->rows, run.slab);
    if (slabs > sizeof here / sizeof *here)
        run.partials = malloc(slabs * sizeof *run.partials);
    if (!run.partials)
        return CROSSENT_NO_MEMORY;
    run.shared = task == softmax_task && is_shared(&run, slabs);
    parallel_for(slabs, small || run.shared ? 1 : call->threads, task, &run);
    *total = (struct partial){.fault_row = SIZE_MAX};
    for (size_t s = 0; s < slabs && !run.no_memory; s++)
        partial_merge(total, &run.partials[s]);
    if (run.partials != here)
        free(run.partials);
    call->fault_row = total->fault_row;
    call->fault_column = total->fault_column;
    call->faults = total->faults;
    return run.no_memory ? CROSSENT_NO_MEMORY : total->status;
}

int crossent_softmax(struct crossent_softmax *call)
{
    const uint64_t mode = arithmetic_begin();
    struct partial total;
    const struct plan plan = plan_of(call);
    int small = call->rows * call->classes < PARALLEL_ELEMENTS;
    int status = run_slabs(call, &plan, softmax_task, small, &total);
    call->total = isfinite(total.sum) ? total.sum + total.low : total.sum;
    arithmetic_end(mode);
    return status;
}

int crossent_weigh(struct crossent_softmax *call)
{
    const uint64_t mode = arithmetic_begin();
    struct partial total;
    const struct plan plan = plan_of(call);
    int status = run_slabs(call, &plan, weigh_task, call->rows < PARALLEL_ELEMENTS, &total);
    call->weight = total.weight + total.weight_low;
    call->count = total.count;
    arithmetic_end(mode);
    return status;
}
