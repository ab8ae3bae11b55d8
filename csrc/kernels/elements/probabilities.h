/* A row of the loss from probabilities, between the driver (categorical.c) and the kernel
 * (elements/probabilities.inc.h). */
#ifndef CROSSENT_PROBABILITIES_H
#define CROSSENT_PROBABILITIES_H

#include <stddef.h>

#include "base/pairs.h"

struct probabilities {
    size_t classes;
    const double *p, *t, *t_low;         /* t + t_low: the target */
    int normalize;
    double clip_low, clip_high;          /* crossent.h */
    double low_loss, high_loss;          /* what p clipped from below, from above costs */
    double *scaled, *terms, *low, *live; /* room for a row each */
    int gradient;                        /* wanted, in `terms`, times `factor` */
    struct pair factor;

    struct pair loss;
    size_t bad;                          /* the first class without a probability; `classes` where
                                            it is the sum that is 0; or SIZE_MAX */

    /* Of the kernel alone. */
    size_t anchor;                       /* the largest, where rows are normalised */
    int exponent, has_small;
    struct pair others, sum;
};

#endif
