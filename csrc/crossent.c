/* The drivers: rows into groups, groups through the kernels, sums in a fixed order.
 *
 * a) Rows are cut into slabs whose size depends on the number of classes alone. Threads take whole
 *    slabs; each slab's sum is its own, and slabs are added in order. So the bits of a result do not
 *    depend on the number of threads.
 * b) Inside a slab rows go through the kernels in groups. A row's result depends on its own elements
 *    only (kernels.h), so groups may be cut anywhere.
 * c) A label is read once, and checked where it is used as an index.
 */
#include "crossent.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch.h"
#include "kernels.h"
#include "parallel.h"

enum {
    SLAB_ELEMENTS = 1 << 14,    /* a slab is about this large, but at most SLAB_ROWS rows */
    SLAB_ROWS = 256,
    GROUP_BYTES = 1 << 15,      /* a group of long rows fits the first-level cache */
    PARALLEL_ELEMENTS = 1 << 15 /* below this a second thread costs more than it saves */
};

static size_t at_least_one(size_t n) { return n ? n : 1; }

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

/* ---- walking the rows -------------------------------------------------------------------- */

struct cursor {
    size_t index[CROSSENT_MAX_DIMS];
};

static struct cursor cursor_at(const size_t *shape, size_t ndim, size_t row)
{
    struct cursor cursor = {{0}};
    for (size_t d = ndim; d-- > 0; row /= shape[d])
        cursor.index[d] = row % shape[d];
    return cursor;
}

static void cursor_next(struct cursor *cursor, const size_t *shape, size_t ndim)
{
    for (size_t d = ndim; d-- > 0; cursor->index[d] = 0)
        if (++cursor->index[d] < shape[d])
            return;
}

static char *row_of(const struct crossent_array *array, const struct cursor *cursor, size_t ndim)
{
    char *p = array->data;
    for (size_t d = 0; d < ndim; d++)
        p += (ptrdiff_t)cursor->index[d] * array->stride[d];
    return p;
}

/* Pointers to n rows from `cursor` on. */
static void row_pointers(const struct crossent_array *array, struct cursor cursor,
                         const size_t *shape, size_t ndim, size_t n, char **p)
{
    char *first = row_of(array, &cursor, ndim);
    if (ndim <= 1) {
        for (size_t i = 0; i < n; i++)
            p[i] = first + (ptrdiff_t)i * (ndim ? array->stride[0] : 0);
        return;
    }
    for (size_t i = 0; i < n; i++, cursor_next(&cursor, shape, ndim))
        p[i] = row_of(array, &cursor, ndim);
}

/* ---- sums -------------------------------------------------------------------------------- */

struct partial {
    double sum, low;     /* sum + low, by two-sum */
    size_t fault_row;    /* the first row with a bad label, or SIZE_MAX */
};

static void partial_add(struct partial *p, double x)
{
    double s = p->sum + x, back = s - p->sum;
    double lost = (p->sum - (s - back)) + (x - back);
    p->low += isfinite(s) ? lost : 0;
    p->sum = s;
}

/* ---- labels ------------------------------------------------------------------------------ */

/* Labels as int64; what does not fit becomes -1, which no class has. */
static void read_labels(char *const *p, enum crossent_dtype dtype, size_t n, int64_t *to)
{
    for (size_t i = 0; i < n; i++)
        switch (dtype) {
        case CROSSENT_I8: to[i] = *(const int8_t *)p[i]; break;
        case CROSSENT_U8: to[i] = *(const uint8_t *)p[i]; break;
        case CROSSENT_I16: to[i] = *(const int16_t *)p[i]; break;
        case CROSSENT_U16: to[i] = *(const uint16_t *)p[i]; break;
        case CROSSENT_I32: to[i] = *(const int32_t *)p[i]; break;
        case CROSSENT_U32: to[i] = *(const uint32_t *)p[i]; break;
        case CROSSENT_I64: to[i] = *(const int64_t *)p[i]; break;
        case CROSSENT_U64: {
            uint64_t label = *(const uint64_t *)p[i];
            to[i] = label > INT64_MAX ? -1 : (int64_t)label;
            break;
        }
        default: to[i] = -1;
        }
}

/* ---- softmax ----------------------------------------------------------------------------- */

struct softmax_run {
    struct crossent_softmax *call;
    const struct kernels *kernels;
    const struct typed_kernels *typed;
    size_t size;                 /* bytes of an element */
    size_t slab, group;          /* rows */
    struct partial *partials;    /* one per slab */
    int no_memory;
};

