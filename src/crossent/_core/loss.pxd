cimport numpy as cnp
from libc.math cimport fma, isfinite

from crossent.crossent cimport *

cdef enum:
    MEAN
    SUM
    NONE
    BATCHMEAN

cdef enum:
    WARN = 3     # of the option nonfinite


cdef class _Loss:
    cdef int _axis
    cdef int _reduction
    cdef int _threads
    cdef int _empty
    cdef int _nonfinite
    cdef object _normalizer
    cdef object _table
    cdef dict _given
    cdef cnp.ndarray _kept     # the gradient that `forward` leaves for `backward`

    cdef dict parse(self, object table, dict options)
    cdef tuple run(self, object logits, object target, object out, bint gradient, dict extra)
    cdef double divisor(self, double weight, double count, double batch,
                        double first) except? -1
    cdef int check_made(self) except -1
    cdef object each_upstream(self, object upstream)
    cdef double upstream(self, dict extra) except? -1
    cdef crossent_nonfinite nonfinite(self) noexcept
    cdef object reduced(self, double total, double divisor)
    cdef object value(self, object data, object target, tuple more, dict call_options)
    cdef object kept_forward(self, object logits, object target, dict call_options)
    cdef tuple fused(self, object logits, object target, object out, dict call_options)
    cdef object gradient(self, object logits, object target, object out, dict call_options)
    cdef int check_call(self, dict call_options, object out, bint gradient) except -1


cdef class Known:
    """A loss's class and options, and the objects made of the options of its function's last calls.
    """
    cdef type cls
    cdef object table
    cdef dict of_class
    cdef dict of_calls
    cdef dict made
    cdef _Loss loss(self, dict options)
    cdef int refuse_more(self, tuple more, str suffix=*) except -1
    cdef tuple run(self, object logits, object target, object out, bint gradient, dict options,
                   str suffix=*)
    cdef object gradient(self, object logits, object target, object out, dict options)


cdef inline double quotient_rest(double a, double b, double quotient) noexcept:
    """What rounding cut off a / b."""
    return fma(-quotient, b, a) / b if b != 0 and isfinite(quotient) else 0


cdef int refuse_more(_Loss loss, tuple more) except -1
cdef object value_of(tuple result)
cdef object rows_found(crossent_softmax *call, str logits, object labels, object shape)
cdef object elements_found(crossent_sigmoid *call, str logits, object shape)
cdef int refuse(int status, object found) except -1
