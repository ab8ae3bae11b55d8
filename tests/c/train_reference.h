/* The mini-batch loop, slow and obvious: row by row, in double. */
#ifndef CROSSENT_TESTS_TRAIN_REFERENCE_H
#define CROSSENT_TESTS_TRAIN_REFERENCE_H

#include "train.h"

enum { MOST_LAYERS = 3, MOST_WIDTH = 64 };

struct layer {
    size_t in, out;
    enum train_activation activation;
    double dropout;
    int has_bias;
    double *weight, *bias;                   /* (in, out); (out) */
    double *weight_grad, *bias_grad, *weight_state[2], *bias_state[2];
};

/* Data and options of a test, for both loops. Targets: labels, or rows of `columns` numbers. */
struct training {
    enum crossent_dtype dtype, target_dtype;
    size_t layers, rows, batch, accumulate, epochs, columns;
    struct layer layer[MOST_LAYERS];
    const double *x, *target, *row_weight;
    const double *class_weight;
    int elementwise;
    int64_t ignore;                          /* softmax labels; -1: none */
    enum train_divisor divisor;
    double number, clip;
    struct train_update update;
    double rate;
    uint64_t seed;
    size_t chunks;
    ptrdiff_t step;                          /* elements between features */
    int threads, blas;
};

/* The order of an epoch without sampling. */
void reference_order(size_t *order, size_t rows, uint64_t seed, uint64_t epoch);

/* Trains t->layer; sums[e]: of epoch e. */
void reference_train(struct training *t, struct train_sums *sums);

#endif
