/* The contract between the drivers (softmax.c) and the kernels of one instruction set.
 *
 * Words, each in one sense:
 *   slab       rows whose losses have a sum of their own; threads take whole slabs
 *   group      rows of a slab, up to GROUP, that go through a kernel together
 *   unit       rows of a group whose losses are added to the slab's sum at once
 *   tile       rows of a group, as many as a register has lanes, row r in lane r
 *   lane       one number of a register
 *   segment    SEGMENT classes of a long row, which one thread works on
 *   block      BLOCK classes of a row, read and then worked on while they are in the cache
 *   piece      a part of other work: elements of a binary loss, rows of a product
 *   anchor     the class that is left out of a row's sum of exponentials: the label, or a largest
 *              logit; loss and 1 - p_anchor are then sums of positive terms
 *   shift      what is subtracted from the logits of a row beyond the range of the exponential
 *   reference  the logit that a shift is made of
 *   residual   p - t, of the anchor from whichever of two forms takes less from less
 *   scale      p_j = scale e_j; later gradient_j = scale e_j - target_scale t_j
 *
 * A row's exponentials are kept between statistics and output. Tiles and long rows keep that of the
 * anchor among them; blocks and lanes store 0 there, and restore_anchors puts it back where an
 * option asks for it.
 */
#ifndef CROSSENT_KERNELS_H
#define CROSSENT_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "base/pairs.h"
#include "base/sizes.h"
#include "crossent.h"
#include "kernels/elements/probabilities.h"

enum {
    GROUP = 64,        /* rows that go through a kernel together: a multiple of every LANES */
    TILE_CLASSES = 64, /* up to here the rows lie in the lanes, above the classes do */
    BLOCK = 4096,      /* classes (or elements) that are read, and then worked on, at a time */
    SEGMENT = 32 * BLOCK, /* classes of a row that one thread works on */
    PIECE = 1024,      /* elements of a binary loss with options, whose buffers are many */
    WIDEST = 16        /* a multiple of every LANES */
};

/* Smoothing of labels that gives every class the same share: t_j = share, and `kept` more for the
 * label; t_label = label, the sum of the other t_j = others, and all of it is 1. */
struct smoothing {
    int on;
    struct pair share, kept;
    double label, others;
};

/* What becomes of logits where they are loaded: times `factor` (1 / temperature), -inf where the
 * row's mask is 0. */
struct logit_transform {
    int on;
    double factor;
    ptrdiff_t mask_step;
};

/* Up to GROUP rows on their way through a kernel. All lengths of logits are in nats, all sums of
 * exponentials in units of 2^(exponent - bias): a row's exponentials are e_j = e^(x_j - shift) *
 * 2^(bias - exponent), where exponent = round(max * log2 e), max being the largest logit but the
 * anchor's, so the largest of these exponentials is close to 2^bias (exponent_of in math.inc.h).
 * `shift` is 0 but for rows whose largest logit is beyond the range of the exponential's reduction:
 * there it is that logit, and x - shift is exact wherever it matters. */
struct rows {
    /* What the rows of a call have in common, and how many are in hand. */
    size_t count, classes;
    int columns;                 /* softmax/lanes.inc.h works on them */
    int not_uniform;             /* source, weight or sample are not those of rows that all count */
    int shifted;                 /* some shift is not 0 */
    int weighs;  /* what rounding cuts off loss and scale counts: they are factors */
    int hessian_wanted;          /* the Hessian's diagonal is wanted */
    double hessian_factor;       /* ... times this */
    struct smoothing smoothing;  /* where it is on, the anchor is the label */
    /* Of all logits; softmax/general.inc.h sees to its rows itself. */
    struct logit_transform logit_transform;
    /* Soft targets t that need no staging: `distances` is the sum of t_j (x_anchor - x_j), t_rest
     * that of t_j, j != anchor. */
    int soft;
    /* ... `t` being one target for all rows, of smoothing under class weights; each row's label has
     * label_target besides. */
    int shared_target;
    ptrdiff_t x_step, out_step;
    char **exps;

