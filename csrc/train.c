#include "train.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dispatch.h"
#include "parallel.h"
#include "sizes.h"
#include "train_data.h"
#include "train_kernels.h"

enum {
    PART_ROWS = 1 << 9,           /* of a larger batch, at a time: outputs stay in the cache */
    BLOCK_PARAMETERS = 1 << 11,   /* a thread updates so many at a time */
    BLOCK_ELEMENTS = 1 << 13,     /* ... and activates so many */
    PARALLEL_PARAMETERS = 1 << 16 /* below this a second thread costs more than it saves */
};

/* ---- the workspace ----------------------------------------------------------------------- */

/* Outputs of a layer, batch x out. With x the product and bias: `before` = x where the slope needs
 * it, `after` = f(x), `mask` = 0 or 1 / (1 - dropout), `next` = after * mask. Where two of them
 * hold the same numbers they are one array. */
struct outputs {
    char *before, *after, *mask, *next;
    const void **rows;            /* of next */
};

/* A run of parameters of one array, for the passes over all of them. */
struct block {
    const struct train_layer *layer;
    int is_bias;
    size_t first, n;
};

struct train_work {
    size_t batch, blocks, parameters;
    struct matrix_context matrix;
    size_t size;                  /* bytes of an element */
    int copy_rows;                /* BLAS reads the first layer's rows */
    struct outputs *outputs;
    char *x, *delta[2], *scratch, *partial, *target;   /* scratch, partial: of a product */
    const void **x_rows, **ahead, **delta_rows;
    size_t rows_ahead;            /* how many of the next batch's rows `ahead` points to */
    size_t *order;
    double *weight;               /* of the batch's rows */
    struct block *block;
    double *squares;              /* of each block's gradient */
    char *memory;
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
    size_t batch = work->batch, size = work->size, widest = 0, largest = 0, blocks = 0;
    work->outputs = carve(arena, net->layers * sizeof *work->outputs);
    for (size_t l = 0; l < net->layers; l++) {
        const struct train_layer *layer = &net->layer[l];
        size_t bytes = batch * layer->out * size;
        struct outputs o = {.before = carve(arena, bytes)};
        o.after = layer->activation == TRAIN_GELU ? carve(arena, bytes) : o.before;
        o.mask = layer->dropout > 0 ? carve(arena, bytes) : NULL;
        o.next = layer->dropout > 0 ? carve(arena, bytes) : o.after;
        o.rows = carve(arena, batch * sizeof *o.rows);
        for (size_t r = 0; arena->base && r < batch; r++)
            o.rows[r] = o.next + r * layer->out * size;
        if (arena->base)
            work->outputs[l] = o;
        widest = larger(widest, layer->out);
        if (l > 0 || layer->out <= work->matrix.kernels->narrow)
            largest = larger(largest, matrix_scratch(layer->out, layer->in));
        blocks += pieces_of(layer->in * layer->out, BLOCK_PARAMETERS) + (layer->bias != NULL);
        blocks += layer->bias ? pieces_of(layer->out, BLOCK_PARAMETERS) : 0;
    }
    work->x = carve(arena, batch * net->layer[0].in * size);
    work->x_rows = carve(arena, batch * sizeof *work->x_rows);
    work->ahead = carve(arena, batch * sizeof *work->ahead);
    work->delta_rows = carve(arena, batch * sizeof *work->delta_rows);
    work->delta[0] = carve(arena, batch * widest * size);
    work->delta[1] = carve(arena, batch * widest * size);
    work->scratch = carve(arena, largest * size);
    work->partial = carve(arena, batch * widest * size);
    work->target = carve(arena, batch * larger(1, net->layer[net->layers - 1].out) * 8);
    work->order = carve(arena, batch * sizeof *work->order);
    work->weight = carve(arena, batch * sizeof *work->weight);
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
    work->batch = smaller(batch, PART_ROWS);
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
    work->copy_rows = net->blas.sgemm && suits_blas(&work->matrix, first, work->batch);
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

/* ---- forward ----------------------------------------------------------------------------- */

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
    parallel_for(pieces_of(run.n, BLOCK_ELEMENTS), work->matrix.threads,
                 activation_task, &run);
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

/* The random numbers of a batch, of which `rows` rows are done. */
struct dropout {
    uint64_t stream;
    size_t rows;
};

/* `dropout` may be NULL, which leaves it out. */
static void forward(const struct train_net *net, struct train_work *work, size_t n,
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

/* ---- the loss ---------------------------------------------------------------------------- */

/* Weight of a row, 0 where it takes no part. Softmax weighs classes itself. */
static double row_weight(const struct train_run *run, size_t row)
{
    const struct train_loss *loss = &run->loss;
    double weight = run->data.weight ? run->data.weight[row] : 1;
    if (loss->elementwise && loss->class_weight) {
        int64_t label = train_label(&run->data, row);
        weight *= label >= 0 && (uint64_t)label < loss->classes ? loss->class_weight[label] : 1;
    }
    if (!loss->elementwise && loss->softmax.ignored) {
        int64_t label = train_label(&run->data, row);
        for (size_t i = 0; i < loss->softmax.ignored; i++)
            weight = label == loss->softmax.ignore[i] ? 0 : weight;
    }
    return weight;
}

/* Of n rows at `order`, those that take part, to work->order; the others are never read. */
static size_t choose_rows(const struct train_run *run, const size_t *order, size_t n)
{
    struct train_work *work = run->work;
    size_t kept = 0;
    for (size_t r = 0; r < n; r++) {
        double weight = row_weight(run, order[r]);
        work->order[kept] = order[r];
        work->weight[kept] = weight;
        kept += weight != 0;
    }
    return kept;
}

/* A part of a batch: its rows, how many losses they have, and whether they are the first. */
struct part {
    size_t rows, losses;
    int is_first;
};

static struct part part_of(const struct train_run *run, size_t rows, int is_first)
{
    size_t columns = run->net.layer[run->net.layers - 1].out;
    return (struct part){rows, run->loss.elementwise ? rows * columns : rows, is_first};
}

/* What a part adds to what the mean of its batch divides by: `count` losses took part with the sum
 * of weights `weight`. */
static double divisor_of(const struct train_loss *loss, double weight, size_t count,
                         const struct part *part)
{
    switch (loss->divisor) {
    case TRAIN_VALID: return (double)count;
    case TRAIN_ROWS: return (double)part->losses;
    case TRAIN_NUMBER: return part->is_first ? loss->number : 0;
    default: return weight;
    }
}

static void set_array(struct crossent_array *array, void *data, enum crossent_dtype dtype,
                      size_t bytes, size_t row)
{
    *array = (struct crossent_array){.data = data, .dtype = dtype, .stride = {(ptrdiff_t)row},
                                     .step = (ptrdiff_t)bytes};
}

/* Each of these fills in the n rows of a part that count, calls the loss and adds the sum of
 * weighted losses, and what their mean divides by, to the sums. The gradient of that sum goes to
 * `grad`, which may be NULL. */
static int sigmoid_part(struct train_run *run, size_t n, const struct part *part, void *grad,
                        struct train_sums *sums)
{
    struct train_work *work = run->work;
    struct crossent_sigmoid call = {.function = CROSSENT_SIGMOID_CROSS_ENTROPY};
    struct crossent_sigmoid_options options = run->loss.sigmoid;
    size_t columns = run->net.layer[run->net.layers - 1].out, row = columns * work->size;
    int weighted = run->data.weight || run->loss.class_weight;
    call.ndim = 1;
    call.shape[0] = call.rows = n;
    call.classes = columns;
    call.coefficient = 1;
    call.threads = 1;
    set_array(&call.logits, work->outputs[run->net.layers - 1].next, run->net.dtype, work->size,
              row);
    set_array(&call.target, work->target, run->data.target_dtype,
              target_bytes(&run->data) / columns, target_bytes(&run->data));
    if (grad)
        set_array(&call.out, grad, run->net.dtype, work->size, row);
    if (weighted)
        set_array(&options.sample_weight, work->weight, CROSSENT_F64, 0, sizeof(double));
    if (weighted || !run->loss.plain)
        call.options = &options;
    call.count = n * columns;
    call.weight = (double)call.count;
    int status = CROSSENT_OK;
    if (call.options)
        status = crossent_weigh_sigmoid(&call);
    double divisor = divisor_of(&run->loss, call.weight, call.count, part);
    if (status == CROSSENT_OK)
        status = crossent_sigmoid(&call);
    run->fault_row = status == CROSSENT_BAD_LABEL ? work->order[call.fault_element / columns] : 0;
    sums->loss += call.total;
    sums->divisor += divisor;
    return status;
}

static int softmax_part(struct train_run *run, size_t n, const struct part *part, void *grad,
                        struct train_sums *sums)
{
    struct train_work *work = run->work;
    struct crossent_softmax call = run->loss.softmax;
    size_t columns = run->net.layer[run->net.layers - 1].out, row = columns * work->size;
    size_t target = target_bytes(&run->data);
    call.ndim = 1;
    call.shape[0] = call.rows = n;
    call.classes = columns;
    call.coefficient = 1;
    call.threads = 1;
    call.output = grad ? CROSSENT_GRADIENT : CROSSENT_NOTHING;
    set_array(&call.logits, work->outputs[run->net.layers - 1].next, run->net.dtype, work->size,
              row);
    set_array(&call.target, work->target, run->data.target_dtype,
              run->data.target_columns ? target / run->data.target_columns : 0, target);
    if (grad)
        set_array(&call.out, grad, run->net.dtype, work->size, row);
    if (run->data.weight)
        set_array(&call.sample_weight, work->weight, CROSSENT_F64, 0, sizeof(double));
    call.weight = (double)n;
    call.count = n;
    int status = CROSSENT_OK;
    if (run->data.weight || call.class_weight)
        status = crossent_weigh(&call);
    double divisor = divisor_of(&run->loss, call.weight, call.count, part);
    if (status == CROSSENT_OK)
        status = crossent_softmax(&call);
    run->fault_row = status == CROSSENT_BAD_LABEL ? work->order[call.fault_row] : 0;
    sums->loss += call.total;
    sums->divisor += divisor;
    return status;
}

static int part_loss(struct train_run *run, size_t n, const struct part *part, void *grad,
                     struct train_sums *sums)
{
    return run->loss.elementwise ? sigmoid_part(run, n, part, grad, sums)
                                 : softmax_part(run, n, part, grad, sums);
}

/* Element i of logits or targets. */
static double number_at(const char *p, enum crossent_dtype dtype, size_t i)
{
    switch (dtype) {
    case CROSSENT_F32: return ((const float *)p)[i];
    case CROSSENT_F64: return ((const double *)p)[i];
    default: {
        struct train_data one = {.target = p, .target_dtype = dtype};
        return (double)train_label(&one, i);
    }
    }
}

/* Of numbers of the network's dtype. */
static size_t largest(const char *p, enum crossent_dtype dtype, size_t n)
{
    const float *singles = (const float *)p;
    const double *doubles = (const double *)p;
    size_t best = 0;
    for (size_t j = 1; dtype == CROSSENT_F32 && j < n; j++)
        best = singles[j] > singles[best] ? j : best;
    for (size_t j = 1; dtype == CROSSENT_F64 && j < n; j++)
        best = doubles[j] > doubles[best] ? j : best;
    return best;
}

/* An element of a sigmoid's targets that is neither ignored nor missing. */
static int takes_part(const struct crossent_sigmoid_options *options, double target)
{
    for (size_t i = 0; i < options->ignored; i++)
        if (target == (double)options->ignore[i])
            return 0;
    return !(options->missing && isnan(target));
}

/* Answers and those that are right: of a row, whose largest logit is the label's (or the likeliest
 * class's); or of each logit of a sigmoid, on its target's side. */
static void count_answers(const struct train_run *run, size_t n, struct train_sums *sums)
{
    const struct train_work *work = run->work;
    const char *logits = work->outputs[run->net.layers - 1].next;
    enum crossent_dtype dtype = run->net.dtype, target_dtype = run->data.target_dtype;
    size_t columns = run->net.layer[run->net.layers - 1].out;
    for (size_t i = 0; run->loss.elementwise && i < n * columns; i++) {
        double target = number_at(work->target, target_dtype, i);
        if (takes_part(&run->loss.sigmoid, target)) {
            sums->answers++;
            sums->correct += (number_at(logits, dtype, i) > 0) == (target > 0.5);
        }
    }
    for (size_t r = 0; !run->loss.elementwise && r < n; r++) {
        size_t guess = largest(logits + r * columns * work->size, dtype, columns);
        const char *target = work->target + r * target_bytes(&run->data);
        sums->answers++;
        sums->correct += run->data.target_columns
                             ? guess == largest(target, target_dtype, columns)
                             : (int64_t)guess == train_label(&run->data, work->order[r]);
    }
}

/* ---- backward ---------------------------------------------------------------------------- */

/* From the loss's gradient in delta[0] to the gradients of all parameters, which are added to what
 * is there where `accumulate` says so. */
static void backward(const struct train_net *net, struct train_work *work, size_t n, int accumulate)
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

/* ---- one step ---------------------------------------------------------------------------- */

static void add_sums(struct train_sums *to, const struct train_sums *from)
{
    to->loss += from->loss;
    to->divisor += from->divisor;
    to->correct += from->correct;
    to->answers += from->answers;
    to->rows += from->rows;
}

/* The chosen rows, and where the `next` rows of the order are that will be read after them. */
static void take_batch(struct train_run *run, size_t n, const size_t *after, size_t next)
{
    struct train_work *work = run->work;
    size_t features = run->net.layer[0].in;
    find_rows(&run->data, after, next, features * work->size, work->ahead);
    work->rows_ahead = next;
    take_rows(&run->data, work->order, n, features, work->size, work->x, work->copy_rows,
              work->x_rows);
    if (run->data.target)
        take_targets(&run->data, work->order, n, work->target);
}

/* Why the loss is not finite: the first row with NaN or infinity, or not the data. */
static int blame(struct train_run *run, size_t n)
{
    const struct train_work *work = run->work;
    size_t features = run->net.layer[0].in;
    for (size_t r = 0; r < n; r++)
        if (!isfinite(work->matrix.kernels->sum_of_squares(work->x_rows[r], features))) {
            run->fault_row = work->order[r];
            return TRAIN_BAD_ROW;
        }
    return TRAIN_BAD_LOSS;
}

/* Rows of the epoch from `at` on that are done at a time: of one batch, no more than fit. */
static size_t part_rows(const struct train_run *run, size_t at)
{
    return smaller(smaller(run->work->batch, run->batch - at % run->batch), run->length - at);
}

/* Forward, loss and backward of the part that begins at row `at` of the epoch. */
static int one_part(struct train_run *run, size_t at)
{
    struct train_work *work = run->work;
    struct train_sums own = {0}, *sums = &run->of_step;
    const struct part part = part_of(run, part_rows(run, at), at % run->batch == 0);
    const size_t *order = run->order + at, batch = run->done / run->batch;
    size_t n = own.rows = choose_rows(run, order, part.rows);
    if (part.is_first)
        run->kept = 0;
    if (n == 0) {
        sums->divisor += divisor_of(&run->loss, 0, 0, &part);
        return CROSSENT_OK;
    }
    struct dropout dropout = {random_stream(~run->seed, run->step * run->accumulate + batch),
                              run->kept};
    take_batch(run, n, order + part.rows, part_rows(run, at + part.rows));
    forward(&run->net, work, n, run->rates ? &dropout : NULL);
    int status = part_loss(run, n, &part, work->delta[0], &own);
    if (status == CROSSENT_BAD_LOGITS || (status == CROSSENT_OK && !isfinite(own.loss)))
        return blame(run, n);
    if (status != CROSSENT_OK)
        return status;
    count_answers(run, n, &own);
    backward(&run->net, work, n, sums->rows > 0);
    add_sums(sums, &own);
    run->kept += n;
    return CROSSENT_OK;
}

/* Without a limit to the norm it is only asked whether the gradient is finite. */
static void squares_task(void *run_, size_t begin, size_t end)
{
    struct train_run *run = run_;
    struct train_work *work = run->work;
    const struct train_kernels *kernels = work->matrix.kernels;
    for (size_t b = begin; b < end; b++) {
        const struct block *block = &work->block[b];
        const char *grad = block->is_bias ? block->layer->bias_grad : block->layer->weight_grad;
        grad += block->first * work->size;
        if (isfinite(run->clip))
            work->squares[b] = kernels->sum_of_squares(grad, block->n);
        else
            work->squares[b] = kernels->all_finite(grad, block->n) ? 0 : NAN;
    }
}

static void update_task(void *run_, size_t begin, size_t end)
{
    struct train_run *run = run_;
    struct train_work *work = run->work;
    struct train_update plain = run->update;
    plain.l2 = plain.l1 = plain.decay = 0;
    for (size_t b = begin; b < end; b++) {
        const struct block *block = &work->block[b];
        const struct train_layer *layer = block->layer;
        void *const *state = block->is_bias ? layer->bias_state : layer->weight_state;
        size_t at = block->first * work->size;
        char *p = block->is_bias ? layer->bias : layer->weight;
        const char *grad = block->is_bias ? layer->bias_grad : layer->weight_grad;
        work->matrix.kernels->update(block->is_bias ? &plain : &run->update, p + at, grad + at,
                                     state[0] ? (char *)state[0] + at : NULL,
                                     state[1] ? (char *)state[1] + at : NULL, block->n);
    }
}

static void over_parameters(struct train_run *run, void (*task)(void *, size_t, size_t))
{
    const struct train_work *work = run->work;
    int small = work->parameters < PARALLEL_PARAMETERS;
    parallel_for(work->blocks, small ? 1 : run->net.threads, task, run);
}

/* The gradients hold sums over the step's rows; `divisor` makes them means. */
static int update_parameters(struct train_run *run, double divisor, double rate)
{
    struct train_update *u = &run->update;
    double norm = 0;
    over_parameters(run, squares_task);
    for (size_t b = 0; b < run->work->blocks; b++)
        norm += run->work->squares[b];
    norm = sqrt(norm) / divisor;
    if (!isfinite(norm))
        return TRAIN_BAD_GRADIENT;
    u->scale = (norm > run->clip ? run->clip / norm : 1) / divisor;
    u->rate = rate;
    u->correction1 = 1 - pow(u->beta1, (double)(run->step + 1));
    u->correction2 = 1 - pow(u->beta2, (double)(run->step + 1));
    over_parameters(run, update_task);
    return CROSSENT_OK;
}

static void scale_elements(const struct train_work *work, char *grad, size_t n, double factor)
{
    for (size_t i = 0; i < n; i++)
        if (work->size == sizeof(float))
            ((float *)grad)[i] *= (float)factor;
        else
            ((double *)grad)[i] *= factor;
}

static void scale_gradients(const struct train_run *run, double factor)
{
    for (size_t l = 0; l < run->net.layers; l++) {
        const struct train_layer *layer = &run->net.layer[l];
        scale_elements(run->work, layer->weight_grad, layer->in * layer->out, factor);
        if (layer->bias)
            scale_elements(run->work, layer->bias_grad, layer->out, factor);
    }
}

/* What a step, all of whose rows are done, is for: an update, or gradients of the mean. */
static int end_step(struct train_run *run)
{
    const struct train_sums *sums = &run->of_step;
    if (sums->rows == 0 || !(sums->divisor > 0))    /* no row of the step takes part */
        return CROSSENT_OK;
    if (!run->rates) {
        scale_gradients(run, 1 / sums->divisor);
        return CROSSENT_OK;
    }
    double rate = run->rates[run->position / (run->batch * run->accumulate)];
    int status = update_parameters(run, sums->divisor, rate);
    run->step += status == CROSSENT_OK;
    return status;
}

/* The next part of the step under way, of `accumulate` batches, and its end where it is the last. */
static int go_on(struct train_run *run)
{
    size_t at = run->position + run->done;
    size_t step = smaller(run->batch * run->accumulate, run->length - run->position);
    int status = one_part(run, at);
    if (status != CROSSENT_OK)
        return status;
    run->done += part_rows(run, at);
    if (run->done < step)
        return CROSSENT_OK;
    status = end_step(run);
    if (status != CROSSENT_OK)
        return status;
    add_sums(&run->sums, &run->of_step);
    run->of_step = (struct train_sums){0};
    run->position += run->done;
    run->done = 0;
    return CROSSENT_OK;
}

static double seconds_now(void)
{
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct steps {
    struct train_run *run;
    double until;
    int status;
};

static void run_steps(void *steps_)
{
    struct steps *steps = steps_;
    struct train_run *run = steps->run;
    while (steps->status == CROSSENT_OK && run->position < run->length) {
        steps->status = go_on(run);
        if (seconds_now() >= steps->until)
            break;
    }
}

/* As many as the largest product of a step has pieces. */
static int useful_threads(const struct train_run *run)
{
    const struct train_net *net = &run->net;
    size_t pieces = 1;
    for (size_t l = 0; l < net->layers; l++) {
        const struct train_layer *layer = &net->layer[l];
        struct product forward = {.m = run->work->batch, .n = layer->out, .k = layer->in};
        struct product gradient = {.m = layer->in, .n = layer->out, .k = run->work->batch,
                                   .transposed = 1};
        pieces = larger(pieces, matrix_pieces(&run->work->matrix, &forward));
        pieces = larger(pieces, matrix_pieces(&run->work->matrix, &gradient));
    }
    return (int)smaller(pieces, (size_t)larger(1, (size_t)net->threads));
}

int train_batches(struct train_run *run, double seconds)
{
    struct steps steps = {run, seconds_now() + seconds, CROSSENT_OK};
    parallel_team(useful_threads(run), run_steps, &steps);
    return steps.status;
}

int train_evaluate(struct train_run *run, size_t begin, size_t n, void *out)
{
    struct train_work *work = run->work;
    struct train_sums sums = {0};
    size_t columns = run->net.layer[run->net.layers - 1].out;
    const struct part part = part_of(run, n, begin == 0);
    for (size_t r = 0; r < n; r++)
        work->order[r] = begin + r;
    if (run->data.target)
        n = choose_rows(run, work->order, n);
    take_batch(run, n, NULL, 0);
    forward(&run->net, work, n, NULL);
    if (out)
        memcpy(out, work->outputs[run->net.layers - 1].next, n * columns * work->size);
    if (!run->data.target)
        return CROSSENT_OK;
    if (n == 0) {
        run->sums.divisor += divisor_of(&run->loss, 0, 0, &part);
        return CROSSENT_OK;
    }
    int status = part_loss(run, n, &part, NULL, &sums);
    sums.rows = n;
    count_answers(run, n, &sums);
    add_sums(&run->sums, &sums);
    return status == CROSSENT_BAD_LOGITS ? CROSSENT_OK : status;    /* the loss says it */
}
