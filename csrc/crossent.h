/* crossent: cross-entropy losses and their gradients. The one header the outside sees.
 *
 * a) A call is a struct: the caller fills it, the library reads the inputs, writes the outputs and
 *    returns a status. Nothing is kept between calls; nothing prints, aborts or allocates for you.
 * b) Arrays are viewed as rows x classes: the rows' dimensions are shared by all arrays of a call
 *    (shape[0..ndim)), each array brings its own strides in bytes and the step between classes.
 * c) Results do not depend on threads, strides, alignment or the instruction set that runs.
 * d) Inputs may change while a call runs (another thread writes them): the numbers are then
 *    undefined, but nothing outside the arrays is read or written.
 */
#ifndef CROSSENT_H
#define CROSSENT_H

#include <stddef.h>
#include <stdint.h>

#define CROSSENT_MAX_DIMS 8

enum crossent_status {
    CROSSENT_OK = 0,
    CROSSENT_NO_MEMORY,
    CROSSENT_BAD_LABEL   /* fault_row and fault_value say which */
};

/* CROSSENT_F32 and CROSSENT_F64 are computed natively; the integers hold labels. */
enum crossent_dtype {
    CROSSENT_F32, CROSSENT_F64,
    CROSSENT_I8, CROSSENT_U8, CROSSENT_I16, CROSSENT_U16,
    CROSSENT_I32, CROSSENT_U32, CROSSENT_I64, CROSSENT_U64
};

struct crossent_array {
    char *data;                          /* NULL: absent */
    enum crossent_dtype dtype;
    ptrdiff_t stride[CROSSENT_MAX_DIMS]; /* bytes between rows, one per row dimension */
    ptrdiff_t step;                      /* bytes between classes */
};

/* What a softmax call writes to `out`. */
enum crossent_output {
    CROSSENT_NOTHING,
    CROSSENT_GRADIENT,    /* d (sum of coefficient * row loss) / d logits */
    CROSSENT_SOFTMAX,
    CROSSENT_LOG_SOFTMAX
};

struct crossent_softmax {
    size_t ndim, shape[CROSSENT_MAX_DIMS], rows, classes;
    struct crossent_array logits;        /* F32 or F64: the type of the computation */
    struct crossent_array target;        /* class indices of any integer type, or absent */
    struct crossent_array out;           /* the logits' dtype; may be the logits themselves */
    struct crossent_array loss;          /* row losses, the logits' dtype, or absent */
    struct crossent_array logsumexp;     /* per row, the logits' dtype, or absent */
    enum crossent_output output;
    double coefficient;                  /* factor of every gradient entry (upstream / divisor) */
    int threads;
    double total;                        /* result: sum of the row losses */
    size_t fault_row;                    /* result of CROSSENT_BAD_LABEL: the first bad row */
};

/* Losses and functions of single elements; `classes` is the length of the last dimension. */
enum crossent_elementwise {
    CROSSENT_SIGMOID_CROSS_ENTROPY,
    CROSSENT_SIGMOID, CROSSENT_LOG_SIGMOID, CROSSENT_SOFTPLUS
};

struct crossent_sigmoid {
    enum crossent_elementwise function;
    size_t ndim, shape[CROSSENT_MAX_DIMS], rows, classes;
    struct crossent_array logits;        /* F32 or F64 */
    struct crossent_array target;        /* the logits' dtype or any integer; absent for functions */
    struct crossent_array out;           /* gradient or function values; may be the logits */
    struct crossent_array loss;          /* element losses or absent */
    double coefficient;
    int threads;
    double total;
};

int crossent_softmax(struct crossent_softmax *call);
int crossent_sigmoid(struct crossent_sigmoid *call);

/* Instruction sets. `crossent_isa_name(i)` lists what this build holds and this machine runs, best
 * first, NULL at the end. `crossent_use_isa` returns 0, or -1 for an unknown or unavailable name. */
const char *crossent_isa_name(size_t i);
const char *crossent_isa(void);
int crossent_use_isa(const char *name);

/* Threads: the number used by calls that ask for 0. */
int crossent_get_num_threads(void);
void crossent_set_num_threads(int n);
const char *crossent_threading(void);    /* "openmp" or "none" */

#endif
