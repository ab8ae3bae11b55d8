/* Losses, gradients and functions without options, through the public header alone.
 *
 * a) A plain call of every problem, contiguous arrays and one thread, is judged by slow and obvious
 *    formulas in a wider type (test_kernels.inc.h, included for float and for double).
 * b) Every other call of the same problem - strides, alignments, in place, threads, types of
 *    labels, the scalar instruction set - has to give the same bytes.
 */
#include <float.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tgmath.h>

#include "harness.h"

/* ---- problems, and ways to call for their solution --------------------------------------- */

struct problem {
    const struct type *type;
    size_t rows, classes;
    int elements;                /* of crossent_sigmoid, not of crossent_softmax */
    char *logits, *soft;         /* contiguous; `soft` holds targets of the logits' type */
    int64_t *labels;
    enum crossent_dtype target;
    double coefficient;
};

/* What is called for: an enum crossent_output, or an enum crossent_elementwise for elements. */
enum { GOALS = 4 };
static const char *const goals[2][GOALS] = {
    {"losses", "gradient", "softmax", "log_softmax"},
    {"sigmoid loss", "sigmoid", "log_sigmoid", "softplus"}};

/* The bytes of all results, one after the other: total, losses, logsumexps, output. */
struct results {
    double *total;
    char *loss, *logsumexp, *out;
    size_t bytes, fault_row;
    int status;
};

struct type {
    enum crossent_dtype dtype;
    const char *name;
    void (*fill)(struct problem *);
    void (*spoil)(struct problem *);
    void (*hide_nans)(struct results *);
    void (*judge)(const struct problem *, int goal, const struct results *);
};

static struct problem new_problem(const struct type *type, size_t rows, size_t classes,
                                  int elements)
{
    const size_t n = rows * classes, size = size_of(type->dtype);
    struct problem p = {type, rows, classes, elements, .coefficient = 1.0 / (double)(n + 2)};
    p.logits = allocate(n * size);
    p.soft = allocate(n * size);
    p.labels = allocate((elements ? n : rows) * sizeof *p.labels);
    p.target = elements ? type->dtype : CROSSENT_I64;
    type->fill(&p);
    return p;
}
static void free_problem(struct problem *p)
{
    free(p->logits);
    free(p->soft);
    free(p->labels);
}

/* The arrays of one call; those that it does not use have no rows. */
struct arrays {
    struct placed x, target, out, loss, logsumexp;
    const void *targets;
    size_t target_size;
    int in_place;
};

static struct arrays open_arrays(const struct problem *p, int goal, const struct variant *v)
{
    const enum crossent_dtype dtype = p->type->dtype;
    const int has_out = p->elements || goal != CROSSENT_NOTHING;
    const int has_loss = p->elements ? goal == CROSSENT_SIGMOID_CROSS_ENTROPY
                                     : goal == CROSSENT_NOTHING || goal == CROSSENT_GRADIENT;
    const size_t width = p->elements ? p->classes : 1, losses = has_loss ? p->rows : 0;
    struct arrays a = {.in_place = v->in_place && has_out};
    a.targets = p->target == dtype ? (void *)p->soft : (void *)p->labels;
    a.target_size = p->target == dtype ? size_of(dtype) : sizeof *p->labels;
    a.x = place(dtype, p->rows, p->classes, v->in, v->folded);
    a.target = place(p->target, losses, width, v->in, v->folded);
    a.out = place(dtype, has_out && !a.in_place ? p->rows : 0, p->classes, v->out, v->folded);
    a.loss = place(dtype, losses, width, v->out, v->folded);
    a.logsumexp = place(dtype, p->elements ? 0 : p->rows, 1, v->in, v->folded);
    put(&a.x, p->logits, a.x.size);
    put(&a.target, a.targets, a.target_size);
    return a;
}

static struct results new_results(const struct arrays *a)
{
    const struct placed *out = a->in_place ? &a->x : &a->out;
    const size_t losses = a->loss.rows * a->loss.classes * a->loss.size;
    const size_t logsumexps = a->logsumexp.rows * a->logsumexp.size;
    struct results r = {.bytes = sizeof(double) + losses + logsumexps};
    r.bytes += out->rows * out->classes * out->size;
    r.total = allocate(r.bytes);
    r.loss = (char *)(r.total + 1);
    r.logsumexp = r.loss + losses;
    r.out = r.logsumexp + logsumexps;
    *r.total = 0;
    return r;
}

