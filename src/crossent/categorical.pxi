# Cross-entropy from probabilities.

# Options of the class that softmax cross-entropy has too, with its meaning and its checks.
_FROM_SOFTMAX = ("axis", "class_weight", "ignore_index", "label_smoothing", "smoothing",
                 "smoothing_weight", "reduction", "normalizer", "empty", "threads")

CATEGORICAL_OPTIONS = {**{name: SOFTMAX_OPTIONS[name] for name in _FROM_SOFTMAX},
                       "clip": None, "normalize": False}


cdef int parse_clip(object clip, object dtype, double *low, double *high) except -1:
    """p is clipped to [low, 1 - high]."""
    low[0] = high[0] = 0
    if clip is None:
        return 0
    if clip == "torch":
        low[0] = math.exp(-100)
    elif clip == "keras":
        kind = np.float64 if dtype == np.float64 else np.float32
        low[0] = kind(1e-7)
        high[0] = kind(1) - (kind(1) - kind(1e-7))
    elif isinstance(clip, str):
        raise ValueError(f"clip is {clip!r}; expected None, a number, 'torch' or 'keras'")
    else:
        low[0] = high[0] = _check.number("clip", clip, 5e-324, 0.499)
    return 0


cdef object bad_probability(cnp.ndarray p, int axis, crossent_categorical *call):
    cdef object rows = row_shape(p, axis)
    cdef list index = list(np.unravel_index(call.rows.fault_row, rows)) if rows else []
    where = _errors.row_name(call.rows.fault_row, rows)
    if call.rows.fault_column == call.rows.classes:
        return ValueError(f"probs of {where} sum to 0; expected a positive sum to normalize by")
    index.insert(axis, call.rows.fault_column)
    expected = ("finite numbers, at least 0" if call.normalize else
                "0 <= p <= 1 (numbers of any size: softmax_cross_entropy)")
    return ValueError(f"probs of {where}, class {call.rows.fault_column}, is "
                      f"{(<object>p)[tuple(index)]}; expected {expected}")


cdef int run_categorical(crossent_categorical *call) noexcept:
    cdef int status
    with nogil:
        status = c_categorical(call)
    return status


cdef class CategoricalCrossEntropy(_Loss):
    """Cross-entropy from probabilities, options parsed once, forward and backward apart.

    Parameters
    ----------
    clip, normalize, axis, class_weight, ignore_index, label_smoothing, smoothing, \
smoothing_weight, reduction, normalizer, empty, threads
        As for `categorical_cross_entropy`.

    Notes
    -----
    `sample_weight`, `upstream` and `accumulate` are arguments of the methods.

    Examples
    --------
    >>> xent = crossent.CategoricalCrossEntropy(clip=1e-7)
    >>> loss, grad = xent.value_and_grad(np.array([[0.5, 0.25, 0.25]]), np.array([1]))
    >>> round(loss, 4), grad
    (1.3863, array([[ 0., -4.,  0.]]))
    """
    cdef SoftmaxCrossEntropy _shared
    cdef bint _normalize
    cdef object _clip

    def __init__(self, **options):
        cdef dict given = known_options(options, CATEGORICAL_OPTIONS, "CategoricalCrossEntropy")
        cdef double low, high
        self._clip = given.pop("clip")
        self._normalize = given.pop("normalize")
        parse_clip(self._clip, np.float64, &low, &high)
        self._shared = SoftmaxCrossEntropy(**given)
        given["nonfinite"] = "propagate"
        self.parse_common(options, given)
        self._axis = self._shared._axis

    cdef tuple run(self, object probs, object target, object out, bint gradient, dict extra):
        for name in ("class_mask", "return_aux"):
            if extra and name in extra:
                raise TypeError(f"{name!r} is not an option of categorical_cross_entropy")
        cdef cnp.ndarray p = floating_array(probs, "probs")
        try:
            return self.run_array(p, target, out, gradient, extra or {})
        except (TypeError, ValueError) as error:
            # The checks that all losses share call their first argument logits.
            raise type(error)(str(error).replace("logits", "probs")) from None

    cdef tuple run_array(self, cnp.ndarray p, object target, object out, bint gradient,
                         dict extra):
        cdef cnp.ndarray grad = None
        cdef cnp.ndarray losses = None
        cdef crossent_categorical call
        cdef crossent_softmax *rows = &call.rows
        cdef list keep = []
        cdef int status
        cdef double divisor
        too_many_dimensions(p)
        cdef int axis = normalize_axis(self._axis, cnp.PyArray_NDIM(p))
        cdef cnp.ndarray y = target_array(target, p, axis)
        self._shared.prepare(rows, cnp.PyArray_DIM(p, axis))
        call.normalize = self._normalize
        parse_clip(self._clip, (<object>p).dtype, &call.clip_low, &call.clip_high)
        describe(rows, p, y, axis, self._shared._ignore)
        shape = row_shape(p, axis)
        if gradient:
            grad = output_array(out, p, y)
            view(&rows.out, grad, axis)
            rows.output = CROSSENT_GRADIENT
        if self._reduction == NONE:
            losses = empty_of(p, shape)
            view(&rows.loss, losses, -1)
        self._shared.call_options(rows, extra, p, axis, shape, keep)
        divisor = 0
        if rows.rows:
            divisor = self._shared.scale(rows, y, shape, extra)
            status = run_categorical(&call)
            if status == CROSSENT_BAD_PROBABILITY:
                raise bad_probability(p, axis, &call)
            check(status, rows, y, shape)
        else:
            divisor = self.divisor(0, 0, 0)
        if losses is not None:
            return losses, grad
        return self.reduced(rows.total, divisor), grad


