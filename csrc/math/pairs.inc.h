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
