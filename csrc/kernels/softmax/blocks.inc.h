/* Rows of TILE_CLASSES + 1 to BLOCK classes, pass by pass: all maxima of a group, then all
 * exponentials, then all outputs, so that a row's chain of dependent steps is hidden behind the
 * other rows'. The same operations on each row as in softmax/segments.inc.h.
 *
 * a) No branch asks where the anchor lies: of labels that is a new guess for each row, and a wrong
 *    one takes as long as some 30 exponentials. The maximum is that of all classes, unless it is
 *    the anchor's; the anchor's exponential is set to 0 before the sum.
 * b) A row is added up beside the next row's exponentials. By then what was stored is at rest: a
 *    load that covers the 0 just stored would wait for it.
 * c) The last classes of a row are a whole register, which overlaps the one before.
 */
/* The largest of n >= LANES numbers, NaNs passed over; `adding`: their sum, times SUM_SCALE. */
INLINE T row_max(const T *x, size_t n, struct totals *sum, const int adding)
{
    const vec none = vset(-(T)INFINITY);
    vec top[4] = {none, none, none, none};
    size_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (int k = 0; k < 4; k++)
            top[k] = vmax(vload(x + i + k * LANES), top[k]);
    for (; i + LANES <= n; i += LANES)
        top[0] = vmax(vload(x + i), top[0]);
    top[1] = vmax(vload(x + n - LANES), top[1]);
    if (adding) {
        totals_clear(sum);
        totals_add_all(sum, x, n);
    }
    return vtop(vmax(vmax(top[0], top[1]), vmax(top[2], top[3])));
}

/* The first of n >= LANES numbers that is `value`; 0 where none is, among NaNs. Without a branch:
 * where it lies is a new guess for each row. */
INLINE size_t row_find(const T *x, size_t n, T value)
{
    const vec wanted = vset(value);
    unsigned bits = vbits(vequal(vload(x + n - LANES), wanted));
    size_t found = bits ? n - LANES + (size_t)__builtin_ctz(bits) : 0;
    for (size_t i = n / LANES * LANES; i; ) {
        i -= LANES;
        bits = vbits(vequal(vload(x + i), wanted));
        found = bits ? i + (size_t)__builtin_ctz(bits) : found;
    }
    return found;
}

/* The anchor of a soft target, and its sums. */
INLINE size_t soft_anchor(struct rows *rows, size_t r, T top)
{
    const T *x = (const T *)rows->x[r], *t = rows->t[r];
    const size_t n = rows->classes;
    const int64_t only = rows->shared_target ? -1 : only_class(t, n);
    struct pair distance = {0, 0}, others = {0, 0};
    size_t k = only < 0 ? row_find(x, n, top) : (size_t)only;
    if (only < 0)
        distance = distance_sum(x, t, NULL, n, k, top, &others, 0);
    if (top == (T)INFINITY)
        distance = distance_to_infinity(others);
    if (rows->shared_target)
        store_shared(rows, r, k, top, x[rows->label[r]], distance, others);
    else
        store_soft(rows, r, k, distance, others);
    return k;
}

/* The anchors where they are not labels: the first of the largest. And anchor_value = x at the
 * anchor, max = the largest of all. */
INLINE void
block_maxima(struct rows *rows, T *anchor_value, T *max, const int smooth, const int soft)
{
    const size_t n = rows->classes;
    for (size_t r = 0; r < rows->count; r++) {
        const T *x = (const T *)rows->x[r];
        struct totals sum;
        const T top = row_max(x, n, &sum, smooth);
        size_t at = (size_t)rows->anchor[r];
        if (soft)
            at = soft_anchor(rows, r, top);
        else if (rows->anchor[r] < 0)
            rows->anchor[r] = (int64_t)(at = row_find(x, n, top));
        anchor_value[r] = x[at];
        max[r] = top;
        if (smooth)
            store_distances(rows, r, (double)top, totals_pair(&sum));
    }
}