    /* Where the rows lie. `source[r]` counts from the first row of the group, rows that take no
     * part included. `exps[r]` holds the row's exponentials between the passes: it is out[r], or
     * memory of its own. Every array begins with a cache line. */
    _Alignas(64) size_t source[GROUP];
    int64_t label[GROUP];        /* -1 where there is none */
    double weight[GROUP], sample[GROUP];  /* of the label's loss; of the row as a whole */
    double weight_low[GROUP];    /* what rounding cut off weight */
    double upstream[GROUP];
    const char *x[GROUP];
    char *out[GROUP];
    char *class_mask[GROUP];     /* or NULL: of classes that the row takes into account */
    char *memory[GROUP];
    int64_t anchor[GROUP];       /* the class left out of the sum: target, or any maximum (-1) */
    double column[GROUP];        /* the anchor as a number that a lane can hold, of short rows */

    /* Statistics. */
    double shift[GROUP], max[GROUP], exponent[GROUP];  /* max: of x - shift, but the anchor */
    double at_anchor[GROUP];     /* x - shift there */
    /* sum of e_j, j != anchor, as hi + lo */
    double sum_without_anchor[GROUP], sum_without_anchor_low[GROUP];
    double distances[GROUP], distances_low[GROUP];     /* for it: 2^-64 sum of max x_i - x_j */
    double label_target[GROUP];  /* ... and of a shared target */
    double t_rest[GROUP], t_rest_low[GROUP], t_total[GROUP], t_total_low[GROUP];

    /* What the epilogue makes of them. */
    double loss[GROUP];          /* logsumexp(x) - x_anchor; the driver makes it the row's loss */
    double loss_low[GROUP];      /* what rounding cut off it; for double alone */
    double scale[GROUP];         /* p_j = scale * e_j for j != anchor; later gradient_j */
    double scale_low[GROUP];     /* what rounding cut off it, if the row weighs */
    double one_minus_p_anchor[GROUP];                  /* 1 - p_anchor */
    double anchor_p[GROUP];      /* p_anchor */
    double anchor_gradient[GROUP];
    double logsumexp[GROUP], logsumexp_low[GROUP];
    double smoothed[GROUP], smoothed_low[GROUP];       /* the loss of other targets than labels */
    double anchor_residual[GROUP];                     /* T p_anchor - t_anchor there */

    /* Rows of softmax/general.inc.h: their target t beside the label's own share of it, and what
     * there is besides. */
    const void *t[GROUP], *t_low[GROUP];
    struct pair label_share[GROUP];
    struct pair kept_share[GROUP];                     /* of the target, under smoothing */
    size_t classes_left[GROUP];  /* by the mask */
    struct pair distance[GROUP]; /* sum of t_j (x_anchor - x_j), the label's share included */
    struct pair t_sum[GROUP];
    double t_others[GROUP], t_anchor[GROUP];
    double label_exp[GROUP];     /* e_label */
    struct pair focal_loss[GROUP];
    double focal[GROUP], focal_slope[GROUP];           /* f and q of focal_factors, of labels */
    double focal_low[GROUP], focal_slope_low[GROUP];
    double prob_scale[GROUP];    /* scale / inverse */
    double log_sum[GROUP];       /* logsumexp(x) - x_anchor */
    double inverse[GROUP];       /* p_j = inverse * e_j */
    double target_scale[GROUP];  /* gradient_j = scale e_j - b t_j, t_j of smoothing as well */
    double hessian[GROUP];       /* factor of p (1 - p) in the Hessian's diagonal */
    double residual[GROUP];      /* ... and of |T p - t| */
    double curvature[GROUP], lse_curvature[GROUP];  /* of the Hessian times a vector (options.c) */
    double probability[GROUP], entropy[GROUP];
    double top_others[GROUP];    /* sum of e_j / e_top, j != top, the largest; -1: the anchor's */
    double at_top[GROUP];        /* x - shift there */
    int64_t argmax[GROUP];
    char *hessian_at[GROUP], *target_gradient_at[GROUP], *vector_at[GROUP];
    size_t fault_column[GROUP];  /* of a row with a logit that has no loss, or SIZE_MAX */
};

/* Repeats the last row up to a whole tile (softmax/tiles.inc.h). */
static inline void pad_rows(struct rows *rows)
{
    size_t last = rows->count - 1;
    for (size_t r = rows->count; r < GROUP && r % 16; r++) {
        rows->x[r] = rows->x[last];
        rows->anchor[r] = rows->anchor[last];
        rows->t[r] = rows->t[last];
        rows->class_mask[r] = rows->class_mask[last];
    }
}

