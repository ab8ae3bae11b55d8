#include "linear.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/arithmetic.h"
#include "base/parallel.h"
#include "base/sizes.h"
#include "kernels/dense/table.h"
#include "kernels/dispatch.h"

enum {
    CLASS_BLOCK = 256,        /* classes: with 512 features, half a megabyte of weights */
    ROW_PIECE = 48          /* rows of a piece of x_grad: a multiple of the tiles' heights */
};

struct task {
    const struct linear *linear;
    const struct train_kernels *kernels;
    size_t size;                 /* bytes of an element */
    const char *x_transposed;    /* (features, rows) */
    char *to;                    /* what x_task adds to: (rows, features), or its transpose */
    atomic_int failed;
};

static void point_to_rows(const void **rows, const char *first, size_t n, size_t bytes)
{
    for (size_t r = 0; r < n; r++)
        rows[r] = first + r * bytes;
}

/* Scratch of one thread: pointers to up to `pointers` rows, and `elements` numbers. */
static const void **scratch_of(struct task *task, size_t pointers, size_t elements, char **numbers)
{
    const void **rows = malloc(pointers * sizeof *rows + elements * task->size + 64);
    if (!rows)
        atomic_store(&task->failed, 1);
    else
        *numbers = (char *)(rows + pointers);
    return rows;
}

/* ---- logits ------------------------------------------------------------------------------ */

/* z^T (n x rows) = W x^T for the classes [first, first + n), whose rows are read where they lie.
 * The transposition costs less than that of the weights, which the other order would need. */
static void logits_by_rows(struct task *task, size_t first, size_t n, const void **rows, char *z)
{
    const struct linear *l = task->linear;
    size_t size = task->size;
    struct product product = {.m = n, .n = l->rows, .k = l->features, .a = rows,
                              .a_stride = l->features, .b = task->x_transposed,
                              .b_stride = l->rows, .c = z, .c_stride = l->rows,
                              .accumulate = l->bias != NULL};
    point_to_rows(rows, (const char *)l->weight + first * l->features * size, n,
                  l->features * size);
    for (size_t c = 0; l->bias && c < n; c++)
        for (size_t r = 0; r < l->rows; r++)
            memcpy(z + (c * l->rows + r) * size, (const char *)l->bias + (first + c) * size, size);
    matrix_block(&l->matrix, &product, 0, n, 0, l->rows);
    task->kernels->transpose(z, l->rows, (char *)l->logits + first * size, l->classes, n, l->rows);
}

static void logits_task(void *task_, size_t begin, size_t end)
{
    struct task *task = task_;
    const struct linear *l = task->linear;
    size_t size = task->size;
    char *z;
    const void **rows = scratch_of(task, l->by_columns ? l->rows : CLASS_BLOCK,
                                   l->by_columns ? 0 : CLASS_BLOCK * l->rows, &z);
    for (size_t block = begin; rows && block < end; block++) {
        size_t first = block * CLASS_BLOCK, n = smaller(CLASS_BLOCK, l->classes - first);
        if (!l->by_columns) {
            logits_by_rows(task, first, n, rows, z);
            continue;
        }
        struct product product = {
            .m = l->rows, .n = n, .k = l->features, .a = rows, .a_stride = l->features,
            .b = (const char *)l->weight + first * size, .b_stride = l->classes,
            .c = (char *)l->logits + first * size, .c_stride = l->classes,
            .start = l->bias ? (const char *)l->bias + first * size : NULL};
        point_to_rows(rows, l->x, l->rows, l->features * size);
        matrix_block(&l->matrix, &product, 0, l->rows, 0, n);
    }
    free(rows);
}

/* ---- gradients --------------------------------------------------------------------------- */

/* The sums over the rows of the classes [first, first + n). */
static void add_to_bias(const struct task *task, size_t first, size_t n)
{
    const struct linear *l = task->linear;
    double *sums = l->bias_grad + first;
    for (size_t r = 0; r < l->rows; r++) {
        const char *delta = (const char *)l->logits + (r * l->classes + first) * task->size;
        if (task->size == sizeof(double))
            for (size_t c = 0; c < n; c++)
                sums[c] += ((const double *)delta)[c];
        else
            for (size_t c = 0; c < n; c++)
                sums[c] += (double)((const float *)delta)[c];
    }
}

static void weight_task(void *task_, size_t begin, size_t end)
{
    struct task *task = task_;
    const struct linear *l = task->linear;
    size_t size = task->size;
    char *unused;
    const void **rows = scratch_of(task, l->rows, 0, &unused);
    for (size_t block = begin; rows && block < end; block++) {
        size_t first = block * CLASS_BLOCK, n = smaller(CLASS_BLOCK, l->classes - first);
        const char *delta = (const char *)l->logits + first * size;
        struct product product = {.k = l->rows, .a = rows, .transposed = 1,
                                  .accumulate = l->accumulate};
        if (l->by_columns) {
            point_to_rows(rows, l->x, l->rows, l->features * size);
            product.m = product.a_stride = l->features;
            product.n = n;
            product.b = delta;
            product.b_stride = product.c_stride = l->classes;
            product.c = (char *)l->weight_grad + first * size;
        } else {
            point_to_rows(rows, delta, l->rows, l->classes * size);
            product.m = n;
            product.a_stride = l->classes;
            product.b = l->x;
            product.n = product.b_stride = product.c_stride = l->features;
            product.c = (char *)l->weight_grad + first * l->features * size;
        }
        matrix_block(&l->matrix, &product, 0, product.m, 0, product.n);
        if (l->bias_grad)
            add_to_bias(task, first, n);
    }
    free(rows);
}

