/* The driver of the loss from probabilities. Included by softmax.c, whose slabs, labels, weights and
 * faults it shares; `call->rows.logits` are the probabilities p here.
 *
 * With t the target (labels: 1 at the label), s the row's weight, a = coefficient * upstream * s:
 *
 *     loss       = s sum of -t_j log p_j            0 * log 0 = 0
 *     gradient_j = -a t_j / p_j
 *
 * normalize divides p by its sum S. With O the sum of all but the largest, p_k:
 *
 *     loss       = s sum of t_j log(S / p_j)        log(S / p_k) = log1p(O / p_k)
 *     gradient_j = a (T p_j - t_j S) / (S p_j)      T = sum of t_j
 *
 * S and T are pairs of doubles and the difference is taken before it is rounded, so that a
 * probability close to 1 keeps every digit of its loss and of its gradient.
 *
 * A clipped probability is a constant: its loss is the limit's, and its t_j counts as 0 in the
 * gradient. All of it is double, whatever the storage.
 */
#include "pairs.h"

/* Below it p, and above 1 / it a quotient S / p, are on their way to the end of the range. */
static const double SMALL_P = 0x1p-900;

struct probabilities {
    const struct crossent_categorical *call;
    const struct kernels *kernels;
    size_t classes, anchor;              /* anchor: the largest, where rows are normalised */
    const double *p, *t;
    double *scaled, *terms, *live;       /* scratch: p * 2^-exponent; t_j loss_j; t_j but the clipped */
    int exponent;
    struct pair others, sum;
    double low_loss, high_loss;          /* of p clipped from below, from above */
};

static void set_limits(const struct crossent_categorical *call, const struct kernels *kernels,
                       double *low_loss, double *high_loss)
{
    *low_loss = call->clip_low > 0 ? 0 - log_scaled(kernels->log, call->clip_low, 0) : INFINITY;
    *high_loss = 0 - pair_log1p(kernels->log, (struct pair){-call->clip_high, 0});
}

/* Normalised rows may hold any finite numbers; all others hold probabilities. */
static double largest_allowed(const struct crossent_categorical *call)
{
    return call->normalize ? 0x1.fffffffffffffp1023 : 1;
}

/* The first class without a probability; `classes` where it is the sum that is 0; or SIZE_MAX. */
static size_t bad_class(const struct crossent_categorical *call, const double *p, size_t classes)
{
    const double most = largest_allowed(call);
    int good = 1, any = !call->normalize;
    for (size_t j = 0; j < classes; j++) {
        good &= (p[j] >= 0) & (p[j] <= most);
        any |= p[j] > 0;
    }
    if (good)
        return any ? SIZE_MAX : classes;
    for (size_t j = 0; j < classes; j++)
        if (!(p[j] >= 0 && p[j] <= most))
            return j;
    return SIZE_MAX;                     /* another thread has changed it */
}

/* Anchor and sums. Rows beyond all reason are scaled by a power of two, so that sums stay finite. */
static void sum_row(struct probabilities *row)
{
    size_t k = 0;
    for (size_t j = 1; j < row->classes; j++)
        if (row->p[j] > row->p[k])
            k = j;
    row->anchor = k;
    row->exponent = 0;
    if (row->p[k] > 0x1p500 || row->p[k] < 0x1p-500) {
        frexp(row->p[k], &row->exponent);
        row->exponent = row->exponent < -1000 ? -1000 : row->exponent;
        const double factor = ldexp(1, -row->exponent);
        for (size_t j = 0; j < row->classes; j++)
            row->scaled[j] = row->p[j] * factor;
        row->p = row->scaled;
    }
    row->others = pair_add(pair_sum(row->p, k), pair_sum(row->p + k + 1, row->classes - k - 1));
    row->sum = pair_add(row->others, (struct pair){row->p[k], 0});
}

/* terms_j = -log p_j, for those j with t_j != 0. */
static void log_row(struct probabilities *row)
{
    double *terms = row->terms;
    for (size_t j = 0; j < row->classes; j++)
        terms[j] = row->t[j] == 0 || row->p[j] < SMALL_P ? 1 : row->p[j];
    row->kernels->logs(terms, row->classes);
    for (size_t j = 0; j < row->classes; j++)
        terms[j] = 0 - terms[j];
    for (size_t j = 0; j < row->classes; j++)
        if (row->p[j] < SMALL_P)
            terms[j] = 0 - log_scaled(row->kernels->log, row->p[j], 0);
}

