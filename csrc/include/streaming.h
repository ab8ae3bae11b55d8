/* Results that come in pieces (loss/streaming.c): exact sums over mini-batches, and sums of
 * exponentials over slices of the classes. All arrays are contiguous. */
#ifndef CROSSENT_STREAMING_H
#define CROSSENT_STREAMING_H

#include <stddef.h>
#include <stdint.h>

#include "module.h"

/* A finite double is a whole number of 2^-1074 below 2^2098; 2^63 of them have a sum below 2^2161,
 * which limbs of 32 bits hold with its sign: sum of limb[i] 2^(32 i). */
enum { EXACT_LIMBS = 68 };

struct exact_sum {
    int64_t limb[EXACT_LIMBS];
};

/* What the rows of a mini-batch add to an accumulator. */
struct tally {
    struct exact_sum loss, weight;
    double not_finite;                     /* sum of the losses that are infinite or NaN */
    size_t count, correct;                 /* rows of a weight above 0; those that are right */
};

/* Adds n rows; weights NULL: all 1; correct NULL: none is. CROSSENT_BAD_WEIGHT where a weight is
 * negative or not finite: row `fault`. */
CROSSENT_MODULE int crossent_tally(struct tally *to, const double *losses, const double *weights,
                                   const uint8_t *correct, size_t n, size_t *fault);

/* Sums (high + low) e^base, one for each of n rows; base is a multiple of 256. */
struct exponential_sums {
    double *base, *high, *low;
};

/* From log(sum(exp)) of each row. */
CROSSENT_MODULE void crossent_sums_begin(const struct exponential_sums *to, const double *logsumexp,
                                         size_t n);
/* to += more */
CROSSENT_MODULE void crossent_sums_merge(const struct exponential_sums *to,
                                         const struct exponential_sums *more, size_t n);
/* The logarithms of the sums. */
CROSSENT_MODULE void crossent_sums_log(const struct exponential_sums *sums, double *logsumexp,
                                       size_t n);

#endif
