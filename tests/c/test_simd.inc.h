/* Included by test_simd.c once for each element type:
 * D its suffix, T its name, BITS its word, MANTISSA and BIAS its layout, FMA its C function. */
#define LANES OF(LANES)
#define vec OF(vec)

static T OF(of_bits)(BITS w)
{
    T x;
    memcpy(&x, &w, sizeof x);
    return x;
}
static BITS OF(bits_of)(T x)
{
    BITS w;
    memcpy(&w, &x, sizeof w);
    return w;
}

/* Bit for bit. */
static void OF(exactly)(const char *word, int lane, T wanted, T found)
{
    checks++;
    if (OF(bits_of)(wanted) == OF(bits_of)(found)) return;
    failures++;
    printf("%s %s lane %d: wanted %a (%llx), found %a (%llx)\n", word, NAME_OF(D), lane,
           (double)wanted, (unsigned long long)OF(bits_of)(wanted), (double)found,
           (unsigned long long)OF(bits_of)(found));
}
/* Bit for bit, but one NaN is as good as another: arithmetic may choose its sign and payload. */
static void OF(equally)(const char *word, int lane, T wanted, T found)
{
    if (isnan(wanted) && isnan(found)) checks++;
    else OF(exactly)(word, lane, wanted, found);
}
static void OF(whole)(const char *word, int lane, unsigned wanted, unsigned found)
{
    checks++;
    if (wanted == found) return;
    failures++;
    printf("%s %s lane %d: wanted %#x, found %#x\n", word, NAME_OF(D), lane, wanted, found);
}
static void OF(lanes_exactly)(const char *word, const T *wanted, vec v)
{
    T found[LANES];
    OF(vstore)(found, v);
    for (int i = 0; i < LANES; i++) OF(exactly)(word, i, wanted[i], found[i]);
}
static void OF(lanes_equally)(const char *word, const T *wanted, vec v)
{
    T found[LANES];
    OF(vstore)(found, v);
    for (int i = 0; i < LANES; i++) OF(equally)(word, i, wanted[i], found[i]);
}

/* +-(1 + random fraction) * 2^e, subnormal or infinite where e leaves the normal range. */
static T OF(random_near)(int e)
{
    BITS fraction = (BITS)(random_bits() >> 12) & (((BITS)1 << MANTISSA) - 1);
    T x = OF(of_bits)(((BITS)BIAS << MANTISSA) | fraction);
    return (T)ldexp(random_bits() >> 63 ? (double)x : -(double)x, e);
}
static T OF(random_any)(void) { return OF(of_bits)((BITS)random_bits()); }

enum { OF(SPECIALS) = 24 };
static T OF(special)(int i)
{
    const BITS top = (BITS)1 << (8 * sizeof(T) - 1), one = (BITS)BIAS << MANTISSA;
    const BITS infinity = (BITS)(2 * BIAS + 1) << MANTISSA, quiet = (BITS)1 << (MANTISSA - 1);
    const BITS positive[OF(SPECIALS) / 2] = {
        0, 1, ((BITS)1 << MANTISSA) - 1, (BITS)1 << MANTISSA, one - 1, one, one + 1,
        one + ((BITS)1 << MANTISSA) + 12345, infinity - 1, infinity, infinity | quiet,
        infinity | quiet | 77};
    return OF(of_bits)(positive[i / 2] | (i & 1 ? top : 0));
}

/* Guarded memory: elements before and after the place of interest keep these bytes. */
enum { OF(ROOM) = 4 * LANES + 4 };
static void OF(guards)(const char *word, const T *room, size_t from, size_t n)
{
    const unsigned char *byte = (const unsigned char *)room;
    for (size_t i = 0; i < OF(ROOM) * sizeof(T); i++) {
        if (i >= from * sizeof(T) && i < (from + n) * sizeof(T)) continue;
        OF(whole)(word, -1, 0xa5, byte[i]);
    }
}