/* terms_j = log(S / p_j): that of the rounded quotient, and its remainder. */
static void log_normalised_row(struct probabilities *row, const double *unscaled)
{
    double *terms = row->terms, sum = row->sum.hi, low = row->sum.lo;
    const size_t k = row->anchor;
    for (size_t j = 0; j < row->classes; j++)
        terms[j] = row->p[j] < SMALL_P ? 1 : sum / row->p[j];
    for (size_t j = 0; j < row->classes; j++)
        row->live[j] = (fma(0 - terms[j], row->p[j], sum) + low) / sum;
    row->kernels->logs(terms, row->classes);
    for (size_t j = 0; j < row->classes; j++)
        terms[j] += row->live[j];
    for (size_t j = 0; j < row->classes; j++)
        if (row->p[j] < SMALL_P)
            terms[j] = row->kernels->log(sum) -
                       log_scaled(row->kernels->log, unscaled[j], -row->exponent);
    double v = row->others.hi / row->p[k];
    double rest = (fma(0 - v, row->p[k], row->others.hi) + row->others.lo) / row->p[k];
    terms[k] = pair_log1p(row->kernels->log, (struct pair){v, rest});
}

/* Sum of t_j loss_j; sets live_j. */
static double sum_terms(struct probabilities *row)
{
    const struct crossent_categorical *call = row->call;
    const double sum = call->normalize ? row->sum.hi : 1, low = call->clip_low * sum;
    const double others = row->others.hi, high = call->clip_high;
    for (size_t j = 0; j < row->classes; j++) {
        double t = row->t[j], p = row->p[j], term = row->terms[j];
        double rest = call->normalize ? (j == row->anchor ? others / sum : 1) : 1 - p;
        int below = p < low, above = rest < high;
        term = below ? row->low_loss : above ? row->high_loss : term;
        row->terms[j] = t == 0 ? 0 : t * term;
        row->live[j] = below || above ? 0 : t;
    }
    return pair_value(pair_sum(row->terms, row->classes));
}

/* a b - c d with one rounding or two, for pairs a and d. */
static inline double determinant(struct pair a, double b, double c, struct pair d)
{
    double ab = a.hi * b, cd = c * d.hi;
    double lost = fma(a.hi, b, 0 - ab) - fma(c, d.hi, 0 - cd);
    return (ab - cd) + (lost + (a.lo * b - c * d.lo));
}

/* The gradient into terms. */
static void row_gradient(struct probabilities *row, double a)
{
    const double *t = row->live, *p = row->p;
    double *to = row->terms;
    if (!row->call->normalize) {
        for (size_t j = 0; j < row->classes; j++)
            to[j] = t[j] == 0 ? 0 : 0 - a * t[j] / (p[j] + 0.0);
        return;
    }
    const struct pair whole = pair_sum(t, row->classes);
    const double sum = row->sum.hi, factor = ldexp(1, -row->exponent);
    for (size_t j = 0; j < row->classes; j++) {
        double slope = whole.hi / sum;
        if (t[j] != 0)
            slope = p[j] < SMALL_P ? slope - t[j] / (p[j] + 0.0)
                                   : determinant(whole, p[j], t[j], row->sum) / p[j] / sum;
        to[j] = a * slope * factor;
    }
}

/* ---- storing a row of doubles --------------------------------------------------------------- */

static void store_gradient(const struct softmax_run *run, char *p, double *values, double *scratch)
{
    const struct crossent_array *out = &run->call->out;
    const size_t n = run->call->classes;
    if (run->call->accumulate) {
        const double *old = run->kernels->f64->load(p, out->step, out->dtype, n, scratch);
        for (size_t j = 0; j < n; j++)
            values[j] += old[j];
    }
    if (out->dtype == CROSSENT_F32)
        for (size_t j = 0; j < n; j++)
            *(float *)(p + (ptrdiff_t)j * out->step) = (float)values[j];
    else if (out->dtype == CROSSENT_F64)
        for (size_t j = 0; j < n; j++)
            *(double *)(p + (ptrdiff_t)j * out->step) = values[j];
    else
        for (size_t j = 0; j < n; j++)
            run->typed->store(p + (ptrdiff_t)j * out->step, out->dtype, values[j]);
}

