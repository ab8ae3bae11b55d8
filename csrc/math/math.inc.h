/* exp, log and log1p on `vec`, for T = float and double. Included once per type by unit.inc.h.
 *
 * a) Exponentials are scaled: a row works with e_j = e^x_j * 2^(bias - N), N = round(max * log2 e).
 *    The shift happens in the exponent, an integer, so it costs no rounding, whereas x - max would
 *    cost half an ulp of the difference: 40 ulp of e^(x - max) where x - max = -80.
 *    Blanchard, Higham, Higham (2021), doi:10.1093/imanum/draa038, section 4 give the bounds that
 *    this removes.
 * b) The bias keeps every e_j a normal number or exactly zero, so that scaling by a power of two is
 *    exact everywhere and no instruction set needs to agree on the rounding of subnormals.
 * c) Polynomials are minimax, by tools/coefficients.py. Errors stand above each function; the test
 *    tests/c/test_math.c reads them there.
 * d) Logarithms cut at 3/2: 1 + v = 2^k (1 + f) with f in [-1/4, 1/2]. f is exact for every v,
 *    where a cut at sqrt(2) would round (v - 1)/2 for v < 1/2; the degree is the same for both.
 *    log1p_unit alone needs no cut.
 */
/* c[0] x^(n-1) + ... + c[n-1]: two chains, in x^2, so that the latency of one hides the other's. */
INLINE vec poly(const T *c, int n, vec x)
{
    if (n < 6) {
        vec p = vset(c[0]);
        for (int i = 1; i < n; i++)
            p = vfma(p, x, vset(c[i]));
        return p;
    }
    vec square = x * x, p = vset(c[0]), q = vset(c[1]);
    for (int i = 2; i < n; i += 2)
        p = vfma(p, square, vset(c[i]));
    for (int i = 3; i < n; i += 2)
        q = vfma(q, square, vset(c[i]));
    return n % 2 ? vfma(q, x, p) : vfma(p, x, q);
}

/* The same in pairs of neighbours, whose terms for the alternating coefficients of a logarithm have
 * one sign each: no sum of theirs cancels. */
INLINE vec poly_pairs(const T *c, int n, vec x, vec square)
{
    vec p = n % 2 ? vset(c[0]) : vfma(vset(c[0]), x, vset(c[1]));
    for (int i = 2 - n % 2; i < n; i += 2)
        p = vfma(p, square, vfma(vset(c[i]), x, vset(c[i + 1])));
    return p;
}

/* How exponentials of a row are scaled. Adding `rounder` to x log2 e leaves the biased exponent of
 * e_j in the low bits; at `low` that exponent is 0, and 2^0 biased is the number zero. */
struct exp_scale {
    vec rounder, low;
};

/* N for rows whose largest logit but the anchor is `max`: that logit's, so that the sum of the
 * others fills its digits, but no less than keeps the anchor's exponential from overflowing. */
INLINE vec exponent_of(vec max, vec anchor)
{
    const vec least = vset(-2 * RANGE), rounder = vset(ROUNDER), log2e = vset(LOG2E);
    vec others = vfma(vmax(max, least), log2e, rounder) - rounder;
    vec at_anchor = vfma(vmax(anchor, least), log2e, rounder) - vset(ROUNDER + (T)ANCHOR_LEAD);
    return vmax(at_anchor, others);
}

INLINE struct exp_scale exp_range(vec exponent)
{
    vec zero_at = exponent - vset(BIAS + EXPONENT_BIAS);
    struct exp_scale scale = {vset(ROUNDER) - zero_at, zero_at * vset(LN2_HI)};
    return scale;
}

/* The power of two next above the scaled e^max, or 0: the base of sum_clear. */
INLINE vec exp_bound(vec max, struct exp_scale scale)
{
    return vset(2) * vpow2(vfma(vmax(scale.low, max), vset(LOG2E), scale.rounder));
}

/* The exponential in two halves, for whoever begins one before ending another: x - n ln2 = exact +
 * low, and 2^n, which `rounder` raises to a normal number (exp_scale), as vpow2 takes it. */
struct exp_parts {
    vec exact, low, power;
};

/* Each step for all `count` registers before the next, as the steps of one wait for each other.
 * |exact + low| <= ln2/2 (1 + 2^-4); the first product cancels exactly. */
