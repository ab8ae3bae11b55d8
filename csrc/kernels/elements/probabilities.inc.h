/* A row of the loss from probabilities. With t the target and a the factor of the gradient:
 *
 *     loss       = sum of -t_j log p_j              0 * log 0 = 0
 *     gradient_j = -a t_j / p_j
 *
 * normalize divides p by its sum S. With O the sum of all but the largest, p_k:
 *
 *     loss       = sum of t_j log(S / p_j)          log(S / p_k) = log1p(O / p_k)
 *     gradient_j = a (T p_j - t_j S) / (S p_j)      T = sum of t_j
 *
 * S and T are pairs of doubles and the difference is taken before it is rounded, so that a
 * probability close to 1 keeps every digit of its loss and of its gradient. Targets, logarithms
 * and factors are pairs as well, and what they amount to is rounded once.
 *
 * A clipped probability is a constant: its loss is the limit's, and its t_j counts as 0 in the
 * gradient. All of it is double, whatever the storage: these are plain loops, which the compiler
 * turns into vectors of the instruction set at hand.
 */
/* Below it p, and above 1 / it a quotient S / p, are on their way to the end of the range. */
static const double SMALL_P = 0x1p-900;

/* Logarithms of positive, normal numbers, in place, and what rounding cut off: x - 1 is exact. */
static void log_many(double *x, double *low, size_t n)
{
    for (size_t i = 0; i < n; i += LANES) {
        const int whole = i + LANES <= n;
        vec k, m = vsplit(whole ? vload(x + i) : vload_part(x + i, n - i, vset(1)), &k);
        vec lost, log = log_parts(k, m - vset(1), vset(0), &lost);
        if (whole) {
            vstore(x + i, log);
            vstore(low + i, lost);
        } else {
            vstore_part(x + i, n - i, log);
            vstore_part(low + i, n - i, lost);
        }
    }
}

/* The sum of n numbers, in the lanes of sums.inc.h. */
static struct pair pair_sum(const double *x, size_t n)
{
    struct totals sum;
    double hi[WIDE], lo[WIDE];
    totals_clear(&sum);
    for (size_t i = 0; i < n; i += WIDE)
        for (int h = 0; h < HALVES; h++) {
            size_t index = i + (size_t)(h * LANES), left = index < n ? n - index : 0;
            totals_add(&sum, h, left >= LANES ? vload(x + index)
                                              : vload_part(x + index, left, vset(0)));
        }
    for (int h = 0; h < HALVES; h++) {
        vstore(hi + h * LANES, sum.hi[h]);
        vstore(lo + h * LANES, sum.lo[h]);
    }
    struct pair all = {0, 0};
    for (size_t k = 0; k < WIDE; k++)
        all = pair_add(all, (struct pair){hi[k], isfinite(hi[k]) ? lo[k] : 0});
    return all;
}

/* The first class without a probability; `classes` where it is the sum that is 0; or SIZE_MAX. */
static size_t first_bad(const struct probabilities *row)
{
    /* Normalised rows may hold any finite numbers; all others hold probabilities. */
    const double most = row->normalize ? 0x1.fffffffffffffp1023 : 1, *p = row->p;
    const size_t n = row->classes;
    uint64_t bad = 0, any = !row->normalize;
    for (size_t j = 0; j < n; j++) {
        bad |= (uint64_t)!((p[j] >= 0) & (p[j] <= most));
        any |= (uint64_t)(p[j] > 0);
    }
    for (size_t j = 0; bad && j < n; j++)
        if (!(p[j] >= 0 && p[j] <= most))
            return j;
    return any ? SIZE_MAX : n;
}

static int has_small(const double *p, size_t n)
{
    uint64_t small = 0;
    for (size_t j = 0; j < n; j++)
        small |= (uint64_t)(p[j] < SMALL_P);
    return small != 0;
}

/* Anchor and sums. Rows beyond all reason are scaled by a power of two, so that sums stay
 * finite. */
static void sum_row(struct probabilities *row)
{
    const double *p = row->p;
    double most = 0;
    for (size_t j = 0; j < row->classes; j++)
        most = p[j] > most ? p[j] : most;
    size_t k = 0;
    while (k + 1 < row->classes && p[k] != most)
        k++;
    row->anchor = k;
    row->exponent = 0;
    if (most > 0x1p500 || most < 0x1p-500) {
        frexp(most, &row->exponent);
        row->exponent = row->exponent < -1000 ? -1000 : row->exponent;
        const double factor = ldexp(1, -row->exponent);
        for (size_t j = 0; j < row->classes; j++)
            row->scaled[j] = p[j] * factor;
        row->p = p = row->scaled;
    }
    row->others = pair_add(pair_sum(p, k), pair_sum(p + k + 1, row->classes - k - 1));
    row->sum = pair_add(row->others, (struct pair){p[k], 0});
}

/* terms_j + low_j = -log p_j */
static void log_row(struct probabilities *row)
{
    const double *p = row->p;
    double *restrict terms = row->terms, *restrict low = row->low;
    const size_t n = row->classes;
    for (size_t j = 0; j < n; j++)
        terms[j] = p[j] < SMALL_P ? 1 : p[j];
    log_many(terms, low, n);
    for (size_t j = 0; j < n; j++) {
        terms[j] = 0 - terms[j];
        low[j] = 0 - low[j];
    }
    for (size_t j = 0; row->has_small && j < n; j++)
        if (p[j] < SMALL_P) {
            terms[j] = 0 - log_scaled(log_one, p[j], 0);
            low[j] = 0;
        }
}

