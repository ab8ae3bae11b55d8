/* The binary losses, from logits and from probabilities, with their options in random combinations:
 * values against the definitions of docs/options.md in long double, and the same bytes in every
 * layout, on every instruction set and with threads. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "sigmoid_call.h"

typedef long double wide;

/* ---- problems ---------------------------------------------------------------------------- */

static void fill_inputs(struct problem *p, enum crossent_dtype dtype)
{
    const int probabilities = p->function == CROSSENT_BINARY_CROSS_ENTROPY;
    const enum crossent_dtype types[] = {dtype, CROSSENT_F64, CROSSENT_F32, CROSSENT_U8};
    double *x = new_values(p, LOGITS, dtype);
    double *t = new_values(p, TARGET, types[random_below(4)]);
    for (size_t i = 0; i < p->rows * p->classes; i++) {
        const double spread = one_in(2) ? 3 : dtype == CROSSENT_F64 ? 300 : 40;
        x[i] = spread * (2 * random_unit() - 1);
        if (probabilities) x[i] = one_in(3) ? 1 - exp2(-30 * random_unit()) : random_unit();
        x[i] = rounded_to(dtype, x[i]);
        if (probabilities && (x[i] == 0 || x[i] == 1)) x[i] = 0.5;   /* whose loss may be inf */
        t[i] = (double)random_below(2);
        if (p->dtype[TARGET] <= CROSSENT_BF16 && one_in(3))
            t[i] = rounded_to(p->dtype[TARGET], (double)(float)random_unit());
    }
}

static void fill(double *to, size_t n, double low, double high)
{
    for (size_t i = 0; i < n; i++)
        to[i] = one_in(9) && low >= 0 ? 0 : low + (high - low) * random_unit();
}

static void choose_clip(struct crossent_sigmoid_options *o)
{
    switch (random_below(4)) {
    case 0: o->clip_low = o->clip_high = 0x1p-20; break;
    case 1: o->clip_each = 0x1p-10; break;
    case 2: o->log_limit = 100; break;
    default: break;
    }
}

static void choose_options(struct problem *p)
{
    struct crossent_sigmoid_options *o = &p->options;
    const size_t n = p->rows * p->classes;
    if (one_in(3)) o->label_smoothing = 0.1;
    if (one_in(3)) o->focal_gamma = one_in(2) ? 2 : 0.5;
    if (one_in(3)) {
        p->alpha[0] = 0.75;
        p->alpha[1] = 0.25;
        o->focal_alpha = p->alpha;
    }
    if (one_in(3)) fill(new_values(p, SAMPLE_WEIGHT, CROSSENT_F64), n, 0, 3);
    if (one_in(3)) fill(new_values(p, POS_WEIGHT, CROSSENT_F64), n, 0.5, 3);
    if (one_in(3)) fill(new_values(p, UPSTREAM, CROSSENT_F64), n, -2, 2);
    if (one_in(4)) o->validate = 1;
    if (one_in(4)) {
        p->ignore[0] = one_in(2);
        p->ignore[1] = 7;
        o->ignore = p->ignore;
        o->ignored = 1 + random_below(2);
    }
    if (p->dtype[TARGET] <= CROSSENT_BF16 && one_in(4)) {
        o->missing = 1;
        for (size_t i = 0; i < n; i++)
            if (one_in(5)) p->values[TARGET][i] = (double)NAN;
    }
    if (p->function == CROSSENT_BINARY_CROSS_ENTROPY) choose_clip(o);
}

static void ask_for(struct problem *p, enum crossent_dtype dtype)
{
    const int probabilities = p->function == CROSSENT_BINARY_CROSS_ENTROPY;
    struct crossent_sigmoid_options *o = &p->options;
    new_values(p, LOSS, dtype);
    if (one_in(4)) return;
    double *out = new_values(p, OUT, dtype);
    o->accumulate = one_in(4);
    for (size_t i = 0; o->accumulate && i < p->rows * p->classes; i++)
        out[i] = rounded_to(dtype, random_unit());
    if (one_in(3)) new_values(p, PROBABILITY, dtype);
    if (one_in(3)) new_values(p, CORRECT, CROSSENT_U8);
    if (!probabilities && one_in(3) && o->focal_gamma == 0) {
        new_values(p, HESSIAN, dtype);
        o->hessian_rule = (enum crossent_hessian)random_below(4);
        if (one_in(2)) fill(new_values(p, VECTOR, CROSSENT_F64), p->rows * p->classes, -2, 2);
    }
}

