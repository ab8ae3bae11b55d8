/* A call of a binary loss with any options as a test has it: arrays as doubles, whatever their
 * dtypes. */
#ifndef CROSSENT_TESTS_SIGMOID_CALL_H
#define CROSSENT_TESTS_SIGMOID_CALL_H

#include "harness.h"

enum array {
    LOGITS, TARGET, VECTOR, SAMPLE_WEIGHT, POS_WEIGHT, UPSTREAM,
    OUT, LOSS, HESSIAN, PROBABILITY, CORRECT, ARRAYS
};
#define INPUTS OUT
extern const char *const array_names[ARRAYS];

/* An array without values is absent. */
struct problem {
    size_t rows, classes;
    enum crossent_elementwise function;
    struct crossent_sigmoid_options options;
    int no_options;
    double coefficient, alpha[2];
    int64_t ignore[2];
    enum crossent_dtype dtype[ARRAYS];
    double *values[ARRAYS];
};
struct results {
    int status;
    double total, weight, fault_value;
    size_t count, fault_element, faults;
    double *values[ARRAYS];
};

/* Room for an array's values. */
double *new_values(struct problem *p, enum array array, enum crossent_dtype dtype);

/* Both calls: weights and losses. */
struct results solve(const struct problem *p, const struct variant *v);

int same_number(double a, double b);        /* or NaN both */
void same(const struct problem *p, const struct results *wanted, struct results found);
void free_results(struct results *r);
void free_problem(struct problem *p);

#endif
