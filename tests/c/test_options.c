/* The softmax loss with its options in random combinations: values against softmax_reference.c, and
 * the same bytes in every layout, on every instruction set and with threads. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "softmax_call.h"
#include "softmax_reference.h"

/* What a case asks for beside the loss. */
enum goal { LOSSES, GRADIENT, SECOND_ORDER, STATISTICS, TARGET_GRADIENTS, GOALS };
static const char *const goals[GOALS] = {"options, losses", "options, gradient",
                                         "options, second order", "options, statistics",
                                         "options, target gradient"};

/* ---- cases ------------------------------------------------------------------------------- */

static void fill_logits(struct softmax_case *c, enum crossent_dtype dtype)
{
    double *x = new_values(c, LOGITS, dtype);
    for (size_t r = 0; r < c->rows; r++) {
        const double spread = one_in(3) ? 15 : 3, offset = one_in(4) ? 20 : 0;
        for (size_t j = 0; j < c->classes; j++, x++)
            *x = rounded_to(dtype, offset + spread * (2 * random_unit() - 1));
    }
}

/* Labels of any integer dtype that holds them; or probabilities, some of them 0, some rows
 * one-hot, some of another sum than 1. */
static void fill_target(struct softmax_case *c, int soft)
{
    const enum crossent_dtype labels[] = {CROSSENT_I16, CROSSENT_U16, CROSSENT_I32, CROSSENT_U32,
                                          CROSSENT_I64, CROSSENT_U64, CROSSENT_I8, CROSSENT_U8};
    if (!soft) {
        double *t = new_values(c, TARGET, labels[random_below(c->classes < 100 ? 8 : 6)]);
        for (size_t r = 0; r < c->rows; r++) t[r] = (double)random_below(c->classes);
        return;
    }
    const enum crossent_dtype dtype = one_in(2) ? CROSSENT_F64 : CROSSENT_F32;
    double *t = new_values(c, TARGET, dtype);
    for (size_t r = 0; r < c->rows; r++, t += c->classes) {
        const double scale = one_in(4) ? 1.5 : 2 / (double)c->classes;
        for (size_t j = 0; j < c->classes; j++)
            t[j] = one_in(3) ? 0 : rounded_to(dtype, scale * random_unit());
        if (!one_in(4)) continue;
        memset(t, 0, c->classes * sizeof *t);
        t[random_below(c->classes)] = 1;
    }
}

/* Numbers of one row or one class each; a few of the weights are 0. */
static void fill_weights(double *to, size_t n, double low, double high)
{
    for (size_t i = 0; i < n; i++)
        to[i] = one_in(9) && low >= 0 ? 0 : low + (high - low) * random_unit();
}

/* Leaves out a third of the classes, but never the label's, and at least one that counts. */
static void fill_mask(struct softmax_case *c)
{
    double *mask = new_values(c, CLASS_MASK, CROSSENT_U8);
    const int soft = c->values[TARGET] && c->dtype[TARGET] <= CROSSENT_BF16;
    for (size_t r = 0; r < c->rows; r++) {
        double *m = mask + r * c->classes;
        for (size_t j = 0; j < c->classes; j++) {
            m[j] = !one_in(3);
            if (soft && c->values[TARGET][r * c->classes + j]) m[j] = 1;
        }
        if (!c->values[TARGET] || soft) m[random_below(c->classes)] = 1;
        else m[(size_t)c->values[TARGET][r]] = 1;
    }
}

/* Class by class; few enough of them. */
static const double *per_class(struct softmax_case *c, double *to)
{
    fill_weights(to, c->classes < 256 ? c->classes : 256, 0.25, 4);
    return to;
}

