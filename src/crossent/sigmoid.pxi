# Binary cross-entropy from logits, and what it shares with that from probabilities.

# Every option of the class and its default: what signatures, errors and tests derive from.
SIGMOID_OPTIONS = dict(
    pos_weight=None, ignore_index=None, nan_target="propagate", validate=False,
    label_smoothing=0.0, focal_gamma=0.0, focal_alpha=None,
    reduction="mean", normalizer=None, empty="nan", nonfinite="propagate", threads=None,
)


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


cdef int view_of_each(crossent_array *to, object value, str name, cnp.ndarray x,
                      list keep) except -1:
    """One float64 for each element of x, broadcast from `value`."""
    cdef cnp.ndarray array = _check.broadcast(
        name, value, (<object>x).shape,
        f"one that broadcasts to that of logits, {(<object>x).shape}")
    keep.append(array)
    view(to, array, cnp.PyArray_NDIM(array) - 1)
    return 0


cdef object parse_pos_weight(object value):
    if value is None:
        return None
    array = np.array(value, np.float64)
    _check.refuse_negative("pos_weight", array)
    return array


cdef object binary_target(object target):
    """Any real numbers of at most 64 bits."""
    cdef int kind
    if cnp.PyArray_Check(target):
        kind = cnp.PyArray_TYPE(<cnp.ndarray>target)
        if (cnp.PyTypeNum_ISINTEGER(kind) or kind == cnp.NPY_BOOL or kind == cnp.NPY_FLOAT
                or kind == cnp.NPY_DOUBLE) and cnp.PyArray_ISBEHAVED_RO(<cnp.ndarray>target):
            return target
    return _check.binary_target("target", target)


