/* The products of a linear layer against sums in long double, and the same bytes with threads; with
 * own kernels, and with BLAS where own kernels have no fused multiply-add. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "gemm.h"
#include "harness.h"
#include "linear.h"

struct problem {
    enum crossent_dtype dtype;
    size_t rows, features, classes;
    int by_columns, accumulate, blas, threads;
    double *x, *weight, *bias, *delta, *old;     /* bias: or NULL; delta: gradient of the logits */
};
struct results {
    size_t logits, x_grad, weight_grad;          /* bytes */
    char *of_logits, *of_x, *of_weight;
    double *of_bias;
};

static double *random_array(enum crossent_dtype dtype, size_t n)
{
    double *p = allocate(n * sizeof *p);
    for (size_t i = 0; i < n; i++) p[i] = rounded_to(dtype, 2 * random_unit() - 1);
    return p;
}

static void *typed(enum crossent_dtype dtype, const double *values, size_t n)
{
    char *p = allocate(n * size_of(dtype));
    for (size_t i = 0; i < n; i++)
        write_number(p + i * size_of(dtype), dtype, values ? values[i] : (double)NAN);
    return p;
}

/* Of class c and feature k. */
static size_t place_of(const struct problem *p, size_t c, size_t k)
{
    return p->by_columns ? k * p->classes + c : c * p->features + k;
}

static struct results solve(const struct problem *p)
{
    const size_t rows = p->rows, m = p->features, n = p->classes, size = size_of(p->dtype);
    struct results r = {rows * n * size, rows * m * size, n * m * size,
                        typed(p->dtype, NULL, rows * n), typed(p->dtype, NULL, rows * m),
                        typed(p->dtype, p->accumulate ? p->old : NULL, n * m),
                        typed(CROSSENT_F64, p->old, n)};
    void *x = typed(p->dtype, p->x, rows * m), *weight = typed(p->dtype, p->weight, n * m);
    void *bias = p->bias ? typed(p->dtype, p->bias, n) : NULL;
    void *delta = typed(p->dtype, p->delta, rows * n);
    struct linear linear = {.matrix = {.dtype = p->dtype, .threads = p->threads},
                            .rows = rows, .features = m, .classes = n,
                            .by_columns = p->by_columns, .x = x, .weight = weight, .bias = bias,
                            .logits = r.of_logits, .x_grad = r.of_x, .weight_grad = r.of_weight,
                            .bias_grad = r.of_bias, .accumulate = p->accumulate};
    if (p->blas) linear.matrix.blas = (struct matrix_blas){(void *)sgemm, (void *)dgemm};
    dirty_stack();
    check(linear_logits(&linear) == CROSSENT_OK, "logits fail");
    linear.logits = delta;
    dirty_stack();
    check(linear_gradients(&linear) == CROSSENT_OK, "gradients fail");
    free(x);
    free(weight);
    free(bias);
    free(delta);
    return r;
}

static void free_results(struct results *r)
{
    free(r->of_logits);
    free(r->of_x);
    free(r->of_weight);
    free(r->of_bias);
}

/* A sum of n products, in any order. */
static void judge(const struct problem *p, const char *name, const char *found, size_t i,
                  long double wanted, long double terms, size_t n)
{
    const double f = read_number(found + i * size_of(p->dtype), p->dtype);
    const long double limit = (long double)(n + 2) * epsilon_of(p->dtype) / 2 * terms;
    check(fabsl((long double)f - wanted) <= limit, "%s[%zu] is %a, not %a", name, i, f,
          (double)wanted);
}

static void judge_logits(const struct problem *p, const struct results *r)
{
    for (size_t i = 0; i < p->rows; i++)
        for (size_t c = 0; c < p->classes; c++) {
            long double sum = p->bias ? (long double)p->bias[c] : 0, terms = fabsl(sum);
            for (size_t k = 0; k < p->features; k++) {
                const long double term = (long double)p->x[i * p->features + k] *
                                         (long double)p->weight[place_of(p, c, k)];
                sum += term;
                terms += fabsl(term);
            }
            judge(p, "logits", r->of_logits, i * p->classes + c, sum, terms, p->features);
        }
}

