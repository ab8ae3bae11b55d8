"""Softmax cross-entropy."""
from libc.string cimport memset

from crossent._core.arrays cimport *
from crossent._core.loss cimport *

import warnings

import numpy as np

from .. import _check, _errors, _options

cnp.import_array()


cdef int softmax_shape(crossent_softmax *call, cnp.ndarray z, int axis, str name) except -1:
    cdef int d
    call.rows = 1
    call.classes = cnp.PyArray_DIM(z, axis)
    for d in range(cnp.PyArray_NDIM(z)):
        if d != axis:
            call.shape[call.ndim] = cnp.PyArray_DIM(z, d)
            call.rows *= cnp.PyArray_DIM(z, d)
            call.ndim += 1
    if call.classes == 0:
        raise ValueError(f"{_errors.have(name)} shape {(<object>z).shape}; expected at least one class "
                         f"along axis {axis}")
    return 0


cdef int check_label_shape(cnp.ndarray y, cnp.ndarray z, int axis, str name) except -1:
    cdef int d, row = 0
    cdef bint fits = cnp.PyArray_NDIM(y) == cnp.PyArray_NDIM(z) - 1
    for d in range(cnp.PyArray_NDIM(z)):
        if fits and d != axis:
            fits = cnp.PyArray_DIM(y, row) == cnp.PyArray_DIM(z, d)
            row += 1
    if not fits:
        raise _errors.label_shape("target", y, name, (<object>z).shape, axis)
    return 0


cdef object target_array(object target, cnp.ndarray z, int axis, str name):
    """Labels, or probabilities of the logits' shape."""
    if cnp.PyArray_CheckExact(target) and cnp.PyArray_ISBEHAVED_RO(<cnp.ndarray>target) \
            and cnp.PyTypeNum_ISINTEGER(cnp.PyArray_TYPE(<cnp.ndarray>target)) \
            and cnp.PyArray_NDIM(<cnp.ndarray>target) != cnp.PyArray_NDIM(z):
        return target
    return _check.class_target("target", target, (<object>z).shape, axis, name)


cdef bint holds_numbers(cnp.ndarray array) noexcept:
    cdef int kind = cnp.PyArray_TYPE(array)
    return kind == cnp.NPY_FLOAT or kind == cnp.NPY_DOUBLE


cdef int run_softmax(crossent_softmax *call) noexcept:
    cdef int status
    if call.rows * call.classes < NOGIL_ELEMENTS:
        return c_softmax(call)
    with nogil:
        status = c_softmax(call)
    return status


cdef int merge_softmax(crossent_softmax *call) noexcept:
    cdef crossent_array *arrays[15]
    if call.ndim < 2:
        return 0
    arrays[:] = [&call.logits, &call.target, &call.out, &call.loss, &call.hessian,
                 &call.target_gradient, &call.logsumexp, &call.probability, &call.entropy,
                 &call.argmax, &call.correct, &call.sample_weight, &call.upstream,
                 &call.class_mask, &call.vector]
    return merge_rows(&call.ndim, call.shape, arrays, 15)


cdef bint describe(crossent_softmax *call, cnp.ndarray z, cnp.ndarray y, int axis,
                   object ignore, str name) except -1:
    """Shape and place of logits and target; whether the target is class indices."""
    cdef bint labels = not holds_numbers(y)
    softmax_shape(call, z, axis, name)
    if labels:
        check_label_shape(y, z, axis, name)
    elif ignore is not None:
        raise _errors.ignored_probabilities()
    view(&call.logits, z, axis)
    view(&call.target, y, -1 if labels else axis)
    return labels


