/* logsumexp with weights of any sign.
 *
 * A weight is b = m 2^n with 1/2 <= |m| < 1. The row counts from a class k whose x + n ln2 is
 * largest:
 *
 *     sum of b_j e^x_j = 2^n_k e^x_k S
 *     S = m_k + sum of m_j 2^(n_j - n_k) e^(x_j - x_k), j != k
 *
 * so that no power overflows, whatever the weights. S is a pair, and 2^n_k S = 2^N f with f near 1,
 * whose f - 1 is exact: log(2^n_k S) = N ln2 + log1p(f - 1) keeps its digits where it is small, and
 * weights that cancel exactly, or add up to 1, give what they should. Where terms of opposite sign
 * cancel, the error is one of the largest of them.
 */
#include <math.h>
#include <stdatomic.h>

#include "base/arithmetic.h"
#include "base/memory.h"
#include "base/pairs.h"
#include "base/parallel.h"
#include "base/walk.h"
#include "crossent.h"
#include "kernels/dispatch.h"
#include "kernels/table.h"

enum { SMALL_CALL = 1 << 12 };

/* A block of classes as doubles. */
struct block {
    double x_room[BLOCK], b_room[BLOCK];
    const double *x, *b;
};
_Static_assert(sizeof(struct block) <= THREAD_BYTES, "THREAD_BYTES: too few");

struct weighted_run {
    const struct crossent_weighted *call;
    const struct kernels *kernels;
    atomic_int no_memory;
};

struct weighted_row {
    const char *x_at, *b_at;
    size_t k;                /* SIZE_MAX: no class takes part */
    double x, m;             /* of class k */
    int n;
    double special;          /* the sum of the terms that are infinite or NaN */
};

static size_t load_block(const struct weighted_run *run, const struct weighted_row *row,
                         size_t base, struct block *block)
{
    const struct crossent_array *x = &run->call->logits, *b = &run->call->weights;
    const struct typed_kernels *f64 = run->kernels->f64;
    size_t n = smaller(run->call->classes - base, BLOCK);
    block->x = f64->load(row->x_at + (ptrdiff_t)base * x->step, x->step, x->dtype, n,
                         block->x_room);
    block->b = f64->load(row->b_at + (ptrdiff_t)base * b->step, b->step, b->dtype, n,
                         block->b_room);
    return n;
}

/* Whether b e^x is infinite or NaN; it is added to `special` then. */
static int is_special(double x, double b, double *special)
{
    if (isfinite(b) && x < INFINITY)
        return 0;
    *special += isnan(x) ? x : b * (x == -INFINITY ? 0 : INFINITY);
    return 1;
}

/* Finds class k. */
static void find_reference(const struct weighted_run *run, struct weighted_row *row,
                           struct block *block)
{
    double best = -INFINITY;
    row->k = SIZE_MAX;
    row->special = 0;
    for (size_t base = 0, count; base < run->call->classes; base += count) {
        count = load_block(run, row, base, block);
        for (size_t j = 0; j < count; j++) {
            int n;
            double x = block->x[j], b = block->b[j];
            if (b == 0 || is_special(x, b, &row->special) || x == -INFINITY)
                continue;
            double m = frexp(b, &n), key = x + n * 0x1.62e42fefa39efp-1;
            if (row->k == SIZE_MAX || key > best) {
                best = key;
                row->k = base + j;
                row->x = x;
                row->m = m;
                row->n = n;
            }
        }
    }
}

/* m_j 2^(n_j - n_k) e^(x_j - x_k); exact where x_j = x_k. */
static struct pair relative_term(double (*exp)(double), const struct weighted_row *row, double x,
                                 double b)
{
    int n;
    double m = frexp(b, &n);
    struct pair d = pair_of(x, -row->x);
    n -= row->n;
    if (fabs(d.hi) > 600) {                          /* else e^d and its power of two are finite */
        struct pair sum = pair_of(d.hi, n * 0x1.62e42fefa38p-1);
        d = (struct pair){sum.hi, d.lo + (sum.lo + n * 0x1.ef35793c7673p-45)};
        n = 0;
    }
    double e = exp(d.hi);
    if (e == 0)
        return (struct pair){0, 0};
    struct pair term = pair_product((struct pair){m, 0}, (struct pair){e, e * d.lo});
    return (struct pair){ldexp(term.hi, n), ldexp(term.lo, n)};
}

