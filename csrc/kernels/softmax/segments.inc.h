/* Rows of more than BLOCK classes, and any that need a shift: the classes lie in the lanes.
 *
 * a) A row is worked on in blocks of BLOCK classes: a block is read once from memory, its maximum
 *    found, and read again from the first-level cache for the exponentials.
 * b) A block uses the largest maximum seen so far. Where a later block raises it, what went before
 *    is scaled by a power of two, exactly, so the result does not depend on where the maximum is.
 * c) Rows of more than SEGMENT classes are cut into segments, each with a scale of its own,
 *    which are joined at the end. Their bounds are fixed, so that threads may share a row.
 * d) Rows are contiguous (softmax/stage.inc.h makes them so).
 * e) The anchor, one class that is left out of the sum, lies in one group of 4 WIDE classes; only
 *    that group runs the body that masks it.
 */
/* The exponentials of `wides` WIDE classes. */
INLINE void exp_wides(const T *x, T *e, struct exp_scale scale, const int wides)
{
    const int count = wides * HALVES > 1 ? 2 : 1;   /* registers, step by step */
    for (int h = 0; h < wides * HALVES; h += count) {
        vec v[2];
        for (int i = 0; i < count; i++)
            v[i] = vmax(scale.low, vload(x + (h + i) * LANES));
        exps_reduced(v, scale.rounder, count);
        for (int i = 0; i < count; i++)
            vstore(e + (h + i) * LANES, v[i]);
    }
    for (int w = 0; w < wides; w++)
        __builtin_prefetch(x + w * WIDE + AHEAD, 0, 3);
}

/* Adds them, but for the class at `skip` of them. Apart from their computation, for which all
 * registers are needed. */
INLINE void sum_wides(struct accumulator *sum, const T *e, T skip, const int wides,
                      const int skipping)
{
    for (int w = 0; w < wides; w++)
        for (int h = 0; h < HALVES; h++) {
            T at = (T)(w * WIDE + h * LANES);
            vec v = vload(e + w * WIDE + h * LANES);
            if (skipping)
                v = vselect(vequal(vlanes() + vset(at), vset(skip)), vset(0), v);
            sum_add(sum, h, v);
        }
}

/* Both for the last n < WIDE classes; `skip` is none of them if it is negative. */
INLINE void
exps_left(const T *x, T *e, size_t n, T skip, struct exp_scale scale, struct accumulator *sum,
          const int keep)
{
    for (int h = 0; h < HALVES; h++) {
        size_t at = (size_t)(h * LANES), left = at < n ? n - at : 0;
        vec v = exp_scaled(vload_part(x + at, left, scale.low), scale);
        if (keep)
            vstore_part(e + at, left, v);
        mask out = vequal(vlanes() + vset((T)at), vset(skip));
        sum_add(sum, h, vselect(out, vset(0), v));
    }
}

INLINE double
block_exps(const T *x, T *e, size_t n, size_t skip, struct exp_scale scale, vec bound, double *low,
           const int keep)
{
    struct accumulator sum;
    T buffer[4 * WIDE];
    sum_clear(&sum, bound);
    size_t i = 0;
    for (; i + 4 * WIDE <= n; i += 4 * WIDE) {
        T *to = keep ? e + i : buffer;
        exp_wides(x + i, to, scale, 4);
        if (skip - i < 4 * WIDE)
            sum_wides(&sum, to, (T)(skip - i), 4, 1);
        else
            sum_wides(&sum, to, 0, 4, 0);
    }
    for (; i + WIDE <= n; i += WIDE) {
        T *to = keep ? e + i : buffer;
        exp_wides(x + i, to, scale, 1);
        sum_wides(&sum, to, skip - i < WIDE ? (T)(skip - i) : -1, 1, 1);
    }
    if (i < n)
        exps_left(x + i, keep ? e + i : buffer, n - i, skip - i < WIDE ? (T)(skip - i) : -1, scale,
                  &sum, keep);
    return sum_total(&sum, low);
}

static inline struct exp_scale progress_scale(const struct progress *row)
{
    return exp_range(vset((T)row->exponent));
}

static inline void progress_add(struct progress *row, double sum, double low)
{
    double total = row->others + sum, back = total - row->others;
    row->others_low += low + ((row->others - (total - back)) + (sum - back));
    row->others = total;
}

static inline void progress_multiply(struct progress *row, double factor)
{
    row->others *= factor;
    row->others_low *= factor;
    for (size_t b = 0; b < row->blocks; b++)
        row->factor[b] *= factor;
}

