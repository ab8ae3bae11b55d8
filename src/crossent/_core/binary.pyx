"""Binary cross-entropy from probabilities."""
from crossent._core.arrays cimport *
from crossent._core.loss cimport *
from crossent._core.sigmoid cimport _BinaryLoss
from crossent._core.categorical cimport clip_bounds

import numpy as np

from .. import _options

cnp.import_array()


cdef int parse_binary_clip(object clip, object dtype, crossent_sigmoid_options *to) except -1:
    clip_bounds(clip, dtype, &to.clip_low, &to.clip_high)
    if clip == "torch":
        to.clip_low = 0
        to.log_limit = 100
    elif clip is not None and clip != "keras":
        to.clip_each = to.clip_low
        to.clip_low = to.clip_high = 0
    return 0


cdef class BinaryCrossEntropy(_BinaryLoss):
    __doc__ = _options.class_doc(
        _options.BINARY,
        "Binary cross-entropy from probabilities, options parsed once, forward and backward apart.",
        """
        Examples
        --------
        >>> bce = crossent.BinaryCrossEntropy(reduction="sum")
        >>> loss, grad = bce.value_and_grad(np.array([0.5, 0.75]), np.array([1, 0]))
        >>> round(float(loss), 4), grad
        (2.0794, array([-2.,  4.]))
        """)
    __signature__ = _options.ClassSignature(_options.BINARY)

    def __init__(self, **options):
        cdef dict parsed = self.parse_binary(_options.BINARY, options, CROSSENT_BINARY_CROSS_ENTROPY)
        self._clip = parsed["clip"]
        parse_binary_clip(self._clip, np.float64, &self._template)
        self._aux = ("correct",)

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

    cdef dict call_options(self, crossent_sigmoid_options *to, dict extra, cnp.ndarray x,
                           cnp.ndarray out, list keep):
        if self._clip == "keras":      # clips in the dtype of the probabilities
            parse_binary_clip(self._clip, (<object>x).dtype, to)
        return _BinaryLoss.call_options(self, to, extra, x, out, keep)


cdef Known known = Known(BinaryCrossEntropy, _options.BINARY)


def binary_cross_entropy(probs=None, target=None, *more, **options):
    """Binary cross-entropy of given probabilities and targets, element by element, in nats.

    The loss of an element is ``-target * log(p) - (1 - target) * log(1 - p)``, where
    ``0 * log(0)`` is 0, with full relative accuracy for any p. Where the model's last layer is a
    sigmoid, `sigmoid_cross_entropy` of its input is more accurate: a probability that has been
    rounded to 1 has lost its loss.

    Parameters
    ----------
    probs : ndarray of float32, float64, float16 or bfloat16, any shape
        Probabilities, 0 <= p <= 1. What lies outside by at most 16 eps (with a `clip`, any finite
        number) counts as the bound.
    target : ndarray of the same shape; bool, any integer or floating-point dtype up to 64 bits
    {options}

    Returns
    -------
    loss : np.float64, or ndarray of the dtype and shape of `probs` for ``reduction="none"``
    aux : dict, only with `return_aux`

    Raises
    ------
    ValueError
        If a number that takes part is no probability or NaN; names its index and value.
    TypeError
        If an option, dtype or shape does not fit.

    Examples
    --------
    >>> p = np.array([0.9, 0.2, 1.0])
    >>> crossent.binary_cross_entropy(p, np.array([1, 0, 1]), reduction="none").round(4)
    array([0.1054, 0.2231, 0.    ])
    >>> float(crossent.binary_cross_entropy(np.array([0.0]), np.array([1])))
    inf
    >>> float(crossent.binary_cross_entropy(np.array([0.0]), np.array([1]), clip="torch"))
    100.0
    """
    if more:
        known.refuse_more(more)
    return value_of(known.run(probs, target, None, False, options))


def binary_cross_entropy_value_and_grad(probs=None, target=None, *more, out=None, **options):
    """Loss and its gradient with respect to the probabilities, in one pass.

    Parameters
    ----------
    probs, target
        As for `binary_cross_entropy`.
    out : ndarray of the shape and dtype of `probs`, optional
        Receives the gradient. May be `probs` itself, which it then replaces. After an error its
        contents are undefined.
    {options}

    Returns
    -------
    loss : np.float64 or ndarray
        As `binary_cross_entropy` returns it.
    grad : ndarray of the shape and dtype of `probs`
        Gradient of the loss; with ``reduction="none"`` that of the sum of all losses. It is `out`,
        if that is given.
    aux : dict, only with `return_aux`

    Raises
    ------
    TypeError, ValueError
        As `binary_cross_entropy` does; also for an `out` that does not fit, is read-only, or
        overlaps another argument in part.

    Examples
    --------
    >>> p = np.array([0.5, 0.75])
    >>> loss, grad = crossent.binary_cross_entropy_value_and_grad(p, np.array([1, 0]))
    >>> round(float(loss), 4), grad
    (1.0397, array([-1.,  2.]))
    """
    if more:
        known.refuse_more(more, "_value_and_grad")
    return known.run(probs, target, out, True, options, "_value_and_grad")


def binary_cross_entropy_grad(probs=None, target=None, *more, out=None, **options):
    """Gradient of the loss with respect to the probabilities, without the loss.

    Parameters
    ----------
    probs, target, out
        As for `binary_cross_entropy_value_and_grad`.
    {options}

    Returns
    -------
    grad : ndarray of the shape and dtype of `probs`
        What `binary_cross_entropy_value_and_grad` gives.

    Raises
    ------
    TypeError, ValueError
        As `binary_cross_entropy_value_and_grad` does.

    Examples
    --------
    >>> crossent.binary_cross_entropy_grad(np.array([0.5, 0.75]), np.array([1, 0]))
    array([-1.,  2.])
    """
    if more:
        known.refuse_more(more, "_grad")
    return known.gradient(probs, target, out, options)



_options.describe_loss(BinaryCrossEntropy, _options.BINARY, binary_cross_entropy,
                       binary_cross_entropy_value_and_grad,
                       binary_cross_entropy_grad)
