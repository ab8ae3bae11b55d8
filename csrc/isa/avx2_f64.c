#include "simd/avx2.h"
#define ISA avx2
#define IS_DOUBLE 1
#define ISA_FEATURES CPU_AVX2
#include "kernels/unit.inc.h"
