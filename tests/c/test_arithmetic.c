/* Results have the same bits whatever floating-point mode the caller's thread is in, with one thread
 * and with several, and the mode is put back. The logits give subnormal gradients, which a mode that
 * flushes them to zero would lose. */
#include <stdlib.h>
#include <string.h>

#include "base/arithmetic.h"
#include "harness.h"

enum { ROWS = 5000, CLASSES = 10, BYTES = ROWS * CLASSES * (int)sizeof(double) };

#if defined(__x86_64__)
static const uint64_t modes[] = {0x1f80 | 0x8040, 0x1f80 | 0x2000, 0x1f80 | 0x4000, 0x1f80 | 0x6000};
#elif defined(__aarch64__)
static const uint64_t modes[] = {1u << 24, 1u << 22, 1u << 23, 3u << 22};
#else
static const uint64_t modes[] = {0};
#endif
enum { MODES = sizeof modes / sizeof *modes };

struct results {
    char *out;                   /* BYTES for each call */
    double total[8];
};

static char *logits[2];          /* F32 and F64 */
static int64_t *labels;

static struct crossent_array rows_of(char *data, enum crossent_dtype dtype)
{
    const ptrdiff_t size = dtype == CROSSENT_F32 ? 4 : 8;
    return (struct crossent_array){data, dtype, {CLASSES * size}, size};
}

static void run_calls(struct results *results, int threads)
{
    for (int d = 0; d < 2; d++) {
        const enum crossent_dtype dtype = d ? CROSSENT_F64 : CROSSENT_F32;
        char *out = results->out + 3 * d * BYTES;
        struct crossent_softmax softmax = {
            .ndim = 1, .shape = {ROWS}, .rows = ROWS, .classes = CLASSES,
            .logits = rows_of(logits[d], dtype),
            .target = {(char *)labels, CROSSENT_I64, {sizeof *labels}, 0},
            .out = rows_of(out, dtype), .output = CROSSENT_GRADIENT, .coefficient = 1.0 / 3,
            .threads = threads};
        struct crossent_sigmoid sigmoid = {
            .function = CROSSENT_SIGMOID_CROSS_ENTROPY, .ndim = 1, .shape = {ROWS}, .rows = ROWS,
            .classes = CLASSES, .logits = softmax.logits, .target = softmax.logits,
            .out = rows_of(out + BYTES, dtype), .coefficient = 1.0 / 3, .threads = threads};
        struct crossent_weighted weighted = {
            .ndim = 1, .shape = {ROWS}, .rows = ROWS, .classes = CLASSES,
            .logits = softmax.logits, .weights = softmax.logits,
            .logsumexp = {out + 2 * BYTES, dtype, {d ? 8 : 4}, 0}, .threads = threads};
        check(crossent_softmax(&softmax) == CROSSENT_OK, "softmax failed");
        check(crossent_sigmoid(&sigmoid) == CROSSENT_OK, "sigmoid failed");
        check(crossent_weighted(&weighted) == CROSSENT_OK, "weighted failed");
        results->total[2 * d] = softmax.total;
        results->total[2 * d + 1] = sigmoid.total;
    }
}

/* The mode but for x86-64's record of what happened. */
static uint64_t mode_now(void)
{
    uint64_t flags = 0;
#if defined(__x86_64__)
    flags = MXCSR_FLAGS;
#endif
    return arithmetic_mode() & ~flags;
}

static void judge(const struct results *got, const struct results *want)
{
    for (int i = 0; i < 6; i++)
        check(!memcmp(got->out + i * BYTES, want->out + i * BYTES, BYTES), "call %d: other bits",
              i);
    check(!memcmp(got->total, want->total, sizeof got->total), "other totals");
}

static void tests(void)
{
    struct results want = {allocate(6 * BYTES), {0}}, got = {allocate(6 * BYTES), {0}};
    const uint64_t usual = arithmetic_mode();
    labels = calloc(ROWS, sizeof *labels);
    for (int d = 0; d < 2; d++) logits[d] = allocate(BYTES);
    for (size_t i = 0; i < ROWS * CLASSES; i++) {
        const double x = i % CLASSES ? -(double)(i % 97) / 10 - (i % 3 ? 0 : 80) : 10;
        ((float *)logits[0])[i] = (float)x;
        ((double *)logits[1])[i] = i % 3 ? x : x - 620;
    }
    memset(want.out, 0, 6 * BYTES);
    for (int threads = 3; threads > 0; threads -= 2)         /* the workers are born in the first mode */
        for (int m = 0; m < MODES; m++) {
            memset(got.out, 0, 6 * BYTES);
            set_arithmetic_mode(modes[m]);
            run_calls(&got, threads);
            const uint64_t after = mode_now();
            set_arithmetic_mode(usual);
            check(after == modes[m], "mode %#llx became %#llx", (unsigned long long)modes[m],
                  (unsigned long long)after);
            if (m == 0) run_calls(&want, 1);
            judge(&got, &want);
        }
    add_to_digest(want.out, 6 * BYTES);
    free(want.out), free(got.out), free(labels), free(logits[0]), free(logits[1]);
}

int main(int argc, char **argv) { return run_tests(argc, argv, tests); }
