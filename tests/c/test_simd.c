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
    printf("%s: %lu checks, %lu failures\n", VOCABULARY, checks, failures);
    return failures != 0;
}
