/* A thread finds its memory through a thread-local pointer, which costs a call next to nothing; a
 * key of POSIX threads frees it at the thread's end. After a fork the child's one thread keeps its
 * own. The key goes when the library does, so that no thread calls back into it.
 */
#include "base/memory.h"

#include <pthread.h>
#include <stdlib.h>

static _Thread_local void *mine;
static pthread_key_t key;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int has_key;

static void give_back(void *memory)
{
    mine = NULL;
    free(memory);
}

static void make_key(void) { has_key = pthread_key_create(&key, give_back) == 0; }

#ifdef __GNUC__
__attribute__((destructor)) static void delete_key(void)
{
    if (has_key)
        pthread_key_delete(key);
}
#endif

static __attribute__((noinline)) void *first_memory(void)
{
    pthread_once(&once, make_key);
    void *memory = has_key ? aligned_alloc(64, THREAD_BYTES) : NULL;
    if (memory && pthread_setspecific(key, memory)) {
        free(memory);
        memory = NULL;
    }
    return mine = memory;
}

void *thread_memory(void) { return mine ? mine : first_memory(); }
