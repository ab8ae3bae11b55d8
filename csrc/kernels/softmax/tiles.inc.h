/* Rows of up to TILE_CLASSES classes: LANES rows at a time, one in each lane.
 *
 * A tile is classes x LANES elements; tile r0 / LANES of a group starts at r0 * classes. Rows are
 * padded to whole tiles by repeating the last one (pad_rows), and only `count` rows are written.
 */
/* tile[c][lane] = p[lane][c], rows of contiguous classes */
static inline void tile_gather(char *const *p, size_t classes, T *tile)
{
    for (size_t c = 0; c < classes; c += LANES) {
        vec v[LANES];
        for (int l = 0; l < LANES; l++)
            v[l] = vload_part((const T *)p[l] + c, classes - c, vset(0));
        vtranspose(v);
        for (size_t k = 0; k < LANES && c + k < classes; k++)
            vstore(tile + (c + k) * LANES, v[k]);
    }
}

/* tile[c][lane] = x[row r0 + lane][c] */
static inline void tile_load(const struct rows *rows, size_t r0, T *tile)
{
    char *const *x = (char *const *)(rows->x + r0);
    const size_t classes = rows->classes;
    if (rows->x_step == (ptrdiff_t)sizeof(T)) {
        tile_gather(x, classes, tile);
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

/* The logits of a tile as the loss sees them. */
static void tile_change(const struct rows *rows, size_t r0, T *tile)
{
    char *const *class_mask = rows->class_mask + r0;
    int shared = 1;
    if (rows->logit_transform.factor != 1)
        transform_elements(&rows->logit_transform, tile, NULL, tile, rows->classes * LANES);
    if (!class_mask[0])
        return;
    for (size_t l = 1; l < LANES; l++)
        shared &= class_mask[l] == class_mask[0];
    for (size_t c = 0; c < rows->classes; c++) {
        const ptrdiff_t at = (ptrdiff_t)c * rows->logit_transform.mask_step;
        T kept[LANES];
        if (shared && class_mask[0][at])
            continue;
        for (size_t l = 0; l < LANES; l++)
            kept[l] = (T)class_mask[l][at];
        vec v = vselect(vequal(vload(kept), vset(0)), vset(-(T)INFINITY), vload(tile + c * LANES));
        vstore(tile + c * LANES, v);
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
    vec even = none, odd = none, anchor_value = none, c = vset(0);
    size_t i = 0;
    for (; i + 2 <= classes; i += 2, c = c + vset(2)) {
        vec v = vload(tile + i * LANES), w = vload(tile + (i + 1) * LANES);
        mask first = vequal(c, anchor), second = vequal(c + vset(1), anchor);
        anchor_value = vselect(second, w, vselect(first, v, anchor_value));
        even = vmax(vselect(first, none, v), even);
        odd = vmax(vselect(second, none, w), odd);
    }
    if (i < classes) {
        vec v = vload(tile + i * LANES);
        mask last = vequal(c, anchor);
        anchor_value = vselect(last, v, anchor_value);
        even = vmax(vselect(last, none, v), even);
    }
    *at_anchor = anchor_value;
    return vmax(even, odd);
}

/* Counts rows whose largest logit is beyond exact reduction from that logit. */
static inline void tile_shift(struct rows *rows, size_t r0, T *tile, vec *max, vec *at_anchor)
{
    T others[LANES], anchor_value[LANES];
    vstore(others, *max);
    vstore(anchor_value, *at_anchor);
    for (size_t l = 0; l < LANES; l++) {
        T shift = reference(anchor_value[l] > others[l] ? anchor_value[l] : others[l]);
        rows->shift[r0 + l] = (double)shift;
        if (shift == 0)
            continue;
        rows->shifted = 1;
        for (size_t c = 0; c < rows->classes; c++)
            tile[c * LANES + l] = from_shift(tile[c * LANES + l], shift);
        others[l] = from_shift(others[l], shift);
        anchor_value[l] = from_shift(anchor_value[l], shift);
    }
    *max = vload(others);
    *at_anchor = vload(anchor_value);
}

/* The exponentials of n classes; all but the anchors' join the sum. `to_anchor`: classes from here
 * to each lane's anchor. */
INLINE void
tile_exps(T *tile, vec to_anchor, struct exp_scale scale, struct accumulator *sum, const int n,
          const int keep)
{
    vec e[4];
    for (int i = 0; i < n; i++)
        e[i] = vmax(scale.low, vload(tile + i * LANES));
    for (int i = 0; i < n; i += 2)
        exps_reduced(e + i, scale.rounder, n > 1 ? 2 : 1);
    for (int i = 0; keep && i < n; i++)
        vstore(tile + i * LANES, e[i]);
    for (int i = 0; i < n; i++)
        sum_add(sum, 0, vselect(vequal(vset((T)i), to_anchor), vset(0), e[i]));
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

/* Each row's sum of top - x_j, top the largest logit (struct rows). */
static inline void tile_distances(struct rows *rows, size_t r0, const T *tile, vec top)
{
    const vec_f64 unit = vset_f64(0x1p-64 / SUM_SCALE), zero = vset_f64(0);
    const vec_f64 classes = vset_f64((double)rows->classes * SUM_SCALE);
    struct totals sum;
    totals_clear(&sum);
    for (size_t c = 0; c < rows->classes; c++)
        totals_add(&sum, 0, vload(tile + c * LANES) * vset(SUM_SCALE));
    for (int part = 0; part < PARTS; part++) {
        vec_f64 most = vwiden(top, part), all = classes * most, low;
        vec_f64 lost = vfma_f64(classes, most, zero - all);
        all = two_sum(all, zero - sum.hi[part], &low);
        vstore_f64(rows->distances + r0 + part * LANES_f64, all * unit);
        vstore_f64(rows->distances_low + r0 + part * LANES_f64,
                   (low + (lost - sum.lo[part])) * unit);
    }
}

/* The only class of each row's target, or `other` where there are more. */
static inline vec tile_only(const T *t, size_t classes, vec other)
{
    const vec zero = vset(0), one = vset(1);
    vec count = zero, where = zero;
    for (size_t c = 0; c < classes; c++) {
        mask none = vequal(vload(t + c * LANES), zero);
        count = count + vselect(none, zero, one);
        where = vselect(none, where, vset((T)c));
    }
    return vselect(vequal(count, one), where, other);
}

/* What each row's label has besides a shared target joins the sums, or the anchor. */
static inline void tile_label_targets(struct rows *rows, size_t r0, const T *tile)
{
    for (size_t l = 0; l < lane_count(rows, r0); l++) {
        const size_t r = r0 + l, label = (size_t)rows->label[r], k = (size_t)rows->anchor[r];
        const double more = rows->label_target[r];
        if (label == k) {
            rows->t_anchor[r] += more;
        } else {
            const double x_k = (double)tile[k * LANES + l];
            rows->distances[r] += more * (x_k - (double)tile[label * LANES + l]);
            rows->t_rest[r] += more;
        }
    }
}

/* The sums of soft_sums, in lanes. */
static inline void tile_soft_sums(struct rows *rows, size_t r0, const T *tile, const T *t, vec top,
                                  vec anchor)
{
    const vec zero = vset(0);
    struct totals distance, weight;
    vec anchor_value = zero;
    top = vselect(vequal(top, vset(-(T)INFINITY)), zero, top);
    totals_clear(&distance);
    totals_clear(&weight);
    for (size_t c = 0; c < rows->classes; c++) {
        vec v = vload(t + c * LANES);
        mask at = vequal(vset((T)c), anchor);
        anchor_value = vselect(at, v, anchor_value);
        v = vselect(at, zero, v);
        vec x = vselect(vequal(v, zero), top, vload(tile + c * LANES));
        for (int p = 0; p < PARTS; p++)
            distance_add(&distance, &weight, p, vwiden(top, p), vwiden(x, p), vwiden(v, p),
                         vset_f64(0), 0);
    }
    widen_to(rows->t_anchor + r0, anchor_value);
    for (int part = 0; part < PARTS; part++) {
        const size_t r = r0 + (size_t)(part * LANES_f64);
        vec_f64 low, others = two_sum(weight.hi[part], weight.lo[part], &low);
        vstore_f64(rows->distances + r, distance.hi[part]);
        vstore_f64(rows->distances_low + r, distance.lo[part]);
        vstore_f64(rows->t_rest + r, others);
        vstore_f64(rows->t_rest_low + r, low);
    }
    for (size_t l = 0; l < lane_count(rows, r0); l++) {
        const size_t r = r0 + l, k = (size_t)rows->anchor[r];
        if (isfinite(rows->distances[r]))
            continue;
        rows->distances[r] = far_distance(tile + l, t + l, LANES, rows->classes, k,
                                          (double)tile[k * LANES + l]);
        rows->distances_low[r] = 0;
    }
    if (rows->shared_target)
        tile_label_targets(rows, r0, tile);
}

/* Loads the tile at r0 and finds what its exponentials are scaled by. */
static void tile_prepare(struct rows *rows, size_t r0, T *tile, T *t)
{
    tile_load(rows, r0, tile);
    if (rows->logit_transform.on)
        tile_change(rows, r0, tile);
    if (rows->soft)
        tile_gather((char *const *)(rows->t + r0), rows->classes, t);
    if (rows->anchor[r0] < 0) {
        vec found = tile_search(tile, rows->classes);
        if (rows->soft && !rows->shared_target)
            found = tile_only(t, rows->classes, found);
        widen_to(rows->column + r0, found);
        for (size_t r = r0; r < r0 + LANES; r++)
            rows->anchor[r] = (int64_t)rows->column[r];
    }
    vec at_anchor, max = tile_maxima(tile, rows->classes, narrowed(rows->column + r0), &at_anchor);
    for (size_t r = r0; r < r0 + LANES; r++)
        rows->shift[r] = 0;
    if (rows->soft)
        tile_soft_sums(rows, r0, tile, t, at_anchor, narrowed(rows->column + r0));
    if (vbits(vless(vset(RANGE), vabs(vmax(at_anchor, max)))))
        tile_shift(rows, r0, tile, &max, &at_anchor);
    if (rows->smoothing.on)
        tile_distances(rows, r0, tile, vmax(at_anchor, max));
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
        vstore_f64(rows->sum_without_anchor + r0 + part * LANES_f64, hi);
        vstore_f64(rows->sum_without_anchor_low + r0 + part * LANES_f64, lo);
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
        tile_prepare(rows, r0, tiles + r0 * rows->classes,
                     (T *)scratch->target + r0 * rows->classes);
    for (size_t r0 = 0; r0 < rows->count; r0 += LANES)
        if (keep)
            tile_statistics(rows, r0, tiles + r0 * rows->classes, 1);
        else
            tile_statistics(rows, r0, tiles + r0 * rows->classes, 0);
}

/* The rows' scales, or others, and what to multiply by before (see scale_elements). */
static inline vec tile_scale(const double *scales, vec *pre)
{
    T scale[LANES], first[LANES];
    vec v = narrowed(scales);
    *pre = vset(1);
    if (!vbits(vless(vabs(v), vset(TINY))))
        return v;
    for (size_t l = 0; l < LANES; l++)
        scale[l] = split_scale(scales[l], 1, &first[l]);
    *pre = vload(first);
    return vload(scale);
}

/* What smoothing, or t_j times this, takes from the rows' gradients, negative. */
static inline vec tile_shares(const struct rows *rows, size_t r0)
{
    double less[LANES] = {0};
    const size_t lanes = lane_count(rows, r0);
    for (size_t l = 0; rows->smoothing.on && l < lanes; l++)
        less[l] = 0 - rows->target_scale[r0 + l] * rows->smoothing.share.hi;
    for (size_t l = 0; rows->soft && l < lanes; l++)
        less[l] = 0 - target_factor(rows->target_scale[r0 + l], rows->t_rest[r0 + l]);
    return narrowed(less);
}

/* What a tile's exponentials, or its logits, become: gradients, probabilities, log(softmax). */
struct finish {
    const T *t;
    vec anchor, anchor_value, pre, scale, less, factor, top, max, log_sum;
};

INLINE vec finished(const T *tile, size_t c, const struct finish *f, const enum finishes kind)
{
    vec v = vload(tile + c * LANES);
    if (kind == LOGS)
        return (v - f->max) - f->log_sum;
    v = scale_lanes(v * f->pre, f->scale, f->less, kind == FINISH_SHARE);
    if (kind == FINISH_TARGET)
        v = vfma(f->less, vload(f->t + c * LANES), v);
    if (kind == CURVED)
        v = hessian_wanted(v, f->factor, f->top);
    return vselect(vequal(vset((T)c), f->anchor), f->anchor_value, v);
}

/* out[row r0 + lane][c] from tile[c][lane], for the rows that are not padding. */
INLINE void
write_tile(const struct rows *rows, size_t r0, const T *tile, const struct finish *f,
           char *const *out, ptrdiff_t step, const enum finishes kind)
{
    out += r0;
    const size_t classes = rows->classes, lanes = lane_count(rows, r0);
    if (step == (ptrdiff_t)sizeof(T)) {
        for (size_t c = 0; c < classes; c += LANES) {
            vec v[LANES];
            for (size_t k = 0; k < LANES; k++)
                v[k] = finished(tile, c + k < classes ? c + k : c, f, kind);
            vtranspose(v);
            for (size_t l = 0; l < lanes; l++)
                vstore_part((T *)out[l] + c, classes - c, v[l]);
        }
    } else if (adjacent(out, lanes)) {
        for (size_t c = 0; c < classes; c++)
            vstore_part((T *)(out[0] + (ptrdiff_t)c * step), lanes,
                        finished(tile, c, f, kind));
    } else {
        for (size_t c = 0; c < classes; c++) {
            T lane[LANES];
            vstore(lane, finished(tile, c, f, kind));
            for (size_t l = 0; l < lanes; l++)
                *(T *)(out[l] + (ptrdiff_t)c * step) = lane[l];
        }
    }
}

/* The same as curved_top, of the rows of a tile. */
static inline vec tile_tops(const struct rows *rows, size_t r0, const T *tile,
                            const struct finish *f, const double *a)
{
    const vec half = vset((T)0.5), zero = vset(0);
    vec_f64 sum[PARTS], low[PARTS];
    for (int part = 0; part < PARTS; part++)
        sum[part] = low[part] = vset_f64(0);
    for (size_t c = 0; c < rows->classes; c++) {
        vec v = vload(tile + c * LANES);
        v = vselect(vless(half, v * f->pre * f->scale), zero, v);
        v = vselect(vequal(vset((T)c), f->anchor), zero, v);
        for (int part = 0; part < PARTS; part++) {
            vec_f64 lost;
            sum[part] = two_sum(sum[part], vwiden(v, part), &lost);
            low[part] = low[part] + lost;
        }
    }
    for (int part = 0; part < PARTS; part++) {
        const size_t r = r0 + (size_t)(part * LANES_f64);
        vec_f64 rest = (sum[part] + low[part]) * vload_f64(rows->inverse + r);
        rest = rest + vload_f64(rows->anchor_p + r);
        sum[part] = vload_f64(a + part * LANES_f64) * rest * (vset_f64(1) - rest);
    }
    return vnarrow(sum);
}

static void write_curved_tile(const struct rows *rows, size_t r0, const T *tile)
{
    double anchor_value[LANES] = {0}, factor[LANES] = {0};
    for (size_t l = 0; l < lane_count(rows, r0); l++) {
        factor[l] = rows->hessian[r0 + l] * rows->hessian_factor;
        anchor_value[l] = factor[l] * rows->anchor_p[r0 + l] * rows->one_minus_p_anchor[r0 + l];
    }
    struct finish f = {.anchor = narrowed(rows->column + r0)};
    f.anchor_value = narrowed(anchor_value);
    f.factor = narrowed(factor);
    f.scale = tile_scale(rows->inverse + r0, &f.pre);
    f.top = tile_tops(rows, r0, tile, &f, factor);
    write_tile(rows, r0, tile, &f, rows->hessian_at, sizeof(T), CURVED);
}

static void write_short_rows(const struct rows *rows, struct scratch *scratch,
                             enum crossent_output output)
{
    const double *anchor_value =
        output == CROSSENT_GRADIENT ? rows->anchor_gradient : rows->anchor_p;
    for (size_t r0 = 0; r0 < rows->count; r0 += LANES) {
        const T *tile = (const T *)scratch->tile + r0 * rows->classes;
        struct finish f = {.anchor = narrowed(rows->column + r0)};
        f.t = (const T *)scratch->target + r0 * rows->classes;
        f.anchor_value = narrowed(anchor_value + r0);
        f.scale = tile_scale(rows->scale + r0, &f.pre);
        f.less = tile_shares(rows, r0);
        f.max = narrowed(rows->at_anchor + r0);
        f.log_sum = narrowed(rows->loss + r0);
        if (rows->hessian_wanted)
            write_curved_tile(rows, r0, tile);
        if (output == CROSSENT_LOG_SOFTMAX)
            write_tile(rows, r0, tile, &f, rows->out, rows->out_step, LOGS);
        else if (rows->soft)
            write_tile(rows, r0, tile, &f, rows->out, rows->out_step, FINISH_TARGET);
        else if (rows->smoothing.on)
            write_tile(rows, r0, tile, &f, rows->out, rows->out_step, FINISH_SHARE);
        else
            write_tile(rows, r0, tile, &f, rows->out, rows->out_step, SCALED);
    }
}
