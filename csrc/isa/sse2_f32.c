#include "simd/sse2.h"
#define ISA sse2
#define IS_DOUBLE 0
#include "kernels/unit.inc.h"