INLINE void exps_begin(struct exp_parts *e, const vec *x, vec rounder, const int count)
{
    vec n[2];
    for (int i = 0; i < count; i++)
        e[i].power = vfma(x[i], vset(LOG2E), rounder);
    for (int i = 0; i < count; i++)
        n[i] = e[i].power - rounder;
    for (int i = 0; i < count; i++)
        e[i].exact = vfma(n[i], vset(-LN2_HI), x[i]);
    for (int i = 0; i < count; i++)
        e[i].low = n[i] * vset(-LN2_LO);
}

INLINE struct exp_parts exp_begin(vec x, vec rounder)
{
    struct exp_parts e;
    exps_begin(&e, &x, rounder, 1);
    return e;
}

/* The parts are kept apart until the end, where they are small beside 1. Adding them at once would
 * cost another quarter of an ulp, which is what the loss of two classes has left. */
INLINE void exps_end(vec *to, const struct exp_parts *e, const int count)
{
    enum { DEGREE = COUNT(EXP), ODD = DEGREE % 2 };
    vec r[2], square[2], p[2], power[2];
    for (int i = 0; i < count; i++)
        r[i] = e[i].exact + e[i].low;
    for (int i = 0; i < count; i++)
        square[i] = r[i] * r[i];
    for (int i = 0; i < count; i++)
        p[i] = ODD ? vset(EXP[0]) : vfma(vset(EXP[0]), r[i], vset(EXP[1]));
    for (int k = 2 - ODD; k < DEGREE; k += 2)
        for (int i = 0; i < count; i++)
            p[i] = vfma(p[i], square[i], vfma(vset(EXP[k]), r[i], vset(EXP[k + 1])));
    for (int i = 0; i < count; i++)
        r[i] = e[i].exact + vfma(square[i], p[i], e[i].low);
    for (int i = 0; i < count; i++)
        power[i] = vpow2(e[i].power);
    for (int i = 0; i < count; i++)
        to[i] = vfma(r[i], power[i], power[i]);
}

/* x[i] = e^x[i] times the power of two that `rounder` says. */
INLINE void exps_reduced(vec *x, vec rounder, const int count)
{
    struct exp_parts e[2];
    exps_begin(e, x, rounder, count);
    exps_end(x, e, count);
}

/* e^x * 2^(BIAS - N), +0 below the scale's range, NaN for NaN. Needs |N| < 2^21 and x <= max.
 * Largest error, float: 0.910 ulp at -0x1.df7744p+5
 * Largest error, double: 0.908 ulp at 0x1.e82dc032f63acp+1
 * where |x| <= RANGE and the result is normal. Here and below float is measured on every input;
 * double by a search (tools/measure_math.c) of at least 1e8 inputs a function, half of them drawn
 * from its whole range, half around the worst found: a larger error is not excluded, but rare. */
INLINE vec exp_scaled(vec x, struct exp_scale scale)
{
    x = vmax(scale.low, x);
    exps_reduced(&x, scale.rounder, 1);
    return x;
}

/* The same as an unevaluated sum: returns hi, sets lo. The error relative to the result, u = 2^-53:
 * Largest error, double: 0.280 u at -0x1.d472c7930dbc7p+13
 * where the result is above 2^-960, so that lo keeps its digits. */
INLINE vec exp_pair(vec x, struct exp_scale scale, vec *low)
{
    struct exp_parts e = exp_begin(vmax(scale.low, x), scale.rounder);
    vec r = e.exact + e.low, r_low = (e.exact - r) + e.low, power = vpow2(e.power);
    vec one_r = vset(1) + r, lost = (vset(1) - one_r) + r;
    vec rest = lost + vfma(r * r, poly(EXP, COUNT(EXP), r), vfma(r, r_low, r_low));
    vec hi = one_r + rest;
    *low = ((one_r - hi) + rest) * power;
    return hi * power;
}

/* e^-a for a >= 0, down to and through the subnormal numbers.
 * Largest error, float: 0.910 ulp at 0x1.df7744p+5
 * Largest error, double: 0.907 ulp at 0x1.64459dcc18797p+6 */
INLINE vec exp_negative(vec a)
{
    return exp_scaled(vset(0) - a, exp_range(vset(0))) * vset(UNSCALE);
}

/* exp_negative where a <= NEAR: no step for what lies below the normal numbers.
 * Largest error, float: 0.910 ulp at 0x1.df7744p+5
 * Largest error, double: 0.907 ulp at 0x1.64459dcc18797p+6 */
