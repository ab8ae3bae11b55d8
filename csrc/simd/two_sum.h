/* The sum without error (Knuth), over any vocabulary's vec_f64. */
#ifndef CROSSENT_TWO_SUM_H
#define CROSSENT_TWO_SUM_H

/* s = a + b rounded, and *low what rounding cut off: a + b = s + *low exactly. */
static inline __attribute__((always_inline)) vec_f64 two_sum(vec_f64 a, vec_f64 b, vec_f64 *low)
{
    vec_f64 s = a + b, back = s - a;
    *low = (a - (s - back)) + (b - back);
    return s;
}

#endif
