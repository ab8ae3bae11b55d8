#include "matrix.h"

#include <string.h>

#include "base/parallel.h"
#include "base/sizes.h"
#include "kernels/dense/table.h"

enum {
    OWN_BYTES = 1 << 22,       /* own kernels up to this size of b: 3 to 15 % faster (measured) */
    PIECE_ROWS = 24,           /* of c, for own kernels: a multiple of the tiles' heights */
    PIECE_COLUMNS = 192,       /* of a, where its columns are the rows of c; about so many ... */
    PIECE_STEP = 12,           /* ... and a multiple of this, so that most tiles are whole */
    LONG = 512,                /* sums of so many terms are in halves */
    MOST_PADDING = 16,         /* at least any kernel's `wide` */
    PIECE_BLAS = 256,          /* rows or columns of c, for BLAS */
    PARALLEL_WORK = 1 << 19    /* multiplications below which a second thread costs too much */
};

static size_t element(const struct matrix_context *context)
{
    return context->dtype == CROSSENT_F64 ? sizeof(double) : sizeof(float);
}

int matrix_suits_blas(const struct matrix_context *context, size_t n, size_t k)
{
    return !context->kernels->fused || n * k * element(context) > OWN_BYTES;
}

static int uses_blas(const struct matrix_context *context, const struct product *p)
{
    return context->blas.sgemm && p->a_stride && matrix_suits_blas(context, p->n, p->k);
}

struct run {
    const struct matrix_context *context;
    const struct product *product;
    int blas, b_transposed, halves; /* halves: of the sums, one after the other */
    size_t rows, columns, pieces;   /* sizes of a piece, and how many there are */
};

/* Row by row, so that threads that share the pieces in order, and the parameters likewise, have the
 * same rows of a gradient as of parameters. */
static void own_task(void *run_, size_t begin, size_t end)
{
    const struct run *run = run_;
    const size_t across = pieces_of(run->product->n, run->columns);
    const size_t whole = across * pieces_of(run->product->m, run->rows);
    for (size_t piece = begin; piece < end; piece++) {
        struct product p = *run->product;
        size_t i = piece % whole / across * run->rows, j = piece % across * run->columns;
        if (run->halves && piece < whole) {
            p.k = p.k / 2;
        } else if (run->halves) {
            p.k0 = p.k / 2;
            p.c = p.partial;
            p.c_stride = p.n;
            p.start = NULL;
        }
        run->context->kernels->multiply(&p, i, smaller(p.m, i + run->rows), j,
                                        smaller(p.n, j + run->columns));
    }
}

typedef void gemm_function(const char *, const char *, const int *, const int *, const int *,
                           const void *, const void *, const int *, const void *, const int *,
                           const void *, void *, const int *);

/* Fortran stores columns first: it computes c^T (n x m) = b^T a^T of what we call c = a b. */
static void gemm(const struct run *run, size_t i, size_t j, int m, int n)
{
    const struct product *p = run->product;
    const float one_f32 = 1, zero_f32 = 0;
    const double one_f64 = 1, zero_f64 = 0;
    int is_double = run->context->dtype == CROSSENT_F64;
    size_t size = element(run->context);
    const void *one = is_double ? (const void *)&one_f64 : &one_f32;
    const void *zero = is_double ? (const void *)&zero_f64 : &zero_f32;
    gemm_function *f = (gemm_function *)(is_double ? run->context->blas.dgemm
                                                   : run->context->blas.sgemm);
    const char *a = (const char *)p->a[0] + i * size * (p->transposed ? 1 : p->a_stride);
    const char *b = (const char *)p->b + j * size * (run->b_transposed ? p->b_stride : 1);
    char *c = (char *)p->c + (i * p->c_stride + j) * size;
    int k = (int)p->k, lda = (int)p->a_stride, ldb = (int)p->b_stride, ldc = (int)p->c_stride;

    for (int r = 0; p->start && r < m; r++)
        memcpy(c + (size_t)r * p->c_stride * size, (const char *)p->start + j * size,
               (size_t)n * size);
    f(run->b_transposed ? "T" : "N", p->transposed ? "T" : "N", &n, &m, &k, one, b, &ldb, a, &lda,
      p->start || p->accumulate ? one : zero, c, &ldc);
}

