/* The loss from probabilities with its options in random combinations: values against the
 * definitions of docs/options.md, and the same bytes in every layout, on every instruction set and
 * with threads. All of it is computed in double, whatever the dtype. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "softmax_call.h"
#include "softmax_reference.h"

/* ---- cases ------------------------------------------------------------------------------- */

/* Rows of sum 1, nearly; or of any sum, where they are to be normalised: some of them far beyond
 * the range in which sums stay finite. Some classes have probability 0. */
static void fill_probabilities(struct softmax_case *c, enum crossent_dtype dtype)
{
    const double most = dtype == CROSSENT_F64 ? 1000 : dtype == CROSSENT_F16 ? 3 : 60;
    double *p = new_values(c, LOGITS, dtype);
    for (size_t r = 0; r < c->rows; r++, p += c->classes) {
        const double scale = c->normalize ? exp2(most * (2 * random_unit() - 1)) : 1;
        const double spread = one_in(3) ? most / 8 : 4;
        double sum = 0;
        for (size_t j = 0; j < c->classes; j++) sum += p[j] = exp2(spread * (random_unit() - 1));
        for (size_t j = 0; j < c->classes; j++) {
            p[j] = rounded_to(dtype, p[j] / sum * scale);
            if (one_in(40)) p[j] = 0;
            if (!c->normalize && p[j] > 1) p[j] = 1;
        }
        if (c->normalize) p[random_below(c->classes)] = rounded_to(dtype, scale);
    }
}

/* Labels; or probabilities, some of them 0. */
static void fill_target(struct softmax_case *c, int soft)
{
    if (!soft) {
        double *t = new_values(c, TARGET, CROSSENT_I64);
        for (size_t r = 0; r < c->rows; r++) t[r] = (double)random_below(c->classes);
        return;
    }
    const enum crossent_dtype dtype = one_in(2) ? CROSSENT_F64 : CROSSENT_F32;
    double *t = new_values(c, TARGET, dtype);
    for (size_t r = 0; r < c->rows; r++, t += c->classes) {
        for (size_t j = 0; j < c->classes; j++)
            t[j] = one_in(3) ? 0 : rounded_to(dtype, random_unit());
        if (!one_in(4)) continue;
        memset(t, 0, c->classes * sizeof *t);
        t[random_below(c->classes)] = 1;
    }
}

static void fill_weights(double *to, size_t n, double low, double high)
{
    for (size_t i = 0; i < n; i++)
        to[i] = one_in(9) && low >= 0 ? 0 : low + (high - low) * random_unit();
}

static void make_case(struct softmax_case *c, enum crossent_dtype dtype)
{
    static const double clips[4][2] = {{0, 0}, {1e-3, 1e-3}, {0x1p-144, 0}, {1e-7, 1e-7}};
    const size_t clip = random_below(4);
    struct crossent_softmax *call = &c->call;
    call->coefficient = 0.5;
    c->categorical = 1;
    c->normalize = one_in(2);
    c->clip_low = clips[clip][0];
    c->clip_high = clips[clip][1];
    fill_probabilities(c, dtype);
    fill_target(c, one_in(3));
    if (one_in(3)) call->label_smoothing = 0.1;
    if (one_in(2)) call->smoothing_off_target = 1;
    if (one_in(2)) call->smoothing_by_target = 1;
    if (c->classes <= 256 && one_in(3)) {
        fill_weights(c->class_weight, c->classes, 0.25, 4);
        call->class_weight = c->class_weight;
    }
    if (one_in(3)) fill_weights(new_values(c, SAMPLE_WEIGHT, CROSSENT_F64), c->rows, 0, 3);
    if (one_in(3)) fill_weights(new_values(c, UPSTREAM, CROSSENT_F64), c->rows, -2, 2);
    if (c->dtype[TARGET] == CROSSENT_I64 && one_in(4)) {
        call->ignore = c->ignore;
        call->ignored = 1;
    }
    new_values(c, LOSS, dtype);
    if (one_in(4)) return;
    double *out = new_values(c, OUT, dtype);
    call->output = CROSSENT_GRADIENT;
    call->accumulate = one_in(4);
    for (size_t i = 0; call->accumulate && i < c->rows * c->classes; i++)
        out[i] = rounded_to(dtype, random_unit());
}

/* ---- judgement --------------------------------------------------------------------------- */