static void OF(test_memory)(void)
{
    _Alignas(64) T room[OF(ROOM)];
    T data[LANES], wanted[LANES];
    for (int i = 0; i < LANES; i++) {
        data[i] = OF(special)(5) * (T)0.7;
        wanted[i] = data[i];
    }
    OF(lanes_exactly)("vset", wanted, OF(vset)(data[0]));
    for (int i = 0; i < LANES; i++) wanted[i] = (T)i;
    OF(lanes_exactly)("vlanes", wanted, OF(vlanes)());

    for (size_t offset = 1; offset < LANES + 2; offset++) {
        T *p = room + offset;
        for (int i = 0; i < LANES; i++) data[i] = OF(random_near)(0);
        memset(room, 0xa5, sizeof room);
        memcpy(p, data, sizeof data);
        vec v = OF(vload)(p);
        OF(lanes_exactly)("vload", data, v);

        memset(room, 0xa5, sizeof room);
        OF(vstore)(p, v);
        for (int i = 0; i < LANES; i++) OF(exactly)("vstore", i, data[i], p[i]);
        OF(guards)("vstore", room, offset, LANES);

        for (size_t n = 0; n <= LANES + 1; n++) {
            const size_t count = n < LANES ? n : LANES;
            memset(room, 0xa5, sizeof room);
            OF(vstore_part)(p, n, v);
            for (size_t i = 0; i < count; i++)
                OF(exactly)("vstore_part", (int)i, data[i], p[i]);
            OF(guards)("vstore_part", room, offset, count);

            const vec fill = OF(vset)((T)-3) - OF(vlanes)();
            for (size_t i = 0; i < LANES; i++) wanted[i] = i < n ? data[i] : (T)-3 - (T)i;
            OF(lanes_exactly)("vload_part", wanted, OF(vload_part)(p, n, fill));
        }
    }

    /* Hard against pages that must not be touched. */
    for (size_t n = 0; n <= LANES + 1; n++) {
        const size_t count = n < LANES ? n : LANES;
        T *at[2] = {(T *)(void *)page_first, (T *)(void *)page_end - count};
        for (int end = 0; end < 2; end++) {
            for (int i = 0; i < LANES; i++) data[i] = OF(random_near)(0);
            for (size_t i = 0; i < LANES; i++) wanted[i] = i < n ? data[i] : (T)9;
            OF(vstore_part)(at[end], n, OF(vload)(data));
            OF(lanes_exactly)("page", wanted, OF(vload_part)(at[end], n, OF(vset)((T)9)));
        }
    }

    /* A count far above LANES is LANES. */
    const size_t many[4] = {32, 64, SIZE_MAX / 2 + 2, SIZE_MAX};
    for (int i = 0; i < 4; i++) {
        T *end = (T *)(void *)page_end - LANES;
        OF(vstore_part)(end, many[i], OF(vset)((T)i));
        for (int j = 0; j < LANES; j++) wanted[j] = (T)i;
        OF(lanes_exactly)("page", wanted, OF(vload_part)(end, many[i], OF(vset)((T)9)));
    }
}

/* Every pair of special values meets in every lane. */
static void OF(test_pairs)(void)
{
    const int n = OF(SPECIALS);
    for (int pair = 0; pair < n * n; pair++) {
        T a[LANES], b[LANES], w[LANES];
        unsigned less = 0, equal = 0;
        for (int i = 0; i < LANES; i++) {
            const int at = (pair + i) % (n * n);
            a[i] = OF(special)(at % n);
            b[i] = OF(special)(at / n);
            less |= (unsigned)(a[i] < b[i]) << i;
            equal |= (unsigned)(a[i] == b[i]) << i;
        }
        const vec x = OF(vload)(a), y = OF(vload)(b);
        for (int i = 0; i < LANES; i++) w[i] = a[i] > b[i] ? a[i] : b[i];
        OF(lanes_exactly)("vmax", w, OF(vmax)(x, y));
        for (int i = 0; i < LANES; i++) w[i] = a[i] < b[i] ? a[i] : b[i];
        OF(lanes_exactly)("vmin", w, OF(vmin)(x, y));
        OF(whole)("vless", -1, less, OF(vbits)(OF(vless)(x, y)));
        OF(whole)("vequal", -1, equal, OF(vbits)(OF(vequal)(x, y)));
        for (int i = 0; i < LANES; i++) w[i] = a[i] < b[i] ? a[i] : b[i];
        OF(lanes_exactly)("vselect", w, OF(vselect)(OF(vless)(x, y), x, y));
        for (int i = 0; i < LANES; i++) w[i] = a[i] == b[i] ? b[i] : a[i];
        OF(lanes_exactly)("vselect", w, OF(vselect)(OF(vequal)(x, y), y, x));

        const BITS top = (BITS)1 << (8 * sizeof(T) - 1);
        for (int i = 0; i < LANES; i++) w[i] = OF(of_bits)(OF(bits_of)(a[i]) & ~top);
        OF(lanes_exactly)("vabs", w, OF(vabs)(x));
        for (int i = 0; i < LANES; i++)
            w[i] = OF(of_bits)(OF(bits_of)(a[i]) ^ (OF(bits_of)(b[i]) & top));
        OF(lanes_exactly)("vsigned", w, OF(vsigned)(x, y));

        for (int i = 0; i < LANES; i++) w[i] = a[i] + b[i];
        OF(lanes_equally)("+", w, x + y);
        for (int i = 0; i < LANES; i++) w[i] = a[i] - b[i];
        OF(lanes_equally)("-", w, x - y);
        for (int i = 0; i < LANES; i++) w[i] = a[i] * b[i];
        OF(lanes_equally)("*", w, x * y);
        for (int i = 0; i < LANES; i++) w[i] = a[i] / b[i];
        OF(lanes_equally)("/", w, x / y);
    }
}

