/* Which rows a batch holds, and in which order: the only randomness of the loop.
 *
 * Random numbers are SplitMix64 (Steele, Lea, Flood, 2014): the state advances by the golden ratio
 * in 64 bits, and each state is mixed. Every epoch has its own stream, whose first state is
 * mix(seed) + mix(epoch), so an epoch's order depends on seed and epoch alone. A number
 * below n is the high word of the 128-bit product with n (bias < n / 2^64). Shuffles are
 * Fisher-Yates, from the last place down.
 */
#include "train/data.h"

#include <stdlib.h>
#include <string.h>

#include "base/dtype.h"
#include "train/convert.h"

static const uint64_t GOLDEN = 0x9e3779b97f4a7c15u;

uint64_t random_mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

uint64_t random_stream(uint64_t seed, uint64_t number)
{
    return random_mix(seed + GOLDEN) + random_mix(number);
}

uint64_t random_next(uint64_t *state) { return random_mix(*state += GOLDEN); }

uint64_t random_after(uint64_t state, uint64_t n) { return state + n * GOLDEN; }

/* The high word of x n, from 32-bit halves. */
static size_t random_below(uint64_t *state, uint64_t n)
{
    uint64_t x = random_next(state), x_low = x & 0xffffffffu, n_low = n & 0xffffffffu;
    uint64_t middle = (x >> 32) * n_low + ((x_low * n_low) >> 32);
    uint64_t other = x_low * (n >> 32) + (middle & 0xffffffffu);
    return (size_t)((x >> 32) * (n >> 32) + (middle >> 32) + (other >> 32));
}

static void shuffle_rows(size_t *rows, size_t n, uint64_t *state)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = random_below(state, i), kept = rows[i - 1];
        rows[i - 1] = rows[j];
        rows[j] = kept;
    }
}

int64_t train_label(const struct train_data *data, size_t row)
{
    return read_label(data->target + row * dtype_size(data->target_dtype), data->target_dtype);
}

/* How many rows each class has; out of range labels belong to none. */
static void count_classes(const struct train_data *data, size_t classes, size_t *counts)
{
    memset(counts, 0, classes * sizeof *counts);
    for (size_t i = 0; i < data->rows; i++) {
        int64_t label = train_label(data, i);
        if (label >= 0 && (uint64_t)label < classes)
            counts[label]++;
    }
}

/* Rows that sampling takes of each class. */
static size_t share_of_class(const size_t *counts, size_t classes, size_t rows,
                             enum train_sampling sampling)
{
    size_t most = 0, fewest = SIZE_MAX;
    for (size_t c = 0; c < classes; c++) {
        most = counts[c] > most ? counts[c] : most;
        fewest = counts[c] < fewest ? counts[c] : fewest;
    }
    if (fewest == 0)
        return 0;
    return sampling == TRAIN_OVER ? most : sampling == TRAIN_UNDER ? fewest : rows / classes;
}

int train_order_length(const struct train_data *data, enum train_sampling sampling, size_t classes,
                       size_t *length)
{
    *length = data->rows;
    if (sampling == TRAIN_ALL)
        return CROSSENT_OK;
    size_t *counts = malloc(classes * sizeof *counts);
    if (!counts)
        return CROSSENT_NO_MEMORY;
    count_classes(data, classes, counts);
    *length = classes * share_of_class(counts, classes, data->rows, sampling);
    free(counts);
    return CROSSENT_OK;
}

/* `share` rows of the class whose `count` rows are `members`. Over: every row share / count times,
 * and some once more. Under: some rows once. Balanced: drawn with replacement. */
static void sample_class(size_t *to, size_t *members, size_t count, size_t share,
                         enum train_sampling sampling, uint64_t *state)
{
    if (sampling == TRAIN_BALANCED) {
        for (size_t i = 0; i < share; i++)
            to[i] = members[random_below(state, count)];
        return;
    }
    shuffle_rows(members, count, state);
    for (size_t i = 0; i < share; i++)
        to[i] = members[i % count];
}

/* `share` rows of every class. Labels are read again after they were counted; another thread may
 * have changed them: a class takes no more rows than were counted, and may find fewer, or none. */
