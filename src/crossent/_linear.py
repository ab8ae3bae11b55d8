"""Cross-entropy of a linear layer, chunk by chunk: the logits of all rows never exist at once.

A chunk of rows goes through one buffer: logits by BLAS, their gradient in place of them by the loss
kernel, and two more products into the gradients of x and weight. The divisor of the mean is known
beforehand and enters as BLAS's factor alpha, so that no pass over the gradients is needed for it.
BLAS stores columns first: an array it takes here is the transpose of the row-major one, which costs
no copy, and so either layout of the weights is a flag.
"""

import numpy as np

from . import _arrays, _core

CHUNK_BYTES = 96 << 20  # of logits: the weights are read three times a chunk


def _gemm(dtype):
    from scipy.linalg import blas

    return blas.sgemm if dtype == np.float32 else blas.dgemm


def _matrix(array, name, shape, dtype=None):
    array = _arrays.as_real(array, name)
    fits = (n in (None, m) for n, m in zip(shape, array.shape, strict=False))
    if array.ndim != len(shape) or not all(fits):
        wanted = str(tuple("any" if n is None else n for n in shape)).replace("'", "")
        raise ValueError(f"{name} has shape {array.shape}; expected {wanted}")
    if dtype is not None and array.dtype != dtype:
        raise TypeError(f"{name} has dtype {array.dtype}; expected that of x, {dtype}")
    return array


class _Weight:
    """A (classes, features) matrix in either layout, and its gradient in the same."""

    def __init__(self, array):
        self.by_rows = array.flags.c_contiguous
        if not self.by_rows and not array.flags.f_contiguous:
            raise ValueError("weight is not contiguous; expected row-major or column-major order")
        self.fortran = array.T if self.by_rows else array
        self.gemm = _gemm(array.dtype)
        self.grad = None

    def logits(self, x, out, start):
        """out = x @ weight.T, or out += ..."""
        self.gemm(1.0, self.fortran, x.T, beta=float(start), c=out.T, trans_a=self.by_rows,
                  overwrite_c=1)  # fmt: skip

    def back_to_x(self, delta, alpha, out):
        """out = alpha * delta @ weight"""
        self.gemm(alpha, self.fortran, delta.T, c=out.T, trans_a=not self.by_rows, overwrite_c=1)

    def add_gradient(self, delta, x, alpha):
        """grad += alpha * delta.T @ x"""
        beta = 0.0 if self.grad is None else 1.0
        if self.grad is None:
            self.grad = np.zeros_like(self.fortran)
        first, second = (x, delta) if self.by_rows else (delta, x)
        self.gemm(alpha, first.T, second.T, beta=beta, c=self.grad, trans_b=1, overwrite_c=1)

    def gradient(self):
        if self.grad is None:
            self.grad = np.zeros_like(self.fortran)
        return self.grad.T if self.by_rows else self.grad


def _target(target, rows, classes, loss, weight):
    """Labels or probabilities, and the rows that take part."""
    kept = np.ones(rows, bool) if weight is None else weight != 0
    array = _arrays.as_target(target, np.broadcast_to(0.0, (rows, classes)))
    if array.dtype.kind == "f":
        return array, kept
    if array.shape != (rows,):
        raise ValueError(f"target has shape {array.shape}; expected ({rows},), the rows of x")
    ignored = _core._ignored_labels(loss)
    if ignored is not None:
        kept &= ~np.isin(array, ignored)
    bad = np.flatnonzero(kept & ((array < 0) | (array >= classes)))
    if bad.size:
        raise _arrays.bad_label(array, bad[0], classes)
    return array, kept


