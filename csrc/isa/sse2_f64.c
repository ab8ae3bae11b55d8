#include "simd/sse2.h"
#define ISA sse2
#define IS_DOUBLE 1
#define ISA_FEATURES CPU_BASELINE
#include "kernels/unit.inc.h"
