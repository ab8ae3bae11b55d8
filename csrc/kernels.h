/* The contract between the drivers (crossent.c) and the kernels of one instruction set. */
#ifndef CROSSENT_KERNELS_H
#define CROSSENT_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "crossent.h"

enum {
    GROUP = 64,        /* rows that go through a kernel together: a multiple of every LANES */
    TILE_CLASSES = 64, /* up to here the rows lie in the lanes, above the classes do */
    BLOCK = 4096       /* classes (or elements) that are read, and then worked on, at a time */
};

/* Up to GROUP rows on their way through a kernel. All lengths of logits are in nats, all sums of
 * exponentials in units of 2^(exponent - bias): a row's exponentials are e_j = e^(x_j - shift) *
 * 2^(bias - exponent), where exponent = round(max * log2 e), max being the largest logit but the
 * anchor's, so the largest of these exponentials is close to 2^bias (exponent_of in math.inc.h).
 * `shift` is 0 but for rows whose largest logit is beyond the range of the exponential's reduction:
 * there it is that logit, and x - shift is exact wherever it matters. */
struct rows {
    size_t count, classes;

    /* Where the rows lie. `source[r]` counts from the first row of the group, rows that take no part
     * included. `exps[r]` holds the row's exponentials between the passes. */
    size_t source[GROUP];
    const char *x[GROUP];
    char *out[GROUP];
    ptrdiff_t x_step, out_step;
    void *exps[GROUP];
    int64_t anchor[GROUP];       /* the class left out of the sum: the target, or any maximum (-1) */

    /* Statistics. */
    double shift[GROUP], max[GROUP], exponent[GROUP];  /* max: of x - shift, but the anchor */
    double at_anchor[GROUP];                           /* x - shift there */
    double others[GROUP], others_low[GROUP];           /* sum of e_j, j != anchor, as hi + lo */
    int shifted;                                       /* some shift is not 0 */

    /* What the epilogue makes of them. */
    double coefficient[GROUP];   /* in: d (what the caller minimises) / d (row loss) */
    double loss[GROUP];          /* logsumexp(x) - x_anchor */
    double scale[GROUP];         /* gradient_j = scale * e_j for j != anchor */
    double anchor_gradient[GROUP];
    double logsumexp[GROUP];
};

static inline size_t block_count(size_t classes) { return (classes + BLOCK - 1) / BLOCK; }

/* Scratch of one thread. */
struct scratch {
    _Alignas(64) double load[BLOCK];       /* a block of either type */
    double target[BLOCK], store[BLOCK];
    double tile[TILE_CLASSES * GROUP];     /* a group of short rows, the rows in the lanes */
    double *factors;                       /* block_count(classes) for each row, of long rows */
};

/* Functions for one floating-point type T. */
struct typed_kernels {
    int bias;                              /* of the scaled exponentials, see struct rows */
    /* n elements, `step` bytes apart, as contiguous T: the elements themselves, or `buffer`. */
    const void *(*load)(const char *p, ptrdiff_t step, enum crossent_dtype, size_t n, void *buffer);
    /* Fills the statistics of all rows; keeps the exponentials where `output` needs them. */
    void (*statistics)(struct rows *, struct scratch *, enum crossent_output output);
    /* Writes `output` from the exponentials and the epilogue's results. */
    void (*write)(const struct rows *, struct scratch *, enum crossent_output output);
    /* n elements of an elementwise loss: writes loss and gradient where not NULL, returns the sum
     * of the losses. Arrays may coincide, x[i] being read before out[i] is written. */
    double (*sigmoid_loss)(const void *x, const void *target, void *loss, void *grad, size_t n,
                           double coefficient);
    void (*sigmoid_function)(enum crossent_elementwise, const void *x, void *out, size_t n);
};

struct kernels {
    const char *name;
    unsigned required;                     /* cpu_feature bits */
    const struct typed_kernels *f32, *f64;
    /* Statistics to losses and coefficients; `bias` is that of the rows' type. */
    void (*epilogue)(struct rows *, int bias);
};

extern const struct kernels kernels_scalar, kernels_sse2, kernels_avx2, kernels_avx512,
    kernels_neon;

#endif