static void make_problem(struct problem *p, enum crossent_dtype dtype)
{
    p->coefficient = 0.5;
    p->function = one_in(2) ? CROSSENT_BINARY_CROSS_ENTROPY : CROSSENT_SIGMOID_CROSS_ENTROPY;
    fill_inputs(p, dtype);
    p->no_options = p->function == CROSSENT_SIGMOID_CROSS_ENTROPY && one_in(5);
    if (p->no_options) {
        new_values(p, LOSS, dtype);
        new_values(p, OUT, dtype);
        return;
    }
    choose_options(p);
    ask_for(p, dtype);
}

/* ---- judgement --------------------------------------------------------------------------- */

/* p, 1 - p, the losses u and v of targets 1 and 0, and the sizes of their slopes. */
struct outcome {
    wide p, q, u, v, du, dv;
};

static struct outcome of_logit(wide x)
{
    const wide e = expl(-fabsl(x)), near = 1 / (1 + e), far = e / (1 + e), l = log1pl(e);
    struct outcome o = {.p = x < 0 ? far : near, .q = x < 0 ? near : far,
                        .u = fmaxl(-x, 0) + l, .v = fmaxl(x, 0) + l};
    o.du = o.q;
    o.dv = o.p;
    return o;
}

static struct outcome of_probability(wide p, const struct crossent_sigmoid_options *options)
{
    const wide low = options->clip_low, high = 1 - (wide)options->clip_high;
    const wide each = options->clip_each, limit = options->log_limit;
    const int inside = p >= low && p <= high;
    p = fminl(fmaxl(p, low), high);
    struct outcome o = {.p = p, .q = 1 - p, .u = -logl(p), .v = -log1pl(-p), .du = 1 / p,
                        .dv = 1 / (1 - p)};
    if (!inside) o.du = o.dv = 0;
    if (o.p < each) o.u = -logl(each), o.du = 0;
    if (o.q < each) o.v = -logl(each), o.dv = 0;
    if (limit) {
        const wide both = fmaxl(o.p * o.q, 1e-12L);
        o.u = fminl(o.u, limit);
        o.v = fminl(o.v, limit);
        o.du = o.q / both;
        o.dv = o.p / both;
    }
    return o;
}

static wide value_or_1(const struct problem *p, enum array array, size_t i)
{
    return p->values[array] ? (wide)p->values[array][i] : 1;
}

static void judge(const struct problem *p, const struct results *r, enum array array, size_t i,
                  wide wanted, wide terms, wide limit)
{
    const enum crossent_dtype dtype = p->dtype[array];
    const double found = r->values[array][i];
    const wide error = fabsl((wide)found - wanted);
    const wide stored = half_spacing(dtype, wanted) * 1.001L + 8 * DBL_MIN;
    check(error <= limit * terms + stored || found == rounded_to(dtype, (double)wanted),
          "%s[%zu] is %a, not %a", array_names[array], i, found, (double)wanted);
}

static int takes_part(const struct problem *p, size_t i)
{
    const struct crossent_sigmoid_options *o = &p->options;
    const double t = p->values[TARGET][i];
    if (p->no_options) return 1;
    for (size_t k = 0; k < o->ignored; k++)
        if (t == (double)p->ignore[k]) return 0;
    return value_or_1(p, SAMPLE_WEIGHT, i) != 0 && !(o->missing && isnan(t));
}

static void judge_skipped(const struct problem *p, const struct results *r, size_t i)
{
    const double kept = p->options.accumulate && p->values[OUT] ? p->values[OUT][i] : 0;
    check(r->values[LOSS][i] == 0, "loss[%zu], which takes no part", i);
    if (p->values[OUT]) check(r->values[OUT][i] == kept, "out[%zu] takes no part", i);
    if (p->values[HESSIAN]) check(r->values[HESSIAN][i] == 0, "hessian[%zu] takes no part", i);
    if (p->values[PROBABILITY])
        check(isnan(r->values[PROBABILITY][i]), "probability[%zu] takes no part", i);
    if (p->values[CORRECT]) check(r->values[CORRECT][i] == 0, "correct[%zu] takes no part", i);
}

