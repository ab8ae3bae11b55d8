/* Products a^T b with registers along the rows of a: c (m x n), where a (k x m) holds the batch and
 * b (k x n) the gradient of a few outputs. The tiles of train_products.inc.h leave their registers
 * half empty there (10 classes in 16 lanes); these fill them. Each sum runs in the same order.
 *
 * A tile holds R columns of b by V registers of m. Its sums are those of c transposed: they go
 * through a small array, and in squares into c.
 */
#ifndef T
#error "train_columns.inc.h: define T, SUFFIX and IS_DOUBLE"
#endif

/* The tile from column j and row i on; if it is not whole, it has one register, of which `left`
 * lanes count. R, V and whole are constants where this is called. */
static inline __attribute__((always_inline)) void
column_tile(const struct product *p, size_t j, size_t i, size_t left, T *to, const int R,
            const int V, const int whole)
{
    const T *const *a = (const T *const *)p->a;
    const T *b = (const T *)p->b + j;
    const vec zero = vset(0);
    vec sum[COLUMN_GROUP][COLUMN_REGISTERS], row[COLUMN_REGISTERS];
    for (int r = 0; r < R; r++)
        for (int v = 0; v < V; v++)
            sum[r][v] = zero;
    for (size_t k = 0; k < p->k; k++, b += p->b_stride) {
        for (int v = 0; v < V; v++)
            row[v] = whole ? vload(a[k] + i + v * LANES) : vload_part(a[k] + i, left, zero);
        for (int r = 0; r < R; r++) {
            vec factor = vset(b[r]);
            for (int v = 0; v < V; v++)
                sum[r][v] = vfma(factor, row[v], sum[r][v]);
        }
    }
    for (int r = 0; r < R; r++)
        for (int v = 0; v < V; v++)
            vstore(to + ((size_t)r * COLUMN_REGISTERS + (size_t)v) * LANES, sum[r][v]);
}

/* V registers of all columns. */
static inline __attribute__((always_inline)) void
column_tiles(const struct product *p, size_t i, size_t left, T *to, const int V, const int whole)
{
    const size_t stride = COLUMN_REGISTERS * LANES;
    size_t j = 0;
    for (; j + COLUMN_GROUP <= p->n; j += COLUMN_GROUP)
        column_tile(p, j, i, left, to + j * stride, COLUMN_GROUP, V, whole);
    for (; j < p->n; j++)
        column_tile(p, j, i, left, to + j * stride, 1, V, whole);
}

/* Squares of LANES x LANES through registers, the rest one by one. */
static void transpose_matrix(const void *from_, size_t from_stride, void *to_, size_t to_stride,
                             size_t rows, size_t columns)
{
    const T *from = from_;
    T *to = to_;
    size_t i = 0;
    for (; i + LANES <= rows; i += LANES) {
        size_t j = 0;
        for (; j + LANES <= columns; j += LANES) {
            vec square[LANES];
            for (int l = 0; l < LANES; l++)
                square[l] = vload(from + (i + (size_t)l) * from_stride + j);
            vtranspose(square);
            for (int l = 0; l < LANES; l++)
                vstore(to + (j + (size_t)l) * to_stride + i, square[l]);
        }
        for (; j < columns; j++)
            for (size_t l = 0; l < LANES; l++)
                to[j * to_stride + i + l] = from[(i + l) * from_stride + j];
    }
    for (; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            to[j * to_stride + i] = from[i * from_stride + j];
}

/* Rows [i0, i1) of c; p->n <= NARROW. */
static void multiply_columns(const struct product *p, size_t i0, size_t i1)
{
    const size_t stride = COLUMN_REGISTERS * LANES;
    T sums[NARROW * COLUMN_REGISTERS * LANES];
    for (size_t i = i0, m; i < i1; i += m) {
        T *c = (T *)p->c + i * p->c_stride;
        m = i1 - i >= stride ? stride : i1 - i >= LANES ? LANES : i1 - i;
        if (m == stride)
            column_tiles(p, i, LANES, sums, COLUMN_REGISTERS, 1);
        else if (m == LANES)
            column_tiles(p, i, LANES, sums, 1, 1);
        else
            column_tiles(p, i, m, sums, 1, 0);
        transpose_matrix(sums, stride, c, p->c_stride, p->n, m);
    }
}
