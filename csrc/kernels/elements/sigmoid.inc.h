/* Losses and functions of single elements.
 *
 * With a = |x|, e = e^-a and l = log1p(e), softplus(x) = l + max(x, 0), and binary cross-entropy
 *     target * softplus(-x) + (1 - target) * softplus(x) = l + wrong * a
 * where `wrong` is the share of the target that contradicts the sign of x: 1 - target for x >= 0,
 * target for x < 0. Its derivative is sign(x) (wrong - (1 - wrong) e) / (1 + e). For targets 0 and
 * 1 no term cancels another, however confident or wrong the model is.
 */
/* Losses and slopes (NULL: not wanted) of 4 registers. Each step is done for all four before the
 * next: the steps of one register wait for each other, and a processor looks ahead by little more
 * than the steps of two. `near`: every |x| is at most NEAR. */
INLINE void
sigmoid_group(const vec *x, const vec *target, vec *loss, vec *slope, const int near)
{
    const vec zero = vset(0), one = vset(1);
    vec e[4], wrong[4];
    for (int i = 0; i < 4; i++)
        e[i] = near ? exp_near(vabs(x[i])) : exp_negative(vabs(x[i]));
    for (int i = 0; i < 4; i++) {
        vec l = log1p_unit(e[i]);
        wrong[i] = vselect(vless(x[i], zero), target[i], one - target[i]);
        loss[i] = vfma(wrong[i], vabs(x[i]), l);
        if (!near)
            loss[i] = vselect(vequal(wrong[i], zero), l, loss[i]);   /* 0 * inf is 0 here */
    }
    if (slope)
        for (int i = 0; i < 4; i++) {
            vec size = vfma(wrong[i] - one, e[i], wrong[i]) / (one + e[i]);
            slope[i] = vsigned(size, x[i] + zero);                   /* -0 counts as +0 */
        }
}

/* Up to 4 WIDE elements (sums.inc.h). The padding, x = -inf with target 0, has no loss. */
INLINE void
sigmoid_wides(const T *x, const T *target, T *loss, T *grad, size_t n, vec coefficient,
              struct totals *sum, const int whole)
{
    const vec none = vset(-(T)INFINITY), zero = vset(0);
    for (int h = 0; h < HALVES; h++) {
        size_t index[4], left[4];
        vec v[4], t[4], value[4], slope[4];
        for (int i = 0; i < 4; i++) {
            index[i] = (size_t)(i * WIDE + h * LANES), left[i] = index[i] < n ? n - index[i] : 0;
            v[i] = whole ? vload(x + index[i]) : vload_part(x + index[i], left[i], none);
            t[i] = whole ? vload(target + index[i]) : vload_part(target + index[i], left[i], zero);
        }
        /* Where the sum is small no |x| is large, and none is NaN. */
        vec sizes = (vabs(v[0]) + vabs(v[1])) + (vabs(v[2]) + vabs(v[3]));
        if (whole && vbits(vless(sizes, vset(NEAR))) == (1u << LANES) - 1)
            sigmoid_group(v, t, value, grad ? slope : NULL, 1);
        else
            sigmoid_group(v, t, value, grad ? slope : NULL, 0);
        for (int i = 0; i < 4; i++)
            totals_add(sum, h, value[i]);
        for (int i = 0; loss && i < 4; i++)
            if (whole)
                vstore(loss + index[i], value[i]);
            else
                vstore_part(loss + index[i], left[i], value[i]);
        for (int i = 0; grad && i < 4; i++)
            if (whole)
                vstore(grad + index[i], slope[i] * coefficient);
            else
                vstore_part(grad + index[i], left[i], slope[i] * coefficient);
    }
}

static double sigmoid_losses(const void *x_, const void *target_, void *loss_, void *grad_,
                           size_t n, double coefficient_)
{
    const T *x = x_, *target = target_;
    T *loss = loss_, *grad = grad_;
    const vec coefficient = vset((T)coefficient_);
    struct totals sum;
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
    const vec zero = vset(0);
    if (function == CROSSENT_SIGMOID)
        return sigmoid_of(x);
    vec l = log1p_unit(exp_negative(vabs(x)));
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