static void close_arrays(struct arrays *a, const struct problem *p, const struct results *r)
{
    fetch(&a->loss, r->loss);
    fetch(&a->logsumexp, r->logsumexp);
    fetch(a->in_place ? &a->x : &a->out, r->out);
    if (a->in_place) discard(&a->x, "logits");
    else discard_input(&a->x, p->logits, a->x.size, "logits");
    discard_input(&a->target, a->targets, a->target_size, "targets");
    discard(&a->out, "output");
    discard(&a->loss, "losses");
    discard(&a->logsumexp, "logsumexps");
}

static void call_softmax(const struct problem *p, int goal, const struct variant *v,
                         const struct arrays *a, struct results *r)
{
    struct crossent_softmax call = {
        .ndim = v->folded ? 2 : 1, .shape = {a->x.shape[0], a->x.shape[1]},
        .rows = p->rows, .classes = p->classes, .threads = v->threads ? v->threads : 1,
        .logits = a->x.array, .target = array_of(&a->target), .loss = array_of(&a->loss),
        .logsumexp = array_of(&a->logsumexp), .output = (enum crossent_output)goal,
        .out = a->in_place ? a->x.array : array_of(&a->out),
        .coefficient = goal == CROSSENT_GRADIENT ? p->coefficient : 1};
    r->status = crossent_softmax(&call);
    r->fault_row = call.fault_row;
    if (call.loss.data) *r->total = call.total;
}
static void call_sigmoid(const struct problem *p, int goal, const struct variant *v,
                         const struct arrays *a, struct results *r)
{
    struct crossent_sigmoid call = {
        .ndim = v->folded ? 2 : 1, .shape = {a->x.shape[0], a->x.shape[1]},
        .rows = p->rows, .classes = p->classes, .threads = v->threads ? v->threads : 1,
        .logits = a->x.array, .target = array_of(&a->target), .loss = array_of(&a->loss),
        .function = (enum crossent_elementwise)goal,
        .out = a->in_place ? a->x.array : array_of(&a->out), .coefficient = p->coefficient};
    r->status = crossent_sigmoid(&call);
    if (call.loss.data) *r->total = call.total;
}

static struct results solve(const struct problem *p, int goal, const struct variant *v)
{
    struct arrays a = open_arrays(p, goal, v);
    struct results r = new_results(&a);
    now.type = p->type->name;
    now.goal = goals[p->elements][goal];
    now.variant = v->name;
    now.rows = p->rows;
    now.classes = p->classes;
    if (p->elements) call_sigmoid(p, goal, v, &a, &r);
    else call_softmax(p, goal, v, &a, &r);
    close_arrays(&a, p, &r);
    p->type->hide_nans(&r);
    return r;
}

/* Consumes `found`. */
static void same(const struct results *wanted, struct results found, const char *whose)
{
    const char *w = (const char *)wanted->total, *f = (const char *)found.total;
    size_t at = 0;
    while (at < wanted->bytes && w[at] == f[at]) at++;
    check(found.status == wanted->status, "status %d", found.status);
    check(at == wanted->bytes, "unlike the %s call's result from byte %zu of %zu on", whose, at,
          wanted->bytes);
    free(found.total);
}

/* ---- the reference, for float in double and for double in long double ---------------------- */

#define PASTE(a, b) a##_##b
#define JOIN(a, b) PASTE(a, b)
#define OF(word) JOIN(word, D)
#define TEXT(x) #x
#define NAME_OF(x) TEXT(x)

#define D f32
#define T float
#define WIDE double
#define DTYPE CROSSENT_F32
#define FAR_OFF 3e6   /* beyond what the kernels reduce without a shift */
#define MOST FLT_MAX
#include "test_kernels.inc.h"
#undef D
#undef T
#undef WIDE
#undef DTYPE
#undef FAR_OFF
#undef MOST

#define D f64
#define T double
#define WIDE long double
#define DTYPE CROSSENT_F64
#define FAR_OFF 3e12
#define MOST DBL_MAX
#include "test_kernels.inc.h"

static const struct type *const types[] = {&type_f32, &type_f64};
enum { TYPES = sizeof types / sizeof *types };

/* ---- tests ------------------------------------------------------------------------------- */

/* A quarter of the variants: all within four neighbouring shapes. */
static size_t first_variant(const struct problem *p) { return 1 + (p->rows + p->classes) % 4; }

