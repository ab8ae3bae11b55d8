#include "train_reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

/* ---- random numbers: SplitMix64 ---------------------------------------------------------- */

static const uint64_t GOLDEN = 0x9e3779b97f4a7c15;
static uint64_t mix(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}
static uint64_t stream(uint64_t seed, uint64_t number) { return mix(seed + GOLDEN) + mix(number); }

/* The high word of the next number times n. */
static size_t below(uint64_t *state, uint64_t n)
{
    const uint64_t x = mix(*state += GOLDEN);
    uint64_t high = 0, low = 0;              /* the product, bit by bit */
    for (int bit = 63; bit >= 0; bit--) {
        high = high << 1 | low >> 63;
        low <<= 1;
        if (x >> bit & 1) {
            low += n;
            high += low < n;
        }
    }
    return (size_t)high;
}

/* Fisher-Yates, from the last place down. */
void reference_order(size_t *order, size_t rows, uint64_t seed, uint64_t epoch)
{
    uint64_t state = stream(seed, epoch);
    for (size_t i = 0; i < rows; i++) order[i] = i;
    for (size_t i = rows; i > 1; i--) {
        const size_t j = below(&state, i), kept = order[j];
        order[j] = order[i - 1];
        order[i - 1] = kept;
    }
}

/* ---- one row ----------------------------------------------------------------------------- */

static double sigmoid(double x) { return 1 / (1 + exp(-x)); }

