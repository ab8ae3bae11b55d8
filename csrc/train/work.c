#include "train/work.h"

#include <stdlib.h>

#include "base/sizes.h"
#include "kernels/dense/table.h"
#include "kernels/dispatch.h"

enum {
    PART_ROWS = 1 << 9,           /* of a larger batch, at a time: outputs stay in the cache */
    BLOCK_PARAMETERS = 1 << 11    /* a thread updates so many at a time */
};

/* Hands out aligned pieces of one allocation; counts only while base is NULL. */
struct arena {
    char *base;
    size_t used;
};

static void *carve(struct arena *arena, size_t bytes)
{
    void *p = arena->base ? arena->base + arena->used : NULL;
    arena->used += (bytes + 63) / 64 * 64;
    return p;
}

static void carve_work(struct train_work *work, const struct train_net *net, struct arena *arena)
{
    size_t rows = work->rows, size = work->size, widest = 0, largest = 0, blocks = 0;
    work->outputs = carve(arena, net->layers * sizeof *work->outputs);
    for (size_t l = 0; l < net->layers; l++) {
        const struct train_layer *layer = &net->layer[l];
        size_t bytes = rows * layer->out * size;
        struct outputs o = {.before = carve(arena, bytes)};
        o.after = layer->activation == TRAIN_GELU ? carve(arena, bytes) : o.before;
        o.mask = layer->dropout > 0 ? carve(arena, bytes) : NULL;
        o.next = layer->dropout > 0 ? carve(arena, bytes) : o.after;
        o.rows = carve(arena, rows * sizeof *o.rows);
        for (size_t r = 0; arena->base && r < rows; r++)
            o.rows[r] = o.next + r * layer->out * size;
        if (arena->base)
            work->outputs[l] = o;
        widest = larger(widest, layer->out);
        if (l > 0 || layer->out <= work->matrix.kernels->narrow)
            largest = larger(largest, matrix_scratch(layer->out, layer->in));
        blocks += pieces_of(layer->in * layer->out, BLOCK_PARAMETERS) + (layer->bias != NULL);
        blocks += layer->bias ? pieces_of(layer->out, BLOCK_PARAMETERS) : 0;
    }
    work->x = carve(arena, rows * net->layer[0].in * size);
    work->x_rows = carve(arena, rows * sizeof *work->x_rows);
    work->ahead = carve(arena, rows * sizeof *work->ahead);
    work->delta_rows = carve(arena, rows * sizeof *work->delta_rows);
    work->delta[0] = carve(arena, rows * widest * size);
    work->delta[1] = carve(arena, rows * widest * size);
    work->scratch = carve(arena, largest * size);
    work->partial = carve(arena, rows * widest * size);
    work->target = carve(arena, rows * larger(1, net->layer[net->layers - 1].out) * 8);
    work->order = carve(arena, rows * sizeof *work->order);
    work->weight = carve(arena, rows * sizeof *work->weight);
    work->block = carve(arena, blocks * sizeof *work->block);
    work->squares = carve(arena, blocks * sizeof *work->squares);
}

static void list_blocks(struct train_work *work, const struct train_net *net)
{
    for (size_t l = 0; l < net->layers; l++)
        for (int is_bias = 0; is_bias < 1 + (net->layer[l].bias != NULL); is_bias++) {
            size_t n = net->layer[l].out * (is_bias ? 1 : net->layer[l].in);
            work->parameters += n;
            for (size_t first = 0; first < n; first += BLOCK_PARAMETERS)
                work->block[work->blocks++] = (struct block){
                    &net->layer[l], is_bias, first, smaller(BLOCK_PARAMETERS, n - first)};
        }
}

static struct matrix_context matrix_of(const struct train_net *net)
{
    const struct kernels *kernels = current_kernels();
    return (struct matrix_context){
        .kernels = net->dtype == CROSSENT_F64 ? kernels->f64->train : kernels->f32->train,
        .blas = net->blas, .dtype = net->dtype, .threads = net->threads};
}

static int suits_blas(const struct matrix_context *matrix, const struct train_layer *layer,
                      size_t batch)
{
    return matrix_suits_blas(matrix, layer->out, larger(layer->in, batch));
}

struct train_work *train_work_new(const struct train_net *net, size_t batch)
{
    struct train_work *work = calloc(1, sizeof *work);
    struct arena arena = {0};
    if (!work)
        return NULL;
    work->rows = smaller(batch, PART_ROWS);
    work->size = net->dtype == CROSSENT_F64 ? sizeof(double) : sizeof(float);
    work->matrix = matrix_of(net);
    carve_work(work, net, &arena);
    work->memory = calloc(arena.used + 64, 1);
    if (!work->memory) {
        free(work);
        return NULL;
    }
    arena = (struct arena){.base = work->memory + (64 - (uintptr_t)work->memory % 64) % 64};
    carve_work(work, net, &arena);
    list_blocks(work, net);
    const struct train_layer *first = &net->layer[0];
    work->copy_rows = net->blas.sgemm && suits_blas(&work->matrix, first, work->rows);
    return work;
}

int train_suits_blas(const struct train_net *net, size_t batch)
{
    struct matrix_context matrix = matrix_of(net);
    for (size_t l = 0; l < net->layers; l++)
        if (suits_blas(&matrix, &net->layer[l], smaller(batch, PART_ROWS)))
            return 1;
    return 0;
}

void train_work_free(struct train_work *work)
{
    if (work)
        free(work->memory);
    free(work);
}