/* What the blocks of a row or of a segment seen so far amount to; as in struct rows. */
struct progress {
    double max, anchor;   /* the largest logit but the anchor, and the anchor */
    size_t at;            /* the anchor's class */
    double shift, exponent;
    double others, others_low;
    double *factor;       /* of every block: its exponentials, times this, are on the row's scale */
    size_t blocks;
    int begun;            /* a number has been seen */
};

static inline size_t block_count(size_t classes) { return pieces_of(classes, BLOCK); }
static inline size_t segment_count(size_t classes) { return pieces_of(classes, SEGMENT); }

/* Scratch of one thread. */
struct scratch {
    _Alignas(64) double load[BLOCK];       /* a block of either type */
    double target[BLOCK], store[BLOCK];
    double tile[TILE_CLASSES * GROUP];     /* a group of short rows, the rows in the lanes */
    void *tiles;                           /* ... of softmax/lanes.inc.h */
    double *factors;                       /* block_count(classes) for each row, of long rows */
    struct progress *parts;                /* of a row that threads share */
    /* classes elements for each row of softmax/general.inc.h */
    void *staged[GROUP], *staged_target[GROUP], *slope[GROUP];
    void *target_low[GROUP];               /* what rounding cut off the target, for double alone */
    void *cap_low[GROUP];                  /* ... and off logits under softcap */
    const void *shared_target, *shared_low;/* the target beside the label's, if it is every row's */
};

/* Elements of a binary loss with options on their way through a kernel, WIDEST at a time. */
struct elements {
    size_t count;
    double x[PIECE], target[PIECE], sample[PIECE];   /* sample weight 0: takes no part */
    double positive[PIECE], upstream[PIECE];         /* weight of positives; d (...) / d loss */
    double loss[PIECE], gradient[PIECE], hessian[PIECE], probability[PIECE];
};

/* f = alpha (1 - p)^gamma and q = f + alpha gamma p (1 - p)^(gamma - 1) ce, where rest = 1 - p and
 * ce = -log p (softmax/options.c). */
static inline void focal_factors(double (*exp)(double), double (*log)(double), double alpha,
                                 double gamma, double p, double rest, double ce, double *f,
                                 double *q)
{
    *f = *q = alpha;
    if (gamma == 0)
        return;
    *f = *q = rest > 0 ? alpha * exp(gamma * log(rest)) : alpha * rest;
    if (rest > 0 && p > 0)
        *q += *f * gamma * p * (ce / rest);
}

/* What the focal factors of a row are made of (softmax/focal.inc.h): its sum of exponentials, lane
 * by lane, but the anchor's; of the anchor p, 1 - p and -log p; and 1 / the sum of all. */
struct focal_row {
    double at_anchor, top, exponent, gamma;
    double hi[8], lo[8];
    struct pair p, rest, ce, inverse;
};

/* Of one class: f and q of focal_factors, and ce = -log p. */
struct focal_class {
    struct pair f, q, ce;
};

/* Whether an output is made of a row's exponentials. */
static inline int keeps_exps(enum crossent_output output)
{
    return output == CROSSENT_GRADIENT || output == CROSSENT_SOFTMAX;
}

