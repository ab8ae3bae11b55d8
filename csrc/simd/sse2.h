/* The vocabulary (simd/README.md) in SSE2 alone: 4 floats or 2 doubles. */
#ifndef CROSSENT_SIMD_SSE2_H
#define CROSSENT_SIMD_SSE2_H

#include <emmintrin.h>
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "base/half.h"

typedef __m128 vec_f32;
typedef __m128 mask_f32;
typedef __m128d vec_f64;
typedef __m128d mask_f64;
enum { LANES_f32 = 4, LANES_f64 = 2, PARTS_f32 = 2, PARTS_f64 = 1 };

#include "simd/two_sum.h"


static inline vec_f64 vset_f64(double x) { return _mm_set1_pd(x); }
static inline vec_f64 vlanes_f64(void) { return _mm_setr_pd(0, 1); }
static inline vec_f64 vload_f64(const double *p) { return _mm_loadu_pd(p); }
static inline void vstore_f64(double *p, vec_f64 v) { _mm_storeu_pd(p, v); }
static inline vec_f64 vload_part_f64(const double *p, size_t n, vec_f64 fill)
{
    if (n > 1) return _mm_loadu_pd(p);
    return n ? _mm_loadl_pd(fill, p) : fill;
}
static inline void vstore_part_f64(double *p, size_t n, vec_f64 v)
{
    if (n > 0) _mm_storel_pd(p, v);
    if (n > 1) _mm_storeh_pd(p + 1, v);
}
static inline vec_f64 vmax_f64(vec_f64 a, vec_f64 b) { return _mm_max_pd(a, b); }
static inline vec_f64 vmin_f64(vec_f64 a, vec_f64 b) { return _mm_min_pd(a, b); }
static inline vec_f64 vabs_f64(vec_f64 a) { return _mm_andnot_pd(_mm_set1_pd(-0.0), a); }
static inline vec_f64 vsigned_f64(vec_f64 a, vec_f64 s)
{
    return _mm_xor_pd(a, _mm_and_pd(s, _mm_set1_pd(-0.0)));
}
static inline mask_f64 vless_f64(vec_f64 a, vec_f64 b) { return _mm_cmplt_pd(a, b); }
static inline mask_f64 vequal_f64(vec_f64 a, vec_f64 b) { return _mm_cmpeq_pd(a, b); }
static inline vec_f64 vselect_f64(mask_f64 m, vec_f64 a, vec_f64 b)
{
    return _mm_or_pd(_mm_and_pd(m, a), _mm_andnot_pd(m, b));
}
static inline unsigned vbits_f64(mask_f64 m) { return (unsigned)_mm_movemask_pd(m); }
static inline double vtop_f64(vec_f64 a)
{
    return _mm_cvtsd_f64(_mm_max_sd(a, _mm_unpackhi_pd(a, a)));
}
static inline double vsum_f64(vec_f64 a)
{
    return _mm_cvtsd_f64(_mm_add_sd(a, _mm_unpackhi_pd(a, a)));
}
static inline vec_f64 vpow2_f64(vec_f64 t)
{
    return _mm_castsi128_pd(_mm_slli_epi64(_mm_castpd_si128(t), 52));
}
/* Adding 1 - 3/4 in the bits moves the cut between two exponents to 3/2. The exponent
 * becomes a double by placing it in the mantissa of 2^52. */
static inline vec_f64 vsplit_f64(vec_f64 u, vec_f64 *k)
{
    const __m128i half = _mm_set1_epi64x(0x3fe8000000000000);
    const __m128i one = _mm_set1_epi64x(0x3ff0000000000000);
    __m128i t = _mm_add_epi64(_mm_castpd_si128(u), _mm_sub_epi64(one, half));
    __m128i biased = _mm_or_si128(_mm_srli_epi64(t, 52),
                                  _mm_castpd_si128(_mm_set1_pd(0x1p52)));
    *k = _mm_castsi128_pd(biased) - _mm_set1_pd(0x1p52 + 1023);
    return _mm_castsi128_pd(
        _mm_add_epi64(_mm_and_si128(t, _mm_set1_epi64x(0x000fffffffffffff)), half));
}
static inline vec_f64 vwiden_f64(vec_f64 v, int part) { (void)part; return v; }
static inline vec_f64 vload_wide_f64(const double *p) { return vload_f64(p); }
static inline vec_f64 vnarrow_f64(const vec_f64 *parts) { return parts[0]; }
static inline void vtranspose_f64(vec_f64 *v)
{
    vec_f64 a = v[0], b = v[1];
    v[0] = _mm_unpacklo_pd(a, b);
    v[1] = _mm_unpackhi_pd(a, b);
}

