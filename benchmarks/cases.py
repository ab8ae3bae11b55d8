"""The cases that the benchmarks share: shapes, types, data, and what our options are asked to do.

SOFTMAX, SIGMOID   the table: small, middle and large
CLASSES            the same number of elements in rows of different lengths
TINY               calls that cost more than what they compute
OPTIONS            loss and gradient of the same logits in other types, layouts and with options
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

DTYPES = ["float32", "float64"]
SOFTMAX = [(32, 10), (4096, 10), (4096, 100), (256, 1000), (512, 50257)]
SIGMOID = [100, 10_000, 1_000_000]
ELEMENTS = 2**19
CLASSES = [2, 4, 10, 32, 100, 316, 1000, 4096, 16384, 2**17]
TINY = [
    ("softmax", (1, 2)),
    ("softmax", (1, 10)),
    ("softmax", (32, 10)),
    ("sigmoid", (1,)),
    ("sigmoid", (100,)),
]
OPTION_SHAPES = [(4096, 10), (4096, 100), (16, 50257)]


def softmax_data(rows, classes, dtype, seed=0):
    """Logits of scale 3 and labels drawn evenly."""
    rng = np.random.default_rng(seed)
    logits = (rng.standard_normal((rows, classes)) * 3).astype(dtype)
    return logits, rng.integers(0, classes, rows)


def sigmoid_data(n, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(n) * 3).astype(dtype), (rng.random(n) < 0.5).astype(dtype)


# ---------------------------------------------------------------- slow and obvious


def softmax_reference(logits, target, divisor=None):
    """Loss and gradient in double; `target` is labels, or the factor of each -log p."""
    z = logits.astype(np.float64)
    z = z - z.max(1, keepdims=True)
    p = np.exp(z)
    sums = p.sum(1, keepdims=True)
    p /= sums
    z -= np.log(sums)
    if target.ndim == 1:
        rows = np.arange(len(z))
        loss = -z[rows, target].sum()
        p[rows, target] -= 1
    else:
        loss = -(target * z).sum()
        p *= target.sum(1, keepdims=True)
        p -= target
    divisor = divisor or len(z)
    p /= divisor
    return loss / divisor, p


def sigmoid_reference(logits, target):
    z = logits.astype(np.float64)
    loss = np.mean(np.logaddexp(0, z) - z * target)
    return loss, (1 / (1 + np.exp(-z)) - target) / z.size


# ---------------------------------------------------------------- options and layouts


def unchanged(array):
    return array


@dataclass
class Option:
    """One way to ask for the loss and the gradient of the same logits."""

    logits: np.ndarray
    target: np.ndarray
    settings: dict = field(default_factory=dict)  # of SoftmaxCrossEntropy
    of_call: dict = field(default_factory=dict)  # of its methods
    view: Callable = unchanged  # from the call's layout to rows x classes
    factors: np.ndarray | None = None  # of each -log p, where labels do not say it
    divisor: float | None = None  # of the mean, where it is not the row count
    hessian: bool = False
    change: Callable = unchanged  # the logits as the loss sees them
    slope: Callable = np.ones_like  # ... and the derivative of that

    def call(self):
        """Loss (None with a Hessian) and gradient."""
        if self.hessian:
            return None, self._loss.grad_and_hess(self.logits, self.target, out=self._out)[0]
        return self._loss.value_and_grad(self.logits, self.target, out=self._out, **self.of_call)

    def __post_init__(self):
        import crossent

        self._loss = crossent.SoftmaxCrossEntropy(**self.settings)
        self._soft = self.target.shape == self.logits.shape
        self._out = np.zeros_like(self.logits)  # in the same memory order

    @property
    def moved(self):
        """Bytes that have to be read or written, labels left out."""
        soft = self.target.nbytes if self._soft else 0
        return self.logits.nbytes * (3 if self.hessian else 2) + soft

    def expected(self):
        factors = self.factors
        if factors is None:
            factors = self.target if self._soft else self.target.reshape(-1)
        z = self.view(self.logits)
        loss, grad = softmax_reference(self.change(z), factors, self.divisor)
        return loss, grad * self.slope(z)


def options(rows, classes, dtype):
    """Name -> Option, all of the same logits; "plain" is the call without any."""
    z, y = softmax_data(rows, classes, dtype)
    one_hot = np.zeros((rows, classes), dtype)
    one_hot[np.arange(rows), y] = 1
    weight = np.linspace(0.5, 2, classes)
    of_row = np.linspace(0.5, 2, rows)
    kept = (np.arange(rows)[:, None] + np.arange(classes)) % 10 > 0
    kept |= one_hot > 0
    soft = softmax_reference(z[::-1], y)[1] * rows + one_hot[::-1]
    images = 4 if rows % 4 == 0 else 1
    pixels = z.reshape(images, rows // images, 1, classes)
    found = {
        "plain": Option(z, y),
        "soft targets": Option(z, soft.astype(dtype)),
        "class_weight": Option(
            z, y, {"class_weight": weight}, factors=one_hot * weight, divisor=weight[y].sum()
        ),
        "sample_weight": Option(
            z,
            y,
            of_call={"sample_weight": of_row},
            factors=one_hot * of_row[:, None],
            divisor=of_row.sum(),
        ),
        "label_smoothing": Option(
            z, y, {"label_smoothing": 0.1}, factors=0.9 * one_hot + 0.1 / classes
        ),
        "grad_and_hess": Option(z, y, hessian=True),
        "temperature": Option(
            z, y, {"temperature": 2.0}, change=lambda z: z / 2, slope=lambda z: 0.5
        ),
        "class_mask, one a row": Option(
            z, y, of_call={"class_mask": kept}, change=lambda z: np.where(kept, z, -np.inf)
        ),
        "softcap": Option(
            z,
            y,
            {"softcap": 5.0},
            change=lambda z: 5 * np.tanh(z.astype(float) / 5),
            slope=lambda z: 1 - np.tanh(z.astype(float) / 5) ** 2,
        ),
        "accumulate": Option(z, y, of_call={"accumulate": True}),
        "F order": Option(np.asfortranarray(z), y),
        "axis=0": Option(np.ascontiguousarray(z.T), y, {"axis": 0}, view=np.transpose),
        "axis=1 of N x C x H x W": Option(
            np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)),
            y.reshape(images, -1, 1),
            {"axis": 1},
            view=lambda a: a.transpose(0, 2, 3, 1).reshape(rows, classes),
        ),
    }
    if dtype == "float32":
        found["float16"] = Option(z.astype(np.float16), y)
        try:
            from ml_dtypes import bfloat16

            found["bfloat16"] = Option(z.astype(bfloat16), y)
        except ImportError:
            pass
    return found
