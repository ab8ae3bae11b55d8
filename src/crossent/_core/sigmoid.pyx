"""Binary cross-entropy from logits, and what it shares with that from probabilities."""
cimport cython
from libc.string cimport memset

from crossent._core.arrays cimport *
from crossent._core.loss cimport *
from crossent._core.softmax cimport first_length

import warnings

import numpy as np

from .. import _check, _errors, _options

cnp.import_array()


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


cdef int view_of_each(crossent_array *to, object value, str name, cnp.ndarray x, str like,
                      cnp.ndarray out, list keep) except -1:
    """One float64 for each element of x, broadcast from `value`; apart from `out` in memory."""
    cdef cnp.ndarray array = _check.broadcast(
        name, value, (<object>x).shape,
        f"one that broadcasts to that of {like}, {(<object>x).shape}")
    keep.append(array)
    check_disjoint(out, array, name)
    view(to, array, cnp.PyArray_NDIM(array) - 1)
    return 0


cdef object binary_target(object target):
    """Any real numbers of at most 64 bits."""
    cdef int kind
    if cnp.PyArray_CheckExact(target):
        kind = cnp.PyArray_TYPE(<cnp.ndarray>target)
        if (cnp.PyTypeNum_ISINTEGER(kind) or kind == cnp.NPY_BOOL or kind == cnp.NPY_FLOAT
                or kind == cnp.NPY_DOUBLE) and cnp.PyArray_ISBEHAVED_RO(<cnp.ndarray>target):
            return target
    return _check.binary_target("target", target)