/* terms_j + low_j = log(S / p_j): that of the rounded quotient, and its remainder. */
static void log_normalised_row(struct probabilities *row, const double *unscaled)
{
    const double *p = row->p, sum = row->sum.hi, low = row->sum.lo, inverse = 1 / sum;
    double *restrict terms = row->terms, *restrict rest = row->live;
    double *restrict logs_low = row->low;
    const size_t n = row->classes, k = row->anchor;
    for (size_t j = 0; j < n; j++) {
        double q = p[j] < SMALL_P ? 1 : sum / p[j];
        rest[j] = (fma(0 - q, p[j], sum) + low) * inverse;
        terms[j] = q;
    }
    log_many(terms, logs_low, n);
    for (size_t j = 0; j < n; j++)
        logs_low[j] += rest[j];
    for (size_t j = 0; row->has_small && j < n; j++)
        if (p[j] < SMALL_P) {
            terms[j] = log_one(sum) - log_scaled(log_one, unscaled[j], -row->exponent);
            logs_low[j] = 0;
        }
    double v = row->others.hi / p[k];
    double v_low = (fma(0 - v, p[k], row->others.hi) + row->others.lo) / p[k];
    terms[k] = pair_log1p(log_one, (struct pair){v, v_low});
    logs_low[k] = 0;
}

/* The loss: the sum of t_j terms_j, clipped, in `terms` and `low`. Sets live_j, which is t_j but 0
 * for what is clipped. */
static struct pair sum_terms(struct probabilities *row)
{
    const double *p = row->p, *t = row->t, *t_low = row->t_low;
    const double sum = row->normalize ? row->sum.hi : 1;
    const double clip_low = row->clip_low * sum, high = row->clip_high;
    const double low_loss = row->low_loss, high_loss = row->high_loss;
    const int given = !row->normalize;
    double *restrict terms = row->terms, *restrict low = row->low, *restrict live = row->live;
    if (row->normalize && row->others.hi / sum < high) {     /* 1 - p_j >= 1/2 for all others */
        terms[row->anchor] = high_loss;
        low[row->anchor] = 0;
    }
    for (size_t j = 0; j < row->classes; j++) {
        int below = p[j] < clip_low, above = given && 1 - p[j] < high;
        double term = below ? low_loss : above ? high_loss : terms[j];
        double term_low = below || above ? 0 : low[j], loss = t[j] * term;
        double lost = fma(t[j], term, 0 - loss) + (t[j] * term_low + t_low[j] * term);
        live[j] = below || above ? 0 : t[j];
        terms[j] = t[j] == 0 ? 0 : loss;
        low[j] = t[j] == 0 || !(fabs(loss) < INFINITY) ? 0 : lost;
    }
    if (row->normalize && row->others.hi / sum < high)
        live[row->anchor] = 0;
    return pair_add(pair_sum(terms, row->classes), pair_sum(low, row->classes));
}

/* a b - c d for pairs a and d. */
static inline struct pair determinant(struct pair a, double b, double c, struct pair d)
{
    double ab = a.hi * b, cd = c * d.hi;
    double lost = fma(a.hi, b, 0 - ab) - fma(c, d.hi, 0 - cd);
    struct pair apart = pair_of(ab, 0 - cd);
    return pair_of(apart.hi, apart.lo + (lost + (a.lo * b - c * d.lo)));
}

/* The gradient into terms. p + 0 makes a 0 of -0. */
static void row_gradient(struct probabilities *row)
{
    const double *t = row->live, *p = row->p;
    double *restrict to = row->terms;
    if (!row->normalize) {
        for (size_t j = 0; j < row->classes; j++) {
            const struct pair share = pair_product(row->factor, (struct pair){t[j], row->t_low[j]});
            to[j] = t[j] == 0 ? 0
                              : 0 - pair_value(pair_quotient(share, (struct pair){p[j] + 0.0, 0}));
        }
        return;
    }
    const struct pair whole = pair_sum(t, row->classes), sum = row->sum;
    const double unit = ldexp(1, -row->exponent);
    const struct pair each = pair_quotient(whole, sum);
    const struct pair factor = {row->factor.hi * unit, row->factor.lo * unit};
    for (size_t j = 0; j < row->classes; j++) {
        struct pair slope = each;
        if (t[j] != 0 && p[j] < SMALL_P)
            slope = (struct pair){each.hi - t[j] / (p[j] + 0.0), 0};
        else if (t[j] != 0)
            slope = pair_quotient(
                pair_quotient(determinant(whole, p[j], t[j], sum), (struct pair){p[j], 0}), sum);
        to[j] = pair_value(pair_product(factor, slope));
    }
}

static void probabilities_row(struct probabilities *row)
{
    const double *unscaled = row->p;
    row->bad = first_bad(row);
    row->loss = (struct pair){0, 0};
    if (row->bad != SIZE_MAX)
        return;
    if (row->normalize)
        sum_row(row);
    row->has_small = has_small(row->p, row->classes);
    if (row->normalize)
        log_normalised_row(row, unscaled);
    else
        log_row(row);
    row->loss = sum_terms(row);
    if (row->gradient)
        row_gradient(row);
}
