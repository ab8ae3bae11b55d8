/* Rows of up to TILE_CLASSES classes: LANES rows at a time, one in each lane.
 *
 * A tile is classes x LANES elements; tile r0 / LANES of a group starts at r0 * classes. Rows are
 * padded to whole tiles by repeating the last one (crossent.c), and only `count` rows are written.
 */
#ifndef T
#error "short_rows.inc.h: define T, SUFFIX and IS_DOUBLE"
#endif

/* How many rows of the tile at r0 are not padding. */
static inline size_t lane_count(const struct rows *rows, size_t r0)
{
    return rows->count - r0 < LANES ? rows->count - r0 : LANES;
}

static inline int adjacent(char *const *p, size_t n)
{
    for (size_t i = 1; i < n; i++)
        if (p[i] != p[0] + i * sizeof(T))
            return 0;
    return 1;
}

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
    } else if (adjacent(x, LANES)) {
        for (size_t c = 0; c < classes; c++)
            vstore(tile + c * LANES, vload((const T *)(x[0] + (ptrdiff_t)c * rows->x_step)));
    } else {
        for (size_t c = 0; c < classes; c++)
            for (size_t l = 0; l < LANES; l++)
                tile[c * LANES + l] = *(const T *)(x[l] + (ptrdiff_t)c * rows->x_step);
    }
}

/* out[row r0 + lane][c] = tile[c][lane], for the rows that are not padding */
static inline void tile_store(const struct rows *rows, size_t r0, const T *tile)
{
    char *const *out = rows->out + r0;
    const size_t classes = rows->classes, lanes = lane_count(rows, r0);
    if (rows->out_step == (ptrdiff_t)sizeof(T)) {
        for (size_t c = 0; c < classes; c += LANES) {
            vec v[LANES];
            for (size_t k = 0; k < LANES; k++)
                v[k] = vload(tile + (c + k < classes ? c + k : c) * LANES);
            vtranspose(v);
            for (size_t l = 0; l < lanes; l++)
                vstore_part((T *)out[l] + c, classes - c, v[l]);
        }
    } else {
        for (size_t c = 0; c < classes; c++)
            for (size_t l = 0; l < lanes; l++)
                *(T *)(out[l] + (ptrdiff_t)c * rows->out_step) = tile[c * LANES + l];
    }
}

/* Counts the rows whose maximum is beyond exact reduction from that maximum. */
static inline vec tile_shift(struct rows *rows, size_t r0, T *tile, vec max)
{
    T top[LANES];
    vstore(top, max);
    for (size_t l = 0; l < LANES; l++) {
        T shift = reference(top[l]);
        rows->shift[r0 + l] = (double)shift;
        if (shift == 0)
            continue;
        rows->shifted = 1;
        for (size_t c = 0; c < rows->classes; c++)
            tile[c * LANES + l] = from_shift(tile[c * LANES + l], shift);
        top[l] = 0;
    }
    return vload(top);
}

/* The maxima; `search`: also where they first are, into rows->anchor. */
static inline vec tile_maxima(struct rows *rows, size_t r0, const T *tile, const int search)
{
    vec max = vset(-(T)INFINITY), where = vset(0);
    for (size_t c = 0; c < rows->classes; c++) {
        vec v = vload(tile + c * LANES);
        if (search)
            where = vselect(vless(max, v), vset((T)c), where);
        max = vmax(v, max);
    }
    if (search) {
        T index[LANES];
        vstore(index, where);
        for (size_t l = 0; l < LANES; l++)
            rows->anchor[r0 + l] = (int64_t)index[l];
    }
    return max;
}

/* The exponentials of n <= 4 classes from c on; all but the anchors' join the sum. */
static inline __attribute__((always_inline)) void
tile_exps(T *tile, size_t c, vec anchor, struct exp_scale scale, struct accumulator *sum,
          const int n, const int keep)
{
    for (int i = 0; i < n; i++) {
        T *here = tile + (c + (size_t)i) * LANES;
        vec e = exp_scaled(vload(here), scale);
        if (keep)
            vstore(here, e);
        sum_add(sum, 0, vselect(vequal(vset((T)(c + (size_t)i)), anchor), vset(0), e));
    }
}

