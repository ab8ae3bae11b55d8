#include "simd/scalar.h"
#define ISA scalar
#define IS_DOUBLE 0
#include "kernels/unit.inc.h"
