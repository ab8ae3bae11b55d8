#include "../simd/sse2.h"
#define ISA sse2
#define ISA_FEATURES CPU_BASELINE
#include "../unit.inc.h"
