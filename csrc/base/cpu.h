/* What the processor and the operating system support. */
#ifndef CROSSENT_CPU_H
#define CROSSENT_CPU_H

enum cpu_feature { CPU_BASELINE = 0, CPU_AVX2 = 1, CPU_AVX512 = 2 };

/* A set of cpu_feature bits. CPU_AVX2 includes FMA and F16C, CPU_AVX512 is F, DQ, BW and VL; both
 * only where the operating system saves the registers. */
unsigned cpu_features(void);

#endif