/* Multiplies what there is by e^(row->shift - shift) * 2^power. Mostly that is nothing beside what
 * follows; in rows whose maximum creeps across 2 RANGE it is not, and its exponent, of two terms of
 * some 2^41 nats, keeps its digits as a pair. Apart, as it is rare. */
static __attribute__((noinline)) void progress_shift(struct progress *row, double shift,
                                                     double power)
{
    const struct pair ln2 = {LN2_HI_f64, LN2_LO_f64}, powers = {power, 0};
    const struct pair nats = pair_add(pair_product(powers, ln2), pair_of(row->shift, -shift));
    const struct pair factor = OF_ISA(kernels_).exp_pair(nats);
    const struct pair sum = pair_product((struct pair){row->others, row->others_low}, factor);
    progress_multiply(row, pair_value(factor));
    row->others = sum.hi;
    row->others_low = sum.lo;
}

/* Moves what there is to another scale: by a power of two, exactly, where the shift is the same. */
static inline void progress_move(struct progress *row, double shift, double exponent)
{
    double power = row->exponent - exponent;
    if (row->blocks && shift != row->shift)
        progress_shift(row, shift, power);
    else if (row->blocks && power != 0)
        progress_multiply(row, power < -2000 ? 0 : ldexp(1, (int)power));
    row->shift = shift;
    row->exponent = exponent;
}

/* After a change of max or anchor. Apart from the loops, which need all registers. */
static __attribute__((noinline)) void progress_rescale(struct progress *row)
{
    const T anchor = (T)row->anchor, max = (T)row->max, top = anchor > max ? anchor : max;
    T shift = (T)row->shift;
    if (!row->begun || (shift == 0 ? top > 2 * RANGE : top - shift > 1024))
        shift = reference(top);
    row->begun |= top > -(T)INFINITY;
    vec exponent = exponent_of(vset(from_shift(max, shift)), vset(from_shift(anchor, shift)));
    progress_move(row, (double)shift, (double)vtop(exponent));
}

/* Adds the exponential of one more logit, which is at most the maximum. */
static inline void progress_add_one(struct progress *row, double x)
{
    vec v = vset(from_shift((T)x, (T)row->shift));
    progress_add(row, (double)vtop(exp_scaled(v, progress_scale(row))), 0);
}

/* Makes the largest of this block's logits the anchor if it is larger than the anchor so far, which
 * then is one of the others. `base` counts from the segment's first. */
static inline void
progress_search(struct progress *row, const T *x, size_t n, size_t base, size_t first)
{
    T top = block_max(x, n, n), old = (T)row->anchor;
    if (base > first && !(top > old))
        return;
    size_t found = block_find(x, n, top);
    if (found == n) {             /* nothing but NaN, which then is the anchor */
        found = 0;
        top = x[0];
    }
    row->at = base + found;
    if (old > -(T)INFINITY) {
        row->max = row->anchor;
        progress_rescale(row);
        progress_add_one(row, (double)old);
    }
    row->anchor = (double)top;
}

/* Appends the statistics of the segment that follows. With `search` the lesser of the two anchors
 * becomes one of the others. */
static inline void progress_join(struct progress *row, struct progress *next, int search)
{
    double lesser = next->anchor;
    if (search && next->anchor > row->anchor) {
        lesser = row->anchor;
        row->anchor = next->anchor;
        row->at = next->at;
    }
    if (next->max > row->max)
        row->max = next->max;
    if (search && lesser > row->max)
        row->max = lesser;
    progress_rescale(row);
    progress_move(next, row->shift, row->exponent);
    row->blocks += next->blocks;
    progress_add(row, next->others, next->others_low);
    if (search && !(lesser == -INFINITY))
        progress_add_one(row, lesser);
}

/* The anchor's logit, before the exponentials of a row that is worked on in place replace it. */
static void begin_long_row(struct rows *rows, size_t r)
{
    T x, none = -(T)INFINITY;
    const int64_t at = rows->anchor[r];
    rows->at_anchor[r] = (double)(at < 0 ? none : *block_logits(rows, r, (size_t)at, 1, &x));
}