/* SSE2 has no fused multiply-add, so it is composed, to the last bit. Two tools serve: two_sum, and
 * a + b rounded to odd: an inexact sum takes that one of its two neighbours whose last bit is
 * 1, so it can never sit on a value or a midpoint of a coarser rounding, and a later rounding to
 * at least two bits fewer gives what rounding a + b at once would give. From the rounded sum, an
 * even one that is inexact moves one step towards its error. */
static inline vec_f64 odd_sum(vec_f64 a, vec_f64 b)
{
    vec_f64 error, s = two_sum(a, b, &error);
    const __m128i one = _mm_set1_epi64x(1);
    __m128i bits = _mm_castpd_si128(s);
    __m128i opposed = _mm_srai_epi32(_mm_castpd_si128(_mm_xor_pd(s, error)), 31);
    __m128i step = _mm_or_si128(_mm_shuffle_epi32(opposed, 0xf5), one);
    __m128i even = _mm_sub_epi64(_mm_and_si128(bits, one), one);
    __m128i inexact = _mm_castpd_si128(_mm_cmplt_pd(_mm_setzero_pd(), vabs_f64(error)));
    step = _mm_and_si128(step, _mm_and_si128(even, inexact));
    return _mm_castsi128_pd(_mm_add_epi64(bits, step));
}
/* x in two summands of at most 26 bits each (Veltkamp); their products are exact. */
static inline vec_f64 high_half(vec_f64 x)
{
    vec_f64 t = x * _mm_set1_pd(0x1p27 + 1);
    return t - (t - x);
}
static inline vec_f64 fma_by_lane(vec_f64 a, vec_f64 b, vec_f64 c)
{
    double x[2], y[2], z[2];
    _mm_storeu_pd(x, a);
    _mm_storeu_pd(y, b);
    _mm_storeu_pd(z, c);
    return _mm_setr_pd(fma(x[0], y[0], z[0]), fma(x[1], y[1], z[1]));
}
/* a*b = p + q exactly (Dekker), p + q + c = high + middle + low exactly, and low joins middle by
 * rounding to odd before the only rounding to nearest (Boldo and Melquiond 2008). That needs
 * every term to be finite and the last bit of q to exist, so |a*b| >= 2^-960; a product with a
 * zero is exact by itself; a register with anything else goes through the C library. */
static inline vec_f64 vfma_f64(vec_f64 a, vec_f64 b, vec_f64 c)
{
    vec_f64 x = vabs_f64(a), y = vabs_f64(b), p = a * b, plain = p + c;
    mask_f64 zero = _mm_cmpeq_pd(_mm_min_pd(x, y), _mm_setzero_pd());
    mask_f64 safe = _mm_and_pd(
        _mm_cmplt_pd((x + y) + (vabs_f64(p) + vabs_f64(c)), _mm_set1_pd(0x1p990)),
        _mm_cmple_pd(_mm_set1_pd(0x1p-960), vabs_f64(p)));
    if (__builtin_expect(_mm_movemask_pd(_mm_or_pd(zero, safe)) != 3, 0))
        return fma_by_lane(a, b, c);
    vec_f64 ah = high_half(a), al = a - ah, bh = high_half(b), bl = b - bh;
    vec_f64 q = ((ah * bh - p) + ah * bl + al * bh) + al * bl;
    vec_f64 rest, low, middle, high;
    rest = two_sum(c, q, &low);
    high = two_sum(p, rest, &middle);
    return vselect_f64(zero, plain, high + odd_sum(middle, low));
}

/* Lane i is all ones where i < n. */
static inline mask_f32 first_f32(size_t n)
{
    return _mm_castsi128_ps(
        _mm_cmpgt_epi32(_mm_set1_epi32((int)(n < 4 ? n : 4)), _mm_setr_epi32(0, 1, 2, 3)));
}

