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

/* What the shared library hands out; all else in it is hidden. */
#if defined _WIN32 && defined CROSSENT_BUILD
#define CROSSENT_API __declspec(dllexport)
#elif defined __GNUC__ && !defined _WIN32
#define CROSSENT_API __attribute__((visibility("default")))
#else
#define CROSSENT_API
#endif

#define CROSSENT_MAX_DIMS 8

enum crossent_status {
    CROSSENT_OK = 0,
    CROSSENT_NO_MEMORY,
    CROSSENT_BAD_LABEL,  /* a label that is no class: fault_row says the first */
    CROSSENT_BAD_WEIGHT, /* a sample weight that is negative or NaN: fault_row */
    CROSSENT_BAD_LOGITS, /* nonfinite = RAISE: fault_row, fault_column, faults */
    CROSSENT_BAD_PROBABILITY /* fault_row, fault_column (`classes`: the row's sum is 0) */
};

/* Computed natively: F32, F64. Storage alone, computed as F32: F16, BF16. The integers hold labels,
 * masks and binary targets. */
enum crossent_dtype {
    CROSSENT_F32, CROSSENT_F64, CROSSENT_F16, CROSSENT_BF16,
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
    CROSSENT_LOG_SOFTMAX,
    CROSSENT_HESSIAN_VECTOR  /* second derivative times `vector`; no focal factor, no softcap */
};

/* Diagonals of the Hessian, p being softmax(logits) and t the target of sum T. */
enum crossent_hessian {
    CROSSENT_EXACT,       /* T p (1 - p) */
    CROSSENT_UPPER,       /* 2 T p (1 - p) */
    CROSSENT_FRIEDMAN,    /* K / (K - 1) T p (1 - p), K classes that the mask leaves */
    CROSSENT_RESIDUAL     /* |T p - t| */
};

/* What becomes of rows with NaN, with +inf, or with no logit above -inf. */
enum crossent_nonfinite {
    CROSSENT_PROPAGATE,   /* what the formulas give: NaN or inf */
    CROSSENT_ZERO,        /* the row takes part with loss 0 and gradient 0 */
    CROSSENT_REPORT       /* as PROPAGATE, and the status is CROSSENT_BAD_LOGITS */
};

/* A number, a pointer or an array that is zero, NULL or absent leaves its option out. */
struct crossent_softmax {
    size_t ndim, shape[CROSSENT_MAX_DIMS], rows, classes;
    struct crossent_array logits;         /* any floating-point dtype */
    struct crossent_array target;         /* labels of any integer dtype; or probabilities, F32 or
                                             F64, rows x classes; or absent */
    struct crossent_array out;            /* the logits' dtype; may be the logits themselves */
    struct crossent_array hessian;        /* the logits' dtype */
    struct crossent_array vector;         /* any floating-point dtype; may be `out` */
    struct crossent_array target_gradient;/* the logits' dtype: d (...) / d probabilities */

    /* One number for each row: losses, logsumexp, probability of the label and entropy (nats) of
     * the logits' dtype, largest logit's class (I64), whether that is the label (U8). */
    struct crossent_array loss, logsumexp, probability, entropy, argmax, correct;

    struct crossent_array sample_weight;  /* F64, one for each row */
    struct crossent_array upstream;       /* F64, one a row: d (what is minimised) / d loss */
    struct crossent_array class_mask;     /* U8, rows x classes: 0 leaves a class out */
    const double *class_weight;           /* one for each class */
    const int64_t *ignore;                /* labels whose rows take no part */
    size_t ignored;
    double label_smoothing;               /* share of the target spread evenly over the classes */
    int smoothing_off_target;             /* ... over all but the label's */
    int smoothing_by_target;              /* ... and rows weighted by that of their target */
    double focal_gamma;
    const double *focal_alpha;            /* one for each class */
    double z_loss;                        /* + z_loss * logsumexp^2 */
    double temperature;                   /* logits / temperature */
    double softcap;                       /* softcap * tanh(logits / softcap) */

    enum crossent_output output;
    enum crossent_hessian hessian_rule;
    enum crossent_nonfinite nonfinite;
    int accumulate;                       /* add to `out` instead of replacing it */
    double coefficient;                   /* factor of every derivative (upstream / divisor) */
    double coefficient_low;               /* what rounding cut off it */
    int threads;

    /* Results. */
    double total;                         /* sum of weight * row loss */
    double weight;                        /* crossent_weigh: sum of the weights that take part */
    size_t count;                         /* ... and the number of rows that take part */
    size_t fault_row, fault_column, faults;
};

