"""Cross-entropy losses and their gradients for NumPy: exact to the last digits, in C.

>>> import numpy as np
>>> import crossent
>>> logits = np.array([[2.0, 1.0, 0.1]])  # one row of a model's outputs, three classes
>>> loss, grad = crossent.softmax_cross_entropy_value_and_grad(logits, np.array([0]))
>>> round(float(loss), 3), grad.round(3)
(0.417, array([[-0.341,  0.242,  0.099]]))

From logits: `softmax_cross_entropy`, `sigmoid_cross_entropy`. From probabilities:
`categorical_cross_entropy`, `binary_cross_entropy`. Networks that train in C: `crossent.train`,
`crossent.sklearn`.
"""

import importlib as _importlib
import os as _os

if _os.name == "nt":  # where a module's libraries are not looked for beside it
    _os.add_dll_directory(_os.path.join(_os.path.dirname(__file__), "lib"))

from ._core import (
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
    available_isas,
    binary_cross_entropy,
    binary_cross_entropy_grad,
    binary_cross_entropy_value_and_grad,
    categorical_cross_entropy,
    categorical_cross_entropy_grad,
    categorical_cross_entropy_value_and_grad,
    get_num_threads,
    isa,
    log_sigmoid,
    log_softmax,
    logsumexp,
    set_num_threads,
    show_config,
    sigmoid,
    sigmoid_cross_entropy,
    sigmoid_cross_entropy_grad,
    sigmoid_cross_entropy_value_and_grad,
    softmax,
    softmax_cross_entropy,
    softmax_cross_entropy_grad,
    softmax_cross_entropy_value_and_grad,
    softplus,
)
from ._linear import linear_cross_entropy, linear_cross_entropy_value_and_grad
from .streaming import LogSumExpState, LossAccumulator

__version__ = "0.1.0"

__all__ = [
    "BinaryCrossEntropy",
    "CategoricalCrossEntropy",
    "LogSumExpState",
    "LossAccumulator",
    "SigmoidCrossEntropy",
    "SoftmaxCrossEntropy",
    "available_isas",
    "binary_cross_entropy",
    "binary_cross_entropy_grad",
    "binary_cross_entropy_value_and_grad",
    "categorical_cross_entropy",
    "categorical_cross_entropy_grad",
    "categorical_cross_entropy_value_and_grad",
    "get_include",
    "get_num_threads",
    "isa",
    "linear_cross_entropy",
    "linear_cross_entropy_value_and_grad",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "set_num_threads",
    "show_config",
    "sigmoid",
    "sigmoid_cross_entropy",
    "sigmoid_cross_entropy_grad",
    "sigmoid_cross_entropy_value_and_grad",
    "softmax",
    "softmax_cross_entropy",
    "softmax_cross_entropy_grad",
    "softmax_cross_entropy_value_and_grad",
    "softplus",
]


def get_include():
    """Directory of the C header ``crossent.h``, for the include path of a C compiler.

    Returns
    -------
    str

    Examples
    --------
    >>> import os
    >>> os.path.exists(os.path.join(crossent.get_include(), "crossent.h"))
    True
    """
    return _os.path.join(_os.path.dirname(__file__), "include")


_MODULES = ("sklearn", "train")  # imported where they are first asked for


def __getattr__(name):
    if name in _MODULES:
        return _importlib.import_module(f".{name}", __name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_MODULES])
