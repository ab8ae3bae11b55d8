/* Rows that the kernels cannot work on where they lie, because their classes are apart or have 16
 * bits, because an option changes the logits, or because gradients are added to what there is: to
 * contiguous rows of T, rows->exps, and back.
 * LANES rows that are neighbours, as with the class axis first, go through a transpose: every cache
 * line is read and written once.
 */
enum { CHANGED = 4 * WIDE };     /* elements that are changed at a time */

/* A mask of n <= CHANGED classes as numbers; 0 leaves a class out. */
INLINE void mask_numbers(const char *class_mask, ptrdiff_t step, size_t n, T *to)
{
    if (step == 1)
        for (size_t i = 0; i < n; i++)
            to[i] = (T)class_mask[i];
    else
        for (size_t i = 0; i < n; i++)
            to[i] = (T)class_mask[(ptrdiff_t)i * step];
}

/* n <= CHANGED elements; `whole`: all of them, a constant where this is called. */
INLINE void transform_part(const struct logit_transform *change, const T *from,
                           const char *class_mask, T *to, size_t n, const int whole)
{
    const vec factor = vset((T)change->factor), zero = vset(0), none = vset(-(T)INFINITY);
    T kept[CHANGED];
    n = whole ? CHANGED : n;
    if (class_mask)
        mask_numbers(class_mask, change->mask_step, n, kept);
    for (size_t i = 0; i < n; i += LANES) {
        vec v = (whole ? vload(from + i) : vload_part(from + i, n - i, zero)) * factor;
        if (whole)
            __builtin_prefetch(from + i + AHEAD, 0, 3);
        if (class_mask)
            v = vselect(vequal(vload(kept + i), zero), none, v);
        if (whole)
            vstore(to + i, v);
        else
            vstore_part(to + i, n - i, v);
    }
}

/* to = from as the loss sees it, n elements; they may be the same. `class_mask` or NULL. */
static void transform_elements(const struct logit_transform *change, const T *from,
                               const char *class_mask, T *to, size_t n)
{
    const ptrdiff_t bytes = (ptrdiff_t)CHANGED * change->mask_step;
    size_t i = 0;
    for (; i + CHANGED <= n; i += CHANGED, class_mask = class_mask ? class_mask + bytes : NULL)
        transform_part(change, from + i, class_mask, to + i, CHANGED, 1);
    if (i < n)
        transform_part(change, from + i, class_mask, to + i, n - i, 0);
}

/* n logits of row r from class `base` on, as the loss sees them: where they lie, or `buffer`. */
static inline const T *block_logits(const struct rows *rows, size_t r, size_t base, size_t n,
                                    T *buffer)
{
    const T *x = (const T *)rows->x[r] + base;
    const char *class_mask = rows->class_mask[r];
    if (!rows->logit_transform.on || rows->classes <= BLOCK)
        return x;
    if (class_mask)
        class_mask += (ptrdiff_t)base * rows->logit_transform.mask_step;
    transform_elements(&rows->logit_transform, x, class_mask, buffer, n);
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
           rows_follow(rows->exps, rows->count, n * (ptrdiff_t)sizeof(T));
}

static void collect_apart(const struct rows *rows, enum crossent_dtype dtype)
{
    const int native = dtype == (IS_DOUBLE ? CROSSENT_F64 : CROSSENT_F32);
    if (native && rows_adjacent((char *const *)rows->x, rows->count))
        for (size_t c = 0; c < rows->classes; c += LANES)
            for (size_t r0 = 0; r0 < rows->count; r0 += LANES)
                square_in(rows, r0, lane_count(rows, r0), c);
    else if (!native && are_one(rows, (char *const *)rows->x, rows->x_step))
        from_numbers(rows->x[0], rows->x_step, dtype, rows->count * rows->classes,
                     (T *)rows->exps[0]);
    else
        for (size_t r = 0; r < rows->count; r++)
            from_numbers(rows->x[r], rows->x_step, dtype, rows->classes, (T *)rows->exps[r]);
}

static void collect_rows(struct rows *rows, enum crossent_dtype dtype)
{
    const int contiguous = dtype == (IS_DOUBLE ? CROSSENT_F64 : CROSSENT_F32) &&
                           rows->x_step == (ptrdiff_t)sizeof(T);
    if (!contiguous)
        collect_apart(rows, dtype);
    for (size_t r = 0; r < rows->count; r++) {
        if (rows->logit_transform.on && rows->classes > TILE_CLASSES &&
            rows->classes <= BLOCK)
            transform_elements(&rows->logit_transform,
                               (const T *)(contiguous ? rows->x[r] : rows->exps[r]),
                               rows->class_mask[r], (T *)rows->exps[r], rows->classes);
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
        to_numbers(out[0], step, dtype, rows->count * rows->classes, (T *)rows->exps[0]);
    else
        for (size_t r = 0; r < rows->count; r++)
            to_numbers(out[r], step, dtype, rows->classes, (T *)rows->exps[r]);
    for (size_t r = 0; exact && !native && r < rows->count; r++)
        store_any(out[r] + rows->anchor[r] * step, dtype, exact[r]);
}

/* n elements of `to`, `step` bytes apart, += e. */
static inline void add_elements(char *to, ptrdiff_t step, const T *restrict e, size_t n)
{
    if (step == (ptrdiff_t)sizeof(T))
        for (size_t i = 0; i < n; i++)
            ((T *)to)[i] += e[i];
    else
        for (size_t i = 0; i < n; i++)
            *(T *)(to + (ptrdiff_t)i * step) += e[i];
}

/* out += the rows. */
static void add_rows(const struct rows *rows, char *const *out, ptrdiff_t step)
{
    for (size_t r = 0; r < rows->count; r++)
        add_elements(out[r], step, (const T *)rows->exps[r], rows->classes);
}