/* Of two equal lanes either may be the largest: +0 and -0 count as equal. */
static void OF(test_top)(void)
{
    for (int round = 0; round < 20000; round++) {
        T a[LANES], top = -(T)INFINITY;
        for (int i = 0; i < LANES; i++) {
            const int s = random_between(0, 8 * OF(SPECIALS)), e = random_between(-60, 60);
            a[i] = s < OF(SPECIALS) ? OF(special)(s) : OF(random_near)(e);
            if (isnan(a[i])) a[i] = 0;
            if (a[i] > top) top = a[i];
        }
        const T found = OF(vtop)(OF(vload)(a));
        OF(exactly)("vtop", -1, top, found == top ? top : found);
    }
}

static void OF(test_masks)(void)
{
    for (unsigned pattern = 0; pattern < 1u << LANES; pattern++) {
        T a[LANES], w[LANES];
        for (int i = 0; i < LANES; i++) {
            a[i] = (T)(pattern >> i & 1);
            w[i] = pattern >> i & 1 ? (T)(i + 1) : (T)-(i + 1);
        }
        const vec up = OF(vlanes)() + OF(vset)((T)1);
        const vec v = OF(vload)(a), half = OF(vset)((T)0.5);
        OF(whole)("vbits", -1, pattern, OF(vbits)(OF(vless)(half, v)));
        OF(whole)("vbits", -1, pattern, OF(vbits)(OF(vequal)(v, OF(vset)((T)1))));
        OF(lanes_exactly)("vselect", w, OF(vselect)(OF(vless)(half, v), up, OF(vset)((T)0) - up));
    }
}

static void OF(test_exponents)(void)
{
    T t[LANES], w[LANES];
    for (int biased = 0; biased <= 2 * BIAS + 1; biased++) {
        const T shift = (T)ldexp(1.5, MANTISSA);
        for (int i = 0; i < LANES; i++) {
            const int e = 1 + (biased + i) % (2 * BIAS);
            t[i] = shift + (T)e;
            w[i] = (T)ldexp(1, e - BIAS);
        }
        OF(lanes_exactly)("vpow2", w, OF(vpow2)(OF(vload)(t)));
    }
    for (int round = 0; round < 1000; round++) {
        for (int i = 0; i < LANES; i++) {
            const BITS bits = (BITS)random_bits();
            t[i] = OF(of_bits)(bits);
            w[i] = OF(of_bits)((BITS)(bits << MANTISSA));
        }
        OF(lanes_exactly)("vpow2", w, OF(vpow2)(OF(vload)(t)));
    }
}

/* m lies in [cut, 2 cut). */
static void OF(split_one)(const T *u)
{
    const T cut = (T)0.75;
    T m[LANES], k[LANES];
    for (int i = 0; i < LANES; i++) {
        int e;
        m[i] = (T)frexp((double)u[i], &e);
        k[i] = (T)e;
        if (m[i] < cut) {
            m[i] *= 2;
            k[i] -= 1;
        }
    }
    vec exponent, mantissa = OF(vsplit)(OF(vload)(u), &exponent);
    OF(lanes_exactly)("vsplit m", m, mantissa);
    OF(lanes_exactly)("vsplit k", k, exponent);
}
static void OF(test_split)(void)
{
    const BITS whole = ((BITS)1 << MANTISSA) - 1;
    const BITS cut = OF(bits_of)((T)1.5) & whole;
    T u[LANES];
    for (int biased = 1; biased <= 2 * BIAS; biased++) {
        const BITS e = (BITS)biased << MANTISSA;
        for (int near = -20; near <= 20; near++) {
            const BITS around[3] = {0, cut, whole};
            for (int i = 0; i < LANES; i++) {
                BITS fraction = (around[i % 3] + (BITS)(near + i / 3)) & whole;
                u[i] = OF(of_bits)(e | fraction);
            }
            OF(split_one)(u);
            for (int i = 0; i < LANES; i++)
                u[i] = OF(of_bits)(e | ((cut + (BITS)(near + i)) & whole));
            OF(split_one)(u);
            for (int i = 0; i < LANES; i++)
                u[i] = OF(of_bits)(e | ((BITS)(random_bits() >> 12) & whole));
            OF(split_one)(u);
        }
    }
    /* Anything else has only to return. */
    for (int s = 0; s < OF(SPECIALS); s++) {
        vec k, m = OF(vsplit)(OF(vset)(OF(special)(s)), &k);
        OF(vstore)(u, m + k);
        checks++;
    }
}

