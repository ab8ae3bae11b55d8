/* Rows of up to TILE_CLASSES classes: LANES rows at a time, one in each lane.
 *
 * A tile is classes x LANES elements; tile r0 / LANES of a group starts at r0 * classes. Rows are
 * padded to whole tiles by repeating the last one (crossent.c), and only `count` rows are written.
 */
#ifndef T
#error "short_rows.inc.h: define T, SUFFIX and IS_DOUBLE"
#endif

/* tile[c][lane] = x[row r0 + lane][c] */
static inline void tile_load(const struct rows *rows, size_t r0, T *tile)
{
    char *const *x = (char *const *)(rows->x + r0);
    const size_t classes = rows->classes;
    if (rows->x_step == (ptrdiff_t)sizeof(T)) {
        for (size_t c = 0; c < classes; c += LANES) {
            vec v[LANES];
            for (int l = 0; l < LANES; l++)
                v[l] = vload_part((const T *)x[l] + c, classes - c, vset(0));
            vtranspose(v);
            for (size_t k = 0; k < LANES && c + k < classes; k++)
                vstore(tile + (c + k) * LANES, v[k]);
        }
    } else if (adjacent(x, lane_count(rows, r0))) {
        const size_t lanes = lane_count(rows, r0);
        for (size_t c = 0; c < classes; c++) {
            const T *at = (const T *)(x[0] + (ptrdiff_t)c * rows->x_step);
            vstore(tile + c * LANES, vload_part(at, lanes, vset(0)));
        }
    } else {
        for (size_t c = 0; c < classes; c++)
            for (size_t l = 0; l < LANES; l++)
                tile[c * LANES + l] = *(const T *)(x[l] + (ptrdiff_t)c * rows->x_step);
    }
}

/* Where the maxima are. */
static inline vec tile_search(const T *tile, size_t classes)
{
    vec max = vset(-(T)INFINITY), where = vset(0);
    for (size_t c = 0; c < classes; c++) {
        vec v = vload(tile + c * LANES);
        where = vselect(vless(max, v), vset((T)c), where);
        max = vmax(v, max);
    }
    return where;
}

/* The maxima of all but the anchors; -inf where there is no other number. And the anchors' own. */
static inline vec tile_maxima(const T *tile, size_t classes, vec anchor, vec *at_anchor)
{
    const vec none = vset(-(T)INFINITY);
    vec even = none, odd = none, own = none, c = vset(0);
    size_t i = 0;
    for (; i + 2 <= classes; i += 2, c = c + vset(2)) {
        vec v = vload(tile + i * LANES), w = vload(tile + (i + 1) * LANES);
        mask first = vequal(c, anchor), second = vequal(c + vset(1), anchor);
        own = vselect(second, w, vselect(first, v, own));
        even = vmax(vselect(first, none, v), even);
        odd = vmax(vselect(second, none, w), odd);
    }
    if (i < classes) {
        vec v = vload(tile + i * LANES);
        mask last = vequal(c, anchor);
        own = vselect(last, v, own);
        even = vmax(vselect(last, none, v), even);
    }
    *at_anchor = own;
    return vmax(even, odd);
}

/* Counts rows whose largest logit is beyond exact reduction from that logit. */
static inline void tile_shift(struct rows *rows, size_t r0, T *tile, vec *max, vec *at_anchor)
{
    T others[LANES], own[LANES];
    vstore(others, *max);
    vstore(own, *at_anchor);
    for (size_t l = 0; l < LANES; l++) {
        T shift = reference(own[l] > others[l] ? own[l] : others[l]);
        rows->shift[r0 + l] = (double)shift;
        if (shift == 0)
            continue;
        rows->shifted = 1;
        for (size_t c = 0; c < rows->classes; c++)
            tile[c * LANES + l] = from_shift(tile[c * LANES + l], shift);
        others[l] = from_shift(others[l], shift);
        own[l] = from_shift(own[l], shift);
    }
    *max = vload(others);
    *at_anchor = vload(own);
}

/* The exponentials of n classes; all but the anchors' join the sum. `to_anchor`: classes from here
 * to each lane's anchor. */
INLINE void
tile_exps(T *tile, vec to_anchor, struct exp_scale scale, struct accumulator *sum, const int n,
          const int keep)
{
    for (int i = 0; i < n; i++) {
        vec e = exp_scaled(vload(tile + i * LANES), scale);
        if (keep)
            vstore(tile + i * LANES, e);
        sum_add(sum, 0, vselect(vequal(vset((T)i), to_anchor), vset(0), e));
    }
}

INLINE void
tile_sum(T *tile, size_t classes, vec anchor, struct exp_scale scale, struct accumulator *sum,
         const int keep)
{
    size_t c = 0;
    for (; c + 4 <= classes; c += 4, tile += 4 * LANES, anchor = anchor - vset(4))
        tile_exps(tile, anchor, scale, sum, 4, keep);
    for (; c < classes; c++, tile += LANES, anchor = anchor - vset(1))
        tile_exps(tile, anchor, scale, sum, 1, keep);
}

