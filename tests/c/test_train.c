/* The mini-batch loop against train_reference.c: all activations, losses, optimisers, divisors,
 * layouts of the data; and the same bytes with threads. (The digest is that of every instruction
 * set whose fma is one instruction.) */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gemm.h"
#include "harness.h"
#include "train_reference.h"

/* ---- the loop under test ----------------------------------------------------------------- */

/* Everything that a call of the loop points to, in t->dtype. */
struct memory {
    struct train_layer layer[MOST_LAYERS];
    struct train_chunk chunk[4];
    char *x, *target;
    size_t *order;
    double *rates;
};

static void *typed(const struct training *t, const double *values, size_t n, size_t size_factor)
{
    const size_t size = size_of(t->dtype);
    char *p = allocate(n * size * size_factor);
    memset(p, 0, n * size * size_factor);
    for (size_t i = 0; values && i < n; i++)
        write_number(p + i * size * size_factor, t->dtype, values[i]);
    return p;
}

static void copy_layers(const struct training *t, struct memory *m)
{
    for (size_t l = 0; l < t->layers; l++) {
        const struct layer *from = &t->layer[l];
        const size_t n = from->in * from->out;
        struct train_layer *to = &m->layer[l];
        *to = (struct train_layer){from->in, from->out, from->activation, from->dropout,
                                   typed(t, from->weight, n, 1), NULL, typed(t, NULL, n, 1), NULL,
                                   {typed(t, NULL, n, 1), typed(t, NULL, n, 1)}, {NULL, NULL}};
        if (!from->has_bias) continue;
        to->bias = typed(t, from->bias, from->out, 1);
        to->bias_grad = typed(t, NULL, from->out, 1);
        for (int k = 0; k < 2; k++) to->bias_state[k] = typed(t, NULL, from->out, 1);
    }
}

static struct train_run new_run(const struct training *t, struct memory *m)
{
    const size_t features = t->layer[0].in, size = size_of(t->dtype);
    const size_t columns = t->columns ? t->columns : 1, bytes = size_of(t->target_dtype);
    struct train_run run = {
        .net = {t->dtype, t->layers, m->layer, {NULL, NULL}, t->threads},
        .data = {.rows = t->rows, .chunks = t->chunks, .chunk = m->chunk,
                 .target_dtype = t->target_dtype, .target_columns = t->columns,
                 .weight = t->row_weight},
        .loss = {.elementwise = t->elementwise, .plain = 1, .divisor = t->divisor,
                 .number = t->number, .classes = t->layer[t->layers - 1].out},
        .update = t->update, .batch = t->batch, .accumulate = t->accumulate, .clip = t->clip,
        .seed = t->seed, .length = t->rows};
    copy_layers(t, m);
    if (t->blas) run.net.blas = (struct matrix_blas){(void *)sgemm, (void *)dgemm};
    m->x = typed(t, t->x, t->rows * features, (size_t)t->step);
    m->target = allocate(t->rows * columns * bytes);
    for (size_t i = 0; i < t->rows * columns; i++)
        write_number(m->target + i * bytes, t->target_dtype, t->target[i]);
    run.data.target = m->target;
    const size_t step = size * (size_t)t->step, stride = features * step;
    for (size_t c = 0; c < t->chunks; c++) {
        const size_t begin = c * t->rows / t->chunks;
        m->chunk[c] = (struct train_chunk){.data = m->x + begin * stride, .begin = begin,
                                           .stride = (ptrdiff_t)stride, .step = (ptrdiff_t)step};
    }
    if (t->elementwise) run.loss.class_weight = t->class_weight;
    if (t->elementwise) run.loss.classes = 2;
    else run.loss.softmax.class_weight = t->class_weight;
    if (t->ignore >= 0) {
        run.loss.softmax.ignore = &t->ignore;
        run.loss.softmax.ignored = 1;
    }
    m->order = allocate(t->rows * sizeof *m->order);
    m->rates = allocate(t->rows * sizeof *m->rates);
    for (size_t i = 0; i < t->rows; i++) m->rates[i] = t->rate;
    run.order = m->order;
    run.rates = m->rates;
    return run;
}

