/* The options that act on whole rows. */
#ifndef CROSSENT_OPTIONS_H
#define CROSSENT_OPTIONS_H

#include "crossent.h"
#include "kernels.h"

/* Whether the call needs general_rows.inc.h. */
int needs_general_rows(const struct crossent_softmax *call);

int has_focal(const struct crossent_softmax *call);

/* Entry j of a soft target, F32 or F64. */
static inline double target_at(const struct crossent_softmax *call, const char *t, size_t j)
{
    const char *p = t + (ptrdiff_t)j * call->target.step;
    return call->target.dtype == CROSSENT_F64 ? *(const double *)p : (double)*(const float *)p;
}

/* Whether the weight of its target weighs a whole row; a choice that only smoothing leaves. */
static inline int weighs_by_target(const struct crossent_softmax *call)
{
    return call->smoothing_by_target && call->label_smoothing != 0;
}

/* From what the epilogue left to losses, and to the coefficients of the outputs: see options.c. */
void apply_options(const struct crossent_softmax *call, const struct kernels *kernels,
                   struct rows *rows);

int is_ignored(const struct crossent_softmax *call, int64_t label);

#endif