/* The statistics of segment s of row r. `keep`: its exponentials go to rows->exps[r]. */
INLINE void
segment_statistics(const struct rows *rows, size_t r, size_t s, struct scratch *scratch,
                   struct progress *row, const int keep)
{
    const int search = rows->anchor[r] < 0;
    const size_t first = s * SEGMENT, left = rows->classes - first;
    const size_t end = first + (left < SEGMENT ? left : SEGMENT);
    row->max = -INFINITY;
    row->anchor = rows->at_anchor[r];
    row->at = (size_t)rows->anchor[r];
    for (size_t base = first; base < end; base += BLOCK) {
        const size_t n = end - base < BLOCK ? end - base : BLOCK;
        const T *x = block_logits(rows, r, base, n, (T *)scratch->load);
        if (search)
            progress_search(row, x, n, base, first);
        T top = block_max(x, n, row->at - base);
        if (top > (T)row->max)
            row->max = (double)top;
        progress_rescale(row);
        if (row->shift != 0) {
            shift_elements((T *)scratch->load, x, n, (T)row->shift);
            x = (const T *)scratch->load;
        }
        struct exp_scale scale = progress_scale(row);
        vec bound = exp_bound(vset(from_shift((T)row->max, (T)row->shift)), scale);
        double low, sum = block_exps(x, keep ? (T *)rows->exps[r] + base : NULL, n,
                                     row->at - base, scale, bound, &low, keep);
        progress_add(row, sum, low);
        row->factor[row->blocks++] = 1;
    }
}

/* Where segment s of row r keeps the factors of its blocks; `one`, if the row is one block. */
static inline double *
segment_factors(const struct rows *rows, size_t r, size_t s, const struct scratch *scratch,
                double *one)
{
    if (rows->classes <= BLOCK)
        return one;
    return scratch->factors + r * block_count(rows->classes) + s * (SEGMENT / BLOCK);
}

static void long_segment(const struct rows *rows, size_t r, size_t s, struct scratch *scratch,
                         enum crossent_output output, struct progress *part)
{
    *part = (struct progress){.factor = segment_factors(rows, r, s, scratch, NULL)};
    if (keeps_exps(output))
        segment_statistics(rows, r, s, scratch, part, 1);
    else
        segment_statistics(rows, r, s, scratch, part, 0);
}

/* The statistics of row r (table.h) from those of its segments. */
static void join_segments(struct rows *rows, size_t r, struct progress *parts, size_t count)
{
    struct progress row = parts[0];
    for (size_t s = 1; s < count; s++)
        progress_join(&row, &parts[s], rows->anchor[r] < 0);
    rows->anchor[r] = (int64_t)row.at;
    rows->shift[r] = row.shift;
    rows->shifted |= row.shift != 0;
    rows->max[r] = (double)from_shift((T)row.max, (T)row.shift);
    rows->at_anchor[r] = (double)from_shift((T)row.anchor, (T)row.shift);
    rows->exponent[r] = row.exponent;
    rows->sum_without_anchor[r] = row.others;
    rows->sum_without_anchor_low[r] = row.others_low;
}

/* Segment by segment, with one of them in hand; so are they joined in join_segments. */
INLINE void long_row(struct rows *rows, size_t r, struct scratch *scratch, const int keep)
{
    double one;
    struct progress row = {.factor = segment_factors(rows, r, 0, scratch, &one)};
    begin_long_row(rows, r);
    segment_statistics(rows, r, 0, scratch, &row, keep);
    for (size_t s = 1; s * SEGMENT < rows->classes; s++) {
        struct progress next = {.factor = segment_factors(rows, r, s, scratch, &one)};
        segment_statistics(rows, r, s, scratch, &next, keep);
        progress_join(&row, &next, rows->anchor[r] < 0);
    }
    join_segments(rows, r, &row, 1);
}

static __attribute__((noinline)) void
long_row_noinline(struct rows *rows, size_t r, struct scratch *scratch, int keep)
{
    if (keep)
        long_row(rows, r, scratch, 1);
    else
        long_row(rows, r, scratch, 0);
}

/* The sum of top - x_j, from that of SUM_SCALE x_j. */
static inline void store_distances(struct rows *rows, size_t r, double top, struct pair total)
{
    struct pair d = pair_product((struct pair){(double)rows->classes * SUM_SCALE, 0},
                                 (struct pair){top, 0});
    d = pair_add(d, (struct pair){-total.hi, -total.lo});
    rows->distances[r] = d.hi * (0x1p-64 / SUM_SCALE);
    rows->distances_low[r] = d.lo * (0x1p-64 / SUM_SCALE);
}

/* The same of a row, top being its largest logit; before exponentials, which may take x's place. */
static void row_distances(struct rows *rows, size_t r, struct scratch *scratch)
{
    T top = -(T)INFINITY, *buffer = (T *)scratch->load;
    struct totals sum;
    size_t n;
    for (size_t base = 0; base < rows->classes; base += n) {
        n = rows->classes - base < BLOCK ? rows->classes - base : BLOCK;
        T max = block_max(block_logits(rows, r, base, n, buffer), n, n);
        top = max > top ? max : top;
    }
    const T shift = reference(top);
    totals_clear(&sum);
    for (size_t base = 0; base < rows->classes; base += n) {
        n = rows->classes - base < BLOCK ? rows->classes - base : BLOCK;
        const T *x = block_logits(rows, r, base, n, buffer);
        if (shift != 0)
            shift_elements(buffer, x, n, shift);
        totals_add_all(&sum, shift == 0 ? x : buffer, n);
    }
    store_distances(rows, r, (double)from_shift(top, shift), totals_pair(&sum));
}