cdef class _BinaryLoss(_Loss):
    """What the binary losses share; `logits` are probabilities where `function` says so."""

    cdef dict parse_binary(self, object table, dict options, crossent_elementwise function):
        cdef dict parsed = self.parse(table, options)
        cdef crossent_sigmoid_options *to = &self._template
        memset(to, 0, sizeof(crossent_sigmoid_options))
        self._function = function
        self._name = table.data
        self._pos_weight = parsed["pos_weight"]
        self._ignore = parsed["ignore_index"]
        if self._ignore is not None:
            to.ignore = <const int64_t *>cnp.PyArray_DATA(<cnp.ndarray>self._ignore)
            to.ignored = cnp.PyArray_SIZE(self._ignore)
        to.missing = parsed["nan_target"]
        to.validate = parsed["validate"]
        to.label_smoothing = parsed["label_smoothing"]
        to.focal_gamma = parsed["focal_gamma"]
        if parsed["focal_alpha"] is not None:
            self._alpha[1] = parsed["focal_alpha"]
            self._alpha[0] = 1 - self._alpha[1]
            to.focal_alpha = self._alpha
        to.nonfinite = self.nonfinite()
        return parsed

    cdef tuple run(self, object logits, object target, object out, bint gradient, dict extra):
        cdef cnp.ndarray x = data_array(logits, target, self._name)
        cdef cnp.ndarray y = binary_target(target)
        cdef cnp.ndarray grad = None
        cdef cnp.ndarray losses = None
        cdef dict aux = None
        cdef list keep = None
        cdef crossent_sigmoid call
        cdef crossent_sigmoid_options options
        cdef double divisor
        cdef int status, last = cnp.PyArray_NDIM(x) - 1
        self.check_made()
        too_many_dimensions(x, self._name)
        if cnp.PyArray_NDIM(y) == 0 and cnp.PyArray_NDIM(x) > 0:
            y = np.broadcast_to(y, (<object>x).shape)
        if not same_shape(x, y):
            raise _errors.element_shape("target", y, self._name, (<object>x).shape)
        memset(&call, 0, sizeof(call))
        call.function = self._function
        call.threads = self._threads
        sigmoid_shape(&call, x)
        view(&call.logits, x, last)
        view(&call.target, y, last)
        if gradient:
            grad = output_array(out, x, y, self._name)
            if self._function == CROSSENT_BINARY_CROSS_ENTROPY and overwrites(grad, x, extra):
                near = _check.near_probabilities(x, self._clip is not None, False)
                x = x if near is None else near
                view(&call.logits, x, last)
            view(&call.out, grad, last)
        if self._reduction == NONE:
            losses = new_like(x)
            view(&call.loss, losses, last)
        if extra or not self._plain:
            keep = []
            options = self._template
            aux = self.call_options(&options, extra or {}, x, grad, keep)
            if (not self._plain or options.sample_weight.data or options.upstream.data
                    or options.accumulate or aux is not None):
                call.options = &options
        call.weight = call.count = call.rows * call.classes
        if call.count:
            divisor = self.weigh(&call, x)
            call.coefficient = 0 if divisor == 0 else self.upstream(extra) / divisor
            status = run_sigmoid(&call)
            if status == CROSSENT_BAD_PROBABILITY:
                near = _check.near_probabilities(x, self._clip is not None, False)
                if near is not None:
                    return self.run(near, y, grad, gradient, extra)
            if status:
                self.finish(status, &call, x)
        else:
            divisor = self.divisor(0, 0, 0, first_length(x, -1))
        loss = losses
        if losses is None:
            loss = self.reduced(call.total, divisor)
        if aux is None:
            return loss, grad
        aux.update(count=call.count, weight=call.weight)
        return loss, grad, aux

    cdef double weigh(self, crossent_sigmoid *call, cnp.ndarray x) except? -1:
        """The divisor of the mean; a pass over targets and weights only where they decide it."""
        cdef int status
        cdef const crossent_sigmoid_options *o = call.options
        if o != NULL and (o.ignored or o.missing or o.validate or o.sample_weight.data != NULL):
            with nogil:
                status = crossent_weigh_sigmoid(call)
            if status:
                self.finish(status, call, x)
        return self.divisor(call.weight, call.count, call.rows * call.classes,
                            first_length(x, -1))

    cdef object each_upstream(self, object upstream):
        return _check.broadcast("upstream", upstream, (<object>self._kept).shape,
                                f"one that broadcasts to that of {self._name}")

    cdef int finish(self, int status, crossent_sigmoid *call, cnp.ndarray x) except -1:
        """An exception, or a warning."""
        found = elements_found(call, self._name, (<object>x).shape)
        if status == CROSSENT_BAD_LOGITS and self._nonfinite == WARN:
            warnings.warn(str(_errors.of_status(status, found)), RuntimeWarning, stacklevel=1)
            return 0
        return refuse(status, found)

    cdef dict call_options(self, crossent_sigmoid_options *to, dict extra, cnp.ndarray x,
                           cnp.ndarray out, list keep):
        """Options of one call; returns the dict of what `return_aux` names, or None."""
        upstream = extra.get("upstream")
        if "vector" in extra:
            out = extra["product"]
        keep.append(self._ignore)
        if self._pos_weight is not None:
            view_of_each(&to.pos_weight, self._pos_weight, "pos_weight", x, self._name, out, keep)
        if extra.get("sample_weight") is not None:
            view_of_each(&to.sample_weight, extra["sample_weight"], "sample_weight", x, self._name, out, keep)
        if upstream is not None and np.ndim(upstream):
            if self._reduction != NONE:
                raise ValueError("upstream is one number for each element; expected a scalar with "
                                 "reduction='mean' or 'sum'")
            view_of_each(&to.upstream, upstream, "upstream", x, self._name, out, keep)
        to.accumulate = bool(extra.get("accumulate", False))
        if "vector" in extra:
            vector = vector_array(extra["vector"], x, extra["product"])
            view_of_each(&to.vector, vector, "vector", x, self._name, None, keep)
            view(&to.hessian, extra["product"], cnp.PyArray_NDIM(x) - 1)
            return {}
        if "rule" in extra:
            to.hessian_rule = <crossent_hessian><int>extra["rule"]
            return self.aux_arrays(to, ("hessian",), ("hessian",), x)
        names = extra.get("return_aux")
        if not names:
            return None
        return self.aux_arrays(to, _check.names("return_aux", names), self._aux, x)

    cdef dict aux_arrays(self, crossent_sigmoid_options *to, object names, tuple known,
                         cnp.ndarray x):
        cdef dict aux = {}
        cdef cnp.ndarray array
        cdef int last = cnp.PyArray_NDIM(x) - 1
        for name in names:
            _check.one_of("return_aux", name, known)
            if name == "correct":
                array = np.empty_like(x, bool)
                view(&to.correct, array, last)
            else:
                array = new_like(x)
                view(&to.hessian if name == "hessian" else &to.probability, array, last)
            aux[name] = array
        return aux


