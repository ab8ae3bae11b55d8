/* What the C tests share: counting checks, random numbers, arrays between guard bytes, numbers of
 * every dtype, and the main function around the tests of a file.
 *
 * a) Each array lies in its own memory. Between, before and after its elements are guard bytes, and
 *    after a call everything but the elements of the outputs has to be as it was.
 * b) Inputs are doubles that their dtype holds exactly, results come back as doubles: references
 *    read and judge those, whatever the dtype.
 * c) A test program runs on the instruction set that the environment variable CROSSENT_ISA names
 *    (the best one without it) and ends with 77 where it does not run. With --digest it prints a
 *    number that stands for the bits of its results, and judges nothing.
 */
#ifndef CROSSENT_TESTS_HARNESS_H
#define CROSSENT_TESTS_HARNESS_H

#include <float.h>
#include <stddef.h>
#include <stdint.h>

#include "crossent.h"

#if defined __SANITIZE_ADDRESS__
enum { GUARD = 0 };   /* red zones take the place of guard bytes, and notice reads as well */
#else
enum { GUARD = 64 };
#endif

/* Software arithmetic judges the 128-bit long double of some machines: a part of the cases does. */
enum { SLOW_LONG_DOUBLE = LDBL_MANT_DIG > 64 };

/* ---- bookkeeping ------------------------------------------------------------------------- */

extern unsigned long checks, failures;
extern int only_digest;

/* The call that is under way, for the lines about failures. */
struct now {
    const char *isa, *type, *goal, *variant;
    size_t rows, classes;
};
extern struct now now;

void check(int holds, const char *format, ...);
void *allocate(size_t bytes);           /* of whole cache lines */
void add_to_digest(const void *bytes, size_t n);
void switch_isa(const char *name);

/* Whether the set in use has a fused multiply-add; without, products belong to BLAS. On 64-bit ARM
 * plain C has it too. */
int has_fma(void);

/* Leaves other bytes on the stack, beneath the caller's frame, than the call before: the next call
 * gives the same results unless it reads what it has not written. */
void dirty_stack(void);

/* Calls `tests`, says how many checks there were, and returns what main has to. */
int run_tests(int argc, char **argv, void (*tests)(void));

void random_seed(uint64_t seed);
uint64_t random_bits(void);
size_t random_below(size_t n);
double random_unit(void);
int one_in(size_t n);                   /* true once in n times */

/* ---- numbers of every dtype -------------------------------------------------------------- */

size_t size_of(enum crossent_dtype dtype);
const char *dtype_name(enum crossent_dtype dtype);
double read_number(const char *p, enum crossent_dtype dtype);
void write_number(char *p, enum crossent_dtype dtype, double x);
double rounded_to(enum crossent_dtype dtype, double x);     /* what dtype makes of x */

/* Of the arithmetic: that of F32 for 16 bits. Half the spacing of what is stored, at x. */
double epsilon_of(enum crossent_dtype dtype);
double least_normal(enum crossent_dtype dtype);
double half_spacing(enum crossent_dtype dtype, long double x);

/* ---- arrays between guard bytes ---------------------------------------------------------- */

/* In elements: from an aligned address to the first one, from class to class (0: the transposed of
 * a contiguous array; negative: everything backwards), left out between rows. */
struct layout {
    ptrdiff_t offset, step, gap;
};

struct placed {
    struct crossent_array array;
    size_t rows, classes, size, shape[2];
    char *memory;
    size_t bytes;
};

/* `folded`: the rows lie in two dimensions, with another gap between the outer ones. */
struct placed place(enum crossent_dtype dtype, size_t rows, size_t classes, struct layout layout,
                    int folded);
struct crossent_array array_of(const struct placed *p);    /* absent where there are no rows */

/* From and to contiguous memory. Of int64 the low bytes are taken. What is fetched is replaced by
 * guard bytes. */
void put(const struct placed *p, const void *from, size_t size);
void fetch(const struct placed *p, void *to);
void put_numbers(const struct placed *p, const double *from);
void fetch_numbers(const struct placed *p, double *to);

/* Ends the use of an array: of one whose elements were fetched; of one that nobody may write. */
void discard(struct placed *p, const char *name);
void discard_input(struct placed *p, const void *from, size_t size, const char *name);
void discard_numbers(struct placed *p, const double *from, const char *name);

/* Layouts of the inputs and outputs of a call; all have to give the same bytes. */
struct variant {
    const char *name;
    struct layout in, out;
    int folded, in_place, threads;
};
enum { VARIANTS = 12 };
extern const struct variant variants[VARIANTS];
extern const struct variant *const plain;

#endif