static void store_real(char *p, size_t size, double x)
{
    if (size == sizeof(float))
        *(float *)p = (float)x;
    else
        *(double *)p = x;
}

/* Repeats the last row up to a whole tile (short_rows.inc.h). */
static void pad_rows(struct rows *rows)
{
    size_t last = rows->count - 1;
    for (size_t r = rows->count; r < GROUP && r % 16; r++) {
        rows->x[r] = rows->x[last];
        rows->anchor[r] = rows->anchor[last];
        rows->coefficient[r] = 0;
    }
}

/* Takes the n rows from `row` on that take part into `rows`; rows->source says which they are. */
static void gather_rows(const struct softmax_run *run, size_t row, size_t n,
                        const struct cursor *cursor, struct rows *rows, struct partial *partial)
{
    const struct crossent_softmax *call = run->call;
    char *p[GROUP];
    size_t kept = 0;

    for (size_t i = 0; i < n; i++)
        rows->anchor[i] = -1;
    if (call->target.data) {
        row_pointers(&call->target, *cursor, call->shape, call->ndim, n, p);
        read_labels(p, call->target.dtype, n, rows->anchor);
    }
    for (size_t i = 0; i < n; i++) {
        int64_t label = rows->anchor[i];
        rows->source[kept] = i;
        rows->anchor[kept] = label;
        if (!call->target.data || (label >= 0 && (uint64_t)label < call->classes))
            kept++;
        else
            partial->fault_row = row + i < partial->fault_row ? row + i : partial->fault_row;
    }
    rows->count = kept;
    row_pointers(&call->logits, *cursor, call->shape, call->ndim, n, p);
    for (size_t r = 0; r < kept; r++) {
        rows->x[r] = p[rows->source[r]];
        rows->coefficient[r] = call->coefficient;
    }
    if (call->output == CROSSENT_NOTHING)
        return;
    row_pointers(&call->out, *cursor, call->shape, call->ndim, n, p);
    for (size_t r = 0; r < kept; r++) {
        rows->out[r] = p[rows->source[r]];
        if (call->out.step == (ptrdiff_t)run->size)
            rows->exps[r] = rows->out[r];
    }
}

/* Stores one number a row. */
static void scatter_rows(const struct softmax_run *run, const struct crossent_array *array, size_t n,
                         const struct cursor *cursor, const struct rows *rows, const double *values)
{
    char *p[GROUP];
    if (!array->data)
        return;
    row_pointers(array, *cursor, run->call->shape, run->call->ndim, n, p);
    for (size_t r = 0; r < rows->count; r++)
        store_real(p[rows->source[r]], run->size, values[r]);
}

/* The sum of a group's losses: GROUP / 4 lanes, each in order, then in halves. */
static double group_sum(const struct rows *rows)
{
    double lane[GROUP / 4] = {0};
    for (size_t r = 0; r < rows->count; r++)
        lane[r % (GROUP / 4)] += rows->loss[r];
    for (size_t half = GROUP / 8; half; half /= 2)
        for (size_t i = 0; i < half; i++)
            lane[i] += lane[i + half];
    return lane[0];
}

static void softmax_slab(struct softmax_run *run, size_t slab, struct rows *rows,
                         struct scratch *scratch)
{
    const struct crossent_softmax *call = run->call;
    size_t row = slab * run->slab;
    size_t end = row + run->slab < call->rows ? row + run->slab : call->rows;
    struct partial *partial = &run->partials[slab];

    *partial = (struct partial){0, 0, SIZE_MAX};
    for (size_t n; row < end; row += n) {
        n = smaller(run->group, end - row);
        struct cursor cursor = cursor_at(call->shape, call->ndim, row);
        gather_rows(run, row, n, &cursor, rows, partial);
        if (rows->count == 0)
            continue;
        pad_rows(rows);
        rows->shifted = 0;
        run->typed->statistics(rows, scratch, call->output);
        run->kernels->epilogue(rows, run->typed->bias);
        if (call->output != CROSSENT_NOTHING)
            run->typed->write(rows, scratch, call->output);
        scatter_rows(run, &call->loss, n, &cursor, rows, rows->loss);
        scatter_rows(run, &call->logsumexp, n, &cursor, rows, rows->logsumexp);
        partial_add(partial, group_sum(rows));
    }
}

