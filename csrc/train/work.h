/* What the loop of loop.c works with: one allocation for the arrays of a part of a batch. */
#ifndef CROSSENT_TRAIN_WORK_H
#define CROSSENT_TRAIN_WORK_H

#include "train.h"

/* Outputs of a layer, rows x out. With x the product and bias: `before` = x where the slope needs
 * it, `after` = f(x), `mask` = 0 or 1 / (1 - dropout), `next` = after * mask. Where two of them
 * hold the same numbers they are one array. */
struct outputs {
    char *before, *after, *mask, *next;
    const void **rows;            /* of next */
};

/* A run of parameters of one array, for the passes over all of them. */
struct block {
    const struct train_layer *layer;
    int is_bias;
    size_t first, n;
};

struct train_work {
    size_t rows;                  /* most rows of a part */
    size_t blocks, parameters;
    struct matrix_context matrix;
    size_t size;                  /* bytes of an element */
    int copy_rows;                /* BLAS reads the first layer's rows */
    struct outputs *outputs;
    char *x, *delta[2], *scratch, *partial, *target;   /* scratch, partial: of a product */
    const void **x_rows, **ahead, **delta_rows;
    size_t rows_ahead;            /* how many of the next part's rows `ahead` points to */
    size_t *order;
    double *weight;               /* of the part's rows */
    struct block *block;
    double *squares;              /* of each block's gradient */
    char *memory;
};

#endif
