#define _DEFAULT_SOURCE
#include "harness.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- bookkeeping ------------------------------------------------------------------------- */

unsigned long checks, failures;
int only_digest;
struct now now = {"", "", "settings", "", 0, 0};

void check(int holds, const char *format, ...)
{
    enum { MOST_LINES = 40 };
    va_list arguments;
    checks++;
    if (holds || ++failures > MOST_LINES) return;
    printf("%s %s %s, %zu x %zu, %s: ", now.isa, now.type, now.goal, now.rows, now.classes,
           now.variant);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('\n');
}

void *allocate(size_t bytes)
{
    void *p;
    if (posix_memalign(&p, 64, bytes ? bytes : 1)) {
        perror("posix_memalign");
        exit(2);
    }
    return p;
}

/* FNV-1a. */
static uint64_t digest = 0xcbf29ce484222325;
void add_to_digest(const void *bytes, size_t n)
{
    const unsigned char *byte = bytes;
    for (size_t k = 0; k < n; k++) digest = (digest ^ byte[k]) * 0x100000001b3;
}

void switch_isa(const char *name)
{
    const int failed = crossent_use_isa(name);
    check(!failed && strcmp(crossent_isa(), name) == 0, "%s runs, not %s", crossent_isa(), name);
}

int has_fma(void)
{
#if defined(__aarch64__)
    return 1;
#else
    return strcmp(now.isa, "scalar") != 0 && strcmp(now.isa, "sse2") != 0;
#endif
}

void dirty_stack(void)
{
    enum { DEEP = 256 << 10 };
    static const int patterns[4] = {0x00, 0xff, 0x3f, 0xc1};   /* zeros, NaN, 0.0005, -4e7 */
    static unsigned calls;
    volatile char deep[DEEP];
    memset((char *)deep, patterns[calls++ % 4], DEEP);
    __asm__ volatile("" ::"r"(deep) : "memory");
}

int run_tests(int argc, char **argv, void (*tests)(void))
{
    now.isa = getenv("CROSSENT_ISA");
    if (!now.isa) now.isa = crossent_isa_name(0);
    if (crossent_use_isa(now.isa)) return 77;
    switch_isa(now.isa);
    random_seed(1);
    only_digest = argc == 2 && strcmp(argv[1], "--digest") == 0;
    tests();
    if (only_digest) printf("%016llx\n", (unsigned long long)digest);
    else printf("%s: %lu checks, %lu failures\n", now.isa, checks, failures);
    return failures != 0;
}

static uint64_t random_state;
void random_seed(uint64_t seed) { random_state = seed * 0x9e3779b97f4a7c15 + 1; }
uint64_t random_bits(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 0x2545f4914f6cdd1d;
}
size_t random_below(size_t n) { return (size_t)(random_bits() >> 32) % n; }
double random_unit(void) { return (double)(random_bits() >> 11) * 0x1p-53; }
int one_in(size_t n) { return random_below(n) == 0; }

#if defined __has_feature
#if __has_feature(memory_sanitizer)
#include <time.h>
/* MemorySanitizer does not know that the library's own writes *t. */
int timespec_get(struct timespec *t, int base)
{
    return clock_gettime(CLOCK_REALTIME, t) == 0 ? base : 0;
}
#endif
#endif

/* ---- numbers of every dtype -------------------------------------------------------------- */

size_t size_of(enum crossent_dtype dtype)
{
    switch (dtype) {
    case CROSSENT_I8: case CROSSENT_U8: return 1;
    case CROSSENT_F16: case CROSSENT_BF16: case CROSSENT_I16: case CROSSENT_U16: return 2;
    case CROSSENT_F32: case CROSSENT_I32: case CROSSENT_U32: return 4;
    default: return 8;
    }
}

const char *dtype_name(enum crossent_dtype dtype)
{
    static const char *const names[] = {"float32", "float64", "float16", "bfloat16", "int8",
                                        "uint8", "int16", "uint16", "int32", "uint32", "int64",
                                        "uint64"};
    return names[dtype];
}

/* Digits after the point, and the exponent of the smallest normal number. */
static int digits_of(enum crossent_dtype dtype)
{
    switch (dtype) {
    case CROSSENT_F64: return 52;
    case CROSSENT_F16: return 10;
    case CROSSENT_BF16: return 7;
    default: return 23;
    }
}
static int least_exponent(enum crossent_dtype dtype)
{
    return dtype == CROSSENT_F64 ? -1022 : dtype == CROSSENT_F16 ? -14 : -126;
}

/* A 16-bit number is sign, exponent, digits; the largest exponent holds infinities and NaN. */
static double half_value(uint16_t bits, int digits)
{
    const int exponents = 15 - digits, top = (1 << exponents) - 1, bias = top / 2;
    const int e = bits >> digits & top, m = bits & ((1 << digits) - 1);
    const double sign = bits >> 15 ? -1 : 1;
    if (e == top) return m ? NAN : sign * INFINITY;
    return sign * (e ? ldexp((1 << digits) + m, e - bias - digits) : ldexp(m, 1 - bias - digits));
}