static inline __attribute__((always_inline)) void
tile_sum(T *tile, size_t classes, vec anchor, struct exp_scale scale, struct accumulator *sum,
         const int keep)
{
    size_t c = 0;
    for (; c + 4 <= classes; c += 4)
        tile_exps(tile, c, anchor, scale, sum, 4, keep);
    switch (classes - c) {
    case 1: tile_exps(tile, c, anchor, scale, sum, 1, keep); break;
    case 2: tile_exps(tile, c, anchor, scale, sum, 2, keep); break;
    case 3: tile_exps(tile, c, anchor, scale, sum, 3, keep); break;
    }
}

static void short_rows(struct rows *rows, struct scratch *scratch, enum crossent_output output)
{
    const int keep = output == CROSSENT_GRADIENT || output == CROSSENT_SOFTMAX;
    for (size_t r0 = 0; r0 < rows->count; r0 += LANES) {
        T *tile = (T *)scratch->tile + r0 * rows->classes, anchor[LANES];
        tile_load(rows, r0, tile);
        vec max = rows->anchor[r0] < 0 ? tile_maxima(rows, r0, tile, 1)
                                       : tile_maxima(rows, r0, tile, 0);
        for (size_t l = 0; l < LANES; l++)
            rows->shift[r0 + l] = 0;
        vec within = vabs(max) - vset(RANGE);
        if (vbits(vless(vset(0), within)))
            max = tile_shift(rows, r0, tile, max);
        for (size_t l = 0; l < LANES; l++) {
            anchor[l] = (T)rows->anchor[r0 + l];
            rows->at_anchor[r0 + l] = (double)tile[(size_t)rows->anchor[r0 + l] * LANES + l];
        }
        vec exponent = exponent_of(max);
        struct accumulator sum;
        sum_clear(&sum);
        if (keep)
            tile_sum(tile, rows->classes, vload(anchor), exp_range(exponent), &sum, 1);
        else
            tile_sum(tile, rows->classes, vload(anchor), exp_range(exponent), &sum, 0);
        for (int part = 0; part < PARTS; part++) {
            size_t at = r0 + (size_t)(part * LANES_f64);
            vstore_f64(rows->max + at, vwiden(max, part));
            vstore_f64(rows->exponent + at, vwiden(exponent, part));
            vstore_f64(rows->others + at, sum.hi[part]);
            vstore_f64(rows->others_low + at, sum.lo[part]);
        }
    }
}

/* LANES numbers of a statistic as a vec. */
static inline vec narrowed(const double *p)
{
    vec_f64 parts[PARTS];
    for (int part = 0; part < PARTS; part++)
        parts[part] = vload_f64(p + part * LANES_f64);
    return vnarrow(parts);
}

/* The rows' scales, and what to multiply by before (see scale_elements). */
static inline vec tile_scale(const struct rows *rows, size_t r0, vec *pre)
{
    T scale[LANES], first[LANES];
    vec v = narrowed(rows->scale + r0);
    *pre = vset(1);
    if (!vbits(vless(vabs(v), vset(TINY))))
        return v;
    vstore(scale, v);
    for (size_t l = 0; l < LANES; l++) {
        first[l] = is_tiny(scale[l]) ? UNSCALE : 1;
        if (is_tiny(scale[l]))
            scale[l] = (T)(rows->scale[r0 + l] / (double)UNSCALE);
    }
    *pre = vload(first);
    return vload(scale);
}

static void write_short_rows(const struct rows *rows, struct scratch *scratch,
                             enum crossent_output output)
{
    for (size_t r0 = 0; r0 < rows->count; r0 += LANES) {
        T *tile = (T *)scratch->tile + r0 * rows->classes;
        vec pre, scale = tile_scale(rows, r0, &pre);
        vec max = narrowed(rows->max + r0), log_sum = narrowed(rows->loss + r0);
        for (size_t c = 0; c < rows->classes; c++) {
            vec v = vload(tile + c * LANES);
            vstore(tile + c * LANES,
                   output == CROSSENT_LOG_SOFTMAX ? (v - max) - log_sum : v * pre * scale);
        }
        if (output == CROSSENT_GRADIENT)
            for (size_t l = 0; l < LANES; l++)
                tile[(size_t)rows->anchor[r0 + l] * LANES + l] = (T)rows->anchor_gradient[r0 + l];
        tile_store(rows, r0, tile);
    }
}
