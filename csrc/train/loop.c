#include "train.h"

#include <math.h>
#include <string.h>
#include <time.h>

#include "base/arithmetic.h"
#include "base/parallel.h"
#include "base/sizes.h"
#include "kernels/dense/table.h"
#include "train/data.h"
#include "train/layers.h"
#include "train/loss.h"

enum { PARALLEL_PARAMETERS = 1 << 16 };   /* below this a second thread costs more than it saves */

static void add_sums(struct train_sums *to, const struct train_sums *from)
{
    to->loss += from->loss;
    to->divisor += from->divisor;
    to->correct += from->correct;
    to->answers += from->answers;
    to->rows += from->rows;
}

/* The chosen rows, and where the `next` rows of the order are that will be read after them. */
static void take_part(struct train_run *run, size_t n, const size_t *after, size_t next)
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

/* Whether one of the n rows at hand holds NaN or infinity: the first becomes the fault. */
static int has_bad_row(struct train_run *run, size_t n)
{
    const struct train_work *work = run->work;
    for (size_t r = 0; r < n; r++)
        if (!work->matrix.kernels->all_finite(work->x_rows[r], run->net.layer[0].in)) {
            run->fault_row = work->order[r];
            return 1;
        }
    return 0;
}

/* Rows of the epoch from `at` on that are done at a time: of one batch, no more than fit. */
static size_t part_rows(const struct train_run *run, size_t at)
{
    return smaller(smaller(run->work->rows, run->batch - at % run->batch), run->length - at);
}