static void OF(fma_lanes)(const T *a, const T *b, const T *c)
{
    T w[LANES], found[LANES];
    OF(vstore)(found, OF(vfma)(OF(vload)(a), OF(vload)(b), OF(vload)(c)));
    for (int i = 0; i < LANES; i++) {
        const unsigned long before = failures;
        w[i] = FMA(a[i], b[i], c[i]);
        OF(equally)("vfma", i, w[i], found[i]);
        if (failures != before)
            printf("    of %a %a %a\n", (double)a[i], (double)b[i], (double)c[i]);
    }
}
/* The hard cases of a fused multiply-add, kind by kind. */
static void OF(fma_operands)(int kind, T *a, T *b, T *c)
{
    const int wide = BIAS - 2;
    int e, j;
    switch (kind) {
    case 0: /* ordinary */
        *a = OF(random_near)(random_between(-9, 9));
        *b = OF(random_near)(random_between(-9, 9));
        *c = OF(random_near)(random_between(-20, 20));
        break;
    case 1: /* cancellation: c within two steps of -a*b */
        *a = OF(random_near)(random_between(-9, 9));
        *b = OF(random_near)(random_between(-9, 9));
        *c = OF(of_bits)((BITS)(OF(bits_of)(-(*a * *b)) + (BITS)random_between(0, 4) - 2));
        break;
    case 2: /* few bits: exact results and exact ties */
        j = random_between(1, MANTISSA);
        *a = OF(of_bits)(OF(bits_of)(OF(random_near)(0)) >> j << j);
        *b = OF(of_bits)(OF(bits_of)(OF(random_near)(0)) >> j << j);
        *c = OF(random_near)(random_between(-2 * MANTISSA, 2 * MANTISSA));
        *c = OF(of_bits)(OF(bits_of)(*c) >> (j / 2) << (j / 2));
        break;
    case 3: /* a*b a hair beside half a step of c, with c odd or even */
        e = random_between(-9, 9);
        j = random_between(1, MANTISSA);
        *c = OF(random_near)(e);
        *a = (T)ldexp(random_bits() >> 63 ? 1 : -1, e - MANTISSA - 1) * (T)(1 + ldexp(1, -j));
        *b = (T)(random_bits() >> 63 ? 1 - ldexp(1, -j) : 1 + ldexp(1, -j));
        break;
    case 4: /* any bits at all */
        *a = OF(random_any)();
        *b = OF(random_any)();
        *c = OF(random_any)();
        break;
    case 5: /* far factors, near terms */
        e = random_between(-wide, wide);
        j = random_between(-40, 40);
        *a = OF(random_near)(e);
        *b = OF(random_near)(-e + j);
        *c = OF(random_near)(j + random_between(-2 * MANTISSA - 4, 2 * MANTISSA + 4));
        break;
    case 6: /* at the lower and the upper end of the range */
        e = random_between(0, wide);
        j = random_between(-MANTISSA - 3, 2 * MANTISSA) - BIAS;
        if (random_bits() >> 63) j = -j;
        *a = OF(random_near)(j / 2 + e / 2);
        *b = OF(random_near)(j - j / 2 - e / 2);
        *c = OF(random_near)(j + random_between(-MANTISSA, MANTISSA));
        if (e & 1) *c = OF(of_bits)((BITS)(OF(bits_of)(-(*a * *b)) + (BITS)(e & 2)));
        break;
    case 7: /* a term that is zero, infinite or otherwise special */
        *a = OF(random_near)(random_between(-9, 9));
        *b = OF(random_near)(random_between(-9, 9));
        *c = OF(random_near)(random_between(-20, 20));
        j = random_between(0, 5 * OF(SPECIALS));
        if (j < OF(SPECIALS)) *a = OF(special)(j);
        else if (j < 2 * OF(SPECIALS)) *b = OF(special)(j % OF(SPECIALS));
        else if (j < 3 * OF(SPECIALS)) *c = OF(special)(j % OF(SPECIALS));
        else if (j < 4 * OF(SPECIALS)) *(j & 2 ? a : c) = OF(special)(j % 2);
        break;
    default:
        OF(fma_operands)(random_between(0, 7), a, b, c);
    }
}
static void OF(test_fma)(void)
{
    enum { TRIPLES = 50000 };
    T a[LANES], b[LANES], c[LANES];
    for (int kind = 0; kind <= 8; kind++) {
        for (int done = 0; done < TRIPLES; done += LANES) {
            for (int i = 0; i < LANES; i++) OF(fma_operands)(kind, a + i, b + i, c + i);
            OF(fma_lanes)(a, b, c);
        }
    }
    const int n = OF(SPECIALS);
    for (int s = 0; s < n * n * n; s++) {
        for (int i = 0; i < LANES; i++) {
            const int at = s + i;
            a[i] = OF(special)(at % n);
            b[i] = OF(special)(at / n % n);
            c[i] = OF(special)(at / n / n % n);
        }
        OF(fma_lanes)(a, b, c);
    }
}