def _run(x, weight, target, bias, chunk, sample_weight, gradient, options):
    x = _matrix(x, "x", (None, None))
    rows, features = x.shape
    array = _matrix(weight, "weight", (None, features), x.dtype)
    classes = array.shape[0]
    bias = None if bias is None else _matrix(bias, "bias", (classes,), x.dtype)
    if sample_weight is not None:
        sample_weight = _arrays.per_row(sample_weight, (rows,), "sample_weight")
    whole = _core.SoftmaxCrossEntropy(**options)
    target, kept = _target(target, rows, classes, whole, sample_weight)
    reduction = options.get("reduction", "mean")
    divisor = _core._mean_divisor(whole, target, classes, sample_weight)
    part_options = {k: v for k, v in options.items() if k not in ("normalizer", "empty")}
    part_options["reduction"] = "none" if reduction == "none" else "sum"
    part = _core.SoftmaxCrossEntropy(**part_options)

    weight, kept = _Weight(array), np.flatnonzero(kept)
    size = max(1, CHUNK_BYTES // (classes * x.itemsize)) if chunk is None else int(chunk)
    if size < 1:
        raise ValueError(f"chunk is {chunk!r}; expected a whole number of rows >= 1, or None")
    logits = np.empty((min(size, len(kept)), classes), x.dtype)
    alpha = 0.0 if divisor == 0 else 1.0 / divisor
    losses = np.zeros(rows, x.dtype) if reduction == "none" else 0.0
    dx = np.zeros_like(x, order="C") if gradient else None
    dbias = np.zeros_like(bias) if gradient and bias is not None else None

    for begin in range(0, len(kept), size):
        at = kept[begin : begin + size]
        some, z = x[at], logits[: len(at)]
        if bias is not None:
            z[...] = bias
        weight.logits(some, z, bias is not None)
        call = {} if sample_weight is None else {"sample_weight": sample_weight[at]}
        if gradient:
            value, _ = part.value_and_grad(z, target[at], out=z, **call)
            down = np.empty_like(some)
            weight.back_to_x(z, alpha, down)
            dx[at] = down
            weight.add_gradient(z, some, alpha)
            if dbias is not None:
                dbias += alpha * z.sum(axis=0, dtype=np.float64)
        else:
            value = part.forward(z, target[at], **call)
        if reduction == "none":
            losses[at] = value
        else:
            losses += value
    if reduction != "none":
        losses = _core._reduced(whole, losses, divisor)
    return losses, (dx, weight.gradient(), dbias) if gradient else None


def linear_cross_entropy(
    x, weight, target, *, bias=None, sample_weight=None, chunk=None, **options
):
    """Softmax cross-entropy of ``x @ weight.T + bias``, whose logits never exist all at once.

    Parameters
    ----------
    x : ndarray (rows, features), float32 or float64
    weight : ndarray (classes, features) of the same dtype
        Row-major or column-major, so also ``W.T`` of a (features, classes) array; not copied.
    target : class indices (rows,), or probabilities (rows, classes)
    bias : ndarray (classes,), optional
    sample_weight : array (rows,), optional
    chunk : int, optional
        Rows whose logits exist at a time; by default as many as fit 96 MB. Fewer need less memory,
        and more time: the weights are read three times for each chunk.
    **options
        Those of `SoftmaxCrossEntropy` but `axis` and `class_mask`.

    Returns
    -------
    float, or ndarray (rows,) with ``reduction="none"``

    Notes
    -----
    The products are SciPy's BLAS, on its own threads. Ignored rows and rows of weight 0 are left
    out before the product.

    Examples
    --------
    >>> x, weight = np.eye(2), np.array([[2.0, 0.0], [0.0, 1.0], [0.0, 0.0]])
    >>> round(crossent.linear_cross_entropy(x, weight, np.array([0, 1])), 4)
    0.3955
    """
    return _run(x, weight, target, bias, chunk, sample_weight, False, _checked(options))[0]


def linear_cross_entropy_value_and_grad(
    x, weight, target, *, bias=None, sample_weight=None, chunk=None, **options
):
    """`linear_cross_entropy` and its gradients.

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
    return _run(x, weight, target, bias, chunk, sample_weight, True, _checked(options))


def _checked(options):
    for name in ("axis", "class_mask"):
        if name in options:
            raise TypeError(f"{name!r} is not an option of linear_cross_entropy")
    return options