/* Forward, loss and backward of the part that begins at row `at` of the epoch. */
static int one_part(struct train_run *run, size_t at, const struct part *part)
{
    struct train_work *work = run->work;
    struct train_sums own = {0};
    const size_t *order = run->order + at, batch = run->done / run->batch;
    size_t n = own.rows = choose_rows(run, order, part->rows);
    if (part->is_first)
        run->kept = 0;
    if (n == 0)
        return part_loss(run, 0, part, NULL, &run->of_step);
    struct dropout dropout = {random_stream(~run->seed, run->step * run->accumulate + batch),
                              run->kept};
    take_part(run, n, order + part->rows, part_rows(run, at + part->rows));
    forward_layers(&run->net, work, n, run->rates ? &dropout : NULL);
    int status = part_loss(run, n, part, work->delta[0], &own);
    if (status == CROSSENT_BAD_LOGITS || (status == CROSSENT_OK && !isfinite(own.loss)))
        return has_bad_row(run, n) ? TRAIN_BAD_ROW : TRAIN_BAD_LOSS;
    if (status != CROSSENT_OK)
        return status;
    count_answers(run, n, &own);
    backward_layers(&run->net, work, n, run->of_step.rows > 0);
    add_sums(&run->of_step, &own);
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

static double gradient_norm(struct train_run *run)
{
    double squares = 0;
    over_parameters(run, squares_task);
    for (size_t b = 0; b < run->work->blocks; b++)
        squares += run->work->squares[b];
    return sqrt(squares);
}

/* The gradients, of Euclidean norm `norm`, hold sums over the step's rows; `divisor` makes them
 * means. */
static void update_parameters(struct train_run *run, double norm, double divisor, double rate)
{
    struct train_update *u = &run->update;
    norm /= divisor;
    u->scale = (norm > run->clip ? run->clip / norm : 1) / divisor;
    u->rate = rate;
    u->correction1 = 1 - pow(u->beta1, (double)(run->step + 1));
    u->correction2 = 1 - pow(u->beta2, (double)(run->step + 1));
    over_parameters(run, update_task);
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

/* Rows of a step of `accumulate` batches, of which an epoch may have fewer. */
static size_t step_rows(const struct train_run *run)
{
    return run->batch * smaller(run->accumulate, run->length / run->batch + 1);
}

/* Why the gradient of a step is not finite where its loss is: a hidden unit may answer an infinity
 * with 0 or 1, but not its weights. */
static int blame_step(struct train_run *run)
{
    for (size_t at = run->position, n; at < run->position + run->done; at += n) {
        n = part_rows(run, at);
        size_t kept = choose_rows(run, run->order + at, n);
        take_part(run, kept, NULL, 0);
        if (has_bad_row(run, kept))
            return TRAIN_BAD_ROW;
    }
    return TRAIN_BAD_GRADIENT;
}

/* What a step, all of whose rows are done, is for: an update, or gradients of the mean. */
static int end_step(struct train_run *run)
{
    const struct train_sums *sums = &run->of_step;
    if (sums->rows == 0 || !(sums->divisor > 0))    /* nothing to divide by */
        return CROSSENT_OK;
    double norm = gradient_norm(run);
    if (!isfinite(norm))
        return blame_step(run);
    if (run->rates) {
        update_parameters(run, norm, sums->divisor, run->rates[run->position / step_rows(run)]);
        run->step++;
    } else {
        scale_gradients(run, 1 / sums->divisor);
    }
    return CROSSENT_OK;
}

/* The next part of the step under way, and the step's end where it is the last. */
static int go_on(struct train_run *run)
{
    size_t at = run->position + run->done;
    size_t step = smaller(step_rows(run), run->length - run->position);
    const struct part part = part_of(run, part_rows(run, at), at % run->batch == 0);
    int status = one_part(run, at, &part);
    if (status != CROSSENT_OK)
        return status;
    run->done += part.rows;
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
    double begin, seconds;
    int status;
};

static void run_steps(void *steps_)
{
    struct steps *steps = steps_;
    struct train_run *run = steps->run;
    double passed = 0;            /* less than 0 where somebody has set the clock */
    while (steps->status == CROSSENT_OK && run->position < run->length && passed >= 0 &&
           passed < steps->seconds) {
        steps->status = go_on(run);
        passed = seconds_now() - steps->begin;
    }
}

/* About as many as the largest product of a part has pieces. */
static int useful_threads(const struct train_run *run)
{
    const struct train_net *net = &run->net;
    size_t pieces = 1;
    for (size_t l = 0; l < net->layers; l++) {
        const struct train_layer *layer = &net->layer[l];
        struct product forward = {.m = run->work->rows, .n = layer->out, .k = layer->in};
        struct product gradient = {.m = layer->in, .n = layer->out, .k = run->work->rows,
                                   .transposed = 1};
        pieces = larger(pieces, matrix_pieces(&run->work->matrix, &forward));
        pieces = larger(pieces, matrix_pieces(&run->work->matrix, &gradient));
    }
    return (int)smaller(pieces, (size_t)larger(1, (size_t)net->threads));
}

int train_batches(struct train_run *run, double seconds)
{
    struct steps steps = {run, seconds_now(), seconds, CROSSENT_OK};
    const uint64_t mode = arithmetic_begin();
    parallel_team(useful_threads(run), run_steps, &steps);
    arithmetic_end(mode);
    return steps.status;
}

static int evaluate_part(struct train_run *run, void *out)
{
    struct train_work *work = run->work;
    struct train_sums sums = {0};
    size_t columns = run->net.layer[run->net.layers - 1].out, begin = run->position;
    size_t n = smaller(work->rows, run->data.rows - begin);
    const struct part part = part_of(run, n, begin == 0);
    for (size_t r = 0; r < n; r++)
        work->order[r] = begin + r;
    run->position += n;
    if (run->data.target)
        n = choose_rows(run, work->order, n);
    if (n == 0)
        return part_loss(run, 0, &part, NULL, &run->sums);
    take_part(run, n, NULL, 0);
    forward_layers(&run->net, work, n, NULL);
    if (out)
        memcpy((char *)out + begin * columns * work->size,
               work->outputs[run->net.layers - 1].next, n * columns * work->size);
    if (!run->data.target)
        return CROSSENT_OK;
    int status = part_loss(run, n, &part, NULL, &sums);
    sums.rows = n;
    count_answers(run, n, &sums);
    add_sums(&run->sums, &sums);
    return status == CROSSENT_BAD_LOGITS ? CROSSENT_OK : status;    /* the loss says it */
}

int train_evaluate(struct train_run *run, void *out)
{
    const uint64_t mode = arithmetic_begin();
    const int status = evaluate_part(run, out);
    arithmetic_end(mode);
    return status;
}