/* x is a number that 16 bits hold. */
static uint16_t half_bits(double x, int digits)
{
    const int exponents = 15 - digits, top = (1 << exponents) - 1, bias = top / 2;
    const int sign = signbit(x) ? 1 << 15 : 0;
    int e;
    if (isnan(x)) return (uint16_t)(sign | top << digits | 1 << (digits - 1));
    if (isinf(x)) return (uint16_t)(sign | top << digits);
    frexp(x, &e);
    e = x == 0 || e - 1 < 1 - bias ? 0 : e - 1 + bias;
    const double m = ldexp(fabs(x), digits + bias - (e ? e : 1));
    return (uint16_t)(sign | (e ? (e << digits) + ((int)m - (1 << digits)) : (int)m));
}

double read_number(const char *p, enum crossent_dtype dtype)
{
    switch (dtype) {
    case CROSSENT_F32: return (double)*(const float *)p;
    case CROSSENT_F64: return *(const double *)p;
    case CROSSENT_F16: return half_value(*(const uint16_t *)p, 10);
    case CROSSENT_BF16: return half_value(*(const uint16_t *)p, 7);
    case CROSSENT_I8: return *(const int8_t *)p;
    case CROSSENT_U8: return *(const uint8_t *)p;
    case CROSSENT_I16: return *(const int16_t *)p;
    case CROSSENT_U16: return *(const uint16_t *)p;
    case CROSSENT_I32: return *(const int32_t *)p;
    case CROSSENT_U32: return *(const uint32_t *)p;
    case CROSSENT_I64: return (double)*(const int64_t *)p;
    default: return (double)*(const uint64_t *)p;
    }
}

void write_number(char *p, enum crossent_dtype dtype, double x)
{
    const int64_t whole = dtype > CROSSENT_BF16 ? (int64_t)x : 0;
    const float single = (float)x;
    uint16_t half;
    switch (dtype) {
    case CROSSENT_F32: memcpy(p, &single, 4); break;
    case CROSSENT_F64: memcpy(p, &x, 8); break;
    case CROSSENT_F16: half = half_bits(x, 10); memcpy(p, &half, 2); break;
    case CROSSENT_BF16: half = half_bits(x, 7); memcpy(p, &half, 2); break;
    default: memcpy(p, &whole, size_of(dtype)); break;      /* least byte first */
    }
}

/* To even, overflow to infinity. */
double rounded_to(enum crossent_dtype dtype, double x)
{
    const double most = dtype == CROSSENT_F16 ? 65504 : (double)FLT_MAX;
    int e;
    if (dtype == CROSSENT_F64 || x == 0 || !isfinite(x)) return x;
    frexp(x, &e);
    e = e - 1 < least_exponent(dtype) ? least_exponent(dtype) : e - 1;
    const double spacing = ldexp(1, e - digits_of(dtype)), r = nearbyint(x / spacing) * spacing;
    return fabs(r) > most ? copysign(INFINITY, r) : r;
}

double epsilon_of(enum crossent_dtype dtype)
{
    return dtype == CROSSENT_F64 ? DBL_EPSILON : (double)FLT_EPSILON;
}

double least_normal(enum crossent_dtype dtype)
{
    return dtype == CROSSENT_F64 ? DBL_MIN : (double)FLT_MIN;
}

double half_spacing(enum crossent_dtype dtype, long double x)
{
    int e = least_exponent(dtype) + 1;
    if (isfinite(x) && fabsl(x) >= ldexpl(1, e)) frexpl(x, &e);
    return ldexp(0.5, e - 1 - digits_of(dtype));
}

/* ---- arrays between guard bytes ---------------------------------------------------------- */

enum { GUARD_BYTE = 0xa5 };

struct placed place(enum crossent_dtype dtype, size_t rows, size_t classes, struct layout layout,
                    int folded)
{
    const size_t inner = !folded ? 1 : rows % 3 == 0 ? 3 : rows % 2 == 0 ? 2 : 1;
    const ptrdiff_t size = (ptrdiff_t)size_of(dtype), sign = layout.step < 0 ? -1 : 1;
    const ptrdiff_t step = layout.step ? sign * layout.step : (ptrdiff_t)rows;
    const ptrdiff_t stride = layout.step ? (ptrdiff_t)classes * step + layout.gap : 1;
    const ptrdiff_t outer = (ptrdiff_t)inner * stride + (folded ? layout.gap : 0);
    struct placed p = {.rows = rows, .classes = classes, .size = (size_t)size};
    p.shape[0] = rows / inner;
    p.shape[1] = inner;
    size_t span = 0;
    if (rows && classes)
        span = (p.shape[0] - 1) * (size_t)outer + (inner - 1) * (size_t)stride +
               (classes - 1) * (size_t)step + 1;
    p.bytes = 2 * GUARD + ((size_t)layout.offset + span) * p.size;
    p.memory = allocate(p.bytes);
    memset(p.memory, GUARD_BYTE, p.bytes);
    p.array.data = p.memory + GUARD + layout.offset * size;
    if (sign < 0 && span) p.array.data += (ptrdiff_t)(span - 1) * size;
    p.array.dtype = dtype;
    p.array.stride[0] = sign * outer * size;
    p.array.stride[1] = sign * stride * size;
    p.array.step = sign * step * size;
    return p;
}

