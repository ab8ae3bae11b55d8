"""The products of `_linear.py` (csrc/include/linear.h), and what it needs of a loss without logits."""
from libc.string cimport memset

from crossent._core.arrays cimport *
from crossent._core.loss cimport *
from crossent._core.loop cimport find_blas
from crossent._core.softmax cimport *
from crossent._core.training cimport *

import numpy as np

from .. import _check, _errors

cnp.import_array()


cdef class _Linear:
    """A weight matrix, (classes, features) in either order, and its gradient in the same."""
    cdef linear call
    cdef readonly cnp.ndarray weight, bias, grad, bias_grad

    def __init__(self, cnp.ndarray weight, cnp.ndarray bias, threads):
        memset(&self.call, 0, sizeof(self.call))
        self.weight, self.bias = weight, bias
        self.call.matrix.dtype = dtype_of(weight)
        self.call.matrix.threads = _check.threads("threads", threads)
        self.call.classes = cnp.PyArray_DIM(weight, 0)
        self.call.features = cnp.PyArray_DIM(weight, 1)
        self.call.by_columns = not cnp.PyArray_IS_C_CONTIGUOUS(weight)
        self.call.weight, self.call.bias = address(weight), address(bias)
        if linear_suits_blas(self.call.matrix.dtype):
            find_blas(&self.call.matrix.blas)

    @property
    def uses_blas(self):
        return self.call.matrix.blas.sgemm != NULL

    def logits(self, cnp.ndarray x, cnp.ndarray out):
        """out (rows, classes) = x @ weight.T + bias; both contiguous."""
        cdef int status
        self.call.rows = cnp.PyArray_DIM(x, 0)
        self.call.x, self.call.logits = address(x), address(out)
        with nogil:
            status = linear_logits(&self.call)
        if status:
            refuse(status, _errors.Found())

    def gradients(self, cnp.ndarray x, cnp.ndarray delta, cnp.ndarray dx):
        """dx = delta @ weight; grad += delta.T @ x; bias_grad, of float64, += delta.sum(0)."""
        cdef int status
        self.call.accumulate = self.grad is not None
        if self.grad is None:
            self.grad = np.empty_like(self.weight)
            self.bias_grad = None if self.bias is None else np.zeros(self.call.classes)
            self.call.bias_grad = <double *>address(self.bias_grad)
        self.call.rows = cnp.PyArray_DIM(x, 0)
        self.call.x, self.call.logits = address(x), address(delta)
        self.call.x_grad, self.call.weight_grad = address(dx), address(self.grad)
        with nogil:
            status = linear_gradients(&self.call)
        if status:
            refuse(status, _errors.Found())


def _mean_divisor(SoftmaxCrossEntropy loss, cnp.ndarray target, Py_ssize_t classes,
                  cnp.ndarray sample_weight):
    """What the mean over all rows of `target` divides by: (rows,) labels or (rows, classes)."""
    cdef crossent_softmax call
    cdef bint labels = not holds_numbers(target)
    loss.check_made()
    cdef tuple held = loss.prepare(&call, classes)
    call.ndim = 1
    call.rows = cnp.PyArray_DIM(target, 0)
    call.shape[0] = call.rows
    call.classes = classes
    call.logits.dtype = CROSSENT_F64
    view(&call.target, target, -1 if labels else 1)
    if sample_weight is not None:
        view(&call.sample_weight, sample_weight, -1)
    return loss.weigh(&call, target, None, "x @ weight.T")


def _run_part(SoftmaxCrossEntropy loss, logits, target, out, numbers, Py_ssize_t rows,
              dict call_options):
    """The loss of the rows `numbers` among `rows`, which messages name; `out`, if it is given,
    receives the gradient."""
    call_options["rows"] = numbers, (rows,)
    return loss.run(logits, target, out, out is not None, call_options)[0]


def _ignored_labels(SoftmaxCrossEntropy loss):
    return loss._ignore


def _reduced(_Loss loss, double total, double divisor):
    return loss.reduced(total, divisor)