cdef class SoftmaxCrossEntropy(_Loss):
    __doc__ = _options.class_doc(
        _options.SOFTMAX,
        "Softmax cross-entropy with its options parsed once, and forward and backward apart.",
        """
        Examples
        --------
        >>> xent = crossent.SoftmaxCrossEntropy(reduction="sum")
        >>> logits = np.array([[2.0, 1.0, 0.1]])
        >>> round(float(xent.forward(logits, np.array([0]))), 4)
        0.417
        >>> xent.backward().round(4)
        array([[-0.341 ,  0.2424,  0.0986]])
        """)
    __signature__ = _options.ClassSignature(_options.SOFTMAX)

    def __init__(self, **options):
        cdef dict parsed = self.parse(_options.SOFTMAX, options)
        cdef crossent_softmax *call = &self._template
        memset(call, 0, sizeof(crossent_softmax))
        self._spread = {}
        self._class_weight = parsed["class_weight"]
        self._alpha = parsed["focal_alpha"]
        self._ignore = parsed["ignore_index"]
        self._class_mask = parsed["class_mask"]
        call.label_smoothing = parsed["label_smoothing"]
        call.smoothing_off_target = parsed["smoothing"]
        call.smoothing_by_target = parsed["smoothing_weight"]
        call.focal_gamma = parsed["focal_gamma"]
        call.z_loss = parsed["z_loss"]
        call.softcap = parsed["softcap"]
        call.temperature = parsed["temperature"]
        call.nonfinite = self.nonfinite()
        if self._ignore is not None:
            call.ignore = <const int64_t *>cnp.PyArray_DATA(<cnp.ndarray>self._ignore)
            call.ignored = cnp.PyArray_SIZE(self._ignore)
        self._plain = not options.keys() - {"axis", "reduction", "threads"}

    cdef tuple prepare(self, crossent_softmax *call, Py_ssize_t classes):
        """Fills in the options; returns the arrays they point to, to be kept during the call."""
        call[0] = self._template
        call.threads = self._threads
        weight = self.per_class(self._class_weight, classes, "class_weight")
        alpha = self.per_class(self._alpha, classes, "focal_alpha")
        call.class_weight = <const double *>address(weight)
        call.focal_alpha = <const double *>address(alpha)
        return weight, alpha, self._ignore

    cdef object per_class(self, object values, Py_ssize_t classes, str name):
        """One number for each class; a single number is spread out, once for each class count."""
        if values is None or cnp.PyArray_NDIM(values) and cnp.PyArray_DIM(values, 0) == classes:
            return values
        spread = self._spread.get((name, classes))
        if spread is None:
            spread = _check.per_class(name, values, classes)
            if len(self._spread) > 16:
                self._spread.clear()
            self._spread[name, classes] = spread
        return spread

    cdef tuple run(self, object logits, object target, object out, bint gradient, dict extra):
        cdef cnp.ndarray z = data_array(logits, target, "logits")
        cdef cnp.ndarray grad = None
        cdef cnp.ndarray losses = None
        cdef crossent_softmax call
        cdef dict aux = None
        cdef list keep = None
        cdef tuple per_class
        cdef double divisor
        cdef bint labels
        cdef int status
        self.check_made()
        too_many_dimensions(z, "logits")
        cdef int axis = normalize_axis(self._axis, cnp.PyArray_NDIM(z), "logits")
        cdef cnp.ndarray y = target_array(target, z, axis, "logits")
        if self._plain:
            memset(&call, 0, sizeof(call))
            call.threads = self._threads
        else:
            per_class = self.prepare(&call, cnp.PyArray_DIM(z, axis))
        labels = describe(&call, z, y, axis, self._ignore, "logits")
        if gradient:
            grad = output_array(out, z, y, "logits")
            view(&call.out, grad, axis)
            call.output = CROSSENT_GRADIENT
        rows_shape = row_shape(z, axis) if not labels or extra else None
        if self._reduction == NONE:
            losses = empty_of(z, (<object>y).shape if labels else rows_shape)
            view(&call.loss, losses, -1)
        if extra or self._class_mask is not None:
            keep = []
            aux = self.call_options(&call, extra or {}, z, axis, rows_shape, grad, keep)
            self.check_aux(&call, labels)
        divisor = call.rows
        call.coefficient = 1
        if call.rows:
            divisor = self.scale(&call, y, rows_shape, extra, "logits")
            status = run_softmax(&call)
            if status:
                self.finish(status, &call, y, row_shape(z, axis), extra)
        else:
            divisor = self.divisor(0, 0, 0, first_length(y, -1 if labels else axis))
        loss = losses
        if losses is None:
            loss = self.reduced(call.total, divisor)
        if aux is None:
            return loss, grad
        aux.update(count=call.count, weight=call.weight)
        return loss, grad, aux

    cdef double scale(self, crossent_softmax *call, cnp.ndarray y, object rows_shape,
                      dict extra, str name) except? -1:
        """Sets what derivatives are multiplied by; returns the divisor. All arrays are in place."""
        merge_softmax(call)
        cdef double divisor = self.weigh(call, y, rows_shape, name)
        cdef double upstream = self.upstream(extra)
        call.coefficient = 0 if divisor == 0 else upstream / divisor
        call.coefficient_low = quotient_rest(upstream, divisor, call.coefficient)
        return divisor

    cdef double weigh(self, crossent_softmax *call, cnp.ndarray y, object rows_shape,
                      str name) except? -1:
        """The divisor of the mean; a pass over the labels only where they decide it."""
        cdef bint weighted = (call.ignored > 0 or call.class_weight != NULL
                              or call.sample_weight.data != NULL)
        cdef int status
        call.weight = call.rows
        call.count = call.rows
        if weighted:
            with nogil:
                status = crossent_weigh(call)
            if status:
                shape = rows_shape if rows_shape is not None else (<object>y).shape
                refuse(status, rows_found(call, name, y, shape))
        cdef int axis = -1
        if holds_numbers(y):
            axis = normalize_axis(self._axis, cnp.PyArray_NDIM(y), "target")
        return self.divisor(call.weight, call.count, call.rows, first_length(y, axis))

    cdef int finish(self, int status, crossent_softmax *call, cnp.ndarray y, object rows_shape,
                    dict extra) except -1:
        """An exception, or a warning. `extra` may say which rows of how many the call's rows are.
        """
        found = rows_found(call, "logits", y, rows_shape)
        if extra and "rows" in extra:
            numbers, found.shape = extra["rows"]
            found.row = numbers[found.row]
        if status == CROSSENT_BAD_LOGITS and self._nonfinite == WARN:
            warnings.warn(str(_errors.of_status(status, found)), RuntimeWarning, stacklevel=1)
            return 0
        return refuse(status, found)

    cdef int check_aux(self, crossent_softmax *call, bint labels) except -1:
        """Whether what `return_aux` names exists for this target."""
        if labels and call.target_gradient.data != NULL:
            raise ValueError("return_aux names target_grad but target is class indices; "
                             "expected probabilities")
        if (call.target_gradient.data != NULL and call.class_weight != NULL
                and call.smoothing_by_target and call.label_smoothing != 0):
            raise ValueError("return_aux names target_grad, which is not defined for "
                             "smoothing_weight='target' with class_weight: the row's weight "
                             "depends on the target")
        if not labels and (call.probability.data != NULL or call.correct.data != NULL):
            raise ValueError("return_aux names probability or correct but target is "
                             "probabilities; expected class indices")
        return 0

    cdef dict call_options(self, crossent_softmax *call, dict extra, cnp.ndarray z, int axis,
                           object rows_shape, cnp.ndarray out, list keep):
        """Options of one call; returns the dict of what `return_aux` names, or None."""
        cdef cnp.ndarray array
        shape = rows_shape if rows_shape is not None else row_shape(z, axis)
        weight, upstream = extra.get("sample_weight"), extra.get("upstream")
        mask = extra.get("class_mask")
        mask = self._class_mask if mask is None else mask
        if weight is not None:
            array = _check.per_row("sample_weight", weight, shape)
            keep.append(array)
            check_disjoint(out, array, "sample_weight")
            view(&call.sample_weight, array, -1)
        if upstream is not None and np.ndim(upstream):
            if self._reduction != NONE:
                raise ValueError("upstream is one number for each row; expected a scalar with "
                                 "reduction='mean' or 'sum'")
            array = _check.per_row("upstream", upstream, shape)
            keep.append(array)
            check_disjoint(out, array, "upstream")
            view(&call.upstream, array, -1)
        if mask is not None:
            array = _check.class_mask("class_mask", mask, (<object>z).shape, axis)
            keep.append(array)
            check_disjoint(out, array, "class_mask")
            view(&call.class_mask, array, axis)
        call.accumulate = bool(extra.get("accumulate", False))
        names = extra.get("return_aux")
        if not names:
            return None
        return self.aux_arrays(call, _check.names("return_aux", names), z, axis,
                               shape)

    cdef dict aux_arrays(self, crossent_softmax *call, object names, cnp.ndarray z, int axis,
                         object shape):
        cdef dict aux = {}
        cdef cnp.ndarray array
        for name in names:
            place = _check.one_of("return_aux", name, _options.SOFTMAX_AUX)
            if place == 0:
                array = empty_of(z, shape)
                view(&call.logsumexp, array, -1)
            elif place == 1:
                array = empty_of(z, shape)
                view(&call.probability, array, -1)
            elif place == 2:
                array = empty_of(z, shape)
                view(&call.entropy, array, -1)
            elif place == 3:
                array = np.empty(shape, np.int64)
                view(&call.argmax, array, -1)
            elif place == 4:
                array = np.empty(shape, bool)
                view(&call.correct, array, -1)
            else:
                array = new_like(z)
                view(&call.target_gradient, array, axis)
            aux[name] = array
        return aux

    def __call__(self, logits=None, target=None, *more, **call_options):
        """The loss alone, as the function of these options gives it."""
        return self.value(logits, target, more, call_options)

    def forward(self, logits=None, target=None, *more, **call_options):
        refuse_more(self, more)
        return self.kept_forward(logits, target, call_options)

    def value_and_grad(self, logits=None, target=None, *more, out=None, **call_options):
        refuse_more(self, more)
        return self.fused(logits, target, out, call_options)

    def grad(self, logits=None, target=None, *more, out=None, **call_options):
        refuse_more(self, more)
        return self.gradient(logits, target, out, call_options)

    def grad_and_hess(self, logits, target, *, rule="exact", out=None, **call_options):
        """Gradient and diagonal of the Hessian, for boosting and Newton steps.

        Parameters
        ----------
        logits, target
            As for `softmax_cross_entropy`.
        rule : {"exact", "upper", "friedman", "residual"}, default "exact"
            The diagonal, with p = softmax(logits) and K classes: ``p (1 - p)``; ``2 p (1 - p)``;
            ``K / (K - 1) p (1 - p)`` (Friedman, 2001); or ``|p - target|``. Weights multiply it as
            they do the gradient.
        out : ndarray of the logits' shape and dtype, optional
            Receives the gradient. May be the logits themselves.
        {options}

        Returns
        -------
        grad, hess : ndarray of the logits' shape and dtype

        Raises
        ------
        ValueError
            With `focal_gamma`, `focal_alpha`, `z_loss` or `softcap`, whose diagonal is another.

        Examples
        --------
        >>> xent = crossent.SoftmaxCrossEntropy(reduction="sum")
        >>> grad, hess = xent.grad_and_hess(np.zeros((1, 2)), np.array([0]))
        >>> hess
        array([[0.25, 0.25]])
        """
        self.check_second_order("grad_and_hess", ("focal_gamma", "z_loss", "softcap"),
                                "its diagonal is not that of the rules", call_options)
        return self.second_order(logits, target, rule, None, out, call_options)

    def hessian_vector(self, logits, target, vector, *, out=None, **call_options):
        """The Hessian of the loss, with respect to the logits, times a vector.

        Exact, without forming the matrix: for a row with p = softmax(logits) and target t it is
        ``sum(t) * p * (v - p @ v)``, weighted as the gradient is. `z_loss` adds its own part.

        Parameters
        ----------
        logits, target
            As for `softmax_cross_entropy`.
        vector : ndarray of the logits' shape, any floating dtype that logits may have
            One v for each row.
        out : ndarray of the logits' shape and dtype, optional
            Receives the product. May be the logits or `vector` themselves.
        {options}

        Returns
        -------
        ndarray of the logits' shape and dtype
            Entries are accurate to a few units in the last place of p_j times the largest
            ``p_i |v_j - v_i|``. Rows that take no part get 0.

        Raises
        ------
        ValueError
            With `focal_gamma`, `focal_alpha` or `softcap`, whose Hessian is not of this form.

        Examples
        --------
        >>> xent = crossent.SoftmaxCrossEntropy(reduction="sum")
        >>> xent.hessian_vector(np.zeros((1, 2)), np.array([0]), np.array([[1.0, 0.0]]))
        array([[ 0.25, -0.25]])
        """
        self.check_second_order("hessian_vector", ("focal_gamma", "softcap"),
                                "its Hessian is not of the form p (v - <p, v>)", call_options)
        return self.second_order(logits, target, "exact", vector, out, call_options)

    cdef int check_second_order(self, str method, tuple undefined, str reason,
                                dict call_options) except -1:
        self.check_call(call_options, None, False)
        for name in ("accumulate", "return_aux"):
            if call_options.get(name):
                raise ValueError(f"{name} is set; expected it with value_and_grad, not with "
                                 f"{method}")
        for name in undefined:
            default = _options.SOFTMAX.defaults[name]
            if self._given.get(name, default) != default:
                raise ValueError(f"{method} with {name} is not defined: {reason}; expected a loss "
                                 "without it")
        if self._alpha is not None:
            raise ValueError(f"{method} with focal_alpha is not defined: {reason}; expected a loss "
                             "without it")
        return 0

    cdef object second_order(self, object logits, object target, object rule, object vector,
                             object out, dict extra):
        """Gradient and diagonal of the Hessian, or the Hessian times a vector."""
        cdef cnp.ndarray z = data_array(logits, target, "logits")
        cdef cnp.ndarray hess = None
        cdef cnp.ndarray v = None
        cdef crossent_softmax call
        cdef list keep = []
        too_many_dimensions(z, "logits")
        cdef int axis = normalize_axis(self._axis, cnp.PyArray_NDIM(z), "logits")
        cdef cnp.ndarray y = target_array(target, z, axis, "logits")
        cdef cnp.ndarray grad = output_array(out, z, y, "logits")
        cdef tuple per_class = self.prepare(&call, cnp.PyArray_DIM(z, axis))
        cdef int status
        describe(&call, z, y, axis, self._ignore, "logits")
        shape = row_shape(z, axis)
        view(&call.out, grad, axis)
        call.output = CROSSENT_GRADIENT
        if vector is None:
            hess = new_like(z)
            view(&call.hessian, hess, axis)
        else:
            v = vector_array(vector, z, grad)
            view(&call.vector, v, axis)
            call.output = CROSSENT_HESSIAN_VECTOR
        call.hessian_rule = <crossent_hessian><int>_check.one_of("rule", rule, ("exact", "upper", "friedman",
                                                                    "residual"))
        self.call_options(&call, extra, z, axis, shape, grad, keep)
        if not call.rows:
            self.divisor(0, 0, 0, 0)
        else:
            self.scale(&call, y, shape, extra, "logits")
            status = run_softmax(&call)
            if status:
                self.finish(status, &call, y, shape, extra)
        return grad if hess is None else (grad, hess)


