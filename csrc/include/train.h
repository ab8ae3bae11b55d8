/* The mini-batch loop: whole epochs on the caller's arrays, without Python.
 *
 * a) The caller owns every array: parameters, gradients, moments, data. This side owns a workspace
 *    (`struct train_work`) with the activations of one batch, or of a part of a large one.
 * b) `train_batches` runs until the epoch ends or its time is up, always between two parts. So the
 *    caller can look for signals, draw a progress bar, and finds the parameters of a whole step.
 * c) A step whose loss or gradient is not finite changes nothing: parameters and moments stay as
 *    the last good step left them.
 * d) All numbers depend on the seed alone: the order of the rows and the dropped outputs come from
 *    counters (data.c), every sum has one order (dense/table.h, matrix.h).
 */
#ifndef CROSSENT_TRAIN_H
#define CROSSENT_TRAIN_H

#include <stddef.h>
#include <stdint.h>

#include "crossent.h"
#include "matrix.h"
#include "module.h"

enum train_status {
    TRAIN_BAD_ROW = 100,     /* row `fault_row` of the data holds NaN or infinity */
    TRAIN_BAD_LOSS,          /* the loss is not finite, though the data are */
    TRAIN_BAD_GRADIENT,      /* the gradient is not finite, though the loss is */
    TRAIN_EMPTY_CLASS        /* sampling by class found no row of some class */
};

enum train_activation { TRAIN_IDENTITY, TRAIN_RELU, TRAIN_TANH, TRAIN_SIGMOID, TRAIN_GELU };

/* y = f(x @ weight + bias), all contiguous. Gradients and moments have the parameters' shapes; the
 * moments are NULL where the optimiser keeps none. */
struct train_layer {
    size_t in, out;
    enum train_activation activation;
    double dropout;                        /* share of the outputs that training sets to 0 */
    void *weight, *bias;                   /* (in, out); (out) or NULL */
    void *weight_grad, *bias_grad;
    void *weight_state[2], *bias_state[2];
};

struct train_net {
    enum crossent_dtype dtype;
    size_t layers;
    struct train_layer *layer;
    struct matrix_blas blas;
    int threads;
};

/* Rows of features, in one array or in several; `begin` counts the rows before a chunk. A chunk that
 * `converts` has another type than the network, the other byte order (`swapped`), or numbers at any
 * address: its rows are converted as they are gathered. */
struct train_chunk {
    const char *data;
    ptrdiff_t stride, step;                /* bytes between rows, between features */
    size_t begin;
    int converts, swapped;
    enum crossent_dtype dtype;             /* where it converts */
};

struct train_data {
    size_t rows, chunks;
    const struct train_chunk *chunk;
    const char *target;                    /* contiguous; NULL where no loss is asked for */
    enum crossent_dtype target_dtype;
    size_t target_columns;                 /* 0: class indices */
    const double *weight;                  /* of the rows, or NULL */
};

/* What the mean of a step divides by: the weights that took part, the rows that did, all rows, or a
 * number of the caller's. */
enum train_divisor { TRAIN_WEIGHTS, TRAIN_VALID, TRAIN_ROWS, TRAIN_NUMBER };

/* The loss with its options, as the loss object prepared it; the loop fills in rows and
 * pointers. */
struct train_loss {
    int elementwise;                       /* sigmoid, else softmax */
    struct crossent_softmax softmax;
    struct crossent_sigmoid_options sigmoid;
    int plain;                             /* sigmoid: no option is set */
    const double *class_weight;            /* sigmoid: of the labels [0, classes), or NULL */
    size_t classes;
    enum train_divisor divisor;
    double number;
};

enum train_optimizer { TRAIN_SGD, TRAIN_ADAM };

/* One step of the optimiser. L2 and L1 act on weights, not on biases; so does `decay`. */
struct train_update {
    enum train_optimizer optimizer;
    double scale;                          /* of the gradient: 1 / divisor, and clipping */
    double rate, l2, l1;
    double momentum;                       /* SGD */
    int nesterov;
    double beta1, beta2, epsilon;          /* Adam */
    double correction1, correction2;       /* 1 - beta^t */
    double decay;                          /* decoupled, AdamW */
};

enum train_sampling { TRAIN_ALL, TRAIN_OVER, TRAIN_UNDER, TRAIN_BALANCED };

struct train_sums {
    double loss, divisor;                  /* mean loss = loss / divisor */
    size_t rows;                           /* that took part */
    size_t answers, correct;               /* of a sigmoid: one answer for each output */
};

struct train_work;

struct train_run {
    struct train_net net;
    struct train_data data;
    struct train_loss loss;
    struct train_update update;
    size_t batch, accumulate;              /* rows of a batch, batches of a step */
    double clip;                           /* largest norm of the gradient; infinity: any */
    uint64_t seed, step;                   /* steps done so far, ever */
    const double *rates;                   /* learning rate of each step of this epoch; NULL: the
                                            * gradients are wanted, no update and no dropout */
    size_t *order, length;                 /* rows of this epoch, and how many */
    size_t position;                       /* how many belong to steps that are done */
    size_t done;                           /* rows of the step under way that are done */
    size_t kept;                           /* those of its batch under way that took part */
    struct train_sums sums, of_step;       /* of the steps of this epoch; of the one under way */
    size_t fault_row;
    struct train_work *work;
};

/* Workspace for batches of `batch` rows, which are done in parts if they are large; NULL where
 * memory is short. */
CROSSENT_MODULE struct train_work *train_work_new(const struct train_net *net, size_t batch);
CROSSENT_MODULE void train_work_free(struct train_work *work);

/* Whether some product of the net is better left to BLAS. */
CROSSENT_MODULE int train_suits_blas(const struct train_net *net, size_t batch);

/* Goes on until the epoch's end (position == length) or for about `seconds`, which may be within a
 * step. */
CROSSENT_MODULE int train_batches(struct train_run *run, double seconds);

/* The next rows of the data, from `position` on, which moves: their outputs (logits) to their place
 * in `out`, contiguous, which may be NULL. With a target, adds the loss to the sums. */
CROSSENT_MODULE int train_evaluate(struct train_run *run, void *out);

/* The order of an epoch (data.c). `train_order_length` is the number of rows it will have;
 * 0 where a class of [0, classes) has no rows, as sampling by class needs them all. `length` of
 * `train_order` is that number, whatever the labels are by then. */
CROSSENT_MODULE int train_order_length(const struct train_data *data, enum train_sampling sampling,
                                       size_t classes, size_t *length);
CROSSENT_MODULE int train_order(size_t *order, size_t length, const struct train_data *data,
                                enum train_sampling sampling, size_t classes, uint64_t seed,
                                uint64_t epoch, int shuffle);

#endif
