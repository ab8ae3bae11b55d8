/* Numbers of 16 bits: 1 sign, `digits` of mantissa, the rest exponent with `bias` (float16: 10 and
 * 15, bfloat16: 7 and 127). Storage types: they are widened exactly and rounded to once. */
#ifndef CROSSENT_HALF_H
#define CROSSENT_HALF_H

#include <math.h>
#include <stdint.h>
#include <string.h>

static inline double from_half(uint16_t bits, const int digits, const int bias)
{
    uint64_t sign = (uint64_t)(bits >> 15) << 63, wide;
    unsigned exponent = (bits & 0x7fffu) >> digits, mantissa = bits & ((1u << digits) - 1);
    double x;
    if (exponent == (unsigned)(2 * bias + 1))
        wide = 0x7ff0000000000000u | (uint64_t)mantissa << (52 - digits);
    else if (exponent)
        wide = (uint64_t)((int)exponent - bias + 1023) << 52 | (uint64_t)mantissa << (52 - digits);
    else
        return (sign ? -1 : 1) * ldexp((double)mantissa, 1 - bias - digits);
    wide |= sign;
    memcpy(&x, &wide, sizeof x);
    return x;
}

/* To nearest, ties to even: adding 1.5 * 2^52 units of the last place rounds at that place. */
static inline uint16_t half_bits(double x, const int digits, const int bias)
{
    uint16_t sign = signbit(x) ? 0x8000 : 0, infinity = (uint16_t)((2 * bias + 1) << digits);
    double size = fabs(x);
    int exponent;
    if (isnan(x))
        return sign | infinity | (uint16_t)(1 << (digits - 1));
    if (size == 0)
        return sign;
    if (isinf(x))
        return sign | infinity;
    frexp(size, &exponent);                       /* size = f * 2^exponent, f in [1/2, 1) */
    exponent = exponent - 1 < 1 - bias ? 1 - bias : exponent - 1;
    double units = nearbyint(ldexp(size, digits - exponent));
    uint32_t bits = (uint32_t)((exponent + bias - 1) << digits) + (uint32_t)units;
    return sign | (bits > infinity ? infinity : (uint16_t)bits);
}

#endif
