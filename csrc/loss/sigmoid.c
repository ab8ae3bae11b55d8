/* The driver of the elementwise losses and functions: the elements in blocks, in the order of a
 * contiguous array whatever their strides, so that the sum does not depend on the layout.
 *
 * a) Losses without options and functions: BLOCK elements at a time, read and written where they
 *    lie if they are contiguous.
 * b) Losses with options, and those that float has too few digits for (needs_double): PIECE
 *    elements at a time go through buffers (elements/binary.inc.h). An element that takes no part
 *    has sample weight 0 there, and nothing of it reaches the results.
 */
#include <float.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/arithmetic.h"
#include "base/dtype.h"
#include "base/half.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "base/walk.h"
#include "crossent.h"
#include "kernels/dispatch.h"
#include "kernels/table.h"

struct block_sum {
    struct partial partial;      /* fault_row is the first faulty element */
    double fault_value;
};

struct sigmoid_run {
    struct crossent_sigmoid *call;
    const struct kernels *kernels;
    const struct typed_kernels *typed;   /* of losses without options and functions */
    enum crossent_dtype dtype;           /* what these compute in */
    size_t elements;
    struct block_sum *sums;      /* one per block */
    atomic_int no_memory;
};

/* ---- elements wherever they lie ------------------------------------------------------------- */

/* Whether all elements are `*step` bytes apart in the order of a contiguous array. */
static int is_even(const struct crossent_sigmoid *call, const struct crossent_array *array,
                   ptrdiff_t *step)
{
    size_t inner = call->classes;
    *step = inner > 1 ? array->step : (ptrdiff_t)dtype_size(array->dtype);
    for (size_t d = call->ndim; d-- > 0; inner *= call->shape[d]) {
        if (call->shape[d] == 1)
            continue;
        if (inner == 1)
            *step = array->stride[d];
        else if (array->stride[d] != *step * (ptrdiff_t)inner)
            return 0;
    }
    return 1;
}

static void store_run(char *p, ptrdiff_t step, enum crossent_dtype dtype, size_t n,
                      const void *from, enum crossent_dtype kind)
{
    const double *x = from;
    const float *f = from;
    if (dtype == CROSSENT_F32 && kind == CROSSENT_F64 && step == (ptrdiff_t)sizeof(float))
        for (size_t i = 0; i < n; i++)
            ((float *)p)[i] = (float)x[i];
    else if (dtype == CROSSENT_F64 && step == (ptrdiff_t)sizeof(double))
        memcpy(p, x, n * sizeof(double));
    else
        for (size_t i = 0; i < n; i++, p += step)
            switch (dtype) {
            case CROSSENT_F64: *(double *)p = x[i]; break;
            case CROSSENT_F32: *(float *)p = kind == CROSSENT_F32 ? f[i] : (float)x[i]; break;
            case CROSSENT_F16: *(uint16_t *)p = half_bits(x[i], 10, 15); break;
            case CROSSENT_BF16: *(uint16_t *)p = half_bits(x[i], 7, 127); break;
            default: *(uint8_t *)p = (uint8_t)x[i]; break;
            }
}

/* n elements `step` bytes apart; the common cases of doubles as loops that become vectors. */
static void load_run(const struct typed_kernels *typed, const char *p, ptrdiff_t step,
                     enum crossent_dtype dtype, size_t n, void *to, enum crossent_dtype kind)
{
    double *x = to;
    if (kind == CROSSENT_F64 && dtype == CROSSENT_F32 && step == (ptrdiff_t)sizeof(float)) {
        for (size_t i = 0; i < n; i++)
            x[i] = (double)((const float *)p)[i];
    } else if (kind == CROSSENT_F64 && dtype == CROSSENT_F64 && step == 0) {
        for (size_t i = 0; i < n; i++)
            x[i] = *(const double *)p;
    } else {
        const void *loaded = typed->load(p, step, dtype, n, to);
        if (loaded != to)
            memcpy(to, loaded, n * dtype_size(kind));
    }
}

/* n elements from `first` on, run by run, to or from a contiguous buffer of `kind`: F64, or F32
 * where the array can be read as it, or has been. */
