#include "simd/avx512.h"
#define ISA avx512
#define IS_DOUBLE 1
#define ISA_FEATURES (CPU_AVX2 | CPU_AVX512)
#include "kernels/unit.inc.h"
