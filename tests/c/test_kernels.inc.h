/* Included by test_kernels.c once for each element type:
 * D its suffix, T its name, DTYPE its number, WIDE the type of the reference, FAR_OFF a logit far
 * from 0, MOST the largest one. */
#ifndef T
#error "test_kernels.inc.h: define D, T, DTYPE, WIDE, FAR_OFF and MOST"
#endif


/* ---- problems ------------------------------------------------------------------------------ */

/* Logits of one family: near and far apart, all equal, far from 0, one of them -inf, rising. */
static void OF(fill_row)(T *x, size_t n)
{
    static const double spread[9] = {1, 8, 30, 200, 3, 0, 20, 5, 3};
    static const double offset[9] = {0, 0, 50, 0, -1000, 2.5, 0, FAR_OFF, -60};
    static const double slope[9] = {0, 0, 0, 0, 0, 0, 0, 0, 80};
    const size_t family = random_below(9);
    for (size_t i = 0; i < n; i++) {
        const double u = random_unit() + random_unit() + random_unit() - 1.5;
        x[i] = (T)(offset[family] + spread[family] * u + slope[family] * (double)i / (double)n);
    }
    if (family == 6 && n > 1) x[random_below(n)] = -(T)INFINITY;
}

static size_t OF(largest)(const T *x, size_t n)
{
    size_t at = 0;
    for (size_t i = 1; i < n; i++)
        if (x[i] > x[at]) at = i;
    return at;
}

/* Any class; the largest logit's; the same, and far ahead of the others. */
static void OF(fill_softmax)(struct problem *p)
{
    T *x = (T *)(void *)p->logits;
    for (size_t r = 0; r < p->rows; r++, x += p->classes) {
        const size_t mode = random_below(3);
        OF(fill_row)(x, p->classes);
        p->labels[r] = (int64_t)(mode ? OF(largest)(x, p->classes) : random_below(p->classes));
        if (mode == 2) x[p->labels[r]] += (T)(100 * random_unit());
    }
}

/* Hard targets, and every fourth one soft; the labels are all hard. */
static void OF(fill_sigmoid)(struct problem *p)
{
    T *x = (T *)(void *)p->logits, *soft = (T *)(void *)p->soft;
    for (size_t i = 0; i < p->rows * p->classes; i++) {
        const double spread = random_below(2) ? 6 : sizeof(T) == 4 ? 110 : 760;
        x[i] = (T)(spread * (2 * random_unit() - 1));
        p->labels[i] = (int64_t)random_below(2);
        soft[i] = random_below(4) ? (T)p->labels[i] : (T)random_unit();
    }
}

static void OF(fill)(struct problem *p)
{
    if (p->elements) OF(fill_sigmoid)(p);
    else OF(fill_softmax)(p);
}

/* Some logits become numbers that formulas stumble over. */
static void OF(spoil)(struct problem *p)
{
    const T special[] = {(T)NAN, (T)INFINITY, -(T)INFINITY, (T)FAR_OFF, MOST, -MOST, -(T)0};
    T *x = (T *)(void *)p->logits;
    for (size_t i = 0; i < p->rows * p->classes; i++)
        if (random_below(p->classes + 1) < 2)
            x[i] = special[random_below(sizeof special / sizeof *special)];
}

/* Arithmetic may choose a NaN's sign and digits: all become the one with all bits set. */
static void OF(hide_nans)(struct results *r)
{
    T *x = (T *)(void *)r->loss, *end = x + (r->bytes - sizeof *r->total) / sizeof(T);
    if (isnan(*r->total)) memset(r->total, 0xff, sizeof *r->total);
    for (; x < end; x++)
        if (isnan(*x)) memset(x, 0xff, sizeof *x);
}

/* ---- judgement ----------------------------------------------------------------------------- */

