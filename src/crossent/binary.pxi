# Binary cross-entropy from probabilities.

# Its options are those of the loss from logits, but that a bad probability is always an error.
BINARY_OPTIONS = {**SIGMOID_OPTIONS, "clip": None}
del BINARY_OPTIONS["nonfinite"]


cdef int parse_binary_clip(object clip, object dtype, crossent_sigmoid_options *to) except -1:
    parse_clip(clip, dtype, &to.clip_low, &to.clip_high)
    if clip == "torch":
        to.clip_low = 0
        to.log_limit = 100
    elif clip is not None and clip != "keras":
        to.clip_each = to.clip_low
        to.clip_low = to.clip_high = 0
    return 0


cdef class BinaryCrossEntropy(_BinaryLoss):
    """Binary cross-entropy from probabilities, options parsed once, forward and backward apart.

    Parameters
    ----------
    clip, pos_weight, ignore_index, nan_target, validate, label_smoothing, focal_gamma, \
focal_alpha, reduction, normalizer, empty, threads
        As for `binary_cross_entropy`.

    Notes
    -----
    `sample_weight`, `upstream`, `accumulate` and `return_aux` are arguments of the methods.

    Examples
    --------
    >>> bce = crossent.BinaryCrossEntropy(reduction="sum")
    >>> loss, grad = bce.value_and_grad(np.array([0.5, 0.75]), np.array([1, 0]))
    >>> round(loss, 4), grad
    (2.0794, array([-2.,  4.]))
    """

    def __init__(self, **options):
        cdef dict given = known_options(options, BINARY_OPTIONS, "BinaryCrossEntropy")
        given["nonfinite"] = "propagate"
        self.parse(options, given, CROSSENT_BINARY_CROSS_ENTROPY)
        self._clip = given["clip"]
        parse_binary_clip(self._clip, np.float64, &self._template)
        self._aux = ("correct",)

    cdef tuple run(self, object probs, object target, object out, bint gradient, dict extra):
        try:
            return _BinaryLoss.run(self, probs, target, out, gradient, extra)
        except (TypeError, ValueError) as error:
            # The checks that all losses share call their first argument logits.
            raise type(error)(str(error).replace("logits", "probs")) from None

    cdef dict call_options(self, crossent_sigmoid_options *to, dict extra, cnp.ndarray x,
                           list keep):
        if self._clip == "keras":      # clips in the dtype of the probabilities
            parse_binary_clip(self._clip, (<object>x).dtype, to)
        return _BinaryLoss.call_options(self, to, extra, x, keep)


def binary_cross_entropy(probs, target, **options):
    """Binary cross-entropy of given probabilities and targets, element by element, in nats.

    The loss of an element is ``-target * log(p) - (1 - target) * log(1 - p)``, where
    ``0 * log(0)`` is 0, with full relative accuracy for any p. Where the model's last layer is a
    sigmoid, `sigmoid_cross_entropy` of its input is more accurate: a probability that has been
    rounded to 1 has lost its loss.

    Parameters
    ----------
    probs : ndarray of float32, float64, float16 or bfloat16, any shape
        Probabilities, 0 <= p <= 1.
    target : ndarray of the same shape; bool, any integer or floating-point dtype up to 64 bits
    clip : None, float, "torch" or "keras", default None
        None: exact; a loss is ``inf`` where p is 0 and the target 1. A number eps: p from below and
        1 - p from below by eps, each on its own, so that eps = 1e-15 works in float32 too. "keras":
        p to [1e-7, 1 - 1e-7] as rounded in its dtype. For these the gradient is that of the clipped
        function: 0 where it is clipped. "torch": both logarithms from below at -100, with the
        gradient ``(p - target) / max(p * (1 - p), 1e-12)``.
    pos_weight, sample_weight, ignore_index, nan_target, validate, label_smoothing, focal_gamma, \
focal_alpha, reduction, normalizer, empty, upstream, accumulate, threads
        As for `sigmoid_cross_entropy`, with -log(p) for softplus(-x) and -log(1 - p) for
        softplus(x).
    return_aux : "correct", optional
        As for `sigmoid_cross_entropy`, with ``p > 1/2`` for ``x > 0``.

    Returns
    -------
    loss : float, or ndarray of the dtype and shape of `probs` for ``reduction="none"``
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
    >>> crossent.binary_cross_entropy(np.array([0.0]), np.array([1])), \
crossent.binary_cross_entropy(np.array([0.0]), np.array([1]), clip="torch")
    (inf, 100.0)
    """
    return value_of(run_options(BinaryCrossEntropy, probs, target, None, False, options))


def binary_cross_entropy_value_and_grad(probs, target, *, out=None, **options):
    """Loss and its gradient with respect to the probabilities, in one pass.

    Parameters
    ----------
    probs, target
        As for `binary_cross_entropy`.
    out : ndarray of the shape and dtype of `probs`, optional
        Receives the gradient. May be `probs` itself, which it then replaces. After an error its
        contents are undefined.
    clip, pos_weight, sample_weight, ignore_index, nan_target, validate, label_smoothing, \
focal_gamma, focal_alpha, reduction, normalizer, empty, upstream, accumulate, return_aux, \
threads
        As for `binary_cross_entropy`.

    Returns
    -------
    loss : float or ndarray
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
    >>> round(loss, 4), grad
    (1.0397, array([-1.,  2.]))
    """
    return run_options(BinaryCrossEntropy, probs, target, out, True, options)