cdef class SigmoidCrossEntropy(_BinaryLoss):
    __doc__ = _options.class_doc(
        _options.SIGMOID,
        "Binary cross-entropy from logits, options parsed once, forward and backward apart.",
        """
        Examples
        --------
        >>> bce = crossent.SigmoidCrossEntropy()
        >>> loss, grad = bce.value_and_grad(np.array([0.0, 3.0]), np.array([1, 1]))
        >>> round(float(loss), 4), grad.round(4)
        (0.3709, array([-0.25  , -0.0237]))
        """)
    __signature__ = _options.ClassSignature(_options.SIGMOID)

    def __init__(self, **options):
        self.parse_binary(_options.SIGMOID, options, CROSSENT_SIGMOID_CROSS_ENTROPY)
        self._aux = ("probability", "correct")
        self._plain = not options.keys() - {"reduction", "normalizer", "empty", "threads"}

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
        """Gradient and second derivative of each element, for boosting and Newton steps.

        Parameters
        ----------
        logits, target
            As for `sigmoid_cross_entropy`.
        rule : {"exact", "upper", "friedman", "residual"}, default "exact"
            With p = sigmoid(logits): ``p (1 - p)``; ``2 p (1 - p)``; ``K / (K - 1) p (1 - p)``,
            which is the same for the K = 2 classes here; or ``|p - target|``. Weights multiply it
            as they do the gradient.
        out : ndarray of the logits' shape and dtype, optional
            Receives the gradient. May be the logits themselves.
        {options}

        Returns
        -------
        grad, hess : ndarray of the logits' shape and dtype

        Raises
        ------
        ValueError
            With `focal_gamma`, whose second derivative is not of this form.

        Examples
        --------
        >>> bce = crossent.SigmoidCrossEntropy(reduction="sum")
        >>> bce.grad_and_hess(np.zeros(2), np.array([0, 1]))
        (array([ 0.5, -0.5]), array([0.25, 0.25]))
        """
        self.check_second_order("grad_and_hess", call_options)
        call_options["rule"] = _check.one_of("rule", rule, ("exact", "upper", "friedman", "residual"))
        _, grad, aux = self.run(logits, target, out, True, call_options)
        return grad, aux["hessian"]

    def hessian_vector(self, logits, target, vector, *, out=None, **call_options):
        """The Hessian of the loss, with respect to the logits, times a vector.

        The Hessian is diagonal: ``p (1 - p) * vector``, p = sigmoid(logits), weighted as the
        gradient is.

        Parameters
        ----------
        logits, target
            As for `sigmoid_cross_entropy`.
        vector : ndarray of the logits' shape
        out : ndarray of the logits' shape and dtype, optional
            Receives the product. May be the logits or `vector` themselves.
        {options}

        Returns
        -------
        ndarray of the logits' shape and dtype

        Raises
        ------
        ValueError
            With `focal_gamma`, whose second derivative is not of this form.

        Examples
        --------
        >>> bce = crossent.SigmoidCrossEntropy(reduction="sum")
        >>> bce.hessian_vector(np.zeros(2), np.array([0, 1]), np.array([1.0, -2.0]))
        array([ 0.25, -0.5 ])
        """
        cdef cnp.ndarray x = data_array(logits, target, "logits")
        self.check_second_order("hessian_vector", call_options)
        call_options["vector"] = vector
        call_options["product"] = output_array(out, x, binary_target(target), "logits")
        self.run(x, target, None, False, call_options)
        return call_options["product"]

    cdef int check_second_order(self, str method, dict call_options) except -1:
        self.check_call(call_options, None, False)
        if call_options.get("accumulate"):
            raise ValueError("accumulate is set; expected it with value_and_grad, not with "
                             f"{method}")
        if self._template.focal_gamma != 0:
            raise ValueError(f"{method} with focal_gamma is not defined: its second derivative is "
                             "not that of the rules; expected a loss without it")
        if call_options.get("return_aux"):
            raise TypeError(f"'return_aux' is not an option of {method}")
        return 0


cdef SigmoidCrossEntropy plain_loss = SigmoidCrossEntropy()
cdef Known known = Known(SigmoidCrossEntropy, _options.SIGMOID)


