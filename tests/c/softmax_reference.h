/* The softmax loss with all its options: one row, in long double, from the definitions of
 * docs/options.md. */
#ifndef CROSSENT_TESTS_SOFTMAX_REFERENCE_H
#define CROSSENT_TESTS_SOFTMAX_REFERENCE_H

#include <stddef.h>

typedef long double wide;

/* `t` is the target as given; `mask`, `w`, `alpha`, `v`: NULL leaves them out. */
struct softmax_row {
    size_t classes;
    const double *x, *t, *v;
    const double *mask, *w, *alpha;
    double smoothing, gamma, z_loss, softcap, temperature;
    int off_target, by_target, rule;
};

/* Of a row whose sample weight, upstream and coefficient are 1. Beside each result stands the sum
 * of the absolute values of what it is a sum of: errors are measured by that. */
struct softmax_truth {
    wide loss, loss_terms, logsumexp, entropy, weight, size;   /* size: the largest |x| */
    size_t argmax, kept;
    wide *p, *gradient, *gradient_terms, *hessian, *hessian_terms, *product, *product_terms;
    wide *by_target, *by_target_terms;
};

/* t'_j = w_j ((1 - e) t_j + e / K), K classes being kept, for a row that weighs `weight`. */
wide smoothed_target(const struct softmax_row *row, size_t kept, wide weight, size_t j);

/* The mean of the class weights under the target; what a row counts for in a mean. */
wide weight_of_row(const struct softmax_row *row);

void softmax_reference(const struct softmax_row *row, struct softmax_truth *truth);

/* Room for rows of so many classes; free what it returns. */
void *softmax_truth_room(struct softmax_truth *truth, size_t classes);

#endif