/* The plain call is judged if `judged`, others are compared with it. */
static void compare(const struct problem *p, int judged)
{
    struct results scalar[GOALS];
    switch_isa("scalar");
    for (int goal = 0; goal < GOALS; goal++) scalar[goal] = solve(p, goal, plain);
    switch_isa(now.isa);
    for (int goal = 0; goal < GOALS; goal++) {
        struct results r = solve(p, goal, plain);
        check(r.status == CROSSENT_OK, "status %d", r.status);
        if (judged) p->type->judge(p, goal, &r);
        same(&r, scalar[goal], "scalar");
        for (size_t v = first_variant(p); v < VARIANTS; v += 4)
            same(&r, solve(p, goal, &variants[v]), "plain");
        free(r.total);
    }
}

static void test_shape(const struct type *type, size_t rows, size_t classes, int elements)
{
    struct problem p = new_problem(type, rows, classes, elements);
    compare(&p, 1);
    free_problem(&p);
}
static void test_rows(const struct type *type)
{
    static const size_t large[4] = {4095, 4096, 4097, 9001}, few[4] = {1, 2, 10, 65};
    for (size_t classes = 1; classes <= 130; classes++) test_shape(type, 19, classes, 0);
    for (size_t i = 0; i < 4; i++) test_shape(type, 7, large[i], 0);
    for (size_t i = 0; i < 4; i++)
        for (size_t rows = 0; rows <= 70; rows++) test_shape(type, rows, few[i], 0);
}
static void test_elements(const struct type *type)
{
    static const size_t large[4] = {4095, 4096, 4097, 10000};
    for (size_t n = 1; n <= 130; n++) {
        test_shape(type, 1, n, 1);
        test_shape(type, n, 3, 1);
    }
    for (size_t i = 0; i < 4; i++) test_shape(type, 1, large[i], 1);
    test_shape(type, 0, 3, 1);
    test_shape(type, 3, 3333, 1);
    test_shape(type, 1365, 3, 1);
}

/* NaN, infinities and the like: what they give is for other tests to say; here it has to be the
 * same in all variants. Each shape once for rows and once for elements. */
static void test_specials(const struct type *type)
{
    static const size_t shapes[6][2] = {{70, 1}, {70, 2}, {70, 3}, {70, 64}, {71, 65}, {5, 4100}};
    for (size_t i = 0; i < 2 * 6; i++) {
        struct problem p = new_problem(type, shapes[i / 2][0], shapes[i / 2][1], i % 2);
        type->spoil(&p);
        compare(&p, 0);
        free_problem(&p);
    }
}

/* Enough elements that threads are used. */
static void test_threads(const struct type *type)
{
    static const size_t shapes[4][2] = {{5003, 10}, {307, 130}, {11, 4097}, {5, 9001}};
    for (size_t i = 0; i < 2 * 4; i++) {
        const size_t rows = shapes[i / 2][0], classes = shapes[i / 2][1];
        struct problem p = new_problem(type, rows, classes, i % 2);
        const int goal = p.elements ? CROSSENT_SIGMOID_CROSS_ENTROPY : CROSSENT_GRADIENT;
        struct results r = solve(&p, goal, plain);
        struct variant v = {.name = "threads", .in = plain->in, .out = plain->out};
        for (v.threads = 2; v.threads <= 3; v.threads++) same(&r, solve(&p, goal, &v), "plain");
        free(r.total);
        if (!p.elements) {
            p.labels[rows / 2] = p.labels[rows - 1] = (int64_t)classes;
            r = solve(&p, goal, &v);
            check(r.status == CROSSENT_BAD_LABEL && r.fault_row == rows / 2,
                  "bad labels: status %d, row %zu", r.status, r.fault_row);
            free(r.total);
        }
        free_problem(&p);
    }
}

/* Labels of every type, in every layout, give what int64 gives; some use the type's highest bit. */
static void test_label_types(const struct type *type)
{
    static const size_t shapes[4][2] = {{37, 10}, {37, 100}, {37, 200}, {3, 40000}};
    static const enum crossent_dtype first[4] = {
        CROSSENT_I8, CROSSENT_I8, CROSSENT_U8, CROSSENT_U16};
    for (int i = 0; i < 4; i++) {
        struct problem p = new_problem(type, shapes[i][0], shapes[i][1], 0);
        p.labels[0] = (int64_t)p.classes - 1;
        struct results r = solve(&p, CROSSENT_GRADIENT, plain);
        for (p.target = first[i]; p.target <= CROSSENT_U64; p.target++)
            for (size_t v = 0; v < VARIANTS; v++)
                same(&r, solve(&p, CROSSENT_GRADIENT, &variants[v]), "plain");
        free(r.total);
        free_problem(&p);
    }
}
static void test_target_types(const struct type *type)
{
    struct problem p = new_problem(type, 37, 100, 1);
    p.target = CROSSENT_I64;
    struct results r = solve(&p, CROSSENT_SIGMOID_CROSS_ENTROPY, plain);
    for (p.target = CROSSENT_I8; p.target <= CROSSENT_U64; p.target++)
        for (size_t v = 0; v < VARIANTS; v++)
            same(&r, solve(&p, CROSSENT_SIGMOID_CROSS_ENTROPY, &variants[v]), "plain");
    free(r.total);
    free_problem(&p);
}