def categorical_cross_entropy(probs, target, **options):
    """Cross-entropy of given probabilities and class indices or soft targets, in nats.

    The loss of a row is ``-log(p[target])``, or ``sum(-t * log(p))`` for soft targets, where
    ``0 * log(0)`` is 0. Where the model's last layer is a softmax, `softmax_cross_entropy` of its
    input is more accurate: a probability that has been rounded to 1 or 0 has lost its loss.

    Parameters
    ----------
    probs : ndarray of float32, float64, float16 or bfloat16, shape (..., C, ...)
        Probabilities, 0 <= p <= 1.
    target : ndarray of any integer dtype, or of float32 or float64
        Class indices, shape of `probs` without `axis`; or soft targets of the shape of `probs`.
    clip : None, float, "torch" or "keras", default None
        None: exact, the loss of p = 0 is ``inf``. A number eps: p and 1 - p from below by eps, each
        on its own, so that eps = 1e-15 works in float32 too. "torch": the logarithm from
        below at -100. "keras": p to [1e-7, 1 - 1e-7] as rounded in its dtype. The gradient is that
        of the clipped function: 0 where p is clipped.
    normalize : bool, default False
        Divide each row by its sum first; `probs` may then be any finite numbers >= 0. The
        gradient is with respect to `probs` as given.
    axis, class_weight, sample_weight, ignore_index, label_smoothing, smoothing, \
smoothing_weight, reduction, normalizer, empty, upstream, accumulate, threads
        As for `softmax_cross_entropy`.

    Returns
    -------
    float, or ndarray of the dtype of `probs`, one number for each row, for ``reduction="none"``

    Raises
    ------
    ValueError
        If a number that is used is no probability or NaN; names row, class and value. With class
        indices, and without smoothing and `normalize`, only ``p[target]`` is read.
    IndexError
        If a label is out of range.
    TypeError
        If an option, dtype or shape does not fit.

    Notes
    -----
    A loss is off by at most 2 units in the last place. A tutorial's ``-log(p + 1e-15)`` is near to
    ``clip=1e-15``, which leaves the losses of larger probabilities as they are.

    Examples
    --------
    >>> p = np.array([[0.5, 0.25, 0.25], [0.0, 0.0, 1.0]])
    >>> crossent.categorical_cross_entropy(p, np.array([0, 2]), reduction="none").round(4)
    array([0.6931, 0.    ])
    >>> crossent.categorical_cross_entropy(p, np.array([0, 0]))
    inf
    """
    return value_of(run_options(CategoricalCrossEntropy, probs, target, None, False, options))


def categorical_cross_entropy_value_and_grad(probs, target, *, out=None, **options):
    """Loss and its gradient with respect to the probabilities, in one pass.

    Parameters
    ----------
    probs, target
        As for `categorical_cross_entropy`.
    out : ndarray of the shape and dtype of `probs`, optional
        Receives the gradient. May be `probs` itself, which it then replaces. After an error its
        contents are undefined.
    clip, normalize, axis, class_weight, sample_weight, ignore_index, label_smoothing, \
smoothing, smoothing_weight, reduction, normalizer, empty, upstream, accumulate, threads
        As for `categorical_cross_entropy`.

    Returns
    -------
    loss : float or ndarray
        As `categorical_cross_entropy` returns it.
    grad : ndarray of the shape and dtype of `probs`
        Gradient of the loss; with ``reduction="none"`` that of the sum of all losses. It is `out`,
        if that is given.

    Raises
    ------
    IndexError, TypeError, ValueError
        As `categorical_cross_entropy` does; also for an `out` that does not fit, is read-only, or
        overlaps another argument in part.

    Examples
    --------
    >>> p = np.array([[0.5, 0.25, 0.25]])
    >>> loss, grad = crossent.categorical_cross_entropy_value_and_grad(p, np.array([0]))
    >>> round(loss, 4), grad
    (0.6931, array([[-2.,  0.,  0.]]))
    """
    return run_options(CategoricalCrossEntropy, probs, target, out, True, options)
