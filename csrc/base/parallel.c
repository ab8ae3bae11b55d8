#include "base/parallel.h"

#include <stdatomic.h>
#include <stdint.h>

#include "base/arithmetic.h"
#include "base/sizes.h"
#include "crossent.h"

static atomic_int default_threads = 1;

int crossent_get_num_threads(void) { return atomic_load(&default_threads); }
void crossent_set_num_threads(int n) { atomic_store(&default_threads, n < 1 ? 1 : n); }

#ifdef CROSSENT_OPENMP
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

const char *crossent_threading(void) { return "openmp"; }

/* GNU OpenMP's sleeping workers do not survive fork: a child of a process that has used them would
 * wait for them for ever, so it works alone. */
static atomic_int pool_used, pool_lost;

/* OpenMP's limit when the library was loaded. Lowered later (threadpoolctl, omp_set_num_threads) it
 * binds; as it was, it does not stop a caller who asks for more. */
static int threads_at_start;

/* More threads than this many for each processor help nobody, and cost memory. */
enum { THREADS_PER_PROCESSOR = 8, ALWAYS_ALLOWED = 16 };

/* How many threads the process was seen to have room for. OpenMP ends the process where it cannot
 * start one (a limit of memory or of threads), so others are started and ended before it tries. */
static atomic_int room = 1, tried = 1;

static void child_of_fork(void)
{
    if (atomic_load(&pool_used))
        atomic_store(&pool_lost, 1);
}

static void *wait_for_all(void *gate)
{
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

/* Starts `threads` - 1 threads that are all alive at once; how many there were, and this one. */
static int try_threads(int threads)
{
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_t *started = malloc((size_t)threads * sizeof *started);
    int n = 0;
    pthread_mutex_lock(&gate);
    while (started && n < threads - 1 &&
           pthread_create(&started[n], NULL, wait_for_all, &gate) == 0)
        n++;
    pthread_mutex_unlock(&gate);
    for (int i = 0; i < n; i++)
        pthread_join(started[i], NULL);
    free(started);
    return n + 1;
}

static int with_room(int threads)
{
    const int most = (int)larger(ALWAYS_ALLOWED,
                                 THREADS_PER_PROCESSOR * (size_t)omp_get_num_procs());
    threads = threads < most ? threads : most;
    if (threads > atomic_load(&tried)) {
        atomic_store(&room, try_threads(threads));
        atomic_store(&tried, threads);
    }
    return threads < atomic_load(&room) ? threads : atomic_load(&room);
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
        threads = with_room(threads);
        atomic_store(&pool_used, 1);
    }
    return threads;
}

/* A thread's share of a loop: tasks end - left to end - 1; left below 1: none. */
struct share {
    _Alignas(64) atomic_long left;
    long end;
};

enum { MOST_SHARES = 64 };

/* The loop that a team is at. A thread that has taken a task may read the other fields: they stay
 * until all tasks are done. The same tasks of the same loop are the same thread's in every round,
 * so that what they work on stays in its cache; who has done its own takes others'. */
struct team {
    void (*task)(void *, size_t, size_t);
    void *context;
    long shares;
    atomic_long undone;
    atomic_int over;
    struct share share[MOST_SHARES];
};

/* Of the thread that runs a team's program. */
static _Thread_local struct team *own_team;

enum { PATIENCE = 1000 };   /* looks, some 50 microseconds, before a waiting thread yields */

static void look_again(unsigned *looks)
{
    if (++*looks > PATIENCE)
        sched_yield();
#if defined(__x86_64__)
    else
        __builtin_ia32_pause();
#endif
}

static int take_from(struct team *team, struct share *share)
{
    if (atomic_load_explicit(&share->left, memory_order_relaxed) < 1)
        return 0;
    long left = atomic_fetch_sub_explicit(&share->left, 1, memory_order_acquire);
    if (left < 1)
        return 0;
    size_t i = (size_t)(share->end - left);
    team->task(team->context, i, i + 1);
    atomic_fetch_sub_explicit(&team->undone, 1, memory_order_release);
    return 1;
}

static int take_task(struct team *team, long me)
{
    for (long k = 0; k < team->shares; k++)
        if (take_from(team, &team->share[(me + k) % team->shares]))
            return 1;
    return 0;
}

static void team_for(struct team *team, size_t n, void (*task)(void *, size_t, size_t),
                     void *context)
{
    long begin = 0;
    team->task = task;
    team->context = context;
    atomic_store_explicit(&team->undone, (long)n, memory_order_relaxed);
    for (long k = 0; k < team->shares; k++) {
        struct share *share = &team->share[k];
        share->end = (long)n * (k + 1) / team->shares;
        atomic_store_explicit(&share->left, share->end - begin, memory_order_release);
        begin = share->end;
    }
    while (take_task(team, 0))
        ;
    for (unsigned looks = 0; atomic_load_explicit(&team->undone, memory_order_acquire) > 0;)
        look_again(&looks);
}

void parallel_team(int threads, void (*program)(void *), void *context)
{
    struct team team = {.shares = 0};
    threads = usable_threads(MOST_SHARES, threads);
    team.shares = threads;
    if (threads <= 1) {
        program(context);
        return;
    }
#pragma omp parallel num_threads(threads)
    if (omp_get_thread_num() == 0) {
        own_team = &team;
        program(context);
        own_team = NULL;
        atomic_store(&team.over, 1);
    } else {
        const uint64_t mode = arithmetic_begin();
        for (unsigned looks = 0; !atomic_load(&team.over);)
            if (take_task(&team, omp_get_thread_num()))
                looks = 0;
            else
                look_again(&looks);
        arithmetic_end(mode);
    }
}

void parallel_for(size_t n, int threads, void (*task)(void *, size_t, size_t), void *context)
{
    threads = usable_threads(n, threads);
    if (own_team && threads > 1) {
        team_for(own_team, n, task, context);
        return;
    }
    if (threads <= 1) {
        task(context, 0, n);
        return;
    }
#pragma omp parallel num_threads(threads)
    {
        size_t count = (size_t)omp_get_num_threads(), me = (size_t)omp_get_thread_num();
        size_t begin = n / count * me + (me < n % count ? me : n % count);
        size_t end = begin + n / count + (me < n % count);
        const uint64_t mode = arithmetic_begin();
        if (begin < end)
            task(context, begin, end);
        arithmetic_end(mode);
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

void parallel_team(int threads, void (*program)(void *), void *context)
{
    (void)threads;
    program(context);
}
#endif
