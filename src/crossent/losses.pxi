# The losses.

cdef enum:
    MEAN
    SUM
    NONE


cdef int parse_reduction(object reduction) except -1:
    if reduction == "mean":
        return MEAN
    if reduction == "sum":
        return SUM
    if reduction == "none":
        return NONE
    raise ValueError(f"reduction is {reduction!r}; expected 'mean', 'sum' or 'none'")


cdef int parse_threads(object threads) except -1:
    if threads is None:
        return 0
    if threads < 1:
        raise ValueError(f"threads is {threads!r}; expected a whole number, at least 1, or None")
    return threads


cdef double divide(int reduction, double total, Py_ssize_t count) noexcept:
    if reduction == SUM:
        return total
    return total / count if count else NAN


cdef int check(int status, object call_target, size_t row, size_t classes) except -1:
    """The one place where a status of the C core becomes an exception."""
    if status == CROSSENT_NO_MEMORY:
        raise MemoryError("crossent: no memory for the work buffers")
    if status == CROSSENT_BAD_LABEL:
        raise _arrays.bad_label(call_target, row, classes)
    return 0


cdef class _Loss:
    """What all losses share: options parsed once, forward, backward and both in one pass."""
    cdef int _axis
    cdef int _reduction
    cdef int _threads
    cdef object _logits
    cdef object _target

    def __init__(self, *, axis=-1, reduction="mean", threads=None):
        self._axis = axis
        self._reduction = parse_reduction(reduction)
        self._threads = parse_threads(threads)

    cdef object run(self, object logits, object target, object out, bint gradient,
                    double upstream):
        raise NotImplementedError

    def __call__(self, logits, target):
        """The same as `forward`."""
        return self.forward(logits, target)

    def forward(self, logits, target):
        """The loss; keeps references to both arrays for `backward`.

        The arrays are not copied: they must not change before `backward` is called.
        """
        loss = self.run(logits, target, None, False, 1)[0]
        self._logits = logits
        self._target = target
        return loss

    def backward(self, upstream=1.0):
        """Gradient with respect to the logits of the last `forward`.

        Parameters
        ----------
        upstream : float
            Derivative of what is minimised with respect to the loss.
        """
        if self._logits is None:
            raise RuntimeError("backward was called before forward")
        return self.run(self._logits, self._target, None, True, upstream)[1]

    def value_and_grad(self, logits, target, *, out=None):
        """Loss and gradient in one pass; `out` receives the gradient, and may be the logits."""
        return self.run(logits, target, out, True, 1)


cdef class SoftmaxCrossEntropy(_Loss):
    """Softmax cross-entropy with its options parsed once; see `softmax_cross_entropy`.

    Examples
    --------
    >>> xent = crossent.SoftmaxCrossEntropy(reduction="sum")
    >>> logits = np.array([[2.0, 1.0, 0.1]])
    >>> round(xent.forward(logits, np.array([0])), 4)
    0.417
    >>> xent.backward().round(4)
    array([[-0.341 ,  0.2424,  0.0986]])
    """

    cdef object run(self, object logits, object target, object out, bint gradient,
                    double upstream):
        cdef cnp.ndarray z = real_array(logits, "logits")
        cdef cnp.ndarray y = label_array(target, "target")
        cdef cnp.ndarray grad = None
        cdef cnp.ndarray losses = None
        cdef crossent_softmax call
        cdef crossent_array *arrays[4]
        cdef int status, d, axis
        too_many_dimensions(z)
        axis = normalize_axis(self._axis, cnp.PyArray_NDIM(z))
        memset(&call, 0, sizeof(call))
        softmax_shape(&call, z, axis)
        check_label_shape(y, z, axis)
        view(&call.logits, z, axis)
        view(&call.target, y, -1)
        if gradient:
            grad = output_array(out, z, y)
            view(&call.out, grad, axis)
            call.output = CROSSENT_GRADIENT
        if self._reduction == NONE:
            losses = cnp.PyArray_EMPTY(cnp.PyArray_NDIM(y), cnp.PyArray_DIMS(y),
                                       cnp.PyArray_TYPE(z), 0)
            view(&call.loss, losses, -1)
        if call.rows:
            arrays[0] = &call.logits
            arrays[1] = &call.target
            arrays[2] = &call.out
            arrays[3] = &call.loss
            merge_rows(&call.ndim, call.shape, arrays, 4)
            call.coefficient = upstream / call.rows if self._reduction == MEAN else upstream
            call.threads = self._threads
            status = run_softmax(&call)
            if status:
                check(status, y, call.fault_row, call.classes)
        if losses is not None:
            return losses, grad
        return divide(self._reduction, call.total, call.rows), grad


cdef int softmax_shape(crossent_softmax *call, cnp.ndarray z, int axis) except -1:
    cdef int d
    call.rows = 1
    call.classes = cnp.PyArray_DIM(z, axis)
    for d in range(cnp.PyArray_NDIM(z)):
        if d != axis:
            call.shape[call.ndim] = cnp.PyArray_DIM(z, d)
            call.rows *= cnp.PyArray_DIM(z, d)
            call.ndim += 1
    if call.classes == 0:
        raise ValueError(f"logits have shape {(<object>z).shape}; expected at least one class "
                         f"along axis {axis}")
    return 0


