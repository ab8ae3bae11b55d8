/* Rows that the kernels cannot work on where they lie, because their classes are apart or have 16
 * bits, or because an option changes the logits: to contiguous rows of T, rows->exps, and back. LANES rows that are neighbours, as with the
 * class axis first, go through a transpose: every cache line is read and written once.
 */
#ifndef T
#error "staged_rows.inc.h: define T, SUFFIX and IS_DOUBLE"
#endif

/* 1 or 0: whether a mask keeps each of n classes. */
static inline void mask_numbers(const char *mask, ptrdiff_t step, size_t n, T *to)
{
    if (step == 1)
        for (size_t i = 0; i < n; i++)
            to[i] = mask[i] ? 1 : 0;
    else
        for (size_t i = 0; i < n; i++)
            to[i] = mask[(ptrdiff_t)i * step] ? 1 : 0;
}

/* to = from as the loss sees it, n elements; they may be the same. `mask` or NULL. */
static void change_elements(const struct change *change, const T *from, const char *mask, T *to,
                            size_t n)
{
    enum { PART = 4 * WIDE };
    const vec factor = vset((T)change->factor), zero = vset(0), none = vset(-(T)INFINITY);
    T kept[PART];
    for (size_t base = 0; base < n; base += PART) {
        const size_t count = n - base < PART ? n - base : PART;
        if (mask)
            mask_numbers(mask + (ptrdiff_t)base * change->mask_step, change->mask_step, count,
                         kept);
        for (size_t i = 0; i < count; i += LANES) {
            __builtin_prefetch(from + base + i + AHEAD, 0, 3);
            vec v = vload_part(from + base + i, count - i, zero) * factor;
            if (mask)
                v = vselect(vequal(vload(kept + i), zero), none, v);
            vstore_part(to + base + i, count - i, v);
        }
    }
}

/* n logits of row r from class `base` on, as the loss sees them: where they lie, or `buffer`. */
static inline const T *block_logits(const struct rows *rows, size_t r, size_t base, size_t n,
                                    T *buffer)
{
    const T *x = (const T *)rows->x[r] + base;
    const char *mask = rows->mask_at[r];
    if (!rows->change.on || rows->classes <= BLOCK)
        return x;
    change_elements(&rows->change, x, mask ? mask + (ptrdiff_t)base * rows->change.mask_step : NULL,
                    buffer, n);
    return buffer;
}

/* exps[r0 + lane][c] = x[r0 + lane][c] for classes [c, c + LANES) of the rows [r0, r0 + lanes). */
INLINE void square_in(const struct rows *rows, size_t r0, size_t lanes, size_t c)
{
    const char *first = rows->x[r0] + (ptrdiff_t)c * rows->x_step;
    const size_t left = rows->classes - c;
    vec v[LANES];
    for (size_t k = 0; k < LANES; k++) {
        const T *from = (const T *)(first + (ptrdiff_t)k * rows->x_step);
        v[k] = k < left ? vload_part(from, lanes, vset(0)) : vset(0);
    }
    vtranspose(v);
    for (size_t l = 0; l < lanes; l++)
        vstore_part((T *)rows->exps[r0 + l] + c, left, v[l]);
}

/* The inverse: out[r0 + lane][c] = exps[r0 + lane][c]. */
INLINE void square_out(const struct rows *rows, char *const *out, ptrdiff_t step, size_t r0,
                       size_t lanes, size_t c)
{
    char *first = out[r0] + (ptrdiff_t)c * step;
    const size_t left = rows->classes - c;
    vec v[LANES];
    for (size_t l = 0; l < LANES; l++)
        v[l] = vload_part((const T *)rows->exps[r0 + (l < lanes ? l : 0)] + c, left, vset(0));
    vtranspose(v);
    for (size_t k = 0; k < LANES && k < left; k++)
        vstore_part((T *)(first + (ptrdiff_t)k * step), lanes, v[k]);
}

/* Whether every LANES rows from the first on lie side by side. */
static int rows_adjacent(char *const *p, size_t count)
{
    for (size_t r0 = 0; r0 < count; r0 += LANES)
        if (!adjacent(p + r0, count - r0 < LANES ? count - r0 : LANES))
            return 0;
    return 1;
}

/* Whether each row begins where the one before it ends. */
static int rows_follow(char *const *p, size_t count, ptrdiff_t bytes)
{
    for (size_t r = 1; r < count; r++)
        if (p[r] != p[r - 1] + bytes)
            return 0;
    return 1;
}

/* Such rows of 16 bits are converted as if they were one. */
static int are_one(const struct rows *rows, char *const *p, ptrdiff_t step)
{
    const ptrdiff_t n = (ptrdiff_t)rows->classes;
    return step == sizeof(uint16_t) && rows_follow(p, rows->count, n * step) &&
           rows_follow((char *const *)rows->exps, rows->count, n * (ptrdiff_t)sizeof(T));
}

static void collect_apart(const struct rows *rows, enum crossent_dtype dtype)
{
    const int native = dtype == (IS_DOUBLE ? CROSSENT_F64 : CROSSENT_F32);
    if (native && rows_adjacent((char *const *)rows->x, rows->count))
        for (size_t c = 0; c < rows->classes; c += LANES)
            for (size_t r0 = 0; r0 < rows->count; r0 += LANES)
                square_in(rows, r0, lane_count(rows, r0), c);
    else if (!native && are_one(rows, (char *const *)rows->x, rows->x_step))
        from_numbers(rows->x[0], rows->x_step, dtype, rows->count * rows->classes, rows->exps[0]);
    else
        for (size_t r = 0; r < rows->count; r++)
            from_numbers(rows->x[r], rows->x_step, dtype, rows->classes, rows->exps[r]);
}

static void collect_rows(struct rows *rows, enum crossent_dtype dtype)
{
    const int contiguous = dtype == (IS_DOUBLE ? CROSSENT_F64 : CROSSENT_F32) &&
                           rows->x_step == (ptrdiff_t)sizeof(T);
    if (!contiguous)
        collect_apart(rows, dtype);
    for (size_t r = 0; r < rows->count; r++) {
        if (rows->change.on && rows->classes > TILE_CLASSES &&
            rows->classes <= BLOCK)
            change_elements(&rows->change, contiguous ? (const T *)rows->x[r] : rows->exps[r],
                            rows->mask_at[r], rows->exps[r], rows->classes);
        rows->x[r] = rows->exps[r];
    }
    rows->x_step = sizeof(T);
}

/* `exact`, or NULL: each row's value at its anchor, which is rounded to 16 bits from double. */
static void spread_rows(const struct rows *rows, char *const *out, ptrdiff_t step,
                        enum crossent_dtype dtype, const double *exact)
{
    const int native = dtype == (IS_DOUBLE ? CROSSENT_F64 : CROSSENT_F32);
    if (native && rows_adjacent(out, rows->count)) {
        for (size_t c = 0; c < rows->classes; c += LANES)
            for (size_t r0 = 0; r0 < rows->count; r0 += LANES)
                square_out(rows, out, step, r0, lane_count(rows, r0), c);
        return;
    }
    if (!native && are_one(rows, out, step))
        to_numbers(out[0], step, dtype, rows->count * rows->classes, rows->exps[0]);
    else
        for (size_t r = 0; r < rows->count; r++)
            to_numbers(out[r], step, dtype, rows->classes, rows->exps[r]);
    for (size_t r = 0; exact && !native && r < rows->count; r++)
        store_any(out[r] + rows->anchor[r] * step, dtype, exact[r]);
}
