/* Rows of TILE_CLASSES + 1 to BLOCK classes, pass by pass: all maxima of a group, then all
 * exponentials, then all outputs, so that a row's chain of dependent steps is hidden behind the
 * other rows'. The same operations on each row as in long_rows.inc.h.
 *
 * a) No branch asks where the anchor lies: of labels that is a new guess for each row, and a wrong
 *    one takes as long as some 30 exponentials. The maximum is that of all classes, unless it is
 *    the anchor's; the anchor's exponential is set to 0 before the sum.
 * b) A row is added up beside the next row's exponentials. By then what was stored is at rest: a
 *    load that covers the 0 just stored would wait for it.
 * c) The last classes of a row are a whole register, which overlaps the one before.
 */
#ifndef T
#error "block_rows.inc.h: define T, SUFFIX and IS_DOUBLE"
#endif

/* The largest of n >= LANES numbers, NaNs passed over; `adding`: their sum, times SHRINK. */
INLINE T row_max(const T *x, size_t n, struct F(totals) *sum, const int adding)
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
    const int64_t only = only_class(t, n);
    struct pair distance = {0, 0}, others = {0, 0};
    size_t k = only < 0 ? row_find(x, n, top) : (size_t)only;
    if (only < 0)
        distance = distance_sum(x, t, NULL, n, k, top, &others, 0);
    store_soft(rows, r, k, top == (T)INFINITY ? endless(others) : distance, others);
    return k;
}

/* The anchors where they are not labels: the first of the largest. And what the exponents are
 * made of: own = x at the anchor, max = the largest of the others. */
INLINE void
block_maxima(struct rows *rows, T *own, T *max, const int smooth, const int soft)
{
    const size_t n = rows->classes;
    for (size_t r = 0; r < rows->count; r++) {
        const T *x = (const T *)rows->x[r];
        struct F(totals) sum;
        const T top = row_max(x, n, &sum, smooth);
        size_t at = (size_t)rows->anchor[r];
        if (soft)
            at = soft_anchor(rows, r, top);
        else if (rows->anchor[r] < 0)
            rows->anchor[r] = (int64_t)(at = row_find(x, n, top));
        own[r] = x[at];
        max[r] = top == own[r] ? block_max(x, n, at) : top;
        rows->max[r] = (double)max[r];
        rows->at_anchor[r] = (double)own[r];
        rows->shift[r] = 0;
        if (smooth)
            store_distances(rows, r, (double)top, totals_pair(&sum));
    }
}

static inline void block_exponents(struct rows *rows, T *own, T *max, T *exponent)
{
    for (size_t r = rows->count; r % LANES; r++)
        max[r] = own[r] = 0;
    for (size_t r = 0; r < rows->count; r += LANES) {
        vec n = exponent_of(vload(max + r), vload(own + r));
        vstore(exponent + r, n);
        widen_to(rows->exponent + r, n);
    }
}

/* Adds the elements [i, n) of a row, i a multiple of WIDE, to their lanes. */
INLINE void add_left(struct accumulator *sum, const T *e, size_t i, size_t n)
{
    for (; i + WIDE <= n; i += WIDE)
        sum_wides(sum, e + i, 0, 1, 0);
    for (int h = 0; i < n && h < HALVES; h++, i += LANES)
        sum_add(sum, h, vload_part(e + i, n - i, vset(0)));
}

/* The exponentials of two registers, step by step. */
INLINE void exp_two(vec first, vec second, T *to_first, T *to_second, struct exp_scale scale)
{
    vec v[2] = {vmax(scale.low, first), vmax(scale.low, second)};
    exps_reduced(v, scale.rounder, 2);
    vstore(to_first, v[0]);
    vstore(to_second, v[1]);
}

/* e = the exponentials of n >= LANES classes; e may be x. `adding`: those of the row before are
 * added up. */
INLINE void
row_exps(const T *x, T *e, size_t n, struct exp_scale scale, const T *before,
         struct accumulator *sum, const int adding)
{
    const vec end = vload(x + n - LANES);
    size_t i = 0;
    for (; i + 4 * WIDE <= n; i += 4 * WIDE) {
        exp_wides(x + i, e + i, scale, 4);
        if (adding)
            sum_wides(sum, before + i, 0, 4, 0);
    }
    if (adding)
        add_left(sum, before, i, n);
    for (; i + 2 * LANES <= n; i += 2 * LANES)
        exp_two(vload(x + i), vload(x + i + LANES), e + i, e + i + LANES, scale);
    if (i + LANES < n)
        exp_two(vload(x + i), end, e + i, e + n - LANES, scale);
    else if (i < n)
        vstore(e + n - LANES, exp_scaled(end, scale));
}

/* Whether a row is counted from its largest logit, which lone_row sees to. */
static inline int is_shifted(T own, T max) { return reference(own > max ? own : max) != 0; }