static int keeps_exps(const struct crossent_softmax *call)
{
    return call->classes > TILE_CLASSES &&
           (call->output == CROSSENT_GRADIENT || call->output == CROSSENT_SOFTMAX);
}

static void softmax_task(void *context, size_t begin, size_t end)
{
    struct softmax_run *run = context;
    const struct crossent_softmax *call = run->call;
    struct rows rows;
    struct scratch scratch;
    int own_exps = keeps_exps(call) && call->out.step != (ptrdiff_t)run->size;
    size_t row_bytes = (call->classes * run->size + 63) / 64 * 64;
    char *exps = own_exps ? malloc(run->group * row_bytes) : NULL;

    memset(&rows, 0, sizeof rows);
    rows.classes = call->classes;
    rows.x_step = call->logits.step;
    rows.out_step = call->out.step;
    scratch.factors = NULL;
    if (call->classes > BLOCK)
        scratch.factors = malloc(run->group * block_count(call->classes) * sizeof(double));
    if ((own_exps && !exps) || (call->classes > BLOCK && !scratch.factors)) {
        run->no_memory = 1;
    } else {
        for (size_t r = 0; own_exps && r < run->group; r++)
            rows.exps[r] = exps + r * row_bytes;
        for (size_t slab = begin; slab < end; slab++)
            softmax_slab(run, slab, &rows, &scratch);
    }
    free(exps);
    free(scratch.factors);
}

int crossent_softmax(struct crossent_softmax *call)
{
    struct partial here[64];
    struct softmax_run run = {.call = call, .kernels = current_kernels(), .partials = here};
    run.size = call->logits.dtype == CROSSENT_F64 ? sizeof(double) : sizeof(float);
    run.typed = call->logits.dtype == CROSSENT_F64 ? run.kernels->f64 : run.kernels->f32;
    run.slab = at_least_one(smaller(SLAB_ROWS, SLAB_ELEMENTS / call->classes));
    run.group = call->classes <= TILE_CLASSES
        ? GROUP
        : at_least_one(smaller(GROUP, GROUP_BYTES / (call->classes * run.size)));

    size_t slabs = (call->rows + run.slab - 1) / run.slab;
    if (slabs > sizeof here / sizeof *here)
        run.partials = malloc(slabs * sizeof *run.partials);
    if (!run.partials)
        return CROSSENT_NO_MEMORY;
    int small = call->rows * call->classes < PARALLEL_ELEMENTS;
    parallel_for(slabs, small ? 1 : call->threads, softmax_task, &run);

    struct partial total = {0, 0, SIZE_MAX};
    for (size_t s = 0; s < slabs && !run.no_memory; s++) {
        partial_add(&total, run.partials[s].sum);
        total.low += run.partials[s].low;
        total.fault_row = smaller(total.fault_row, run.partials[s].fault_row);
    }
    if (run.partials != here)
        free(run.partials);
    call->total = total.sum + total.low;
    call->fault_row = total.fault_row;
    return run.no_memory ? CROSSENT_NO_MEMORY
                         : total.fault_row != SIZE_MAX ? CROSSENT_BAD_LABEL : CROSSENT_OK;
}

/* ---- elements ---------------------------------------------------------------------------- */

struct sigmoid_run {
    struct crossent_sigmoid *call;
    const struct typed_kernels *typed;
    size_t size, elements;
    int flat[4];                 /* logits, target, out, loss: one run of adjacent elements? */
    struct partial *partials;    /* one per block */
};

static size_t element_size(enum crossent_dtype dtype)
{
    switch (dtype) {
    case CROSSENT_I8: case CROSSENT_U8: return 1;
    case CROSSENT_I16: case CROSSENT_U16: return 2;
    case CROSSENT_F32: case CROSSENT_I32: case CROSSENT_U32: return 4;
    default: return 8;
    }
}

static int is_flat(const struct crossent_sigmoid *call, const struct crossent_array *array)
{
    ptrdiff_t expected = (ptrdiff_t)element_size(array->dtype);
    if (call->classes > 1 && array->step != expected)
        return 0;
    expected *= (ptrdiff_t)call->classes;
    for (size_t d = call->ndim; d-- > 0; expected *= (ptrdiff_t)call->shape[d])
        if (call->shape[d] > 1 && array->stride[d] != expected)
            return 0;
    return 1;
}

