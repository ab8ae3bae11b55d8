/* Numbers of 16 bits: 1 sign, `digits` of mantissa, the rest exponent with `bias` (float16: 10 and
 * 15, bfloat16: 7 and 127). Storage types: they are widened exactly and rounded to once, from float
 * or, single numbers, from double. */
#ifndef CROSSENT_HALF_H
#define CROSSENT_HALF_H

#include <math.h>
#include <stdint.h>

#include "base/bits.h"

/* Without a branch, so that loops over them become vectors: the bits are moved to their places in a
 * float, whose exponent is 112 more; numbers below the normal ones lack their leading 1 there,
 * which the subtraction takes away again. NaNs become quiet and keep their digits, as those that an
 * instruction converts. */
static inline float from_float16(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000u) << 16, rest = (uint32_t)(half & 0x7fffu) << 13;
    const uint32_t small = bits_of_float(float_of_bits(rest + (113u << 23)) - 0x1p-14f);
    const uint32_t normal = rest + (112u << 23);
    const uint32_t nan = rest | 255u << 23 | 1u << 22;
    const uint32_t huge = rest > 31u << 23 ? nan : 255u << 23;
    uint32_t bits = rest < 1u << 23 ? small : normal;
    bits = rest < 31u << 23 ? bits : huge;
    return float_of_bits(sign | bits);
}

static inline float from_bfloat16(uint16_t half) { return float_of_bits((uint32_t)half << 16); }

/* To nearest, ties to even: with d digits to drop and b the last digit kept, 2^(d-1) - 1 + b is
 * added before they are dropped. Below the normal numbers the addition of 1/2 rounds. */
static inline uint16_t to_float16(float x)
{
    const uint32_t bits = bits_of_float(x), sign = bits >> 16 & 0x8000u, size = bits & 0x7fffffffu;
    const uint32_t small = bits_of_float(float_of_bits(size) + 0.5f) - (126u << 23);
    const uint32_t normal = (size - (112u << 23) + 0xfffu + (size >> 13 & 1u)) >> 13;
    const uint32_t nan = 0x7e00u | (size >> 13 & 0x3ffu);
    const uint32_t huge = size > 255u << 23 ? nan : 0x7c00u;
    uint32_t half = size < 113u << 23 ? small : normal;
    half = size < 143u << 23 ? half : huge;
    return (uint16_t)(sign | half);
}

static inline uint16_t to_bfloat16(float x)
{
    const uint32_t bits = bits_of_float(x), kept = (bits + 0x7fffu + (bits >> 16 & 1u)) >> 16;
    const uint32_t nan = (bits >> 16 & 0x8000u) | 0x7fc0u;
    return (uint16_t)((bits & 0x7fffffffu) > 255u << 23 ? nan : kept);
}

/* To nearest, ties to even: adding 1.5 * 2^52 units of the last place rounds at that place, and
 * leaves the number of units in the low bits. */
static inline uint16_t half_bits(double x, const int digits, const int bias)
{
    const uint16_t sign = signbit(x) ? 0x8000 : 0;
    const uint16_t infinity = (uint16_t)((2 * bias + 1) << digits);
    const double size = fabs(x);
    if (isnan(x))
        return sign | infinity | (uint16_t)(1 << (digits - 1));
    if (size >= ldexp(1, bias + 1))
        return sign | infinity;
    int exponent = (int)(bits_of_double(size) >> 52) - 1023;
    exponent = exponent < 1 - bias ? 1 - bias : exponent;
    const uint64_t rounder = (uint64_t)(1023 + 52 + exponent - digits) << 52 | (uint64_t)1 << 51;
    const uint64_t units = bits_of_double(size + double_of_bits(rounder)) - rounder;
    return (uint16_t)(sign | (((uint64_t)(exponent + bias - 1) << digits) + units));
}

#endif
