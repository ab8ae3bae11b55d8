#include "../simd/scalar.h"
#define ISA scalar
#define ISA_FEATURES CPU_BASELINE
#include "../unit.inc.h"
