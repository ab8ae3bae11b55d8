cimport numpy as cnp
from libc.stdint cimport int64_t

from crossent.crossent cimport *
from crossent._core.loss cimport _Loss


cdef class SoftmaxCrossEntropy(_Loss):
    cdef bint _plain
    cdef crossent_softmax _template
    cdef object _class_weight
    cdef object _ignore
    cdef object _alpha
    cdef object _class_mask
    cdef dict _spread

    cdef tuple prepare(self, crossent_softmax *call, Py_ssize_t classes)
    cdef object per_class(self, object values, Py_ssize_t classes, str name)
    cdef double scale(self, crossent_softmax *call, cnp.ndarray y, object rows_shape, dict extra,
                      str name) except? -1
    cdef double weigh(self, crossent_softmax *call, cnp.ndarray y, object rows_shape,
                      str name) except? -1
    cdef int finish(self, int status, crossent_softmax *call, cnp.ndarray y, object rows_shape,
                    dict extra) except -1
    cdef dict call_options(self, crossent_softmax *call, dict extra, cnp.ndarray z, int axis,
                           object rows_shape, cnp.ndarray out, list keep)
    cdef dict aux_arrays(self, crossent_softmax *call, object names, cnp.ndarray z, int axis,
                         object shape)
    cdef int check_aux(self, crossent_softmax *call, bint labels) except -1
    cdef int check_second_order(self, str method, tuple undefined, str reason,
                                dict call_options) except -1
    cdef object second_order(self, object logits, object target, object rule, object vector,
                             object out, dict extra)


cdef int softmax_shape(crossent_softmax *call, cnp.ndarray z, int axis, str name) except -1
cdef object target_array(object target, cnp.ndarray z, int axis, str name)
cdef bint holds_numbers(cnp.ndarray array) noexcept
cdef int run_softmax(crossent_softmax *call) noexcept
cdef bint describe(crossent_softmax *call, cnp.ndarray z, cnp.ndarray y, int axis, object ignore,
                   str name) except -1
cdef Py_ssize_t first_length(cnp.ndarray array, int axis) noexcept
cdef object row_shape(cnp.ndarray z, int axis)