cdef class _BinaryLoss(_Loss):
    """What the binary losses share; `logits` are probabilities where `function` says so."""
    cdef bint _plain
    cdef crossent_elementwise _function
    cdef crossent_sigmoid_options _template
    cdef double _alpha[2]
    cdef object _pos_weight
    cdef object _ignore
    cdef object _clip
    cdef tuple _aux

    cdef int parse(self, dict options, dict given, crossent_elementwise function) except -1:
        cdef crossent_sigmoid_options *to = &self._template
        self.parse_common(options, given)
        memset(to, 0, sizeof(crossent_sigmoid_options))
        self._function = function
        self._pos_weight = parse_pos_weight(given["pos_weight"])
        self._ignore = _check.ignored("ignore_index", given["ignore_index"])
        if self._ignore is not None:
            to.ignore = <const int64_t *>cnp.PyArray_DATA(<cnp.ndarray>self._ignore)
            to.ignored = cnp.PyArray_SIZE(self._ignore)
        to.missing = _check.one_of("nan_target", given["nan_target"], ("propagate", "missing"))
        to.validate = bool(given["validate"])
        to.label_smoothing = _check.number("label_smoothing", given["label_smoothing"], 0, 1)
        to.focal_gamma = _check.number("focal_gamma", given["focal_gamma"], 0, 1e6)
        if given["focal_alpha"] is not None:
            self._alpha[1] = _check.number("focal_alpha", given["focal_alpha"], 0, 1)
            self._alpha[0] = 1 - self._alpha[1]
            to.focal_alpha = self._alpha
        to.nonfinite = self.nonfinite()
        return 0

    cdef tuple run(self, object logits, object target, object out, bint gradient, dict extra):
        cdef cnp.ndarray x = floating_array(logits, "logits")
        cdef cnp.ndarray y = binary_target(target)
        cdef cnp.ndarray grad = None
        cdef cnp.ndarray losses = None
        cdef dict aux = None
        cdef list keep = None
        cdef crossent_sigmoid call
        cdef crossent_sigmoid_options options
        cdef double divisor
        cdef int status, last = cnp.PyArray_NDIM(x) - 1
        too_many_dimensions(x)
        if not same_shape(x, y):
            raise _errors.element_shape("target", y, "logits", (<object>x).shape)
        memset(&call, 0, sizeof(call))
        call.function = self._function
        call.threads = self._threads
        sigmoid_shape(&call, x)
        view(&call.logits, x, last)
        view(&call.target, y, last)
        if gradient:
            grad = output_array(out, x, y)
            view(&call.out, grad, last)
        if self._reduction == NONE:
            losses = new_like(x)
            view(&call.loss, losses, last)
        if extra or not self._plain:
            keep = []
            options = self._template
            aux = self.call_options(&options, extra or {}, x, keep)
            if (not self._plain or options.sample_weight.data or options.upstream.data
                    or options.accumulate or aux is not None):
                call.options = &options
        call.weight = call.count = call.rows * call.classes
        if call.count:
            divisor = self.weigh(&call, x, y)
            call.coefficient = 0 if divisor == 0 else self.upstream(extra) / divisor
            status = run_sigmoid(&call)
            if status:
                self.check_elements(status, &call, x, y)
        else:
            divisor = self.divisor(0, 0, 0)
        loss = losses
        if losses is None:
            loss = self.reduced(call.total, divisor)
        if aux is None:
            return loss, grad
        aux.update(count=call.count, weight=call.weight)
        return loss, grad, aux

    @cython.final
    cdef double weigh(self, crossent_sigmoid *call, cnp.ndarray x, cnp.ndarray y) except? -1:
        """The divisor of the mean; a pass over targets and weights only where they decide it."""
        cdef int status
        cdef const crossent_sigmoid_options *o = call.options
        if o != NULL and (o.ignored or o.missing or o.validate or o.sample_weight.data != NULL):
            with nogil:
                status = crossent_weigh_sigmoid(call)
            if status:
                self.check_elements(status, call, x, y)
        return self.divisor(call.weight, call.count, call.rows * call.classes)

    @cython.final
    cdef int check_elements(self, int status, crossent_sigmoid *call, cnp.ndarray x,
                            cnp.ndarray y) except -1:
        """The one place where a status of the elementwise losses becomes an exception."""
        if status == CROSSENT_NO_MEMORY:
            raise _errors.no_memory()
        element = _errors.element_name("logits", (<object>x).shape, call.fault_element)
        if status == CROSSENT_BAD_LOGITS:
            text = (f"{call.faults} logit{'s are' if call.faults > 1 else ' is'} not finite; the "
                    f"first is {element}, {call.fault_value}")
            if self._nonfinite != 3:
                raise FloatingPointError(text)
            warnings.warn(text, RuntimeWarning, stacklevel=1)
            return 0
        if status == CROSSENT_BAD_WEIGHT:
            raise ValueError(f"sample_weight of {element} is {call.fault_value}; expected >= 0")
        if status == CROSSENT_BAD_PROBABILITY:
            raise ValueError(f"{element} is {call.fault_value}; expected 0 <= logits <= 1 "
                             "(numbers of any size: sigmoid_cross_entropy)")
        target = _errors.element_name("target", (<object>x).shape, call.fault_element)
        raise ValueError(f"{target} is {call.fault_value}; expected 0 <= target <= 1")

    cdef dict call_options(self, crossent_sigmoid_options *to, dict extra, cnp.ndarray x,
                           list keep):
        """Options of one call; returns the dict of what `return_aux` names, or None."""
        upstream = extra.get("upstream")
        if extra.get("class_mask") is not None:
            raise TypeError(f"'class_mask' is not an option of {type(self).__name__}; it has no "
                            "classes (leave elements out with sample_weight=0)")
        if self._pos_weight is not None:
            view_of_each(&to.pos_weight, self._pos_weight, "pos_weight", x, keep)
        if extra.get("sample_weight") is not None:
            view_of_each(&to.sample_weight, extra["sample_weight"], "sample_weight", x, keep)
        if upstream is not None and np.ndim(upstream):
            if self._reduction != NONE:
                raise ValueError("upstream is one number for each element; expected a scalar with "
                                 "reduction='mean' or 'sum'")
            view_of_each(&to.upstream, upstream, "upstream", x, keep)
        to.accumulate = bool(extra.get("accumulate", False))
        if "vector" in extra:
            vector = vector_array(extra["vector"], x, extra["product"])
            view_of_each(&to.vector, vector, "vector", x, keep)
            view(&to.hessian, extra["product"], cnp.PyArray_NDIM(x) - 1)
            return {}
        if "rule" in extra:
            to.hessian_rule = <crossent_hessian><int>extra["rule"]
            return self.aux_arrays(to, ("hessian",), ("hessian",), x)
        names = extra.get("return_aux")
        if not names:
            return None
        return self.aux_arrays(to, (names,) if isinstance(names, str) else names, self._aux, x)

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
    """Binary cross-entropy from logits, options parsed once, forward and backward apart.

    Parameters
    ----------
    pos_weight, ignore_index, nan_target, validate, label_smoothing, focal_gamma, focal_alpha, \
reduction, normalizer, empty, nonfinite, threads
        As for `sigmoid_cross_entropy`.

    Notes
    -----
    `sample_weight`, `upstream`, `accumulate` and `return_aux` are arguments of the methods.

    Examples
    --------
    >>> bce = crossent.SigmoidCrossEntropy()
    >>> loss, grad = bce.value_and_grad(np.array([0.0, 3.0]), np.array([1, 1]))
    >>> round(loss, 4), grad.round(4)
    (0.3709, array([-0.25  , -0.0237]))
    """

    def __init__(self, **options):
        cdef dict given = known_options(options, SIGMOID_OPTIONS, "SigmoidCrossEntropy")
        self.parse(options, given, CROSSENT_SIGMOID_CROSS_ENTROPY)
        self._aux = ("probability", "correct")
        self._plain = not options.keys() - {"reduction", "normalizer", "empty", "threads"}

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
        **call_options
            `sample_weight`, `upstream`, as for `value_and_grad`.

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
        **call_options
            `sample_weight`, `upstream`, as for `value_and_grad`.

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
        cdef cnp.ndarray x = floating_array(logits, "logits")
        self.check_second_order("hessian_vector", call_options)
        call_options["vector"] = vector
        call_options["product"] = output_array(out, x, binary_target(target))
        self.run(x, target, None, False, call_options)
        return call_options["product"]

    cdef int check_second_order(self, str method, dict call_options) except -1:
        check_call_options(call_options)
        if call_options.get("accumulate"):
            raise ValueError("accumulate is set; expected it with value_and_grad, not with "
                             f"{method}")
        if self._template.focal_gamma != 0:
            raise ValueError(f"{method} with focal_gamma is not defined: its second derivative is "
                             "not that of the rules; expected a loss without it")
        if call_options.get("return_aux"):
            raise TypeError(f"'return_aux' is not an option of {method}")
        return 0


