#include "softmax_reference.h"

#include <math.h>
#include <stdlib.h>

#include "crossent.h"
#include "harness.h"

enum { ARRAYS = 13 };

/* Per class: logits as the loss sees them, and d x / d logits; log p, 1 - p; the target. */
struct classes {
    wide *x, *slope, *log_p, *rest;
};

void *softmax_truth_room(struct softmax_truth *truth, size_t n)
{
    wide *room = allocate((ARRAYS + 2) * n * sizeof *room);
    wide **arrays[] = {&truth->p, &truth->gradient, &truth->gradient_terms, &truth->hessian,
                       &truth->hessian_terms, &truth->product, &truth->product_terms,
                       &truth->by_target, &truth->by_target_terms};
    for (size_t i = 0; i < 9; i++) *arrays[i] = room + i * n;
    return room;
}

static int is_kept(const struct softmax_row *row, size_t j) { return !row->mask || row->mask[j]; }
static wide of_class(const double *values, size_t j) { return values ? (wide)values[j] : 1; }

/* x_j = softcap tanh((logits_j / temperature) / softcap), -inf where the mask leaves j out. */
static void change_logits(const struct softmax_row *row, struct softmax_truth *truth,
                          struct classes *c)
{
    const wide warm = row->temperature ? (wide)row->temperature : 1, cap = row->softcap;
    truth->size = 0;
    truth->kept = 0;
    for (size_t j = 0; j < row->classes; j++) {
        c->x[j] = (wide)row->x[j] / warm;
        c->slope[j] = 1 / warm;
        if (cap) {
            const wide ratio = c->x[j] / cap;
            c->x[j] = cap * tanhl(ratio);
            c->slope[j] /= coshl(ratio) * coshl(ratio);
        }
        if (is_kept(row, j)) {
            truth->kept++;
            truth->size = fmaxl(truth->size, fabsl(c->x[j]));
        } else {
            c->x[j] = -(wide)INFINITY;
            c->slope[j] = 1 / warm;
        }
    }
}

static void softmax_of(const struct softmax_row *row, struct softmax_truth *truth,
                       struct classes *c)
{
    const size_t n = row->classes;
    size_t top = 0;
    wide others = 0;
    for (size_t j = 1; j < n; j++)
        if (c->x[j] > c->x[top]) top = j;
    for (size_t j = 0; j < n; j++)
        if (j != top) others += expl(c->x[j] - c->x[top]);
    truth->argmax = top;
    truth->logsumexp = c->x[top] + log1pl(others);
    truth->entropy = 0;
    for (size_t j = 0; j < n; j++) {
        c->log_p[j] = (c->x[j] - c->x[top]) - log1pl(others);
        truth->p[j] = expl(c->log_p[j]);
        c->rest[j] = -expm1l(c->log_p[j]);
        if (truth->p[j] > 0) truth->entropy -= truth->p[j] * c->log_p[j];
    }
}

wide weight_of_row(const struct softmax_row *row)
{
    wide sum = 0, weighted = 0;
    for (size_t j = 0; j < row->classes; j++) {
        sum += (wide)row->t[j];
        weighted += (wide)row->t[j] * of_class(row->w, j);
    }
    return sum ? weighted / sum : 1;
}

/* The share of t_j that smoothing leaves, and what it gives to each class. */
static wide kept_share(const struct softmax_row *row, size_t kept, wide *spread)
{
    const wide e = row->smoothing;
    if (!row->off_target) {
        *spread = e / (wide)kept;
        return 1 - e;
    }
    *spread = kept == 1 ? 0 : e / (wide)(kept - 1);
    return kept == 1 ? 1 : 1 - e - *spread;
}

wide smoothed_target(const struct softmax_row *row, size_t kept, wide weight, size_t j)
{
    wide spread, left = kept_share(row, kept, &spread);
    const wide w = row->by_target && row->smoothing ? weight : of_class(row->w, j);
    return w * (left * (wide)row->t[j] + (is_kept(row, j) ? spread : 0));
}

/* The weighted and smoothed target of class j, and its loss t'_j alpha_j (1 - p_j)^gamma
 * (-log p_j) with -d loss / d log p_j. */
