/* Rows that the kernels cannot work on where they lie, because their classes are apart or have 16
 * bits: to contiguous rows of T, rows->exps, and back. LANES rows that are neighbours, as with the
 * class axis first, go through a transpose: every cache line is read and written once.
 */
#ifndef T
#error "staged_rows.inc.h: define T, SUFFIX and IS_DOUBLE"
#endif

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

static void collect_rows(struct rows *rows, enum crossent_dtype dtype)
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
    for (size_t r = 0; r < rows->count; r++)
        rows->x[r] = rows->exps[r];
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
