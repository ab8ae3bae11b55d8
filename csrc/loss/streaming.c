/* Exact sums of losses, and sums of exponentials of slices of the classes (include/streaming.h).
 *
 * Both are sums in which no order of the parts changes a digit: the first as whole numbers, the
 * second as unevaluated pairs. exp and log are the kernels', so that the bits are the same on every
 * machine; exp is asked for |x| <= 128, where its error is below 0.9 ulp.
 */
#include "streaming.h"

#include <math.h>
#include <string.h>

#include "base/arithmetic.h"
#include "base/pairs.h"
#include "kernels/dispatch.h"
#include "kernels/table.h"

/* ---- exact sums --------------------------------------------------------------------------- */

enum { ADDITIONS = 1 << 28 };    /* before limbs are carried: each adds less than 2^33 to a limb */

static const uint64_t LOW = 0xffffffffu;

/* Adds x = m 2^(e - 1074), m a whole number of 53 bits: three limbs from number e / 32 on. */
static void exact_add(struct exact_sum *to, double x)
{
    uint64_t bits, field, m;
    memcpy(&bits, &x, sizeof bits);
    field = bits >> 52 & 0x7ff;                       /* 0: subnormal, without the leading bit */
    m = (bits & (((uint64_t)1 << 52) - 1)) | (uint64_t)(field != 0) << 52;
    size_t e = field ? (size_t)field - 1 : 0;
    uint64_t low = (m & LOW) << e % 32, high = (m >> 32) << e % 32;
    int64_t parts[3] = {(int64_t)(low & LOW), (int64_t)((low >> 32) + (high & LOW)),
                        (int64_t)(high >> 32)};
    for (int i = 0; i < 3; i++)
        to->limb[e / 32 + (size_t)i] += signbit(x) ? -parts[i] : parts[i];
}

/* All limbs but the last, which keeps the sign, to 0 <= limb < 2^32. */
static void exact_carry(struct exact_sum *sum)
{
    for (int i = 0; i + 1 < EXACT_LIMBS; i++) {
        int64_t rest = sum->limb[i] & (int64_t)LOW;
        sum->limb[i + 1] += (sum->limb[i] - rest) / ((int64_t)1 << 32);
        sum->limb[i] = rest;
    }
}

int crossent_tally(struct tally *to, const double *losses, const double *weights,
                   const uint8_t *correct, size_t n, size_t *fault)
{
    for (size_t i = 0; i < n; i++) {
        double weight = weights ? weights[i] : 1;
        if (!(weight >= 0 && weight < INFINITY)) {
            *fault = i;
            return CROSSENT_BAD_WEIGHT;
        }
        exact_add(&to->weight, weight);
        if (isfinite(losses[i]))
            exact_add(&to->loss, losses[i]);
        else
            to->not_finite += losses[i];
        to->count += weight > 0;
        to->correct += weight > 0 && correct && correct[i];
        if (i % ADDITIONS == ADDITIONS - 1 || i == n - 1) {
            exact_carry(&to->loss);
            exact_carry(&to->weight);
        }
    }
    return CROSSENT_OK;
}

/* ---- sums of exponentials ------------------------------------------------------------------ */

/* A slice's base is the multiple of GRID nearest to its logarithm, so that slices are added as they
 * are, without a factor that would cost digits, unless one is so much larger that little else
 * matters. */
static const double GRID = 256;

/* e^(from - to) for multiples of GRID, from <= to: beyond 512 it is below the smallest double. */
static double rescale(double from, double to)
{
    static const double POWER[] = {1, 0x1.9755956ad4e9cp-370, 0x1.44109edb20931p-739};
    if (from == to)
        return 1;
    double steps = (to - from) / GRID;
    return isnan(steps) ? steps : steps <= 2 ? POWER[(int)steps] : 0;
}

void crossent_sums_begin(const struct exponential_sums *to, const double *logsumexp, size_t n)
{
    const uint64_t mode = arithmetic_begin();
    double (*exp)(double) = current_kernels()->exp;
    for (size_t i = 0; i < n; i++) {
        double x = logsumexp[i];
        to->base[i] = GRID * rint(x / GRID);
        to->high[i] = isfinite(x) ? exp(x - to->base[i]) : x != -INFINITY;
        to->low[i] = 0;
    }
    arithmetic_end(mode);
}

void crossent_sums_merge(const struct exponential_sums *to, const struct exponential_sums *more,
                         size_t n)
{
    const uint64_t mode = arithmetic_begin();
    for (size_t i = 0; i < n; i++) {
        double a = to->base[i], b = more->base[i], base = a > b || isnan(a) ? a : b;
        double down = rescale(a, base), other = rescale(b, base);
        struct pair sum = pair_of(to->high[i] * down, more->high[i] * other);
        to->low[i] = sum.lo + (to->low[i] * down + more->low[i] * other);
        to->high[i] = sum.hi;
        to->base[i] = base;
    }
    arithmetic_end(mode);
}

void crossent_sums_log(const struct exponential_sums *sums, double *logsumexp, size_t n)
{
    const uint64_t mode = arithmetic_begin();
    double (*log)(double) = current_kernels()->log;
    for (size_t i = 0; i < n; i++) {
        double high = sums->high[i], correction = high > 0 ? sums->low[i] / high : 0;
        logsumexp[i] = sums->base[i] + (log(high) + correction);
    }
    arithmetic_end(mode);
}