static void choose_options(struct softmax_case *c, enum goal goal)
{
    struct crossent_softmax *call = &c->call;
    const int few = c->classes <= 256, soft = c->dtype[TARGET] <= CROSSENT_BF16;
    if (one_in(3)) call->temperature = one_in(2) ? 0.75 : 2.5;
    if (one_in(3)) fill_mask(c);
    if (one_in(3)) call->label_smoothing = 0.1;
    if (one_in(2)) call->smoothing_off_target = 1;
    if (one_in(2) && goal != TARGET_GRADIENTS) call->smoothing_by_target = 1;
    if (few && one_in(3)) call->class_weight = per_class(c, c->class_weight);
    if (one_in(3))
        fill_weights(new_values(c, SAMPLE_WEIGHT, CROSSENT_F64), c->rows, 0, 3);
    if (one_in(3)) fill_weights(new_values(c, UPSTREAM, CROSSENT_F64), c->rows, -2, 2);
    if (one_in(4)) call->z_loss = 0.125;
    if (!soft && one_in(4)) {
        c->ignore[0] = 0;
        c->ignore[1] = (int64_t)c->classes - 1;
        call->ignore = c->ignore;
        call->ignored = 1 + random_below(2);
    }
    if (goal == SECOND_ORDER) {
        call->hessian_rule = (enum crossent_hessian)random_below(4);
        return;
    }
    if (one_in(4)) call->softcap = 30;
    if (one_in(4)) call->focal_gamma = one_in(2) ? 2 : 0.5;
    if (few && one_in(4)) call->focal_alpha = per_class(c, c->focal_alpha);
}

static void ask_for(struct softmax_case *c, enum goal goal)
{
    const enum crossent_dtype dtype = c->dtype[LOGITS];
    const int soft = c->dtype[TARGET] <= CROSSENT_BF16;
    new_values(c, LOSS, dtype);
    if (goal != LOSSES) {
        double *out = new_values(c, OUT, dtype);
        c->call.output = CROSSENT_GRADIENT;
        c->call.accumulate = one_in(4);
        for (size_t i = 0; i < c->rows * c->classes; i++)
            out[i] = c->call.accumulate ? rounded_to(dtype, random_unit()) : 0;
    }
    if (goal == SECOND_ORDER && one_in(2)) {
        double *v = new_values(c, VECTOR, one_in(2) ? dtype : CROSSENT_F32);
        for (size_t i = 0; i < c->rows * c->classes; i++)
            v[i] = rounded_to(c->dtype[VECTOR], 3 * random_unit() - 1);
        c->call.output = CROSSENT_HESSIAN_VECTOR;
        c->call.z_loss *= one_in(2);
        c->call.accumulate = 0;
        free(c->values[LOSS]);              /* such a call makes none, nor a probability */
        c->values[LOSS] = NULL;
    } else if (goal == SECOND_ORDER) {
        new_values(c, HESSIAN, dtype);
        c->call.z_loss = 0;
    }
    if (goal == STATISTICS || one_in(8)) new_values(c, LOGSUMEXP, dtype);
    if (!soft && !c->values[VECTOR] && (goal == STATISTICS || one_in(8)))
        new_values(c, PROBABILITY, dtype);
    if (goal == STATISTICS && one_in(2)) new_values(c, ENTROPY, dtype);
    if (goal == STATISTICS && one_in(2)) new_values(c, ARGMAX, CROSSENT_I64);
    if (!soft && goal == STATISTICS && one_in(2)) new_values(c, CORRECT, CROSSENT_U8);
    if (goal == TARGET_GRADIENTS) new_values(c, TARGET_GRADIENT, dtype);
}

static void make_case(struct softmax_case *c, enum crossent_dtype dtype, enum goal goal)
{
    c->call.coefficient = 0.5;
    fill_logits(c, dtype);
    fill_target(c, goal == TARGET_GRADIENTS || one_in(3));
    choose_options(c, goal);
    ask_for(c, goal);
}

/* ---- judgement --------------------------------------------------------------------------- */

/* How far a result may be off, relative to its terms: 6 roundings. Temperature and softcap round
 * the logits x, which moves probabilities by |x| roundings; (1 - p)^gamma multiplies relative
 * errors by gamma, and those of log (1 - p) are of its size. */
