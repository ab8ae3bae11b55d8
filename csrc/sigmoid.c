/* The driver of the elementwise losses and functions: the elements in blocks of BLOCK, in the order of
 * a contiguous array whatever their strides, so that the sum does not depend on the layout. */
#include <stdlib.h>
#include <string.h>

#include "crossent.h"
#include "dispatch.h"
#include "kernels.h"
#include "parallel.h"
#include "walk.h"

enum { PARALLEL_ELEMENTS = 1 << 15 };  /* below this a second thread costs more than it saves */

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
        run->partials[block] = (struct partial){.fault_row = SIZE_MAX};
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
    struct partial total = {.fault_row = SIZE_MAX};
    for (size_t b = 0; b < blocks; b++)
        partial_add(&total, run.partials[b].sum);
    if (run.partials != here)
        free(run.partials);
    call->total = total.sum + total.low;
    return CROSSENT_OK;
}
