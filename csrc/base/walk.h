/* Walking the rows of a call, and adding up what they give. */
#ifndef CROSSENT_WALK_H
#define CROSSENT_WALK_H

#include <stddef.h>
#include <stdint.h>

#include "base/pairs.h"
#include "base/sizes.h"
#include "crossent.h"

struct cursor {
    size_t index[CROSSENT_MAX_DIMS];
};

static inline struct cursor cursor_at(const size_t *shape, size_t ndim, size_t row)
{
    struct cursor cursor = {{0}};
    for (size_t d = ndim; d-- > 0; row /= shape[d])
        cursor.index[d] = row % shape[d];
    return cursor;
}

static inline void cursor_next(struct cursor *cursor, const size_t *shape, size_t ndim)
{
    for (size_t d = ndim; d-- > 0; cursor->index[d] = 0)
        if (++cursor->index[d] < shape[d])
            return;
}

static inline char *row_of(const struct crossent_array *array, const struct cursor *cursor,
                           size_t ndim)
{
    char *p = array->data;
    for (size_t d = 0; d < ndim; d++)
        p += (ptrdiff_t)cursor->index[d] * array->stride[d];
    return p;
}

/* Pointers `stride` bytes apart; as numbers, of which compilers make vectors. */
static inline void spaced_pointers(char *first, ptrdiff_t stride, size_t n, char **p)
{
    uintptr_t at = (uintptr_t)first;
    for (size_t i = 0; i < n; i++, at += (uintptr_t)stride)
        p[i] = (char *)at;
}

/* Pointers to n rows from `cursor` on. */
static inline void row_pointers(const struct crossent_array *array, struct cursor cursor,
                                const size_t *shape, size_t ndim, size_t n, char **p)
{
    if (ndim <= 1) {
        spaced_pointers(row_of(array, &cursor, ndim), ndim ? array->stride[0] : 0, n, p);
        return;
    }
    for (size_t i = 0; i < n; i++, cursor_next(&cursor, shape, ndim))
        p[i] = row_of(array, &cursor, ndim);
}

/* What a slab of rows amounts to; slabs are added in order. */
struct partial {
    double sum, low;                 /* sum + low, by two-sum */
    double weight, weight_low;
    size_t count;
    size_t fault_row, fault_column;  /* the first fault, or SIZE_MAX */
    size_t faults;
    int status;                      /* of the first fault */
};

static inline int is_mild(int status)
{
    return status == CROSSENT_OK || status == CROSSENT_BAD_LOGITS;
}

/* Keeps the first fault, and says whether this is it; a bad label or weight, an error in any case,
 * goes before bad logits. */
static inline int partial_fault(struct partial *p, int status, size_t row, size_t column)
{
    int none = p->fault_row == SIZE_MAX, graver = is_mild(p->status) && !is_mild(status);
    int first = none || graver || (is_mild(p->status) == is_mild(status) && row < p->fault_row);
    p->faults++;
    if (first) {
        p->status = status;
        p->fault_row = row;
        p->fault_column = column;
    }
    return first;
}

/* *sum + *low += x */
static inline void two_sum_into(double *sum, double *low, double x)
{
    struct pair s = pair_of(*sum, x);
    *sum = s.hi;
    *low += s.lo;
}

static inline void partial_add(struct partial *p, double x)
{
    two_sum_into(&p->sum, &p->low, x);
}

/* Adds slab `p` behind those in `total`; says whether its first fault is the first of all. */
static inline int partial_merge(struct partial *total, const struct partial *p)
{
    const size_t faults = total->faults + p->faults;
    partial_add(total, p->sum);
    total->low += p->low;
    two_sum_into(&total->weight, &total->weight_low, p->weight);
    total->weight_low += p->weight_low;
    total->count += p->count;
    int first = p->faults && partial_fault(total, p->status, p->fault_row, p->fault_column);
    total->faults = faults;
    return first;
}

#endif
