/* The floating-point mode of the calling thread: rounding to nearest, subnormal numbers kept, no
 * traps. Other libraries change it (torch.set_flush_denormal, fesetround), and a thread begins with
 * that of the thread that made it; results would then depend on who set what. A public function
 * and each thread that works for it begin with arithmetic_begin, which costs some two nanoseconds,
 * and put back what they found. */
#ifndef CROSSENT_ARITHMETIC_H
#define CROSSENT_ARITHMETIC_H

#include <stdint.h>

/* No result is kept in a register over a change of mode. */
#define ARITHMETIC_FENCE() __asm__ volatile("" ::: "memory")

#if defined(__x86_64__)
enum {
    MXCSR_FLAGS = 0x3f,      /* what happened so far: not part of the mode */
    MXCSR_DEFAULT = 0x1f80   /* all exceptions masked, all else 0 */
};

static inline uint64_t arithmetic_mode(void) { return __builtin_ia32_stmxcsr(); }

static inline uint64_t default_mode(uint64_t mode)
{
    return (mode & MXCSR_FLAGS) | MXCSR_DEFAULT;
}

static inline void set_arithmetic_mode(uint64_t mode) { __builtin_ia32_ldmxcsr((unsigned)mode); }
#elif defined(__aarch64__)
static inline uint64_t arithmetic_mode(void)
{
    uint64_t mode;
    __asm__ volatile("mrs %0, fpcr" : "=r"(mode));
    return mode;
}

static inline uint64_t default_mode(uint64_t mode)
{
    (void)mode;              /* FPCR holds no flags: rounding, flush to zero and traps are all 0 */
    return 0;
}

static inline void set_arithmetic_mode(uint64_t mode)
{
    __asm__ volatile("msr fpcr, %0" : : "r"(mode));
}
#else
static inline uint64_t arithmetic_mode(void) { return 0; }
static inline uint64_t default_mode(uint64_t mode) { return mode; }
static inline void set_arithmetic_mode(uint64_t mode) { (void)mode; }
#endif

/* The mode as it was, for arithmetic_end. */
static inline uint64_t arithmetic_begin(void)
{
    const uint64_t was = arithmetic_mode();
    if (was != default_mode(was))
        set_arithmetic_mode(default_mode(was));
    ARITHMETIC_FENCE();
    return was;
}

static inline void arithmetic_end(uint64_t was)
{
    ARITHMETIC_FENCE();
    if (was != default_mode(was))
        set_arithmetic_mode(was);
}

#endif
