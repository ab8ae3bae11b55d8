/* Elements between the caller's arrays, wherever they lie, and contiguous buffers of T; and the
 * largest of them. */
/* n elements `step` bytes apart, as they lie where they are contiguous, else copied to `buffer`. */
static inline const T *load_elements(const char *p, ptrdiff_t step, size_t n, T *buffer)
{
    if (step == (ptrdiff_t)sizeof(T))
        return (const T *)p;
    for (size_t i = 0; i < n; i++)
        buffer[i] = *(const T *)(p + (ptrdiff_t)i * step);
    return buffer;
}

#if !IS_DOUBLE
/* n contiguous numbers of 16 bits to floats, and back; bfloat16 if `is_bfloat16`, else float16. */
static void from_halves(const uint16_t *from, size_t n, float *to, int is_bfloat16)
{
    size_t i = 0;
    if (is_bfloat16)
        for (; i + LANES <= n; i += LANES)
            vstore(to + i, vload_bfloat16(from + i));
    else
        for (; i + LANES <= n; i += LANES)
            vstore(to + i, vload_float16(from + i));
    for (; i < n; i++)
        to[i] = is_bfloat16 ? from_bfloat16(from[i]) : from_float16(from[i]);
}

static void to_halves(const float *from, size_t n, uint16_t *to, int is_bfloat16)
{
    size_t i = 0;
    if (is_bfloat16)
        for (; i + LANES <= n; i += LANES)
            vstore_bfloat16(to + i, vload(from + i));
    else
        for (; i + LANES <= n; i += LANES)
            vstore_float16(to + i, vload(from + i));
    for (; i < n; i++)
        to[i] = is_bfloat16 ? to_bfloat16(from[i]) : to_float16(from[i]);
}
#endif

static inline void from_numbers(const char *p, ptrdiff_t step, enum crossent_dtype dtype, size_t n,
                                T *to)
{
#if !IS_DOUBLE
    if ((dtype == CROSSENT_F16 || dtype == CROSSENT_BF16) && step == sizeof(uint16_t)) {
        from_halves((const uint16_t *)p, n, to, dtype == CROSSENT_BF16);
        return;
    }
#endif
#define CONVERT(type) \
    for (size_t i = 0; i < n; i++) \
        to[i] = (T)*(const type *)(p + (ptrdiff_t)i * step); \
    break
#define CONVERT16(from) \
    for (size_t i = 0; i < n; i++) \
        to[i] = (T)from(*(const uint16_t *)(p + (ptrdiff_t)i * step)); \
    break
    switch (dtype) {
    case CROSSENT_I8: CONVERT(int8_t);
    case CROSSENT_U8: CONVERT(uint8_t);
    case CROSSENT_I16: CONVERT(int16_t);
    case CROSSENT_U16: CONVERT(uint16_t);
    case CROSSENT_I32: CONVERT(int32_t);
    case CROSSENT_U32: CONVERT(uint32_t);
    case CROSSENT_I64: CONVERT(int64_t);
    case CROSSENT_U64: CONVERT(uint64_t);
    case CROSSENT_F32: CONVERT(float);
    case CROSSENT_F64: CONVERT(double);
    case CROSSENT_F16: CONVERT16(from_float16);
    case CROSSENT_BF16: CONVERT16(from_bfloat16);
    }
#undef CONVERT16
#undef CONVERT
}

static const void *load_any(const char *p, ptrdiff_t step, enum crossent_dtype dtype, size_t n,
                            void *buffer)
{
    if (dtype == (IS_DOUBLE ? CROSSENT_F64 : CROSSENT_F32))
        return load_elements(p, step, n, buffer);
    from_numbers(p, step, dtype, n, buffer);
    return buffer;
}

/* x as `dtype`, to which it is rounded once. */
static inline void store_any(char *p, enum crossent_dtype dtype, double x)
{
    switch (dtype) {
    case CROSSENT_F32: *(float *)p = (float)x; break;
    case CROSSENT_F64: *(double *)p = x; break;
    case CROSSENT_F16: *(uint16_t *)p = half_bits(x, 10, 15); break;
    case CROSSENT_BF16: *(uint16_t *)p = half_bits(x, 7, 127); break;
    default: break;
    }
}