cdef Py_ssize_t first_length(cnp.ndarray array, int axis) noexcept:
    """The length of the first axis but for the class axis; 1 where there is no other."""
    cdef int d
    for d in range(cnp.PyArray_NDIM(array)):
        if d != axis:
            return cnp.PyArray_DIM(array, d)
    return 1


cdef object row_shape(cnp.ndarray z, int axis):
    shape = (<object>z).shape
    return shape[:axis] + shape[axis + 1:]


cdef SoftmaxCrossEntropy plain_loss = SoftmaxCrossEntropy()
cdef Known known = Known(SoftmaxCrossEntropy, _options.SOFTMAX)


def softmax_cross_entropy(logits=None, target=None, *more, **options):
    """Cross-entropy of softmax(logits) and class indices or probabilities, in nats.

    The loss of a row x is ``logsumexp(x) - x[target]``: minus the logarithm of the probability that
    softmax(x) gives to the target. For a target of probabilities t it is
    ``sum(t * (logsumexp(x) - x))``. It is computed without cancellation and keeps full relative
    accuracy however confident the model is (docs/numerics.md).

    Parameters
    ----------
    logits : ndarray of float32, float64, float16 or bfloat16, shape (..., C, ...)
        What the model's last layer gives: any numbers, not probabilities. The 16-bit types are
        storage: computed in float32, rounded once.
    target : ndarray of any integer or floating-point dtype of at most 64 bits
        Class indices, 0 <= target < C, of the shape of `logits` without `axis`, not copied, not
        cast; or probabilities of the shape of `logits`, such as one-hot rows (also of integers or
        booleans, 0 or 1, which are converted, as 16-bit types are).
    {options}

    Returns
    -------
    loss : np.float64, or ndarray of the logits' dtype, one number for each row, for ``reduction="none"``
        The mean of no rows is NaN (see `empty`), their sum 0.
    aux : dict, only with `return_aux`

    Raises
    ------
    IndexError
        If a label is out of range; names the row, the value and C.
    TypeError, ValueError
        If an option, dtype, shape or value does not fit; names the argument, what was found and
        what was expected.
    FloatingPointError
        With ``nonfinite="raise"``.

    Notes
    -----
    A NaN in a row makes its loss NaN. ``-inf`` logits have probability 0; the loss is ``inf`` where
    the target is one of them, NaN where all are. One ``+inf`` logit has probability 1; more than
    one make the row NaN. A row that takes no part is not read: its loss and gradient are exactly 0,
    whatever it holds.

    For finite logits a loss is off by at most 2 units in the last place, a gradient entry by 4.
    The rules of all options, as one formula, are in docs/options.md. Given probabilities instead of
    logits, the result is a number, but not their cross-entropy: for those see
    `categorical_cross_entropy`.

    Examples
    --------
    >>> loss = crossent.softmax_cross_entropy(np.array([[17, 0, 0]], np.float32), np.array([0]))
    >>> f"{loss:.4g}"
    '8.28e-08'

    One-hot targets, and a rare class that weighs more:

    >>> logits = np.array([[2.0, 1.0, 0.1], [0.5, 0.3, 0.2]])
    >>> one_hot = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    >>> crossent.softmax_cross_entropy(logits, one_hot, reduction="none").round(4)
    array([0.417 , 1.2398])
    >>> round(float(crossent.softmax_cross_entropy(logits, np.array([0, 2]), class_weight=[1, 1, 5])), 4)
    1.1027
    """
    if more:
        known.refuse_more(more)
    if options:
        return value_of(known.run(logits, target, None, False, options))
    return plain_loss.run(logits, target, None, False, None)[0]