/* How the exponentials of rows [0, count) are scaled, and what bounds them. */
struct block_scales {
    T anchor_value[GROUP], max[GROUP], rounder[GROUP], low[GROUP], bound[GROUP];
};

/* Where the anchor's logit is the largest, that of the others instead. Returns whether some row is
 * counted from its largest logit. */
static int exclude_anchors(const struct rows *rows, struct block_scales *of)
{
    const vec none = vset(-(T)INFINITY), range = vset(RANGE);
    unsigned shifted = 0;
    for (size_t r = rows->count; r % LANES; r++)
        of->max[r] = of->anchor_value[r] = 0;
    for (size_t r = 0; r < rows->count; r += LANES) {
        const vec max = vload(of->max + r);
        unsigned anchor_value = vbits(vequal(max, vload(of->anchor_value + r)));
        shifted |= vbits(vless(range, vabs(max))) & vbits(vless(none, max));
        for (size_t l = r; anchor_value && l < rows->count; l++, anchor_value >>= 1)
            if (anchor_value & 1)
                of->max[l] = block_max((const T *)rows->x[l], rows->classes,
                                       (size_t)rows->anchor[l]);
    }
    return shifted != 0;
}

static inline void block_exponents(struct rows *rows, struct block_scales *of)
{
    for (size_t r = 0; r < rows->count; r += LANES) {
        const vec max = vload(of->max + r), anchor_value = vload(of->anchor_value + r),
                  n = exponent_of(max, anchor_value);
        const struct exp_scale scale = exp_range(n);
        vstore(of->rounder + r, scale.rounder);
        vstore(of->low + r, scale.low);
        vstore(of->bound + r, exp_bound(max, scale));
        widen_to(rows->exponent + r, n);
        widen_to(rows->max + r, max);
        widen_to(rows->at_anchor + r, anchor_value);
        widen_to(rows->shift + r, vset(0));
    }
}

/* Adds the last n < WIDE exponentials of a row. */
INLINE void add_left(struct accumulator *sum, const T *e, size_t n)
{
    for (size_t h = 0; h < HALVES && h * LANES < n; h++)
        sum_add(sum, (int)h, vload_part(e + h * LANES, n - h * LANES, vset(0)));
}

INLINE struct exp_parts exp_started(const T *x, struct exp_scale scale)
{
    struct exp_parts parts;
    vec v = vmax(scale.low, vload(x));
    exps_begin(&parts, &v, scale.rounder, 1);
    return parts;
}

/* WIDE exponentials from e on, of which the first register's is begun, and the sum of those of
 * another row. Each register's is begun before the one before it ends, so that fewer steps wait for
 * each other; that behind these begins at `after`. */
INLINE struct exp_parts
row_wide(const T *x, T *e, const T *after, struct exp_parts next, struct exp_scale scale,
         const T *before, struct accumulator *sum)
{
    for (int h = 0; h < HALVES; h++) {
        const struct exp_parts now = next;
        vec v;
        next = exp_started(h + 1 < HALVES ? x + (h + 1) * LANES : after, scale);
        exps_end(&v, &now, 1);
        vstore(e + h * LANES, v);
        sum_add(sum, h, vload(before + h * LANES));
    }
    __builtin_prefetch(x + AHEAD, 0, 3);
    return next;
}

/* e = the exponentials of n > WIDE classes, of which `whole` fill lanes; e may be x. Those of the
 * row before, bounded by `bound`, are added up. */