/* The error in units of the spacing of T at `wanted`, or at `scale` where that is larger. */
static double OF(ulps)(T found, WIDE wanted, WIDE scale)
{
    const T at = (T)fmax(fabs(wanted), scale);
    if (found == (T)wanted) return 0;
    if (!isfinite(found) || !isfinite(at)) return INFINITY;
    return (double)(fabs((WIDE)found - wanted) / (WIDE)(nextafter(at, (T)INFINITY) - at));
}

/* n numbers; `scale` is NULL where each is its own. */
static void OF(judge)(const char *name, const void *found_, const WIDE *wanted, const WIDE *scale,
                      size_t n, double limit)
{
    const T *found = found_;
    double worst = 0;
    size_t at = 0;
    for (size_t i = 0; i < n; i++) {
        const double error = OF(ulps)(found[i], wanted[i], scale ? scale[i] : 0);
        if (error > worst) worst = error, at = i;
    }
    check(worst <= limit, "%s[%zu] is %.2f ulp off: wanted %a, found %a", name, at, worst,
          n ? (double)wanted[at] : 0, n ? (double)found[at] : 0);
    checks += n;
}

/* The sum of n losses: their errors, and a few of additions in double. */
static void OF(judge_total)(const WIDE *losses, size_t n, double found)
{
    WIDE sum = 0;
    for (size_t i = 0; i < n; i++) sum += losses[i];
    const T rounded = (T)found;
    OF(judge)("total", &rounded, &sum, NULL, 1, 16);
}

/* Loss and d loss / d x of one row. No term is subtracted from one that it nearly equals. With
 * m the largest logit but the label's, and s the sum of e^(x_j - m) without the label:
 *     loss = log(1 + s e^(m - x_label)) = m - x_label + log s + log(1 + e^(x_label - m) / s) */
static WIDE OF(reference_loss)(const T *x, size_t n, size_t label, WIDE *gradient)
{
    WIDE m = -(WIDE)INFINITY, s = 0;
    for (size_t j = 0; j < n; j++)
        if (j != label && x[j] > m) m = x[j];
    for (size_t j = 0; j < n; j++) {
        gradient[j] = j == label || m == -(WIDE)INFINITY ? 0 : exp((WIDE)x[j] - m);
        s += gradient[j];
    }
    const WIDE ahead = (WIDE)x[label] - m;   /* m = -inf: +inf, for s = 0 */
    const WIDE t = ahead >= 0 ? s * exp(-ahead) : exp(ahead) / s;
    const WIDE factor = (ahead >= 0 ? exp(-ahead) : 1 / s) / (1 + t);
    for (size_t j = 0; j < n; j++) gradient[j] *= factor;
    gradient[label] = (ahead >= 0 ? -t : -1) / (1 + t);
    return ahead >= 0 ? log1p(t) : log(s) - ahead + log1p(t);
}

/* logsumexp, and softmax or log_softmax, of one row; e^(x_j - max) without the maximum itself adds
 * up to t. */
static WIDE OF(reference_softmax)(const T *x, size_t n, enum crossent_output output, WIDE *out)
{
    const size_t top = OF(largest)(x, n);
    WIDE t = 0;
    for (size_t j = 0; j < n; j++) {
        out[j] = exp((WIDE)x[j] - (WIDE)x[top]);
        if (j != top) t += out[j];
    }
    for (size_t j = 0; j < n; j++)
        out[j] = output == CROSSENT_SOFTMAX ? out[j] / (1 + t)
                                            : ((WIDE)x[j] - (WIDE)x[top]) - log1p(t);
    return (WIDE)x[top] + log1p(t);
}

/* Beside a loss, logsumexp has the loss's error, which is one of an ulp of log 2 at least where the
 * label is not the largest logit's. */
