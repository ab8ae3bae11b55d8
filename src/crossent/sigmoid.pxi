# Binary cross-entropy from logits.

SIGMOID_OPTIONS = dict(reduction="mean", normalizer=None, empty="nan", nonfinite="propagate",
                       threads=None)


cdef int run_sigmoid(crossent_sigmoid *call) noexcept:
    cdef int status
    if call.rows * call.classes < NOGIL_ELEMENTS:
        return c_sigmoid(call)
    with nogil:
        status = c_sigmoid(call)
    return status


cdef void sigmoid_shape(crossent_sigmoid *call, cnp.ndarray x) noexcept:
    """The last dimension as `classes`, the others as rows."""
    cdef int d, last = cnp.PyArray_NDIM(x) - 1
    call.rows = 1
    call.classes = 1 if last < 0 else cnp.PyArray_DIM(x, last)
    for d in range(last):
        call.shape[call.ndim] = cnp.PyArray_DIM(x, d)
        call.rows *= cnp.PyArray_DIM(x, d)
        call.ndim += 1


cdef class SigmoidCrossEntropy(_Loss):
    """Binary cross-entropy from logits with its options parsed once; see `sigmoid_cross_entropy`.

    Examples
    --------
    >>> bce = crossent.SigmoidCrossEntropy()
    >>> loss, grad = bce.value_and_grad(np.array([0.0, 3.0]), np.array([1, 1]))
    >>> round(loss, 4), grad.round(4)
    (0.3709, array([-0.25  , -0.0237]))
    """

    def __init__(self, **options):
        self.parse_common(options, known_options(options, SIGMOID_OPTIONS, "SigmoidCrossEntropy"))

    cdef tuple run(self, object logits, object target, object out, bint gradient, dict extra):
        cdef double upstream = 1
        if extra:
            upstream = extra.get("upstream", 1.0)
        cdef cnp.ndarray x = real_array(logits, "logits")
        cdef cnp.ndarray y = _binary_target(target)
        cdef cnp.ndarray grad = None
        cdef cnp.ndarray losses = None
        cdef crossent_sigmoid call
        cdef int status, last
        too_many_dimensions(x)
        if not same_shape(x, y):
            raise ValueError(f"target has shape {(<object>y).shape}; expected that of logits, "
                             f"{(<object>x).shape}")
        memset(&call, 0, sizeof(call))
        sigmoid_shape(&call, x)
        last = cnp.PyArray_NDIM(x) - 1
        view(&call.logits, x, last)
        view(&call.target, y, last)
        if gradient:
            grad = output_array(out, x, y)
            view(&call.out, grad, last)
        if self._reduction == NONE:
            losses = new_like(x)
            view(&call.loss, losses, last)
        cdef size_t n = call.rows * call.classes
        if n:
            call.coefficient = upstream / n if self._reduction == MEAN else upstream
            call.threads = self._threads
            status = run_sigmoid(&call)
            if status:
                check(status, NULL, None, None)
        if losses is not None:
            return losses, grad
        return self.reduced(call.total, n if self._reduction == MEAN else 1), grad


cdef object _binary_target(object target):
    cdef int kind
    if cnp.PyArray_Check(target):
        kind = cnp.PyArray_TYPE(<cnp.ndarray>target)
        if (cnp.PyTypeNum_ISINTEGER(kind) or kind == cnp.NPY_BOOL or kind == cnp.NPY_FLOAT
                or kind == cnp.NPY_DOUBLE) and cnp.PyArray_ISBEHAVED_RO(<cnp.ndarray>target):
            return target
    return _arrays.as_binary_target(target, "target")


cdef SigmoidCrossEntropy default_sigmoid = SigmoidCrossEntropy()


def sigmoid_cross_entropy(logits, target, **options):
    """Binary cross-entropy of sigmoid(logits) and targets, element by element, in nats.

    Also known as binary cross-entropy with logits. The loss of an element is
    ``target * softplus(-x) + (1 - target) * softplus(x)``, with full relative accuracy for both
    targets at any confidence.

    Parameters
    ----------
    logits : ndarray of float32 or float64, any shape
    target : ndarray of the same shape; bool, any integer dtype, float32 or float64
        0 or 1, or a probability between.
    reduction : {"mean", "sum", "none"}, default "mean"
        Mean over elements, sum, or one loss per element.
    threads : int, default `get_num_threads()`
        Threads for this call. The result does not depend on it.

    Returns
    -------
    float, or ndarray of the logits' dtype and shape for ``reduction="none"``

    Raises
    ------
    TypeError, ValueError
        If a dtype or shape does not fit; names the argument, what was found and what was expected.

    Notes
    -----
    For infinite logits the loss is 0 on the target's side and ``inf`` on the other. NaN gives NaN.

    Examples
    --------
    >>> round(crossent.sigmoid_cross_entropy(np.array([-2.0, 2.0]), np.array([0, 0])), 4)
    1.1269
    """
    if options:
        return value_of(run_options(SigmoidCrossEntropy, logits, target, None, False, options))
    return default_sigmoid.run(logits, target, None, False, None)[0]


def sigmoid_cross_entropy_value_and_grad(logits, target, *, out=None, **options):
    """Loss and its gradient with respect to the logits, in one pass.

    Parameters and errors are those of `sigmoid_cross_entropy`, `out` and the returned pair as for
    `softmax_cross_entropy_value_and_grad`.

    Examples
    --------
    >>> loss, grad = crossent.sigmoid_cross_entropy_value_and_grad(np.zeros(2), np.array([0, 1]))
    >>> round(loss, 4), grad
    (0.6931, array([ 0.25, -0.25]))
    """
    if options:
        return run_options(SigmoidCrossEntropy, logits, target, out, True, options)
    return default_sigmoid.run(logits, target, out, True, None)
