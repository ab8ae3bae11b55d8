cimport numpy as cnp
from libc.stdint cimport int64_t

from crossent.crossent cimport *
from crossent._core.loss cimport _Loss


cdef class _BinaryLoss(_Loss):
    cdef bint _plain
    cdef str _name     # of the argument: logits or probs
    cdef crossent_elementwise _function
    cdef crossent_sigmoid_options _template
    cdef double _alpha[2]
    cdef object _pos_weight
    cdef object _ignore
    cdef object _clip
    cdef tuple _aux

    cdef dict parse_binary(self, object table, dict options, crossent_elementwise function)
    cdef double weigh(self, crossent_sigmoid *call, cnp.ndarray x) except? -1
    cdef int finish(self, int status, crossent_sigmoid *call, cnp.ndarray x) except -1
    cdef dict call_options(self, crossent_sigmoid_options *to, dict extra, cnp.ndarray x,
                           cnp.ndarray out, list keep)
    cdef dict aux_arrays(self, crossent_sigmoid_options *to, object names, tuple known,
                         cnp.ndarray x)


cdef class SigmoidCrossEntropy(_BinaryLoss):
    cdef int check_second_order(self, str method, dict call_options) except -1


cdef int run_sigmoid(crossent_sigmoid *call) noexcept
cdef void sigmoid_shape(crossent_sigmoid *call, cnp.ndarray x) noexcept
