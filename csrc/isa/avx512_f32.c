#include "simd/avx512.h"
#define ISA avx512
#define IS_DOUBLE 0
#include "kernels/unit.inc.h"