/* n contiguous T to elements of a floating-point type, `step` bytes apart. */
static inline void to_numbers(char *p, ptrdiff_t step, enum crossent_dtype dtype, size_t n,
                              const T *from)
{
#if !IS_DOUBLE
    if ((dtype == CROSSENT_F16 || dtype == CROSSENT_BF16) && step == sizeof(uint16_t)) {
        to_halves(from, n, (uint16_t *)p, dtype == CROSSENT_BF16);
        return;
    }
#endif
#define CONVERT16(to) \
    for (size_t i = 0; i < n; i++) \
        *(uint16_t *)(p + (ptrdiff_t)i * step) = to((float)from[i])
    if (dtype == CROSSENT_F16)
        CONVERT16(to_float16);
    else if (dtype == CROSSENT_BF16)
        CONVERT16(to_bfloat16);
    else
        for (size_t i = 0; i < n; i++)
            *(T *)(p + (ptrdiff_t)i * step) = from[i];
#undef CONVERT16
}

/* How many rows from r0 on fill the lanes. */
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

/* What a row's logits are counted from: 0, or its maximum where that is beyond exact reduction. */
static inline T reference(T max)
{
    return max > RANGE || (max < -RANGE && max > -(T)INFINITY) ? max : 0;
}

/* x - shift, and 0 where they are equal: also for infinities. */
static inline T from_shift(T x, T shift) { return x == shift ? 0 : x - shift; }

static inline void shift_elements(T *to, const T *x, size_t n, T shift)
{
    for (size_t i = 0; i < n; i++)
        to[i] = from_shift(x[i], shift);
}

/* scale * factor as *pre * the result; *pre is 1 unless the product is below the normal numbers. */
static inline T split_scale(double scale, double factor, T *pre)
{
    int a, b;
    double product = scale * factor;
    *pre = 1;
    if (fabs(product) > (double)TINY * 8)
        return (T)product;
    double digits = frexp(scale, &a) * frexp(factor, &b);
    if (scale == 0 || factor == 0 || !isfinite(digits))
        return (T)(scale * factor);
    if (a + b > 3 - EXPONENT_BIAS)
        return (T)ldexp(digits, a + b);
    int half = (a + b) / 2 < 1 - EXPONENT_BIAS ? 1 - EXPONENT_BIAS : (a + b) / 2;
    *pre = (T)ldexp(1, half);
    return (T)ldexp(digits, a + b - half);
}

/* LANES numbers of a statistic from a vec, and as one. */
static inline void widen_to(double *p, vec v)
{
    for (int part = 0; part < PARTS; part++)
        vstore_f64(p + part * LANES_f64, vwiden(v, part));
}

static inline vec narrowed(const double *p)
{
    vec_f64 parts[PARTS];
    for (int part = 0; part < PARTS; part++)
        parts[part] = vload_f64(p + part * LANES_f64);
    return vnarrow(parts);
}

/* The largest of n numbers but the one at `skip`; NaNs are passed over; -inf where none is left. */
static inline T block_max(const T *x, size_t n, size_t skip)
{
    const vec none = vset(-(T)INFINITY);
    vec top[4] = {none, none, none, none};
    size_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES) {
        if (skip - i < 4 * LANES) {
            const vec at = vset((T)(skip - i));
            for (int k = 0; k < 4; k++) {
                mask out = vequal(vlanes() + vset((T)(k * LANES)), at);
                top[k] = vmax(vselect(out, none, vload(x + i + k * LANES)), top[k]);
            }
        } else {
            for (int k = 0; k < 4; k++)
                top[k] = vmax(vload(x + i + k * LANES), top[k]);
        }
    }
    for (; i < n; i += LANES) {
        mask out = vequal(vlanes(), vset(skip - i < LANES ? (T)(skip - i) : -1));
        top[0] = vmax(vselect(out, none, vload_part(x + i, n - i, none)), top[0]);
    }
    return vtop(vmax(vmax(top[0], top[1]), vmax(top[2], top[3])));
}

/* The first index that holds `value`; n where none does. */
static inline size_t block_find(const T *x, size_t n, T value)
{
    const vec wanted = vset(value), nan = vset((T)NAN);
    for (size_t i = 0; i < n; i += LANES) {
        unsigned found = vbits(vequal(vload_part(x + i, n - i, nan), wanted));
        if (found)
            return i + (size_t)__builtin_ctz(found);
    }
    return n;
}
