/* Forward and backward through the layers, for the n rows of a part that count. */
#ifndef CROSSENT_TRAIN_LAYERS_H
#define CROSSENT_TRAIN_LAYERS_H

#include "train/work.h"

/* The random numbers of a batch, of which `rows` rows are done. */
struct dropout {
    uint64_t stream;
    size_t rows;
};

/* From work->x_rows to the outputs of all layers; `dropout` may be NULL, which leaves it out. */
void forward_layers(const struct train_net *net, struct train_work *work, size_t n,
                    const struct dropout *dropout);

/* From the loss's gradient in delta[0] to the gradients of all parameters, which are added to what
 * is there where `accumulate` says so. */
void backward_layers(const struct train_net *net, struct train_work *work, size_t n,
                     int accumulate);

#endif