static void free_memory(const struct training *t, struct memory *m)
{
    for (size_t l = 0; l < t->layers; l++) {
        struct train_layer *a = &m->layer[l];
        void *all[] = {a->weight, a->bias, a->weight_grad, a->bias_grad, a->weight_state[0],
                       a->weight_state[1], a->bias_state[0], a->bias_state[1]};
        for (int i = 0; i < 8; i++) free(all[i]);
    }
    free(m->x);
    free(m->target);
    free(m->order);
    free(m->rates);
}

/* Epoch by epoch; the time is up after each part of a batch, and the loop goes on. */
static int train(struct train_run *run, const struct training *t, struct train_sums *sums)
{
    int status = CROSSENT_OK;
    run->work = train_work_new(&run->net, run->batch);
    for (size_t epoch = 0; epoch < t->epochs && status == CROSSENT_OK; epoch++) {
        train_order(run->order, run->length, &run->data, TRAIN_ALL, 0, run->seed, epoch, 1);
        run->position = 0;
        run->sums = (struct train_sums){0};
        while (run->position < run->length && status == CROSSENT_OK) {
            dirty_stack();
            status = train_batches(run, epoch % 2 ? 1 : 1e-9);
        }
        sums[epoch] = run->sums;
    }
    return status;
}

/* ---- problems ---------------------------------------------------------------------------- */

static double *random_array(enum crossent_dtype dtype, size_t n, double size)
{
    double *p = allocate(n * sizeof *p);
    for (size_t i = 0; i < n; i++) p[i] = rounded_to(dtype, size * (2 * random_unit() - 1));
    return p;
}

static void fill_layers(struct training *t, const size_t *widths)
{
    for (size_t l = 0; l < t->layers; l++) {
        struct layer *a = &t->layer[l];
        const size_t n = widths[l] * widths[l + 1];
        a->in = widths[l];
        a->out = widths[l + 1];
        a->weight = random_array(t->dtype, n, 1 / sqrt((double)a->in));
        a->bias = random_array(t->dtype, a->out, 0.1);
        double **zeros[] = {&a->weight_grad, &a->bias_grad, &a->weight_state[0],
                            &a->weight_state[1], &a->bias_state[0], &a->bias_state[1]};
        for (int i = 0; i < 6; i++) *zeros[i] = random_array(t->dtype, n + a->out, 0);
    }
}

static void fill_data(struct training *t)
{
    const size_t outputs = t->layer[t->layers - 1].out, columns = t->columns ? t->columns : 1;
    const size_t labels = t->elementwise ? 2 : outputs;
    double *target = allocate(t->rows * columns * sizeof *target);
    double *weight = allocate(t->rows * sizeof *weight);
    for (size_t i = 0; i < t->rows * columns; i++)
        target[i] = t->target_dtype <= CROSSENT_F64 ? rounded_to(t->target_dtype, random_unit())
                                                    : (double)random_below(labels);
    for (size_t i = 0; i < t->rows; i++) weight[i] = one_in(5) ? 0 : 0.5 + random_unit();
    t->x = random_array(t->dtype, t->rows * t->layer[0].in, 1);
    t->target = target;
    t->row_weight = weight;
}

static void free_training(struct training *t, const double *weight)
{
    for (size_t l = 0; l < t->layers; l++) {
        struct layer *a = &t->layer[l];
        double *all[] = {a->weight, a->bias, a->weight_grad, a->bias_grad, a->weight_state[0],
                         a->weight_state[1], a->bias_state[0], a->bias_state[1]};
        for (int i = 0; i < 8; i++) free(all[i]);
    }
    free((void *)t->x);
    free((void *)t->target);
    free((void *)weight);
}