/* A gradient that is 0 but at one class. */
static void store_single(const struct softmax_run *run, char *p, size_t class, double value)
{
    const struct crossent_array *out = &run->call->out;
    static const size_t bytes[] = {[CROSSENT_F32] = 4, [CROSSENT_F64] = 8, [CROSSENT_F16] = 2,
                                   [CROSSENT_BF16] = 2};
    char *at = p + (ptrdiff_t)class * out->step;
    double room;
    if (run->call->accumulate)
        value += *(const double *)run->kernels->f64->load(at, 0, out->dtype, 1, &room);
    else if (out->step == (ptrdiff_t)bytes[out->dtype])
        memset(p, 0, run->call->classes * bytes[out->dtype]);
    else
        fill_row(run, out, p, 0);
    run->typed->store(at, out->dtype, value);
}

/* ---- groups of rows ------------------------------------------------------------------------- */

/* A row that has no loss writes nothing. */
static void bad_probability(struct rows *rows, size_t r, size_t row, size_t class,
                            struct partial *partial)
{
    partial_fault(partial, CROSSENT_BAD_PROBABILITY, row + rows->source[r], class);
    rows->sample[r] = rows->loss[r] = 0;
}

/* Labels, and nothing that needs the other classes. */
static void sparse_rows(const struct softmax_run *run, size_t row, struct rows *rows,
                        struct partial *partial)
{
    const struct crossent_categorical *call = (const struct crossent_categorical *)run->call;
    const struct crossent_array *array = &call->rows.logits;
    double p[GROUP], minus[GROUP], low_loss, high_loss;
    set_limits(call, run->kernels, &low_loss, &high_loss);
    for (size_t r = 0; r < rows->count; r++) {
        const char *at = rows->x[r] + (ptrdiff_t)rows->label[r] * array->step;
        p[r] = *(const double *)run->kernels->f64->load(at, 0, array->dtype, 1, &p[r]);
        minus[r] = p[r] >= SMALL_P && p[r] <= 1 ? p[r] : 1;
    }
    run->kernels->logs(minus, rows->count);
    for (size_t r = 0; r < rows->count; r++) {
        int below = p[r] < call->clip_low, above = 1 - p[r] < call->clip_high;
        double loss = p[r] < SMALL_P ? 0 - log_scaled(run->kernels->log, p[r], 0) : 0 - minus[r];
        double a = call->rows.coefficient * rows->upstream[r] * rows->weight[r];
        rows->loss[r] = rows->weight[r] * (below ? low_loss : above ? high_loss : loss);
        if (!(p[r] >= 0 && p[r] <= 1))
            bad_probability(rows, r, row, (size_t)rows->label[r], partial);
        else if (call->rows.output == CROSSENT_GRADIENT)
            store_single(run, rows->out[r], (size_t)rows->label[r],
                         below || above ? 0 : 0 - a / (p[r] + 0.0));
    }
}

/* The target of a row, class by class, in `to` where it is not there already. */
static const double *whole_target(const struct rows *rows, size_t r, double *to)
{
    if (rows->label[r] < 0)
        return rows->t[r];
    if (rows->t[r])
        memcpy(to, rows->t[r], rows->classes * sizeof *to);
    else
        memset(to, 0, rows->classes * sizeof *to);
    to[rows->label[r]] += rows->label_share[r];
    return to;
}