cdef int check_label_shape(cnp.ndarray y, cnp.ndarray z, int axis) except -1:
    cdef int d, row = 0
    cdef bint fits = cnp.PyArray_NDIM(y) == cnp.PyArray_NDIM(z) - 1
    for d in range(cnp.PyArray_NDIM(z)):
        if fits and d != axis:
            fits = cnp.PyArray_DIM(y, row) == cnp.PyArray_DIM(z, d)
            row += 1
    if not fits:
        raise _arrays.shape_of_labels(z, y, axis)
    return 0


cdef int run_softmax(crossent_softmax *call) noexcept:
    cdef int status
    if call.rows * call.classes < NOGIL_ELEMENTS:
        return c_softmax(call)
    with nogil:
        status = c_softmax(call)
    return status


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

    cdef object run(self, object logits, object target, object out, bint gradient,
                    double upstream):
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
                check(status, None, 0, 0)
        if losses is not None:
            return losses, grad
        return divide(self._reduction, call.total, n), grad


cdef object _binary_target(object target):
    cdef int kind
    if cnp.PyArray_Check(target):
        kind = cnp.PyArray_TYPE(<cnp.ndarray>target)
        if (cnp.PyTypeNum_ISINTEGER(kind) or kind == cnp.NPY_BOOL or kind == cnp.NPY_FLOAT
                or kind == cnp.NPY_DOUBLE) and cnp.PyArray_ISBEHAVED_RO(<cnp.ndarray>target):
            return target
    return _arrays.as_binary_target(target, "target")


cdef SoftmaxCrossEntropy default_softmax = SoftmaxCrossEntropy()
cdef SigmoidCrossEntropy default_sigmoid = SigmoidCrossEntropy()


def softmax_cross_entropy(logits, target, **options):
    """Cross-entropy of softmax(logits) and class indices, in nats.

    The loss of a row is ``logsumexp(x) - x[target]``, computed without cancellation: it keeps full
    relative accuracy however confident the model is.

    Parameters
    ----------
    logits : ndarray of float32 or float64, shape (..., C, ...)
        Unnormalised log probabilities.
    target : ndarray of any integer dtype, shape of `logits` without `axis`
        Class indices, 0 <= target < C. Not copied, not cast.
    axis : int, default -1
        The class axis of `logits`.
    reduction : {"mean", "sum", "none"}, default "mean"
        Mean over rows, sum over rows, or one loss per row.
    threads : int, default `get_num_threads()`
        Threads for this call. The result does not depend on it.

    Returns
    -------
    float, or ndarray of the logits' dtype and the target's shape for ``reduction="none"``
        The mean of no rows is NaN, their sum 0.

    Raises
    ------
    IndexError
        If a label is out of range; names the row, the value and C.
    TypeError, ValueError
        If a dtype or shape does not fit; names the argument, what was found and what was expected.

    Notes
    -----
    A NaN in a row makes its loss NaN. ``-inf`` logits have probability 0; the loss is ``inf`` where
    the target is one of them, NaN where all are. One ``+inf`` logit has probability 1; more than
    one make the row NaN.

    Examples
    --------
    >>> crossent.softmax_cross_entropy(np.array([[17, 0, 0]], np.float32), np.array([0]))
    8.279874982018592e-08
    """
    if options:
        return (<_Loss>SoftmaxCrossEntropy(**options)).run(logits, target, None, False, 1)[0]
    return default_softmax.run(logits, target, None, False, 1)[0]


def softmax_cross_entropy_value_and_grad(logits, target, *, out=None, **options):
    """Loss and its gradient with respect to the logits, in one pass.

    Parameters and errors are those of `softmax_cross_entropy`.

    Parameters
    ----------
    out : ndarray of the logits' shape and dtype, optional
        Receives the gradient. May be the logits themselves, which it then replaces. After an error
        its contents are undefined.

    Returns
    -------
    loss : float or ndarray
        As `softmax_cross_entropy` returns it.
    grad : ndarray
        Gradient of the loss; with ``reduction="none"`` that of the sum of the row losses.

    Examples
    --------
    >>> loss, grad = crossent.softmax_cross_entropy_value_and_grad(np.zeros((1, 4)), np.array([2]))
    >>> round(loss, 4), grad
    (1.3863, array([[ 0.25,  0.25, -0.75,  0.25]]))
    """
    if options:
        return (<_Loss>SoftmaxCrossEntropy(**options)).run(logits, target, out, True, 1)
    return default_softmax.run(logits, target, out, True, 1)


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
        return (<_Loss>SigmoidCrossEntropy(**options)).run(logits, target, None, False, 1)[0]
    return default_sigmoid.run(logits, target, None, False, 1)[0]


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
        return (<_Loss>SigmoidCrossEntropy(**options)).run(logits, target, out, True, 1)
    return default_sigmoid.run(logits, target, out, True, 1)