static inline vec_f32 vset_f32(float x) { return _mm_set1_ps(x); }
static inline vec_f32 vlanes_f32(void) { return _mm_setr_ps(0, 1, 2, 3); }
static inline vec_f32 vload_f32(const float *p) { return _mm_loadu_ps(p); }
static inline void vstore_f32(float *p, vec_f32 v) { _mm_storeu_ps(p, v); }
static inline vec_f32 vselect_f32(mask_f32 m, vec_f32 a, vec_f32 b)
{
    return _mm_or_ps(_mm_and_ps(m, a), _mm_andnot_ps(m, b));
}
static inline vec_f32 vload_part_f32(const float *p, size_t n, vec_f32 fill)
{
    if (n > 3) return _mm_loadu_ps(p);
    vec_f32 v = fill;
    if (n & 1) v = _mm_load_ss(p + (n & 2));
    if (n & 2) v = _mm_movelh_ps(_mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)p)), v);
    return vselect_f32(first_f32(n), v, fill);
}
static inline void vstore_part_f32(float *p, size_t n, vec_f32 v)
{
    if (n > 3) {
        _mm_storeu_ps(p, v);
        return;
    }
    if (n & 2) {
        _mm_storel_epi64((__m128i *)p, _mm_castps_si128(v));
        v = _mm_movehl_ps(v, v);
    }
    if (n & 1) _mm_store_ss(p + (n & 2), v);
}
static inline vec_f32 vmax_f32(vec_f32 a, vec_f32 b) { return _mm_max_ps(a, b); }
static inline vec_f32 vmin_f32(vec_f32 a, vec_f32 b) { return _mm_min_ps(a, b); }
static inline vec_f32 vabs_f32(vec_f32 a) { return _mm_andnot_ps(_mm_set1_ps(-0.0f), a); }
static inline vec_f32 vsigned_f32(vec_f32 a, vec_f32 s)
{
    return _mm_xor_ps(a, _mm_and_ps(s, _mm_set1_ps(-0.0f)));
}
static inline mask_f32 vless_f32(vec_f32 a, vec_f32 b) { return _mm_cmplt_ps(a, b); }
static inline mask_f32 vequal_f32(vec_f32 a, vec_f32 b) { return _mm_cmpeq_ps(a, b); }
static inline unsigned vbits_f32(mask_f32 m) { return (unsigned)_mm_movemask_ps(m); }
static inline float vtop_f32(vec_f32 a)
{
    a = _mm_max_ps(a, _mm_movehl_ps(a, a));
    return _mm_cvtss_f32(_mm_max_ss(a, _mm_shuffle_ps(a, a, 1)));
}
static inline vec_f32 vpow2_f32(vec_f32 t)
{
    return _mm_castsi128_ps(_mm_slli_epi32(_mm_castps_si128(t), 23));
}
static inline vec_f32 vsplit_f32(vec_f32 u, vec_f32 *k)
{
    const __m128i half = _mm_set1_epi32(0x3f400000), one = _mm_set1_epi32(0x3f800000);
    __m128i t = _mm_add_epi32(_mm_castps_si128(u), _mm_sub_epi32(one, half));
    *k = _mm_cvtepi32_ps(_mm_sub_epi32(_mm_srli_epi32(t, 23), _mm_set1_epi32(127)));
    return _mm_castsi128_ps(
        _mm_add_epi32(_mm_and_si128(t, _mm_set1_epi32(0x007fffff)), half));
}
static inline vec_f64 vload_wide_f32(const float *p)
{
    return _mm_cvtps_pd(_mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)p)));
}
static inline vec_f64 vwiden_f32(vec_f32 v, int part)
{
    return _mm_cvtps_pd(part ? _mm_movehl_ps(v, v) : v);
}
static inline vec_f32 vnarrow_f32(const vec_f64 *parts)
{
    return _mm_movelh_ps(_mm_cvtpd_ps(parts[0]), _mm_cvtpd_ps(parts[1]));
}
/* A product of floats is exact in double; the sum is rounded to odd there, then to float. */
static inline vec_f32 vfma_f32(vec_f32 a, vec_f32 b, vec_f32 c)
{
    vec_f64 parts[2];
    for (int i = 0; i < 2; i++)
        parts[i] = odd_sum(vwiden_f32(a, i) * vwiden_f32(b, i), vwiden_f32(c, i));
    return vnarrow_f32(parts);
}
/* Two rounds: single lanes, then halves. */
static inline void vtranspose_f32(vec_f32 *v)
{
    vec_f32 a = _mm_unpacklo_ps(v[0], v[1]), b = _mm_unpackhi_ps(v[0], v[1]);
    vec_f32 c = _mm_unpacklo_ps(v[2], v[3]), d = _mm_unpackhi_ps(v[2], v[3]);
    v[0] = _mm_movelh_ps(a, c);
    v[1] = _mm_movehl_ps(c, a);
    v[2] = _mm_movelh_ps(b, d);
    v[3] = _mm_movehl_ps(d, b);
}

static inline vec_f32 four_from(const uint16_t *p, float (*from)(uint16_t))
{
    float x[4];
    for (int i = 0; i < 4; i++) x[i] = from(p[i]);
    return vload_f32(x);
}
static inline void four_to(uint16_t *p, vec_f32 v, uint16_t (*to)(float))
{
    float x[4];
    vstore_f32(x, v);
    for (int i = 0; i < 4; i++) p[i] = to(x[i]);
}
static inline vec_f32 vload_float16(const uint16_t *p) { return four_from(p, from_float16); }
static inline void vstore_float16(uint16_t *p, vec_f32 v) { four_to(p, v, to_float16); }
static inline vec_f32 vload_bfloat16(const uint16_t *p) { return four_from(p, from_bfloat16); }
static inline void vstore_bfloat16(uint16_t *p, vec_f32 v) { four_to(p, v, to_bfloat16); }

#endif
