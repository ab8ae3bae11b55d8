/* Sums as unevaluated pairs hi + lo of doubles, about 106 digits of the largest term. */
#ifndef CROSSENT_PAIRS_H
#define CROSSENT_PAIRS_H

#include <math.h>
#include <stddef.h>

struct pair {
    double hi, lo;
};

/* a + b, exactly (Knuth). */
static inline struct pair pair_of(double a, double b)
{
    double s = a + b, back = s - a;
    double lost = (a - (s - back)) + (b - back);
    return (struct pair){s, isfinite(s) ? lost : 0};
}

static inline struct pair pair_add(struct pair a, struct pair b)
{
    struct pair s = pair_of(a.hi, b.hi);
    return pair_of(s.hi, s.lo + (a.lo + b.lo));
}

/* a b, but for what is below both parts. */
static inline struct pair pair_product(struct pair a, struct pair b)
{
    double p = a.hi * b.hi, lost = fma(a.hi, b.hi, -p) + (a.hi * b.lo + a.lo * b.hi);
    return (struct pair){p, isfinite(p) ? lost : 0};
}

/* a / d */
static inline struct pair pair_quotient(struct pair a, struct pair d)
{
    double q = a.hi / d.hi, lost = (fma(-q, d.hi, a.hi) + (a.lo - q * d.lo)) / d.hi;
    return (struct pair){q, isfinite(q) ? lost : 0};
}

static inline double pair_value(struct pair a) { return a.hi + a.lo; }

/* log(p * 2^exponent), for p >= 0 of any size and |exponent| < 2^10. */
static inline double log_scaled(double (*log)(double), double p, int exponent)
{
    int n;
    if (p == 0)
        return -INFINITY;
    double m = frexp(p, &n);
    n += exponent;
    return n * 0x1.62e42fefa38p-1 + (n * 0x1.ef35793c7673p-45 + log(m));   /* ln 2, in two parts */
}

/* log(1 + a) for a > -1: u = 1 + a rounded, and what that lost as a correction. `log` is a
 * kernel's. */
static inline double pair_log1p(double (*log)(double), struct pair a)
{
    double u = 1 + a.hi;
    if (u == 1 || isinf(u) || isnan(u))
        return a.hi + a.lo;
    double lost = pair_of(1, a.hi).lo;
    return log(u) + (lost + a.lo) / u;
}

#endif
