#include "parallel.h"

#include <stdatomic.h>

#include "crossent.h"

static atomic_int default_threads = 1;

int crossent_get_num_threads(void) { return atomic_load(&default_threads); }
void crossent_set_num_threads(int n) { atomic_store(&default_threads, n < 1 ? 1 : n); }

#ifdef CROSSENT_OPENMP
#include <omp.h>
#include <pthread.h>

const char *crossent_threading(void) { return "openmp"; }

/* GNU OpenMP's sleeping workers do not survive fork: a child of a process that has used them would
 * wait for them for ever, so it works alone. */
static atomic_int pool_used, pool_lost;

/* OpenMP's limit when the library was loaded. Lowered later (threadpoolctl, omp_set_num_threads) it
 * binds; as it was, it does not stop a caller who asks for more. */
static int threads_at_start;

static void child_of_fork(void)
{
    if (atomic_load(&pool_used))
        atomic_store(&pool_lost, 1);
}

__attribute__((constructor)) static void at_load(void)
{
    threads_at_start = omp_get_max_threads();
    crossent_set_num_threads(threads_at_start);
    pthread_atfork(NULL, NULL, child_of_fork);
}

int usable_threads(size_t n, int threads)
{
    if (threads <= 0)
        threads = crossent_get_num_threads();
    if (omp_get_max_threads() < threads_at_start && threads > omp_get_max_threads())
        threads = omp_get_max_threads();
    if ((size_t)threads > n)
        threads = (int)n;
    if (threads > 1) {
        if (atomic_load(&pool_lost))
            return 1;
        atomic_store(&pool_used, 1);
    }
    return threads;
}

void parallel_for(size_t n, int threads, void (*task)(void *, size_t, size_t), void *context)
{
    threads = usable_threads(n, threads);
    if (threads <= 1) {
        task(context, 0, n);
        return;
    }
#pragma omp parallel num_threads(threads)
    {
        size_t count = (size_t)omp_get_num_threads(), me = (size_t)omp_get_thread_num();
        size_t begin = n / count * me + (me < n % count ? me : n % count);
        size_t end = begin + n / count + (me < n % count);
        if (begin < end)
            task(context, begin, end);
    }
}
#else
const char *crossent_threading(void) { return "none"; }

int usable_threads(size_t n, int threads)
{
    (void)n, (void)threads;
    return 1;
}

void parallel_for(size_t n, int threads, void (*task)(void *, size_t, size_t), void *context)
{
    (void)threads;
    task(context, 0, n);
}
#endif
