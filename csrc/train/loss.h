/* The loss of a part of a batch, by the kernels that the loss functions have. */
#ifndef CROSSENT_TRAIN_LOSS_H
#define CROSSENT_TRAIN_LOSS_H

#include "train/work.h"

/* A part of a batch: its rows, how many losses they have, and whether they are the first of it. */
struct part {
    size_t rows, losses;
    int is_first;
};

struct part part_of(const struct train_run *run, size_t rows, int is_first);

/* Of n rows at `order`, those that take part, to work->order; the others are never read. */
size_t choose_rows(const struct train_run *run, const size_t *order, size_t n);

/* Adds to the sums: the weighted losses of the n rows of a part that count, which may be none, and
 * what the mean divides by. The gradient of that sum of losses goes to `grad`, which may be
 * NULL. */
int part_loss(struct train_run *run, size_t n, const struct part *part, void *grad,
              struct train_sums *sums);

/* Answers and those that are right: of a row, whose largest logit is the label's (or the likeliest
 * class's); or of each logit of a sigmoid, on its target's side. */
void count_answers(const struct train_run *run, size_t n, struct train_sums *sums);

#endif