/* A share of 0 takes nothing, whatever it is a share of. */
static wide times(wide share, wide x) { return share == 0 ? 0 : share * x; }

static wide judge_element(const struct problem *p, const struct results *r, size_t i)
{
    const struct crossent_sigmoid_options *o = &p->options;
    const int probabilities = p->function == CROSSENT_BINARY_CROSS_ENTROPY;
    const wide x = p->values[LOGITS][i], t = p->values[TARGET][i], g = o->focal_gamma;
    const struct outcome of = probabilities ? of_probability(x, o) : of_logit(x);
    const wide e = o->label_smoothing, y = t * (1 - e) + e / 2, s = value_or_1(p, SAMPLE_WEIGHT, i);
    wide a = s * value_or_1(p, POS_WEIGHT, i) * y, b = s * (1 - y);
    if (o->focal_alpha) a *= (wide)p->alpha[1], b *= (wide)p->alpha[0];
    /* q^g and p^g are e^(-g v) and e^(-g u), also where u and v are clipped. */
    a *= expl(-g * of.v);
    b *= expl(-g * of.u);
    const wide limit = (p->no_options && p->dtype[LOGITS] == CROSSENT_F32 ? 4 * FLT_EPSILON :
                        8 * DBL_EPSILON) * (1 + 2 * g * (1 + fmaxl(of.u, of.v)));
    const wide loss = times(a, of.u) + times(b, of.v);
    const wide factor =
        (wide)p->coefficient * value_or_1(p, UPSTREAM, i) * value_or_1(p, VECTOR, i);
    const wide down = times(a, of.du + times(g, of.u * of.dv));
    const wide up = times(b, of.dv + times(g, of.v * of.du));
    judge(p, r, LOSS, i, loss, loss, limit);
    if (p->values[OUT]) {
        const wide old = o->accumulate ? (wide)p->values[OUT][i] : 0;
        judge(p, r, OUT, i, old + factor * (up - down), fabsl(factor) * (up + down) + fabsl(old),
              limit);
    }
    if (p->values[PROBABILITY]) judge(p, r, PROBABILITY, i, of.p, of.p, limit);
    if (p->values[CORRECT])
        check(r->values[CORRECT][i] == ((x > (probabilities ? 0.5L : 0)) == (t > 0.5L)),
              "correct[%zu]", i);
    if (p->values[HESSIAN]) {
        wide curve = (a + b) * of.p * of.q;
        if (o->hessian_rule == CROSSENT_RESIDUAL) curve = fabsl(up - down);
        else if (o->hessian_rule != CROSSENT_EXACT) curve *= 2;
        judge(p, r, HESSIAN, i, factor * curve, fabsl(factor) * (up + down + curve), limit);
    }
    return loss;
}

static void judge_problem(const struct problem *p, const struct results *r)
{
    wide total = 0, weight = 0;
    size_t count = 0;
    check(r->status == CROSSENT_OK, "status %d", r->status);
    for (size_t i = 0; i < p->rows * p->classes; i++) {
        if (!takes_part(p, i)) {
            judge_skipped(p, r, i);
            continue;
        }
        total += judge_element(p, r, i);
        weight += value_or_1(p, SAMPLE_WEIGHT, i);
        count++;
    }
    const wide limit = 16 * epsilon_of(p->no_options ? p->dtype[LOGITS] : CROSSENT_F64);
    check(fabsl((wide)r->total - total) <= limit * 8 * total, "total is %a, not %a", r->total,
          (double)total);
    check(r->count == count, "%zu elements take part, not %zu", r->count, count);
    check(fabsl((wide)r->weight - weight) <= 4 * DBL_EPSILON * weight, "weight");
}

/* ---- tests ------------------------------------------------------------------------------- */

static void compare(const struct problem *p, const struct results *r)
{
    const struct variant threads = {"threads", plain->in, plain->out, .threads = 3};
    for (enum array a = INPUTS; a < ARRAYS; a++)
        for (size_t i = 0; p->values[a] && i < p->rows * p->classes; i++)
            add_to_digest(isnan(r->values[a][i]) ? "NaN.NaN" : (void *)&r->values[a][i], 8);
    if (only_digest) return;
    switch_isa("scalar");
    same(p, r, solve(p, plain));
    switch_isa(now.isa);
    for (int k = 0; k < 3; k++)
        same(p, r, solve(p, &variants[1 + random_below(VARIANTS - 1)]));
    if (p->rows * p->classes >= 1 << 15) same(p, r, solve(p, &threads));
}

