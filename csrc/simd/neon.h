/* The vocabulary (simd/README.md) in AArch64 Advanced SIMD: 4 floats or 2 doubles. */
#ifndef CROSSENT_SIMD_NEON_H
#define CROSSENT_SIMD_NEON_H

#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>

/* These eight names are also the compiler's, for registers of half the width: step aside. */
#define vfma_f32 vocabulary_fma_f32
#define vmax_f32 vocabulary_max_f32
#define vmin_f32 vocabulary_min_f32
#define vabs_f32 vocabulary_abs_f32
#define vfma_f64 vocabulary_fma_f64
#define vmax_f64 vocabulary_max_f64
#define vmin_f64 vocabulary_min_f64
#define vabs_f64 vocabulary_abs_f64

typedef float32x4_t vec_f32;
typedef uint32x4_t mask_f32;
typedef float64x2_t vec_f64;
typedef uint64x2_t mask_f64;
enum { LANES_f32 = 4, LANES_f64 = 2, PARTS_f32 = 2, PARTS_f64 = 1 };


static inline vec_f32 vset_f32(float x) { return vdupq_n_f32(x); }
static inline vec_f32 vlanes_f32(void)
{
    static const float lanes[4] = {0, 1, 2, 3};
    return vld1q_f32(lanes);
}
static inline vec_f32 vload_f32(const float *p) { return vld1q_f32(p); }
static inline void vstore_f32(float *p, vec_f32 v) { vst1q_f32(p, v); }
static inline vec_f32 vload_part_f32(const float *p, size_t n, vec_f32 fill)
{
    if (n > 3) return vld1q_f32(p);
    if (n > 0) fill = vld1q_lane_f32(p, fill, 0);
    if (n > 1) fill = vld1q_lane_f32(p + 1, fill, 1);
    if (n > 2) fill = vld1q_lane_f32(p + 2, fill, 2);
    return fill;
}
static inline void vstore_part_f32(float *p, size_t n, vec_f32 v)
{
    if (n > 0) vst1q_lane_f32(p, v, 0);
    if (n > 1) vst1q_lane_f32(p + 1, v, 1);
    if (n > 2) vst1q_lane_f32(p + 2, v, 2);
    if (n > 3) vst1q_lane_f32(p + 3, v, 3);
}
static inline vec_f32 vfma_f32(vec_f32 a, vec_f32 b, vec_f32 c) { return vfmaq_f32(c, a, b); }
/* Not fmax and fmin: those return NaN where either is NaN. */
static inline vec_f32 vmax_f32(vec_f32 a, vec_f32 b) { return vbslq_f32(vcgtq_f32(a, b), a, b); }
static inline vec_f32 vmin_f32(vec_f32 a, vec_f32 b) { return vbslq_f32(vcltq_f32(a, b), a, b); }
static inline vec_f32 vabs_f32(vec_f32 a) { return vabsq_f32(a); }
static inline vec_f32 vsigned_f32(vec_f32 a, vec_f32 s)
{
    return vreinterpretq_f32_u32(
        veorq_u32(vreinterpretq_u32_f32(a),
                  vandq_u32(vreinterpretq_u32_f32(s), vdupq_n_u32(0x80000000u))));
}
static inline mask_f32 vless_f32(vec_f32 a, vec_f32 b) { return vcltq_f32(a, b); }
static inline mask_f32 vequal_f32(vec_f32 a, vec_f32 b) { return vceqq_f32(a, b); }
static inline vec_f32 vselect_f32(mask_f32 m, vec_f32 a, vec_f32 b) { return vbslq_f32(m, a, b); }
/* Lane i keeps bit i, then the lanes are added. */
static inline unsigned vbits_f32(mask_f32 m)
{
    static const int32_t lanes[4] = {0, 1, 2, 3};
    return vaddvq_u32(vshlq_u32(vshrq_n_u32(m, 31), vld1q_s32(lanes)));
}
static inline float vtop_f32(vec_f32 a)
{
    return vmaxvq_f32(a);
}
static inline vec_f32 vpow2_f32(vec_f32 t)
{
    return vreinterpretq_f32_u32(vshlq_n_u32(vreinterpretq_u32_f32(t), 23));
}
/* Adding 1 - 3/4 in the bits moves the cut between two exponents to 3/2. */
static inline vec_f32 vsplit_f32(vec_f32 u, vec_f32 *k)
{
    const uint32x4_t half = vdupq_n_u32(0x3f400000), one = vdupq_n_u32(0x3f800000);
    uint32x4_t t = vaddq_u32(vreinterpretq_u32_f32(u), vsubq_u32(one, half));
    *k = vcvtq_f32_s32(
        vsubq_s32(vreinterpretq_s32_u32(vshrq_n_u32(t, 23)), vdupq_n_s32(127)));
    return vreinterpretq_f32_u32(vaddq_u32(vandq_u32(t, vdupq_n_u32(0x007fffff)), half));
}
static inline vec_f64 vload_wide_f32(const float *p) { return vcvt_f64_f32(vld1_f32(p)); }
static inline vec_f64 vwiden_f32(vec_f32 v, int part)
{
    return part ? vcvt_high_f64_f32(v) : vcvt_f64_f32(vget_low_f32(v));
}
static inline vec_f32 vnarrow_f32(const vec_f64 *parts)
{
    return vcvt_high_f32_f64(vcvt_f32_f64(parts[0]), parts[1]);
}
/* Two rounds: single lanes, then halves. */
static inline void vtranspose_f32(vec_f32 *v)
{
    vec_f64 a = vreinterpretq_f64_f32(vtrn1q_f32(v[0], v[1]));
    vec_f64 b = vreinterpretq_f64_f32(vtrn2q_f32(v[0], v[1]));
    vec_f64 c = vreinterpretq_f64_f32(vtrn1q_f32(v[2], v[3]));
    vec_f64 d = vreinterpretq_f64_f32(vtrn2q_f32(v[2], v[3]));
    v[0] = vreinterpretq_f32_f64(vtrn1q_f64(a, c));
    v[1] = vreinterpretq_f32_f64(vtrn1q_f64(b, d));
    v[2] = vreinterpretq_f32_f64(vtrn2q_f64(a, c));
    v[3] = vreinterpretq_f32_f64(vtrn2q_f64(b, d));
}
static inline vec_f32 vload_float16(const uint16_t *p)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(p)));
}
static inline void vstore_float16(uint16_t *p, vec_f32 v)
{
    vst1_u16(p, vreinterpret_u16_f16(vcvt_f16_f32(v)));
}
static inline vec_f32 vload_bfloat16(const uint16_t *p)
{
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(p), 16));
}
/* As to_bfloat16 (half.h). */
static inline void vstore_bfloat16(uint16_t *p, vec_f32 v)
{
    const uint32x4_t bits = vreinterpretq_u32_f32(v), top = vshrq_n_u32(bits, 16);
    const uint32x4_t nan = vorrq_u32(vandq_u32(top, vdupq_n_u32(0x8000)), vdupq_n_u32(0x7fc0));
    const uint32x4_t odd = vandq_u32(top, vdupq_n_u32(1));
    const uint32x4_t kept = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), odd);
    vst1_u16(p, vmovn_u32(vbslq_u32(vceqq_f32(v, v), vshrq_n_u32(kept, 16), nan)));
}