static void blas_task(void *run_, size_t begin, size_t end)
{
    const struct run *run = run_;
    const struct product *p = run->product;
    size_t down = pieces_of(p->m, run->rows);
    for (size_t piece = begin; piece < end; piece++) {
        size_t i = piece % down * run->rows, j = piece / down * run->columns;
        gemm(run, i, j, (int)smaller(run->rows, p->m - i), (int)smaller(run->columns, p->n - j));
    }
}

void matrix_block(const struct matrix_context *context, const struct product *p, size_t i0,
                  size_t i1, size_t j0, size_t j1)
{
    struct run run = {.context = context, .product = p};
    if (context->blas.sgemm && p->a_stride && !context->kernels->fused)
        gemm(&run, i0, j0, (int)(i1 - i0), (int)(j1 - j0));
    else
        context->kernels->multiply(p, i0, i1, j0, j1);
}

/* Rows of a piece of a gradient: an even number of pieces, nearly alike. */
static size_t gradient_rows(const struct matrix_context *context, const struct product *p)
{
    size_t pieces = 2 * pieces_of(p->m, 2 * PIECE_COLUMNS);
    if (p->n <= context->kernels->narrow)
        return PIECE_COLUMNS;
    return pieces_of(pieces_of(p->m, pieces), PIECE_STEP) * PIECE_STEP;
}

/* The product cut into pieces. */
static struct run cut(const struct matrix_context *context, const struct product *p)
{
    struct run run = {.context = context, .product = p};
    if (!uses_blas(context, p)) {
        run.rows = p->transposed ? gradient_rows(context, p) : PIECE_ROWS;
        run.columns = context->kernels->panel;
        run.halves = p->partial && p->k >= LONG && p->n > context->kernels->narrow;
    } else {
        run.blas = 1;
        run.rows = p->m > p->n ? PIECE_BLAS : at_least_one(p->m);
        run.columns = p->m > p->n ? at_least_one(p->n) : PIECE_BLAS;
    }
    run.pieces = pieces_of(p->m, run.rows) * pieces_of(p->n, run.columns) * (run.halves ? 2 : 1);
    return run;
}

static int is_small(const struct product *p) { return p->m * p->n * p->k < PARALLEL_WORK; }

static void run_pieces(struct run *run)
{
    parallel_for(run->pieces, is_small(run->product) ? 1 : run->context->threads,
                 run->blas ? blas_task : own_task, run);
}

size_t matrix_pieces(const struct matrix_context *context, const struct product *p)
{
    return is_small(p) ? 1 : cut(context, p).pieces;
}

size_t matrix_scratch(size_t n, size_t k) { return n * (k + MOST_PADDING); }

/* b by columns, for kernels whose registers go along k. */
static void set_columns(const struct matrix_context *context, struct product *p)
{
    size_t size = element(context), wide = context->kernels->wide;
    p->column_stride = (p->k + wide - 1) / wide * wide;
    context->kernels->transpose(p->b, p->b_stride, p->scratch, p->column_stride, p->k, p->n);
    for (size_t j = 0; j < p->n; j++)
        memset((char *)p->scratch + (j * p->column_stride + p->k) * size, 0,
               (p->column_stride - p->k) * size);
    p->columns = p->scratch;
}

void matrix_multiply(const struct matrix_context *context, const struct product *p)
{
    struct product own = *p;
    struct run run = cut(context, p);
    if (p->scratch && !run.blas && context->kernels->fused && p->n <= context->kernels->narrow &&
        !p->transposed && !p->accumulate) {
        set_columns(context, &own);
        run.product = &own;
    }
    run_pieces(&run);
    if (run.halves)
        for (size_t i = 0; i < p->m; i++)
            context->kernels->add((char *)p->c + i * p->c_stride * element(context),
                                  (char *)p->partial + i * p->n * element(context), p->n);
}

void matrix_multiply_transposed(const struct matrix_context *context, const struct product *p)
{
    struct product straight = *p;
    struct run run = cut(context, p);
    if (run.blas) {
        run.b_transposed = 1;
    } else {
        context->kernels->transpose(p->b, p->k, p->scratch, p->n, p->n, p->k);
        straight.b = p->scratch;
        straight.b_stride = p->n;
        run.product = &straight;
    }
    run_pieces(&run);
}