static int sample_rows(size_t *order, size_t share, const struct train_data *data,
                       enum train_sampling sampling, size_t classes, uint64_t *state)
{
    size_t *counts = malloc(3 * classes * sizeof *counts);
    size_t *members = malloc((data->rows + 1) * sizeof *members);
    int status = counts && members ? CROSSENT_OK : CROSSENT_NO_MEMORY;
    if (status == CROSSENT_OK) {
        size_t *begin = counts + classes, *end = begin + classes, place = 0;
        count_classes(data, classes, counts);
        for (size_t c = 0; c < classes; place += counts[c++])
            begin[c] = end[c] = place;
        for (size_t i = 0; i < data->rows; i++) {
            int64_t label = train_label(data, i);
            if (label >= 0 && (uint64_t)label < classes &&
                end[label] < begin[label] + counts[label])
                members[end[label]++] = i;
        }
        for (size_t c = 0; status == CROSSENT_OK && c < classes; c++)
            if (end[c] == begin[c])
                status = TRAIN_EMPTY_CLASS;
            else
                sample_class(order + c * share, members + begin[c], end[c] - begin[c], share,
                             sampling, state);
    }
    free(counts);
    free(members);
    return status;
}

int train_order(size_t *order, size_t length, const struct train_data *data,
                enum train_sampling sampling, size_t classes, uint64_t seed, uint64_t epoch,
                int shuffle)
{
    uint64_t state = random_stream(seed, epoch);
    int status = CROSSENT_OK;
    if (sampling == TRAIN_ALL)
        for (size_t i = 0; i < length; i++)
            order[i] = i;
    else
        status = sample_rows(order, length / classes, data, sampling, classes, &state);
    if (shuffle && status == CROSSENT_OK)
        shuffle_rows(order, length, &state);
    return status;
}

/* ---- rows of a batch --------------------------------------------------------------------- */

static const struct train_chunk *chunk_of(const struct train_data *data, size_t row)
{
    size_t low = 0, high = data->chunks;     /* chunk[low].begin <= row < chunk[high].begin */
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (data->chunk[middle].begin <= row)
            low = middle;
        else
            high = middle;
    }
    return &data->chunk[low];
}

void find_rows(const struct train_data *data, const size_t *order, size_t n, size_t bytes_of_row,
               const void **rows)
{
    size_t bytes = target_bytes(data);
    for (size_t r = 0; r < n; r++) {
        if (data->target)
            __builtin_prefetch(data->target + order[r] * bytes);
        const struct train_chunk *chunk = chunk_of(data, order[r]);
        rows[r] = chunk->data + (ptrdiff_t)(order[r] - chunk->begin) * chunk->stride;
        __builtin_prefetch((const char *)rows[r] + bytes_of_row - 1, 0, 2);
    }
}

void take_rows(const struct train_data *data, const size_t *order, size_t n, size_t features,
               size_t size, char *buffer, int copy, const void **rows)
{
    for (size_t r = 0; r < n; r++) {
        const struct train_chunk *chunk = chunk_of(data, order[r]);
        const char *p = chunk->data + (ptrdiff_t)(order[r] - chunk->begin) * chunk->stride;
        char *to = buffer + r * features * size;
        if (chunk->converts) {
            rows[r] = to;
            convert_row(chunk, p, features, to, size == sizeof(float));
            continue;
        }
        if (chunk->step == (ptrdiff_t)size && !copy) {
            rows[r] = p;
            continue;
        }
        rows[r] = to;
        if (chunk->step == (ptrdiff_t)size)
            memcpy(to, p, features * size);
        else
            for (size_t j = 0; j < features; j++)
                memcpy(to + j * size, p + (ptrdiff_t)j * chunk->step, size);
    }
}

size_t target_bytes(const struct train_data *data)
{
    size_t columns = data->target_columns ? data->target_columns : 1;
    return columns * dtype_size(data->target_dtype);
}

void take_targets(const struct train_data *data, const size_t *order, size_t n, char *to)
{
    size_t bytes = target_bytes(data);
    for (size_t r = 0; r < n; r++)
        memcpy(to + r * bytes, data->target + order[r] * bytes, bytes);
}
