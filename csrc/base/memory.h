/* Room for the buffers of a call, which would be too much for the stack of a small thread. */
#ifndef CROSSENT_MEMORY_H
#define CROSSENT_MEMORY_H

enum { THREAD_BYTES = 240 << 10 };

/* THREAD_BYTES that belong to this thread, in whole cache lines; NULL if there is no memory. A
 * thread gets them at its first call and gives them back when it ends. What stands in them is of
 * the last user: a function that calls another one with buffers shares them with it. */
void *thread_memory(void);

#endif