static inline vec_f64 vset_f64(double x) { return vdupq_n_f64(x); }
static inline vec_f64 vlanes_f64(void)
{
    static const double lanes[2] = {0, 1};
    return vld1q_f64(lanes);
}
static inline vec_f64 vload_f64(const double *p) { return vld1q_f64(p); }
static inline void vstore_f64(double *p, vec_f64 v) { vst1q_f64(p, v); }
static inline vec_f64 vload_part_f64(const double *p, size_t n, vec_f64 fill)
{
    if (n > 1) return vld1q_f64(p);
    return n ? vld1q_lane_f64(p, fill, 0) : fill;
}
static inline void vstore_part_f64(double *p, size_t n, vec_f64 v)
{
    if (n > 0) vst1q_lane_f64(p, v, 0);
    if (n > 1) vst1q_lane_f64(p + 1, v, 1);
}
static inline vec_f64 vfma_f64(vec_f64 a, vec_f64 b, vec_f64 c) { return vfmaq_f64(c, a, b); }
static inline vec_f64 vmax_f64(vec_f64 a, vec_f64 b) { return vbslq_f64(vcgtq_f64(a, b), a, b); }
static inline vec_f64 vmin_f64(vec_f64 a, vec_f64 b) { return vbslq_f64(vcltq_f64(a, b), a, b); }
static inline vec_f64 vabs_f64(vec_f64 a) { return vabsq_f64(a); }
static inline vec_f64 vsigned_f64(vec_f64 a, vec_f64 s)
{
    return vreinterpretq_f64_u64(
        veorq_u64(vreinterpretq_u64_f64(a),
                  vandq_u64(vreinterpretq_u64_f64(s), vdupq_n_u64(0x8000000000000000u))));
}
static inline mask_f64 vless_f64(vec_f64 a, vec_f64 b) { return vcltq_f64(a, b); }
static inline mask_f64 vequal_f64(vec_f64 a, vec_f64 b) { return vceqq_f64(a, b); }
static inline vec_f64 vselect_f64(mask_f64 m, vec_f64 a, vec_f64 b) { return vbslq_f64(m, a, b); }
static inline unsigned vbits_f64(mask_f64 m)
{
    return (unsigned)((vgetq_lane_u64(m, 0) & 1) | (vgetq_lane_u64(m, 1) & 2));
}
static inline double vtop_f64(vec_f64 a)
{
    return vmaxvq_f64(a);
}
static inline double vsum_f64(vec_f64 a)
{
    return vgetq_lane_f64(a, 0) + vgetq_lane_f64(a, 1);
}
static inline vec_f64 vpow2_f64(vec_f64 t)
{
    return vreinterpretq_f64_u64(vshlq_n_u64(vreinterpretq_u64_f64(t), 52));
}
static inline vec_f64 vsplit_f64(vec_f64 u, vec_f64 *k)
{
    const uint64x2_t half = vdupq_n_u64(0x3fe8000000000000);
    const uint64x2_t one = vdupq_n_u64(0x3ff0000000000000);
    uint64x2_t t = vaddq_u64(vreinterpretq_u64_f64(u), vsubq_u64(one, half));
    *k = vcvtq_f64_s64(
        vsubq_s64(vreinterpretq_s64_u64(vshrq_n_u64(t, 52)), vdupq_n_s64(1023)));
    return vreinterpretq_f64_u64(vaddq_u64(vandq_u64(t, vdupq_n_u64(0x000fffffffffffff)), half));
}
static inline vec_f64 vwiden_f64(vec_f64 v, int part) { (void)part; return v; }
static inline vec_f64 vload_wide_f64(const double *p) { return vload_f64(p); }
static inline vec_f64 vnarrow_f64(const vec_f64 *parts) { return parts[0]; }
static inline void vtranspose_f64(vec_f64 *v)
{
    vec_f64 a = v[0], b = v[1];
    v[0] = vtrn1q_f64(a, b);
    v[1] = vtrn2q_f64(a, b);
}

#endif
