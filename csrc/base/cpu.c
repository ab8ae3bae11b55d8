#include "base/cpu.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <cpuid.h>

/* Which register files the system saves on a task switch (XCR0). */
static unsigned saved_registers(void)
{
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

unsigned cpu_features(void)
{
    const unsigned basis = 1u << 12 | 1u << 27 | 1u << 28 | 1u << 29; /* FMA, OSXSAVE, AVX, F16C */
    enum { AVX2 = 1u << 5 };                                         /* leaf 7, ebx */
    const unsigned avx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* F, DQ, BW, VL */
    enum { YMM = 0x06, ZMM = 0xe6 };                                 /* XCR0 */
    unsigned a, b, c, d, features = CPU_BASELINE;

    if (!__get_cpuid(1, &a, &b, &c, &d) || (c & basis) != basis)
        return features;
    unsigned saved = saved_registers();
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d))
        return features;
    if ((b & AVX2) && (saved & YMM) == YMM)
        features |= CPU_AVX2;
    if ((features & CPU_AVX2) && (b & avx512) == avx512 && (saved & ZMM) == ZMM)
        features |= CPU_AVX512;
    return features;
}
#else
unsigned cpu_features(void) { return CPU_BASELINE; }
#endif
