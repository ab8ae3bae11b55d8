/* Activations, their slopes, and sums over a batch.
 *
 * gelu is the form with tanh (Hendrycks and Gimpel, 2016), x sigmoid(2 u) with
 * u = sqrt(2/pi) (x + 0.044715 x^3): within 5e-4 of x Phi(x), and smooth to the last digit.
 */
/* sqrt(2/pi), and 0.044715 times it. */
#define GELU_1 ((T)0x1.9884533d43651p-1)
#define GELU_3 ((T)0x1.2444f2a4d8b4bp-5)

/* `activation` is a constant where these are called. */
static inline __attribute__((always_inline)) vec
activation_of(const enum train_activation activation, vec x)
{
    switch (activation) {
    case TRAIN_RELU: return vselect(vless(x, vset(0)), vset(0), x);    /* NaN stays */
    case TRAIN_TANH: return tanh_lanes(x);
    case TRAIN_SIGMOID: return sigmoid_of(x);
    case TRAIN_GELU: {
        vec u = x * vfma(x * x, vset(GELU_3), vset(GELU_1));
        return x * sigmoid_of(u + u);
    }
    default: return x;
    }
}

/* f'(x), y = f(x). With s = sigmoid(2 u): (x s)' = s + x s (1 - s) 2 u'. */
static inline __attribute__((always_inline)) vec
slope_of(const enum train_activation activation, vec x, vec y)
{
    const vec zero = vset(0), one = vset(1);
    switch (activation) {
    case TRAIN_RELU: return vselect(vless(zero, y), one, zero);
    case TRAIN_TANH: return vfma(zero - y, y, one);
    case TRAIN_SIGMOID: return y * (one - y);
    case TRAIN_GELU: {
        vec square = x * x, u = x * vfma(square, vset(GELU_3), vset(GELU_1));
        vec s = sigmoid_of(u + u), t = sigmoid_of(zero - (u + u));      /* t = 1 - s */
        vec twice = vset(2) * vfma(square, vset(3 * GELU_3), vset(GELU_1));
        return vfma(x * s * t, twice, s);
    }
    default: return one;
    }
}

static inline __attribute__((always_inline)) void
activate_with(const enum train_activation f, const T *from, T *to, size_t n)
{
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vstore(to + i, activation_of(f, vload(from + i)));
    if (i < n)
        vstore_part(to + i, n - i, activation_of(f, vload_part(from + i, n - i, vset(0))));
}

static void activate_elements(enum train_activation f, const void *from, void *to, size_t n)
{
    switch (f) {
    case TRAIN_RELU: activate_with(TRAIN_RELU, from, to, n); break;
    case TRAIN_TANH: activate_with(TRAIN_TANH, from, to, n); break;
    case TRAIN_SIGMOID: activate_with(TRAIN_SIGMOID, from, to, n); break;
    case TRAIN_GELU: activate_with(TRAIN_GELU, from, to, n); break;
    case TRAIN_IDENTITY: break;
    }
}

static inline __attribute__((always_inline)) void
differentiate_with(const enum train_activation f, const T *x, const T *y, T *grad, size_t n)
{
    const vec zero = vset(0);
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        vstore(grad + i, vload(grad + i) * slope_of(f, vload(x + i), vload(y + i)));
    if (i < n) {
        vec slope = slope_of(f, vload_part(x + i, n - i, zero), vload_part(y + i, n - i, zero));
        vstore_part(grad + i, n - i, vload_part(grad + i, n - i, zero) * slope);
    }
}

static void differentiate_elements(enum train_activation f, const void *x, const void *y,
                                   void *grad, size_t n)
{
    switch (f) {
    case TRAIN_RELU: differentiate_with(TRAIN_RELU, x, y, grad, n); break;
    case TRAIN_TANH: differentiate_with(TRAIN_TANH, x, y, grad, n); break;
    case TRAIN_SIGMOID: differentiate_with(TRAIN_SIGMOID, x, y, grad, n); break;
    case TRAIN_GELU: differentiate_with(TRAIN_GELU, x, y, grad, n); break;
    case TRAIN_IDENTITY: break;
    }
}

static void sum_columns(const void *from_, void *sum_, size_t rows, size_t columns, int accumulate)
{
    const T *from = from_;
    T *sum = sum_;
    for (size_t j = 0; j < columns && !accumulate; j++)
        sum[j] = 0;
    for (size_t i = 0; i < rows; i++, from += columns)
        for (size_t j = 0; j < columns; j++)
            sum[j] += from[j];
}

/* NaN is what 0 times an infinity or NaN gives, and what it stays. Four sums, as one would wait for
 * itself. */
static int finite_elements(const void *x_, size_t n)
{
    const T *x = x_;
    const vec zero = vset(0);
    vec sum[4] = {zero, zero, zero, zero};
    size_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (int s = 0; s < 4; s++)
            sum[s] = sum[s] + vload(x + i + s * LANES) * zero;
    for (; i < n; i += LANES)
        sum[0] = sum[0] + vload_part(x + i, n - i, zero) * zero;
    vec all = (sum[0] + sum[1]) + (sum[2] + sum[3]);
    return vbits(vequal(all, zero)) == vbits(vequal(zero, zero));
}

/* In doubles, in 8 lanes whatever the register holds: float squares are exact and cannot
 * overflow. */
static double squares(const void *x_, size_t n)
{
    const T *x = x_;
    double lane[8] = {0};
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t l = 0; l < 8; l++)
            lane[l] += (double)x[i + l] * (double)x[i + l];
    for (; i < n; i++)
        lane[i % 8] += (double)x[i] * (double)x[i];
    return ((lane[0] + lane[4]) + (lane[2] + lane[6]))
           + ((lane[1] + lane[5]) + (lane[3] + lane[7]));
}

static void multiply_by(void *x_, const void *y_, size_t n)
{
    T *x = x_;
    const T *y = y_;
    for (size_t i = 0; i < n; i++)
        x[i] *= y[i];
}

static void add_to(void *x, const void *y, size_t n) { add_elements(x, sizeof(T), y, n); }
#undef GELU_1
#undef GELU_3
