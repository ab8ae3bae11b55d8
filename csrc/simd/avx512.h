/* The vocabulary (simd/README.md) in AVX-512 F, DQ, BW, VL: 16 floats or 8 doubles. */
#ifndef CROSSENT_SIMD_AVX512_H
#define CROSSENT_SIMD_AVX512_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

typedef __m512 vec_f32;
typedef __mmask16 mask_f32;
typedef __m512d vec_f64;
typedef __mmask8 mask_f64;
enum { LANES_f32 = 16, LANES_f64 = 8, PARTS_f32 = 2, PARTS_f64 = 1 };


/* Bit i is set where i < n. */
static inline __mmask16 first_f32(size_t n)
{
    return (__mmask16)((1u << (n < 16 ? n : 16)) - 1);
}
static inline __mmask8 first_f64(size_t n) { return (__mmask8)((1u << (n < 8 ? n : 8)) - 1); }

static inline vec_f32 vset_f32(float x) { return _mm512_set1_ps(x); }
static inline vec_f32 vlanes_f32(void)
{
    return _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
}
static inline vec_f32 vload_f32(const float *p) { return _mm512_loadu_ps(p); }
static inline void vstore_f32(float *p, vec_f32 v) { _mm512_storeu_ps(p, v); }
static inline vec_f32 vload_part_f32(const float *p, size_t n, vec_f32 fill)
{
    return _mm512_mask_loadu_ps(fill, first_f32(n), p);
}
static inline void vstore_part_f32(float *p, size_t n, vec_f32 v)
{
    _mm512_mask_storeu_ps(p, first_f32(n), v);
}
static inline vec_f32 vfma_f32(vec_f32 a, vec_f32 b, vec_f32 c) { return _mm512_fmadd_ps(a, b, c); }
static inline vec_f32 vmax_f32(vec_f32 a, vec_f32 b) { return _mm512_max_ps(a, b); }
static inline vec_f32 vmin_f32(vec_f32 a, vec_f32 b) { return _mm512_min_ps(a, b); }
static inline vec_f32 vabs_f32(vec_f32 a) { return _mm512_andnot_ps(_mm512_set1_ps(-0.0f), a); }
/* 0x78 is the truth table of x ^ (y & z). */
static inline vec_f32 vsigned_f32(vec_f32 a, vec_f32 s)
{
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(
        _mm512_castps_si512(a), _mm512_castps_si512(s),
        _mm512_castps_si512(_mm512_set1_ps(-0.0f)), 0x78));
}
static inline mask_f32 vless_f32(vec_f32 a, vec_f32 b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
static inline mask_f32 vequal_f32(vec_f32 a, vec_f32 b)
{
    return _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ);
}
static inline vec_f32 vselect_f32(mask_f32 m, vec_f32 a, vec_f32 b)
{
    return _mm512_mask_blend_ps(m, b, a);
}
static inline unsigned vbits_f32(mask_f32 m) { return (unsigned)m; }
static inline float vtop_f32(vec_f32 a)
{
    return _mm512_reduce_max_ps(a);
}
static inline vec_f32 vpow2_f32(vec_f32 t)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_castps_si512(t), 23));
}
/* Adding 1 - 3/4 in the bits moves the cut between two exponents to 3/2. */
static inline vec_f32 vsplit_f32(vec_f32 u, vec_f32 *k)
{
    const __m512i half = _mm512_set1_epi32(0x3f400000), one = _mm512_set1_epi32(0x3f800000);
    __m512i t = _mm512_add_epi32(_mm512_castps_si512(u), _mm512_sub_epi32(one, half));
    *k = _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_srli_epi32(t, 23), _mm512_set1_epi32(127)));
    return _mm512_castsi512_ps(
        _mm512_add_epi32(_mm512_and_si512(t, _mm512_set1_epi32(0x007fffff)), half));
}
static inline vec_f64 vload_wide_f32(const float *p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }
static inline vec_f64 vwiden_f32(vec_f32 v, int part)
{
    return _mm512_cvtps_pd(part ? _mm512_extractf32x8_ps(v, 1) : _mm512_castps512_ps256(v));
}
static inline vec_f32 vnarrow_f32(const vec_f64 *parts)
{
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(parts[0])),
                              _mm512_cvtpd_ps(parts[1]), 1);
}
/* Two rounds within the quarters of the registers, then two rounds of whole quarters. */
static inline void vtranspose_f32(vec_f32 *v)
{
    vec_f32 a[16], b[16];
    for (int i = 0; i < 8; i++) {
        a[2 * i] = _mm512_unpacklo_ps(v[2 * i], v[2 * i + 1]);
        a[2 * i + 1] = _mm512_unpackhi_ps(v[2 * i], v[2 * i + 1]);
    }
    for (int i = 0; i < 4; i++) {
        b[4 * i] = _mm512_shuffle_ps(a[4 * i], a[4 * i + 2], 0x44);
        b[4 * i + 1] = _mm512_shuffle_ps(a[4 * i], a[4 * i + 2], 0xee);
        b[4 * i + 2] = _mm512_shuffle_ps(a[4 * i + 1], a[4 * i + 3], 0x44);
        b[4 * i + 3] = _mm512_shuffle_ps(a[4 * i + 1], a[4 * i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        a[i] = _mm512_shuffle_f32x4(b[i], b[i + 4], 0x88);
        a[i + 4] = _mm512_shuffle_f32x4(b[i], b[i + 4], 0xdd);
        a[i + 8] = _mm512_shuffle_f32x4(b[i + 8], b[i + 12], 0x88);
        a[i + 12] = _mm512_shuffle_f32x4(b[i + 8], b[i + 12], 0xdd);
    }
    for (int i = 0; i < 8; i++) {
        v[i] = _mm512_shuffle_f32x4(a[i], a[i + 8], 0x88);
        v[i + 8] = _mm512_shuffle_f32x4(a[i], a[i + 8], 0xdd);
    }
}
static inline vec_f32 vload_float16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
static inline void vstore_float16(uint16_t *p, vec_f32 v)
{
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
static inline vec_f32 vload_bfloat16(const uint16_t *p)
{
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
/* As to_bfloat16 (half.h). */
static inline void vstore_bfloat16(uint16_t *p, vec_f32 v)
{
    const __m512i bits = _mm512_castps_si512(v), nan = _mm512_set1_epi32(0x7fc0);
    const __m512i top = _mm512_srli_epi32(bits, 16);
    const __m512i odd = _mm512_and_si512(top, _mm512_set1_epi32(1));
    __m512i kept = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    kept = _mm512_mask_or_epi32(_mm512_srli_epi32(kept, 16), _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q),
                                _mm512_and_si512(top, _mm512_set1_epi32(0x8000)), nan);
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(kept));
}

static inline vec_f64 vset_f64(double x) { return _mm512_set1_pd(x); }
static inline vec_f64 vlanes_f64(void) { return _mm512_setr_pd(0, 1, 2, 3, 4, 5, 6, 7); }
static inline vec_f64 vload_f64(const double *p) { return _mm512_loadu_pd(p); }
static inline void vstore_f64(double *p, vec_f64 v) { _mm512_storeu_pd(p, v); }
static inline vec_f64 vload_part_f64(const double *p, size_t n, vec_f64 fill)
{
    return _mm512_mask_loadu_pd(fill, first_f64(n), p);
}
static inline void vstore_part_f64(double *p, size_t n, vec_f64 v)
{
    _mm512_mask_storeu_pd(p, first_f64(n), v);
}
static inline vec_f64 vfma_f64(vec_f64 a, vec_f64 b, vec_f64 c) { return _mm512_fmadd_pd(a, b, c); }
static inline vec_f64 vmax_f64(vec_f64 a, vec_f64 b) { return _mm512_max_pd(a, b); }
static inline vec_f64 vmin_f64(vec_f64 a, vec_f64 b) { return _mm512_min_pd(a, b); }
static inline vec_f64 vabs_f64(vec_f64 a) { return _mm512_andnot_pd(_mm512_set1_pd(-0.0), a); }
static inline vec_f64 vsigned_f64(vec_f64 a, vec_f64 s)
{
    return _mm512_castsi512_pd(_mm512_ternarylogic_epi64(
        _mm512_castpd_si512(a), _mm512_castpd_si512(s),
        _mm512_castpd_si512(_mm512_set1_pd(-0.0)), 0x78));
}
static inline mask_f64 vless_f64(vec_f64 a, vec_f64 b)
{
    return _mm512_cmp_pd_mask(a, b, _CMP_LT_OQ);
}
static inline mask_f64 vequal_f64(vec_f64 a, vec_f64 b)
{
    return _mm512_cmp_pd_mask(a, b, _CMP_EQ_OQ);
}
static inline vec_f64 vselect_f64(mask_f64 m, vec_f64 a, vec_f64 b)
{
    return _mm512_mask_blend_pd(m, b, a);
}
static inline unsigned vbits_f64(mask_f64 m) { return (unsigned)m; }
static inline double vtop_f64(vec_f64 a)
{
    return _mm512_reduce_max_pd(a);
}
static inline double vsum_f64(vec_f64 a)
{
    __m256d four = _mm512_castpd512_pd256(a) + _mm512_extractf64x4_pd(a, 1);
    __m128d two = _mm256_castpd256_pd128(four) + _mm256_extractf128_pd(four, 1);
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}
static inline vec_f64 vpow2_f64(vec_f64 t)
{
    return _mm512_castsi512_pd(_mm512_slli_epi64(_mm512_castpd_si512(t), 52));
}
static inline vec_f64 vsplit_f64(vec_f64 u, vec_f64 *k)
{
    const __m512i half = _mm512_set1_epi64(0x3fe8000000000000);
    const __m512i one = _mm512_set1_epi64(0x3ff0000000000000);
    __m512i t = _mm512_add_epi64(_mm512_castpd_si512(u), _mm512_sub_epi64(one, half));
    *k = _mm512_cvtepi64_pd(_mm512_sub_epi64(_mm512_srli_epi64(t, 52), _mm512_set1_epi64(1023)));
    return _mm512_castsi512_pd(_mm512_add_epi64(
        _mm512_and_si512(t, _mm512_set1_epi64(0x000fffffffffffff)), half));
}
static inline vec_f64 vwiden_f64(vec_f64 v, int part) { (void)part; return v; }
static inline vec_f64 vload_wide_f64(const double *p) { return vload_f64(p); }
static inline vec_f64 vnarrow_f64(const vec_f64 *parts) { return parts[0]; }
static inline void vtranspose_f64(vec_f64 *v)
{
    vec_f64 a[8], b[8];
    for (int i = 0; i < 4; i++) {
        a[2 * i] = _mm512_unpacklo_pd(v[2 * i], v[2 * i + 1]);
        a[2 * i + 1] = _mm512_unpackhi_pd(v[2 * i], v[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        b[i] = _mm512_shuffle_f64x2(a[i], a[i + 2], 0x88);
        b[i + 2] = _mm512_shuffle_f64x2(a[i], a[i + 2], 0xdd);
        b[i + 4] = _mm512_shuffle_f64x2(a[i + 4], a[i + 6], 0x88);
        b[i + 6] = _mm512_shuffle_f64x2(a[i + 4], a[i + 6], 0xdd);
    }
    for (int i = 0; i < 4; i++) {
        v[i] = _mm512_shuffle_f64x2(b[i], b[i + 4], 0x88);
        v[i + 4] = _mm512_shuffle_f64x2(b[i], b[i + 4], 0xdd);
    }
}

#endif
