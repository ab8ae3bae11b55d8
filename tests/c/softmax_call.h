/* A softmax call with any options as a test has it: arrays as doubles, whatever their dtypes. */
#ifndef CROSSENT_TESTS_SOFTMAX_CALL_H
#define CROSSENT_TESTS_SOFTMAX_CALL_H

#include "harness.h"

/* The arrays of struct crossent_softmax, inputs first. */
enum array {
    LOGITS, TARGET, VECTOR, SAMPLE_WEIGHT, UPSTREAM, CLASS_MASK,
    OUT, HESSIAN, TARGET_GRADIENT, LOSS, LOGSUMEXP, PROBABILITY, ENTROPY, ARGMAX, CORRECT, ARRAYS
};
#define INPUTS OUT
extern const char *const array_names[ARRAYS];

/* `call` holds the options that are no arrays. An array without values is absent; of an output that
 * is wanted, `values` are what it holds before the call. */
struct softmax_case {
    struct crossent_softmax call;
    size_t rows, classes;
    enum crossent_dtype dtype[ARRAYS];
    double *values[ARRAYS];
    double class_weight[256], focal_alpha[256];
    int64_t ignore[2];
    int categorical, normalize;         /* crossent_categorical instead */
    double clip_low, clip_high;
};

struct softmax_results {
    int status;
    double total;
    size_t fault_row, fault_column, faults;
    double *values[ARRAYS];
};

/* Room for an array's values. */
double *new_values(struct softmax_case *c, enum array array, enum crossent_dtype dtype);
int is_wide(enum array array);                   /* a number for each class, not for each row */
size_t values_of(const struct softmax_case *c, enum array array);

struct softmax_results solve_softmax(const struct softmax_case *c, const struct variant *v);

/* The variants, on this instruction set and the scalar one, against the plain call. */
void compare_softmax(const struct softmax_case *c, const struct softmax_results *r);

void free_results(struct softmax_results *r);
void free_case(struct softmax_case *c);

#endif
