/* Rows of labels whose classes are apart, more than TILE_CLASSES of them: LANES rows at a time, one
 * in each lane, as neighbours share cache lines. Each line is read once and written once.
 *
 * a) The same operations on each row as in segments.inc.h, so the same bits: class j joins lane
 *    j mod WIDE of its block's sum; here every such lane is a register of LANES rows.
 * b) A tile, LANES rows, holds logits, then exponentials. The anchor's place holds -inf, then 0: it
 *    takes no part in maximum and sum.
 * c) Rows of more than BLOCK classes go block by block, all rows of the group in step.
 */
enum {
    CHUNK = 4 * WIDE,            /* classes that stay in the first-level cache between steps */
    CLASSES_AHEAD = 16           /* ... by which reads run ahead */
};

static inline size_t padded_count(const struct rows *rows)
{
    return (rows->count + LANES - 1) / LANES * LANES;
}

/* Where the tile of the rows from r0 on has a class. */
static inline T *tile_at(const struct rows *rows, const struct scratch *scratch, size_t r0,
                         size_t class)
{
    return (T *)scratch->tiles + r0 * rows->classes + class * LANES;
}

/* How many rows of each tile lie side by side from each on, n rows altogether. */
static inline void find_runs(char *const *p, size_t n, size_t *run)
{
    for (size_t r = n; r-- > 0;) {
        const int ends = r + 1 == n || (r + 1) % LANES == 0 || p[r + 1] != p[r] + sizeof(T);
        run[r] = ends ? 1 : run[r + 1] + 1;
    }
}

/* to[0..n) = from[0..n), n <= LANES; mostly 1, or a few pixels. */
INLINE void copy_run(T *to, const T *from, size_t n)
{
    if (n == LANES)
        vstore(to, vload(from));
    else if (n == 1)
        *to = *from;
    else if (LANES > 4 && n == 4)
        memcpy(to, from, 4 * sizeof(T));
    else
        vstore_part(to, n, vload_part(from, n, vset(0)));
}

/* Classes [first, first + m) of all rows to their tiles, the classes one after the other: rows that
 * are neighbours are read together. */
static void gather_chunk(const struct rows *rows, const size_t *run, size_t count, size_t first,
                         size_t m, T *tile)
{
    const ptrdiff_t step = rows->x_step, ahead = CLASSES_AHEAD * step;
    for (size_t c = first; c < first + m; c++, tile += LANES) {
        const ptrdiff_t at = (ptrdiff_t)c * step;
        for (size_t r0 = 0; r0 < count; r0 += LANES) {
            T *to = tile + r0 * rows->classes;
            __builtin_prefetch(rows->x[r0] + at + ahead, 0, 3);
            for (size_t l = 0; l < LANES; l += run[r0 + l])
                copy_run(to + l, (const T *)(rows->x[r0 + l] + at), run[r0 + l]);
        }
    }
}

/* Sets the anchors among m classes from `first` on to -inf, and keeps what they were. Without a
 * branch, as it is a new guess for each row; elsewhere `anchor_value` takes the place of the class.
 */
INLINE void mask_anchors(const int64_t *anchor, size_t first, size_t m, T *tile, T *anchor_value)
{
    for (size_t l = 0; l < LANES; l++) {
        const size_t at = (size_t)anchor[l] - first;
        T *place = at < m ? tile + at * LANES + l : anchor_value + l;
        const T x = *place;
        *place = -(T)INFINITY;
        anchor_value[l] = x;
    }
}

/* Joins m classes to the maxima. */
INLINE void join_maxima(const T *tile, size_t m, T *max)
{
    vec even = vload(max), odd = vset(-(T)INFINITY);
    size_t i = 0;
    for (; i + 2 <= m; i += 2) {
        even = vmax(vload(tile + i * LANES), even);
        odd = vmax(vload(tile + (i + 1) * LANES), odd);
    }
    if (i < m)
        even = vmax(vload(tile + i * LANES), even);
    vstore(max, vmax(even, odd));
}

/* Classes [base, base + n) of all rows to their tiles; their maxima, and anchors among them. */
static void load_columns(const struct rows *rows, size_t base, size_t n,
                         const struct scratch *scratch, T *max, T *anchor_value)
{
    const size_t count = padded_count(rows);
    size_t run[GROUP];
    find_runs((char *const *)rows->x, count, run);
    for (size_t r = 0; r < count; r++) {
        max[r] = -(T)INFINITY;
        anchor_value[r] = 0;
    }
    for (size_t first = base; first < base + n; first += CHUNK) {
        const size_t left = base + n - first, m = left < CHUNK ? left : CHUNK;
        gather_chunk(rows, run, count, first, m, tile_at(rows, scratch, 0, first));
        for (size_t r0 = 0; r0 < count; r0 += LANES) {
            T *tile = tile_at(rows, scratch, r0, first);
            mask_anchors(rows->anchor + r0, first, m, tile, anchor_value + r0);
            join_maxima(tile, m, max + r0);
        }
    }
}