INLINE void row_exps(const T *x, T *e, size_t n, size_t whole, struct exp_scale scale,
                     const T *before, T bound, struct lanes *lanes)
{
    const size_t last = n - LANES;
    struct exp_parts next = exp_started(x, scale);
    struct accumulator sum;
    size_t i = 0;
    sum_clear(&sum, vset(bound));
    for (; i + WIDE < whole; i += WIDE)
        next = row_wide(x + i, e + i, x + i + WIDE, next, scale, before + i, &sum);
    next = row_wide(x + i, e + i, x + last, next, scale, before + i, &sum);
    add_left(&sum, before + whole, n - whole);
    sum_store(&sum, lanes);
    for (i = whole; i < last; i += LANES)
        vstore(e + i, exp_scaled(vload(x + i), scale));
    if (whole < n) {
        vec v;
        exps_end(&v, &next, 1);
        vstore(e + last, v);
    }
}

/* Adds up the exponentials of a whole row. */
INLINE void sum_exps(const T *e, size_t n, size_t whole, T bound, struct lanes *lanes)
{
    struct accumulator sum;
    sum_clear(&sum, vset(bound));
    for (size_t i = 0; i < whole; i += WIDE)
        sum_wides(&sum, e + i, 0, 1, 0);
    add_left(&sum, e + whole, n - whole);
    sum_store(&sum, lanes);
}

/* The sums of the rows' exponentials, which stay in rows->exps (`keep`) or are forgotten. */
static void block_sums(struct rows *rows, struct scratch *scratch, const struct block_scales *of,
                       const int keep)
{
    const size_t n = rows->classes, whole = n / WIDE * WIDE;
    T *const turn[2] = {(T *)scratch->load, (T *)scratch->store};
    T bound = 0;
    const T *before = memset(turn[1], 0, n * sizeof(T));   /* exponentials of row r - 1 */
    struct lanes lanes[1 + GROUP], *of_row = lanes + 1;
    for (size_t r = 0; r < rows->count; r++) {
        const struct exp_scale scale = {vset(of->rounder[r]), vset(of->low[r])};
        T *e = keep ? (T *)rows->exps[r] : turn[r % 2];
        row_exps((const T *)rows->x[r], e, n, whole, scale, before, bound, &lanes[r]);
        e[rows->anchor[r]] = 0;
        before = e;
        bound = of->bound[r];
    }
    sum_exps(before, n, whole, bound, &lanes[rows->count]);
    for (size_t r = rows->count; r % LANES_f64; r++)
        of_row[r] = of_row[rows->count - 1];
    for (size_t r = 0; r < rows->count; r += LANES_f64)
        sum_rows(of_row + r, rows->sum_without_anchor + r, rows->sum_without_anchor_low + r);
}

static void block_rows(struct rows *rows, struct scratch *scratch, enum crossent_output output)
{
    struct block_scales of;
    if (rows->soft)
        block_maxima(rows, of.anchor_value, of.max, 0, 1);
    else if (rows->smoothing.on)
        block_maxima(rows, of.anchor_value, of.max, 1, 0);
    else
        block_maxima(rows, of.anchor_value, of.max, 0, 0);
    if (exclude_anchors(rows, &of)) {       /* the same bits for rows that need no shift */
        for (size_t r = 0; r < rows->count; r++) {
            if (rows->smoothing.on)
                row_distances(rows, r, scratch);
            long_row_noinline(rows, r, scratch, keeps_exps(output));
        }
        return;
    }
    block_exponents(rows, &of);
    block_sums(rows, scratch, &of, keeps_exps(output));
}

/* What exponentials become: e * scale; less a share, or b t of a soft target, which `other` is
 * -1 times; the Hessian's a p (1 - p), `other` being a, and `top` as in hessian_wanted(). */
INLINE vec row_finished(const T *e, const T *t, vec scale, vec other, vec top,
                        const enum finishes kind)
{
    vec v = vload(e);
    if (kind == FINISH_SHARE)
        return vfma(v, scale, other);
    v = v * scale;
    if (kind == FINISH_TARGET)
        return vfma(other, vload(t), v);
    if (kind == CURVED)
        return hessian_wanted(v, other, top);
    return v;
}