/* ---- judgement --------------------------------------------------------------------------- */

static void judge_array(const struct training *t, const char *name, const void *found,
                        const double *wanted, size_t n)
{
    const double limit = t->dtype == CROSSENT_F64 ? 1e-11 : 2e-4;
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        const double f = read_number((const char *)found + i * size_of(t->dtype), t->dtype);
        const double error = fabs(f - wanted[i]) / (0.1 + fabs(wanted[i]));
        if (!(error <= worst)) worst = error;
    }
    check(worst <= limit, "%s are %.3g off", name, worst);
}

static void judge(struct training *t, const struct memory *m, const struct train_sums *sums)
{
    const double limit = t->dtype == CROSSENT_F64 ? 1e-11 : 2e-5;
    struct train_sums wanted[4];
    reference_train(t, wanted);
    for (size_t e = 0; e < t->epochs; e++) {
        check(fabs(sums[e].loss - wanted[e].loss) <= limit * wanted[e].loss,
              "epoch %zu: loss %.9g, not %.9g", e, sums[e].loss, wanted[e].loss);
        check(fabs(sums[e].divisor - wanted[e].divisor) <= 1e-12 * wanted[e].divisor,
              "epoch %zu: divisor %g, not %g", e, sums[e].divisor, wanted[e].divisor);
        check(sums[e].rows == wanted[e].rows && sums[e].answers == wanted[e].answers,
              "epoch %zu: %zu rows, %zu answers", e, sums[e].rows, sums[e].answers);
        const size_t c = sums[e].correct, w = wanted[e].correct;
        check(c == w || (t->dtype == CROSSENT_F32 && c + 1 >= w && c <= w + 1),
              "epoch %zu: %zu correct, not %zu", e, c, w);
    }
    for (size_t l = 0; l < t->layers; l++) {
        const struct layer *a = &t->layer[l];
        judge_array(t, "weights", m->layer[l].weight, a->weight, a->in * a->out);
        if (a->has_bias) judge_array(t, "biases", m->layer[l].bias, a->bias, a->out);
    }
}

static void same_layers(const struct training *t, const struct memory *a, const struct memory *b)
{
    for (size_t l = 0; l < t->layers; l++)
        check(memcmp(a->layer[l].weight, b->layer[l].weight,
                     t->layer[l].in * t->layer[l].out * size_of(t->dtype)) == 0,
              "weights of layer %zu differ with threads", l);
}

static void test_training(struct training *t)
{
    struct memory m = {0}, other = {0};
    struct train_sums sums[4], unused[4];
    struct train_run run = new_run(t, &m), again = new_run(t, &other);
    now.type = dtype_name(t->dtype);
    now.goal = "training";
    now.rows = t->rows;
    now.classes = t->layer[0].in;
    const int status = train(&run, t, sums);
    check(status == CROSSENT_OK, "status %d", status);
    for (size_t l = 0; l < t->layers && !t->blas; l++)
        add_to_digest(m.layer[l].weight, t->layer[l].in * t->layer[l].out * size_of(t->dtype));
    if (!only_digest) {
        again.net.threads = 3;
        train(&again, t, unused);
        same_layers(t, &m, &other);
        judge(t, &m, sums);
    }
    train_work_free(run.work);
    train_work_free(again.work);
    free_memory(t, &m);
    free_memory(t, &other);
}

/* ---- tests ------------------------------------------------------------------------------- */

