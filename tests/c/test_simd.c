/* Every word of one vocabulary (csrc/simd/README.md) against the obvious loop. The header is named
 * by the compiler: -DVOCABULARY='"simd/avx2.h"', with csrc in the include path. */
#define _DEFAULT_SOURCE
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "crossent.h"
#include VOCABULARY

static unsigned long checks, failures;

static uint64_t random_bits(void)
{
    static uint64_t s = 0x9e3779b97f4a7c15;
    s ^= s << 13;
    s ^= s >> 7;
    s ^= s << 17;
    return s * 0x2545f4914f6cdd1d;
}
static int random_between(int low, int high)
{
    return low + (int)((random_bits() >> 33) % (uint64_t)(high - low + 1));
}

/* One page that may be used, between two that may not: first and one past its last byte. */
static char *page_first, *page_end;
static void make_page(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    char *p = mmap(NULL, 3 * size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED || mprotect(p + size, size, PROT_READ | PROT_WRITE)) {
        perror("mmap");
        exit(2);
    }
    page_first = p + size;
    page_end = page_first + size;
}

#define PASTE(a, b) a##_##b
#define JOIN(a, b) PASTE(a, b)
#define OF(word) JOIN(word, D)
#define TEXT(x) #x
#define NAME_OF(x) TEXT(x)

#define D f32
#define T float
#define BITS uint32_t
#define MANTISSA 23
#define BIAS 127
#define FMA fmaf
#include "test_simd.inc.h"
#undef D
#undef T
#undef BITS
#undef MANTISSA
#undef BIAS
#undef FMA

#define D f64
#define T double
#define BITS uint64_t
#define MANTISSA 52
#define BIAS 1023
#define FMA fma
#include "test_simd.inc.h"

/* Lane i is added to lane i + half, then the half as wide, and so on. */
static void test_sum(void)
{
    for (int round = 0; round < 20000; round++) {
        double a[LANES_f64], lane[LANES_f64];
        for (int i = 0; i < LANES_f64; i++) {
            const int s = random_between(0, 20 * SPECIALS_f64), e = random_between(-60, 60);
            a[i] = lane[i] = s < SPECIALS_f64 ? special_f64(s) : random_near_f64(e);
        }
        for (int half = LANES_f64 / 2; half; half /= 2)
            for (int i = 0; i < half; i++) lane[i] += lane[i + half];
        equally_f64("vsum", -1, lane[0], vsum_f64(vload_f64(a)));
    }
}

static uint16_t half_of(float x, const int digits, const int bias)
{
    const uint16_t sign = signbit(x) ? 0x8000 : 0, most = (uint16_t)((2 * bias + 1) << digits);
    const uint16_t quiet = (uint16_t)(1 << (digits - 1));
    int e;
    if (isnan(x)) {
        const uint16_t rest = (uint16_t)(bits_of_f32(x) >> (23 - digits) & (quiet - 1u));
        return sign | most | quiet | (digits == 10 ? rest : 0);
    }
    if (isinf(x)) return sign | most;
    frexp(x, &e);
    e = x == 0 || e - 1 < 1 - bias ? 1 - bias : e - 1;
    const long n = lrint(ldexp(fabs((double)x), digits - e)) + ((long)(e + bias - 1) << digits);
    return sign | (n > most ? most : (uint16_t)n);
}
static float float_of_half(uint16_t half, const int digits, const int bias)
{
    const int exponent = (half & 0x7fff) >> digits, rest = half & ((1 << digits) - 1);
    const float sign = half & 0x8000 ? -1 : 1;
    if (exponent == 2 * bias + 1) {
        const uint32_t quiet = rest && digits == 10 ? 1u << 22 : 0;
        return of_bits_f32((half & 0x8000u) << 16 | 255u << 23 | (uint32_t)rest << (23 - digits) |
                           quiet);
    }
    if (exponent == 0) return sign * (float)ldexp(rest, 1 - bias - digits);
    return sign * (float)ldexp(rest + (1 << digits), exponent - bias - digits);
}

/* All numbers of 16 bits, and floats at, between and beside them, at the end of a page. */
static void test_halves(void)
{
    uint16_t *at = (uint16_t *)(void *)page_end - LANES_f32, found[LANES_f32 + 2];
    float x[LANES_f32], wanted[LANES_f32];
    for (int kind = 0; kind < 2; kind++)
        for (uint32_t first = 0; first < 0x10000; first += LANES_f32) {
            const int digits = kind ? 7 : 10, bias = kind ? 127 : 15;
            for (uint32_t i = 0; i < LANES_f32; i++) {
                at[i] = (uint16_t)(first + i);
                wanted[i] = float_of_half(at[i], digits, bias);
            }
            lanes_exactly_f32("vload_half", wanted, kind ? vload_bfloat16(at) : vload_float16(at));
            for (int beside = -3; beside <= 3; beside++) {
                const uint32_t step = 1u << (22 - digits);
                for (int i = 0; i < LANES_f32; i++)
                    x[i] = of_bits_f32(bits_of_f32(wanted[i]) + (beside > 1 ? step : 0) +
                                       (uint32_t)(beside > 1 ? beside - 2 : beside));
                memset(found, 0xa5, sizeof found);
                if (kind) vstore_bfloat16(found + 1, vload_f32(x));
                else vstore_float16(found + 1, vload_f32(x));
                for (int i = 0; i < LANES_f32; i++)
                    whole_f32("vstore_half", i, half_of(x[i], digits, bias), found[i + 1]);
                whole_f32("vstore_half", -1, 0xa5a5, found[0]);
                whole_f32("vstore_half", -1, 0xa5a5, found[LANES_f32 + 1]);
            }
        }
    for (int round = 0; round < 100000; round++) {
        for (int i = 0; i < LANES_f32; i++) x[i] = random_any_f32();
        vstore_float16(found, vload_f32(x));
        for (int i = 0; i < LANES_f32; i++)
            whole_f32("vstore_float16", i, half_of(x[i], 10, 15), found[i]);
        vstore_bfloat16(found, vload_f32(x));
        for (int i = 0; i < LANES_f32; i++)
            whole_f32("vstore_bfloat16", i, half_of(x[i], 7, 127), found[i]);
    }
}

/* Instructions the processor lacks must not run. */
static int runs_here(void)
{
    for (size_t i = 0; crossent_isa_name(i); i++)
        if (strstr(VOCABULARY, crossent_isa_name(i))) return 1;
    return 0;
}

int main(void)
{
    if (!runs_here()) return 77;
    make_page();
    test_all_f32();
    test_all_f64();
    test_sum();
    test_halves();
    printf("%s: %lu checks, %lu failures\n", VOCABULARY, checks, failures);
    return failures != 0;
}