/* Calls for the n elements from `first` on, in the order of a contiguous array, run by run. */
static void copy_elements(const struct sigmoid_run *run, const struct crossent_array *array,
                          size_t first, size_t n, char *buffer, int into_array)
{
    const struct crossent_sigmoid *call = run->call;
    struct cursor cursor = cursor_at(call->shape, call->ndim, first / call->classes);
    size_t column = first % call->classes;
    for (size_t done = 0, length; done < n; done += length, column = 0) {
        length = smaller(call->classes - column, n - done);
        char *p = row_of(array, &cursor, call->ndim) + (ptrdiff_t)column * array->step;
        char *b = buffer + done * run->size;
        if (into_array)
            for (size_t i = 0; i < length; i++)
                memcpy(p + (ptrdiff_t)i * array->step, b + i * run->size, run->size);
        else {
            const void *x = run->typed->load(p, array->step, array->dtype, length, b);
            if (x != b)
                memcpy(b, x, length * run->size);
        }
        cursor_next(&cursor, call->shape, call->ndim);
    }
}

static const void *load_block(const struct sigmoid_run *run, const struct crossent_array *array,
                              int flat, size_t first, size_t n, void *buffer)
{
    if (!array->data)
        return NULL;
    size_t size = element_size(array->dtype);
    if (flat)
        return run->typed->load(array->data + first * size, (ptrdiff_t)size, array->dtype, n,
                                buffer);
    copy_elements(run, array, first, n, buffer, 0);
    return buffer;
}

/* Where a block of results goes: into the array itself, or into a buffer that is copied later. */
static void *store_block(const struct sigmoid_run *run, const struct crossent_array *array, int flat,
                         size_t first, void *buffer)
{
    if (!array->data)
        return NULL;
    return flat ? array->data + first * run->size : buffer;
}

static void sigmoid_task(void *context, size_t begin, size_t end)
{
    struct sigmoid_run *run = context;
    const struct crossent_sigmoid *call = run->call;
    struct scratch scratch;
    double losses[BLOCK];
    for (size_t block = begin; block < end; block++) {
        size_t first = block * BLOCK, n = smaller(BLOCK, run->elements - first);
        const void *x = load_block(run, &call->logits, run->flat[0], first, n, scratch.load);
        const void *target = load_block(run, &call->target, run->flat[1], first, n,
                                        scratch.target);
        void *out = store_block(run, &call->out, run->flat[2], first, scratch.store);
        void *loss = store_block(run, &call->loss, run->flat[3], first, losses);
        run->partials[block] = (struct partial){0, 0, SIZE_MAX};
        if (call->function == CROSSENT_SIGMOID_CROSS_ENTROPY)
            run->partials[block].sum = run->typed->sigmoid_loss(x, target, loss, out, n,
                                                                call->coefficient);
        else
            run->typed->sigmoid_function(call->function, x, out, n);
        if (out && !run->flat[2])
            copy_elements(run, &call->out, first, n, out, 1);
        if (loss && !run->flat[3])
            copy_elements(run, &call->loss, first, n, loss, 1);
    }
}

int crossent_sigmoid(struct crossent_sigmoid *call)
{
    struct partial here[64];
    const struct kernels *kernels = current_kernels();
    struct sigmoid_run run = {.call = call, .partials = here};
    run.size = call->logits.dtype == CROSSENT_F64 ? sizeof(double) : sizeof(float);
    run.typed = call->logits.dtype == CROSSENT_F64 ? kernels->f64 : kernels->f32;
    run.elements = call->rows * call->classes;
    const struct crossent_array *arrays[] = {&call->logits, &call->target, &call->out, &call->loss};
    for (int i = 0; i < 4; i++)
        run.flat[i] = is_flat(call, arrays[i]);

    size_t blocks = (run.elements + BLOCK - 1) / BLOCK;
    if (blocks > sizeof here / sizeof *here)
        run.partials = malloc(blocks * sizeof *run.partials);
    if (!run.partials)
        return CROSSENT_NO_MEMORY;
    parallel_for(blocks, run.elements < PARALLEL_ELEMENTS ? 1 : call->threads, sigmoid_task, &run);
    struct partial total = {0, 0, SIZE_MAX};
    for (size_t b = 0; b < blocks; b++)
        partial_add(&total, run.partials[b].sum);
    if (run.partials != here)
        free(run.partials);
    call->total = total.sum + total.low;
    return CROSSENT_OK;
}