def sigmoid_cross_entropy(logits=None, target=None, *more, **options):
    """Binary cross-entropy of sigmoid(logits) and targets, element by element, in nats.

    Also known as binary cross-entropy with logits. The loss of an element is
    ``target * softplus(-x) + (1 - target) * softplus(x)``, with full relative accuracy for both
    targets at any confidence.

    Parameters
    ----------
    logits : ndarray of float32, float64, float16 or bfloat16, any shape
        The 16-bit types are storage: computed in float32, rounded once.
    target : ndarray of the same shape, or one number for all; bool, any integer or floating-point dtype up to 64 bits
        0 or 1, or a probability between (labels -1 and 1: ``(target + 1) / 2``). Other numbers give
        what the formula says, unless `validate`.
    {options}

    Returns
    -------
    loss : np.float64, or ndarray of the logits' dtype and shape for ``reduction="none"``
    aux : dict, only with `return_aux`

    Raises
    ------
    TypeError, ValueError
        If a dtype, shape or value does not fit; names the argument, what was found and what was
        expected.
    FloatingPointError
        With ``nonfinite="raise"``.

    Notes
    -----
    For infinite logits the loss is 0 on the target's side and ``inf`` on the other. NaN gives NaN.
    An element that takes no part (ignored, missing, or of sample weight 0) is not looked at: its
    loss and gradient are exactly 0, whatever its logit is.

    Errors stay within 2 units in the last place for the loss and 4 for the gradient, of the larger
    of the two terms whose difference it is where the target lies between 0 and 1, with any options
    and `focal_gamma` up to 5.

    Examples
    --------
    >>> round(float(crossent.sigmoid_cross_entropy(np.array([-2.0, 2.0]), np.array([0, 0]))), 4)
    1.1269
    >>> x, y = np.array([1.0, np.nan, -3.0]), np.array([1, -1, 0])
    >>> crossent.sigmoid_cross_entropy(x, y, ignore_index=-1, reduction="none").round(4)
    array([0.3133, 0.    , 0.0486])
    """
    if more:
        known.refuse_more(more)
    if options:
        return value_of(known.run(logits, target, None, False, options))
    return plain_loss.run(logits, target, None, False, None)[0]


def sigmoid_cross_entropy_value_and_grad(logits=None, target=None, *more, out=None, **options):
    """Loss and its gradient with respect to the logits, in one pass.

    Parameters
    ----------
    logits, target
        As for `sigmoid_cross_entropy`.
    out : ndarray of the shape and dtype of `logits`, optional
        Receives the gradient. May be `logits` itself, which it then replaces. After an error its
        contents are undefined.
    {options}

    Returns
    -------
    loss : np.float64 or ndarray
        As `sigmoid_cross_entropy` returns it.
    grad : ndarray of the shape and dtype of `logits`
        Gradient of the loss; with ``reduction="none"`` that of the sum of all losses. It is `out`,
        if that is given.
    aux : dict, only with `return_aux`

    Raises
    ------
    TypeError, ValueError, FloatingPointError
        As `sigmoid_cross_entropy` does; also for an `out` that does not fit, is read-only, or
        overlaps another argument in part.

    Examples
    --------
    >>> loss, grad = crossent.sigmoid_cross_entropy_value_and_grad(np.zeros(2), np.array([0, 1]))
    >>> round(float(loss), 4), grad
    (0.6931, array([ 0.25, -0.25]))
    """
    if more:
        known.refuse_more(more, "_value_and_grad")
    if options:
        return known.run(logits, target, out, True, options, "_value_and_grad")
    return plain_loss.run(logits, target, out, True, None)


def sigmoid_cross_entropy_grad(logits=None, target=None, *more, out=None, **options):
    """Gradient of the loss with respect to the logits, without the loss.

    Parameters
    ----------
    logits, target, out
        As for `sigmoid_cross_entropy_value_and_grad`.
    {options}

    Returns
    -------
    grad : ndarray of the shape and dtype of `logits`
        What `sigmoid_cross_entropy_value_and_grad` gives.

    Raises
    ------
    TypeError, ValueError, FloatingPointError
        As `sigmoid_cross_entropy_value_and_grad` does.

    Examples
    --------
    >>> crossent.sigmoid_cross_entropy_grad(np.zeros(2), np.array([0, 1]))
    array([ 0.25, -0.25])
    """
    if more:
        known.refuse_more(more, "_grad")
    return known.gradient(logits, target, out, options)



_options.describe_loss(SigmoidCrossEntropy, _options.SIGMOID, sigmoid_cross_entropy,
                       sigmoid_cross_entropy_value_and_grad,
                       sigmoid_cross_entropy_grad)