static struct training new_training(enum crossent_dtype dtype, size_t n)
{
    struct training t = {
        .dtype = dtype, .layers = 1 + n % 3, .rows = 61, .batch = 16, .accumulate = 1 + n % 2,
        .epochs = 2, .ignore = -1, .divisor = (enum train_divisor)(n % 4), .number = 20,
        .clip = n % 3 ? INFINITY : 0.05, .rate = 0.05, .seed = n, .chunks = 1 + n % 3,
        .step = 1 + n % 2, .threads = 1, .target_dtype = CROSSENT_I8 + n % 8,
        .update = {.optimizer = n % 2 ? TRAIN_ADAM : TRAIN_SGD, .l2 = n % 5 == 0 ? 0.01 : 0,
                   .l1 = n % 5 == 1 ? 0.001 : 0, .momentum = n % 4 ? 0.9 : 0,
                   .nesterov = n % 3 == 1, .beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-3,
                   .decay = n % 7 == 3 ? 0.1 : 0}};
    for (size_t l = 0; l < t.layers; l++) {
        t.layer[l].activation = (enum train_activation)((n + l) % 5);
        t.layer[l].dropout = n % 4 == 2 ? 0.25 : 0;
        t.layer[l].has_bias = (n + l) % 4 != 0;
    }
    t.layer[t.layers - 1].activation = TRAIN_IDENTITY;
    t.layer[t.layers - 1].dropout = 0;
    return t;
}

static void test_kind(enum crossent_dtype dtype, size_t n)
{
    static const size_t widths[4] = {11, 37, 20, 5};
    static const double class_weight[5] = {1, 2, 0.5, 1, 3};
    struct training t = new_training(dtype, n);
    const size_t kind = n % 5;              /* labels, soft targets, answers of one or several */
    t.elementwise = kind == 2 || kind == 3;
    t.columns = kind == 1 || kind == 3 ? 5 : 0;
    if (kind == 1) t.target_dtype = n % 2 ? CROSSENT_F32 : CROSSENT_F64;
    size_t w[4] = {widths[0], widths[1], widths[2], widths[3]};
    w[t.layers] = kind == 2 ? 1 : 5;
    fill_layers(&t, w);
    fill_data(&t);
    const double *weight = t.row_weight;
    if (n % 3 == 0) t.row_weight = NULL;
    if (n % 7 == 0 && (kind == 0 || kind == 2)) t.class_weight = class_weight;
    if (kind == 4) t.ignore = 2;
    if (n % 6 == 5) t.batch = 700;          /* in parts */
    test_training(&t);
    free_training(&t, weight);
}

/* One layer larger than what own kernels take where BLAS is given, and long sums. */
static void test_large(enum crossent_dtype dtype, int blas, size_t rows, size_t features)
{
    struct training t = new_training(dtype, 0);
    const size_t widths[2] = {features, 40};
    t.rows = t.batch = rows;
    t.blas = blas;
    t.layer[0].has_bias = 1;
    t.divisor = TRAIN_WEIGHTS;
    fill_layers(&t, widths);
    fill_data(&t);
    test_training(&t);
    free_training(&t, t.row_weight);
}

static void test_orders(void)
{
    enum { ROWS = 100, CLASSES = 4 };
    size_t order[4 * ROWS], wanted[ROWS], length, counts[CLASSES];
    uint16_t label[ROWS];
    const struct train_data data = {.rows = ROWS, .target = (char *)label,
                                    .target_dtype = CROSSENT_U16};
    for (size_t i = 0; i < ROWS; i++) label[i] = (uint16_t)(i < 60 ? 0 : i % CLASSES);
    label[7] = 9;                            /* of no class */
    now.goal = "orders";
    train_order(order, ROWS, &data, TRAIN_ALL, CLASSES, 5, 3, 1);
    reference_order(wanted, ROWS, 5, 3);
    check(memcmp(order, wanted, sizeof wanted) == 0, "order of an epoch");
    for (enum train_sampling s = TRAIN_OVER; s <= TRAIN_BALANCED; s++) {
        check(train_order_length(&data, s, CLASSES, &length) == CROSSENT_OK, "length fails");
        const size_t share[] = {0, 69, 10, ROWS / CLASSES};
        check(length == CLASSES * share[s], "sampling %d: %zu rows", (int)s, length);
        check(train_order(order, length, &data, s, CLASSES, 5, 3, 1) == CROSSENT_OK, "fails");
        memset(counts, 0, sizeof counts);
        for (size_t i = 0; i < length; i++) counts[label[order[i]] % CLASSES]++;
        for (size_t c = 0; c < CLASSES; c++)
            check(counts[c] == share[s], "sampling %d: %zu of class %zu", (int)s, counts[c], c);
        add_to_digest(order, length * sizeof *order);
    }
    check(train_order_length(&data, TRAIN_OVER, CLASSES + 1, &length) == CROSSENT_OK &&
          length == 0, "a class without rows: %zu", length);
}