def softmax_cross_entropy_value_and_grad(logits=None, target=None, *more, out=None, **options):
    """Loss and its gradient with respect to the logits, in one pass.

    Parameters
    ----------
    logits, target
        As for `softmax_cross_entropy`.
    out : ndarray of the shape and dtype of `logits`, optional
        Receives the gradient. May be `logits` itself, which it then replaces. After an error its
        contents are undefined.
    {options}

    Returns
    -------
    loss : np.float64 or ndarray
        As `softmax_cross_entropy` returns it.
    grad : ndarray of the shape and dtype of `logits`
        Gradient of the loss; with ``reduction="none"`` that of the sum of all losses. It is `out`,
        if that is given.
    aux : dict, only with `return_aux`

    Raises
    ------
    IndexError, TypeError, ValueError, FloatingPointError
        As `softmax_cross_entropy` does; also for an `out` that does not fit, is read-only, or
        overlaps another argument in part.

    Examples
    --------
    >>> loss, grad = crossent.softmax_cross_entropy_value_and_grad(np.zeros((1, 4)), np.array([2]))
    >>> round(float(loss), 4), grad
    (1.3863, array([[ 0.25,  0.25, -0.75,  0.25]]))
    """
    if more:
        known.refuse_more(more, "_value_and_grad")
    if options:
        return known.run(logits, target, out, True, options, "_value_and_grad")
    return plain_loss.run(logits, target, out, True, None)


def softmax_cross_entropy_grad(logits=None, target=None, *more, out=None, **options):
    """Gradient of the loss with respect to the logits, without the loss.

    Parameters
    ----------
    logits, target, out
        As for `softmax_cross_entropy_value_and_grad`.
    {options}

    Returns
    -------
    grad : ndarray of the shape and dtype of `logits`
        What `softmax_cross_entropy_value_and_grad` gives.

    Raises
    ------
    IndexError, TypeError, ValueError, FloatingPointError
        As `softmax_cross_entropy_value_and_grad` does.

    Examples
    --------
    >>> crossent.softmax_cross_entropy_grad(np.zeros((1, 4)), np.array([2]))
    array([[ 0.25,  0.25, -0.75,  0.25]])
    """
    if more:
        known.refuse_more(more, "_grad")
    return known.gradient(logits, target, out, options)



_options.describe_loss(SoftmaxCrossEntropy, _options.SOFTMAX, softmax_cross_entropy,
                       softmax_cross_entropy_value_and_grad,
                       softmax_cross_entropy_grad)
