/* Arithmetic of counts. */
#ifndef CROSSENT_SIZES_H
#define CROSSENT_SIZES_H

#include <stddef.h>

static inline size_t smaller(size_t a, size_t b) { return a < b ? a : b; }
static inline size_t larger(size_t a, size_t b) { return a > b ? a : b; }
static inline size_t at_least_one(size_t n) { return larger(n, 1); }

/* How many pieces of `size`, the last perhaps smaller, n things make. */
static inline size_t pieces_of(size_t n, size_t size) { return (n + size - 1) / size; }

#endif
