"""Building blocks: functions of logits that are not losses."""
from libc.string cimport memset

from crossent._core.arrays cimport *
from crossent._core.loss cimport *
from crossent._core.softmax cimport *
from crossent._core.sigmoid cimport run_sigmoid, sigmoid_shape

import math

import numpy as np

from .. import _check, _errors

cnp.import_array()


cdef int parse_axis(object axis, int ndim) except -1:
    return normalize_axis(_check.whole("axis", axis, -64, 63), ndim, "x")


cdef object function_array(object x):
    """What a function is computed of; integers and booleans become float64, as in SciPy."""
    return x if is_floating(x) else _check.function_data("x", x)


cdef bint is_half(cnp.ndarray array) noexcept:
    return cnp.PyArray_ITEMSIZE(array) == 2


cdef int finish(int status) except -1:
    """Of calls that can only lack memory."""
    return refuse(status, _errors.Found()) if status else 0


def _softmax_like(x, out, axis, log):
    """softmax, or its logarithm."""
    cdef cnp.ndarray z = function_array(x)
    cdef cnp.ndarray result
    cdef crossent_softmax call
    cdef crossent_array *arrays[2]
    cdef int at
    axes = summed_axes(axis, cnp.PyArray_NDIM(z))
    if len(axes) != 1:
        return softmax_of_axes(z, out, axes, log)
    at = axes[0]
    too_many_dimensions(z, "x")
    memset(&call, 0, sizeof(call))
    softmax_shape(&call, z, at, "x")
    call.output = CROSSENT_LOG_SOFTMAX if log else CROSSENT_SOFTMAX
    call.coefficient = 1
    result = output_array(out, z, None, "x")
    view(&call.logits, z, at)
    view(&call.out, result, at)
    if call.rows:
        arrays[:] = [&call.logits, &call.out]
        merge_rows(&call.ndim, call.shape, arrays, 2)
        finish(run_softmax(&call))
    return result


cdef object softmax_of_axes(cnp.ndarray z, object out, tuple axes, bint log):
    """Over several axes: those as one, and back."""
    cdef cnp.ndarray result = output_array(out, z, None, "x")
    rows = [d for d in range(cnp.PyArray_NDIM(z)) if d not in axes]
    order = rows + list(axes)
    found = _softmax_like(axes_last(z, axes), None, -1, log)
    to = (<object>result).transpose(order)
    np.copyto(to, found.reshape(to.shape))
    return result


cdef cnp.ndarray sums_of_rows(cnp.ndarray z, int axis, object dtype):
    """log(sum(exp)) along one axis; `dtype` may be wider than that of z."""
    cdef crossent_softmax call
    cdef crossent_array *arrays[2]
    memset(&call, 0, sizeof(call))
    softmax_shape(&call, z, axis, "x")
    cdef cnp.ndarray result = np.empty(row_shape(z, axis), dtype)
    view(&call.logits, z, axis)
    view(&call.logsumexp, result, -1)
    if call.rows:
        arrays[:] = [&call.logits, &call.logsumexp]
        merge_rows(&call.ndim, call.shape, arrays, 2)
        finish(run_softmax(&call))
    return result


cdef tuple weighted_sums_of_rows(cnp.ndarray z, cnp.ndarray b, int axis, bint signed):
    """log(|sum(b exp)|) along one axis in float64, and the sign of the sum or None."""
    cdef crossent_softmax shape
    cdef crossent_weighted call
    cdef crossent_array *arrays[4]
    cdef cnp.ndarray sign = None
    cdef int d
    memset(&shape, 0, sizeof(shape))
    memset(&call, 0, sizeof(call))
    softmax_shape(&shape, z, axis, "x")
    call.ndim, call.rows, call.classes = shape.ndim, shape.rows, shape.classes
    for d in range(<int>shape.ndim):
        call.shape[d] = shape.shape[d]
    cdef cnp.ndarray result = np.empty(row_shape(z, axis))
    view(&call.logits, z, axis)
    view(&call.weights, b, axis)
    view(&call.logsumexp, result, -1)
    if signed:
        sign = np.empty(row_shape(z, axis))
        view(&call.sign, sign, -1)
    if call.rows:
        arrays[:] = [&call.logits, &call.weights, &call.logsumexp, &call.sign]
        merge_rows(&call.ndim, call.shape, arrays, 4)
        with nogil:
            c_weighted(&call)
    return result, sign


