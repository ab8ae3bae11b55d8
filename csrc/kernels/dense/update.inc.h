/* The optimisers, each one pass over parameters, gradient and moments. The loops are plain: every
 * element stands alone, so the compiler vectorises them without changing a bit. */
static inline T square_root(T x) { return IS_DOUBLE ? (T)sqrt((double)x) : (T)sqrtf((float)x); }

/* The gradient of the mean loss + l2/2 |p|^2 + l1 |p|. */
static inline T regularized(T grad, T p, T scale, T l2, T l1)
{
    T sign = (T)(p > 0) - (T)(p < 0);
    return grad * scale + l2 * p + l1 * sign;
}

/* m = momentum m + g; p -= rate m, or rate (g + momentum m) after Nesterov. `kind` is a constant: 0
 * without momentum, 1 with, 2 Nesterov. */
static inline __attribute__((always_inline)) void
update_sgd(const struct train_update *u, T *restrict p, const T *restrict grad, T *restrict m,
           size_t n, const int kind)
{
    const T scale = (T)u->scale, rate = (T)u->rate, momentum = (T)u->momentum;
    const T l2 = (T)u->l2, l1 = (T)u->l1;
    for (size_t i = 0; i < n; i++) {
        T g = regularized(grad[i], p[i], scale, l2, l1);
        if (kind) {
            m[i] = momentum * m[i] + g;
            g = kind == 2 ? g + momentum * m[i] : m[i];
        }
        p[i] -= rate * g;
    }
}

/* m, v: running means of g and g^2; p -= rate m^ / (sqrt(v^) + epsilon), m^ = m / (1 - beta1^t),
 * v^ = v / (1 - beta2^t), after p -= rate decay p (AdamW). */
static inline void update_adam(const struct train_update *u, T *restrict p, const T *restrict grad,
                               T *restrict m, T *restrict v, size_t n)
{
    const T scale = (T)u->scale, l2 = (T)u->l2, l1 = (T)u->l1, epsilon = (T)u->epsilon;
    const T beta1 = (T)u->beta1, rest1 = (T)(1 - u->beta1), rest2 = (T)(1 - u->beta2);
    const T beta2 = (T)u->beta2, keep = (T)(1 - u->rate * u->decay);
    const T rate = (T)(u->rate / u->correction1), root = (T)(1 / sqrt(u->correction2));
    for (size_t i = 0; i < n; i++) {
        T g = regularized(grad[i], p[i], scale, l2, l1);
        m[i] = beta1 * m[i] + rest1 * g;
        v[i] = beta2 * v[i] + rest2 * (g * g);
        p[i] = keep * p[i] - rate * m[i] / (square_root(v[i]) * root + epsilon);
    }
}

static void update_parameters(const struct train_update *u, void *p, const void *grad, void *first,
                              void *second, size_t n)
{
    if (u->optimizer == TRAIN_ADAM)
        update_adam(u, p, grad, first, second, n);
    else if (u->momentum == 0)
        update_sgd(u, p, grad, NULL, n, 0);
    else
        update_sgd(u, p, grad, first, n, u->nesterov ? 2 : 1);
}

static const struct train_kernels train_table = {
    .fused = FUSED,
    .panel = PANEL,
    .narrow = NARROW,
    .wide = WIDE,
    .multiply = multiply_tiles,
    .transpose = transpose_matrix,
    .activate = activate_elements,
    .differentiate = differentiate_elements,
    .column_sums = sum_columns,
    .all_finite = finite_elements,
    .sum_of_squares = squares,
    .update = update_parameters,
    .multiply_elements = multiply_by,
    .add = add_to,
};