cdef SigmoidCrossEntropy default_sigmoid = SigmoidCrossEntropy()


def sigmoid_cross_entropy(logits, target, **options):
    """Binary cross-entropy of sigmoid(logits) and targets, element by element, in nats.

    Also known as binary cross-entropy with logits. The loss of an element is
    ``target * softplus(-x) + (1 - target) * softplus(x)``, with full relative accuracy for both
    targets at any confidence.

    Parameters
    ----------
    logits : ndarray of float32, float64, float16 or bfloat16, any shape
        The 16-bit types are storage: computed in float32, rounded once.
    target : ndarray of the same shape; bool, any integer or floating-point dtype up to 64 bits
        0 or 1, or a probability between (labels -1 and 1: ``(target + 1) / 2``). Other numbers give
        what the formula says, unless `validate`.
    pos_weight : array_like, optional
        Factor >= 0 of ``target * softplus(-x)``, against rare ones: a number, or what broadcasts to
        the logits, such as one number for each entry of the last axis.
    sample_weight : array_like, optional
        Factor of the whole loss, >= 0; broadcasts to the logits.
    ignore_index : int or several, optional
        Targets whose elements take no part.
    nan_target : {"propagate", "missing"}, default "propagate"
        "missing": elements whose target is NaN take no part.
    validate : bool, default False
        Targets that take part must lie in [0, 1].
    label_smoothing : float, default 0
        The target moves by this share of its way to 1/2: ``y * (1 - e) + e / 2``.
    focal_gamma : float, default 0
        ``target * (1 - p)**gamma * softplus(-x) + (1 - target) * p**gamma * softplus(x)``,
        p = sigmoid(x). Any gamma >= 0 has finite gradients.
    focal_alpha : float, optional
        Factor of the first of these terms; 1 - alpha is that of the second.
    reduction : {"mean", "sum", "none"}, default "mean"
        Mean over elements, sum, or one loss per element. The mean divides by the sum of the
        sample weights that took part (their number, where there are none); `pos_weight` and
        `focal_alpha` do not enter it.
    normalizer : {"weight", "valid", "batch"} or float, optional
        Another divisor of the mean: that sum, the number of elements that took part, the number
        of all elements, or a number.
    empty : {"nan", "zero", "raise"}, default "nan"
        What the mean is where nothing takes part.
    nonfinite : {"propagate", "zero", "raise", "warn"}, default "propagate"
        What becomes of logits that are NaN or infinite: what the formula gives; loss and gradient 0
        (the element still counts); FloatingPointError, or RuntimeWarning, with their number and
        the first one's index.
    upstream : float, or array_like with ``reduction="none"``, default 1
        The gradient is multiplied by it; an array broadcasts to the logits.
    accumulate : bool, default False
        Add the gradient to `out` instead of replacing it.
    return_aux : str or several of "probability", "correct", optional
        Returns in addition a dict of: sigmoid(x), NaN where an element takes no part; whether
        ``x > 0`` is ``target > 1/2``; and always "count" and "weight" of the elements that took
        part.
    threads : int, default `get_num_threads()`
        Threads for this call. The result does not depend on it.

    Returns
    -------
    loss : float, or ndarray of the logits' dtype and shape for ``reduction="none"``
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
    of the two terms whose difference it is where the target lies between 0 and 1. With
    `focal_gamma` g float64 losses add an error of g times the logarithm of the focal factor's base.

    Examples
    --------
    >>> round(crossent.sigmoid_cross_entropy(np.array([-2.0, 2.0]), np.array([0, 0])), 4)
    1.1269
    >>> x, y = np.array([1.0, np.nan, -3.0]), np.array([1, -1, 0])
    >>> crossent.sigmoid_cross_entropy(x, y, ignore_index=-1, reduction="none").round(4)
    array([0.3133, 0.    , 0.0486])
    """
    if options:
        return value_of(run_options(SigmoidCrossEntropy, logits, target, None, False, options))
    return default_sigmoid.run(logits, target, None, False, None)[0]


def sigmoid_cross_entropy_value_and_grad(logits, target, *, out=None, **options):
    """Loss and its gradient with respect to the logits, in one pass.

    Parameters
    ----------
    logits, target
        As for `sigmoid_cross_entropy`.
    out : ndarray of the shape and dtype of `logits`, optional
        Receives the gradient. May be `logits` itself, which it then replaces. After an error its
        contents are undefined.
    pos_weight, sample_weight, ignore_index, nan_target, validate, label_smoothing, focal_gamma, \
focal_alpha, reduction, normalizer, empty, nonfinite, upstream, accumulate, return_aux, threads
        As for `sigmoid_cross_entropy`.

    Returns
    -------
    loss : float or ndarray
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
    >>> round(loss, 4), grad
    (0.6931, array([ 0.25, -0.25]))
    """
    if options:
        return run_options(SigmoidCrossEntropy, logits, target, out, True, options)
    return default_sigmoid.run(logits, target, out, True, None)
