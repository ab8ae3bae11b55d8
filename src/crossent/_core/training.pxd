# Mirror of csrc/include/train.h, same order: what the boundary needs of it.
from libc.stdint cimport uint64_t
from crossent.crossent cimport crossent_dtype, crossent_sigmoid_options, crossent_softmax

cdef extern from "matrix.h" nogil:
    struct matrix_blas:
        void *sgemm
        void *dgemm

    struct matrix_context:
        matrix_blas blas
        crossent_dtype dtype
        int threads

cdef extern from "linear.h" nogil:
    struct linear:
        matrix_context matrix
        size_t rows, features, classes
        int by_columns
        const void *x
        const void *weight
        const void *bias
        void *logits
        void *x_grad
        void *weight_grad
        double *bias_grad
        int accumulate

    int linear_suits_blas(crossent_dtype dtype)
    int linear_logits(const linear *call)
    int linear_gradients(const linear *call)

cdef extern from "train.h" nogil:

    enum train_status:
        TRAIN_BAD_ROW, TRAIN_BAD_LOSS, TRAIN_BAD_GRADIENT, TRAIN_EMPTY_CLASS

    enum train_activation:
        TRAIN_IDENTITY, TRAIN_RELU, TRAIN_TANH, TRAIN_SIGMOID, TRAIN_GELU

    struct train_layer:
        # `in` is a word of Python
        size_t inputs "in"
        size_t out
        train_activation activation
        double dropout
        void *weight
        void *bias
        void *weight_grad
        void *bias_grad
        void *weight_state[2]
        void *bias_state[2]

    struct train_net:
        crossent_dtype dtype
        size_t layers
        train_layer *layer
        matrix_blas blas
        int threads

    struct train_chunk:
        const char *data
        ptrdiff_t stride, step
        size_t begin
        int converts, swapped
        crossent_dtype dtype

    struct train_data:
        size_t rows, chunks
        const train_chunk *chunk
        const char *target
        crossent_dtype target_dtype
        size_t target_columns
        const double *weight

    enum train_divisor:
        TRAIN_WEIGHTS, TRAIN_VALID, TRAIN_ROWS, TRAIN_NUMBER

    struct train_loss:
        int elementwise
        crossent_softmax softmax
        crossent_sigmoid_options sigmoid
        int plain
        const double *class_weight
        size_t classes
        train_divisor divisor
        double number

    enum train_optimizer:
        TRAIN_SGD, TRAIN_ADAM

    struct train_update:
        train_optimizer optimizer
        double scale, rate, l2, l1, momentum
        int nesterov
        double beta1, beta2, epsilon, correction1, correction2, decay

    enum train_sampling:
        TRAIN_ALL, TRAIN_OVER, TRAIN_UNDER, TRAIN_BALANCED

    struct train_sums:
        double loss, divisor
        size_t rows, answers, correct

    struct train_work:
        pass

    struct train_run:
        train_net net
        train_data data
        train_loss loss
        train_update update
        size_t batch, accumulate
        double clip
        uint64_t seed, step
        const double *rates
        size_t *order
        size_t length, position, done, kept
        train_sums sums, of_step
        size_t fault_row
        train_work *work

    train_work *train_work_new(const train_net *net, size_t batch)
    void train_work_free(train_work *work)
    int train_suits_blas(const train_net *net, size_t batch)
    int train_batches(train_run *run, double seconds)
    int train_evaluate(train_run *run, void *out)
    int train_order_length(const train_data *data, train_sampling sampling, size_t classes,
                           size_t *length)
    int train_order(size_t *order, size_t length, const train_data *data, train_sampling sampling,
                    size_t classes, uint64_t seed, uint64_t epoch, int shuffle)
