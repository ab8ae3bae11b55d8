/* Calls of every kernel on a thread with a stack of 64 KB, of which the library may take half. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "crossent.h"

enum { ELEMENTS = 1 << 19, STACK = 64 << 10 };

static double *x, *t, *out;
static int64_t *labels;
static int failures;

static void expect_ok(const char *name, int status)
{
    if (status == CROSSENT_OK)
        return;
    failures++;
    printf("%s: status %d\n", name, status);
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

static void *program(void *unused)
{
    const size_t classes[] = {10, 100, 5000};
    for (size_t c = 0; c < sizeof classes / sizeof *classes; c++)
        for (int columns = 0; columns < 2; columns++)
            for (int d = CROSSENT_F32; d <= CROSSENT_F64; d++)
                softmax_calls(64, classes[c], (enum crossent_dtype)d, columns);
    element_calls();
    return unused;
}

int main(void)
{
    pthread_attr_t attributes;
    pthread_t thread;
    x = calloc(ELEMENTS, sizeof *x);
    t = calloc(ELEMENTS, sizeof *t);
    out = calloc(ELEMENTS, sizeof *out);
    labels = calloc(ELEMENTS, sizeof *labels);
    if (!x || !t || !out || !labels)
        return 2;
    for (size_t i = 0; i < ELEMENTS; i++)
        t[i] = 1;
    pthread_attr_init(&attributes);
    if (pthread_attr_setstacksize(&attributes, STACK) ||
        pthread_create(&thread, &attributes, program, NULL) || pthread_join(thread, NULL))
        return 2;
    free(x);
    free(t);
    free(out);
    free(labels);
    printf("stack of %d bytes: %d failures\n", STACK, failures);
    return failures != 0;
}