static wide tolerance(const struct softmax_case *c)
{
    const struct crossent_softmax *call = &c->call;
    const wide gamma = call->focal_gamma;
    const double warm = call->temperature && call->temperature < 1 ? call->temperature : 1;
    const double *x = c->values[LOGITS];
    double least = INFINITY, most = -INFINITY;
    for (size_t i = 0; i < c->rows * c->classes; i++) {
        least = fmin(least, x[i]);
        most = fmax(most, x[i]);
    }
    const double rounded = call->temperature || call->softcap;
    const wide size = rounded * fmax(fabs(least), fabs(most)) / warm;
    return 6 * epsilon_of(c->dtype[LOGITS]) *
           ((1 + size) * (1 + gamma) + gamma * (most - least) / warm);
}

static void judge(const struct softmax_case *c, const struct softmax_results *r, enum array array,
                  size_t i, wide wanted, wide terms, wide limit)
{
    const enum crossent_dtype dtype = c->dtype[array];
    const double found = r->values[array][i];
    const wide stored = dtype > CROSSENT_F64 ? half_spacing(dtype, wanted) : 0;
    const wide error = fabsl((wide)found - wanted);
    check(error <= limit * terms + stored + 8 * least_normal(dtype) ||
          found == rounded_to(dtype, (double)wanted),
          "%s[%zu] is %a, not %a: %.3g of its terms off", array_names[array], i, found,
          (double)wanted, (double)(error / terms));
}

static void judge_skipped(const struct softmax_case *c, const struct softmax_results *r, size_t i)
{
    for (enum array a = OUT; a <= TARGET_GRADIENT; a++)
        for (size_t j = i * c->classes; c->values[a] && j < (i + 1) * c->classes; j++)
            check(r->values[a][j] == (c->call.accumulate && a == OUT ? c->values[a][j] : 0),
                  "%s of a row that takes no part", array_names[a]);
    for (enum array a = LOGSUMEXP; a <= ENTROPY; a++)
        check(!c->values[a] || isnan(r->values[a][i]), "%s of a row that takes no part",
              array_names[a]);
    check(!c->values[LOSS] || r->values[LOSS][i] == 0, "loss of a row that takes no part");
    check(!c->values[ARGMAX] || r->values[ARGMAX][i] == -1, "argmax of such a row");
    check(!c->values[CORRECT] || r->values[CORRECT][i] == 0, "correct of such a row");
}

/* s: the row's sample weight; a: the factor of its derivatives. */
static void judge_row(const struct softmax_case *c, const struct softmax_results *r, size_t i,
                      const struct softmax_truth *t, wide limit, wide s,
                      wide a)
{
    const int vector = c->call.output == CROSSENT_HESSIAN_VECTOR;
    const wide *wanted = vector ? t->product : t->gradient;
    const wide *terms = vector ? t->product_terms : t->gradient_terms;
    if (c->values[LOSS]) judge(c, r, LOSS, i, s * t->loss, s * t->loss_terms, limit);
    if (c->values[LOGSUMEXP]) judge(c, r, LOGSUMEXP, i, t->logsumexp, 1 + t->size, limit);
    if (c->values[ENTROPY]) judge(c, r, ENTROPY, i, t->entropy, 1 + t->size, limit);
    if (c->values[ARGMAX]) check(r->values[ARGMAX][i] == (double)t->argmax, "argmax of %zu", i);
    if (c->values[TARGET] && c->dtype[TARGET] > CROSSENT_BF16) {
        const size_t label = (size_t)c->values[TARGET][i];
        if (c->values[PROBABILITY])
            judge(c, r, PROBABILITY, i, t->p[label], t->p[label], limit);
        if (c->values[CORRECT])
            check(r->values[CORRECT][i] == (t->argmax == label), "correct of %zu", i);
    }
    for (size_t j = 0; j < c->classes; j++) {
        const size_t k = i * c->classes + j;
        const wide old = c->call.accumulate ? c->values[OUT][k] : 0;
        if (c->values[OUT])
            judge(c, r, OUT, k, old + a * wanted[j], fabsl(a) * terms[j] + fabsl(old), limit);
        if (c->values[HESSIAN])
            judge(c, r, HESSIAN, k, a * t->hessian[j], fabsl(a) * t->hessian_terms[j], limit);
        if (c->values[TARGET_GRADIENT])
            judge(c, r, TARGET_GRADIENT, k, a * t->by_target[j],
                  fabsl(a) * t->by_target_terms[j], limit);
    }
}