INLINE void
block_sums(struct rows *rows, struct scratch *scratch, const T *own, const T *max,
           const T *exponent, const int keep)
{
    const size_t n = rows->classes;
    const T *before = NULL;            /* exponentials of row r - 1 that are not added up yet */
    vec bound[GROUP + 1];              /* of them */
    bound[0] = vset(0);
    for (size_t r = 0; r <= rows->count; r++) {
        struct accumulator sum;
        T *e = NULL;
        sum_clear(&sum, bound[r]);
        if (r < rows->count && !is_shifted(own[r], max[r])) {
            const struct exp_scale scale = exp_range(vset(exponent[r]));
            e = keep ? (T *)rows->exps[r] : (T *)(r % 2 ? scratch->load : scratch->store);
            bound[r + 1] = exp_bound(vset(max[r]), scale);
            if (before)
                row_exps((const T *)rows->x[r], e, n, scale, before, &sum, 1);
            else
                row_exps((const T *)rows->x[r], e, n, scale, NULL, NULL, 0);
            e[rows->anchor[r]] = 0;
        } else {
            if (before)
                add_left(&sum, before, 0, n);
            if (r < rows->count)
                lone_row(rows, r, scratch, keep);
        }
        if (before)
            rows->others[r - 1] = sum_total(&sum, &rows->others_low[r - 1]);
        before = e;
    }
}

static void block_rows(struct rows *rows, struct scratch *scratch, enum crossent_output output)
{
    T own[GROUP], max[GROUP], exponent[GROUP];
    if (rows->soft)
        block_maxima(rows, own, max, 0, 1);
    else if (rows->smoothing.on)
        block_maxima(rows, own, max, 1, 0);
    else
        block_maxima(rows, own, max, 0, 0);
    for (size_t r = 0; rows->smoothing.on && r < rows->count; r++)
        if (is_shifted(own[r], max[r]))
            row_distances(rows, r, scratch);
    block_exponents(rows, own, max, exponent);
    if (keeps_exps(output))
        block_sums(rows, scratch, own, max, exponent, 1);
    else
        block_sums(rows, scratch, own, max, exponent, 0);
}

/* What exponentials become: e * scale; less a share, or b t of a soft target, which `other` is
 * -1 times; the Hessian's a p (1 - p), `other` being a. */
INLINE vec row_finished(const T *e, const T *t, vec scale, vec other, const enum finishes kind)
{
    vec v = vload(e);
    if (kind == LESS)
        return vfma(v, scale, other);
    v = v * scale;
    if (kind == SOFT)
        return vfma(other, vload(t), v);
    if (kind == CURVED)
        return other * v * (vset(1) - v);
    return v;
}

/* All n >= LANES of a row; `to` may be e, and t is read for SOFT alone. */
INLINE void finish_row(T *to, const T *e, const T *t, size_t n, T scale, T other,
                       const enum finishes kind)
{
    const vec s = vset(scale), o = vset(other);
    const size_t last = n - LANES;
    const vec end = row_finished(e + last, t + last, s, o, kind);
    size_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (size_t k = i; k < i + 4 * LANES; k += LANES)
            vstore(to + k, row_finished(e + k, t + k, s, o, kind));
    for (; i + LANES <= n; i += LANES)
        vstore(to + i, row_finished(e + i, t + i, s, o, kind));
    vstore(to + last, end);
}

static void curved_block_row(const struct rows *rows, size_t r, const struct scratch *scratch)
{
    const double a = rows->hessian[r] * rows->curved_factor;
    const T *e = rows->exps[r];
    T *to = (T *)rows->hessian_at[r], pre, scale = split_scale(rows->inverse[r], 1, &pre);
    if (pre != 1) {
        curved_row(rows, r, scratch, a, to);
        return;
    }
    finish_row(to, e, e, rows->classes, scale, (T)a, CURVED);
    to[rows->anchor[r]] = (T)(a * rows->anchor_p[r] * rows->rest[r]);
}

static void write_block_row(const struct rows *rows, size_t r, struct scratch *scratch,
                            enum crossent_output output)
{
    const double share = rows->smoothing.on ? rows->b[r] * rows->smoothing.share.hi : 0;
    const double b = rows->soft ? target_factor(rows->b[r], rows->t_rest[r]) : 0;
    const T *e = rows->exps[r], *t = rows->t[r];
    T *out = (T *)rows->out[r], pre, scale = split_scale(rows->scale[r], 1, &pre);
    if (pre != 1 || output == CROSSENT_LOG_SOFTMAX) {
        write_long_part(rows, r, 0, rows->classes, scratch, output);
        return;
    }
    if (rows->soft)
        finish_row(out, e, t, rows->classes, scale, (T)-b, SOFT);
    else if (share != 0)
        finish_row(out, e, e, rows->classes, scale, (T)-share, LESS);
    else
        finish_row(out, e, e, rows->classes, scale, 0, SCALED);
    out[rows->anchor[r]] =
        (T)(output == CROSSENT_GRADIENT ? rows->anchor_gradient[r] : rows->anchor_p[r]);
}

static void write_block_rows(const struct rows *rows, struct scratch *scratch,
                             enum crossent_output output)
{
    for (size_t r = 0; r < rows->count; r++) {
        if (rows->curved)
            curved_block_row(rows, r, scratch);
        write_block_row(rows, r, scratch, output);
    }
}