static double activate(enum train_activation f, double x)
{
    switch (f) {
    case TRAIN_RELU: return fmax(x, 0);
    case TRAIN_TANH: return tanh(x);
    case TRAIN_SIGMOID: return sigmoid(x);
    case TRAIN_GELU:
        return x / 2 * (1 + tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
    default: return x;
    }
}

static double slope(enum train_activation f, double x)
{
    const double t = tanh(0.7978845608028654 * (x + 0.044715 * x * x * x));
    switch (f) {
    case TRAIN_RELU: return x > 0;
    case TRAIN_TANH: return 1 - tanh(x) * tanh(x);
    case TRAIN_SIGMOID: return sigmoid(x) * (1 - sigmoid(x));
    case TRAIN_GELU:
        return (1 + t) / 2 + x / 2 * (1 - t * t) * 0.7978845608028654 * (1 + 0.134145 * x * x);
    default: return 1;
    }
}

struct pass {
    double before[MOST_LAYERS][MOST_WIDTH], out[MOST_LAYERS][MOST_WIDTH];
    double mask[MOST_LAYERS][MOST_WIDTH];
};

/* `kept` rows of the batch have drawn their numbers before. */
static void forward(const struct training *t, size_t row, uint64_t batch, size_t kept,
                    struct pass *p)
{
    const double *in = t->x + row * t->layer[0].in;
    for (size_t l = 0; l < t->layers; in = p->out[l++]) {
        const struct layer *layer = &t->layer[l];
        uint64_t state = mix(stream(~t->seed, batch) + l) + kept * layer->out * GOLDEN;
        for (size_t j = 0; j < layer->out; j++) {
            double sum = layer->has_bias ? layer->bias[j] : 0;
            for (size_t k = 0; k < layer->in; k++) sum += in[k] * layer->weight[k * layer->out + j];
            p->before[l][j] = sum;
            p->mask[l][j] = 1;
            if (layer->dropout > 0) {
                const double u = (double)(mix(state += GOLDEN) >> 11) * 0x1p-53;
                p->mask[l][j] = u < layer->dropout ? 0 : 1 / (1 - layer->dropout);
            }
            p->out[l][j] = activate(layer->activation, sum) * p->mask[l][j];
        }
    }
}

static double target_of(const struct training *t, size_t row, size_t j)
{
    if (t->columns) return t->target[row * t->columns + j];
    return t->elementwise ? t->target[row] : t->target[row] == (double)j;
}

static double row_weight(const struct training *t, size_t row)
{
    const double s = t->row_weight ? t->row_weight[row] : 1;
    if (!t->elementwise && !t->columns && t->target[row] == (double)t->ignore) return 0;
    return t->class_weight ? s * t->class_weight[(size_t)t->target[row]] : s;
}

/* The loss of a row of weight w, and its derivatives by the outputs in `delta`. */
static double loss_of(const struct training *t, size_t row, double w, const double *z,
                      double *delta, struct train_sums *sums)
{
    const size_t n = t->layer[t->layers - 1].out;
    size_t best = 0, wanted = 0;
    double loss = 0, sum = 0, total = 0;
    for (size_t j = 0; j < n; j++) {
        best = z[j] > z[best] ? j : best;
        wanted = target_of(t, row, j) > target_of(t, row, wanted) ? j : wanted;
        total += target_of(t, row, j);
    }
    for (size_t j = 0; j < n; j++) sum += exp(z[j] - z[best]);
    for (size_t j = 0; j < n; j++) {
        const double y = target_of(t, row, j), lse = z[best] + log(sum);
        if (t->elementwise) {
            loss += w * (fmax(z[j], 0) - z[j] * y + log1p(exp(-fabs(z[j]))));
            delta[j] = w * (sigmoid(z[j]) - y);
            sums->answers++;
            sums->correct += (z[j] > 0) == (y > 0.5);
        } else {
            loss += w * y * (lse - z[j]);
            delta[j] = w * (total * exp(z[j] - lse) - y);
        }
    }
    if (!t->elementwise) {
        sums->answers++;
        sums->correct += best == wanted;
    }
    return loss;
}

static void backward(struct training *t, size_t row, const struct pass *p, double *delta)
{
    for (size_t l = t->layers; l-- > 0;) {
        struct layer *layer = &t->layer[l];
        const double *in = l ? p->out[l - 1] : t->x + row * layer->in;
        double below_[MOST_WIDTH] = {0};
        for (size_t j = 0; j < layer->out; j++) {
            delta[j] *= p->mask[l][j] * slope(layer->activation, p->before[l][j]);
            if (layer->has_bias) layer->bias_grad[j] += delta[j];
            for (size_t k = 0; k < layer->in; k++) {
                layer->weight_grad[k * layer->out + j] += in[k] * delta[j];
                if (l) below_[k] += delta[j] * layer->weight[k * layer->out + j];
            }
        }
        if (l) memcpy(delta, below_, sizeof below_);
    }
}

/* ---- steps ------------------------------------------------------------------------------- */

static void update(const struct training *t, double *p, double *grad, double *const *state,
                   size_t n, double scale, uint64_t step, int is_bias)
{
    const struct train_update *u = &t->update;
    for (size_t i = 0; i < n; i++) {
        const double sign = (p[i] > 0) - (p[i] < 0);
        double g = grad[i] * scale + (is_bias ? 0 : u->l2 * p[i] + u->l1 * sign);
        if (u->optimizer == TRAIN_SGD) {
            double *m = state[0];
            if (u->momentum) {
                m[i] = u->momentum * m[i] + g;
                g = u->nesterov ? g + u->momentum * m[i] : m[i];
            }
            p[i] -= t->rate * g;
            continue;
        }
        double *m = state[0], *v = state[1];
        m[i] = u->beta1 * m[i] + (1 - u->beta1) * g;
        v[i] = u->beta2 * v[i] + (1 - u->beta2) * g * g;
        const double mean = m[i] / (1 - pow(u->beta1, (double)step + 1));
        const double square = v[i] / (1 - pow(u->beta2, (double)step + 1));
        p[i] -= t->rate * (is_bias ? 0 : u->decay) * p[i];
        p[i] -= t->rate * mean / (sqrt(square) + u->epsilon);
    }
}

static void end_step(struct training *t, const struct train_sums *sums, uint64_t *step)
{
    double squares = 0;
    if (sums->rows == 0 || !(sums->divisor > 0)) return;
    for (size_t l = 0; l < t->layers; l++) {
        const struct layer *a = &t->layer[l];
        for (size_t i = 0; i < a->in * a->out; i++) squares += a->weight_grad[i] * a->weight_grad[i];
        for (size_t i = 0; a->has_bias && i < a->out; i++)
            squares += a->bias_grad[i] * a->bias_grad[i];
    }
    const double norm = sqrt(squares) / sums->divisor;
    const double scale = (norm > t->clip ? t->clip / norm : 1) / sums->divisor;
    for (size_t l = 0; l < t->layers; l++) {
        struct layer *a = &t->layer[l];
        update(t, a->weight, a->weight_grad, a->weight_state, a->in * a->out, scale, *step, 0);
        if (a->has_bias) update(t, a->bias, a->bias_grad, a->bias_state, a->out, scale, *step, 1);
    }
    ++*step;
}

static void one_batch(struct training *t, const size_t *order, size_t n, uint64_t number,
                      struct train_sums *sums)
{
    const size_t outputs = t->layer[t->layers - 1].out, each = t->elementwise ? outputs : 1;
    size_t kept = 0;
    double weights = 0;
    for (size_t r = 0; r < n; r++) {
        const double w = row_weight(t, order[r]);
        struct pass p;
        double delta[MOST_WIDTH];
        if (w == 0) continue;
        forward(t, order[r], number, kept++, &p);
        sums->loss += loss_of(t, order[r], w, p.out[t->layers - 1], delta, sums);
        backward(t, order[r], &p, delta);
        weights += w * (double)each;
    }
    sums->rows += kept;
    switch (t->divisor) {
    case TRAIN_VALID: sums->divisor += (double)(kept * each); break;
    case TRAIN_ROWS: sums->divisor += (double)(n * each); break;
    case TRAIN_NUMBER: sums->divisor += t->number; break;
    default: sums->divisor += weights; break;
    }
}

void reference_train(struct training *t, struct train_sums *sums)
{
    size_t *order = allocate(t->rows * sizeof *order);
    uint64_t step = 0;
    for (size_t epoch = 0; epoch < t->epochs; epoch++) {
        reference_order(order, t->rows, t->seed, epoch);
        sums[epoch] = (struct train_sums){0};
        for (size_t at = 0; at < t->rows;) {
            struct train_sums of_step = {0};
            for (size_t l = 0; l < t->layers; l++) {
                struct layer *a = &t->layer[l];
                memset(a->weight_grad, 0, a->in * a->out * sizeof(double));
                memset(a->bias_grad, 0, a->out * sizeof(double));
            }
            for (size_t k = 0; k < t->accumulate && at < t->rows; k++) {
                const size_t n = t->rows - at < t->batch ? t->rows - at : t->batch;
                one_batch(t, order + at, n, step * t->accumulate + k, &of_step);
                at += n;
            }
            end_step(t, &of_step, &step);
            sums[epoch].loss += of_step.loss;
            sums[epoch].divisor += of_step.divisor;
            sums[epoch].rows += of_step.rows;
            sums[epoch].answers += of_step.answers;
            sums[epoch].correct += of_step.correct;
        }
    }
    free(order);
}