/* -log q, q + rest = 1, clipped; *live: it is not. */
static wide clipped_loss(const struct softmax_case *c, wide q, wide rest, int *live)
{
    *live = 0;
    if (q < (wide)c->clip_low) return -logl((wide)c->clip_low);
    if (rest < (wide)c->clip_high) return -log1pl(-(wide)c->clip_high);
    *live = 1;
    return q < 0.5L ? -logl(q) : -log1pl(-rest);
}

/* Found, wanted, and what it is a sum of: eight roundings in double, and one of what is stored. */
static void judge(const struct softmax_case *c, const struct softmax_results *r, enum array array,
                  size_t i, wide wanted, wide terms)
{
    const enum crossent_dtype dtype = c->dtype[array];
    const double found = r->values[array][i];
    const wide limit = 8 * DBL_EPSILON * terms + 4 * half_spacing(CROSSENT_F64, 0) +
                       half_spacing(dtype, wanted) * 1.001L;
    check(fabsl((wide)found - wanted) <= limit || found == rounded_to(dtype, (double)wanted),
          "%s[%zu] is %a, not %a", array_names[array], i, found, (double)wanted);
}

struct sums {
    wide total, terms;
};

/* One row of sample weight s, whose derivatives have the factor a; t: its smoothed target. */
static void judge_row(const struct softmax_case *c, const struct softmax_results *r, size_t i,
                      const wide *t, wide s, wide a, struct sums *sums)
{
    const size_t n = c->classes;
    const double *p = c->values[LOGITS] + i * n;
    wide sum = 0, loss = 0, live_sum = 0;
    for (size_t j = 0; j < n; j++) sum += (wide)p[j];
    if (!c->normalize) sum = 1;
    wide *live = allocate(2 * n * sizeof *live), *rest = live + n;
    for (size_t j = 0; j < n; j++) {
        wide others = 0;
        int alive;
        if (c->normalize && n <= 256)
            for (size_t k = 0; k < n; k++) others += k == j ? 0 : (wide)p[k];
        else
            others = sum - (wide)p[j];
        rest[j] = others;
        const wide each = clipped_loss(c, (wide)p[j] / sum, others / sum, &alive);
        loss += t[j] ? t[j] * each : 0;
        live[j] = alive ? t[j] : 0;
        live_sum += live[j];
    }
    judge(c, r, LOSS, i, s * loss, s * loss);
    sums->total += s * loss;
    sums->terms += s * loss;
    for (size_t j = 0; c->values[OUT] && j < n; j++) {
        const wide old = c->call.accumulate ? (wide)c->values[OUT][i * n + j] : 0;
        const wide pull = live[j] ? live[j] / (wide)p[j] : 0, push = live_sum / sum;
        wide slope = -pull, terms = pull;
        if (c->normalize) {
            slope = (live[j] ? -pull * rest[j] / sum : 0) + (live_sum - live[j]) / sum;
            terms = live[j] && (wide)p[j] / sum < 0x1p-800 ? pull + push : push + fabsl(slope);
        }
        judge(c, r, OUT, i * n + j, old + a * slope, fabsl(a) * terms + fabsl(old));
    }
    free(live);
}

static void judge_case(const struct softmax_case *c, const struct softmax_results *r)
{
    const size_t n = c->classes;
    const int soft = c->dtype[TARGET] <= CROSSENT_BF16;
    double *one_hot = allocate(n * sizeof *one_hot);
    wide *t = allocate(n * sizeof *t);
    struct sums sums = {0, 0};
    check(r->status == CROSSENT_OK, "status %d, row %zu, column %zu", r->status, r->fault_row,
          r->fault_column);
    for (size_t i = 0; i < c->rows; i++) {
        const wide s = c->values[SAMPLE_WEIGHT] ? (wide)c->values[SAMPLE_WEIGHT][i] : 1;
        const wide u = c->values[UPSTREAM] ? (wide)c->values[UPSTREAM][i] : 1;
        memset(one_hot, 0, n * sizeof *one_hot);
        if (!soft) one_hot[(size_t)c->values[TARGET][i]] = 1;
        const struct softmax_row row = {
            .classes = n, .t = soft ? c->values[TARGET] + i * n : one_hot,
            .w = c->call.class_weight, .smoothing = c->call.label_smoothing,
            .off_target = c->call.smoothing_off_target, .by_target = c->call.smoothing_by_target};
        const wide weight = weight_of_row(&row);
        const int ignored = !soft && c->call.ignored && c->values[TARGET][i] == 0;
        for (size_t j = 0; j < n; j++) t[j] = smoothed_target(&row, n, weight, j);
        if (s != 0 && weight != 0 && !ignored) {
            judge_row(c, r, i, t, s, s * u * (wide)c->call.coefficient, &sums);
            continue;
        }
        check(r->values[LOSS][i] == 0, "loss of row %zu, which takes no part", i);
        for (size_t j = i * n; c->values[OUT] && j < (i + 1) * n; j++)
            check(r->values[OUT][j] == (c->call.accumulate ? c->values[OUT][j] : 0),
                  "out[%zu] of a row that takes no part", j);
    }
    check(fabsl((wide)r->total - sums.total) <= 16 * DBL_EPSILON * sums.terms ||
              r->total == (double)sums.total, "total is %a, not %a", r->total, (double)sums.total);
    free(one_hot);
    free(t);
}