static void dense_row(const struct softmax_run *run, size_t row, struct rows *rows, size_t r,
                      const char *target, struct scratch *scratch, struct partial *partial)
{
    const struct crossent_categorical *call = (const struct crossent_categorical *)run->call;
    run->typed->stage(&call->rows, rows, r, NULL, target, scratch);
    double *one_hot = (double *)scratch->staged_target[r] + rows->classes;
    struct probabilities p = {
        .call = call, .kernels = run->kernels, .classes = rows->classes,
        .p = (const double *)rows->x[r], .scaled = one_hot + rows->classes,
        .terms = scratch->slope[r], .live = rows->exps[r]};
    const double *unscaled = p.p;
    size_t bad = bad_class(call, p.p, p.classes);
    if (bad != SIZE_MAX) {
        bad_probability(rows, r, row, bad, partial);
        return;
    }
    int labelled = rows->label[r] >= 0 && (!rows->t[r] || call->rows.smoothing_by_target);
    double s = labelled ? rows->weight[r] : rows->sample[r];
    set_limits(call, run->kernels, &p.low_loss, &p.high_loss);
    p.t = whole_target(rows, r, one_hot);
    if (call->normalize) {
        sum_row(&p);
        log_normalised_row(&p, unscaled);
    } else {
        log_row(&p);
    }
    rows->loss[r] = s * sum_terms(&p);
    if (call->rows.output != CROSSENT_GRADIENT)
        return;
    row_gradient(&p, call->rows.coefficient * rows->upstream[r] * s);
    store_gradient(run, rows->out[r], p.terms, p.live);
}

static int is_dense(const struct crossent_categorical *call)
{
    int soft = call->rows.target.dtype <= CROSSENT_BF16;
    return soft || call->normalize || call->rows.label_smoothing != 0;
}

static void categorical_group(const struct softmax_run *run, size_t row, size_t n,
                              struct rows *rows, struct scratch *scratch, struct partial *partial)
{
    const struct crossent_softmax *call = run->call;
    struct cursor cursor = cursor_at(call->shape, call->ndim, row);
    double upstream[GROUP];
    char *target[GROUP];
    gather_rows(run, row, n, &cursor, rows, partial);
    read_doubles(call, &call->upstream, &cursor, n, 1, upstream);
    for (size_t r = 0; r < rows->count; r++)
        rows->upstream[r] = upstream[rows->source[r]];
    if (is_dense((const struct crossent_categorical *)call)) {
        gather_pointers(call, &call->target, &cursor, n, rows, target);
        for (size_t r = 0; r < rows->count; r++)
            dense_row(run, row, rows, r, run->labels ? NULL : target[r], scratch, partial);
    } else {
        sparse_rows(run, row, rows, partial);
    }
    scatter_rows(run, &call->loss, n, &cursor, rows, rows->loss);
    partial_add(partial, group_sum(rows));
}

/* One row's buffers serve every row of a group, which are worked on one after the other. */
static char *categorical_scratch(const struct softmax_run *run, struct rows *rows,
                                 struct scratch *scratch)
{
    const size_t row = run->call->classes;
    double *memory = malloc(6 * row * sizeof *memory);
    for (size_t r = 0; memory && r < GROUP; r++) {
        rows->exps[r] = memory;
        scratch->slope[r] = memory + row;
        scratch->staged[r] = memory + 2 * row;
        scratch->staged_target[r] = memory + 3 * row;    /* and behind it one_hot, scaled */
    }
    return (char *)memory;
}

static void categorical_task(void *context, size_t begin, size_t end)
{
    struct softmax_run *shared = context, run = *shared;
    const struct crossent_softmax *call = run.call;
    struct rows rows;
    struct scratch scratch;
    run.typed = run.kernels->f64;
    run.size = sizeof(double);
    run.general = 1;
    rows.classes = call->classes;
    scratch.shared_target = NULL;
    char *memory = categorical_scratch(&run, &rows, &scratch);
    if (!memory)
        shared->no_memory = 1;
    for (size_t slab = begin; memory && slab < end; slab++) {
        struct partial *partial = &run.partials[slab];
        size_t row = slab * run.slab, last = smaller(row + run.slab, call->rows);
        *partial = (struct partial){.fault_row = SIZE_MAX};
        for (size_t n; row < last; row += n) {
            n = smaller(GROUP, last - row);
            categorical_group(&run, row, n, &rows, &scratch, partial);
        }
    }
    free(memory);
}

int crossent_categorical(struct crossent_categorical *call)
{
    struct partial total;
    struct crossent_softmax *rows = &call->rows;
    int wide = is_dense(call) || rows->output == CROSSENT_GRADIENT;
    size_t work = wide ? rows->rows * rows->classes : rows->rows;
    int status = run_slabs(rows, categorical_task, work < PARALLEL_ELEMENTS, &total);
    rows->total = isfinite(total.sum) ? total.sum + total.low : total.sum;
    return status;
}
