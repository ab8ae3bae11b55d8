"""Cross-entropy from probabilities."""
from libc.string cimport memset

from crossent._core.arrays cimport *
from crossent._core.loss cimport *
from crossent._core.softmax cimport *

import math

import numpy as np

from .. import _check, _errors, _options

cnp.import_array()


cdef int clip_bounds(object clip, object dtype, double *low, double *high) except -1:
    """p is clipped to [low, 1 - high]."""
    low[0] = high[0] = 0
    if clip == "torch":
        low[0] = math.exp(-100)
    elif clip == "keras":
        kind = np.float64 if dtype == np.float64 else np.float32
        low[0] = kind(1e-7)
        high[0] = kind(1) - (kind(1) - kind(1e-7))
    elif clip is not None:
        low[0] = high[0] = clip
    return 0


cdef object probability_found(crossent_categorical *call, cnp.ndarray p, int axis):
    """Where a call found what is no probability."""
    shape = row_shape(p, axis)
    found = rows_found(&call.rows, "probs", None, shape)
    found.normalize = call.normalize
    if found.column < found.classes:
        index = list(np.unravel_index(found.row, shape)) if shape else []
        index.insert(axis, found.column)
        found.value = (<object>p)[tuple(index)]
    return found


cdef int run_categorical(crossent_categorical *call) noexcept:
    cdef int status
    with nogil:
        status = c_categorical(call)
    return status


cdef class CategoricalCrossEntropy(_Loss):
    __doc__ = _options.class_doc(
        _options.CATEGORICAL,
        "Cross-entropy from probabilities, options parsed once, forward and backward apart.",
        """
        Examples
        --------
        >>> xent = crossent.CategoricalCrossEntropy(clip=1e-7)
        >>> loss, grad = xent.value_and_grad(np.array([[0.5, 0.25, 0.25]]), np.array([1]))
        >>> round(float(loss), 4), grad
        (1.3863, array([[ 0., -4.,  0.]]))
        """)
    __signature__ = _options.ClassSignature(_options.CATEGORICAL)
    cdef SoftmaxCrossEntropy _shared
    cdef bint _normalize
    cdef object _clip

    def __init__(self, **options):
        cdef dict parsed = self.parse(_options.CATEGORICAL, options)
        self._clip = parsed["clip"]
        self._normalize = parsed["normalize_rows"]
        self._shared = SoftmaxCrossEntropy(**{name: value for name, value in options.items()
                                              if name not in ("clip", "normalize_rows")})

    def __call__(self, probs=None, target=None, *more, **call_options):
        """The loss alone, as the function of these options gives it."""
        return self.value(probs, target, more, call_options)

    def forward(self, probs=None, target=None, *more, **call_options):
        refuse_more(self, more)
        return self.kept_forward(probs, target, call_options)

    def value_and_grad(self, probs=None, target=None, *more, out=None, **call_options):
        refuse_more(self, more)
        return self.fused(probs, target, out, call_options)

    def grad(self, probs=None, target=None, *more, out=None, **call_options):
        refuse_more(self, more)
        return self.gradient(probs, target, out, call_options)

    cdef object near(self, cnp.ndarray p):
        """The probabilities with those at the bounds that rounding, or `clip`, has put there; None
        where there are none."""
        return _check.near_probabilities(p, self._clip is not None, self._normalize)

    cdef tuple run(self, object probs, object target, object out, bint gradient, dict extra):
        cdef cnp.ndarray p = data_array(probs, target, "probs")
        cdef cnp.ndarray grad = None
        cdef cnp.ndarray losses = None
        cdef crossent_categorical call
        cdef crossent_softmax *rows = &call.rows
        cdef list keep = []
        cdef int status
        cdef double divisor
        extra = extra or {}
        self.check_made()
        too_many_dimensions(p, "probs")
        cdef int axis = normalize_axis(self._axis, cnp.PyArray_NDIM(p), "probs")
        cdef cnp.ndarray y = target_array(target, p, axis, "probs")
        cdef tuple per_class = self._shared.prepare(rows, cnp.PyArray_DIM(p, axis))
        call.normalize = self._normalize
        clip_bounds(self._clip, (<object>p).dtype, &call.clip_low, &call.clip_high)
        describe(rows, p, y, axis, self._shared._ignore, "probs")
        shape = row_shape(p, axis)
        if gradient:
            grad = output_array(out, p, y, "probs")
            if overwrites(grad, p, extra):
                near = self.near(p)
                p = p if near is None else near
                view(&rows.logits, p, axis)
            view(&rows.out, grad, axis)
            rows.output = CROSSENT_GRADIENT
        if self._reduction == NONE:
            losses = empty_of(p, shape)
            view(&rows.loss, losses, -1)
        self._shared.call_options(rows, extra, p, axis, shape, grad, keep)
        divisor = 0
        if rows.rows:
            divisor = self._shared.scale(rows, y, shape, extra, "probs")
            status = run_categorical(&call)
            if status == CROSSENT_BAD_PROBABILITY:
                near = self.near(p)
                if near is not None:
                    return self.run(near, y, grad, gradient, extra)
                refuse(status, probability_found(&call, p, axis))
            elif status:
                refuse(status, rows_found(rows, "probs", y, shape))
        else:
            divisor = self.divisor(0, 0, 0, first_length(p, axis))
        if losses is not None:
            return losses, grad
        return self.reduced(rows.total, divisor), grad