/* ---- tests ------------------------------------------------------------------------------- */

static void test_case(enum crossent_dtype dtype, size_t rows, size_t classes, int judged)
{
    struct softmax_case c = {.rows = rows, .classes = classes};
    make_case(&c, dtype);
    now.goal = "probabilities";
    struct softmax_results r = solve_softmax(&c, plain);
    if (judged && !only_digest) judge_case(&c, &r);
    compare_softmax(&c, &r);
    free_results(&r);
    free_case(&c);
}

/* Row 2 of 4 gets `bad` in `column`; the status is that, and other rows are as they were. */
static void test_bad(double bad, size_t column, int normalize, int soft)
{
    struct softmax_case c = {.rows = 4, .classes = 3, .call.coefficient = 1, .categorical = 1,
                             .normalize = normalize};
    double *p = new_values(&c, LOGITS, CROSSENT_F64);
    for (size_t i = 0; i < 12; i++) p[i] = 0.25;
    fill_target(&c, soft);
    for (size_t i = 0; i < 12 && soft; i++) c.values[TARGET][i] = 0.5;
    for (size_t i = 0; i < 4 && !soft; i++) c.values[TARGET][i] = column < 3 ? (double)column : 0;
    new_values(&c, LOSS, CROSSENT_F64);
    new_values(&c, OUT, CROSSENT_F64);
    c.call.output = CROSSENT_GRADIENT;
    now.goal = "bad probabilities";
    struct softmax_results good = solve_softmax(&c, plain);
    if (column < 3) p[6 + column] = bad;
    else p[6] = p[7] = p[8] = bad;
    struct softmax_results r = solve_softmax(&c, plain);
    check(r.status == CROSSENT_BAD_PROBABILITY && r.fault_row == 2 && r.fault_column == column &&
          r.faults == 1, "%g: status %d, row %zu, column %zu", bad, r.status, r.fault_row,
          r.fault_column);
    for (size_t i = 0; i < 4; i++)
        check(i == 2 || r.values[LOSS][i] == good.values[LOSS][i], "loss of row %zu", i);
    free_results(&good);
    free_results(&r);
    free_case(&c);
}

static void tests(void)
{
    static const size_t shapes[][2] = {{9, 1}, {13, 2}, {70, 3}, {37, 10}, {9, 65}, {5, 130},
                                       {330, 100}};
    static unsigned number;
    for (size_t n = 0; n < 14; n++)
        for (size_t s = 0; s < 7; s++)
            for (enum crossent_dtype dtype = CROSSENT_F32; dtype <= CROSSENT_BF16; dtype++)
                test_case(dtype, shapes[s][0], shapes[s][1],
                          !SLOW_LONG_DOUBLE || (s < 6 && number++ % 16 == 0));
    for (size_t n = 0; n < 8; n++) test_case((enum crossent_dtype)(n % 4), 2, 5000, 0);
    const double bad[] = {-0.5, 1.5, NAN, INFINITY};
    for (int normalize = 0; normalize < 2; normalize++)
        for (int soft = 0; soft < 2; soft++)
            for (size_t i = 0; i < 4; i++)
                if (!normalize || bad[i] != 1.5) test_bad(bad[i], 1, normalize, soft);
    test_bad(0, 3, 1, 0);
    test_bad(0, 3, 1, 1);
}

int main(int argc, char **argv) { return run_tests(argc, argv, tests); }
