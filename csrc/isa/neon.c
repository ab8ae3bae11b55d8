#include "../simd/neon.h"
#define ISA neon
#define ISA_FEATURES CPU_BASELINE
#include "../unit.inc.h"
