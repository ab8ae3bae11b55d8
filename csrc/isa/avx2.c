#include "../simd/avx2.h"
#define ISA avx2
#define ISA_FEATURES CPU_AVX2
#include "../unit.inc.h"
