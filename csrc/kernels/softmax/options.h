/* The options that act on whole rows. */
#ifndef CROSSENT_OPTIONS_H
#define CROSSENT_OPTIONS_H

#include "crossent.h"
#include "kernels/table.h"

/* The share of each of `left` classes where label_smoothing spreads it: over all of them, or all
 * but the label's, whose own share then makes up for it; and what it leaves to the target. */
struct pair smoothing_share(const struct crossent_softmax *call, size_t left,
                            struct pair *label_share);

/* The label's whole share, which `kept` makes of `share`. */
struct pair label_target(const struct crossent_softmax *call, struct pair share, struct pair kept);

/* Statistics that count from the largest logit, whichever class is the anchor. */
static inline int wants_top(const struct crossent_softmax *call)
{
    return call->entropy.data || call->logsumexp.data;
}

/* What the rule makes of p (1 - p). */
static inline double hessian_factor(enum crossent_hessian rule, size_t classes)
{
    if (rule == CROSSENT_FRIEDMAN)
        return classes > 1 ? (double)classes / (double)(classes - 1) : 1;
    return rule == CROSSENT_UPPER ? 2 : 1;
}

/* What temperature and mask make of the logits. */
struct logit_transform logit_transform_of(const struct crossent_softmax *call);

/* Soft targets that the rows of labels read where they lie. */
int plain_soft(const struct crossent_softmax *call);

/* Whether soft targets are the caller's numbers, wherever they lie. */
int unweighted_soft(const struct crossent_softmax *call);

/* What a call asks of its rows: found once, and the same for all of them. */
struct plan {
    int labels;                  /* the target is class indices */
    int soft;                    /* ... or is read where it lies: see struct rows */
    int shared_target;           /* ... or is one for all rows, and more for each row's label */
    int general;                 /* softmax/general.inc.h works on the rows */
    int weighs;                  /* an option acts on whole rows, smoothing apart */
    int focal;
    int hessian_wanted;          /* the Hessian's diagonal is written beside the gradient ... */
    double curved_factor;        /* ... times this */
    struct smoothing smoothing;  /* that needs no target of its own for each class */
    struct logit_transform change;        /* of logits, unless general.inc.h sees to it */
};

struct plan plan_of(const struct crossent_softmax *call);

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
void apply_options(const struct crossent_softmax *call, const struct plan *plan,
                   const struct kernels *kernels, struct rows *rows);

int is_ignored(const struct crossent_softmax *call, int64_t label);

#endif
