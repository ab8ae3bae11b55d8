#include "../simd/avx512.h"
#define ISA avx512
#define ISA_FEATURES (CPU_AVX2 | CPU_AVX512)
#include "../unit.inc.h"
