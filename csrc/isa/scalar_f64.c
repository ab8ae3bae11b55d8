#include "simd/scalar.h"
#define ISA scalar
#define IS_DOUBLE 1
#define ISA_FEATURES CPU_BASELINE
#include "kernels/unit.inc.h"
