"""Results that come in pieces (csrc/include/streaming.h): arrays to pointers for `streaming.py`."""
cimport numpy as cnp
from libc.stdint cimport int64_t, uint8_t
from libc.string cimport memset

from crossent._core.arrays cimport address

import numpy as np

from .. import _errors

cnp.import_array()


cdef extern from "streaming.h" nogil:
    enum:
        EXACT_LIMBS

    struct exact_sum:
        int64_t limb[68]

    struct tally:
        exact_sum loss, weight
        double not_finite
        size_t count, correct

    struct exponential_sums:
        double *base
        double *high
        double *low

    int crossent_tally(tally *to, const double *losses, const double *weights,
                       const uint8_t *correct, size_t n, size_t *fault)
    void crossent_sums_begin(const exponential_sums *to, const double *logsumexp, size_t n)
    void crossent_sums_merge(const exponential_sums *to, const exponential_sums *more, size_t n)
    void crossent_sums_log(const exponential_sums *sums, double *logsumexp, size_t n)


cdef object whole_of(const exact_sum *exact):
    """The sum as a whole number of 2^-1074."""
    cdef int i
    total = 0
    for i in reversed(range(EXACT_LIMBS)):
        total = (total << 32) + exact.limb[i]
    return total


def _tally(cnp.ndarray losses, cnp.ndarray weights, cnp.ndarray correct):
    """Exact sums of losses and weights, the sum of losses that are not finite, and how many rows
    took part and were right. Contiguous float64, float64 or None, bool or None, of one shape."""
    cdef tally found
    cdef size_t n = cnp.PyArray_SIZE(losses), fault = 0
    cdef const double *x = <const double *>address(losses)
    cdef const double *w = <const double *>address(weights)
    cdef const uint8_t *right = <const uint8_t *>address(correct)
    cdef int status
    memset(&found, 0, sizeof(found))
    with nogil:
        status = crossent_tally(&found, x, w, right, n, &fault)
    if status:
        where = _errors.element_name("weights", (<object>weights).shape, fault)
        raise ValueError(f"{where} is {weights.flat[fault]}; expected finite numbers, at least 0")
    return (whole_of(&found.loss), whole_of(&found.weight), found.not_finite, found.count,
            found.correct)


cdef exponential_sums sums_in(cnp.ndarray sums) noexcept:
    """`sums` is (3, ...) and contiguous: bases, high parts, low parts."""
    cdef exponential_sums found
    cdef size_t n = cnp.PyArray_SIZE(sums) // 3
    found.base = <double *>cnp.PyArray_DATA(sums)
    found.high, found.low = found.base + n, found.base + 2 * n
    return found


def _sums_of(cnp.ndarray logsumexp):
    """The state of rows whose logarithms these are, (3, ...), from contiguous float64."""
    cdef cnp.ndarray sums = np.empty((3, *(<object>logsumexp).shape))
    cdef exponential_sums to = sums_in(sums)
    crossent_sums_begin(&to, <double *>cnp.PyArray_DATA(logsumexp), cnp.PyArray_SIZE(logsumexp))
    return sums


def _sums_merged(object sums, cnp.ndarray more):
    """The state of both slices, a new array."""
    cdef cnp.ndarray merged = sums.copy()
    cdef exponential_sums to = sums_in(merged), other = sums_in(more)
    crossent_sums_merge(&to, &other, cnp.PyArray_SIZE(more) // 3)
    return merged


def _sums_log(cnp.ndarray sums):
    """The logarithms of the sums of a state."""
    cdef cnp.ndarray total = np.empty((<object>sums).shape[1:])
    cdef exponential_sums found = sums_in(sums)
    crossent_sums_log(&found, <double *>cnp.PyArray_DATA(total), cnp.PyArray_SIZE(total))
    return total