/* Functions for one floating-point type T. */
struct typed_kernels {
    int bias;                              /* of the scaled exponentials, see struct rows */
    /* n elements, `step` bytes apart, as contiguous T: the elements themselves, or `buffer`. */
    const void *(*load)(const char *p, ptrdiff_t step, enum crossent_dtype, size_t n, void *buffer);
    /* Rows of any step, or of 16 bits, to contiguous ones of T in rows->exps, which rows->x then
     * are; such rows to `out`, `exact` being the numbers at the anchors in double; and added to
     * `out` of T. */
    void (*gather_contiguous)(struct rows *, enum crossent_dtype);
    void (*scatter_strided)(const struct rows *, char *const *out, ptrdiff_t step,
                            enum crossent_dtype, const double *exact);
    void (*add)(const struct rows *, char *const *out, ptrdiff_t step);
    /* Fills the statistics of all rows; keeps the exponentials where `output` needs them. */
    void (*statistics)(struct rows *, struct scratch *, enum crossent_output output);
    /* Writes `output` from the exponentials and the epilogue's results. */
    void (*write)(const struct rows *, struct scratch *, enum crossent_output output);
    /* The same two for rows of many segments: what comes first; the statistics of segment s, in
     * `part`; what those of all amount to; the output of classes [begin, end). */
    void (*begin)(struct rows *, size_t r);
    void (*segment)(const struct rows *, size_t r, size_t s, struct scratch *,
                    enum crossent_output output, struct progress *part);
    void (*join)(struct rows *, size_t r, struct progress *parts, size_t count);
    void (*write_part)(const struct rows *, size_t r, size_t begin, size_t end, struct scratch *,
                       enum crossent_output output);
    /* The same two for rows with options that act on single elements. `stage` makes rows->x[r]
     * and rows->t[r] contiguous; `mask` and `target` are where the row's lie, or NULL. */
    void (*stage)(const struct crossent_softmax *, struct rows *, size_t r, const char *mask,
                  const char *target, struct scratch *);
    void (*general_statistics)(const struct crossent_softmax *, struct rows *, struct scratch *);
    /* Between the epilogue and the options: targets of row r weighted by their focal factors. */
    void (*general_focal)(const struct crossent_softmax *, struct rows *, size_t r,
                          struct scratch *);
    void (*general_write)(const struct crossent_softmax *, const struct rows *, size_t r,
                          struct scratch *);
    void (*store)(char *p, enum crossent_dtype, double x);
    /* n elements of an elementwise loss: writes loss and gradient where not NULL, returns the sum
     * of the losses. Arrays may coincide, x[i] being read before out[i] is written. */
    double (*sigmoid_loss)(const void *x, const void *target, void *loss, void *grad, size_t n,
                           double coefficient);
    void (*sigmoid_function)(enum crossent_elementwise, const void *x, void *out, size_t n);
    const struct train_kernels *train;     /* of the mini-batch loop (dense/table.h) */
};

struct kernels {
    const char *name;
    unsigned required;                     /* cpu_feature bits */
    const struct typed_kernels *f32, *f64;
    double (*exp)(double), (*log)(double); /* of one number, the same on every machine */
    struct pair (*exp_pair)(struct pair);  /* of a sum, e^100 at most */
    /* Of each of n positive, normal numbers, in place, and what rounding cut off. */
    void (*logs)(double *x, double *low, size_t n);
    void (*probabilities)(struct probabilities *);     /* a row of the loss from probabilities */
    /* Statistics to losses and coefficients; `bias` is that of the rows' type. */
    void (*epilogue)(struct rows *, int bias);
    /* From there to the coefficients of rows [begin, end) of labels, or of soft targets that the
     * same kernels take, under the options of whole rows (softmax/options.c). */
    void (*weigh)(const struct crossent_softmax *, struct rows *, size_t begin, size_t end);
    /* The same for all rows, where there is no such option but smoothing. */
    void (*plain)(double coefficient, double coefficient_low, struct rows *);
    /* Adds n classes, but number `skip`, to the sum; what that makes of the anchor; the factors of
     * n classes, `alpha` or NULL being theirs. */
    void (*focal_sum)(struct focal_row *, const double *x, size_t n, size_t skip);
    void (*focal_anchor)(struct focal_row *);
    void (*focal_classes)(const struct focal_row *, const double *x, const double *alpha, size_t n,
                          size_t anchor, struct focal_class *);
    /* p + low = a b for n products (pair_product); whether all are above 0, and finite. */
    int (*multiply)(const double *a, const double *b, double *p, double *low, size_t n);
    /* Elements of a binary loss with options (elements/binary.inc.h): fills the results that the
     * call asks for, returns the sum of the losses. Sample weights are 0 beyond `count`, as far as
     * WIDEST goes; and so are the n numbers of a sum. */
    double (*binary_loss)(const struct crossent_sigmoid *, struct elements *);
    double (*sum)(const double *, size_t n);
};

extern const struct kernels kernels_scalar, kernels_sse2, kernels_avx2, kernels_avx512,
    kernels_neon;

#endif
