/* The choice of one kernel table among those the machine can run. */
#ifndef CROSSENT_DISPATCH_H
#define CROSSENT_DISPATCH_H

#include "kernels/table.h"

/* The table in use; the best available one until crossent_use_isa says otherwise. */
const struct kernels *current_kernels(void);

#endif
