/* Rows of every type, byte order, step and address become the network's as they are gathered: logits
 * of a layer of the identity, against the numbers themselves. */
#include <stdlib.h>

#include "harness.h"
#include "train.h"

enum { ROWS = 9, FEATURES = 70, MOST_STEP = 3 };   /* more features than are swapped together */

static const size_t sizes[] = {[CROSSENT_F32] = 4, [CROSSENT_F64] = 8, [CROSSENT_F16] = 2,
                               [CROSSENT_BF16] = 2, [CROSSENT_I8] = 1, [CROSSENT_U8] = 1,
                               [CROSSENT_I16] = 2, [CROSSENT_U16] = 2, [CROSSENT_I32] = 4,
                               [CROSSENT_U32] = 4, [CROSSENT_I64] = 8, [CROSSENT_U64] = 8};

static void reverse_bytes(char *p, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        const char kept = p[i];
        p[i] = p[n - 1 - i];
        p[n - 1 - i] = kept;
    }
}

static void test_rows(enum crossent_dtype net, enum crossent_dtype dtype, int swapped, size_t step)
{
    const size_t size = sizes[dtype], out_size = sizes[net];
    char *memory = allocate(ROWS * FEATURES * MOST_STEP * 8 + 1), *x = memory + 1;
    char *weight = allocate(FEATURES * FEATURES * out_size);
    char *out = allocate(ROWS * FEATURES * out_size);
    double *values = allocate(ROWS * FEATURES * sizeof *values);
    for (size_t i = 0; i < ROWS * FEATURES; i++) {
        char *p = x + i * step * size;
        values[i] = (double)random_below(100) - (dtype < CROSSENT_I8 ? 50 : 0);
        write_number(p, dtype, values[i]);
        if (swapped) reverse_bytes(p, size);
    }
    for (size_t i = 0; i < FEATURES * FEATURES; i++)
        write_number(weight + i * out_size, net, i % (FEATURES + 1) == 0);
    struct train_layer layer = {.in = FEATURES, .out = FEATURES, .weight = weight};
    struct train_chunk chunk = {x, (ptrdiff_t)(FEATURES * step * size), (ptrdiff_t)(step * size), 0,
                                .converts = 1, .swapped = swapped, .dtype = dtype};
    struct train_run run = {.net = {net, 1, &layer, {NULL, NULL}, 1},
                            .data = {.rows = ROWS, .chunks = 1, .chunk = &chunk}, .batch = 4};
    run.work = train_work_new(&run.net, run.batch);
    while (run.position < ROWS) {
        dirty_stack();
        check(train_evaluate(&run, out) == CROSSENT_OK, "evaluation fails");
    }
    for (size_t i = 0; i < ROWS * FEATURES; i++)
        check(read_number(out + i * out_size, net) == values[i], "dtype %d, swapped %d, element %zu",
              (int)dtype, swapped, i);
    add_to_digest(out, ROWS * FEATURES * out_size);
    train_work_free(run.work);
    free(memory);
    free(weight);
    free(out);
    free(values);
}

static void tests(void)
{
    for (enum crossent_dtype net = CROSSENT_F32; net <= CROSSENT_F64; net++)
        for (size_t dtype = 0; dtype < sizeof sizes / sizeof *sizes; dtype++)
            for (int swapped = 0; swapped < 2; swapped++)
                for (size_t step = 1; step <= MOST_STEP; step += 2)
                    test_rows(net, (enum crossent_dtype)dtype, swapped, step);
}

int main(int argc, char **argv) { return run_tests(argc, argv, tests); }