static void copy_elements(const struct sigmoid_run *run, const struct crossent_array *array,
                          size_t first, size_t n, void *buffer, enum crossent_dtype kind,
                          int into_array)
{
    const struct crossent_sigmoid *call = run->call;
    const struct typed_kernels *typed =
        kind == CROSSENT_F64 ? run->kernels->f64 : run->kernels->f32;
    const size_t size = dtype_size(kind);
    struct cursor cursor = cursor_at(call->shape, call->ndim, first / call->classes);
    size_t column = first % call->classes;
    ptrdiff_t apart;
    int even = is_even(call, array, &apart);
    apart = even ? apart : array->step;
    for (size_t done = 0, length; done < n; done += length, column = 0) {
        length = even ? n : smaller(call->classes - column, n - done);
        char *p = row_of(array, &cursor, call->ndim) + (ptrdiff_t)column * array->step;
        char *b = (char *)buffer + done * size;
        if (into_array)
            store_run(p, apart, array->dtype, length, b, kind);
        else
            load_run(typed, p, apart, array->dtype, length, b, kind);
        cursor_next(&cursor, call->shape, call->ndim);
    }
}

/* ---- losses without options, and functions --------------------------------------------------- */

/* A block in `run->dtype`: the array itself where its elements are adjacent, else copied. */
static const void *load_block(const struct sigmoid_run *run, const struct crossent_array *array,
                              size_t first, size_t n, void *buffer)
{
    ptrdiff_t step, size = (ptrdiff_t)dtype_size(array->dtype);
    if (!array->data)
        return NULL;
    if (is_even(run->call, array, &step) && step == size)
        return run->typed->load(array->data + (ptrdiff_t)first * size, size, array->dtype, n,
                                buffer);
    copy_elements(run, array, first, n, buffer, run->dtype, 0);
    return buffer;
}

/* Where a block of results goes: into the array itself, or into a buffer that is copied later. */
static void *store_block(const struct sigmoid_run *run, const struct crossent_array *array,
                         size_t first, void *buffer)
{
    ptrdiff_t step, size = (ptrdiff_t)dtype_size(array->dtype);
    if (!array->data)
        return NULL;
    return is_even(run->call, array, &step) && step == size ? array->data + (ptrdiff_t)first * size
                                                            : buffer;
}

struct buffers {
    _Alignas(64) double x[BLOCK], target[BLOCK], out[BLOCK], loss[BLOCK], wide[BLOCK];
    struct elements elements;
};
_Static_assert(sizeof(struct buffers) <= THREAD_BYTES, "THREAD_BYTES: too few");
_Static_assert(sizeof(struct elements) <= THREAD_BYTES, "THREAD_BYTES: too few");

static void *run_memory(struct sigmoid_run *run)
{
    void *memory = thread_memory();
    if (!memory)
        atomic_store(&run->no_memory, 1);
    return memory;
}

/* Float64 targets of a block of float logits: as floats in buffers->target, and themselves in
 * buffers->wide; whether float holds them all, as it does 0 and 1. */
static int narrow_targets(const struct sigmoid_run *run, size_t first, size_t n,
                          struct buffers *buffers)
{
    float *target = (float *)buffers->target;
    size_t inexact = 0;
    copy_elements(run, &run->call->target, first, n, buffers->wide, CROSSENT_F64, 0);
    for (size_t i = 0; i < n; i++) {
        target[i] = (float)buffers->wide[i];
        inexact += (double)target[i] != buffers->wide[i];    /* NaN too; it stays NaN */
    }
    return inexact == 0;
}

/* Results of the elements whose targets float rounds, from the kernel of options, which is double.
 * An element's results depend on nothing but itself. Returns the sum of all losses. */
static double wide_elements(const struct sigmoid_run *run, const float *x, float *loss, float *out,
                            size_t n, struct buffers *buffers)
{
    struct elements *e = &buffers->elements;
    const float *target = (const float *)buffers->target;
    double *wide = buffers->wide;
    size_t from[PIECE];
    memset(e, 0, sizeof *e);
    for (size_t i = 0; i < PIECE; i++)
        e->positive[i] = e->upstream[i] = 1;
    for (size_t i = 0; i < n;) {
        memset(e->sample, 0, sizeof e->sample);
        for (e->count = 0; i < n && e->count < PIECE; i++) {
            if ((double)target[i] == wide[i]) {
                wide[i] = (double)loss[i];
                continue;
            }
            from[e->count] = i;
            e->x[e->count] = (double)x[i];
            e->target[e->count] = wide[i];
            e->sample[e->count++] = 1;
        }
        run->kernels->binary_loss(run->call, e);
        for (size_t k = 0; k < e->count; k++) {
            wide[from[k]] = e->loss[k];
            loss[from[k]] = (float)e->loss[k];
            if (out)
                out[from[k]] = (float)e->gradient[k];
        }
    }
    memset(wide + n, 0, (pieces_of(n, WIDEST) * WIDEST - n) * sizeof *wide);
    return run->kernels->sum(wide, n);
}

