# Mirror of csrc/crossent.h, same order.
from libc.stdint cimport int64_t

cdef extern from "crossent.h" nogil:
    enum: CROSSENT_MAX_DIMS

    enum crossent_status:
        CROSSENT_OK, CROSSENT_NO_MEMORY, CROSSENT_BAD_LABEL

    enum crossent_dtype:
        CROSSENT_F32, CROSSENT_F64
        CROSSENT_I8, CROSSENT_U8, CROSSENT_I16, CROSSENT_U16
        CROSSENT_I32, CROSSENT_U32, CROSSENT_I64, CROSSENT_U64

    struct crossent_array:
        char *data
        crossent_dtype dtype
        ptrdiff_t stride[CROSSENT_MAX_DIMS]
        ptrdiff_t step

    enum crossent_output:
        CROSSENT_NOTHING, CROSSENT_GRADIENT, CROSSENT_SOFTMAX, CROSSENT_LOG_SOFTMAX

    struct crossent_softmax:
        size_t ndim
        size_t shape[CROSSENT_MAX_DIMS]
        size_t rows, classes
        crossent_array logits, target, out, loss, logsumexp
        crossent_output output
        double coefficient
        int threads
        double total
        size_t fault_row

    enum crossent_elementwise:
        CROSSENT_SIGMOID_CROSS_ENTROPY
        CROSSENT_SIGMOID, CROSSENT_LOG_SIGMOID, CROSSENT_SOFTPLUS

    struct crossent_sigmoid:
        crossent_elementwise function
        size_t ndim
        size_t shape[CROSSENT_MAX_DIMS]
        size_t rows, classes
        crossent_array logits, target, out, loss
        double coefficient
        int threads
        double total

    int c_softmax "crossent_softmax"(crossent_softmax *call)
    int c_sigmoid "crossent_sigmoid"(crossent_sigmoid *call)

    const char *crossent_isa_name(size_t i)
    const char *crossent_isa()
    int crossent_use_isa(const char *name)

    int crossent_get_num_threads()
    void crossent_set_num_threads(int n)
    const char *crossent_threading()
