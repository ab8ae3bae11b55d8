/* The vocabulary (simd/README.md) in AVX2 and FMA: 8 floats or 4 doubles. */
#ifndef CROSSENT_SIMD_AVX2_H
#define CROSSENT_SIMD_AVX2_H

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

typedef __m256 vec_f32;
typedef __m256 mask_f32;
typedef __m256d vec_f64;
typedef __m256d mask_f64;
enum { LANES_f32 = 8, LANES_f64 = 4, PARTS_f32 = 2, PARTS_f64 = 1 };


/* Lane i is all ones where i < n. */
static inline __m256i first_f32(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)(n < 8 ? n : 8)),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline __m256i first_f64(size_t n)
{
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x((long long)(n < 4 ? n : 4)),
                              _mm256_setr_epi64x(0, 1, 2, 3));
}

static inline vec_f32 vset_f32(float x) { return _mm256_set1_ps(x); }
static inline vec_f32 vlanes_f32(void) { return _mm256_setr_ps(0, 1, 2, 3, 4, 5, 6, 7); }
static inline vec_f32 vload_f32(const float *p) { return _mm256_loadu_ps(p); }
static inline void vstore_f32(float *p, vec_f32 v) { _mm256_storeu_ps(p, v); }
static inline vec_f32 vload_part_f32(const float *p, size_t n, vec_f32 fill)
{
    __m256i m = first_f32(n);
    return _mm256_blendv_ps(fill, _mm256_maskload_ps(p, m), _mm256_castsi256_ps(m));
}
/* In halves: a masked store takes 12 cycles on AMD. */
static inline void vstore_part_f32(float *p, size_t n, vec_f32 v)
{
    __m128 half = _mm256_castps256_ps128(v);
    if (n >= 8) {
        _mm256_storeu_ps(p, v);
        return;
    }
    if (n & 4) {
        _mm_storeu_ps(p, half);
        half = _mm256_extractf128_ps(v, 1);
        p += 4;
    }
    if (n & 2) {
        _mm_storel_pi((__m64 *)p, half);
        half = _mm_movehl_ps(half, half);
        p += 2;
    }
    if (n & 1)
        _mm_store_ss(p, half);
}
static inline vec_f32 vfma_f32(vec_f32 a, vec_f32 b, vec_f32 c) { return _mm256_fmadd_ps(a, b, c); }
static inline vec_f32 vmax_f32(vec_f32 a, vec_f32 b) { return _mm256_max_ps(a, b); }
static inline vec_f32 vmin_f32(vec_f32 a, vec_f32 b) { return _mm256_min_ps(a, b); }
static inline vec_f32 vabs_f32(vec_f32 a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
static inline vec_f32 vsigned_f32(vec_f32 a, vec_f32 s)
{
    return _mm256_xor_ps(a, _mm256_and_ps(s, _mm256_set1_ps(-0.0f)));
}
static inline mask_f32 vless_f32(vec_f32 a, vec_f32 b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
static inline mask_f32 vequal_f32(vec_f32 a, vec_f32 b) { return _mm256_cmp_ps(a, b, _CMP_EQ_OQ); }
static inline vec_f32 vselect_f32(mask_f32 m, vec_f32 a, vec_f32 b)
{
    return _mm256_blendv_ps(b, a, m);
}
static inline unsigned vbits_f32(mask_f32 m) { return (unsigned)_mm256_movemask_ps(m); }
static inline float vtop_f32(vec_f32 a)
{
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}
static inline vec_f32 vpow2_f32(vec_f32 t)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_castps_si256(t), 23));
}
/* Adding 1 - 3/4 in the bits moves the cut between two exponents to 3/2. */
static inline vec_f32 vsplit_f32(vec_f32 u, vec_f32 *k)
{
    const __m256i half = _mm256_set1_epi32(0x3f400000), one = _mm256_set1_epi32(0x3f800000);
    __m256i t = _mm256_add_epi32(_mm256_castps_si256(u), _mm256_sub_epi32(one, half));
    *k = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_srli_epi32(t, 23), _mm256_set1_epi32(127)));
    return _mm256_castsi256_ps(
        _mm256_add_epi32(_mm256_and_si256(t, _mm256_set1_epi32(0x007fffff)), half));
}
static inline vec_f64 vload_wide_f32(const float *p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }
static inline vec_f64 vwiden_f32(vec_f32 v, int part)
{
    return _mm256_cvtps_pd(part ? _mm256_extractf128_ps(v, 1) : _mm256_castps256_ps128(v));
}
static inline vec_f32 vnarrow_f32(const vec_f64 *parts)
{
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm256_cvtpd_ps(parts[0])),
                                _mm256_cvtpd_ps(parts[1]), 1);
}
/* Three rounds of interleaving: pairs, quads, halves. */
static inline void vtranspose_f32(vec_f32 *v)
{
    vec_f32 a[8], b[8];
    for (int i = 0; i < 4; i++) {
        a[2 * i] = _mm256_unpacklo_ps(v[2 * i], v[2 * i + 1]);
        a[2 * i + 1] = _mm256_unpackhi_ps(v[2 * i], v[2 * i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        b[4 * i] = _mm256_shuffle_ps(a[4 * i], a[4 * i + 2], 0x44);
        b[4 * i + 1] = _mm256_shuffle_ps(a[4 * i], a[4 * i + 2], 0xee);
        b[4 * i + 2] = _mm256_shuffle_ps(a[4 * i + 1], a[4 * i + 3], 0x44);
        b[4 * i + 3] = _mm256_shuffle_ps(a[4 * i + 1], a[4 * i + 3], 0xee);
    }
    for (int i = 0; i < 4; i++) {
        v[i] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x20);
        v[i + 4] = _mm256_permute2f128_ps(b[i], b[i + 4], 0x31);
    }
}
static inline vec_f32 vload_float16(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
static inline void vstore_float16(uint16_t *p, vec_f32 v)
{
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
}
static inline vec_f32 vload_bfloat16(const uint16_t *p)
{
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
/* As to_bfloat16 (half.h). */
static inline void vstore_bfloat16(uint16_t *p, vec_f32 v)
{
    const __m256i bits = _mm256_castps_si256(v), top = _mm256_srli_epi32(bits, 16);
    const __m256i nan = _mm256_or_si256(_mm256_and_si256(top, _mm256_set1_epi32(0x8000)),
                                        _mm256_set1_epi32(0x7fc0));
    const __m256i odd = _mm256_and_si256(top, _mm256_set1_epi32(1));
    __m256i kept = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    kept = _mm256_blendv_epi8(_mm256_srli_epi32(kept, 16), nan,
                              _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q)));
    _mm_storeu_si128((__m128i *)p, _mm_packus_epi32(_mm256_castsi256_si128(kept),
                                                    _mm256_extracti128_si256(kept, 1)));
}

static inline vec_f64 vset_f64(double x) { return _mm256_set1_pd(x); }
static inline vec_f64 vlanes_f64(void) { return _mm256_setr_pd(0, 1, 2, 3); }
static inline vec_f64 vload_f64(const double *p) { return _mm256_loadu_pd(p); }
static inline void vstore_f64(double *p, vec_f64 v) { _mm256_storeu_pd(p, v); }
static inline vec_f64 vload_part_f64(const double *p, size_t n, vec_f64 fill)
{
    __m256i m = first_f64(n);
    return _mm256_blendv_pd(fill, _mm256_maskload_pd(p, m), _mm256_castsi256_pd(m));
}
static inline void vstore_part_f64(double *p, size_t n, vec_f64 v)
{
    __m128d half = _mm256_castpd256_pd128(v);
    if (n >= 4) {
        _mm256_storeu_pd(p, v);
        return;
    }
    if (n & 2) {
        _mm_storeu_pd(p, half);
        half = _mm256_extractf128_pd(v, 1);
        p += 2;
    }
    if (n & 1)
        _mm_store_sd(p, half);
}
static inline vec_f64 vfma_f64(vec_f64 a, vec_f64 b, vec_f64 c) { return _mm256_fmadd_pd(a, b, c); }
static inline vec_f64 vmax_f64(vec_f64 a, vec_f64 b) { return _mm256_max_pd(a, b); }
static inline vec_f64 vmin_f64(vec_f64 a, vec_f64 b) { return _mm256_min_pd(a, b); }
static inline vec_f64 vabs_f64(vec_f64 a) { return _mm256_andnot_pd(_mm256_set1_pd(-0.0), a); }
static inline vec_f64 vsigned_f64(vec_f64 a, vec_f64 s)
{
    return _mm256_xor_pd(a, _mm256_and_pd(s, _mm256_set1_pd(-0.0)));
}
static inline mask_f64 vless_f64(vec_f64 a, vec_f64 b) { return _mm256_cmp_pd(a, b, _CMP_LT_OQ); }
static inline mask_f64 vequal_f64(vec_f64 a, vec_f64 b) { return _mm256_cmp_pd(a, b, _CMP_EQ_OQ); }
static inline vec_f64 vselect_f64(mask_f64 m, vec_f64 a, vec_f64 b)
{
    return _mm256_blendv_pd(b, a, m);
}
static inline unsigned vbits_f64(mask_f64 m) { return (unsigned)_mm256_movemask_pd(m); }
static inline double vtop_f64(vec_f64 a)
{
    __m128d m = _mm_max_pd(_mm256_castpd256_pd128(a), _mm256_extractf128_pd(a, 1));
    return _mm_cvtsd_f64(_mm_max_sd(m, _mm_unpackhi_pd(m, m)));
}
static inline double vsum_f64(vec_f64 a)
{
    __m128d two = _mm256_castpd256_pd128(a) + _mm256_extractf128_pd(a, 1);
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}
static inline vec_f64 vpow2_f64(vec_f64 t)
{
    return _mm256_castsi256_pd(_mm256_slli_epi64(_mm256_castpd_si256(t), 52));
}
/* The exponent becomes a double by placing it in the mantissa of 2^52. */
static inline vec_f64 vsplit_f64(vec_f64 u, vec_f64 *k)
{
    const __m256i half = _mm256_set1_epi64x(0x3fe8000000000000);
    const __m256i one = _mm256_set1_epi64x(0x3ff0000000000000);
    __m256i t = _mm256_add_epi64(_mm256_castpd_si256(u), _mm256_sub_epi64(one, half));
    __m256i biased = _mm256_or_si256(_mm256_srli_epi64(t, 52),
                                     _mm256_castpd_si256(_mm256_set1_pd(0x1p52)));
    *k = _mm256_castsi256_pd(biased) - _mm256_set1_pd(0x1p52 + 1023);
    return _mm256_castsi256_pd(_mm256_add_epi64(
        _mm256_and_si256(t, _mm256_set1_epi64x(0x000fffffffffffff)), half));
}
static inline vec_f64 vwiden_f64(vec_f64 v, int part) { (void)part; return v; }
static inline vec_f64 vload_wide_f64(const double *p) { return vload_f64(p); }
static inline vec_f64 vnarrow_f64(const vec_f64 *parts) { return parts[0]; }
static inline void vtranspose_f64(vec_f64 *v)
{
    vec_f64 a = _mm256_unpacklo_pd(v[0], v[1]), b = _mm256_unpackhi_pd(v[0], v[1]);
    vec_f64 c = _mm256_unpacklo_pd(v[2], v[3]), d = _mm256_unpackhi_pd(v[2], v[3]);
    v[0] = _mm256_permute2f128_pd(a, c, 0x20);
    v[1] = _mm256_permute2f128_pd(b, d, 0x20);
    v[2] = _mm256_permute2f128_pd(a, c, 0x31);
    v[3] = _mm256_permute2f128_pd(b, d, 0x31);
}

#endif