static void test_problem(enum crossent_dtype dtype, size_t rows, size_t classes, int judged)
{
    struct problem p = {.rows = rows, .classes = classes};
    make_problem(&p, dtype);
    now.goal = p.function == CROSSENT_BINARY_CROSS_ENTROPY ? "binary" : "sigmoid";
    struct results r = solve(&p, plain);
    if (judged && !only_digest) judge_problem(&p, &r);
    compare(&p, &r);
    free_results(&r);
    free_problem(&p);
}

/* Element 1 of 4 gets `bad` in `array`: `status`, and the others are as they were. */
static void test_fault(enum crossent_elementwise function, enum crossent_nonfinite rule,
                       enum array array, double bad, int status)
{
    struct problem p = {.rows = 2, .classes = 2, .function = function, .coefficient = 1};
    new_values(&p, LOGITS, CROSSENT_F64);
    new_values(&p, TARGET, CROSSENT_F64);
    new_values(&p, LOSS, CROSSENT_F64);
    fill(new_values(&p, SAMPLE_WEIGHT, CROSSENT_F64), 4, 1, 2);
    for (size_t i = 0; i < 4; i++) p.values[SAMPLE_WEIGHT][i] = 1, p.values[LOGITS][i] = 0.25;
    p.options.validate = 1;
    p.options.nonfinite = rule;
    now.goal = "faults";
    struct results good = solve(&p, plain);
    p.values[array][1] = bad;
    struct results r = solve(&p, plain);
    check(r.status == status, "%s %g: status %d, not %d", array_names[array], bad, r.status, status);
    check(status == CROSSENT_OK || (r.fault_element == 1 && same_number(r.fault_value, bad)),
          "%s %g: fault in %zu", array_names[array], bad, r.fault_element);
    for (size_t i = 0; status == CROSSENT_OK && i < 4; i++)
        check(r.values[LOSS][i] == (i == 1 ? 0 : good.values[LOSS][i]), "loss[%zu]", i);
    free_results(&good);
    free_results(&r);
    free_problem(&p);
}

static void test_faults(void)
{
    const enum crossent_elementwise sigmoid = CROSSENT_SIGMOID_CROSS_ENTROPY;
    const enum crossent_elementwise binary = CROSSENT_BINARY_CROSS_ENTROPY;
    test_fault(sigmoid, CROSSENT_REPORT, LOGITS, (double)INFINITY, CROSSENT_BAD_LOGITS);
    test_fault(sigmoid, CROSSENT_REPORT, LOGITS, (double)NAN, CROSSENT_BAD_LOGITS);
    test_fault(sigmoid, CROSSENT_ZERO, LOGITS, (double)NAN, CROSSENT_OK);
    test_fault(sigmoid, CROSSENT_PROPAGATE, TARGET, 1.5, CROSSENT_BAD_LABEL);
    test_fault(sigmoid, CROSSENT_PROPAGATE, SAMPLE_WEIGHT, -1, CROSSENT_BAD_WEIGHT);
    test_fault(binary, CROSSENT_PROPAGATE, LOGITS, 1.5, CROSSENT_BAD_PROBABILITY);
    test_fault(binary, CROSSENT_PROPAGATE, LOGITS, (double)NAN, CROSSENT_BAD_PROBABILITY);
}

static void tests(void)
{
    static const size_t shapes[][2] = {{1, 1}, {9, 3}, {37, 10}, {5, 130}, {3, 1023}, {2, 1030}};
    static unsigned number;
    for (size_t n = 0; n < 14; n++)
        for (size_t s = 0; s < 6; s++)
            for (enum crossent_dtype dtype = CROSSENT_F32; dtype <= CROSSENT_BF16; dtype++)
                test_problem(dtype, shapes[s][0], shapes[s][1],
                             !SLOW_LONG_DOUBLE || number++ % 16 == 0);
    for (size_t n = 0; n < 4; n++) test_problem((enum crossent_dtype)n, 35, 1000, 0);
    for (size_t n = 0; n < 2; n++) test_problem((enum crossent_dtype)n, 300, 1000, 0);
    test_faults();
}

int main(int argc, char **argv) { return run_tests(argc, argv, tests); }