static void long_rows(struct rows *rows, struct scratch *scratch, enum crossent_output output)
{
    for (size_t r = 0; rows->smoothing.on && r < rows->count; r++)
        row_distances(rows, r, scratch);
    for (size_t r = 0; rows->soft && r < rows->count; r++)
        soft_sums(rows, r, scratch);
    for (size_t r = 0; r < rows->count; r++)
        long_row_noinline(rows, r, scratch, keeps_exps(output));
}

/* v * scale + offset; `moved`: there is an offset. */
INLINE vec scale_lanes(vec v, vec scale, vec offset, const int moved)
{
    if (moved)
        return vfma(v, scale, offset);
    return v * scale;
}

/* to = e * scale, n elements; `twice`: e * pre * scale; `less`: less `share`. */
INLINE void
scale_by(T *to, const T *e, size_t n, T pre, T scale, T share, const int twice, const int less)
{
    const vec s = vset(scale), first = vset(pre), offset = vset(-share);
    size_t i = 0;
    for (; i + 2 * LANES <= n; i += 2 * LANES)
        for (size_t k = i; k < i + 2 * LANES; k += LANES) {
            vec v = vload(e + k);
            if (twice)
                v = v * first;
            vstore(to + k, scale_lanes(v, s, offset, less));
        }
    for (; i < n; i += LANES) {
        vec v = vload_part(e + i, n - i, vset(0));
        if (twice)
            v = v * first;
        vstore_part(to + i, n - i, scale_lanes(v, s, offset, less));
    }
}

/* to = e * scale * factor - share. Where scale * factor is below the normal numbers its digits
 * would be lost: half of its exponent is then applied first. That is exact for every e whose
 * product is not 0. */
static void scale_elements(T *to, const T *e, size_t n, double scale, double factor, double share)
{
    T pre, rest = split_scale(scale, factor, &pre);
    if (share != 0)
        scale_by(to, e, n, pre, rest, (T)share, 1, 1);
    else if (pre == 1)
        scale_by(to, e, n, 1, rest, 0, 0, 0);
    else
        scale_by(to, e, n, pre, rest, 0, 1, 0);
}

/* What the exponentials of a class's block are multiplied by. */
static inline double block_factor(const struct rows *rows, const struct scratch *scratch, size_t r,
                                  size_t class)
{
    if (rows->classes <= BLOCK)
        return 1;
    return scratch->factors[r * block_count(rows->classes) + class / BLOCK];
}

/* The sum of a block's exponentials but number k and those whose p = e * first * second is more
 * than half; `short_others` in the order of tile_tops. */
static double short_others(const T *e, size_t n, size_t k, T first, T second)
{
    struct pair sum = {0, 0};
    for (size_t i = 0; i < n; i++)
        if (i != k && !(e[i] * first * second > (T)0.5))
            two_sum_into(&sum.hi, &sum.lo, (double)e[i]);
    return pair_value(sum);
}

static double block_others(const T *e, size_t n, size_t k, T first, T second)
{
    const vec zero = vset(0), half = vset((T)0.5), pre = vset(first), post = vset(second);
    const vec anchor = vset(k < n ? (T)k : -1);
    struct totals sum;
    totals_clear(&sum);
    for (size_t i = 0; i < n; i += WIDE)
        for (size_t h = 0, at = i; h < HALVES && at < n; h++, at += LANES) {
            vec v = vload_part(e + at, n - at, zero);
            mask own = vequal(vlanes() + vset((T)at), anchor);
            v = vselect(own, zero, vselect(vless(half, v * pre * post), zero, v));
            totals_add(&sum, (int)h, v);
        }
    return totals_value(&sum);
}

/* a p_j (1 - p_j) of the class j, but the anchor, that has more than half of row r: of 1 - p_j, the
 * sum of all others over all. Without such a class, a number that is not used. */