struct column_sums {
    vec base, sum[WIDE], rest[WIDE];
};

/* Four classes of the same lane at a time, as they lie WIDE classes apart. */
INLINE void add_chunk(struct column_sums *sums, const T *e, size_t m)
{
    for (size_t w = 0; w < WIDE && w < m; w++) {
        vec sum = sums->sum[w], rest = sums->rest[w];
        for (size_t c = w; c < m; c += WIDE)
            lane_add(&sum, &rest, vload(e + c * LANES));
        sums->sum[w] = sum;
        sums->rest[w] = rest;
    }
}

/* The exponentials of two registers, step by step. */
INLINE void exp_two(vec first, vec second, T *to_first, T *to_second, struct exp_scale scale)
{
    vec v[2] = {vmax(scale.low, first), vmax(scale.low, second)};
    exps_reduced(v, scale.rounder, 2);
    vstore(to_first, v[0]);
    vstore(to_second, v[1]);
}

INLINE void exp_chunk(const T *x, T *e, size_t m, struct exp_scale scale)
{
    size_t c = 0;
    for (; c + 2 <= m; c += 2)
        exp_two(vload(x + c * LANES), vload(x + (c + 1) * LANES), e + c * LANES,
                e + (c + 1) * LANES, scale);
    if (c < m)
        vstore(e + c * LANES, exp_scaled(vload(x + c * LANES), scale));
}

/* The WIDE lanes of a part of the rows together. */
INLINE vec_f64 column_total(const struct column_sums *sums, int part, vec_f64 *low)
{
    vec_f64 h[WIDE], l[WIDE];
    for (int w = 0; w < WIDE; w++) {
        l[w] = vwiden(sums->rest[w], part);
        h[w] = vwiden(sums->sum[w] - sums->base, part);
        if (!IS_DOUBLE)
            h[w] = h[w] + l[w];
    }
    add_halves(h, l, WIDE);
    *low = IS_DOUBLE ? l[0] : vset_f64(0);
    return h[0];
}

/* The exponentials of n classes of a tile and the rows' sums of them. */
INLINE void column_exps(T *tile, size_t n, struct exp_scale scale, vec bound, double *hi,
                        double *lo, const int keep)
{
    struct column_sums sums;
    T buffer[CHUNK * LANES];
    sums.base = bound;
    for (int w = 0; w < WIDE; w++) {
        sums.sum[w] = bound;
        sums.rest[w] = vset(0);
    }
    for (size_t i = 0; i < n; i += CHUNK, tile += CHUNK * LANES) {
        const size_t m = n - i < CHUNK ? n - i : CHUNK;
        T *e = keep ? tile : buffer;
        exp_chunk(tile, e, m, scale);
        if (m == CHUNK)
            add_chunk(&sums, e, CHUNK);
        else
            add_chunk(&sums, e, m);
    }
    for (int part = 0; part < PARTS; part++) {
        vec_f64 low, sum = column_total(&sums, part, &low);
        vstore_f64(hi + part * LANES_f64, sum);
        vstore_f64(lo + part * LANES_f64, low);
    }
}

/* Rows of one block: all maxima, then all exponentials (softmax/blocks.inc.h). */
INLINE void block_columns(struct rows *rows, struct scratch *scratch, const int keep)
{
    const size_t n = rows->classes;
    T max[GROUP], anchor_value[GROUP];
    load_columns(rows, 0, n, scratch, max, anchor_value);
    for (size_t r0 = 0; r0 < rows->count; r0 += LANES) {
        vec top = vload(max + r0), found = vload(anchor_value + r0);
        for (size_t l = 0; l < LANES; l++)
            rows->shift[r0 + l] = 0;
        if (vbits(vless(vset(RANGE), vabs(vmax(found, top)))))
            tile_shift(rows, r0, tile_at(rows, scratch, r0, 0), &top, &found);
        widen_to(rows->max + r0, top);
        widen_to(rows->at_anchor + r0, found);
        widen_to(rows->exponent + r0, exponent_of(top, found));
    }
    for (size_t r0 = 0; r0 < rows->count; r0 += LANES) {
        struct exp_scale scale = exp_range(narrowed(rows->exponent + r0));
        column_exps(tile_at(rows, scratch, r0, 0), n, scale,
                    exp_bound(narrowed(rows->max + r0), scale), rows->sum_without_anchor + r0,
                    rows->sum_without_anchor_low + r0, keep);
    }
}

/* A tile of n classes, a block, with the rows' maxima there. */
INLINE void column_block(T *tile, size_t n, T *max, struct progress *part, const int keep)
{
    T exponent[LANES];
    double hi[LANES], lo[LANES];
    for (size_t l = 0; l < LANES; l++) {
        struct progress *row = &part[l];
        if (max[l] > (T)row->max)
            row->max = (double)max[l];
        progress_rescale(row);
        const T shift = (T)row->shift;
        for (size_t c = 0; shift != 0 && c < n; c++)
            tile[c * LANES + l] = from_shift(tile[c * LANES + l], shift);
        max[l] = from_shift((T)row->max, shift);
        exponent[l] = (T)row->exponent;
    }
    struct exp_scale scale = exp_range(vload(exponent));
    column_exps(tile, n, scale, exp_bound(vload(max), scale), hi, lo, keep);
    for (size_t l = 0; l < LANES; l++) {
        progress_add(&part[l], hi[l], lo[l]);
        part[l].factor[part[l].blocks++] = 1;
    }
}

