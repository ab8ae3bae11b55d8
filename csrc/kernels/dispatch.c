#include "kernels/dispatch.h"

#include <stdatomic.h>
#include <string.h>

#include "base/cpu.h"
#include "crossent.h"

/* Every instruction set of this build, best first: the list that all else derives from. */
static const struct kernels *const built[] = {
#ifdef HAVE_ISA_AVX512
    &kernels_avx512,
#endif
#ifdef HAVE_ISA_AVX2
    &kernels_avx2,
#endif
#ifdef HAVE_ISA_NEON
    &kernels_neon,
#endif
#ifdef HAVE_ISA_SSE2
    &kernels_sse2,
#endif
    &kernels_scalar,
};
enum { BUILT = sizeof built / sizeof *built };

static _Atomic(const struct kernels *) current;

/* The processor is asked once: in a virtual machine `cpuid` leaves it, and takes tens of us. */
static int runs_here(const struct kernels *k)
{
    const unsigned asked = 1u << 31;
    static _Atomic unsigned features;
    unsigned found = atomic_load_explicit(&features, memory_order_relaxed);
    if (!found) {
        found = cpu_features() | asked;
        atomic_store_explicit(&features, found, memory_order_relaxed);
    }
    return (k->required & ~found) == 0;
}

static const struct kernels *available(size_t i)
{
    for (size_t k = 0; k < BUILT; k++)
        if (runs_here(built[k]) && i-- == 0)
            return built[k];
    return NULL;
}

/* Two threads may both find `current` empty; both store the same pointer. */
const struct kernels *current_kernels(void)
{
    const struct kernels *k = atomic_load_explicit(&current, memory_order_relaxed);
    if (!k) {
        k = available(0);
        atomic_store_explicit(&current, k, memory_order_relaxed);
    }
    return k;
}

const char *crossent_isa_name(size_t i)
{
    const struct kernels *k = available(i);
    return k ? k->name : NULL;
}

const char *crossent_isa(void) { return current_kernels()->name; }

int crossent_use_isa(const char *name)
{
    for (size_t i = 0; available(i); i++)
        if (strcmp(available(i)->name, name) == 0) {
            atomic_store_explicit(&current, available(i), memory_order_relaxed);
            return 0;
        }
    return -1;
}

const char *crossent_compiler(void)
{
#if defined(__clang__)
    return __VERSION__;
#elif defined(__GNUC__)
    return "GCC " __VERSION__;
#else
    return "unknown";
#endif
}
