# Mirror of csrc/include/crossent.h, same order.
from libc.stdint cimport int64_t

cdef extern from "crossent.h" nogil:
    enum: CROSSENT_MAX_DIMS

    enum crossent_status:
        CROSSENT_OK, CROSSENT_NO_MEMORY, CROSSENT_BAD_LABEL, CROSSENT_BAD_WEIGHT
        CROSSENT_BAD_LOGITS, CROSSENT_BAD_PROBABILITY

    enum crossent_dtype:
        CROSSENT_F32, CROSSENT_F64, CROSSENT_F16, CROSSENT_BF16
        CROSSENT_I8, CROSSENT_U8, CROSSENT_I16, CROSSENT_U16
        CROSSENT_I32, CROSSENT_U32, CROSSENT_I64, CROSSENT_U64

    struct crossent_array:
        char *data
        crossent_dtype dtype
        ptrdiff_t stride[CROSSENT_MAX_DIMS]
        ptrdiff_t step

    enum crossent_output:
        CROSSENT_NOTHING, CROSSENT_GRADIENT, CROSSENT_HESSIAN_VECTOR, CROSSENT_SOFTMAX
        CROSSENT_LOG_SOFTMAX

    enum crossent_hessian:
        CROSSENT_EXACT, CROSSENT_UPPER, CROSSENT_FRIEDMAN, CROSSENT_RESIDUAL

    enum crossent_nonfinite:
        CROSSENT_PROPAGATE, CROSSENT_ZERO, CROSSENT_REPORT

    struct crossent_softmax:
        size_t ndim
        size_t shape[CROSSENT_MAX_DIMS]
        size_t rows, classes
        crossent_array logits, target, out, hessian, vector, target_gradient
        crossent_array loss, logsumexp, probability, entropy, argmax, correct
        crossent_array sample_weight, upstream, class_mask
        const double *class_weight
        const int64_t *ignore
        size_t ignored
        double label_smoothing
        int smoothing_off_target, smoothing_by_target
        double focal_gamma
        const double *focal_alpha
        double z_loss, temperature, softcap
        crossent_output output
        crossent_hessian hessian_rule
        crossent_nonfinite nonfinite
        int accumulate
        double coefficient, coefficient_low
        int threads
        double total, weight
        size_t count, fault_row, fault_column, faults

    enum crossent_elementwise:
        CROSSENT_SIGMOID_CROSS_ENTROPY
        CROSSENT_SIGMOID, CROSSENT_LOG_SIGMOID, CROSSENT_SOFTPLUS
        CROSSENT_BINARY_CROSS_ENTROPY

    struct crossent_sigmoid_options:
        crossent_array hessian, vector, probability, correct
        crossent_array sample_weight, pos_weight, upstream
        const int64_t *ignore
        size_t ignored
        int missing, validate
        double label_smoothing, focal_gamma
        const double *focal_alpha
        double clip_low, clip_high, clip_each, log_limit
        crossent_hessian hessian_rule
        crossent_nonfinite nonfinite
        int accumulate

    struct crossent_sigmoid:
        crossent_elementwise function
        size_t ndim
        size_t shape[CROSSENT_MAX_DIMS]
        size_t rows, classes
        crossent_array logits, target, out, loss
        const crossent_sigmoid_options *options
        double coefficient
        int threads
        double total, weight
        size_t count, fault_element, faults
        double fault_value

    int c_softmax "crossent_softmax"(crossent_softmax *call)
    int crossent_weigh(crossent_softmax *call)
    int c_sigmoid "crossent_sigmoid"(crossent_sigmoid *call)
    int crossent_weigh_sigmoid(crossent_sigmoid *call)

    const char *crossent_isa_name(size_t i)
    const char *crossent_isa()
    int crossent_use_isa(const char *name)

    int crossent_get_num_threads()
    void crossent_set_num_threads(int n)
    const char *crossent_threading()
    const char *crossent_compiler()

    struct crossent_categorical:
        crossent_softmax rows
        int normalize
        double clip_low, clip_high

    int c_categorical "crossent_categorical"(crossent_categorical *call)

    struct crossent_weighted:
        size_t ndim
        size_t shape[CROSSENT_MAX_DIMS]
        size_t rows, classes
        crossent_array logits, weights, logsumexp, sign
        int threads

    int c_weighted "crossent_weighted"(crossent_weighted *call)