/* The statistics of segment s of all rows. */
INLINE void column_segment(struct rows *rows, size_t s, struct scratch *scratch,
                           struct progress *part, const int keep)
{
    const size_t first = s * SEGMENT, left = rows->classes - first;
    const size_t end = first + (left < SEGMENT ? left : SEGMENT), count = padded_count(rows);
    for (size_t r = 0; r < count; r++) {
        part[r] = (struct progress){.factor = segment_factors(rows, r, s, scratch, NULL)};
        part[r].max = -INFINITY;
        part[r].anchor = rows->at_anchor[r];
        part[r].at = (size_t)rows->anchor[r];
    }
    for (size_t base = first; base < end; base += BLOCK) {
        const size_t n = end - base < BLOCK ? end - base : BLOCK;
        T max[GROUP], anchor_value[GROUP];
        load_columns(rows, base, n, scratch, max, anchor_value);
        for (size_t r0 = 0; r0 < count; r0 += LANES)
            column_block(tile_at(rows, scratch, r0, base), n, max + r0, part + r0, keep);
    }
}

INLINE void long_columns(struct rows *rows, struct scratch *scratch, const int keep)
{
    struct progress row[GROUP], next[GROUP];
    for (size_t r = 0; r < padded_count(rows); r++)
        rows->at_anchor[r] = (double)*(const T *)(rows->x[r] + rows->anchor[r] * rows->x_step);
    column_segment(rows, 0, scratch, row, keep);
    for (size_t s = 1; s * SEGMENT < rows->classes; s++) {
        column_segment(rows, s, scratch, next, keep);
        for (size_t r = 0; r < rows->count; r++)
            progress_join(&row[r], &next[r], 0);
    }
    for (size_t r = 0; r < rows->count; r++)
        join_segments(rows, r, &row[r], 1);
}

static void column_rows(struct rows *rows, struct scratch *scratch, enum crossent_output output)
{
    const int keep = keeps_exps(output);
    if (rows->classes <= BLOCK && keep)
        block_columns(rows, scratch, 1);
    else if (rows->classes <= BLOCK)
        block_columns(rows, scratch, 0);
    else if (keep)
        long_columns(rows, scratch, 1);
    else
        long_columns(rows, scratch, 0);
}

/* out = e * pre * scale, classes [base, base + n), in the order of gather_chunk. */
INLINE void scatter_block(const struct rows *rows, const struct scratch *scratch, size_t base,
                          size_t n, const T *pre, const T *scale, const int twice)
{
    const T *tile = tile_at(rows, scratch, 0, base);
    size_t run[GROUP];
    T lane[LANES];
    find_runs(rows->out, rows->count, run);
    for (size_t c = base; c < base + n; c++, tile += LANES) {
        const ptrdiff_t at = (ptrdiff_t)c * rows->out_step;
        for (size_t r0 = 0; r0 < rows->count; r0 += LANES) {
            vec v = vload(tile + r0 * rows->classes);
            if (twice)
                v = v * vload(pre + r0);
            v = v * vload(scale + r0);
            if (run[r0] == LANES) {
                vstore((T *)(rows->out[r0] + at), v);
                continue;
            }
            const size_t lanes = lane_count(rows, r0);
            vstore(lane, v);
            for (size_t l = 0; l < lanes; l += run[r0 + l])
                copy_run((T *)(rows->out[r0 + l] + at), lane + l, run[r0 + l]);
        }
    }
}

static void write_column_rows(const struct rows *rows, const struct scratch *scratch,
                              enum crossent_output output)
{
    const double *anchor_value =
        output == CROSSENT_GRADIENT ? rows->anchor_gradient : rows->anchor_p;
    T scale[GROUP] = {0}, pre[GROUP] = {0};
    for (size_t base = 0; base < rows->classes; base += BLOCK) {
        const size_t left = rows->classes - base, n = left < BLOCK ? left : BLOCK;
        int twice = 0;
        for (size_t r = 0; r < rows->count; r++) {
            scale[r] = split_scale(rows->scale[r], block_factor(rows, scratch, r, base), &pre[r]);
            twice |= pre[r] != 1;
        }
        if (twice)
            scatter_block(rows, scratch, base, n, pre, scale, 1);
        else
            scatter_block(rows, scratch, base, n, pre, scale, 0);
        for (size_t r = 0; r < rows->count; r++) {
            const size_t at = (size_t)rows->anchor[r];
            if (at - base < n)
                *(T *)(rows->out[r] + (ptrdiff_t)at * rows->out_step) = (T)anchor_value[r];
        }
    }
}
