/* logsumexp with weights of any sign.
 *
 * A weight is b = m 2^n with 1/2 <= |m| < 1. The row counts from a class k whose x + n ln2 is
 * largest:
 *
 *     sum of b_j e^x_j = b_k e^x_k (1 + v)
 *     v = sum of (m_j / m_k) e^((x_j - x_k) + (n_j - n_k) ln2), j != k
 *
 * so that no power overflows, whatever the weights, and a small v keeps its digits through log1p.
 * Where terms of opposite sign cancel, the error is one of the largest of them.
 */
#include <math.h>
#include <stdatomic.h>

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

/* (m_j / m_k) e^((x_j - x_k) + (n_j - n_k) ln2) */
static double relative_term(double (*exp)(double), const struct weighted_row *row, double x,
                            double b)
{
    int n;
    double m = frexp(b, &n);
    struct pair d = pair_of(x, -row->x);
    if (n != row->n) {
        n -= row->n;
        struct pair sum = pair_of(d.hi, n * 0x1.62e42fefa38p-1);
        d = (struct pair){sum.hi, d.lo + (sum.lo + n * 0x1.ef35793c7673p-45)};
    }
    double e = exp(d.hi);
    return e == 0 ? 0 : m / row->m * fma(e, d.lo, e);
}

/* v */
static struct pair relative_sum(const struct weighted_run *run, const struct weighted_row *row,
                                struct block *block)
{
    struct pair v = {0, 0};
    for (size_t base = 0, count; base < run->call->classes; base += count) {
        count = load_block(run, row, base, block);
        for (size_t j = 0; j < count; j++)
            if (block->b[j] != 0 && block->x[j] > -INFINITY && base + j != row->k)
                two_sum_into(&v.hi, &v.lo, relative_term(run->kernels->exp, row, block->x[j],
                                                         block->b[j]));
    }
    return v;
}

/* log |b_k e^x_k (1 + v)|; sets the sign. */
static double log_of_row(const struct weighted_run *run, const struct weighted_row *row,
                         struct pair v, double *sign)
{
    double (*log)(double) = run->kernels->log;
    struct pair one_v = pair_add((struct pair){1, 0}, v);
    *sign = one_v.hi == 0 ? 0 : (one_v.hi < 0) == (row->m < 0) ? 1 : -1;
    if (one_v.hi == 0)
        return -INFINITY;
    double log_one_v = v.hi > -0.5 ? pair_log1p(log, v)
                                   : log(fabs(one_v.hi)) + one_v.lo / one_v.hi;
    struct pair sum = pair_of(row->x, log_scaled(log, fabs(row->m), row->n));
    struct pair all = pair_of(sum.hi, log_one_v);
    return all.hi + (sum.lo + all.lo);
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
    struct weighted_run run = {.call = call, .kernels = current_kernels()};
    int small = call->rows * call->classes < SMALL_CALL;
    parallel_for(call->rows, small ? 1 : call->threads, weighted_task, &run);
    return run.no_memory ? CROSSENT_NO_MEMORY : CROSSENT_OK;
}
