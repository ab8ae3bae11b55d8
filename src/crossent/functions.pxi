# Building blocks: functions of logits that are not losses.


cdef object softmax_function(object x, object axis, object out, crossent_output output,
                             bint keepdims):
    """softmax and log_softmax (`output`), or logsumexp (CROSSENT_NOTHING)."""
    cdef cnp.ndarray z = real_array(x, "x")
    cdef cnp.ndarray result
    cdef crossent_softmax call
    cdef crossent_array *arrays[3]
    cdef int status, at = normalize_axis(axis, cnp.PyArray_NDIM(z))
    too_many_dimensions(z)
    memset(&call, 0, sizeof(call))
    softmax_shape(&call, z, at)
    view(&call.logits, z, at)
    call.output = output
    call.coefficient = 1
    if output == CROSSENT_NOTHING:
        result = cnp.PyArray_EMPTY(call.ndim, <cnp.npy_intp *>call.shape, cnp.PyArray_TYPE(z), 0)
        view(&call.logsumexp, result, -1)
    else:
        result = output_array(out, z, None)
        view(&call.out, result, at)
    if call.rows:
        arrays[0] = &call.logits
        arrays[1] = &call.out
        arrays[2] = &call.logsumexp
        merge_rows(&call.ndim, call.shape, arrays, 3)
        check(run_softmax(&call), &call, None, None)
    if output != CROSSENT_NOTHING:
        return result
    if keepdims:
        return np.expand_dims(result, at)
    return result if cnp.PyArray_NDIM(result) else result[()]


def logsumexp(x, *, axis=-1, keepdims=False):
    """``log(sum(exp(x)))`` along an axis, without overflow and without losing small sums.

    Parameters
    ----------
    x : ndarray of float32 or float64
    axis : int, default -1
    keepdims : bool, default False
        Keep the axis, with length 1.

    Returns
    -------
    ndarray of x's dtype, or a NumPy scalar
        ``-inf`` where all are ``-inf``, ``inf`` where any is ``inf``, NaN where any is NaN.

    Notes
    -----
    max + log1p(sum of the others), after Blanchard, Higham and Higham (2021),
    doi:10.1093/imanum/draa038.

    Examples
    --------
    >>> float(crossent.logsumexp(np.array([0.0, -40.0])))
    4.248354255291589e-18
    """
    return softmax_function(x, axis, None, CROSSENT_NOTHING, keepdims)


def softmax(x, *, axis=-1, out=None):
    """``exp(x) / sum(exp(x))`` along an axis; every entry keeps full relative accuracy.

    Parameters
    ----------
    x : ndarray of float32 or float64
    axis : int, default -1
    out : ndarray of x's shape and dtype, optional
        May be `x` itself.

    Returns
    -------
    ndarray of x's shape and dtype

    Examples
    --------
    >>> crossent.softmax(np.array([2.0, 1.0, 0.1])).round(3)
    array([0.659, 0.242, 0.099])
    """
    return softmax_function(x, axis, out, CROSSENT_SOFTMAX, False)


def log_softmax(x, *, axis=-1, out=None):
    """``x - logsumexp(x)`` along an axis, accurate also where a probability is close to 1.

    Parameters and result are those of `softmax`.

    Examples
    --------
    >>> crossent.log_softmax(np.array([0.0, -40.0]))
    array([-4.24835426e-18, -4.00000000e+01])
    """
    return softmax_function(x, axis, out, CROSSENT_LOG_SOFTMAX, False)


cdef object elementwise(object value, object out, crossent_elementwise function):
    cdef cnp.ndarray x = real_array(value, "x")
    cdef cnp.ndarray result
    cdef crossent_sigmoid call
    cdef int last = cnp.PyArray_NDIM(x) - 1
    too_many_dimensions(x)
    memset(&call, 0, sizeof(call))
    sigmoid_shape(&call, x)
    result = output_array(out, x, None)
    view(&call.logits, x, last)
    view(&call.out, result, last)
    call.function = function
    if call.rows * call.classes:
        check(run_sigmoid(&call), NULL, None, None)
    return result if last >= 0 or out is not None else result[()]


def sigmoid(x, *, out=None):
    """``1 / (1 + exp(-x))``, element by element.

    Parameters
    ----------
    x : ndarray of float32 or float64
    out : ndarray of x's shape and dtype, optional
        May be `x` itself.

    Returns
    -------
    ndarray of x's shape and dtype

    Examples
    --------
    >>> crossent.sigmoid(np.array([-1000.0, 0.0, 1000.0]))
    array([0. , 0.5, 1. ])
    """
    return elementwise(x, out, CROSSENT_SIGMOID)


def log_sigmoid(x, *, out=None):
    """``log(sigmoid(x))``, element by element, without overflow or cancellation; see `sigmoid`.

    Examples
    --------
    >>> crossent.log_sigmoid(np.array([-1000.0, 40.0]))
    array([-1.00000000e+03, -4.24835426e-18])
    """
    return elementwise(x, out, CROSSENT_LOG_SIGMOID)


def softplus(x, *, out=None):
    """``log(1 + exp(x))``, element by element, without overflow or cancellation; see `sigmoid`.

    Examples
    --------
    >>> crossent.softplus(np.array([-40.0, 1000.0]))
    array([4.24835426e-18, 1.00000000e+03])
    """
    return elementwise(x, out, CROSSENT_SOFTPLUS)
