/* The contract between the training loop (loop.c, matrix.c) and its kernels of one instruction
 * set. Every sum runs in one order that depends on no register length and no thread: a product adds
 * its terms by fma, k ascending (of few columns, if `columns` are given, as dense/columns.inc.h
 * says), and any tile of it may be computed alone. */
#ifndef CROSSENT_TRAIN_KERNELS_H
#define CROSSENT_TRAIN_KERNELS_H

#include <stddef.h>

#include "train.h"

struct train_kernels {
    int fused;              /* its fma is one instruction; else products belong to BLAS */
    size_t panel;           /* columns that a product works on at a time */
    size_t narrow, wide;    /* most columns of product.columns, and what they are padded to */
    /* Rows [i0, i1) and columns [j0, j1) of a product. */
    void (*multiply)(const struct product *, size_t i0, size_t i1, size_t j0, size_t j1);
    /* to (columns x rows) = from (rows x columns); strides are elements between rows. */
    void (*transpose)(const void *from, size_t from_stride, void *to, size_t to_stride, size_t rows,
                      size_t columns);
    /* to[i] = f(from[i]), which may be the same array. */
    void (*activate)(enum train_activation, const void *from, void *to, size_t n);
    /* grad[i] *= f'(before[i]), where after[i] = f(before[i]); only gelu reads `before`. */
    void (*differentiate)(enum train_activation, const void *before, const void *after, void *grad,
                          size_t n);
    /* sum[j] (+)= the sum of column j. */
    void (*column_sums)(const void *from, void *sum, size_t rows, size_t columns, int accumulate);
    int (*all_finite)(const void *x, size_t n);
    double (*sum_of_squares)(const void *x, size_t n);
    void (*update)(const struct train_update *, void *parameters, const void *grad, void *first,
                   void *second, size_t n);
    void (*multiply_elements)(void *x, const void *y, size_t n);   /* x[i] *= y[i] */
    void (*add)(void *x, const void *y, size_t n);                 /* x[i] += y[i] */
};

#endif
