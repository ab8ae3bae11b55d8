/* Products with few columns. The tiles of dense/products.inc.h leave their registers half empty
 * there (10 classes in 16 lanes); these fill them.
 *
 * c (m x n) = a^T b, where a (k x m) holds the batch and b (k x n) the gradient of the outputs: the
 * registers go along m, and each sum runs in the same order as there. A tile holds R columns of b
 * by V registers of m. Its sums are those of c transposed: they go through a small array, and in
 * squares into c. It is this product that asks for the next batch, in turn with its first two tiles
 * of a place: of lines asked for every 6 cycles half are dropped, every 12 cycles none. Asking in
 * the product below as well takes 5 % longer.
 *
 * c (m x n) = start + a b, the outputs themselves: the registers go along k, so that the rows of a
 * are read by registers and not by numbers. A sum is that of WIDE sums, which take the terms in
 * turn and are added pairwise, those in the lanes l and l + half first, until one is left.
 */
/* The tile from column j and row i on; if it is not whole, it has one register, of which `left`
 * lanes count. R, V and whole are constants where this is called. The tiles of the first and of the
 * second group of columns ask for every other line. */
static inline __attribute__((always_inline)) void
column_tile(const struct product *p, size_t j, size_t i, size_t left, T *to, const int R,
            const int V, const int whole)
{
    const T *const *a = (const T *const *)p->a;
    const T *b = (const T *)p->b + j;
    const void *const *ahead = j == 0 || j == COLUMN_GROUP ? p->ahead : NULL;
    const size_t offset = j == 0 ? 0 : LINE, apart = p->n > COLUMN_GROUP ? 2 * LINE : LINE;
    const vec zero = vset(0);
    vec sum[COLUMN_GROUP][COLUMN_REGISTERS], row[COLUMN_REGISTERS];
    for (int r = 0; r < R; r++)
        for (int v = 0; v < V; v++)
            sum[r][v] = zero;
    for (size_t k = 0; k < p->k; k++, b += p->b_stride) {
        for (size_t at = offset; ahead && at < (size_t)V * LANES; at += apart)
            __builtin_prefetch((const T *)ahead[k] + i + at, 0, 2);
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

/* Squares of LANES x LANES through registers. */
static void transpose_matrix(const void *from_, size_t from_stride, void *to_, size_t to_stride,
                             size_t rows, size_t columns)
{
    const T *from = from_;
    T *to = to_;
    for (size_t i = 0; i < rows; i += LANES)
        for (size_t j = 0; j < columns; j += LANES) {
            vec square[LANES];
            size_t down = rows - i < LANES ? rows - i : LANES;
            size_t across = columns - j < LANES ? columns - j : LANES;
            for (size_t l = 0; l < LANES; l++) {
                const T *row = from + (i + l) * from_stride + j;
                square[l] = l >= down ? vset(0) : vload_part(row, across, vset(0));
            }
            vtranspose(square);
            for (size_t l = 0; l < across; l++)
                vstore_part(to + (j + l) * to_stride + i, down, square[l]);
        }
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

/* WIDE terms from k on of the sums of R rows and C columns. Of the rows `left` numbers are there;
 * columns end with zeros. R, C and whole are constants where this is called. */
static inline __attribute__((always_inline)) void
dot_step(const struct product *p, size_t i, const T *b, size_t k, size_t left,
         vec sum[][COLUMN_GROUP][HALVES], const int R, const int C, const int whole)
{
    const T *const *a = (const T *const *)p->a;
    vec row[DOT_ROWS];
    for (size_t h = 0; h < HALVES; h++) {
        size_t there = left < h * LANES ? 0 : left - h * LANES;
        for (int r = 0; r < R; r++) {
            const T *from = a[i + (size_t)r] + k + h * LANES;
            row[r] = whole ? vload(from) : vload_part(from, there, vset(0));
        }
        for (int c = 0; c < C; c++) {
            vec column = vload(b + (size_t)c * p->column_stride + k + h * LANES);
            for (int r = 0; r < R; r++)
                sum[r][c][h] = vfma(row[r], column, sum[r][c][h]);
        }
    }
}

/* Rows i .. i+R, columns j .. j+C; LANES sums of each go to to[r * n + c]. */
static inline __attribute__((always_inline)) void
dot_tile(const struct product *p, size_t i, size_t j, T (*to)[LANES], const int R, const int C)
{
    const T *b = (const T *)p->columns + j * p->column_stride;
    vec sum[DOT_ROWS][COLUMN_GROUP][HALVES];
    size_t k = 0;
    for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++)
            for (int h = 0; h < HALVES; h++)
                sum[r][c][h] = vset(0);
    for (; k + WIDE <= p->k; k += WIDE)
        dot_step(p, i, b, k, WIDE, sum, R, C, 1);
    if (k < p->k)
        dot_step(p, i, b, k, p->k - k, sum, R, C, 0);
    for (int r = 0; r < R; r++)
        for (int c = 0; c < C; c++) {
            for (int half = HALVES / 2; half > 0; half /= 2)
                for (int h = 0; h < half; h++)
                    sum[r][c][h] = sum[r][c][h] + sum[r][c][h + half];
            vstore(to[(size_t)r * p->n + j + (size_t)c], sum[r][c][0]);
        }
}

/* R rows of c. */
static inline __attribute__((always_inline)) void
dot_rows(const struct product *p, size_t i, const int R)
{
    enum { SQUARES = (DOT_ROWS * NARROW + LANES - 1) / LANES };
    T sums[SQUARES * LANES][LANES], totals[SQUARES * LANES];
    const T *start = p->start;
    size_t j = 0, count = (size_t)R * p->n;
    for (; j + COLUMN_GROUP <= p->n; j += COLUMN_GROUP)
        dot_tile(p, i, j, sums, R, COLUMN_GROUP);
    for (; j < p->n; j++)
        dot_tile(p, i, j, sums, R, 1);
    for (size_t first = 0; first < count; first += LANES) {
        vec square[LANES];
        for (size_t l = 0; l < LANES; l++)
            square[l] = first + l < count ? vload(sums[first + l]) : vset(0);
        vtranspose(square);
        for (int half = LANES / 2; half > 0; half /= 2)
            for (int l = 0; l < half; l++)
                square[l] = square[l] + square[l + half];
        vstore(totals + first, square[0]);
    }
    for (size_t r = 0; r < (size_t)R; r++) {
        T *c = (T *)p->c + (i + r) * p->c_stride;
        for (j = 0; j < p->n; j++)
            c[j] = start ? start[j] + totals[r * p->n + j] : totals[r * p->n + j];
    }
}

/* Rows [i0, i1) of c; p->n <= NARROW. */
static void multiply_dots(const struct product *p, size_t i0, size_t i1)
{
    size_t i = i0;
    for (; i + DOT_ROWS <= i1; i += DOT_ROWS)
        dot_rows(p, i, DOT_ROWS);
    for (; i < i1; i++)
        dot_rows(p, i, 1);
}