static int is_ignored(const struct softmax_case *c, double label)
{
    for (size_t k = 0; k < c->call.ignored; k++)
        if (label == (double)c->ignore[k]) return 1;
    return 0;
}

/* Of row i, with `t` holding a label's target. */
static struct softmax_row row_of_case(const struct softmax_case *c, size_t i, double *t)
{
    const struct crossent_softmax *call = &c->call;
    const size_t n = c->classes, at = i * n;
    const int soft = c->dtype[TARGET] <= CROSSENT_BF16;
    memset(t, 0, n * sizeof *t);
    if (!soft) t[(size_t)c->values[TARGET][i]] = 1;
    return (struct softmax_row){
        .classes = n, .x = c->values[LOGITS] + at, .t = soft ? c->values[TARGET] + at : t,
        .v = c->values[VECTOR] ? c->values[VECTOR] + at : NULL,
        .mask = c->values[CLASS_MASK] ? c->values[CLASS_MASK] + at : NULL,
        .w = call->class_weight, .alpha = call->focal_alpha, .smoothing = call->label_smoothing,
        .gamma = call->focal_gamma, .z_loss = call->z_loss, .softcap = call->softcap,
        .temperature = call->temperature, .off_target = call->smoothing_off_target,
        .by_target = call->smoothing_by_target, .rule = (int)call->hessian_rule};
}

/* crossent_weigh, which a mean divides by. */
static void judge_weights(const struct softmax_case *c, wide weight, size_t count)
{
    struct crossent_softmax call = c->call;
    struct placed target = place(c->dtype[TARGET], c->rows, values_of(c, TARGET) / c->rows,
                                 plain->in, 0);
    struct placed sample = place(CROSSENT_F64, c->values[SAMPLE_WEIGHT] ? c->rows : 0, 1,
                                 plain->in, 0);
    put_numbers(&target, c->values[TARGET]);
    put_numbers(&sample, c->values[SAMPLE_WEIGHT]);
    call.ndim = 1;
    call.shape[0] = call.rows = c->rows;
    call.classes = c->classes;
    call.logits.dtype = c->dtype[LOGITS];
    call.target = target.array;
    call.sample_weight = array_of(&sample);
    check(crossent_weigh(&call) == CROSSENT_OK, "weigh fails");
    check(call.count == count, "%zu rows take part, not %zu", call.count, count);
    check(fabsl((wide)call.weight - weight) <= 4 * DBL_EPSILON * weight, "weight is %a, not %a",
          call.weight, (double)weight);
    discard_numbers(&target, c->values[TARGET], "target");
    discard_numbers(&sample, c->values[SAMPLE_WEIGHT], "sample_weight");
}

static void judge_case(const struct softmax_case *c, const struct softmax_results *r)
{
    struct softmax_truth truth;
    double *t = allocate(c->classes * sizeof *t);
    void *room = softmax_truth_room(&truth, c->classes);
    const wide limit = tolerance(c);
    wide weight = 0, total = 0, terms = 0;
    size_t count = 0;
    check(r->status == CROSSENT_OK, "status %d", r->status);
    for (size_t i = 0; i < c->rows; i++) {
        const struct softmax_row row = row_of_case(c, i, t);
        const wide s = c->values[SAMPLE_WEIGHT] ? (wide)c->values[SAMPLE_WEIGHT][i] : 1;
        const wide u = c->values[UPSTREAM] ? (wide)c->values[UPSTREAM][i] : 1;
        softmax_reference(&row, &truth);
        const int ignored = row.t == t && is_ignored(c, c->values[TARGET][i]);
        if (s == 0 || truth.weight == 0 || ignored) {
            judge_skipped(c, r, i);
            continue;
        }
        judge_row(c, r, i, &truth, limit, s, s * u * (wide)c->call.coefficient);
        weight += s * truth.weight;
        count++;
        total += s * truth.loss;
        terms += s * truth.loss_terms;
    }
    check(!c->values[LOSS] || fabsl((wide)r->total - total) <= limit * terms,
          "total is %a, not %a", r->total, (double)total);
    judge_weights(c, weight, count);
    free(room);
    free(t);
}

