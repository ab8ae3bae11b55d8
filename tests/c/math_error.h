/* Functions of math.inc.h whose errors are measured, in the scalar vocabulary, in a wider type: a
 * table for each type. Arguments are double for both, so that one type of table is enough. */
#ifndef CROSSENT_MATH_ERROR_H
#define CROSSENT_MATH_ERROR_H

#include <math.h>
#include <stdint.h>

/* `low` counts for log1p_pair alone. The function is measured on [from, to]. */
struct math_case {
    const char *name;
    double (*error)(double x, double low);
    double from, to;
};

/* Uniform on [0, 1). */
static inline double random_unit(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (double)(*state * 0x2545f4914f6cdd1d >> 11) * 0x1p-53;
}

/* Half the points are uniform on [from, to]; of the others the logarithm is, down to 2^-70. */
static inline double random_point(const struct math_case *c, uint64_t *state)
{
    double u = random_unit(state);
    if (random_unit(state) < 0.5)
        return c->from + u * (c->to - c->from);
    double end = random_unit(state) < 0.5 && c->from < 0 ? c->from : c->to;
    return end * exp2(-u * (70 + log2(fabs(end))));
}

static inline double ulp_of(double x) { return nextafter(fabs(x), INFINITY) - fabs(x); }

/* 0 or anything up to an ulp of x. */
static inline double random_low(double x, uint64_t *state)
{
    double u = random_unit(state);
    return u < 0.5 ? 0 : (4 * u - 3) * ulp_of(x);
}

enum { FLOAT_CASES = 5, DOUBLE_CASES = 7 };

/* Measured in long double; the last table, which measure_math alone asks for, in __float128. */
extern const struct math_case floats[FLOAT_CASES], doubles[DOUBLE_CASES],
    doubles_in_quad[DOUBLE_CASES];

#endif