static void OF(judge_softmax)(const struct problem *p, enum crossent_output output,
                              const struct results *r)
{
    const size_t rows = p->rows, classes = p->classes, n = rows * classes;
    const T *x = (const T *)(const void *)p->logits;
    WIDE *out = allocate(n * sizeof *out), *loss = allocate(rows * sizeof *loss);
    WIDE *sums = allocate(rows * sizeof *sums), *tops = allocate(rows * sizeof *tops);
    const int is_loss = output == CROSSENT_NOTHING || output == CROSSENT_GRADIENT;
    for (size_t i = 0; i < rows; i++) {
        const T *row = x + i * classes;
        WIDE *to = out + i * classes;
        tops[i] = fmax(fabs((WIDE)row[OF(largest)(row, classes)]), is_loss ? log((WIDE)2) : 0);
        sums[i] = OF(reference_softmax)(row, classes, output, to);
        if (!is_loss) continue;
        loss[i] = OF(reference_loss)(row, classes, (size_t)p->labels[i], to);
        for (size_t j = 0; j < classes; j++) to[j] *= p->coefficient;
    }
    OF(judge)("logsumexp", r->logsumexp, sums, tops, rows, 4);
    if (output != CROSSENT_NOTHING) OF(judge)("out", r->out, out, NULL, n, 4);
    if (is_loss) {
        OF(judge)("loss", r->loss, loss, NULL, rows, 2);
        OF(judge_total)(loss, rows, *r->total);
    }
    free(out);
    free(loss);
    free(sums);
    free(tops);
}

/* The gradient is a difference for soft targets: its error counts beside the terms, in `scale`. */
static void OF(reference_element)(WIDE x, WIDE y, enum crossent_elementwise function, WIDE *out,
                                  WIDE *loss, WIDE *scale)
{
    const WIDE e = exp(-fabs(x)), l = log1p(e), p = (x >= 0 ? 1 : e) / (1 + e);
    const WIDE q = (x >= 0 ? e : 1) / (1 + e);   /* 1 - p */
    const WIDE softplus = l + fmax(x, 0), of_minus_x = l + fmax(-x, 0);
    *scale = 0;
    switch (function) {
    case CROSSENT_SIGMOID: *out = p; break;
    case CROSSENT_LOG_SIGMOID: *out = -of_minus_x; break;
    case CROSSENT_SOFTPLUS: *out = softplus; break;
    case CROSSENT_SIGMOID_CROSS_ENTROPY:
        *loss = (1 - y) * softplus + y * of_minus_x;
        *out = (1 - y) * p - y * q;
        *scale = fmax((1 - y) * p, y * q);
        break;
    default: break;
    }
}

static void OF(judge_sigmoid)(const struct problem *p, enum crossent_elementwise function,
                              const struct results *r)
{
    const size_t n = p->rows * p->classes;
    const T *x = (const T *)(const void *)p->logits, *y = (const T *)(const void *)p->soft;
    WIDE *out = allocate(n * sizeof *out), *loss = allocate(n * sizeof *loss);
    WIDE *scale = allocate(n * sizeof *scale);
    for (size_t i = 0; i < n; i++) {
        OF(reference_element)(x[i], y[i], function, out + i, loss + i, scale + i);
        if (function != CROSSENT_SIGMOID_CROSS_ENTROPY) continue;
        out[i] *= p->coefficient;
        scale[i] *= p->coefficient;
    }
    OF(judge)("out", r->out, out, scale, n, 4);
    if (function == CROSSENT_SIGMOID_CROSS_ENTROPY) {
        OF(judge)("loss", r->loss, loss, NULL, n, 2);
        OF(judge_total)(loss, n, *r->total);
    }
    free(out);
    free(loss);
    free(scale);
}

/* Where the wide type is computed in software, there is time for a seventh of the calls. */
static void OF(judge_results)(const struct problem *p, int goal, const struct results *r)
{
    static unsigned calls;
    if (sizeof(WIDE) > sizeof(double) && LDBL_MANT_DIG > 64 && calls++ % 7) return;
    if (p->elements) OF(judge_sigmoid)(p, (enum crossent_elementwise)goal, r);
    else OF(judge_softmax)(p, (enum crossent_output)goal, r);
}

static const struct type OF(type) = {
    DTYPE, NAME_OF(T), OF(fill), OF(spoil), OF(hide_nans), OF(judge_results)};
