/* Random numbers and the rows of a batch (data.c), for the loop alone. */
#ifndef CROSSENT_TRAIN_DATA_H
#define CROSSENT_TRAIN_DATA_H

#include "train.h"

uint64_t random_mix(uint64_t x);
uint64_t random_stream(uint64_t seed, uint64_t number);
uint64_t random_next(uint64_t *state);
uint64_t random_after(uint64_t state, uint64_t n);     /* the state after n numbers */

int64_t train_label(const struct train_data *data, size_t row);

/* Pointers to n rows that will be read later. Asks for their targets, and for the line that each
 * row ends in: one that begins within a line has one more than the products ask for. */
void find_rows(const struct train_data *data, const size_t *order, size_t n, size_t bytes_of_row,
               const void **rows);

/* Pointers to n rows of the data; into `buffer` where they are copied: always if `copy` says so,
 * else only if their features are not adjacent or are converted. */
void take_rows(const struct train_data *data, const size_t *order, size_t n, size_t features,
               size_t size, char *buffer, int copy, const void **rows);

size_t target_bytes(const struct train_data *data);   /* of one row */
void take_targets(const struct train_data *data, const size_t *order, size_t n, char *to);

#endif