struct share {
    wide t, loss, slope, by_target;
};
static struct share share_of(const struct softmax_row *row, const struct softmax_truth *truth,
                             const struct classes *c, size_t j)
{
    wide spread, left = kept_share(row, truth->kept, &spread), g = row->gamma;
    const wide w = row->by_target && row->smoothing ? truth->weight : of_class(row->w, j);
    const wide p = truth->p[j], rest = c->rest[j], alpha = of_class(row->alpha, j);
    const wide factor = alpha * powl(rest, g), log_p = c->log_p[j];
    struct share s = {.t = smoothed_target(row, truth->kept, truth->weight, j)};
    s.loss = s.t ? s.t * factor * -log_p : 0;
    s.slope = s.t * factor;
    if (s.t && g && p && rest) s.slope += s.t * alpha * g * p * powl(rest, g - 1) * -log_p;
    s.by_target = left && w && factor ? left * w * factor * -log_p : 0;
    return s;
}

static wide curve_of(const struct softmax_row *row, size_t kept, wide p, wide rest, wide t,
                     wide sum)
{
    switch (row->rule) {
    case CROSSENT_UPPER: return 2 * sum * p * rest;
    case CROSSENT_FRIEDMAN:
        return (kept > 1 ? (wide)kept / (wide)(kept - 1) : 1) * sum * p * rest;
    case CROSSENT_RESIDUAL: return fabsl(sum * p - t);
    default: return sum * p * rest;
    }
}

/* H v = p o ((T + 2 z lse) (v - <p, v>) + 2 z <p, v>), counted from v at the largest logit, whose p
 * may be close to 1. */
static void products(const struct softmax_row *row, struct softmax_truth *truth, wide sum)
{
    const wide z = 2 * (wide)row->z_loss, v_top = row->v ? (wide)row->v[truth->argmax] : 0;
    const wide warm = row->temperature ? (wide)row->temperature : 1;
    wide mean = 0, spread = 0;
    for (size_t j = 0; row->v && j < row->classes; j++)
        if (truth->p[j] > 0) mean += truth->p[j] * ((wide)row->v[j] - v_top);
    for (size_t j = 0; row->v && j < row->classes; j++)
        if (truth->p[j] > 0) spread += truth->p[j] * fabsl(((wide)row->v[j] - v_top) - mean);
    const wide bend = sum + z * truth->logsumexp, whole = v_top + mean;
    const wide sizes = sum + z * (fabsl(truth->logsumexp) + truth->size);
    for (size_t j = 0; row->v && j < row->classes; j++) {
        const wide p = truth->p[j] / (warm * warm), centred = ((wide)row->v[j] - v_top) - mean;
        truth->product[j] = p ? p * (bend * centred + z * whole) : 0;
        truth->product_terms[j] =
            p ? p * (sizes * (fabsl(centred) + spread) + z * fabsl(whole)) : 0;
    }
}

void softmax_reference(const struct softmax_row *row, struct softmax_truth *truth)
{
    const size_t n = row->classes;
    const wide warm = row->temperature ? (wide)row->temperature : 1, z = row->z_loss;
    struct classes c = {truth->p + 9 * n, truth->p + 10 * n, truth->p + 11 * n, truth->p + 12 * n};
    wide sum = 0, slopes = 0;
    truth->weight = weight_of_row(row);
    change_logits(row, truth, &c);
    softmax_of(row, truth, &c);
    const wide lse = truth->logsumexp, size = truth->size;
    truth->loss = z * lse * lse;
    truth->loss_terms = z * size * size + z * lse * lse;
    for (size_t j = 0; j < n; j++) {
        const struct share s = share_of(row, truth, &c, j);
        truth->loss += s.loss;
        truth->loss_terms += fabsl(s.loss);
        sum += s.t;
        slopes += s.slope;
    }
    for (size_t j = 0; j < n; j++) {
        const struct share s = share_of(row, truth, &c, j);
        const wide p = truth->p[j], push = p * slopes, w = of_class(row->w, j);
        const wide focal = of_class(row->alpha, j) * powl(c.rest[j], row->gamma);
        truth->gradient[j] = c.slope[j] * (push - s.slope + 2 * z * lse * p);
        truth->gradient_terms[j] = (push + s.slope + 2 * z * (fabsl(lse) + size) * p) / warm;
        truth->hessian[j] =
            curve_of(row, truth->kept, p, c.rest[j], s.t, sum) / (warm * warm);
        truth->hessian_terms[j] = 2 * (sum * p + s.t) / (warm * warm);
        truth->by_target[j] = s.by_target;
        truth->by_target_terms[j] =
            w * focal * ((is_kept(row, j) ? fabsl((wide)row->x[j]) : 0) + fabsl(lse));
    }
    products(row, truth, sum);
}
