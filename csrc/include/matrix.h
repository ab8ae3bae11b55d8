/* Products of matrices for the loop, by own kernels or by BLAS.
 *
 * a) Own kernels read the rows of a batch where they lie and need no packing, which wins while b
 *    fits the second-level cache; BLAS wins beyond, and where the machine has no fused
 *    multiply-add.
 * b) A product is cut into pieces of fixed size, whichever thread computes them, so that bits do
 *    not depend on the number of threads. BLAS must then run on the thread that calls it: its own
 *    thread count is the caller's to set to 1.
 */
#ifndef CROSSENT_MATRIX_H
#define CROSSENT_MATRIX_H

#include <stddef.h>

#include "crossent.h"

/* Fortran's gemm with 32-bit integers, for float and double; NULL: none. */
struct matrix_blas {
    void *sgemm, *dgemm;
};

struct train_kernels;

struct matrix_context {
    const struct train_kernels *kernels;
    struct matrix_blas blas;
    enum crossent_dtype dtype;
    int threads;
};

/* c (m x n) = start + sum over k of a * b. Strides count elements; columns are adjacent. */
struct product {
    size_t m, n, k, k0;     /* the sum begins at k0 */
    const void *const *a;   /* rows by pointer: a[i][k], or a[k][i] where `transposed` */
    size_t a_stride;        /* between those rows; 0: they lie anywhere, which BLAS cannot read */
    int transposed;
    const void *const *ahead; /* rows that are read next, as many as these, or NULL */
    const void *b;          /* k x n */
    size_t b_stride;
    void *c;
    size_t c_stride;
    const void *start;      /* n numbers, added to each row; NULL: 0 */
    int accumulate;         /* instead of `start`: c itself */
    void *scratch;          /* of matrix_scratch elements, for few columns (faster) or NULL */
    void *partial;          /* m x n, for the second half of long sums, or NULL: not in halves */
    const void *columns;    /* b by columns, zeros after each: matrix_multiply sets it */
    size_t column_stride;
};

/* Elements of the scratch for b (k x n). */
size_t matrix_scratch(size_t n, size_t k);

/* Whether BLAS, if there, is the better choice for b (k x n). */
int matrix_suits_blas(const struct matrix_context *context, size_t n, size_t k);
void matrix_multiply(const struct matrix_context *context, const struct product *product);

/* How many threads can share a product; 1 where a second one costs more than it saves. */
size_t matrix_pieces(const struct matrix_context *context, const struct product *product);

/* Rows [i0, i1) and columns [j0, j1) on this thread; by BLAS only where no own kernel is fast. */
void matrix_block(const struct matrix_context *context, const struct product *product, size_t i0,
                  size_t i1, size_t j0, size_t j1);

/* c (m x n) = a (m x k) @ b^T, b (n x k), all contiguous but for the rows of a; needs scratch. */
void matrix_multiply_transposed(const struct matrix_context *context,
                                const struct product *product);

#endif
