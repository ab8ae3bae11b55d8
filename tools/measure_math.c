/* The largest errors of the functions of csrc/math/math.inc.h, in the lines that stand above them:
 *
 *   gcc -std=gnu11 -O3 -ffp-contract=off -fno-math-errno -mavx2 -mfma -fopenmp -Icsrc \
 *       -Icsrc/include -Itests/c -DCROSSENT_QUAD tools/measure_math.c tests/c/math_error_f32.c \
 *       tests/c/math_error_f64.c csrc/kernels/softmax/options.c -o measure_math -lquadmath -lm
 *   ./measure_math [POINTS]
 *
 * a) float: every argument, against long double.
 * b) double: POINTS arguments (100 million), in SEARCHES independent searches. Each draws half of
 *    its points at random, of which half are uniform on the function's range and half have a
 *    uniform logarithm down to 2^-70; the others lie at random distances, 2^-52 to 1 relative,
 *    from the worst found so far. What long double puts among those is measured against
 *    __float128. Last, each function is tried at the worst places of the others: most of them
 *    share their exponential.
 *    An error in math.inc.h above what this finds is from a longer search, and stays as long as its
 *    input reaches it, which tests/c/test_math.c checks.
 */
#include <math.h>
#include <quadmath.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "math_error.h"

enum { SEARCHES = 64, KEPT = 32 };

struct place {
    double error, x, low;
};

static struct place worse(struct place a, struct place b)
{
    if (isnan(a.error) || isnan(b.error)) {
        fprintf(stderr, "no number at %a or %a\n", a.x, b.x);
        exit(1);
    }
    return b.error > a.error ? b : a;
}
#pragma omp declare reduction(worst : struct place : omp_out = worse(omp_out, omp_in))

static struct place measure(const struct math_case *c, double x, double low)
{
    return (struct place){c->error(x, low), x, low};
}

/* Every float from 0 to `end`, whose sign they have. */
static struct place every_float(const struct math_case *c, float end)
{
    struct place worst = measure(c, 0, 0);
    uint32_t sign = bits_of_float(end) & 0x80000000, count = bits_of_float(end) & 0x7fffffff;
#pragma omp parallel for reduction(worst : worst) schedule(dynamic, 1 << 20)
    for (uint32_t w = 1; w <= count; w++)
        worst = worse(worst, measure(c, float_of_bits(w | sign), 0));
    return worst;
}

static struct place search(int which, long points, uint64_t state)
{
    const struct math_case *c = &doubles_in_quad[which], *nearly = &doubles[which];
    struct place kept[KEPT] = {{0}}, worst = {0};
    int least = 0;
    for (long i = 0; i < points; i++) {
        double x = random_point(c, &state), low = random_low(x, &state);
        if (i >= points / 2) {
            struct place near = kept[(int)(KEPT * random_unit(&state))];
            double away = exp2(-52 * random_unit(&state)) * (2 * random_unit(&state) - 1);
            x = fmin(fmax(c->from, near.x + near.x * away), c->to);
            low = i % 2 ? fmin(fmax(-ulp_of(x), near.low), ulp_of(x)) : random_low(x, &state);
        }
        if (nearly->error(x, low) < kept[least].error)
            continue;
        kept[least] = worse(kept[least], measure(c, x, low));
        for (int k = 0; k < KEPT; k++)
            if (kept[k].error < kept[least].error)
                least = k;
    }
    for (int k = 0; k < KEPT; k++)
        worst = worse(worst, kept[k]);
    return worst;
}

static void print(const char *name, const char *type, struct place p)
{
    int pair = strcmp(name, "exp_pair") == 0;
    printf("%-12s Largest error, %s: %.3f %s at %a", name, type, ceil(p.error * 1000) / 1000,
           pair ? "u" : "ulp", p.x);
    printf(strcmp(name, "log1p_pair") == 0 ? ", low = %a\n" : "\n", p.low);
    fflush(stdout);
}

int main(int count, char **argument)
{
    long points = count > 1 ? atol(argument[1]) : 100000000;
    for (int i = 0; i < FLOAT_CASES; i++) {
        struct place worst = every_float(&floats[i], (float)floats[i].to);
        if (floats[i].from < 0)
            worst = worse(worst, every_float(&floats[i], (float)floats[i].from));
        print(floats[i].name, "float", worst);
    }
    struct place found[DOUBLE_CASES] = {{0}};
    for (int i = 0; i < DOUBLE_CASES; i++) {
        struct place worst = {0};
#pragma omp parallel for reduction(worst : worst) schedule(dynamic)
        for (int s = 1; s <= SEARCHES; s++)
            worst = worse(worst, search(i, points / SEARCHES, 0x9e3779b97f4a7c15 * (uint64_t)s));
        found[i] = worst;
    }
    for (int i = 0; i < DOUBLE_CASES; i++) {
        struct place worst = found[i];
        for (int k = 0; k < 2 * DOUBLE_CASES; k++) {
            double x = k % 2 ? -found[k / 2].x : found[k / 2].x;
            if (doubles[i].from <= x && x <= doubles[i].to)
                worst = worse(worst, measure(&doubles_in_quad[i], x, 0));
        }
        print(doubles[i].name, "double", worst);
    }
    return 0;
}
