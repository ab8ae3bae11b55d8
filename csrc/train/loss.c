#include "train/loss.h"

#include <math.h>

#include "train/data.h"

/* Weight of a row, 0 where it takes no part. Softmax weighs classes itself. */
static double row_weight(const struct train_run *run, size_t row)
{
    const struct train_loss *loss = &run->loss;
    double weight = run->data.weight ? run->data.weight[row] : 1;
    if (loss->elementwise ? !loss->class_weight : !loss->softmax.ignored)
        return weight;
    int64_t label = train_label(&run->data, row);
    if (loss->elementwise && label >= 0 && (uint64_t)label < loss->classes)
        return weight * loss->class_weight[label];
    for (size_t i = 0; !loss->elementwise && i < loss->softmax.ignored; i++)
        weight = label == loss->softmax.ignore[i] ? 0 : weight;
    return weight;
}

size_t choose_rows(const struct train_run *run, const size_t *order, size_t n)
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

struct part part_of(const struct train_run *run, size_t rows, int is_first)
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

/* What the loss function says of a part. */
struct answer {
    double loss, weight;
    size_t count, fault;          /* fault: the row of a bad target */
};

static int sigmoid_part(struct train_run *run, size_t n, void *grad, struct answer *answer)
{
    struct train_work *work = run->work;
    struct crossent_sigmoid call = {.function = CROSSENT_SIGMOID_CROSS_ENTROPY};
    struct crossent_sigmoid_options options = run->loss.sigmoid;
    size_t columns = run->net.layer[run->net.layers - 1].out, row = columns * work->size;
    int weighted = run->data.weight || run->loss.class_weight, status = CROSSENT_OK;
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
    if (call.options)
        status = crossent_weigh_sigmoid(&call);
    *answer = (struct answer){.weight = call.weight, .count = call.count};
    if (status == CROSSENT_OK)
        status = crossent_sigmoid(&call);
    answer->loss = call.total;
    answer->fault = call.fault_element / columns;
    return status;
}

static int softmax_part(struct train_run *run, size_t n, void *grad, struct answer *answer)
{
    struct train_work *work = run->work;
    struct crossent_softmax call = run->loss.softmax;
    size_t columns = run->net.layer[run->net.layers - 1].out, row = columns * work->size;
    size_t target = target_bytes(&run->data);
    int status = CROSSENT_OK;
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
    call.count = n;
    call.weight = (double)n;
    if (run->data.weight || call.class_weight)
        status = crossent_weigh(&call);
    *answer = (struct answer){.weight = call.weight, .count = call.count};
    if (status == CROSSENT_OK)
        status = crossent_softmax(&call);
    answer->loss = call.total;
    answer->fault = call.fault_row;
    return status;
}

int part_loss(struct train_run *run, size_t n, const struct part *part, void *grad,
              struct train_sums *sums)
{
    struct answer answer = {0};
    int status = CROSSENT_OK;
    if (n > 0)
        status = run->loss.elementwise ? sigmoid_part(run, n, grad, &answer)
                                       : softmax_part(run, n, grad, &answer);
    run->fault_row = status == CROSSENT_BAD_LABEL ? run->work->order[answer.fault] : 0;
    sums->loss += answer.loss;
    sums->divisor += divisor_of(&run->loss, answer.weight, answer.count, part);
    return status;
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

void count_answers(const struct train_run *run, size_t n, struct train_sums *sums)
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