/* Losses and functions of single elements; `classes` is the length of the last dimension. */
enum crossent_elementwise {
    CROSSENT_SIGMOID_CROSS_ENTROPY,
    CROSSENT_SIGMOID, CROSSENT_LOG_SIGMOID, CROSSENT_SOFTPLUS,
    CROSSENT_BINARY_CROSS_ENTROPY        /* from probabilities */
};

/* Of the losses. A number, a pointer or an array that is zero, NULL or absent leaves its option
 * out. */
struct crossent_sigmoid_options {
    struct crossent_array hessian;       /* from logits only */
    struct crossent_array vector;        /* F64: multiplies every derivative */
    struct crossent_array probability;   /* of 1 */
    struct crossent_array correct;       /* U8: is the target that of the larger probability? */

    struct crossent_array sample_weight; /* F64; elements of weight 0 take no part */
    struct crossent_array pos_weight;    /* F64: weight of the loss of target 1 */
    struct crossent_array upstream;      /* F64: d (what is minimised) / d loss */
    const int64_t *ignore;               /* targets whose elements take no part */
    size_t ignored;
    int missing;                         /* elements whose target is NaN take no part */
    int validate;                        /* a target outside [0, 1] is CROSSENT_BAD_LABEL */
    double label_smoothing;              /* the target moves by so much of its way to 1/2 */
    double focal_gamma;
    const double *focal_alpha;           /* weights of the losses of targets 0 and 1 */
    double clip_low, clip_high;          /* p is clipped to [clip_low, 1 - clip_high] */
    double clip_each;                    /* p and 1 - p are each clipped from below */
    double log_limit;                    /* -log p and -log (1 - p) are clipped from above, and the
                                            gradient is (p - t) / max(p (1 - p), 1e-12) */
    enum crossent_hessian hessian_rule;
    enum crossent_nonfinite nonfinite;   /* of logits that are not finite */
    int accumulate;                      /* add to `out` instead of replacing it */
};

struct crossent_sigmoid {
    enum crossent_elementwise function;
    size_t ndim, shape[CROSSENT_MAX_DIMS], rows, classes;
    struct crossent_array logits;        /* or probabilities; F16 and BF16 for losses only */
    struct crossent_array target;        /* any dtype; absent for functions */
    struct crossent_array out;           /* gradient or function values; may be the logits */
    struct crossent_array loss;          /* element losses */
    const struct crossent_sigmoid_options *options;   /* NULL: none */
    double coefficient;                  /* factor of every derivative (upstream / divisor) */
    int threads;

    /* Results. */
    double total;                        /* sum of weight * loss */
    double weight;                       /* crossent_weigh_sigmoid: as for softmax, of elements */
    size_t count, fault_element, faults; /* the first fault counts elements in C order */
    double fault_value;
};

CROSSENT_API int crossent_softmax(struct crossent_softmax *call);

/* Sets weight and count, which a mean divides by before the gradient can be written. */
CROSSENT_API int crossent_weigh(struct crossent_softmax *call);
CROSSENT_API int crossent_sigmoid(struct crossent_sigmoid *call);
CROSSENT_API int crossent_weigh_sigmoid(struct crossent_sigmoid *call);

/* Instruction sets. `crossent_isa_name(i)` lists what this build holds and this machine runs, best
 * first, NULL at the end. `crossent_use_isa` returns 0, or -1 for an unknown or unavailable
 * name. */
CROSSENT_API const char *crossent_isa_name(size_t i);
CROSSENT_API const char *crossent_isa(void);
CROSSENT_API int crossent_use_isa(const char *name);

/* Threads: the number used by calls that ask for 0. */
CROSSENT_API int crossent_get_num_threads(void);
CROSSENT_API void crossent_set_num_threads(int n);
CROSSENT_API const char *crossent_threading(void);    /* "openmp" or "none" */
CROSSENT_API const char *crossent_compiler(void);

/* Cross-entropy from probabilities. In `rows`, the logits are the probabilities; what a softmax
 * call can be asked for beside loss and gradient, and options that act on logits, are left out. */
struct crossent_categorical {
    struct crossent_softmax rows;
    int normalize;                           /* divide each row by its sum */
    double clip_low, clip_high;              /* p is clipped to [clip_low, 1 - clip_high] */
};

CROSSENT_API int crossent_categorical(struct crossent_categorical *call);

/* log |sum of b_j e^x_j| along the classes, and the sign of that sum; b_j = 0 leaves x_j out. */
struct crossent_weighted {
    size_t ndim, shape[CROSSENT_MAX_DIMS], rows, classes;
    struct crossent_array logits, weights;   /* any floating-point dtype */
    struct crossent_array logsumexp, sign;   /* without `sign`, NaN where the sum is negative */
    int threads;
};

CROSSENT_API int crossent_weighted(struct crossent_weighted *call);

#endif
