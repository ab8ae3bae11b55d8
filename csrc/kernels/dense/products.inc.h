/* Matrix products for batches: few rows, read where they lie, and any number of columns.
 *
 * A tile of the result stays in registers while k runs: R rows by V registers. The 32 registers of
 * AVX-512 and NEON hold 6 x 4 sums, the 16 of AVX2 6 x 2, with room for a row of b and one factor.
 * One register of columns (10 classes) takes 8 rows, so that enough fmas are under way; the
 * pointers to 12 or 16 rows no longer fit the general registers, which cost 15 %.
 *
 * The rows of a shuffled batch come from anywhere in memory, faster than any hardware guesses
 * where. So a product asks for the lines of the next batch while it computes (`ahead`).
 */
/* Rows i .. i+R, columns j .. j+V*LANES; of the last register the first `left` columns where it is
 * not whole. R, V, transposed and whole are constants where this is called. */
static inline __attribute__((always_inline)) void
product_tile(const struct product *p, size_t i, size_t j, size_t left, const int R, const int V,
     const int transposed, const int whole)
{
    static const T zeros[4 * LANES];
    const T *const *a = (const T *const *)p->a, *b = (const T *)p->b + p->k0 * p->b_stride + j;
    T *c = (T *)p->c + i * p->c_stride + j;
    const vec zero = vset(0);
    vec sum[TALL][4], row[4];

    /* Zeros are loaded too: a branch here takes all sums through memory, 10 % of the gradient. */
    const T *first = p->accumulate ? c : p->start ? (const T *)p->start + j : zeros;
    const size_t stride = p->accumulate ? p->c_stride : 0;
    for (int r = 0; r < R; r++)
        for (int v = 0; v < V; v++) {
            const T *from = first + (size_t)r * stride + v * LANES;
            sum[r][v] = whole || v < V - 1 ? vload(from) : vload_part(from, left, zero);
        }
    for (size_t k = p->k0; k < p->k; k++, b += p->b_stride) {
        for (int r = 0; !transposed && p->ahead && k % LINE == 0 && r < R; r++)
            __builtin_prefetch((const T *)p->ahead[i + (size_t)r] + k, 0, 2);
        for (int v = 0; v < V; v++)
            row[v] = whole || v < V - 1 ? vload(b + v * LANES)
                                        : vload_part(b + v * LANES, left, zero);
        for (int r = 0; r < R; r++) {
            vec factor = vset(transposed ? a[k][i + (size_t)r] : a[i + (size_t)r][k]);
            for (int v = 0; v < V; v++)
                sum[r][v] = vfma(factor, row[v], sum[r][v]);
        }
    }
    for (int r = 0; r < R; r++)
        for (int v = 0; v < V; v++) {
            T *to = c + (size_t)r * p->c_stride + v * LANES;
            if (whole || v < V - 1)
                vstore(to, sum[r][v]);
            else
                vstore_part(to, left, sum[r][v]);
        }
}

static inline __attribute__((always_inline)) void
tile_of_height(const struct product *p, size_t i, size_t j, size_t left, const int R, const int V)
{
    if (p->transposed && left == LANES)
        product_tile(p, i, j, left, R, V, 1, 1);
    else if (p->transposed)
        product_tile(p, i, j, left, R, V, 1, 0);
    else if (left == LANES)
        product_tile(p, i, j, left, R, V, 0, 1);
    else
        product_tile(p, i, j, left, R, V, 0, 0);
}

/* All rows of V registers of columns. */
static inline __attribute__((always_inline)) void
tile_rows(const struct product *p, size_t i0, size_t i1, size_t j, size_t left, const int V)
{
    size_t i = i0;
    if (V == 1)
        for (; i + TALL <= i1; i += TALL)
            tile_of_height(p, i, j, left, TALL, V);
    for (; i + 6 <= i1; i += 6)
        tile_of_height(p, i, j, left, 6, V);
    for (; i + 4 <= i1; i += 4)
        tile_of_height(p, i, j, left, 4, V);
    for (; i + 2 <= i1; i += 2)
        tile_of_height(p, i, j, left, 2, V);
    if (i < i1)
        tile_of_height(p, i, j, left, 1, V);
}

static void multiply_tiles(const struct product *p, size_t i0, size_t i1, size_t j0, size_t j1)
{
    if (p->columns) {
        multiply_dots(p, i0, i1);
        return;
    }
    if (p->transposed && !p->accumulate && !p->start && p->n <= NARROW && j0 == 0 && j1 >= p->n) {
        multiply_columns(p, i0, i1);
        return;
    }
    for (size_t j = j0; j < j1; j += PANEL) {
        size_t width = j1 - j < PANEL ? j1 - j : PANEL;
        size_t registers = (width + LANES - 1) / LANES, left = width - (registers - 1) * LANES;
        switch (registers) {
        case 1: tile_rows(p, i0, i1, j, left, 1); break;
        case 2: tile_rows(p, i0, i1, j, left, 2); break;
#if VECTOR_REGISTERS == 32
        case 3: tile_rows(p, i0, i1, j, left, 3); break;
        case 4: tile_rows(p, i0, i1, j, left, 4); break;
#endif
        }
    }
}
