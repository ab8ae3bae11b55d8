/* Features of other types. Every type fits into a double but integers of 64 bits, which become float
 * at once where float is wanted: 2^60 + 2^36 + 1 would be rounded to 2^60 + 2^36 first, then, as a
 * tie, to 2^60.
 *
 * The type is a constant in the innermost loops, so that those over adjacent numbers become vectors.
 */
#include "train/convert.h"

#include <string.h>

#include "base/dtype.h"
#include "base/half.h"
#include "base/sizes.h"

enum { SWAPPED_TOGETHER = 64, LARGEST_SIZE = 8 };

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* The number at `p`, any address, which may be read as one of the union. */
ALWAYS_INLINE double number_at(const char *p, enum crossent_dtype dtype, int single)
{
    union {
        int8_t i8; uint8_t u8; int16_t i16; uint16_t u16; int32_t i32; uint32_t u32; int64_t i64;
        uint64_t u64; float f32; double f64;
    } x;
    memcpy(&x, p, dtype_size(dtype));
    switch (dtype) {
    case CROSSENT_I8: return x.i8;
    case CROSSENT_U8: return x.u8;
    case CROSSENT_I16: return x.i16;
    case CROSSENT_U16: return x.u16;
    case CROSSENT_I32: return x.i32;
    case CROSSENT_U32: return x.u32;
    case CROSSENT_I64: return single ? (double)(float)x.i64 : (double)x.i64;
    case CROSSENT_U64: return single ? (double)(float)x.u64 : (double)x.u64;
    case CROSSENT_F16: return from_float16(x.u16);
    case CROSSENT_BF16: return from_bfloat16(x.u16);
    case CROSSENT_F32: return x.f32;
    default: return x.f64;
    }
}

ALWAYS_INLINE void convert_spaced(const char *from, ptrdiff_t step, size_t n, char *to,
                                  enum crossent_dtype dtype, int single)
{
    float *singles = (float *)to;
    double *doubles = (double *)to;
    for (size_t j = 0; j < n; j++)
        if (single)
            singles[j] = (float)number_at(from + (ptrdiff_t)j * step, dtype, 1);
        else
            doubles[j] = number_at(from + (ptrdiff_t)j * step, dtype, 0);
}

ALWAYS_INLINE void convert_from(const char *from, ptrdiff_t step, size_t n, char *to, int single,
                                enum crossent_dtype dtype)
{
    const ptrdiff_t adjacent = (ptrdiff_t)dtype_size(dtype);
    if (step == adjacent && single)
        convert_spaced(from, adjacent, n, to, dtype, 1);
    else if (step == adjacent)
        convert_spaced(from, adjacent, n, to, dtype, 0);
    else
        convert_spaced(from, step, n, to, dtype, single);
}

/* Numbers of this machine's byte order. */
static void convert_native(const char *from, ptrdiff_t step, size_t n, char *to, int single,
                           enum crossent_dtype dtype)
{
    switch (dtype) {
    case CROSSENT_I8: convert_from(from, step, n, to, single, CROSSENT_I8); return;
    case CROSSENT_U8: convert_from(from, step, n, to, single, CROSSENT_U8); return;
    case CROSSENT_I16: convert_from(from, step, n, to, single, CROSSENT_I16); return;
    case CROSSENT_U16: convert_from(from, step, n, to, single, CROSSENT_U16); return;
    case CROSSENT_I32: convert_from(from, step, n, to, single, CROSSENT_I32); return;
    case CROSSENT_U32: convert_from(from, step, n, to, single, CROSSENT_U32); return;
    case CROSSENT_I64: convert_from(from, step, n, to, single, CROSSENT_I64); return;
    case CROSSENT_U64: convert_from(from, step, n, to, single, CROSSENT_U64); return;
    case CROSSENT_F16: convert_from(from, step, n, to, single, CROSSENT_F16); return;
    case CROSSENT_BF16: convert_from(from, step, n, to, single, CROSSENT_BF16); return;
    case CROSSENT_F32: convert_from(from, step, n, to, single, CROSSENT_F32); return;
    default: convert_from(from, step, n, to, single, CROSSENT_F64); return;
    }
}

void convert_row(const struct train_chunk *chunk, const char *from, size_t n, char *to, int single)
{
    const size_t size = dtype_size(chunk->dtype), out = single ? sizeof(float) : sizeof(double);
    char native[SWAPPED_TOGETHER * LARGEST_SIZE];
    if (!chunk->swapped) {
        convert_native(from, chunk->step, n, to, single, chunk->dtype);
        return;
    }
    for (size_t begin = 0; begin < n; begin += SWAPPED_TOGETHER) {
        const size_t count = smaller(SWAPPED_TOGETHER, n - begin);
        for (size_t j = 0; j < count; j++)
            for (size_t b = 0; b < size; b++)
                native[j * size + b] =
                    from[(ptrdiff_t)(begin + j) * chunk->step + (ptrdiff_t)(size - 1 - b)];
        convert_native(native, (ptrdiff_t)size, count, to + begin * out, single, chunk->dtype);
    }
}