static void OF(test_parts)(void)
{
    for (int round = 0; round < 20000; round++) {
        T narrow[LANES];
        double wide[LANES];
        vec_f64 parts[OF(PARTS)];
        OF(whole)("PARTS", -1, LANES, OF(PARTS) * LANES_f64);
        for (int i = 0; i < LANES; i++) {
            const int s = random_between(0, 2 * OF(SPECIALS)), e = random_between(-99, 99);
            narrow[i] = s < OF(SPECIALS) ? OF(special)(s) : OF(random_near)(e);
        }
        for (int word = 0; word < 2; word++) {
            for (int part = 0; part < OF(PARTS); part++)
                vstore_f64(wide + part * LANES_f64,
                           word ? OF(vload_wide)(narrow + part * LANES_f64)
                                : OF(vwiden)(OF(vload)(narrow), part));
            for (int i = 0; i < LANES; i++) {
                const double w = (double)narrow[i];
                checks++;
                if ((isnan(w) && isnan(wide[i])) || memcmp(&w, wide + i, sizeof w) == 0) continue;
                failures++;
                printf("%s %s lane %d: wanted %a, found %a\n", word ? "vload_wide" : "vwiden",
                       NAME_OF(D), i, w, wide[i]);
            }
        }
        /* Doubles around the halfway points, and up to and beyond both ends of the range. */
        for (int i = 0; i < LANES; i++) {
            const double x = (double)OF(random_near)(0);
            const double half = x + ldexp(1, -MANTISSA - 1) * (double)random_between(-1, 1);
            const double tail = ldexp((double)random_between(-1, 1), -50);
            wide[i] = ldexp(half + tail, random_between(-BIAS - 30, BIAS + 2));
            narrow[i] = (T)wide[i];
        }
        for (int part = 0; part < OF(PARTS); part++)
            parts[part] = vload_f64(wide + part * LANES_f64);
        OF(lanes_equally)("vnarrow", narrow, OF(vnarrow)(parts));
    }
}

static void OF(test_transpose)(void)
{
    for (int round = 0; round < 10; round++) {
        T m[LANES][LANES], w[LANES];
        vec v[LANES];
        for (int i = 0; i < LANES; i++) {
            for (int j = 0; j < LANES; j++) m[i][j] = round ? OF(random_any)() : (T)(i * LANES + j);
            v[i] = OF(vload)(m[i]);
        }
        OF(vtranspose)(v);
        for (int i = 0; i < LANES; i++) {
            for (int j = 0; j < LANES; j++) w[j] = m[j][i];
            OF(lanes_exactly)("vtranspose", w, v[i]);
        }
    }
}

static void OF(test_all)(void)
{
    OF(test_memory)();
    OF(test_pairs)();
    OF(test_top)();
    OF(test_masks)();
    OF(test_exponents)();
    OF(test_split)();
    OF(test_fma)();
    OF(test_parts)();
    OF(test_transpose)();
}

#undef LANES
#undef vec
