"""Cross-entropy of a linear layer, chunk by chunk: the logits of all rows never exist at once.

A chunk of rows goes through one buffer: logits, their gradient in place of them by the loss kernel,
and two more products into the gradients of x and weight (csrc/train/linear.c). The
divisor of the mean is known beforehand and enters the loss as upstream gradient, so that no pass
over the gradients is needed for it.
"""

import numpy as np

from . import _check, _core, _options
from ._blas import one_blas_thread

CHUNK_BYTES = 96 << 20  # of logits: weights and their gradient go through memory once a chunk
CHUNK_ROWS = 384  # more gain nothing, as x no longer stays in the cache


def _matrix(name, array, shape, dtype=None):
    array = _check.real(name, array)
    fits = (n in (None, m) for n, m in zip(shape, array.shape, strict=False))
    if array.ndim != len(shape) or not all(fits):
        wanted = str(tuple("any" if n is None else n for n in shape)).replace("'", "")
        turned = array.ndim == 2 and name == "weight" and array.shape[0] == shape[1]
        hint = ", (classes, features): weight.T has that" if turned else ""
        raise ValueError(f"{name} has shape {array.shape}; expected {wanted}{hint}")
    if dtype is not None and array.dtype != dtype:
        raise TypeError(f"{name} has dtype {array.dtype}; expected that of x, {dtype}")
    return array