/* S */
static struct pair relative_sum(const struct weighted_run *run, const struct weighted_row *row,
                                struct block *block)
{
    struct pair sum = {row->m, 0};
    for (size_t base = 0, count; base < run->call->classes; base += count) {
        count = load_block(run, row, base, block);
        for (size_t j = 0; j < count; j++) {
            if (block->b[j] == 0 || block->x[j] == -INFINITY || base + j == row->k)
                continue;
            struct pair term =
                relative_term(run->kernels->exp, row, block->x[j], block->b[j]);
            two_sum_into(&sum.hi, &sum.lo, term.hi);
            sum.lo += term.lo;
        }
    }
    return pair_of(sum.hi, sum.lo);
}

/* log |2^n_k e^x_k S|; sets the sign. */
static double log_of_row(const struct weighted_run *run, const struct weighted_row *row,
                         struct pair sum, double *sign)
{
    int n;
    *sign = (sum.hi > 0) - (sum.hi < 0);
    if (sum.hi == 0)
        return -INFINITY;
    double f = frexp(sum.hi, &n), low = ldexp(sum.lo, -n) * *sign;
    f = fabs(f);
    if (f < 0x1.6a09e667f3bcdp-1) {                  /* sqrt(1/2) <= f < sqrt(2) */
        f *= 2;
        low *= 2;
        n--;
    }
    n += row->n;
    double log = pair_log1p(run->kernels->log, pair_of(f - 1, low));
    struct pair top = pair_of(row->x, n * 0x1.62e42fefa38p-1);      /* ln2, in two parts */
    struct pair all = pair_of(top.hi, log + n * 0x1.ef35793c7673p-45);
    return all.hi + (all.lo + top.lo);
}

static void weighted_task(void *context, size_t begin, size_t end)
{
    struct weighted_run *run = context;
    const struct crossent_weighted *call = run->call;
    struct block *block = thread_memory();
    if (!block) {
        atomic_store(&run->no_memory, 1);
        return;
    }
    struct cursor cursor = cursor_at(call->shape, call->ndim, begin);
    for (size_t r = begin; r < end; r++, cursor_next(&cursor, call->shape, call->ndim)) {
        struct weighted_row row = {.x_at = row_of(&call->logits, &cursor, call->ndim),
                                   .b_at = row_of(&call->weights, &cursor, call->ndim)};
        double result = -INFINITY, sign = 0;
        find_reference(run, &row, block);
        if (row.special != 0) {
            sign = isnan(row.special) ? NAN : row.special > 0 ? 1 : -1;
            result = fabs(row.special);
        } else if (row.k != SIZE_MAX) {
            result = log_of_row(run, &row, relative_sum(run, &row, block), &sign);
        }
        const struct typed_kernels *f64 = run->kernels->f64;
        if (call->sign.data)
            f64->store(row_of(&call->sign, &cursor, call->ndim), call->sign.dtype, sign);
        else if (sign < 0)
            result = NAN;
        f64->store(row_of(&call->logsumexp, &cursor, call->ndim), call->logsumexp.dtype, result);
    }
}

int crossent_weighted(struct crossent_weighted *call)
{
    const uint64_t mode = arithmetic_begin();
    struct weighted_run run = {.call = call, .kernels = current_kernels()};
    int small = call->rows * call->classes < SMALL_CALL;
    parallel_for(call->rows, small ? 1 : call->threads, weighted_task, &run);
    arithmetic_end(mode);
    return run.no_memory ? CROSSENT_NO_MEMORY : CROSSENT_OK;
}
