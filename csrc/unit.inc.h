/* One instruction set: its vocabulary is included, ISA names it and ISA_FEATURES says what it
 * needs. Everything becomes static but the table at the end. */
#ifndef ISA
#error "unit.inc.h: define ISA and ISA_FEATURES and include a vocabulary"
#endif
#ifdef __FAST_MATH__
#error "crossent: fast-math rounds x + ROUNDER - ROUNDER away; build without it"
#endif

#include <math.h>

#include "coefficients.h"
#include "cpu.h"
#include "half.h"
#include "kernels.h"
#include "names.h"
#include "options.h"
#include "pairs.h"
#include "train_kernels.h"
#include "train_names.h"
#include "walk.h"

/* The words of a formula: one call that is not inlined spills every register. */
#define INLINE static inline __attribute__((always_inline))

#define COUNT(array) (int)(sizeof(array) / sizeof *(array))

enum {
    /* The lanes of every sum, whatever the register holds, and the registers they take. */
    WIDE_f32 = 16, HALVES_f32 = WIDE_f32 / LANES_f32,
    WIDE_f64 = 8, HALVES_f64 = WIDE_f64 / LANES_f64,
    AHEAD_f32 = 8192, AHEAD_f64 = 4096,   /* elements by which reads run ahead */
    EXPONENT_BIAS_f32 = 127, EXPONENT_BIAS_f64 = 1023,
    /* The largest scaled exponential but the anchor's is near 2^BIAS: room for the least ones. */
    BIAS_f32 = 32, BIAS_f64 = 64,
    /* By so many powers of two the anchor's may lead the largest of the others (exponent_of). */
    ANCHOR_LEAD_f32 = 64, ANCHOR_LEAD_f64 = 512
};

static const float UNSCALE_f32 = 0x1p-32f;     /* 2^-BIAS */
static const double UNSCALE_f64 = 0x1p-64;

/* What write_tile makes of a tile: gradients or probabilities, gradients of smoothed labels, those
 * of soft targets, the Hessian's diagonal, log(softmax). */
enum finishes { SCALED, LESS, SOFT, CURVED, LOGS };

/* Terms of a sum of logits are multiplied by this, so that none overflows. */
static const float SHRINK_f32 = 1;
static const double SHRINK_f64 = 0x1p-64;

static const float TINY_f32 = 0x1p-126f;        /* the least normal number */
static const double TINY_f64 = 0x1p-1022;

/* x + ROUNDER rounds x to a whole number, which stands in its low bits. */
static const float ROUNDER_f32 = 0x1.8p23f;
static const double ROUNDER_f64 = 0x1.8p52;

/* |x| up to here is reduced exactly by exp_scaled. */
static const float RANGE_f32 = 0x1p20f;
static const double RANGE_f64 = 0x1p40;

/* e^-a is a normal number for a up to here. */
static const float NEAR_f32 = 87;
static const double NEAR_f64 = 708;

#define T double
#define SUFFIX _f64
#define IS_DOUBLE 1
#include "math.inc.h"
#include "epilogue.inc.h"
#include "weighed_rows.inc.h"
#include "sums.inc.h"
#include "probabilities.inc.h"
#include "load.inc.h"
#include "staged_rows.inc.h"
#include "soft_rows.inc.h"
#include "long_rows.inc.h"
#include "block_rows.inc.h"
#include "short_rows.inc.h"
#include "column_rows.inc.h"
#include "general_rows.inc.h"
#include "elementwise.inc.h"
#include "binary.inc.h"
#include "train_columns.inc.h"
#include "train_products.inc.h"
#include "train_elements.inc.h"
#include "train_update.inc.h"
#include "typed.inc.h"
#undef T
#undef SUFFIX
#undef IS_DOUBLE

#define T float
#define SUFFIX _f32
#define IS_DOUBLE 0
#include "math.inc.h"
#include "sums.inc.h"
#include "load.inc.h"
#include "staged_rows.inc.h"
#include "soft_rows.inc.h"
#include "long_rows.inc.h"
#include "block_rows.inc.h"
#include "short_rows.inc.h"
#include "column_rows.inc.h"
#include "general_rows.inc.h"
#include "elementwise.inc.h"
#include "train_columns.inc.h"
#include "train_products.inc.h"
#include "train_elements.inc.h"
#include "train_update.inc.h"
#include "typed.inc.h"
#undef T
#undef SUFFIX
#undef IS_DOUBLE

#define TABLE_NAME_(isa) kernels_##isa
#define TABLE_NAME(isa) TABLE_NAME_(isa)
#define ISA_STRING_(isa) #isa
#define ISA_STRING(isa) ISA_STRING_(isa)

const struct kernels TABLE_NAME(ISA) = {
    .name = ISA_STRING(ISA),
    .required = ISA_FEATURES,
    .f32 = &table_f32,
    .f64 = &table_f64,
    .exp = exp_one_f64,
    .log = log_one_f64,
    .logs = log_many,
    .probabilities = probabilities_row,
    .epilogue = rows_epilogue_f64,
    .weigh = weigh_rows_f64,
    .plain = plain_rows_f64,
    .multiply = multiply_pairs_f64,
    .binary_loss = binary_losses,
    .sum = sum_elements,
};