def _chunk_rows(chunk, classes, itemsize):
    """Rows of a chunk; whole tiles of the products where they are many."""
    if chunk is not None:
        return min(_check.whole("chunk", chunk, 1), CHUNK_ROWS)
    rows = min(CHUNK_ROWS, max(1, CHUNK_BYTES // (classes * itemsize)))
    return rows - rows % 48 if rows >= 48 else rows


def _rows_that_count(target, classes, loss, weight):
    """The numbers of the rows that take part; all labels among them are classes."""
    kept = np.ones(len(target), bool) if weight is None else weight != 0
    if target.dtype.kind != "f":
        kept = _check.labels("target", target, classes, _core._ignored_labels(loss), kept)
    return np.flatnonzero(kept)


def _run(x, weight, target, bias, chunk, sample_weight, gradient, options):
    x = _matrix("x", x, (None, None))
    rows, features = x.shape
    weight = _matrix("weight", weight, (None, features), x.dtype)
    if not weight.flags.c_contiguous and not weight.flags.f_contiguous:
        raise ValueError("weight is not contiguous; expected row-major or column-major order")
    classes = weight.shape[0]
    if classes == 0:
        raise ValueError(f"weight has shape {weight.shape}; expected at least one class")
    bias = None if bias is None else _matrix("bias", bias, (classes,), x.dtype)
    sample_weight = _check.row_weights("sample_weight", sample_weight, (rows,))
    size = _chunk_rows(chunk, classes, x.itemsize)
    whole = _core.SoftmaxCrossEntropy(**options)
    target = _check.class_target("target", target, (rows, classes), logits_name="x @ weight.T")
    kept = _rows_that_count(target, classes, whole, sample_weight)
    reduction = options.get("reduction", "mean")
    divisor = _core._mean_divisor(whole, target, classes, sample_weight)
    part_options = {k: v for k, v in options.items() if k not in ("normalizer", "empty")}
    part_options["reduction"] = "none" if reduction == "none" else "sum"
    part = _core.SoftmaxCrossEntropy(**part_options)

    layer = _core._Linear(
        weight, None if bias is None else np.ascontiguousarray(bias), options.get("threads")
    )
    logits = np.empty((min(size, len(kept)), classes), x.dtype)
    scale = 0.0 if divisor == 0 else 1.0 / divisor
    losses = np.zeros(rows, x.dtype) if reduction == "none" else 0.0
    dx = np.zeros_like(x, order="C") if gradient else None

    with one_blas_thread(layer.uses_blas):
        for begin in range(0, len(kept), size):
            at = kept[begin : begin + size]
            some, z = x[at], logits[: len(at)]
            layer.logits(some, z)
            call = {"upstream": scale}
            if sample_weight is not None:
                call["sample_weight"] = sample_weight[at]
            if gradient:
                value = _core._run_part(part, z, target[at], z, at, rows, call)
                down = np.empty_like(some)
                layer.gradients(some, z, down)
                dx[at] = down
            else:
                value = _core._run_part(part, z, target[at], None, at, rows, call)
            if reduction == "none":
                losses[at] = value
            else:
                losses += float(value)
    if reduction != "none":
        losses = _core._reduced(whole, losses, divisor)
    if not gradient:
        return losses, None
    if layer.grad is None:  # no row takes part
        return losses, (dx, np.zeros_like(weight), None if bias is None else np.zeros_like(bias))
    return losses, (dx, layer.grad, None if bias is None else layer.bias_grad.astype(x.dtype))


def linear_cross_entropy(
    x, weight, target, *, bias=None, sample_weight=None, chunk=None, **options
):
    """Softmax cross-entropy of ``x @ weight.T + bias``, whose logits never exist all at once.

    Parameters
    ----------
    x : ndarray (rows, features), float32 or float64
        Inputs of the layer.
    weight : ndarray (classes, features) of the same dtype
        Row-major or column-major, so also ``W.T`` of a (features, classes) array; not copied.
    target : class indices (rows,), or probabilities (rows, classes)
        As for `softmax_cross_entropy`.
    bias : ndarray (classes,), optional
        Of the same dtype.
    sample_weight : array (rows,), optional
        Rows of weight 0 take no part.
    chunk : int, optional
        Rows whose logits exist at a time, at most 384; by default as many as fit 96 MB. Fewer need
        less memory and more time, as each chunk reads weights and their gradient again.
    {options}

    Returns
    -------
    float, or ndarray (rows,) with ``reduction="none"``
        In nats.

    Raises
    ------
    IndexError, TypeError, ValueError
        If a label is out of range, or a dtype or shape does not fit.

    Notes
    -----
    Ignored rows and rows of weight 0 are left out before the product. The gradients do not depend
    on the number of threads, nor on `chunk`; that of bias is summed in double. On processors
    without fused multiply-add the products are those of SciPy's BLAS, if it is installed.

    Examples
    --------
    >>> x, weight = np.eye(2), np.array([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    >>> round(float(crossent.linear_cross_entropy(x, weight, np.array([0, 1]))), 4)
    0.3955
    """
    return _run(
        x,
        weight,
        target,
        bias,
        chunk,
        sample_weight,
        False,
        _checked(options, "linear_cross_entropy"),
    )[0]


def linear_cross_entropy_value_and_grad(
    x, weight, target, *, bias=None, sample_weight=None, chunk=None, **options
):
    """`linear_cross_entropy` and its gradients.

    Parameters
    ----------
    x, weight, target, bias, sample_weight, chunk
        As for `linear_cross_entropy`.
    {options}

    Returns
    -------
    loss : float or ndarray
    gradients : tuple (dx, dweight, dbias)
        Of the loss, with ``reduction="none"`` of the sum of the losses; `dweight` in the layout of
        `weight`, `dbias` None without a bias.

    Examples
    --------
    >>> x, weight = np.eye(2), np.zeros((2, 2))
    >>> crossent.linear_cross_entropy_value_and_grad(x, weight, np.array([0, 1]))[1][1]
    array([[-0.25,  0.25],
           [ 0.25, -0.25]])
    """
    return _run(
        x,
        weight,
        target,
        bias,
        chunk,
        sample_weight,
        True,
        _checked(options, "linear_cross_entropy_value_and_grad"),
    )


def _checked(options, called):
    known = [o.name for o in _options.LINEAR]
    for name in options:
        if name not in known:
            raise _options.SOFTMAX.unknown(name, called, known)
    return options


for _function in (linear_cross_entropy, linear_cross_entropy_value_and_grad):
    _options.describe(
        _function, ("x", "weight", "target"), _options.LINEAR,
        ("bias", None), ("sample_weight", None), ("chunk", None),
    )  # fmt: skip
