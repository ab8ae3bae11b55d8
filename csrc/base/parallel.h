/* Threads: the only file pair that knows them. */
#ifndef CROSSENT_PARALLEL_H
#define CROSSENT_PARALLEL_H

#include <stddef.h>

enum { PARALLEL_ELEMENTS = 1 << 15 };  /* below this a second thread costs more than it saves */

/* How many threads a call for n tasks would use. */
int usable_threads(size_t n, int threads);

/* Calls task(context, begin, end) for disjoint ranges that cover [0, n), on at most `threads`
 * threads (0: the default number), and returns when all are done. A task's results must not depend
 * on where the ranges are cut. */
void parallel_for(size_t n, int threads, void (*task)(void *, size_t, size_t), void *context);

/* Calls program(context) on this thread, while up to `threads` - 1 others, at most 63, stand by: a
 * parallel_for of the program takes no longer to begin than an atomic operation, hands out its
 * tasks one by one, to each thread first those of its own part, and waits for no thread that the
 * machine has given to someone else before it took a task. For programs of many short loops. */
void parallel_team(int threads, void (*program)(void *), void *context);

#endif