cdef tuple summed_axes(object axis, int ndim):
    """The axes that `axis` names: a whole number, several, or None for all."""
    if axis is None:
        return tuple(range(ndim))
    if not isinstance(axis, tuple):
        return (parse_axis(axis, ndim),)
    axes = tuple(sorted([parse_axis(a, ndim) for a in axis]))
    if len(set(axes)) < len(axes) or not axes:
        raise ValueError(f"axis is {axis}; expected different axes, at least one")
    return axes


cdef cnp.ndarray axes_last(object array, tuple axes):
    """The axes as one, the last: a view where strides allow, else a copy."""
    rows = [d for d in range(array.ndim) if d not in axes]
    shape = [array.shape[d] for d in rows]
    return array.transpose(rows + list(axes)).reshape(
        shape + [math.prod([array.shape[d] for d in axes])])


cdef object weights_of(object b, object shape):
    """b as float32 or float64, broadcast to the shape of x."""
    array = _check.array("b", b)
    real = array.dtype.kind in "iubf" and array.dtype.itemsize <= 8
    if not real and array.dtype.name != "bfloat16":
        raise TypeError(f"b has dtype {array.dtype}; expected real numbers")
    if array.dtype not in (np.float32, np.float64) or not array.dtype.isnative:
        array = array.astype(np.float64)
    try:
        return np.broadcast_to(np.require(array, requirements=["ALIGNED"]), shape)
    except ValueError:
        raise ValueError(f"b has shape {array.shape}; expected one that broadcasts to that of x, "
                         f"{shape}") from None


def _logsumexp_wide(x, axis):
    """logsumexp in float64, whatever the dtype of x."""
    cdef cnp.ndarray z = function_array(x)
    axes = summed_axes(axis, cnp.PyArray_NDIM(z))
    if len(axes) == 1:
        too_many_dimensions(z, "x")
        return sums_of_rows(z, axes[0], np.float64)
    z = axes_last(z, axes)
    return sums_of_rows(z, cnp.PyArray_NDIM(z) - 1, np.float64)


def logsumexp(x, axis=-1, *, b=None, keepdims=False, return_sign=False):
    """``log(sum(b * exp(x)))`` along an axis, without overflow and without losing small sums.

    Parameters
    ----------
    x : array_like of float32, float64, float16 or bfloat16
        Integers and booleans become float64.
    axis : int, tuple of int or None, default -1
        The axis or axes to sum over; None for all, which is SciPy's default.
    b : array_like of real numbers that broadcasts to the shape of `x`, optional
        Factors of the exponentials, of any sign. Where b is 0, x takes no part, whatever it is.
    keepdims : bool, default False
        Keep the axes, with length 1.
    return_sign : bool, default False
        Also return the sign of the sum, and the logarithm of its absolute value. Otherwise the
        result is NaN where the sum is negative.

    Returns
    -------
    result : ndarray of the dtype of `x`, or a NumPy scalar
        ``-inf`` where all are ``-inf``, ``inf`` where any is ``inf``, NaN where any is NaN.
    sign : the same, only with `return_sign`
        1, -1, 0 where the sum is 0, or NaN.

    Notes
    -----
    max + log1p(sum of the others), after Blanchard, Higham and Higham (2021),
    doi:10.1093/imanum/draa038. Where terms of opposite signs cancel, the error is relative to the
    largest of them.

    Examples
    --------
    >>> float(crossent.logsumexp(np.array([0.0, -40.0])))
    4.248354255291589e-18
    >>> value, sign = crossent.logsumexp(np.array([1.0, 2.0]), b=[1, -1], return_sign=True)
    >>> round(float(value), 4), float(sign)
    (1.5413, -1.0)
    """
    cdef cnp.ndarray z = function_array(x)
    cdef cnp.ndarray weights
    cdef object given = z, sign = None, dtype = (<object>z).dtype
    axes = summed_axes(axis, cnp.PyArray_NDIM(z))
    shape = tuple([1 if d in axes else n for d, n in enumerate(given.shape)])
    if b is not None:
        weights = weights_of(b, given.shape)
    if b is not None and is_half(z):
        z = given.astype(np.float32)
    if len(axes) != 1:
        z = axes_last(z, axes)
        axes = (cnp.PyArray_NDIM(z) - 1,)
        if b is not None:
            weights = axes_last(weights, summed_axes(axis, given.ndim))
    too_many_dimensions(z, "x")
    if b is not None:
        result, sign = weighted_sums_of_rows(z, weights, axes[0], return_sign)
    else:
        result = sums_of_rows(z, axes[0], (<object>z).dtype)
        if return_sign:
            sign = np.where(np.isnan(result), result, result > -np.inf)
    if keepdims:
        result = result.reshape(shape)
        sign = None if sign is None else sign.reshape(shape)
    if not return_sign:
        return result.astype(dtype, copy=False)[()]
    return result.astype(dtype, copy=False)[()], sign.astype(dtype, copy=False)[()]


