#include "simd/scalar.h"
#define ISA measured
#define IS_DOUBLE 1
#define ISA_FEATURES 0
#include "kernels/unit.inc.h"
#include "math_error.h"

#define REAL long double
#define REAL_(f) f##l
#define CASES doubles
#include "math_error.inc.h"

#ifdef CROSSENT_QUAD                      /* tools/measure_math.c */
#include <quadmath.h>
#define REAL __float128
#define REAL_(f) f##q
#define CASES doubles_in_quad
#include "math_error.inc.h"
#endif