/* Evaluation, gradients without a step, and what is wrong with the data. */
static void test_other_uses(enum crossent_dtype dtype)
{
    struct training t = new_training(dtype, 3);
    const size_t widths[] = {11, 5}, size = size_of(dtype);
    struct memory m = {0};
    struct train_sums unused[4];
    t.divisor = TRAIN_WEIGHTS;
    fill_layers(&t, widths);
    fill_data(&t);
    struct train_run run = new_run(&t, &m);
    char *out = allocate(t.rows * 5 * size), *before = allocate(11 * 5 * size);
    now.goal = "evaluation";
    run.work = train_work_new(&run.net, 16);
    while (run.position < t.rows)
        check(train_evaluate(&run, out) == CROSSENT_OK, "evaluation fails");
    check(isfinite(run.sums.loss) && run.sums.rows < t.rows, "%zu rows", run.sums.rows);
    run.position = 0;
    run.data.target = NULL;
    run.data.weight = NULL;
    while (run.position < t.rows) train_evaluate(&run, out);
    for (size_t i = 0; i < t.rows * 5; i++) {
        double z = t.layer[0].has_bias ? t.layer[0].bias[i % 5] : 0;
        for (size_t k = 0; k < 11; k++)
            z += t.x[i / 5 * 11 + k] * t.layer[0].weight[k * 5 + i % 5];
        check(fabs(read_number(out + i * size, dtype) - z) <= 40 * epsilon_of(dtype),
              "output %zu", i);
    }
    run.data.target = m.target;
    run.rates = NULL;
    memcpy(before, m.layer[0].weight, 11 * 5 * size);
    train_work_free(run.work);
    check(train(&run, &t, unused) == CROSSENT_OK, "gradients fail");
    check(memcmp(before, m.layer[0].weight, 11 * 5 * size) == 0, "gradients alone change weights");
    train_work_free(run.work);
    const size_t bad = 23;
    write_number(m.x + bad * 11 * size * (size_t)t.step, dtype, NAN);
    int status = train(&run, &t, unused);
    check(status == TRAIN_BAD_ROW && run.fault_row == bad, "status %d, row %zu", status,
          run.fault_row);
    train_work_free(run.work);
    write_number(m.x + bad * 11 * size * (size_t)t.step, dtype, 0);
    write_number(m.layer[0].weight, dtype, INFINITY);
    status = train(&run, &t, unused);
    check(status == TRAIN_BAD_LOSS, "infinite weight: status %d", status);
    check(train_suits_blas(&run.net, 16) == !has_fma(), "suits BLAS");
    train_work_free(run.work);
    free_memory(&t, &m);
    free_training(&t, t.row_weight);
    free(out);
    free(before);
}

static void tests(void)
{
    for (enum crossent_dtype dtype = CROSSENT_F32; dtype <= CROSSENT_F64; dtype++) {
        for (size_t n = 0; n < 40; n++) test_kind(dtype, n);
        test_large(dtype, 0, 600, 30);
        test_large(dtype, 1, 30, 30);
        test_other_uses(dtype);
    }
    test_large(CROSSENT_F32, 1, 3, 27000);
    test_orders();
}

int main(int argc, char **argv) { return run_tests(argc, argv, tests); }
