/* Every public call on a thread with a stack of 64 KB, of which the library may take half. */
#define _DEFAULT_SOURCE
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>

#include "harness.h"
#include "linear.h"
#include "train.h"

enum { ELEMENTS = 1 << 19, STACK = 64 << 10 };

static double *x, *t, *out;
static int64_t *labels;

static void expect_ok(const char *name, int status)
{
    check(status == CROSSENT_OK, "%s: status %d", name, status);
}

static struct crossent_array rows_of(void *data, enum crossent_dtype dtype, size_t rows,
                                     size_t classes, int columns)
{
    const ptrdiff_t size = dtype == CROSSENT_F32 ? 4 : 8;
    struct crossent_array a = {.data = data, .dtype = dtype};
    a.step = columns ? (ptrdiff_t)rows * size : size;
    a.stride[0] = columns ? size : (ptrdiff_t)classes * size;
    return a;
}

static void softmax_calls(size_t rows, size_t classes, enum crossent_dtype dtype, int columns)
{
    struct crossent_softmax call = {
        .ndim = 1, .shape = {rows}, .rows = rows, .classes = classes,
        .logits = rows_of(x, dtype, rows, classes, columns),
        .target = {.data = (char *)labels, .dtype = CROSSENT_I64, .stride = {8}},
        .out = rows_of(out, dtype, rows, classes, columns),
        .output = CROSSENT_GRADIENT, .coefficient = 1, .threads = 1};
    expect_ok("labels", crossent_softmax(&call));
    call.label_smoothing = 0.1;
    expect_ok("smoothing", crossent_softmax(&call));
    call.softcap = 5;
    expect_ok("softcap", crossent_softmax(&call));
    call.label_smoothing = call.softcap = 0;
    call.target = rows_of(t, dtype, rows, classes, columns);
    expect_ok("soft targets", crossent_softmax(&call));
    expect_ok("weights", crossent_weigh(&call));
    call.logits = call.target = rows_of(t, CROSSENT_F64, rows, classes, columns);
    struct crossent_categorical probabilities = {.rows = call, .normalize = 1};
    expect_ok("probabilities", crossent_categorical(&probabilities));
}

static void element_calls(void)
{
    const struct crossent_sigmoid_options options = {.label_smoothing = 0.1};
    struct crossent_sigmoid call = {
        .function = CROSSENT_SIGMOID_CROSS_ENTROPY, .ndim = 1, .shape = {64}, .rows = 64,
        .classes = 100, .logits = rows_of(x, CROSSENT_F64, 64, 100, 1),
        .target = rows_of(t, CROSSENT_F64, 64, 100, 1),
        .out = rows_of(out, CROSSENT_F64, 64, 100, 1), .coefficient = 1,
        .threads = 1};
    expect_ok("sigmoid", crossent_sigmoid(&call));
    call.options = &options;
    expect_ok("sigmoid with options", crossent_sigmoid(&call));
    struct crossent_weighted weighted = {
        .ndim = 1, .shape = {64}, .rows = 64, .classes = 100, .logits = call.logits,
        .weights = call.target,
        .logsumexp = {.data = (char *)out, .dtype = CROSSENT_F64, .stride = {8}}, .threads = 1};
    expect_ok("weighted", crossent_weighted(&weighted));
}

static void linear_calls(void)
{
    const struct linear linear = {
        .matrix = {.dtype = CROSSENT_F32, .threads = 1}, .rows = 20, .features = 30,
        .classes = 100, .x = x, .weight = x, .logits = out, .x_grad = out + 2000,
        .weight_grad = out + 4000};
    expect_ok("linear logits", linear_logits(&linear));
    expect_ok("linear gradients", linear_gradients(&linear));
}

static void train_calls(void)
{
    float *p = (float *)out;
    enum { ROWS = 70 };
    size_t order[ROWS];
    double rates[ROWS] = {0};
    struct train_layer layer = {50, 10, TRAIN_GELU, 0.5, p, p + 500, p + 1000, p + 1500, {0}, {0}};
    const struct train_chunk chunk = {
        .data = (char *)x, .stride = 50 * sizeof(float), .step = sizeof(float)};
    struct train_run run = {
        .net = {CROSSENT_F32, 1, &layer, {NULL, NULL}, 1},
        .data = {ROWS, 1, &chunk, (char *)labels, CROSSENT_I64, 0, NULL}, .batch = 32,
        .accumulate = 1, .clip = 1, .rates = rates, .order = order, .length = ROWS};
    run.work = train_work_new(&run.net, 32);
    train_order(order, ROWS, &run.data, TRAIN_BALANCED, 1, 0, 0, 1);
    expect_ok("training", train_batches(&run, 10));
    run.position = 0;
    expect_ok("evaluation", train_evaluate(&run, out + 4000));
    train_work_free(run.work);
}

static void *program(void *unused)
{
    const size_t classes[] = {10, 100, 5000};
    for (size_t c = 0; c < sizeof classes / sizeof *classes; c++)
        for (int columns = 0; columns < 2; columns++)
            for (int d = CROSSENT_F32; d <= CROSSENT_F64; d++)
                softmax_calls(64, classes[c], (enum crossent_dtype)d, columns);
    element_calls();
    linear_calls();
    train_calls();
    return unused;
}

static void tests(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    double **arrays[] = {&x, &t, &out};
    for (int i = 0; i < 3; i++) {
        *arrays[i] = allocate(ELEMENTS * sizeof(double));
        for (size_t k = 0; k < ELEMENTS; k++) (*arrays[i])[k] = i == 1;
    }
    labels = calloc(ELEMENTS, sizeof *labels);
    now.goal = "stack";
    pthread_attr_init(&attributes);
    /* 64-bit ARM allows no thread less than 128 KB. */
    check(!pthread_attr_setstacksize(&attributes, STACK > PTHREAD_STACK_MIN ? STACK
                                                                            : PTHREAD_STACK_MIN) &&
          !pthread_create(&thread, &attributes, program, NULL) && !pthread_join(thread, NULL),
          "no thread");
    for (int i = 0; i < 3; i++) free(*arrays[i]);
    free(labels);
}

int main(int argc, char **argv) { return run_tests(argc, argv, tests); }
