/* The vocabulary (simd/README.md) in plain C: 1 float or 1 double. */
#ifndef CROSSENT_SIMD_SCALAR_H
#define CROSSENT_SIMD_SCALAR_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/bits.h"
#include "base/half.h"

typedef float vec_f32;
typedef int mask_f32;
typedef double vec_f64;
typedef int mask_f64;
enum { LANES_f32 = 1, LANES_f64 = 1, PARTS_f32 = 1, PARTS_f64 = 1 };


static inline vec_f32 vset_f32(float x) { return x; }
static inline vec_f32 vlanes_f32(void) { return 0; }
static inline vec_f32 vload_f32(const float *p) { return *p; }
static inline void vstore_f32(float *p, vec_f32 v) { *p = v; }
static inline vec_f32 vload_part_f32(const float *p, size_t n, vec_f32 fill)
{
    return n ? *p : fill;
}
static inline void vstore_part_f32(float *p, size_t n, vec_f32 v)
{
    if (n) *p = v;
}
static inline vec_f32 vfma_f32(vec_f32 a, vec_f32 b, vec_f32 c) { return fmaf(a, b, c); }
static inline vec_f32 vmax_f32(vec_f32 a, vec_f32 b) { return a > b ? a : b; }
static inline vec_f32 vmin_f32(vec_f32 a, vec_f32 b) { return a < b ? a : b; }
static inline vec_f32 vabs_f32(vec_f32 a) { return fabsf(a); }
static inline vec_f32 vsigned_f32(vec_f32 a, vec_f32 s)
{
    return float_of_bits(bits_of_float(a) ^ (bits_of_float(s) & 0x80000000u));
}
static inline mask_f32 vless_f32(vec_f32 a, vec_f32 b) { return a < b; }
static inline mask_f32 vequal_f32(vec_f32 a, vec_f32 b) { return a == b; }
static inline vec_f32 vselect_f32(mask_f32 m, vec_f32 a, vec_f32 b) { return m ? a : b; }
static inline unsigned vbits_f32(mask_f32 m) { return m != 0; }
static inline float vtop_f32(vec_f32 a)
{
    return a;
}
static inline vec_f32 vpow2_f32(vec_f32 t) { return float_of_bits(bits_of_float(t) << 23); }
/* Adding 1 - 3/4 in the bits moves the cut between two exponents to 3/2. */
static inline vec_f32 vsplit_f32(vec_f32 u, vec_f32 *k)
{
    const uint32_t half = 0x3f400000, one = 0x3f800000;
    uint32_t t = bits_of_float(u) + (one - half);
    *k = (float)((int)(t >> 23) - 127);
    return float_of_bits((t & 0x007fffff) + half);
}
static inline vec_f64 vload_wide_f32(const float *p) { return *p; }
static inline vec_f64 vwiden_f32(vec_f32 v, int part) { (void)part; return (double)v; }
static inline vec_f32 vnarrow_f32(const vec_f64 *parts) { return (float)parts[0]; }
static inline void vtranspose_f32(vec_f32 *v) { (void)v; }
static inline vec_f32 vload_float16(const uint16_t *p) { return from_float16(*p); }
static inline void vstore_float16(uint16_t *p, vec_f32 v) { *p = to_float16(v); }
static inline vec_f32 vload_bfloat16(const uint16_t *p) { return from_bfloat16(*p); }
static inline void vstore_bfloat16(uint16_t *p, vec_f32 v) { *p = to_bfloat16(v); }

static inline vec_f64 vset_f64(double x) { return x; }
static inline vec_f64 vlanes_f64(void) { return 0; }
static inline vec_f64 vload_f64(const double *p) { return *p; }
static inline void vstore_f64(double *p, vec_f64 v) { *p = v; }
static inline vec_f64 vload_part_f64(const double *p, size_t n, vec_f64 fill)
{
    return n ? *p : fill;
}
static inline void vstore_part_f64(double *p, size_t n, vec_f64 v)
{
    if (n) *p = v;
}
static inline vec_f64 vfma_f64(vec_f64 a, vec_f64 b, vec_f64 c) { return fma(a, b, c); }
static inline vec_f64 vmax_f64(vec_f64 a, vec_f64 b) { return a > b ? a : b; }
static inline vec_f64 vmin_f64(vec_f64 a, vec_f64 b) { return a < b ? a : b; }
static inline vec_f64 vabs_f64(vec_f64 a) { return fabs(a); }
static inline vec_f64 vsigned_f64(vec_f64 a, vec_f64 s)
{
    return double_of_bits(bits_of_double(a) ^ (bits_of_double(s) & 0x8000000000000000u));
}
static inline mask_f64 vless_f64(vec_f64 a, vec_f64 b) { return a < b; }
static inline mask_f64 vequal_f64(vec_f64 a, vec_f64 b) { return a == b; }
static inline vec_f64 vselect_f64(mask_f64 m, vec_f64 a, vec_f64 b) { return m ? a : b; }
static inline unsigned vbits_f64(mask_f64 m) { return m != 0; }
static inline double vtop_f64(vec_f64 a)
{
    return a;
}
static inline double vsum_f64(vec_f64 a)
{
    return a;
}
static inline vec_f64 vpow2_f64(vec_f64 t) { return double_of_bits(bits_of_double(t) << 52); }
static inline vec_f64 vsplit_f64(vec_f64 u, vec_f64 *k)
{
    const uint64_t half = 0x3fe8000000000000, one = 0x3ff0000000000000;
    uint64_t t = bits_of_double(u) + (one - half);
    *k = (double)((int)(t >> 52) - 1023);
    return double_of_bits((t & 0x000fffffffffffff) + half);
}
static inline vec_f64 vwiden_f64(vec_f64 v, int part) { (void)part; return v; }
static inline vec_f64 vload_wide_f64(const double *p) { return vload_f64(p); }
static inline vec_f64 vnarrow_f64(const vec_f64 *parts) { return parts[0]; }
static inline void vtranspose_f64(vec_f64 *v) { (void)v; }

#endif