static void plain_task(void *context, size_t begin, size_t end)
{
    struct sigmoid_run *run = context;
    const struct crossent_sigmoid *call = run->call;
    struct buffers *buffers = run_memory(run);
    for (size_t block = begin; buffers && block < end; block++) {
        size_t first = block * BLOCK, n = smaller(BLOCK, run->elements - first);
        const void *x = load_block(run, &call->logits, first, n, buffers->x), *target;
        const int narrow = call->target.dtype == CROSSENT_F64 && run->dtype == CROSSENT_F32 &&
                           call->function == CROSSENT_SIGMOID_CROSS_ENTROPY;
        const int wide = narrow && !narrow_targets(run, first, n, buffers);
        target = narrow ? buffers->target
                        : load_block(run, &call->target, first, n, buffers->target);
        if (wide && x != buffers->x)             /* which `out` may be */
            x = memcpy(buffers->x, x, n * sizeof(float));
        void *out = store_block(run, &call->out, first, buffers->out);
        void *loss = store_block(run, &call->loss, first, buffers->loss);
        loss = wide && !loss ? buffers->loss : loss;
        struct partial *partial = &run->sums[block].partial;
        *partial = (struct partial){.fault_row = SIZE_MAX};
        if (call->function != CROSSENT_SIGMOID_CROSS_ENTROPY)
            run->typed->sigmoid_function(call->function, x, out, n);
        else
            partial->sum = run->typed->sigmoid_loss(x, target, loss, out, n, call->coefficient);
        if (wide)
            partial->sum = wide_elements(run, x, loss, out, n, buffers);
        if (out == buffers->out)
            copy_elements(run, &call->out, first, n, out, run->dtype, 1);
        if (loss == buffers->loss && call->loss.data)
            copy_elements(run, &call->loss, first, n, loss, run->dtype, 1);
    }
}

/* ---- losses with options --------------------------------------------------------------------- */

/* In double as well: targets that float would round, and losses and slopes, or their factor,
 * that float would round below the normal numbers before the other magnifies that. */
static int needs_double(const struct crossent_sigmoid *call)
{
    const double factor = fabs(call->coefficient);
    const int magnified = factor > 4 || (factor < 0x1p-100 && factor != 0);
    return is_half(call->logits.dtype) || magnified;
}

static int needs_pieces(const struct crossent_sigmoid *call)
{
    return call->function == CROSSENT_BINARY_CROSS_ENTROPY ||
           (call->function == CROSSENT_SIGMOID_CROSS_ENTROPY &&
            (call->options || needs_double(call)));
}

static void fault(struct block_sum *sum, int status, size_t element, double value)
{
    if (partial_fault(&sum->partial, status, element, 0))
        sum->fault_value = value;
}

/* The elements that take part and whose x lies outside [low, high] (or is NaN) are faults. */
static void check_range(const struct elements *e, size_t first, const double *x, double low,
                        double high, int status, struct block_sum *sum)
{
    size_t bad = 0;
    for (size_t i = 0; i < e->count; i++)
        bad += !(x[i] >= low && x[i] <= high);
    for (size_t i = 0; bad && i < e->count; i++)
        if (e->sample[i] != 0 && !(x[i] >= low && x[i] <= high))
            fault(sum, status, first + i, x[i]);
}