INLINE vec exp_near(vec a)
{
    a = -a;
    exps_reduced(&a, vset(UNIT_ROUNDER), 1);
    return a;
}

/* top + rest + log(1 + f), f in [-1/4, 1/2]; |top| >= |f| or top = 0. `lost` is what the last
 * addition cuts off. */
INLINE vec log_near(vec top, vec rest, vec f, vec *lost)
{
    vec hi = top + f, low = (top - hi) + f;
    vec tail = vfma(f * f, poly(LOG1P, COUNT(LOG1P), f), rest + low), sum = hi + tail;
    *lost = (hi - sum) + tail;
    return sum;
}

/* k ln2 + log(1 + f) + low, f in [-1/4, 1/2], low a correction to f.
 * Its error is that of log1p_pair. */
INLINE vec log_parts(vec k, vec f, vec low, vec *lost)
{
    vec slope = vfma(vset((T)0.75), f, vset(-1)) * f;   /* 1/(1 + f) - 1, within 0.04 */
    low = vfma(slope, low, low);
    return log_near(k * vset(LN2_TOP), vfma(k, vset(LN2_REST), low), f, lost);
}

/* log(1 + v), 0 <= v <= 1, NaN for NaN: v + v^2 P(v). [0, 1] is as hard for a polynomial as
 * [-1/4, 1/2] is: both run from u to 2 u, counted from the singularity. The last coefficient, -1/2,
 * is added alone: with its neighbour it would be rounded once more, near the size of the result.
 * Largest error, float: 1.055 ulp at 0x1.f3e292p-1
 * Largest error, double: 1.153 ulp at 0x1.fd08501f5d6cp-1 */
INLINE vec log1p_unit(vec v)
{
    enum { LAST = COUNT(LOG1P_UNIT) - 1 };
    vec square = v * v, p = poly_pairs(LOG1P_UNIT, LAST, v, square);
    return vfma(square, vfma(v, p, vset(LOG1P_UNIT[LAST])), v);
}

/* log(1 + v + low) for v > -0.7, low within an ulp of v.
 * Largest error, double: 1.153 ulp at 0x1.fb042f07ba62cp-2, low = 0x0p+0 */
INLINE vec log1p_pair(vec v, vec low, vec *lost)
{
    const vec one = vset(1);
    vec u = one + v, back = u - one, k;
    low = low + ((one - (u - back)) + (v - back));     /* two_sum, for either type */
    vec m = vsplit(u, &k);
    return log_parts(k, m - one, low * vpow2(vset(UNIT_ROUNDER) - k), lost);
}

/* log(w + low) for finite w > 0, subnormal as well, low at most half an ulp of w.
 * Its error is that of log1p_pair. */
INLINE vec log_pair(vec w, vec low, vec *lost)
{
    const vec lift = vset(IS_DOUBLE ? 0x1p64f : 0x1p32f);
    mask tiny = vless(w, vset(TINY));
    vec k, m = vsplit(vselect(tiny, w * lift, w), &k);
    low = low * vpow2(vset(UNIT_ROUNDER) - k);
    return log_parts(vselect(tiny, k - vset(IS_DOUBLE ? 64 : 32), k), m - vset(1), low, lost);
}

/* sigmoid(x) from e^-|x| <= 1, with one division. */
INLINE vec sigmoid_of(vec x)
{
    vec e = exp_negative(vabs(x));
    return vselect(vless(x, vset(0)), e, vset(1)) / (vset(1) + e);
}

/* tanh(x) = sign(x) m / (m + 2), m = e^(2|x|) - 1 = 2^n s + (2^n - 1) where e^r = 1 + s: nothing
 * cancels, for n = 0 because the bracket is 0.
 * Largest error, float: 2.726 ulp at 0x1.ff3f42p-5
 * Largest error, double: 2.862 ulp at 0x1.000f9ed1c1a33p-5 */
INLINE vec tanh_lanes(vec x)
{
    const vec two = vset(2);
    struct exp_parts e = exp_begin(two * vmin(vabs(x), vset(24)), vset(UNIT_ROUNDER));
    vec r = e.exact + e.low, power = vpow2(e.power);
    vec s = e.exact + vfma(r * r, poly(EXP, COUNT(EXP), r), e.low);
    vec m = vfma(power, s, power - vset(1));
    vec value = vsigned(m / (m + two), x);
    return vselect(vequal(x, x), value, x);
}
