#include "simd/neon.h"
#define ISA neon
#define IS_DOUBLE 0
#include "kernels/unit.inc.h"
