/* logsumexp with weights of any sign against the definition in long double, and the same bytes in
 * every layout, on every instruction set and with threads. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

struct problem {
    enum crossent_dtype dtype;
    size_t rows, classes;
    double *x, *b;
    int with_sign;
};
struct results {
    double *value, *sign;
};

static struct results solve(const struct problem *p, const struct variant *v)
{
    struct placed x = place(p->dtype, p->rows, p->classes, v->in, v->folded);
    struct placed b = place(p->dtype, p->rows, p->classes, v->out, v->folded);
    struct placed value = place(p->dtype, p->rows, 1, v->out, v->folded);
    struct placed sign = place(p->dtype, p->with_sign ? p->rows : 0, 1, v->out, v->folded);
    struct crossent_weighted call = {
        .ndim = v->folded ? 2 : 1, .shape = {x.shape[0], x.shape[1]}, .rows = p->rows,
        .classes = p->classes, .logits = x.array, .weights = b.array, .logsumexp = value.array,
        .sign = array_of(&sign), .threads = v->threads ? v->threads : 1};
    struct results r = {allocate(p->rows * sizeof(double)), allocate(p->rows * sizeof(double))};
    now.type = dtype_name(p->dtype);
    now.goal = "weighted logsumexp";
    now.variant = v->name;
    now.rows = p->rows;
    now.classes = p->classes;
    put_numbers(&x, p->x);
    put_numbers(&b, p->b);
    dirty_stack();
    check(crossent_weighted(&call) == CROSSENT_OK, "fails");
    fetch_numbers(&value, r.value);
    fetch_numbers(&sign, r.sign);
    discard(&value, "logsumexp");
    discard(&sign, "sign");
    discard_numbers(&x, p->x, "logits");
    discard_numbers(&b, p->b, "weights");
    return r;
}

/* log |sum of b_j e^x_j| = m + log |sum of b_j e^(x_j - m)|, m the largest x_j + log |b_j|: long
 * double has the range for e^(x_j - m) unless the term is far below the largest. The error of the
 * result is one of x_m, and one of the sum of the absolute values over the sum. */
static void judge_row(const struct problem *p, const struct results *r, size_t i)
{
    const double *x = p->x + i * p->classes, *b = p->b + i * p->classes;
    long double m = -(long double)INFINITY, sum = 0, absolute = 0, size = 0;
    for (size_t j = 0; j < p->classes; j++)
        if (b[j] != 0) m = fmaxl(m, (long double)x[j] + logl(fabsl((long double)b[j])));
    for (size_t j = 0; j < p->classes; j++) {
        if (b[j] == 0) continue;
        const long double term = expl((long double)x[j] + logl(fabsl((long double)b[j])) - m);
        sum += b[j] < 0 ? -term : term;
        absolute += term;
        size = fmaxl(size, fabsl((long double)x[j]));
    }
    if (absolute > 0x1p20L * fabsl(sum)) return;    /* all digits cancel */
    const double sign = (double)((sum > 0) - (sum < 0));
    const long double wanted = m + logl(fabsl(sum));
    const long double limit = 4 * DBL_EPSILON * (1 + size + fabsl(m) + absolute / fabsl(sum)) +
                              half_spacing(p->dtype, wanted) * 1.001L;
    if (p->with_sign) check(r->sign[i] == sign, "sign[%zu] is %g, not %g", i, r->sign[i], sign);
    if (!p->with_sign && sign < 0) {
        check(isnan(r->value[i]), "[%zu] is %a where the sum is negative", i, r->value[i]);
        return;
    }
    check(fabsl((long double)r->value[i] - wanted) <= limit ||
          r->value[i] == rounded_to(p->dtype, (double)wanted), "[%zu] is %a, not %a", i,
          r->value[i], (double)wanted);
}

static void add(const double *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        add_to_digest(isnan(values[i]) ? "NaN.NaN" : (void *)&values[i], 8);
}

