/* What the storage types of crossent.h hold: their sizes, and labels as whole numbers. */
#ifndef CROSSENT_DTYPE_H
#define CROSSENT_DTYPE_H

#include <stddef.h>
#include <stdint.h>

#include "crossent.h"

static inline size_t dtype_size(enum crossent_dtype dtype)
{
    switch (dtype) {
    case CROSSENT_I8: case CROSSENT_U8: return 1;
    case CROSSENT_F16: case CROSSENT_BF16: case CROSSENT_I16: case CROSSENT_U16: return 2;
    case CROSSENT_F32: case CROSSENT_I32: case CROSSENT_U32: return 4;
    default: return 8;
    }
}

static inline int is_half(enum crossent_dtype dtype)
{
    return dtype == CROSSENT_F16 || dtype == CROSSENT_BF16;
}

/* A label as int64. What does not fit becomes INT64_MIN: no class, and no ignore_index that a
 * caller would give, whereas uint64 2^64 - 1 as -1 would be ignored with ignore_index=-1. */
static inline int64_t read_label(const void *p, const enum crossent_dtype dtype)
{
    switch (dtype) {
    case CROSSENT_I8: return *(const int8_t *)p;
    case CROSSENT_U8: return *(const uint8_t *)p;
    case CROSSENT_I16: return *(const int16_t *)p;
    case CROSSENT_U16: return *(const uint16_t *)p;
    case CROSSENT_I32: return *(const int32_t *)p;
    case CROSSENT_U32: return *(const uint32_t *)p;
    case CROSSENT_I64: return *(const int64_t *)p;
    case CROSSENT_U64:
        return *(const uint64_t *)p > INT64_MAX ? INT64_MIN : (int64_t)*(const uint64_t *)p;
    default: return INT64_MIN;
    }
}

#endif