/* Targets and sample weights of a piece; an element that takes no part gets weight 0. */
static void element_weights(const struct sigmoid_run *run, size_t first, struct elements *e,
                            struct block_sum *sum)
{
    const struct crossent_sigmoid_options *o = run->call->options;
    double *weight = e->sample, *target = e->target;
    copy_elements(run, &run->call->target, first, e->count, target, CROSSENT_F64, 0);
    for (size_t i = 0; i < PIECE; i++)
        weight[i] = i < e->count;
    if (o->sample_weight.data) {
        copy_elements(run, &o->sample_weight, first, e->count, weight, CROSSENT_F64, 0);
        check_range(e, first, weight, 0, DBL_MAX, CROSSENT_BAD_WEIGHT, sum);
    }
    for (size_t i = 0; o->missing && i < e->count; i++)
        weight[i] = target[i] == target[i] ? weight[i] : 0;
    for (size_t k = 0; k < o->ignored; k++)
        for (size_t i = 0; i < e->count; i++)
            weight[i] = target[i] == (double)o->ignore[k] ? 0 : weight[i];
    if (o->validate)
        check_range(e, first, target, 0, 1, CROSSENT_BAD_LABEL, sum);
}

/* Probabilities beyond [0, 1]; logits that are not finite, where the caller wants to know of them
 * or to leave them out. */
static void element_faults(const struct sigmoid_run *run, size_t first, struct elements *e,
                           struct block_sum *sum)
{
    const enum crossent_nonfinite rule = run->call->options->nonfinite;
    if (run->call->function == CROSSENT_BINARY_CROSS_ENTROPY)
        check_range(e, first, e->x, 0, 1, CROSSENT_BAD_PROBABILITY, sum);
    else if (rule == CROSSENT_REPORT)
        check_range(e, first, e->x, -DBL_MAX, DBL_MAX, CROSSENT_BAD_LOGITS, sum);
    for (size_t i = 0; rule == CROSSENT_ZERO && i < e->count; i++)
        e->sample[i] = fabs(e->x[i]) <= DBL_MAX ? e->sample[i] : 0;
}

/* Whether the prediction, 1 where p > 1/2, is that of the target. */
static void write_correct(const struct sigmoid_run *run, size_t first, struct elements *e)
{
    const struct crossent_sigmoid_options *o = run->call->options;
    const double half = run->call->function == CROSSENT_BINARY_CROSS_ENTROPY ? 0.5 : 0;
    if (!o->correct.data)
        return;
    for (size_t i = 0; i < e->count; i++)
        e->target[i] = e->sample[i] != 0 && (e->x[i] > half) == (e->target[i] > 0.5);
    copy_elements(run, &o->correct, first, e->count, e->target, CROSSENT_F64, 1);
}

static void write_piece(const struct sigmoid_run *run, size_t first, struct elements *e)
{
    const struct crossent_sigmoid *call = run->call;
    const struct crossent_sigmoid_options *o = call->options;
    const struct crossent_array *arrays[] = {&call->out, &call->loss, &o->hessian,
                                             &o->probability};
    double *results[] = {e->gradient, e->loss, e->hessian, e->probability};
    write_correct(run, first, e);
    if (o->accumulate && call->out.data) {
        copy_elements(run, &call->out, first, e->count, e->x, CROSSENT_F64, 0);
        for (size_t i = 0; i < e->count; i++)
            e->gradient[i] += e->x[i];
    }
    for (int i = 0; i < 4; i++)
        if (arrays[i]->data)
            copy_elements(run, arrays[i], first, e->count, results[i], CROSSENT_F64, 1);
}

/* Every derivative times `vector`: the Hessian is diagonal. */
static void multiply_by(const struct sigmoid_run *run, const struct crossent_array *vector,
                        size_t first, struct elements *e)
{
    copy_elements(run, vector, first, e->count, e->gradient, CROSSENT_F64, 0);
    for (size_t i = 0; i < e->count; i++)
        e->upstream[i] = (run->call->options->upstream.data ? e->upstream[i] : 1) * e->gradient[i];
}