cdef Known known = Known(CategoricalCrossEntropy, _options.CATEGORICAL)


def categorical_cross_entropy(probs=None, target=None, *more, **options):
    """Cross-entropy of given probabilities and class indices or soft targets, in nats.

    The loss of a row is ``-log(p[target])``, or ``sum(-t * log(p))`` for soft targets, where
    ``0 * log(0)`` is 0. Where the model's last layer is a softmax, `softmax_cross_entropy` of its
    input is more accurate: a probability that has been rounded to 1 or 0 has lost its loss.

    Parameters
    ----------
    probs : ndarray of float32, float64, float16 or bfloat16, shape (..., C, ...)
        Probabilities, 0 <= p <= 1. What lies outside by at most 16 eps (with a `clip`, any finite
        number) counts as the bound.
    target : ndarray of any integer or floating-point dtype of at most 64 bits
        Class indices, shape of `probs` without `axis`; or soft targets of the shape of `probs`.
    {options}

    Returns
    -------
    np.float64, or ndarray of the dtype of `probs`, one number for each row, for ``reduction="none"``

    Raises
    ------
    ValueError
        If a number that is used is no probability or NaN; names row, class and value. With class
        indices, and without smoothing and `normalize_rows`, only ``p[target]`` is read.
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
    >>> float(crossent.categorical_cross_entropy(p, np.array([0, 0])))
    inf
    """
    if more:
        known.refuse_more(more)
    return value_of(known.run(probs, target, None, False, options))


def categorical_cross_entropy_value_and_grad(probs=None, target=None, *more, out=None, **options):
    """Loss and its gradient with respect to the probabilities, in one pass.

    Parameters
    ----------
    probs, target
        As for `categorical_cross_entropy`.
    out : ndarray of the shape and dtype of `probs`, optional
        Receives the gradient. May be `probs` itself, which it then replaces. After an error its
        contents are undefined.
    {options}

    Returns
    -------
    loss : np.float64 or ndarray
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
    >>> round(float(loss), 4), grad
    (0.6931, array([[-2.,  0.,  0.]]))
    """
    if more:
        known.refuse_more(more, "_value_and_grad")
    return known.run(probs, target, out, True, options, "_value_and_grad")


def categorical_cross_entropy_grad(probs=None, target=None, *more, out=None, **options):
    """Gradient of the loss with respect to the probabilities, without the loss.

    Parameters
    ----------
    probs, target, out
        As for `categorical_cross_entropy_value_and_grad`.
    {options}

    Returns
    -------
    grad : ndarray of the shape and dtype of `probs`
        What `categorical_cross_entropy_value_and_grad` gives.

    Raises
    ------
    IndexError, TypeError, ValueError
        As `categorical_cross_entropy_value_and_grad` does.

    Examples
    --------
    >>> crossent.categorical_cross_entropy_grad(np.array([[0.5, 0.25, 0.25]]), np.array([0]))
    array([[-2.,  0.,  0.]])
    """
    if more:
        known.refuse_more(more, "_grad")
    return known.gradient(probs, target, out, options)



_options.describe_loss(CategoricalCrossEntropy, _options.CATEGORICAL, categorical_cross_entropy,
                       categorical_cross_entropy_value_and_grad,
                       categorical_cross_entropy_grad)
