/* Fixed calls of the C core, to have their instructions counted: see instructions.py.
 *
 * a) One thread, data from a fixed generator, every array allocated and written before `measured`
 *    runs: nothing but the call itself is counted, nor what a thread's first call allocates.
 * b) A case is one row of `cases`. Its line, printed when it is done, names the count that follows.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "crossent.h"

enum variant { PLAIN, FORWARD, SMOOTHED, SOFT, SIGMOID };

static const struct measured_case {
    const char *name;
    enum crossent_dtype dtype;
    size_t rows, classes;
    enum variant variant;
} cases[] = {
    {"softmax 32 x 10 float32", CROSSENT_F32, 32, 10, PLAIN},
    {"softmax 1024 x 10 float32", CROSSENT_F32, 1024, 10, PLAIN},
    {"softmax 1024 x 10 float64", CROSSENT_F64, 1024, 10, PLAIN},
    {"softmax 512 x 100 float32", CROSSENT_F32, 512, 100, PLAIN},
    {"softmax 512 x 100 float64", CROSSENT_F64, 512, 100, PLAIN},
    {"softmax 64 x 1000 float32", CROSSENT_F32, 64, 1000, PLAIN},
    {"softmax 64 x 1000 float64", CROSSENT_F64, 64, 1000, PLAIN},
    {"softmax 2 x 50257 float32", CROSSENT_F32, 2, 50257, PLAIN},
    {"softmax 64 x 1000 float32, loss only", CROSSENT_F32, 64, 1000, FORWARD},
    {"softmax 1024 x 10 float32, smoothed", CROSSENT_F32, 1024, 10, SMOOTHED},
    {"softmax 64 x 1000 float32, soft targets", CROSSENT_F32, 64, 1000, SOFT},
    {"sigmoid 100 float32", CROSSENT_F32, 1, 100, SIGMOID},
    {"sigmoid 50000 float32", CROSSENT_F32, 1, 50000, SIGMOID},
    {"sigmoid 50000 float64", CROSSENT_F64, 1, 50000, SIGMOID},
};

static uint64_t state;
static double unit(void)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 11) * 0x1p-53;
}

/* The wrapper that callgrind is told to count; it must stay a function of its own. */
int measured(struct crossent_softmax *softmax, struct crossent_sigmoid *sigmoid);
__attribute__((noinline)) int measured(struct crossent_softmax *softmax,
                                       struct crossent_sigmoid *sigmoid)
{
    return softmax ? crossent_softmax(softmax) : crossent_sigmoid(sigmoid);
}

static struct crossent_array array(enum crossent_dtype dtype, size_t rows, size_t classes)
{
    const size_t size = dtype == CROSSENT_F32 ? 4 : 8;
    struct crossent_array a = {.dtype = dtype, .step = (ptrdiff_t)size};
    a.stride[0] = (ptrdiff_t)(classes * size);
    a.data = aligned_alloc(64, (rows * classes * size + 63) / 64 * 64);
    if (!a.data) exit(2);
    memset(a.data, 0, rows * classes * size);
    return a;
}

static void fill(struct crossent_array a, size_t n, double scale, double shift)
{
    for (size_t i = 0; i < n; i++) {
        const double x = (unit() + shift) * scale;
        if (a.dtype == CROSSENT_F32) ((float *)a.data)[i] = (float)x;
        else ((double *)a.data)[i] = x;
    }
}

static int run(const struct measured_case *c)
{
    const size_t n = c->rows * c->classes;
    struct crossent_array logits = array(c->dtype, c->rows, c->classes);
    struct crossent_array out = array(c->dtype, c->rows, c->classes), target;
    int status;
    state = 1;
    fill(logits, n, 12, -0.5);
    if (c->variant == SIGMOID || c->variant == SOFT) {
        target = array(c->dtype, c->rows, c->classes);
        fill(target, n, c->variant == SOFT ? 2.0 / (double)c->classes : 1, 0);
    } else {
        target = array(CROSSENT_I64, c->rows, 1);
        for (size_t i = 0; i < c->rows; i++)
            ((int64_t *)target.data)[i] = (int64_t)(unit() * (double)c->classes);
    }
    if (c->variant == SIGMOID) {
        struct crossent_sigmoid call = {
            .function = CROSSENT_SIGMOID_CROSS_ENTROPY, .ndim = 1, .shape = {c->rows},
            .rows = c->rows, .classes = c->classes, .logits = logits, .target = target,
            .out = out, .coefficient = 1.0 / (double)n, .threads = 1};
        status = measured(NULL, &call);
    } else {
        struct crossent_softmax call = {
            .ndim = 1, .shape = {c->rows}, .rows = c->rows, .classes = c->classes,
            .logits = logits, .target = target,
            .label_smoothing = c->variant == SMOOTHED ? 0.1 : 0,
            .coefficient = 1.0 / (double)c->rows, .threads = 1};
        if (c->variant != FORWARD) {
            call.out = out;
            call.output = CROSSENT_GRADIENT;
        }
        status = measured(&call, NULL);
    }
    printf("%s\n", c->name);
    free(logits.data);
    free(target.data);
    free(out.data);
    return status;
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--compiler") == 0) return puts(COMPILER) < 0;
    if (crossent_use_isa("avx2")) {
        puts("no AVX2");
        return 77;
    }
    const float logit = 0;
    float loss;
    if (crossent_softmax(&(struct crossent_softmax){
            .rows = 1, .classes = 1, .logits = {.data = (char *)&logit, .step = sizeof logit},
            .loss = {.data = (char *)&loss}, .threads = 1}))
        return 1;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (run(&cases[i])) return 1;
    return 0;
}