/* ---- tests ------------------------------------------------------------------------------- */

static void test_case(enum crossent_dtype dtype, size_t rows, size_t classes, enum goal goal,
                      int judged)
{
    struct softmax_case c = {.rows = rows, .classes = classes};
    make_case(&c, dtype, goal);
    now.goal = goals[goal];
    struct softmax_results r = solve_softmax(&c, plain);
    if (judged && !only_digest) judge_case(&c, &r);
    compare_softmax(&c, &r);
    free_results(&r);
    free_case(&c);
}

/* softmax and log_softmax have no target, but temperature and softcap. */
static void test_capped_function(enum crossent_dtype dtype, size_t n, enum crossent_output output)
{
    const size_t size = dtype == CROSSENT_F64 ? sizeof(double) : sizeof(float);
    const wide limit = 4 * (dtype == CROSSENT_F64 ? 0x1p-52L : 0x1p-23L), cap = 3, warm = 2;
    struct crossent_softmax call = {.ndim = 1, .shape = {1}, .rows = 1, .classes = n};
    char *x = malloc(n * size), *out = malloc(n * size);
    wide sum = 0;
    call.logits = (struct crossent_array){x, dtype, {0}, (ptrdiff_t)size};
    call.out = (struct crossent_array){out, dtype, {0}, (ptrdiff_t)size};
    call.output = output;
    call.softcap = (double)cap;
    call.temperature = (double)warm;
    for (size_t j = 0; j < n; j++) {
        const float value = (float)(20 * random_unit() - 10);
        dtype == CROSSENT_F64 ? (((double *)x)[j] = value) : (((float *)x)[j] = value);
        sum += expl(cap * tanhl((wide)value / warm / cap));
    }
    check(crossent_softmax(&call) == CROSSENT_OK, "status");
    for (size_t j = 0; j < n; j++) {
        const wide value = dtype == CROSSENT_F64 ? ((double *)x)[j] : ((float *)x)[j];
        const wide got = dtype == CROSSENT_F64 ? ((double *)out)[j] : ((float *)out)[j];
        const wide log_p = cap * tanhl(value / warm / cap) - logl(sum);
        const wide want = output == CROSSENT_SOFTMAX ? expl(log_p) : log_p;
        check(fabsl(got - want) <= limit * fabsl(want), "capped class %zu of %zu: %La, not %La", j, n,
              got, want);
    }
    free(x);
    free(out);
}

static void tests(void)
{
    static const size_t shapes[][2] = {{9, 1}, {13, 2}, {21, 3}, {37, 10}, {70, 17}, {9, 64},
                                       {9, 65}, {5, 130}, {67, 100}};
    static const size_t wide_shapes[][2] = {{3, 4096}, {3, 4097}, {2, 9001}, {400, 100}};
    static unsigned number;
    for (size_t n = 0; n < 12; n++)
        for (size_t s = 0; s < 9; s++)
            for (enum crossent_dtype dtype = CROSSENT_F32; dtype <= CROSSENT_BF16; dtype++)
                test_case(dtype, shapes[s][0], shapes[s][1], (enum goal)random_below(GOALS),
                          !SLOW_LONG_DOUBLE || number++ % 16 == 0);
    for (size_t n = 0; n < 20; n++)
        for (size_t s = 0; s < 4; s++)
            test_case((enum crossent_dtype)random_below(4), wide_shapes[s][0], wide_shapes[s][1],
                      (enum goal)(n % GOALS), !SLOW_LONG_DOUBLE);
    for (int i = 0; i < 3 && !only_digest && !SLOW_LONG_DOUBLE; i++)
        for (enum crossent_dtype dtype = CROSSENT_F32; dtype <= CROSSENT_F64; dtype++)
            for (int log = 0; log < 2; log++)
                test_capped_function(dtype, (size_t[]){7, 100, 5000}[i],
                                     log ? CROSSENT_LOG_SOFTMAX : CROSSENT_SOFTMAX);
}

int main(int argc, char **argv) { return run_tests(argc, argv, tests); }
