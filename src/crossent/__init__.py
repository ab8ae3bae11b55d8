"""Cross-entropy losses and their gradients for NumPy: exact to the last digits, in C."""

from importlib.metadata import version as _version
from pathlib import Path as _Path

from ._core import (
    BinaryCrossEntropy,
    CategoricalCrossEntropy,
    SigmoidCrossEntropy,
    SoftmaxCrossEntropy,
    available_isas,
    binary_cross_entropy,
    binary_cross_entropy_value_and_grad,
    categorical_cross_entropy,
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
    sigmoid_cross_entropy_value_and_grad,
    softmax,
    softmax_cross_entropy,
    softmax_cross_entropy_value_and_grad,
    softplus,
)
from ._linear import linear_cross_entropy, linear_cross_entropy_value_and_grad
from .streaming import LogSumExpState, LossAccumulator

__version__ = _version("crossent")

__all__ = [
    "BinaryCrossEntropy",
    "CategoricalCrossEntropy",
    "LogSumExpState",
    "LossAccumulator",
    "SigmoidCrossEntropy",
    "SoftmaxCrossEntropy",
    "available_isas",
    "binary_cross_entropy",
    "binary_cross_entropy_value_and_grad",
    "categorical_cross_entropy",
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
    "sigmoid_cross_entropy_value_and_grad",
    "softmax",
    "softmax_cross_entropy",
    "softmax_cross_entropy_value_and_grad",
    "softplus",
]


def get_include():
    """Directory of the C header ``crossent.h``."""
    return str(_Path(__file__).parent / "include")
