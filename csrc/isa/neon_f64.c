#include "simd/neon.h"
#define ISA neon
#define IS_DOUBLE 1
#define ISA_FEATURES CPU_BASELINE
#include "kernels/unit.inc.h"