static void pieces_task(void *context, size_t begin, size_t end)
{
    struct sigmoid_run *run = context;
    const struct crossent_sigmoid *call = run->call;
    const struct crossent_sigmoid_options *o = call->options;
    struct elements *e = run_memory(run);
    if (!e)
        return;
    memset(e->x, 0, sizeof e->x);
    memset(e->target, 0, sizeof e->target);
    for (size_t i = 0; i < PIECE; i++)
        e->positive[i] = e->upstream[i] = 1;
    for (size_t block = begin; block < end; block++) {
        struct block_sum *sum = &run->sums[block];
        size_t first = block * PIECE;
        sum->partial = (struct partial){.fault_row = SIZE_MAX};
        e->count = smaller(PIECE, run->elements - first);
        copy_elements(run, &call->logits, first, e->count, e->x, CROSSENT_F64, 0);
        element_weights(run, first, e, sum);
        element_faults(run, first, e, sum);
        if (o->pos_weight.data)
            copy_elements(run, &o->pos_weight, first, e->count, e->positive, CROSSENT_F64, 0);
        if (o->upstream.data)
            copy_elements(run, &o->upstream, first, e->count, e->upstream, CROSSENT_F64, 0);
        if (o->vector.data)
            multiply_by(run, &o->vector, first, e);
        sum->partial.sum = run->kernels->binary_loss(call, e);
        write_piece(run, first, e);
    }
}

static void weigh_task(void *context, size_t begin, size_t end)
{
    struct sigmoid_run *run = context;
    struct elements *e = run_memory(run);
    if (!e)
        return;
    for (size_t block = begin; block < end; block++) {
        struct block_sum *sum = &run->sums[block];
        size_t first = block * PIECE;
        sum->partial = (struct partial){.fault_row = SIZE_MAX};
        e->count = smaller(PIECE, run->elements - first);
        element_weights(run, first, e, sum);
        sum->partial.weight = run->kernels->sum(e->sample, e->count);
        for (size_t i = 0; i < e->count; i++)
            sum->partial.count += e->sample[i] != 0;
    }
}

/* ---- blocks and threads ---------------------------------------------------------------------- */

static void add_blocks(const struct block_sum *sums, size_t blocks, struct block_sum *total)
{
    *total = (struct block_sum){.partial.fault_row = SIZE_MAX};
    for (size_t b = 0; b < blocks; b++) {
        const struct partial *p = &sums[b].partial;
        if (partial_merge(&total->partial, p))
            total->fault_value = sums[b].fault_value;
    }
}

/* Runs `task` over all blocks and adds up what they give. */
static int run_blocks(struct crossent_sigmoid *call, size_t block,
                      void (*task)(void *, size_t, size_t), struct block_sum *total)
{
    struct block_sum here[64];
    static const struct crossent_sigmoid_options none;
    const struct crossent_sigmoid_options *given = call->options;
    const struct kernels *kernels = current_kernels();
    call->options = given ? given : &none;
    struct sigmoid_run run = {.call = call, .kernels = kernels, .sums = here};
    int wide = call->logits.dtype == CROSSENT_F64;
    run.typed = wide ? kernels->f64 : kernels->f32;
    run.dtype = wide ? CROSSENT_F64 : CROSSENT_F32;
    run.elements = call->rows * call->classes;
    size_t blocks = pieces_of(run.elements, block);
    if (blocks > sizeof here / sizeof *here)
        run.sums = malloc(blocks * sizeof *run.sums);
    if (!run.sums) {
        call->options = given;
        return CROSSENT_NO_MEMORY;
    }
    parallel_for(blocks, run.elements < PARALLEL_ELEMENTS ? 1 : call->threads, task, &run);
    if (!run.no_memory)
        add_blocks(run.sums, blocks, total);
    if (run.sums != here)
        free(run.sums);
    call->options = given;
    if (run.no_memory)
        return CROSSENT_NO_MEMORY;
    call->fault_element = total->partial.fault_row;
    call->fault_value = total->fault_value;
    call->faults = total->partial.faults;
    return total->partial.status;
}

int crossent_sigmoid(struct crossent_sigmoid *call)
{
    const uint64_t mode = arithmetic_begin();
    struct block_sum total;
    int pieces = needs_pieces(call);
    int status =
        run_blocks(call, pieces ? PIECE : BLOCK, pieces ? pieces_task : plain_task, &total);
    if (status != CROSSENT_NO_MEMORY)
        call->total = total.partial.sum + total.partial.low;
    arithmetic_end(mode);
    return status;
}

int crossent_weigh_sigmoid(struct crossent_sigmoid *call)
{
    const uint64_t mode = arithmetic_begin();
    struct block_sum total;
    int status = run_blocks(call, PIECE, weigh_task, &total);
    if (status != CROSSENT_NO_MEMORY) {
        call->weight = total.partial.weight + total.partial.weight_low;
        call->count = total.partial.count;
    }
    arithmetic_end(mode);
    return status;
}
