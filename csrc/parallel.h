/* Threads: the only file pair that knows them. */
#ifndef CROSSENT_PARALLEL_H
#define CROSSENT_PARALLEL_H

#include <stddef.h>

/* How many threads a call for n tasks would use. */
int usable_threads(size_t n, int threads);

/* Calls task(context, begin, end) for disjoint ranges that cover [0, n), on at most `threads`
 * threads (0: the default number), and returns when all are done. A task's results must not depend
 * on where the ranges are cut. */
void parallel_for(size_t n, int threads, void (*task)(void *, size_t, size_t), void *context);

#endif