static void judge_gradients(const struct problem *p, const struct results *r)
{
    for (size_t k = 0; k < p->features; k++) {
        for (size_t i = 0; i < p->rows; i++) {
            long double sum = 0, terms = 0;
            for (size_t c = 0; c < p->classes; c++) {
                const long double term = (long double)p->delta[i * p->classes + c] *
                                         (long double)p->weight[place_of(p, c, k)];
                sum += term;
                terms += fabsl(term);
            }
            judge(p, "x_grad", r->of_x, i * p->features + k, sum, terms, p->classes);
        }
        for (size_t c = 0; k == 0 && c < p->classes; c++) {
            double sum = p->old[c];
            for (size_t i = 0; i < p->rows; i++)
                sum += p->delta[i * p->classes + c];
            check(sum == r->of_bias[c], "bias_grad is not the sum of its column, row by row");
        }
        for (size_t c = 0; c < p->classes; c++) {
            long double sum = p->accumulate ? (long double)p->old[place_of(p, c, k)] : 0;
            long double terms = fabsl(sum);
            for (size_t i = 0; i < p->rows; i++) {
                const long double term = (long double)p->delta[i * p->classes + c] *
                                         (long double)p->x[i * p->features + k];
                sum += term;
                terms += fabsl(term);
            }
            judge(p, "weight_grad", r->of_weight, place_of(p, c, k), sum, terms, p->rows);
        }
    }
}

static void test_shape(enum crossent_dtype dtype, size_t rows, size_t features, size_t classes)
{
    struct problem p = {dtype, rows, features, classes, .threads = 1};
    p.by_columns = one_in(2);
    p.accumulate = one_in(2);
    p.blas = one_in(3);
    p.x = random_array(dtype, rows * features);
    p.weight = random_array(dtype, classes * features);
    p.bias = one_in(2) ? random_array(dtype, classes) : NULL;
    p.delta = random_array(dtype, rows * classes);
    p.old = random_array(dtype, classes * features);
    now.type = dtype_name(dtype);
    now.goal = "linear";
    now.variant = p.by_columns ? "by columns" : "by rows";
    now.rows = rows;
    now.classes = classes;
    struct results r = solve(&p);
    add_to_digest(r.of_logits, p.blas ? 0 : r.logits);
    add_to_digest(r.of_x, p.blas ? 0 : r.x_grad);
    add_to_digest(r.of_weight, p.blas ? 0 : r.weight_grad);
    if (!only_digest) {
        p.threads = 3;
        struct results s = solve(&p);
        check(memcmp(r.of_logits, s.of_logits, r.logits) == 0 &&
              memcmp(r.of_x, s.of_x, r.x_grad) == 0 &&
              memcmp(r.of_weight, s.of_weight, r.weight_grad) == 0, "threads change bytes");
        free_results(&s);
    }
    if (!only_digest && !SLOW_LONG_DOUBLE) {
        judge_logits(&p, &r);
        judge_gradients(&p, &r);
    }
    free_results(&r);
    double *all[] = {p.x, p.weight, p.bias, p.delta, p.old};
    for (int i = 0; i < 5; i++) free(all[i]);
}

static void tests(void)
{
    static const size_t shapes[][3] = {{1, 3, 7}, {5, 40, 257}, {60, 11, 300}, {17, 130, 5},
                                       {50, 64, 600}};
    for (enum crossent_dtype dtype = CROSSENT_F32; dtype <= CROSSENT_F64; dtype++) {
        check(linear_suits_blas(dtype) == !has_fma(), "suits BLAS");
        for (int n = 0; n < 8; n++)
            for (size_t s = 0; s < 4 + (n == 0); s++)
                test_shape(dtype, shapes[s][0], shapes[s][1], shapes[s][2]);
    }
}

int main(int argc, char **argv) { return run_tests(argc, argv, tests); }
