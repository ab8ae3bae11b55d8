/* Losses and functions of single elements.
 *
 * With a = |x|, e = e^-a and l = log1p(e), softplus(x) = l + max(x, 0), and binary cross-entropy
 *     target * softplus(-x) + (1 - target) * softplus(x) = l + wrong * a
 * where `wrong` is the share of the target that contradicts the sign of x: 1 - target for x >= 0,
 * target for x < 0. Its derivative is sign(x) (wrong - right e) / (1 + e). For targets 0 and 1 no
 * term cancels another, however confident or wrong the model is.
 */
#ifndef T
#error "elementwise.inc.h: define T, SUFFIX and IS_DOUBLE"
#endif

/* One register: returns the losses and sets the derivatives. */
INLINE vec
sigmoid_lanes(vec x, vec target, vec *derivative)
{
    const vec zero = vset(0), one = vset(1);
    vec a = vabs(x), e = exp_negative(a), l = log1p_unit(e), rest = one - target;
    mask negative = vless(x, zero);
    vec wrong = vselect(negative, target, rest), right = vselect(negative, rest, target);
    vec slope = vfma(zero - right, e, wrong) / (one + e);
    *derivative = vsigned(slope, x + zero);                    /* -0 counts as +0 */
    return vselect(vequal(wrong, zero), l, vfma(wrong, a, l)); /* 0 * inf is 0 here */
}

/* Up to 4 WIDE elements (sums.inc.h). The padding, x = -inf with target 0, has no loss. */
INLINE void
sigmoid_wides(const T *x, const T *target, T *loss, T *grad, size_t n, vec coefficient,
              struct F(totals) *sum, const int whole)
{
    const vec none = vset(-(T)INFINITY), zero = vset(0);
    for (int h = 0; h < HALVES; h++)
        for (int i = 0; i < 4; i++) {
            size_t at = (size_t)(i * WIDE + h * LANES), left = at < n ? n - at : 0;
            vec slope, v = whole ? vload(x + at) : vload_part(x + at, left, none);
            vec t = whole ? vload(target + at) : vload_part(target + at, left, zero);
            vec value = sigmoid_lanes(v, t, &slope);
            slope = slope * coefficient;
            if (loss && whole)
                vstore(loss + at, value);
            else if (loss)
                vstore_part(loss + at, left, value);
            if (grad && whole)
                vstore(grad + at, slope);
            else if (grad)
                vstore_part(grad + at, left, slope);
            totals_add(sum, h, value);
        }
}

static double sigmoid_losses(const void *x_, const void *target_, void *loss_, void *grad_,
                           size_t n, double coefficient_)
{
    const T *x = x_, *target = target_;
    T *loss = loss_, *grad = grad_;
    const vec coefficient = vset((T)coefficient_);
    struct F(totals) sum;
    totals_clear(&sum);
    size_t i = 0;
    for (; i + 4 * WIDE <= n; i += 4 * WIDE)
        sigmoid_wides(x + i, target + i, loss ? loss + i : NULL, grad ? grad + i : NULL, 4 * WIDE,
                      coefficient, &sum, 1);
    if (i < n)
        sigmoid_wides(x + i, target + i, loss ? loss + i : NULL, grad ? grad + i : NULL, n - i,
                      coefficient, &sum, 0);
    return totals_value(&sum);
}

/* `function` is a constant where this is called. */
INLINE vec
function_lanes(vec x, const enum crossent_elementwise function)
{
    const vec zero = vset(0), one = vset(1);
    vec e = exp_negative(vabs(x));
    if (function == CROSSENT_SIGMOID)
        return vselect(vless(x, zero), e, one) / (one + e);
    vec l = log1p_unit(e);
    if (function == CROSSENT_SOFTPLUS)
        return l + vmax(x, zero);
    return zero - (l + vmax(zero - x, zero));
}

INLINE void
map_elements(const T *x, T *out, size_t n, const enum crossent_elementwise function)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vstore(out + i, function_lanes(vload(x + i), function));
    if (i < n)
        vstore_part(out + i, n - i, function_lanes(vload_part(x + i, n - i, vset(0)), function));
}

static void sigmoid_functions(enum crossent_elementwise function, const void *x, void *out,
                              size_t n)
{
    switch (function) {
    case CROSSENT_SIGMOID: map_elements(x, out, n, CROSSENT_SIGMOID); break;
    case CROSSENT_LOG_SIGMOID: map_elements(x, out, n, CROSSENT_LOG_SIGMOID); break;
    case CROSSENT_SOFTPLUS: map_elements(x, out, n, CROSSENT_SOFTPLUS); break;
    default: break;
    }
}
