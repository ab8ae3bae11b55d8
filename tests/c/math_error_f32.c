#include "simd/scalar.h"
#define ISA measured
#define IS_DOUBLE 0
#include "kernels/unit.inc.h"
#include "math_error.h"

#define REAL long double
#define REAL_(f) f##l
#define CASES floats
#include "math_error.inc.h"