/* All n >= LANES of a row; `to` may be e, and t is read for FINISH_TARGET alone. */
INLINE void finish_row(T *to, const T *e, const T *t, size_t n, T scale, T other, T top,
                       const enum finishes kind)
{
    const vec s = vset(scale), o = vset(other), most = vset(top);
    const size_t last = n - LANES;
    const vec end = row_finished(e + last, t + last, s, o, most, kind);
    size_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (size_t k = i; k < i + 4 * LANES; k += LANES)
            vstore(to + k, row_finished(e + k, t + k, s, o, most, kind));
    for (; i + LANES <= n; i += LANES)
        vstore(to + i, row_finished(e + i, t + i, s, o, most, kind));
    vstore(to + last, end);
}

static void hessian_block_row(const struct rows *rows, size_t r, const struct scratch *scratch)
{
    const double a = rows->hessian[r] * rows->hessian_factor;
    const T *e = (const T *)rows->exps[r];
    T *to = (T *)rows->hessian_at[r], pre, scale = split_scale(rows->inverse[r], 1, &pre);
    if (pre != 1) {
        hessian_row(rows, r, scratch, a, to);
        return;
    }
    finish_row(to, e, e, rows->classes, scale, (T)a, (T)curved_top(rows, r, scratch, a), CURVED);
    to[rows->anchor[r]] = (T)(a * rows->anchor_p[r] * rows->one_minus_p_anchor[r]);
}

static void write_block_row(const struct rows *rows, size_t r, struct scratch *scratch,
                            enum crossent_output output)
{
    const double share = rows->smoothing.on ? rows->target_scale[r] * rows->smoothing.share.hi : 0;
    const double b = rows->soft ? target_factor(rows->target_scale[r], rows->t_rest[r]) : 0;
    const T *e = (const T *)rows->exps[r], *t = rows->t[r];
    T *out = (T *)rows->out[r], pre, scale = split_scale(rows->scale[r], 1, &pre);
    if (pre != 1 || output == CROSSENT_LOG_SOFTMAX) {
        write_long_part(rows, r, 0, rows->classes, scratch, output);
        return;
    }
    if (rows->soft)
        finish_row(out, e, t, rows->classes, scale, (T)-b, 0, FINISH_TARGET);
    else
        finish_row(out, e, e, rows->classes, scale, (T)-share, 0, FINISH_SHARE);
    out[rows->anchor[r]] =
        (T)(output == CROSSENT_GRADIENT ? rows->anchor_gradient[r] : rows->anchor_p[r]);
}

/* Rows that need nothing but a factor, whose digits all count: nearly all. */
static int scale_block_rows(const struct rows *rows, const double *anchor_value)
{
    T scale[GROUP], at_anchor[GROUP];
    int normal = 1;
    for (size_t r = 0; r < rows->count; r++) {
        scale[r] = (T)rows->scale[r];
        at_anchor[r] = (T)anchor_value[r];
        normal &= fabs(rows->scale[r]) > (double)TINY * 8;
    }
    for (size_t r = 0; normal && r < rows->count; r++) {
        const T *e = (const T *)rows->exps[r];
        T *out = (T *)rows->out[r];
        finish_row(out, e, e, rows->classes, scale[r], 0, 0, SCALED);
        out[rows->anchor[r]] = at_anchor[r];
    }
    return normal;
}

static void write_block_rows(const struct rows *rows, struct scratch *scratch,
                             enum crossent_output output)
{
    const int plain = !rows->soft && !rows->smoothing.on && !rows->hessian_wanted;
    const double *anchor_value =
        output == CROSSENT_GRADIENT ? rows->anchor_gradient : rows->anchor_p;
    if (plain && output != CROSSENT_LOG_SOFTMAX && scale_block_rows(rows, anchor_value))
        return;
    for (size_t r = 0; r < rows->count; r++) {
        if (rows->hessian_wanted)
            hessian_block_row(rows, r, scratch);
        write_block_row(rows, r, scratch, output);
    }
}
