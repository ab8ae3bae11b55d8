#include "train/layers.h"

#include <string.h>

#include "base/parallel.h"
#include "base/sizes.h"
#include "kernels/dense/table.h"
#include "train/data.h"

enum { BLOCK_ELEMENTS = 1 << 13 };    /* a thread activates so many at a time */

struct activation_run {
    const struct train_kernels *kernels;
    enum train_activation f;
    const char *before;
    char *after, *grad;           /* grad: differentiate instead of activate */
    size_t n, size;
};

static void activation_task(void *run_, size_t begin, size_t end)
{
    const struct activation_run *run = run_;
    size_t first = begin * BLOCK_ELEMENTS, n = smaller(run->n, end * BLOCK_ELEMENTS) - first;
    size_t at = first * run->size;
    if (run->grad)
        run->kernels->differentiate(run->f, run->before + at, run->after + at, run->grad + at, n);
    else
        run->kernels->activate(run->f, run->before + at, run->after + at, n);
}

/* after = f(before), or grad *= f'(before). */
static void activate_layer(const struct train_work *work, const struct train_layer *layer,
                           const struct outputs *o, size_t rows, char *grad)
{
    struct activation_run run = {work->matrix.kernels, layer->activation, o->before, o->after, grad,
                                 rows * layer->out, work->size};
    if (layer->activation == TRAIN_IDENTITY)
        return;
    parallel_for(pieces_of(run.n, BLOCK_ELEMENTS), work->matrix.threads, activation_task, &run);
}

/* mask = 1 / (1 - dropout) where the element's random number is at least `dropout`, else 0. */
static void draw_mask(const struct train_work *work, const struct train_layer *layer, char *mask,
                      size_t n, uint64_t stream)
{
    uint64_t limit = (uint64_t)(layer->dropout * 0x1p53);
    double kept = 1 / (1 - layer->dropout);
    for (size_t i = 0; i < n; i++) {
        double value = random_next(&stream) >> 11 < limit ? 0 : kept;
        if (work->size == sizeof(float))
            ((float *)mask)[i] = (float)value;
        else
            ((double *)mask)[i] = value;
    }
}

void forward_layers(const struct train_net *net, struct train_work *work, size_t n,
                    const struct dropout *dropout)
{
    const void *const *rows = work->x_rows;
    for (size_t l = 0; l < net->layers; l++) {
        const struct train_layer *layer = &net->layer[l];
        const struct outputs *o = &work->outputs[l];
        struct product product = {.m = n, .n = layer->out, .k = layer->in, .a = rows,
                                  .a_stride = l || work->copy_rows ? layer->in : 0,
                                  .ahead = l == 0 && n <= work->rows_ahead ? work->ahead : NULL,
                                  .b = layer->weight, .b_stride = layer->out,
                                  .c = o->before, .c_stride = layer->out, .start = layer->bias,
                                  .scratch = work->scratch, .partial = work->partial};
        matrix_multiply(&work->matrix, &product);
        activate_layer(work, layer, o, n, NULL);
        if (layer->dropout > 0) {
            memcpy(o->next, o->after, n * layer->out * work->size);
            if (dropout) {
                uint64_t stream = random_mix(dropout->stream + l);
                draw_mask(work, layer, o->mask, n * layer->out,
                          random_after(stream, dropout->rows * layer->out));
                work->matrix.kernels->multiply_elements(o->next, o->mask, n * layer->out);
            }
        }
        rows = o->rows;
    }
}

void backward_layers(const struct train_net *net, struct train_work *work, size_t n,
                     int accumulate)
{
    const struct train_kernels *kernels = work->matrix.kernels;
    char *delta = work->delta[0], *below = work->delta[1];
    for (size_t l = net->layers; l-- > 0;) {
        const struct train_layer *layer = &net->layer[l];
        const void *const *rows = l ? work->outputs[l - 1].rows : work->x_rows;
        struct product product = {.m = layer->in, .n = layer->out, .k = n, .a = rows,
                                  .a_stride = l || work->copy_rows ? layer->in : 0, .transposed = 1,
                                  .ahead = l == 0 && n <= work->rows_ahead ? work->ahead : NULL,
                                  .b = delta, .b_stride = layer->out, .c = layer->weight_grad,
                                  .c_stride = layer->out, .accumulate = accumulate};
        matrix_multiply(&work->matrix, &product);
        if (layer->bias)
            kernels->column_sums(delta, layer->bias_grad, n, layer->out, accumulate);
        if (l == 0)
            break;
        const struct outputs *o = &work->outputs[l - 1];
        for (size_t r = 0; r < n; r++)
            work->delta_rows[r] = delta + r * layer->out * work->size;
        struct product down = {.m = n, .n = layer->in, .k = layer->out, .a = work->delta_rows,
                               .a_stride = layer->out, .b = layer->weight, .b_stride = layer->out,
                               .c = below, .c_stride = layer->in, .scratch = work->scratch};
        matrix_multiply_transposed(&work->matrix, &down);
        if (o->mask)
            kernels->multiply_elements(below, o->mask, n * layer->in);
        activate_layer(work, &net->layer[l - 1], o, n, below);
        char *kept = delta;
        delta = below;
        below = kept;
    }
}