/* The sum over all classes of one piece after the other; block by block, so that all pieces of this
 * thread find weights and logits in the cache. By columns it is the transpose that is summed, from
 * transposed logits, as the weights then lie right. */
static void x_task(void *task_, size_t begin, size_t end)
{
    struct task *task = task_;
    const struct linear *l = task->linear;
    size_t size = task->size, panel = task->kernels->panel;
    size_t m = l->by_columns ? l->features : l->rows, n = l->by_columns ? l->rows : l->features;
    size_t down = pieces_of(m, ROW_PIECE);
    char *z;
    const void **rows = scratch_of(task, m, l->by_columns ? CLASS_BLOCK * l->rows : 0, &z);
    for (size_t first = 0; rows && first < l->classes; first += CLASS_BLOCK) {
        size_t k = smaller(CLASS_BLOCK, l->classes - first);
        const char *delta = (const char *)l->logits + first * size;
        struct product product = {.m = m, .n = n, .k = k, .a = rows, .a_stride = l->classes,
                                  .b_stride = n, .c = task->to, .c_stride = n,
                                  .accumulate = first > 0};
        if (l->by_columns) {
            task->kernels->transpose(delta, l->classes, z, l->rows, l->rows, k);
            product.b = z;
        } else {
            product.b = (const char *)l->weight + first * l->features * size;
        }
        point_to_rows(rows, l->by_columns ? (const char *)l->weight + first * size : delta, m,
                      l->classes * size);
        for (size_t piece = begin; piece < end; piece++) {
            size_t i = piece % down * ROW_PIECE, j = piece / down * panel;
            matrix_block(&l->matrix, &product, i, smaller(m, i + ROW_PIECE), j,
                         smaller(n, j + panel));
        }
    }
    free(rows);
}

/* ---- both -------------------------------------------------------------------------------- */

static const struct train_kernels *kernels_of(enum crossent_dtype dtype)
{
    const struct kernels *kernels = current_kernels();
    return dtype == CROSSENT_F64 ? kernels->f64->train : kernels->f32->train;
}

int linear_suits_blas(enum crossent_dtype dtype) { return !kernels_of(dtype)->fused; }

/* The task, and a copy of the chunk's x or its gradient in the other order. */
static char *begin_task(struct task *task, struct linear *copy, const struct linear *linear)
{
    *copy = *linear;
    copy->matrix.kernels = kernels_of(linear->matrix.dtype);
    task->linear = copy;
    task->kernels = copy->matrix.kernels;
    task->size = linear->matrix.dtype == CROSSENT_F64 ? sizeof(double) : sizeof(float);
    atomic_init(&task->failed, 0);
    return malloc(linear->rows * linear->features * task->size + 64);
}

int linear_logits(const struct linear *linear)
{
    struct linear l;
    struct task task;
    char *other = begin_task(&task, &l, linear);
    if (!other)
        return CROSSENT_NO_MEMORY;
    if (!l.by_columns)
        task.kernels->transpose(l.x, l.features, other, l.rows, l.rows, l.features);
    task.x_transposed = other;
    const uint64_t mode = arithmetic_begin();
    parallel_for(pieces_of(l.classes, CLASS_BLOCK), l.matrix.threads, logits_task, &task);
    arithmetic_end(mode);
    free(other);
    return atomic_load(&task.failed) ? CROSSENT_NO_MEMORY : CROSSENT_OK;
}

int linear_gradients(const struct linear *linear)
{
    struct linear l;
    struct task task;
    char *other = begin_task(&task, &l, linear);
    size_t panel = task.kernels->panel;
    if (!other)
        return CROSSENT_NO_MEMORY;
    task.to = l.by_columns ? other : l.x_grad;
    size_t pieces = l.by_columns ? pieces_of(l.features, ROW_PIECE) * pieces_of(l.rows, panel)
                                 : pieces_of(l.rows, ROW_PIECE) * pieces_of(l.features, panel);
    const uint64_t mode = arithmetic_begin();
    parallel_for(pieces, l.matrix.threads, x_task, &task);
    if (l.by_columns)
        task.kernels->transpose(other, l.rows, l.x_grad, l.features, l.features, l.rows);
    parallel_for(pieces_of(l.classes, CLASS_BLOCK), l.matrix.threads, weight_task, &task);
    arithmetic_end(mode);
    free(other);
    return atomic_load(&task.failed) ? CROSSENT_NO_MEMORY : CROSSENT_OK;
}
