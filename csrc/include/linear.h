/* The products of a linear layer whose logits exist for a chunk of rows only (_linear.py).
 *
 * All run over blocks of classes that stay in the second-level cache, so that a chunk reads the
 * weights and their gradient from memory once a product. Sums over features, classes and rows run
 * in ascending order whatever the number of threads and of blocks.
 */
#ifndef CROSSENT_LINEAR_H
#define CROSSENT_LINEAR_H

#include <stddef.h>

#include "matrix.h"
#include "module.h"

/* Row-major and contiguous, but for the weights and their gradient: (classes, features), or
 * (features, classes) where `by_columns`. */
struct linear {
    struct matrix_context matrix;
    size_t rows, features, classes;
    int by_columns;
    const void *x, *weight, *bias;   /* (rows, features); bias (classes) or NULL */
    void *logits;                    /* (rows, classes); their gradient in the second function */
    void *x_grad, *weight_grad;
    double *bias_grad;               /* (classes), or NULL; chunks are always added to it */
    int accumulate;                  /* weight_grad keeps what it holds */
};

/* Whether BLAS, if there, is the better choice on this machine. */
CROSSENT_MODULE int linear_suits_blas(enum crossent_dtype dtype);

/* logits = x @ weight^T + bias. */
CROSSENT_MODULE int linear_logits(const struct linear *linear);

/* x_grad = logits @ weight, weight_grad (+)= logits^T @ x, bias_grad += the sums of columns, row by
 * row: whatever the chunks, the order is the same. */
CROSSENT_MODULE int linear_gradients(const struct linear *linear);

#endif
