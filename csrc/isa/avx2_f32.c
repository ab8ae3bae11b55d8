#include "simd/avx2.h"
#define ISA avx2
#define IS_DOUBLE 0
#include "kernels/unit.inc.h"
