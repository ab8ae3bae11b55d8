/* What the drivers of the losses over rows (softmax.c, categorical.c) share: a call on its way
 * through slabs and groups, and the rows of a group on their way in (gather.c) and out. */
#ifndef CROSSENT_RUN_H
#define CROSSENT_RUN_H

#include <stdatomic.h>

#include "base/walk.h"
#include "kernels/softmax/options.h"
#include "kernels/table.h"

struct softmax_run {
    struct crossent_softmax *call;
    const struct kernels *kernels;
    const struct typed_kernels *typed;
    size_t size;                 /* bytes of a T */
    size_t slab, group, unit;    /* rows */
    struct plan plan;
    int columns;                 /* softmax/lanes.inc.h works on the rows */
    int staged_in, staged_out;   /* rows go through softmax/stage.inc.h */
    int shared;                  /* threads share each row, segment by segment */
    struct partial *partials;    /* one per slab */
    atomic_int no_memory;
};

/* Runs `task` over all slabs and adds up what they give. `small`: on one thread. */
int run_slabs(struct crossent_softmax *call, const struct plan *plan,
              void (*task)(void *, size_t, size_t), int small, struct partial *total);

/* Whole cache lines; a failure ends the work of all threads. */
void *run_allocate(struct softmax_run *run, size_t bytes);

/* ---- gather.c: rows on their way in --------------------------------------------------------- */

/* What a thread works with; `rows` are as begin_rows leaves them. NULL without memory. */
struct workspace {
    struct rows rows;
    struct scratch scratch;
};
struct workspace *begin_rows(struct softmax_run *run, size_t group);

/* Labels of the n rows from `cursor` on, if every one of them takes part; else 0, and row_weights
 * looks at each. */
int all_take_part(const struct softmax_run *run, size_t n, const struct cursor *cursor,
                  struct rows *rows);

/* Labels and weights of the n rows from `row` on. A row that takes no part has sample weight 0. */
void row_weights(const struct softmax_run *run, size_t row, size_t n, const struct cursor *cursor,
                 struct rows *rows, struct partial *partial);

/* Takes those of the n rows from `row` on that take part into `rows`; skips the others. */
void gather_rows(const struct softmax_run *run, size_t row, size_t n, const struct cursor *cursor,
                 struct rows *rows, struct partial *partial);

/* Pointers to the rows of an array that may be absent. */
void gather_pointers(const struct crossent_softmax *call, const struct crossent_array *array,
                     const struct cursor *cursor, size_t n, const struct rows *rows, char **to);

void gather_upstream(const struct crossent_softmax *call, size_t n, const struct cursor *cursor,
                     struct rows *rows);

/* ---- and on their way out ------------------------------------------------------------------- */

void fill_row(const struct softmax_run *run, const struct crossent_array *array, char *p,
              double value);

/* Outputs of a row that is not read: gradient 0, loss 0, and no statistics. */
void skip_row(const struct softmax_run *run, const struct cursor *cursor);

/* Stores one number a row. */
void scatter_rows(const struct softmax_run *run, const struct crossent_array *array, size_t n,
                  const struct cursor *cursor, const struct rows *rows, const double *values);

/* Adds the losses of the n rows of a group, unit by unit, to its slab or to each of its slabs. */
void add_losses(const struct softmax_run *run, size_t n, const struct rows *rows,
                struct partial *partial);

#endif