static void same(const struct problem *p, const struct results *wanted, struct results found)
{
    for (size_t i = 0; i < p->rows; i++) {
        const double f = found.value[i], w = wanted->value[i];
        check(f == w || (isnan(f) && isnan(w)), "[%zu] is %a, the plain call's %a", i, f, w);
        if (p->with_sign) check(found.sign[i] == wanted->sign[i], "sign[%zu]", i);
    }
    free(found.value);
    free(found.sign);
}

/* Weights near 1, of a wide range, or such that they undo the logits; a third of them negative,
 * some of them 0. */
static void fill(struct problem *p)
{
    const double most = p->dtype == CROSSENT_F64 ? 600 : p->dtype == CROSSENT_F16 ? 6 : 60;
    const size_t kind = random_below(3);
    for (size_t i = 0; i < p->rows * p->classes; i++) {
        const double x = most * (2 * random_unit() - 1);
        double b = 1 + random_unit();
        if (kind == 1) b = ldexp(b, (int)(most * (2 * random_unit() - 1)));
        if (kind == 2) b *= exp(-x);
        p->x[i] = rounded_to(p->dtype, x);
        p->b[i] = one_in(10) ? 0 : rounded_to(p->dtype, one_in(3) ? -b : b);
    }
}

static void test_shape(enum crossent_dtype dtype, size_t rows, size_t classes)
{
    const size_t n = rows * classes;
    struct problem p = {dtype, rows, classes, allocate(n * 8), allocate(n * 8), one_in(2)};
    const struct variant threads = {"threads", plain->in, plain->out, .threads = 3};
    fill(&p);
    struct results r = solve(&p, plain);
    add(r.value, rows);
    if (p.with_sign) add(r.sign, rows);
    for (size_t i = 0; i < rows && !only_digest; i++)
        if (!SLOW_LONG_DOUBLE || i % 8 == 0) judge_row(&p, &r, i);
    if (!only_digest) {
        switch_isa("scalar");
        same(&p, &r, solve(&p, plain));
        switch_isa(now.isa);
        for (size_t v = 2; v < VARIANTS; v++)
            if (!variants[v].in_place) same(&p, &r, solve(&p, &variants[v]));
        if (n >= 1 << 12) same(&p, &r, solve(&p, &threads));
    }
    free(r.value);
    free(r.sign);
    free(p.x);
    free(p.b);
}

/* One row of up to three classes; docs/numerics.md. */
static void test_special(double x0, double b0, double x1, double b1, double wanted,
                         double wanted_sign)
{
    double x[2] = {x0, x1}, b[2] = {b0, b1};
    struct problem p = {CROSSENT_F64, 1, 2, x, b, 1};
    struct results r = solve(&p, plain);
    check(r.value[0] == wanted || (isnan(wanted) && isnan(r.value[0])), "log |%g e^%g + %g e^%g|",
          b0, x0, b1, x1);
    check(r.sign[0] == wanted_sign || (isnan(wanted_sign) && isnan(r.sign[0])), "its sign");
    free(r.value);
    free(r.sign);
}

static void tests(void)
{
    static const size_t shapes[][2] = {{9, 1}, {30, 2}, {21, 3}, {37, 10}, {9, 130}, {3, 5000}};
    for (size_t n = 0; n < 6; n++)
        for (size_t s = 0; s < 6; s++)
            for (enum crossent_dtype dtype = CROSSENT_F32; dtype <= CROSSENT_BF16; dtype++)
                test_shape(dtype, shapes[s][0], shapes[s][1]);
    const double inf = (double)INFINITY, nan = (double)NAN;
    test_special(0, 1, 0, -1, -inf, 0);
    test_special(-inf, 1, -inf, 2, -inf, 0);
    test_special(0, 0, 1, 0, -inf, 0);
    test_special(inf, 1, 0, 1, inf, 1);
    test_special(inf, -1, 0, 1, inf, -1);
    test_special(inf, 1, inf, -1, nan, nan);
    test_special(nan, 1, 0, 1, nan, nan);
    test_special(nan, 0, 0, 1, 0, 1);
    test_special(0, inf, 0, 1, inf, 1);
}

int main(int argc, char **argv) { return run_tests(argc, argv, tests); }
