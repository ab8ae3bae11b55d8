/* Features of any type as numbers of the network's (convert.c), for the loop alone. */
#ifndef CROSSENT_TRAIN_CONVERT_H
#define CROSSENT_TRAIN_CONVERT_H

#include "train.h"

/* n features of the chunk, from `from` on, to contiguous float where `single`, else double. Each is
 * rounded once, to nearest: the bits are those of converting the whole array first. */
void convert_row(const struct train_chunk *chunk, const char *from, size_t n, char *to, int single);

#endif
