/* The arithmetic of base/pairs.h on registers of doubles: an unevaluated sum is its rounded value,
 * which is returned, and `low`, what rounding cut off.
 */
/* a b, but for what is below both parts. */
INLINE vec pair_times(vec a, vec a_low, vec b, vec b_low, vec *low)
{
    vec p = a * b;
    *low = vfma(a, b, vset(0) - p) + (a * b_low + a_low * b);
    return p;
}

/* The same where the product may be infinite, and has no low part then. */
INLINE vec finite_times(vec a, vec a_low, vec b, vec b_low, vec *low)
{
    vec p = pair_times(a, a_low, b, b_low, low);
    *low = vselect(vless(vabs(p), vset(INFINITY)), *low, vset(0));
    return p;
}

/* a / d, corrected by one residual; inverse = 1 / d. */
INLINE vec quotient(vec a, vec a_low, vec d, vec d_low, vec inverse, vec *low)
{
    vec q = a * inverse;
    vec rest = vfma(vset(0) - q, d, a) + vfma(vset(0) - q, d_low, a_low);
    *low = rest * inverse;
    return q;
}

/* A pair in one name. `low` is 0 where the value is not finite. */
struct vpair {
    vec hi, low;
};

INLINE struct vpair vpair_of(vec hi, vec low)
{
    return (struct vpair){hi, vselect(vless(vabs(hi), vset(INFINITY)), low, vset(0))};
}

INLINE struct vpair vpair_exact(vec x) { return (struct vpair){x, vset(0)}; }

INLINE struct vpair vpair_times(struct vpair a, struct vpair b)
{
    struct vpair p;
    p.hi = finite_times(a.hi, a.low, b.hi, b.low, &p.low);
    return p;
}

INLINE struct vpair vpair_plus(struct vpair a, struct vpair b)
{
    vec low, sum = two_sum(a.hi, b.hi, &low);
    return vpair_of(sum, low + (a.low + b.low));
}

INLINE struct vpair vpair_over(struct vpair a, struct vpair d)
{
    vec low, q = quotient(a.hi, a.low, d.hi, d.low, vset(1) / d.hi, &low);
    return vpair_of(q, low);
}

INLINE struct vpair vpair_minus(struct vpair a)
{
    return (struct vpair){vset(0) - a.hi, vset(0) - a.low};
}

INLINE struct vpair vpair_select(mask m, struct vpair a, struct vpair b)
{
    return (struct vpair){vselect(m, a.hi, b.hi), vselect(m, a.low, b.low)};
}

INLINE vec vpair_value(struct vpair a) { return a.hi + a.low; }