def softmax(x, axis=-1, *, out=None):
    """``exp(x) / sum(exp(x))`` along an axis; every entry keeps full relative accuracy.

    Parameters
    ----------
    x : array_like of float32, float64, float16 or bfloat16
        Integers and booleans become float64.
    axis : int, tuple of int or None, default -1
        The axis or axes along which the results sum to 1; None for all.
    out : ndarray of x's shape and dtype, optional
        Receives the result. May be `x` itself.

    Returns
    -------
    ndarray of x's shape and dtype
        Entries are off by at most 4 units in the last place. NaN where a row holds NaN, ``inf``
        more than once, or nothing but ``-inf``.

    Examples
    --------
    >>> crossent.softmax(np.array([2.0, 1.0, 0.1])).round(3)
    array([0.659, 0.242, 0.099])
    """
    return _softmax_like(x, out, axis, False)


def log_softmax(x, axis=-1, *, out=None):
    """``x - logsumexp(x)`` along an axis, accurate also where a probability is close to 1.

    Parameters
    ----------
    x, axis, out
        As for `softmax`.

    Returns
    -------
    ndarray of x's shape and dtype
        In nats, off by at most 4 units in the last place.

    Examples
    --------
    >>> crossent.log_softmax(np.array([0.0, -40.0]))
    array([-4.24835426e-18, -4.00000000e+01])
    """
    return _softmax_like(x, out, axis, True)


def _elementwise(value, out, function):
    """A function of single elements."""
    cdef cnp.ndarray x = function_array(value)
    cdef cnp.ndarray result
    cdef crossent_sigmoid call
    cdef int last = cnp.PyArray_NDIM(x) - 1
    too_many_dimensions(x, "x")
    result = output_array(out, x, None, "x")
    if is_half(x):
        np.copyto(result, _elementwise((<object>x).astype(np.float32), None, function),
                  casting="same_kind")
        return result if last >= 0 or out is not None else result[()]
    memset(&call, 0, sizeof(call))
    sigmoid_shape(&call, x)
    view(&call.logits, x, last)
    view(&call.out, result, last)
    call.function = function
    if call.rows * call.classes:
        finish(run_sigmoid(&call))
    return result if last >= 0 or out is not None else result[()]


def sigmoid(x, *, out=None):
    """``1 / (1 + exp(-x))``, element by element.

    Parameters
    ----------
    x : array_like of float32, float64, float16 or bfloat16, any shape
        Integers and booleans become float64.
    out : ndarray of x's shape and dtype, optional
        Receives the result. May be `x` itself.

    Returns
    -------
    ndarray of x's shape and dtype

    Examples
    --------
    >>> crossent.sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    return _elementwise(x, out, CROSSENT_SIGMOID)


def log_sigmoid(x, *, out=None):
    """``log(sigmoid(x))``, element by element, without overflow or cancellation.

    Parameters
    ----------
    x, out
        As for `sigmoid`.

    Returns
    -------
    ndarray of x's shape and dtype

    Examples
    --------
    >>> crossent.log_sigmoid(np.array([-1000.0, 40.0]))
    array([-1.00000000e+03, -4.24835426e-18])
    """
    return _elementwise(x, out, CROSSENT_LOG_SIGMOID)


def softplus(x, *, out=None):
    """``log(1 + exp(x))``, element by element, without overflow or cancellation.

    Parameters
    ----------
    x, out
        As for `sigmoid`.

    Returns
    -------
    ndarray of x's shape and dtype

    Examples
    --------
    >>> crossent.softplus(np.array([-40.0, 1000.0]))
    array([4.24835426e-18, 1.00000000e+03])
    """
    return _elementwise(x, out, CROSSENT_SOFTPLUS)