static double curved_top(const struct rows *rows, size_t r, const struct scratch *scratch, double a)
{
    const size_t n = rows->classes, k = (size_t)rows->anchor[r];
    const T *e = (const T *)rows->exps[r];
    double rest = rows->anchor_p[r];
    for (size_t base = 0; rest < 0.75 && base < n; base += BLOCK) {
        const size_t count = n - base < BLOCK ? n - base : BLOCK;
        const double factor = block_factor(rows, scratch, r, base);
        T pre, post = split_scale(rows->inverse[r], factor, &pre);
        double sum = n <= TILE_CLASSES ? short_others(e, n, k, pre, post)
                                       : block_others(e + base, count, k - base, pre, post);
        rest += sum * rows->inverse[r] * factor;
    }
    return a * rest * (1 - rest);
}

/* a p (1 - p), or `top` where p is more than half. */
INLINE vec hessian_wanted(vec p, vec a, vec top)
{
    return vselect(vless(vset((T)0.5), p), top, a * p * (vset(1) - p));
}

/* to = a p (1 - p), where p = e * scale * factor; `top` as in hessian_wanted(). */
static void hessian_diag_elements(T *to, const T *e, size_t n, double scale, double factor,
                                  double a, double top)
{
    T pre, post = split_scale(scale, factor, &pre);
    const vec first = vset(pre), second = vset(post), all = vset((T)a), most = vset((T)top);
    for (size_t i = 0; i < n; i += LANES) {
        vec p = vload_part(e + i, n - i, vset(0)) * first * second;
        vstore_part(to + i, n - i, hessian_wanted(p, all, most));
    }
}

/* The diagonal of a row's Hessian, times a, before the gradient takes the exponentials' place. */
static void hessian_row(const struct rows *rows, size_t r, const struct scratch *scratch, double a,
                       T *to)
{
    const size_t n = rows->classes, k = (size_t)rows->anchor[r];
    const double top = curved_top(rows, r, scratch, a);
    for (size_t base = 0; base < n; base += BLOCK)
        hessian_diag_elements(to + base, (const T *)rows->exps[r] + base,
                        n - base < BLOCK ? n - base : BLOCK, rows->inverse[r],
                        block_factor(rows, scratch, r, base), a, top);
    to[k] = (T)(a * rows->anchor_p[r] * rows->one_minus_p_anchor[r]);
}

/* to = (x - max) - log_sum: log(softmax), no term of which cancels another. */
static inline void log_elements(T *to, const T *x, size_t n, T max, T log_sum)
{
    for (size_t i = 0; i < n; i++)
        to[i] = (x[i] - max) - log_sum;
}

/* Classes [begin, end) of row r, begin a multiple of BLOCK. */
static void write_long_part(const struct rows *rows, size_t r, size_t begin, size_t end,
                            struct scratch *scratch, enum crossent_output output)
{
    const double *factor = NULL;   /* a row of one block has none */
    T *out = (T *)rows->out[r];
    const double share = rows->smoothing.on ? rows->target_scale[r] * rows->smoothing.share.hi : 0;
    if (rows->classes > BLOCK)
        factor = scratch->factors + r * block_count(rows->classes);
    for (size_t base = begin; base < end; base += BLOCK) {
        size_t n = end - base < BLOCK ? end - base : BLOCK;
        if (output == CROSSENT_LOG_SOFTMAX) {
            const T *x = (const T *)rows->x[r] + base;
            if (rows->shift[r] != 0) {
                shift_elements((T *)scratch->load, x, n, (T)rows->shift[r]);
                x = (const T *)scratch->load;
            }
            log_elements(out + base, x, n, (T)rows->at_anchor[r], (T)rows->loss[r]);
        } else {
            double f = factor ? factor[base / BLOCK] : 1;
            const T *e = (const T *)rows->exps[r] + base, *t = (const T *)rows->t[r];
            if (rows->soft)
                soft_elements(out + base, e, t + base, n, rows->scale[r], f,
                              target_factor(rows->target_scale[r], rows->t_rest[r]));
            else
                scale_elements(out + base, e, n, rows->scale[r], f, share);
        }
    }
    const size_t at = (size_t)rows->anchor[r];
    if (output != CROSSENT_LOG_SOFTMAX && begin <= at && at < end)
        out[at] = (T)(output == CROSSENT_GRADIENT ? rows->anchor_gradient[r] : rows->anchor_p[r]);
}

static void write_long_rows(const struct rows *rows, struct scratch *scratch,
                            enum crossent_output output)
{
    for (size_t r = 0; r < rows->count; r++) {
        if (rows->hessian_wanted)
            hessian_row(rows, r, scratch, rows->hessian[r] * rows->hessian_factor,
                       (T *)rows->hessian_at[r]);
        write_long_part(rows, r, 0, rows->classes, scratch, output);
    }
}