/* The rows `first`, `first` + `every`, ... get the label `bad`. */
static void try_bad_labels(const struct problem *p, int64_t bad, size_t first, size_t every)
{
    struct problem q = *p;
    q.labels = allocate(p->rows * sizeof *p->labels);
    memcpy(q.labels, p->labels, p->rows * sizeof *p->labels);
    for (size_t r = first; r < p->rows; r += every) q.labels[r] = bad;
    for (size_t v = first_variant(p); v < VARIANTS; v += 4)
        for (int goal = CROSSENT_NOTHING; goal <= CROSSENT_GRADIENT; goal++) {
            struct results r = solve(&q, goal, &variants[v]);
            check(r.status == CROSSENT_BAD_LABEL && r.fault_row == first,
                  "label %lld in row %zu: status %d, row %zu", (long long)bad, first, r.status,
                  r.fault_row);
            free(r.total);
        }
    free(q.labels);
}
static void test_bad_labels(const struct type *type)
{
    static const size_t shapes[5][2] = {{17, 3}, {70, 10}, {71, 10}, {5, 99}, {5, 100}};
    for (size_t i = 0; i < 5; i++) {
        const size_t rows = shapes[i][0], classes = shapes[i][1];
        struct problem p = new_problem(type, rows, classes, 0);
        for (p.target = CROSSENT_I8; p.target <= CROSSENT_U64; p.target++) {
            const int top = (int)size_of(p.target) * 8 - 1;
            const int64_t bad[] = {-1, (int64_t)classes, (int64_t)((uint64_t)1 << top)};
            for (int b = 0; b < 3; b++) {
                try_bad_labels(&p, bad[b], 0, 1);
                try_bad_labels(&p, bad[b], rows / 2, rows);
                try_bad_labels(&p, bad[b], rows / 3, 2);
                try_bad_labels(&p, bad[b], rows - 1, rows);
            }
        }
        free_problem(&p);
    }
}

/* ---- the digest -------------------------------------------------------------------------- */

static void digest_results(const struct type *type)
{
    static const size_t classes[13] = {1, 2, 3, 10, 16, 17, 64, 65, 100, 130, 1000, 4097, 9001};
    for (size_t i = 0; i < 2 * 13; i++) {
        const size_t rows = classes[i / 2] < 1000 ? 77 : 9;
        struct problem p = new_problem(type, rows, classes[i / 2], i % 2);
        for (int goal = 0; goal < GOALS; goal++) {
            struct results r = solve(&p, goal, plain);
            add_to_digest(r.total, r.bytes);
            free(r.total);
        }
        free_problem(&p);
    }
}

/* Names, and numbers of threads. */
static void test_settings(void)
{
    size_t found = 0, i = 0;
    for (; crossent_isa_name(i); i++) found += strcmp(crossent_isa_name(i), now.isa) == 0;
    check(found == 1 && strcmp(crossent_isa_name(i - 1), "scalar") == 0, "list of names");
    check(crossent_use_isa("") == -1 && crossent_use_isa("AVX2") == -1, "unknown name");
    check(strcmp(crossent_isa(), now.isa) == 0, "an unknown name changed the instruction set");
    crossent_set_num_threads(3);
    check(crossent_get_num_threads() == 3, "%d threads", crossent_get_num_threads());
    crossent_set_num_threads(0);
    check(crossent_get_num_threads() == 1, "%d threads", crossent_get_num_threads());
}

static void tests(void)
{
    for (int i = 0; i < TYPES && only_digest; i++) digest_results(types[i]);
    if (only_digest) return;
    test_settings();
    for (int i = 0; i < TYPES; i++) {
        test_rows(types[i]);
        test_elements(types[i]);
        test_specials(types[i]);
        test_threads(types[i]);
        test_label_types(types[i]);
        test_target_types(types[i]);
        test_bad_labels(types[i]);
    }
}

int main(int argc, char **argv) { return run_tests(argc, argv, tests); }