/* Loads the tile at r0 and finds what its exponentials are scaled by. */
static void tile_prepare(struct rows *rows, size_t r0, T *tile)
{
    tile_load(rows, r0, tile);
    if (rows->anchor[r0] < 0) {
        widen_to(rows->column + r0, tile_search(tile, rows->classes));
        for (size_t r = r0; r < r0 + LANES; r++)
            rows->anchor[r] = (int64_t)rows->column[r];
    }
    vec at_anchor, max = tile_maxima(tile, rows->classes, narrowed(rows->column + r0), &at_anchor);
    for (size_t r = r0; r < r0 + LANES; r++)
        rows->shift[r] = 0;
    if (vbits(vless(vset(RANGE), vabs(vmax(at_anchor, max)))))
        tile_shift(rows, r0, tile, &max, &at_anchor);
    widen_to(rows->max + r0, max);
    widen_to(rows->at_anchor + r0, at_anchor);
    widen_to(rows->exponent + r0, exponent_of(max, at_anchor));
}

INLINE void
tile_statistics(struct rows *rows, size_t r0, T *tile, const int keep)
{
    struct exp_scale scale = exp_range(narrowed(rows->exponent + r0));
    struct accumulator sum;
    sum_clear(&sum, exp_bound(narrowed(rows->max + r0), scale));
    tile_sum(tile, rows->classes, narrowed(rows->column + r0), scale, &sum, keep);
    for (int part = 0; part < PARTS; part++) {
        vec_f64 lo, hi = sum_lanes(&sum, 0, part, &lo);
        vstore_f64(rows->others + r0 + part * LANES_f64, hi);
        vstore_f64(rows->others_low + r0 + part * LANES_f64, lo);
    }
}

/* Tile after tile in two passes: a pass of one tile does not wait for the other pass of another. */
static void short_rows(struct rows *rows, struct scratch *scratch, enum crossent_output output)
{
    const int keep = output == CROSSENT_GRADIENT || output == CROSSENT_SOFTMAX;
    T *tiles = (T *)scratch->tile;
    for (size_t r = 0; r < (rows->count + LANES - 1) / LANES * LANES; r++)
        rows->column[r] = (double)rows->anchor[r];
    for (size_t r0 = 0; r0 < rows->count; r0 += LANES)
        tile_prepare(rows, r0, tiles + r0 * rows->classes);
    for (size_t r0 = 0; r0 < rows->count; r0 += LANES)
        if (keep)
            tile_statistics(rows, r0, tiles + r0 * rows->classes, 1);
        else
            tile_statistics(rows, r0, tiles + r0 * rows->classes, 0);
}

/* The rows' scales, and what to multiply by before (see scale_elements). */
static inline vec tile_scale(const struct rows *rows, size_t r0, vec *pre)
{
    T scale[LANES], first[LANES];
    vec v = narrowed(rows->scale + r0);
    *pre = vset(1);
    if (!vbits(vless(vabs(v), vset(TINY))))
        return v;
    for (size_t l = 0; l < LANES; l++)
        scale[l] = split_scale(rows->scale[r0 + l], 1, &first[l]);
    *pre = vload(first);
    return vload(scale);
}

/* What a tile's exponentials, or its logits, become: gradients and probabilities, or log(softmax). */
struct F(finish) {
    vec anchor, own, pre, scale, max, log_sum;
};

INLINE vec finished(const T *tile, size_t c, const struct F(finish) *f, const int logs)
{
    vec v = vload(tile + c * LANES);
    if (logs)
        return (v - f->max) - f->log_sum;
    return vselect(vequal(vset((T)c), f->anchor), f->own, v * f->pre * f->scale);
}

/* out[row r0 + lane][c] from tile[c][lane], for the rows that are not padding. */
INLINE void
write_tile(const struct rows *rows, size_t r0, const T *tile, const struct F(finish) *f,
           const int logs)
{
    char *const *out = rows->out + r0;
    const size_t classes = rows->classes, lanes = lane_count(rows, r0);
    if (rows->out_step == (ptrdiff_t)sizeof(T)) {
        for (size_t c = 0; c < classes; c += LANES) {
            vec v[LANES];
            for (size_t k = 0; k < LANES; k++)
                v[k] = finished(tile, c + k < classes ? c + k : c, f, logs);
            vtranspose(v);
            for (size_t l = 0; l < lanes; l++)
                vstore_part((T *)out[l] + c, classes - c, v[l]);
        }
    } else if (adjacent(out, lanes)) {
        for (size_t c = 0; c < classes; c++)
            vstore_part((T *)(out[0] + (ptrdiff_t)c * rows->out_step), lanes,
                        finished(tile, c, f, logs));
    } else {
        for (size_t c = 0; c < classes; c++) {
            T lane[LANES];
            vstore(lane, finished(tile, c, f, logs));
            for (size_t l = 0; l < lanes; l++)
                *(T *)(out[l] + (ptrdiff_t)c * rows->out_step) = lane[l];
        }
    }
}

static void write_short_rows(const struct rows *rows, struct scratch *scratch,
                             enum crossent_output output)
{
    const double *own = output == CROSSENT_GRADIENT ? rows->anchor_gradient : rows->anchor_p;
    for (size_t r0 = 0; r0 < rows->count; r0 += LANES) {
        const T *tile = (const T *)scratch->tile + r0 * rows->classes;
        struct F(finish) f = {.anchor = narrowed(rows->column + r0)};
        f.own = narrowed(own + r0);
        f.scale = tile_scale(rows, r0, &f.pre);
        f.max = narrowed(rows->at_anchor + r0);
        f.log_sum = narrowed(rows->loss + r0);
        if (output == CROSSENT_LOG_SOFTMAX)
            write_tile(rows, r0, tile, &f, 1);
        else
            write_tile(rows, r0, tile, &f, 0);
    }
}