struct crossent_array array_of(const struct placed *p)
{
    return p->rows ? p->array : (struct crossent_array){0};
}

static char *row_of(const struct placed *p, size_t row)
{
    return p->array.data + (ptrdiff_t)(row / p->shape[1]) * p->array.stride[0] +
           (ptrdiff_t)(row % p->shape[1]) * p->array.stride[1];
}

void put(const struct placed *p, const void *from, size_t size)
{
    const char *f = from;
    const int whole = p->array.step == (ptrdiff_t)size && p->size == size;
    const size_t count = whole ? 1 : p->classes, length = whole ? p->classes * size : p->size;
    for (size_t r = 0; r < p->rows; r++) {
        char *x = row_of(p, r);
        for (size_t c = 0; c < count; c++, x += p->array.step, f += whole ? length : size)
            memcpy(x, f, length);
    }
}

void fetch(const struct placed *p, void *to)
{
    char *t = to;
    const int whole = p->array.step == (ptrdiff_t)p->size;
    const size_t count = whole ? 1 : p->classes, length = whole ? p->classes * p->size : p->size;
    for (size_t r = 0; r < p->rows; r++) {
        char *x = row_of(p, r);
        for (size_t c = 0; c < count; c++, x += p->array.step, t += length) {
            memcpy(t, x, length);
            memset(x, GUARD_BYTE, length);
        }
    }
}

void put_numbers(const struct placed *p, const double *from)
{
    for (size_t r = 0; r < p->rows; r++) {
        char *x = row_of(p, r);
        for (size_t c = 0; c < p->classes; c++, x += p->array.step)
            write_number(x, p->array.dtype, *from++);
    }
}

void fetch_numbers(const struct placed *p, double *to)
{
    for (size_t r = 0; r < p->rows; r++) {
        char *x = row_of(p, r);
        for (size_t c = 0; c < p->classes; c++, x += p->array.step) {
            *to++ = read_number(x, p->array.dtype);
            memset(x, GUARD_BYTE, p->size);
        }
    }
}

void discard(struct placed *p, const char *name)
{
    const char guard = (char)GUARD_BYTE;
    const int kept = p->bytes == 0 || (p->memory[0] == guard &&
                                       memcmp(p->memory, p->memory + 1, p->bytes - 1) == 0);
    check(kept, "%s: bytes beside the elements were written", name);
    free(p->memory);
}

/* Like p, but as nobody has used it. */
static struct placed untouched(const struct placed *p)
{
    struct placed wanted = *p;
    wanted.memory = allocate(p->bytes);
    memset(wanted.memory, GUARD_BYTE, p->bytes);
    wanted.array.data = wanted.memory + (p->array.data - p->memory);
    return wanted;
}

static void discard_like(struct placed *p, struct placed *wanted, const char *name)
{
    check(memcmp(wanted->memory, p->memory, p->bytes) == 0, "%s: was written", name);
    free(wanted->memory);
    free(p->memory);
}

void discard_input(struct placed *p, const void *from, size_t size, const char *name)
{
    struct placed wanted = untouched(p);
    put(&wanted, from, size);
    discard_like(p, &wanted, name);
}

void discard_numbers(struct placed *p, const double *from, const char *name)
{
    struct placed wanted = untouched(p);
    put_numbers(&wanted, from);
    discard_like(p, &wanted, name);
}

/* ---- ways to call ------------------------------------------------------------------------ */

const struct variant variants[VARIANTS] = {
    {.name = "plain", .in = {0, 1, 0}, .out = {0, 1, 0}},
    {.name = "in place", .in = {0, 1, 0}, .out = {0, 1, 0}, .in_place = 1},
    {.name = "one element off", .in = {1, 1, 0}, .out = {3, 1, 0}},
    {.name = "rows apart", .in = {0, 1, 3}, .out = {1, 1, 5}},
    {.name = "every other to contiguous", .in = {0, 2, 0}, .out = {0, 1, 0}},
    {.name = "contiguous to every other", .in = {0, 1, 0}, .out = {1, 2, 0}},
    {.name = "every other, in place", .in = {1, 2, 1}, .out = {0, 1, 0}, .in_place = 1},
    {.name = "backwards", .in = {0, -1, 0}, .out = {0, -2, 1}},
    {.name = "transposed", .in = {0, 0, 0}, .out = {0, 0, 0}},
    {.name = "transposed to contiguous", .in = {1, 0, 0}, .out = {0, 1, 0}},
    {.name = "transposed, in place", .in = {0, 0, 0}, .out = {0, 0, 0}, .in_place = 1},
    {.name = "two dimensions of rows", .in = {0, 1, 2}, .out = {1, 1, 1}, .folded = 1},
};
const struct variant *const plain = &variants[0];
