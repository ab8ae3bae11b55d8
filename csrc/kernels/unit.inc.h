/* One instruction set and one type: the file that includes this has included a vocabulary; ISA
 * names it, IS_DOUBLE is 1 for double and 0 for float, and with double ISA_FEATURES says what the
 * set needs. Everything is static but two tables: that of float, and, in the unit of double, the
 * one of the instruction set, which points to both. What is not of either type belongs to double.
 */
#if !defined ISA || !defined IS_DOUBLE
#error "unit.inc.h: include a vocabulary; define ISA, IS_DOUBLE and ISA_FEATURES"
#endif
#ifdef __FAST_MATH__
#error "crossent: fast-math rounds x + ROUNDER - ROUNDER away; build without it"
#endif

#include <math.h>

#include "base/cpu.h"
#include "base/half.h"
#include "base/pairs.h"
#include "base/walk.h"
#include "kernels/dense/table.h"
#include "kernels/softmax/options.h"
#include "kernels/table.h"
#include "math/coefficients.h"

#if IS_DOUBLE
#define T double
#define SUFFIX _f64
#else
#define T float
#define SUFFIX _f32
#endif
#include "simd/two_sum.h"
#include "simd/words.h"

/* The words of a formula: one call that is not inlined spills every register. */
#define INLINE static inline __attribute__((always_inline))

#define COUNT(array) (int)(sizeof(array) / sizeof *(array))

/* kernels_avx2, f32_avx2: the tables of ISA. */
#define OF_ISA(table) PASTE(table, ISA)

extern const struct typed_kernels OF_ISA(f32_);
extern const struct kernels OF_ISA(kernels_);

enum {
    /* The lanes of every sum, whatever the register holds, and the registers they take. */
    WIDE = 64 / sizeof(T), HALVES = WIDE / LANES,
    AHEAD = IS_DOUBLE ? 4096 : 8192,      /* elements by which reads run ahead */
    EXPONENT_BIAS = IS_DOUBLE ? 1023 : 127,
    /* The largest scaled exponential but the anchor's is near 2^BIAS: room for the least ones. */
    FLOAT_BIAS = 32, BIAS = IS_DOUBLE ? 64 : FLOAT_BIAS,
    /* By so many powers of two the anchor's may lead the largest of the others (exponent_of). */
    ANCHOR_LEAD = IS_DOUBLE ? 512 : 94
};

static const T UNSCALE = IS_DOUBLE ? 0x1p-64 : 0x1p-32;      /* 2^-BIAS */
/* Terms of a sum of logits are multiplied by this, so that none overflows. */
static const T SUM_SCALE = IS_DOUBLE ? 0x1p-64 : 1;
static const T TINY = (T)(IS_DOUBLE ? 0x1p-1022 : 0x1p-126); /* the least normal number */
/* x + ROUNDER rounds x to a whole number, which stands in its low bits. */
static const T ROUNDER = IS_DOUBLE ? 0x1.8p52 : 0x1.8p23;
/* The rounder of 2^k itself: with k added, the biased exponent stands in its low bits. */
static const T UNIT_ROUNDER = IS_DOUBLE ? 0x1.8p52 + 1023 : 0x1.8p23 + 127;
/* |x| up to here is reduced exactly by exp_scaled. */
static const T RANGE = IS_DOUBLE ? 0x1p40 : 0x1p20;
/* e^-a is a normal number for a up to here. */
static const T NEAR = IS_DOUBLE ? 708 : 87;

/* What write_tile makes of a tile: gradients or probabilities, gradients of smoothed labels, those
 * of soft targets, the Hessian's diagonal, log(softmax). */
enum finishes { SCALED, FINISH_SHARE, FINISH_TARGET, CURVED, LOGS };

#include "math/math.inc.h"
#if IS_DOUBLE
#include "math/pairs.inc.h"
#endif
#include "math/sums.inc.h"
#include "kernels/load.inc.h"
#include "kernels/softmax/stage.inc.h"
#include "kernels/softmax/soft.inc.h"
#include "kernels/softmax/segments.inc.h"
#include "kernels/softmax/blocks.inc.h"
#include "kernels/softmax/tiles.inc.h"
#include "kernels/softmax/lanes.inc.h"
#include "kernels/softmax/general.inc.h"
#include "kernels/elements/sigmoid.inc.h"
#include "kernels/dense/registers.h"
#include "kernels/dense/columns.inc.h"
#include "kernels/dense/products.inc.h"
#include "kernels/dense/activations.inc.h"
#include "kernels/dense/update.inc.h"
#include "kernels/typed.inc.h"

#if IS_DOUBLE
#include "kernels/softmax/epilogue.inc.h"
#include "kernels/softmax/coefficients.inc.h"
#include "kernels/softmax/focal.inc.h"
#include "kernels/elements/probabilities.inc.h"
#include "kernels/elements/binary.inc.h"

#define QUOTED_(name) #name
#define QUOTED(name) QUOTED_(name)

const struct kernels OF_ISA(kernels_) = {
    .name = QUOTED(ISA),
    .required = ISA_FEATURES,
    .f32 = &OF_ISA(f32_),
    .f64 = &typed_table,
    .exp = exp_one,
    .exp_pair = exp_of_pair,
    .log = log_one,
    .logs = log_many,
    .probabilities = probabilities_row,
    .epilogue = rows_epilogue,
    .weigh = coefficients_with_options,
    .plain = coefficients_plain,
    .focal_sum = focal_sum,
    .focal_anchor = focal_anchor,
    .focal_classes = focal_classes,
    .multiply = multiply_pairs,
    .binary_loss = binary_losses,
    .sum = sum_elements,
};
#endif
