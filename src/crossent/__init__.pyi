"""Written by tools/make_stubs.py: do not edit."""

import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, SupportsIndex, overload

import numpy as np
import numpy.typing as npt

from . import sklearn as sklearn
from . import train as train

__version__: str

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

class BinaryCrossEntropy:
    def __init__(
        self,
        *,
        clip: float | Literal["torch", "keras"] | None = None,
        pos_weight: npt.ArrayLike | None = None,
        ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
        nan_target: Literal["propagate", "missing"] = "propagate",
        validate: bool = False,
        label_smoothing: float = 0.0,
        focal_gamma: float = 0.0,
        focal_alpha: float | None = None,
        reduction: Literal["mean", "sum", "none"] = "mean",
        normalizer: Literal["weight", "valid", "batch"] | float | None = None,
        empty: Literal["nan", "zero", "raise"] = "nan",
        threads: int | None = None,
    ) -> None: ...
    def __call__(
        self,
        probs: npt.ArrayLike,
        target: npt.ArrayLike,
        *,
        sample_weight: npt.ArrayLike | None = None,
        upstream: npt.ArrayLike = 1.0,
        accumulate: bool = False,
        return_aux: str | Sequence[str] | None = None,
    ) -> Any: ...
    def forward(
        self,
        probs: npt.ArrayLike,
        target: npt.ArrayLike,
        *,
        sample_weight: npt.ArrayLike | None = None,
        upstream: npt.ArrayLike = 1.0,
        accumulate: bool = False,
        return_aux: str | Sequence[str] | None = None,
    ) -> Any: ...
    def value_and_grad(
        self,
        probs: npt.ArrayLike,
        target: npt.ArrayLike,
        *,
        out: npt.NDArray[Any] | None = None,
        sample_weight: npt.ArrayLike | None = None,
        upstream: npt.ArrayLike = 1.0,
        accumulate: bool = False,
        return_aux: str | Sequence[str] | None = None,
    ) -> Any: ...
    def backward(
        self,
        upstream: npt.ArrayLike = 1.0,
        *,
        out: npt.NDArray[Any] | None = None,
        accumulate: bool = False,
    ) -> npt.NDArray[Any]: ...

class CategoricalCrossEntropy:
    def __init__(
        self,
        *,
        clip: float | Literal["torch", "keras"] | None = None,
        normalize: bool = False,
        axis: int = -1,
        class_weight: npt.ArrayLike | None = None,
        ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
        label_smoothing: float = 0.0,
        smoothing: Literal["uniform", "off_target"] = "uniform",
        smoothing_weight: Literal["class", "target"] = "class",
        reduction: Literal["mean", "sum", "none"] = "mean",
        normalizer: Literal["weight", "valid", "batch"] | float | None = None,
        empty: Literal["nan", "zero", "raise"] = "nan",
        threads: int | None = None,
    ) -> None: ...
    def __call__(
        self,
        probs: npt.ArrayLike,
        target: npt.ArrayLike,
        *,
        sample_weight: npt.ArrayLike | None = None,
        upstream: npt.ArrayLike = 1.0,
        accumulate: bool = False,
    ) -> Any: ...
    def forward(
        self,
        probs: npt.ArrayLike,
        target: npt.ArrayLike,
        *,
        sample_weight: npt.ArrayLike | None = None,
        upstream: npt.ArrayLike = 1.0,
        accumulate: bool = False,
    ) -> Any: ...
    def value_and_grad(
        self,
        probs: npt.ArrayLike,
        target: npt.ArrayLike,
        *,
        out: npt.NDArray[Any] | None = None,
        sample_weight: npt.ArrayLike | None = None,
        upstream: npt.ArrayLike = 1.0,
        accumulate: bool = False,
    ) -> Any: ...
    def backward(
        self,
        upstream: npt.ArrayLike = 1.0,
        *,
        out: npt.NDArray[Any] | None = None,
        accumulate: bool = False,
    ) -> npt.NDArray[Any]: ...

class LogSumExpState:
    def __init__(self, sums: npt.NDArray[Any], dtype: npt.DTypeLike) -> None: ...
    @classmethod
    def from_logits(
        cls, x: npt.ArrayLike, *, axis: int | tuple[int, ...] | None = -1
    ) -> LogSumExpState: ...
    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    def merge(self, other: LogSumExpState) -> LogSumExpState: ...
    def __add__(self, other: LogSumExpState) -> LogSumExpState: ...
    def result(self) -> Any: ...

class LossAccumulator:
    def __init__(self) -> None: ...
    def update(
        self, loss_sum: float, weight: float, *, count: int = 0, correct: int = 0
    ) -> LossAccumulator: ...
    def update_from(
        self,
        losses: npt.ArrayLike,
        weights: npt.ArrayLike | None = None,
        *,
        correct: npt.ArrayLike | None = None,
    ) -> LossAccumulator: ...
    def merge(self, other: LossAccumulator) -> LossAccumulator: ...
    def __add__(self, other: LossAccumulator) -> LossAccumulator: ...
    @property
    def loss_sum(self) -> float: ...
    @property
    def weight(self) -> float: ...
    @property
    def count(self) -> int: ...
    @property
    def correct(self) -> int: ...
    @property
    def mean(self) -> float: ...
    @property
    def accuracy(self) -> float: ...

class SigmoidCrossEntropy:
    def __init__(
        self,
        *,
        pos_weight: npt.ArrayLike | None = None,
        ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
        nan_target: Literal["propagate", "missing"] = "propagate",
        validate: bool = False,
        label_smoothing: float = 0.0,
        focal_gamma: float = 0.0,
        focal_alpha: float | None = None,
        reduction: Literal["mean", "sum", "none"] = "mean",
        normalizer: Literal["weight", "valid", "batch"] | float | None = None,
        empty: Literal["nan", "zero", "raise"] = "nan",
        nonfinite: Literal["propagate", "zero", "raise", "warn"] = "propagate",
        threads: int | None = None,
    ) -> None: ...
    def __call__(
        self,
        logits: npt.ArrayLike,
        target: npt.ArrayLike,
        *,
        sample_weight: npt.ArrayLike | None = None,
        upstream: npt.ArrayLike = 1.0,
        accumulate: bool = False,
        return_aux: str | Sequence[str] | None = None,
    ) -> Any: ...
    def forward(
        self,
        logits: npt.ArrayLike,
        target: npt.ArrayLike,
        *,
        sample_weight: npt.ArrayLike | None = None,
        upstream: npt.ArrayLike = 1.0,
        accumulate: bool = False,
        return_aux: str | Sequence[str] | None = None,
    ) -> Any: ...
    def value_and_grad(
        self,
        logits: npt.ArrayLike,
        target: npt.ArrayLike,
        *,
        out: npt.NDArray[Any] | None = None,
        sample_weight: npt.ArrayLike | None = None,
        upstream: npt.ArrayLike = 1.0,
        accumulate: bool = False,
        return_aux: str | Sequence[str] | None = None,
    ) -> Any: ...
    def backward(
        self,
        upstream: npt.ArrayLike = 1.0,
        *,
        out: npt.NDArray[Any] | None = None,
        accumulate: bool = False,
    ) -> npt.NDArray[Any]: ...
    def grad_and_hess(
        self,
        logits: npt.ArrayLike,
        target: npt.ArrayLike,
        *,
        rule: Literal["exact", "upper", "friedman", "residual"] = "exact",
        out: npt.NDArray[Any] | None = None,
        sample_weight: npt.ArrayLike | None = None,
        upstream: npt.ArrayLike = 1.0,
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]: ...
    def hessian_vector(
        self,
        logits: npt.ArrayLike,
        target: npt.ArrayLike,
        vector: npt.ArrayLike,
        *,
        out: npt.NDArray[Any] | None = None,
        sample_weight: npt.ArrayLike | None = None,
        upstream: npt.ArrayLike = 1.0,
    ) -> npt.NDArray[Any]: ...

class SoftmaxCrossEntropy:
    def __init__(
        self,
        *,
        axis: int = -1,
        class_weight: npt.ArrayLike | None = None,
        ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
        class_mask: npt.ArrayLike | None = None,
        label_smoothing: float = 0.0,
        smoothing: Literal["uniform", "off_target"] = "uniform",
        smoothing_weight: Literal["class", "target"] = "class",
        focal_gamma: float = 0.0,
        focal_alpha: npt.ArrayLike | None = None,
        z_loss: float = 0.0,
        temperature: float | None = None,
        softcap: float | None = None,
        reduction: Literal["mean", "sum", "none"] = "mean",
        normalizer: Literal["weight", "valid", "batch"] | float | None = None,
        empty: Literal["nan", "zero", "raise"] = "nan",
        nonfinite: Literal["propagate", "zero", "raise", "warn"] = "propagate",
        threads: int | None = None,
    ) -> None: ...
    def __call__(
        self,
        logits: npt.ArrayLike,
        target: npt.ArrayLike,
        *,
        sample_weight: npt.ArrayLike | None = None,
        class_mask: npt.ArrayLike | None = None,
        upstream: npt.ArrayLike = 1.0,
        accumulate: bool = False,
        return_aux: str | Sequence[str] | None = None,
    ) -> Any: ...
    def forward(
        self,
        logits: npt.ArrayLike,
        target: npt.ArrayLike,
        *,
        sample_weight: npt.ArrayLike | None = None,
        class_mask: npt.ArrayLike | None = None,
        upstream: npt.ArrayLike = 1.0,
        accumulate: bool = False,
        return_aux: str | Sequence[str] | None = None,
    ) -> Any: ...
    def value_and_grad(
        self,
        logits: npt.ArrayLike,
        target: npt.ArrayLike,
        *,
        out: npt.NDArray[Any] | None = None,
        sample_weight: npt.ArrayLike | None = None,
        class_mask: npt.ArrayLike | None = None,
        upstream: npt.ArrayLike = 1.0,
        accumulate: bool = False,
        return_aux: str | Sequence[str] | None = None,
    ) -> Any: ...
    def backward(
        self,
        upstream: npt.ArrayLike = 1.0,
        *,
        out: npt.NDArray[Any] | None = None,
        accumulate: bool = False,
    ) -> npt.NDArray[Any]: ...
    def grad_and_hess(
        self,
        logits: npt.ArrayLike,
        target: npt.ArrayLike,
        *,
        rule: Literal["exact", "upper", "friedman", "residual"] = "exact",
        out: npt.NDArray[Any] | None = None,
        sample_weight: npt.ArrayLike | None = None,
        class_mask: npt.ArrayLike | None = None,
        upstream: npt.ArrayLike = 1.0,
    ) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]: ...
    def hessian_vector(
        self,
        logits: npt.ArrayLike,
        target: npt.ArrayLike,
        vector: npt.ArrayLike,
        *,
        out: npt.NDArray[Any] | None = None,
        sample_weight: npt.ArrayLike | None = None,
        class_mask: npt.ArrayLike | None = None,
        upstream: npt.ArrayLike = 1.0,
    ) -> npt.NDArray[Any]: ...

def available_isas() -> tuple[str, ...]: ...
@overload
def binary_cross_entropy(
    probs: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    clip: float | Literal["torch", "keras"] | None = None,
    pos_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
    nan_target: Literal["propagate", "missing"] = "propagate",
    validate: bool = False,
    label_smoothing: float = 0.0,
    focal_gamma: float = 0.0,
    focal_alpha: float | None = None,
    reduction: Literal["mean", "sum"] = "mean",
    normalizer: Literal["weight", "valid", "batch"] | float | None = None,
    empty: Literal["nan", "zero", "raise"] = "nan",
    upstream: npt.ArrayLike = 1.0,
    accumulate: bool = False,
    return_aux: None = None,
    threads: int | None = None,
) -> float: ...
@overload
def binary_cross_entropy(
    probs: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    clip: float | Literal["torch", "keras"] | None = None,
    pos_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
    nan_target: Literal["propagate", "missing"] = "propagate",
    validate: bool = False,
    label_smoothing: float = 0.0,
    focal_gamma: float = 0.0,
    focal_alpha: float | None = None,
    reduction: Literal["none"],
    normalizer: Literal["weight", "valid", "batch"] | float | None = None,
    empty: Literal["nan", "zero", "raise"] = "nan",
    upstream: npt.ArrayLike = 1.0,
    accumulate: bool = False,
    return_aux: None = None,
    threads: int | None = None,
) -> npt.NDArray[Any]: ...
@overload
def binary_cross_entropy(
    probs: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    clip: float | Literal["torch", "keras"] | None = None,
    pos_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
    nan_target: Literal["propagate", "missing"] = "propagate",
    validate: bool = False,
    label_smoothing: float = 0.0,
    focal_gamma: float = 0.0,
    focal_alpha: float | None = None,
    reduction: Literal["mean", "sum", "none"] = "mean",
    normalizer: Literal["weight", "valid", "batch"] | float | None = None,
    empty: Literal["nan", "zero", "raise"] = "nan",
    upstream: npt.ArrayLike = 1.0,
    accumulate: bool = False,
    return_aux: str | Sequence[str],
    threads: int | None = None,
) -> tuple[Any, dict[str, Any]]: ...
@overload
def binary_cross_entropy_value_and_grad(
    probs: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    out: npt.NDArray[Any] | None = None,
    clip: float | Literal["torch", "keras"] | None = None,
    pos_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
    nan_target: Literal["propagate", "missing"] = "propagate",
    validate: bool = False,
    label_smoothing: float = 0.0,
    focal_gamma: float = 0.0,
    focal_alpha: float | None = None,
    reduction: Literal["mean", "sum"] = "mean",
    normalizer: Literal["weight", "valid", "batch"] | float | None = None,
    empty: Literal["nan", "zero", "raise"] = "nan",
    upstream: npt.ArrayLike = 1.0,
    accumulate: bool = False,
    return_aux: None = None,
    threads: int | None = None,
) -> tuple[float, npt.NDArray[Any]]: ...
@overload
def binary_cross_entropy_value_and_grad(
    probs: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    out: npt.NDArray[Any] | None = None,
    clip: float | Literal["torch", "keras"] | None = None,
    pos_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
    nan_target: Literal["propagate", "missing"] = "propagate",
    validate: bool = False,
    label_smoothing: float = 0.0,
    focal_gamma: float = 0.0,
    focal_alpha: float | None = None,
    reduction: Literal["none"],
    normalizer: Literal["weight", "valid", "batch"] | float | None = None,
    empty: Literal["nan", "zero", "raise"] = "nan",
    upstream: npt.ArrayLike = 1.0,
    accumulate: bool = False,
    return_aux: None = None,
    threads: int | None = None,
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]: ...
@overload
def binary_cross_entropy_value_and_grad(
    probs: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    out: npt.NDArray[Any] | None = None,
    clip: float | Literal["torch", "keras"] | None = None,
    pos_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
    nan_target: Literal["propagate", "missing"] = "propagate",
    validate: bool = False,
    label_smoothing: float = 0.0,
    focal_gamma: float = 0.0,
    focal_alpha: float | None = None,
    reduction: Literal["mean", "sum", "none"] = "mean",
    normalizer: Literal["weight", "valid", "batch"] | float | None = None,
    empty: Literal["nan", "zero", "raise"] = "nan",
    upstream: npt.ArrayLike = 1.0,
    accumulate: bool = False,
    return_aux: str | Sequence[str],
    threads: int | None = None,
) -> tuple[Any, npt.NDArray[Any], dict[str, Any]]: ...
@overload
def categorical_cross_entropy(
    probs: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    clip: float | Literal["torch", "keras"] | None = None,
    normalize: bool = False,
    axis: int = -1,
    class_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
    label_smoothing: float = 0.0,
    smoothing: Literal["uniform", "off_target"] = "uniform",
    smoothing_weight: Literal["class", "target"] = "class",
    reduction: Literal["mean", "sum"] = "mean",
    normalizer: Literal["weight", "valid", "batch"] | float | None = None,
    empty: Literal["nan", "zero", "raise"] = "nan",
    upstream: npt.ArrayLike = 1.0,
    accumulate: bool = False,
    threads: int | None = None,
) -> float: ...
@overload
def categorical_cross_entropy(
    probs: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    clip: float | Literal["torch", "keras"] | None = None,
    normalize: bool = False,
    axis: int = -1,
    class_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
    label_smoothing: float = 0.0,
    smoothing: Literal["uniform", "off_target"] = "uniform",
    smoothing_weight: Literal["class", "target"] = "class",
    reduction: Literal["none"],
    normalizer: Literal["weight", "valid", "batch"] | float | None = None,
    empty: Literal["nan", "zero", "raise"] = "nan",
    upstream: npt.ArrayLike = 1.0,
    accumulate: bool = False,
    threads: int | None = None,
) -> npt.NDArray[Any]: ...
@overload
def categorical_cross_entropy_value_and_grad(
    probs: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    out: npt.NDArray[Any] | None = None,
    clip: float | Literal["torch", "keras"] | None = None,
    normalize: bool = False,
    axis: int = -1,
    class_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
    label_smoothing: float = 0.0,
    smoothing: Literal["uniform", "off_target"] = "uniform",
    smoothing_weight: Literal["class", "target"] = "class",
    reduction: Literal["mean", "sum"] = "mean",
    normalizer: Literal["weight", "valid", "batch"] | float | None = None,
    empty: Literal["nan", "zero", "raise"] = "nan",
    upstream: npt.ArrayLike = 1.0,
    accumulate: bool = False,
    threads: int | None = None,
) -> tuple[float, npt.NDArray[Any]]: ...
@overload
def categorical_cross_entropy_value_and_grad(
    probs: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    out: npt.NDArray[Any] | None = None,
    clip: float | Literal["torch", "keras"] | None = None,
    normalize: bool = False,
    axis: int = -1,
    class_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
    label_smoothing: float = 0.0,
    smoothing: Literal["uniform", "off_target"] = "uniform",
    smoothing_weight: Literal["class", "target"] = "class",
    reduction: Literal["none"],
    normalizer: Literal["weight", "valid", "batch"] | float | None = None,
    empty: Literal["nan", "zero", "raise"] = "nan",
    upstream: npt.ArrayLike = 1.0,
    accumulate: bool = False,
    threads: int | None = None,
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]: ...
def get_include() -> str: ...
def get_num_threads() -> int: ...
def isa() -> str: ...
@overload
def linear_cross_entropy(
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    bias: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    chunk: int | None = None,
    class_weight: npt.ArrayLike | None = None,
    ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
    label_smoothing: float = 0.0,
    smoothing: Literal["uniform", "off_target"] = "uniform",
    smoothing_weight: Literal["class", "target"] = "class",
    focal_gamma: float = 0.0,
    focal_alpha: npt.ArrayLike | None = None,
    z_loss: float = 0.0,
    temperature: float | None = None,
    softcap: float | None = None,
    reduction: Literal["mean", "sum"] = "mean",
    normalizer: Literal["weight", "valid", "batch"] | float | None = None,
    empty: Literal["nan", "zero", "raise"] = "nan",
    nonfinite: Literal["propagate", "zero", "raise", "warn"] = "propagate",
    threads: int | None = None,
) -> float: ...
@overload
def linear_cross_entropy(
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    bias: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    chunk: int | None = None,
    class_weight: npt.ArrayLike | None = None,
    ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
    label_smoothing: float = 0.0,
    smoothing: Literal["uniform", "off_target"] = "uniform",
    smoothing_weight: Literal["class", "target"] = "class",
    focal_gamma: float = 0.0,
    focal_alpha: npt.ArrayLike | None = None,
    z_loss: float = 0.0,
    temperature: float | None = None,
    softcap: float | None = None,
    reduction: Literal["none"],
    normalizer: Literal["weight", "valid", "batch"] | float | None = None,
    empty: Literal["nan", "zero", "raise"] = "nan",
    nonfinite: Literal["propagate", "zero", "raise", "warn"] = "propagate",
    threads: int | None = None,
) -> npt.NDArray[Any]: ...
@overload
def linear_cross_entropy_value_and_grad(
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    bias: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    chunk: int | None = None,
    class_weight: npt.ArrayLike | None = None,
    ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
    label_smoothing: float = 0.0,
    smoothing: Literal["uniform", "off_target"] = "uniform",
    smoothing_weight: Literal["class", "target"] = "class",
    focal_gamma: float = 0.0,
    focal_alpha: npt.ArrayLike | None = None,
    z_loss: float = 0.0,
    temperature: float | None = None,
    softcap: float | None = None,
    reduction: Literal["mean", "sum"] = "mean",
    normalizer: Literal["weight", "valid", "batch"] | float | None = None,
    empty: Literal["nan", "zero", "raise"] = "nan",
    nonfinite: Literal["propagate", "zero", "raise", "warn"] = "propagate",
    threads: int | None = None,
) -> tuple[float, tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any] | None]]: ...
@overload
def linear_cross_entropy_value_and_grad(
    x: npt.ArrayLike,
    weight: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    bias: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    chunk: int | None = None,
    class_weight: npt.ArrayLike | None = None,
    ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
    label_smoothing: float = 0.0,
    smoothing: Literal["uniform", "off_target"] = "uniform",
    smoothing_weight: Literal["class", "target"] = "class",
    focal_gamma: float = 0.0,
    focal_alpha: npt.ArrayLike | None = None,
    z_loss: float = 0.0,
    temperature: float | None = None,
    softcap: float | None = None,
    reduction: Literal["none"],
    normalizer: Literal["weight", "valid", "batch"] | float | None = None,
    empty: Literal["nan", "zero", "raise"] = "nan",
    nonfinite: Literal["propagate", "zero", "raise", "warn"] = "propagate",
    threads: int | None = None,
) -> tuple[
    npt.NDArray[Any], tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any] | None]
]: ...
def log_sigmoid(x: npt.ArrayLike, *, out: npt.NDArray[Any] | None = None) -> Any: ...
def log_softmax(
    x: npt.ArrayLike, *, axis: int = -1, out: npt.NDArray[Any] | None = None
) -> npt.NDArray[Any]: ...
def logsumexp(
    x: npt.ArrayLike,
    *,
    axis: int | tuple[int, ...] | None = -1,
    b: npt.ArrayLike | None = None,
    keepdims: bool = False,
    return_sign: bool = False,
) -> Any: ...
def set_num_threads(n: int) -> None: ...
def show_config() -> None: ...
def sigmoid(x: npt.ArrayLike, *, out: npt.NDArray[Any] | None = None) -> Any: ...
@overload
def sigmoid_cross_entropy(
    logits: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    pos_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
    nan_target: Literal["propagate", "missing"] = "propagate",
    validate: bool = False,
    label_smoothing: float = 0.0,
    focal_gamma: float = 0.0,
    focal_alpha: float | None = None,
    reduction: Literal["mean", "sum"] = "mean",
    normalizer: Literal["weight", "valid", "batch"] | float | None = None,
    empty: Literal["nan", "zero", "raise"] = "nan",
    nonfinite: Literal["propagate", "zero", "raise", "warn"] = "propagate",
    upstream: npt.ArrayLike = 1.0,
    accumulate: bool = False,
    return_aux: None = None,
    threads: int | None = None,
) -> float: ...
@overload
def sigmoid_cross_entropy(
    logits: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    pos_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
    nan_target: Literal["propagate", "missing"] = "propagate",
    validate: bool = False,
    label_smoothing: float = 0.0,
    focal_gamma: float = 0.0,
    focal_alpha: float | None = None,
    reduction: Literal["none"],
    normalizer: Literal["weight", "valid", "batch"] | float | None = None,
    empty: Literal["nan", "zero", "raise"] = "nan",
    nonfinite: Literal["propagate", "zero", "raise", "warn"] = "propagate",
    upstream: npt.ArrayLike = 1.0,
    accumulate: bool = False,
    return_aux: None = None,
    threads: int | None = None,
) -> npt.NDArray[Any]: ...
@overload
def sigmoid_cross_entropy(
    logits: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    pos_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
    nan_target: Literal["propagate", "missing"] = "propagate",
    validate: bool = False,
    label_smoothing: float = 0.0,
    focal_gamma: float = 0.0,
    focal_alpha: float | None = None,
    reduction: Literal["mean", "sum", "none"] = "mean",
    normalizer: Literal["weight", "valid", "batch"] | float | None = None,
    empty: Literal["nan", "zero", "raise"] = "nan",
    nonfinite: Literal["propagate", "zero", "raise", "warn"] = "propagate",
    upstream: npt.ArrayLike = 1.0,
    accumulate: bool = False,
    return_aux: str | Sequence[str],
    threads: int | None = None,
) -> tuple[Any, dict[str, Any]]: ...
@overload
def sigmoid_cross_entropy_value_and_grad(
    logits: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    out: npt.NDArray[Any] | None = None,
    pos_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
    nan_target: Literal["propagate", "missing"] = "propagate",
    validate: bool = False,
    label_smoothing: float = 0.0,
    focal_gamma: float = 0.0,
    focal_alpha: float | None = None,
    reduction: Literal["mean", "sum"] = "mean",
    normalizer: Literal["weight", "valid", "batch"] | float | None = None,
    empty: Literal["nan", "zero", "raise"] = "nan",
    nonfinite: Literal["propagate", "zero", "raise", "warn"] = "propagate",
    upstream: npt.ArrayLike = 1.0,
    accumulate: bool = False,
    return_aux: None = None,
    threads: int | None = None,
) -> tuple[float, npt.NDArray[Any]]: ...
@overload
def sigmoid_cross_entropy_value_and_grad(
    logits: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    out: npt.NDArray[Any] | None = None,
    pos_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
    nan_target: Literal["propagate", "missing"] = "propagate",
    validate: bool = False,
    label_smoothing: float = 0.0,
    focal_gamma: float = 0.0,
    focal_alpha: float | None = None,
    reduction: Literal["none"],
    normalizer: Literal["weight", "valid", "batch"] | float | None = None,
    empty: Literal["nan", "zero", "raise"] = "nan",
    nonfinite: Literal["propagate", "zero", "raise", "warn"] = "propagate",
    upstream: npt.ArrayLike = 1.0,
    accumulate: bool = False,
    return_aux: None = None,
    threads: int | None = None,
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]: ...
@overload
def sigmoid_cross_entropy_value_and_grad(
    logits: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    out: npt.NDArray[Any] | None = None,
    pos_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
    nan_target: Literal["propagate", "missing"] = "propagate",
    validate: bool = False,
    label_smoothing: float = 0.0,
    focal_gamma: float = 0.0,
    focal_alpha: float | None = None,
    reduction: Literal["mean", "sum", "none"] = "mean",
    normalizer: Literal["weight", "valid", "batch"] | float | None = None,
    empty: Literal["nan", "zero", "raise"] = "nan",
    nonfinite: Literal["propagate", "zero", "raise", "warn"] = "propagate",
    upstream: npt.ArrayLike = 1.0,
    accumulate: bool = False,
    return_aux: str | Sequence[str],
    threads: int | None = None,
) -> tuple[Any, npt.NDArray[Any], dict[str, Any]]: ...
def softmax(
    x: npt.ArrayLike, *, axis: int = -1, out: npt.NDArray[Any] | None = None
) -> npt.NDArray[Any]: ...
@overload
def softmax_cross_entropy(
    logits: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    axis: int = -1,
    class_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
    class_mask: npt.ArrayLike | None = None,
    label_smoothing: float = 0.0,
    smoothing: Literal["uniform", "off_target"] = "uniform",
    smoothing_weight: Literal["class", "target"] = "class",
    focal_gamma: float = 0.0,
    focal_alpha: npt.ArrayLike | None = None,
    z_loss: float = 0.0,
    temperature: float | None = None,
    softcap: float | None = None,
    reduction: Literal["mean", "sum"] = "mean",
    normalizer: Literal["weight", "valid", "batch"] | float | None = None,
    empty: Literal["nan", "zero", "raise"] = "nan",
    nonfinite: Literal["propagate", "zero", "raise", "warn"] = "propagate",
    upstream: npt.ArrayLike = 1.0,
    accumulate: bool = False,
    return_aux: None = None,
    threads: int | None = None,
) -> float: ...
@overload
def softmax_cross_entropy(
    logits: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    axis: int = -1,
    class_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
    class_mask: npt.ArrayLike | None = None,
    label_smoothing: float = 0.0,
    smoothing: Literal["uniform", "off_target"] = "uniform",
    smoothing_weight: Literal["class", "target"] = "class",
    focal_gamma: float = 0.0,
    focal_alpha: npt.ArrayLike | None = None,
    z_loss: float = 0.0,
    temperature: float | None = None,
    softcap: float | None = None,
    reduction: Literal["none"],
    normalizer: Literal["weight", "valid", "batch"] | float | None = None,
    empty: Literal["nan", "zero", "raise"] = "nan",
    nonfinite: Literal["propagate", "zero", "raise", "warn"] = "propagate",
    upstream: npt.ArrayLike = 1.0,
    accumulate: bool = False,
    return_aux: None = None,
    threads: int | None = None,
) -> npt.NDArray[Any]: ...
@overload
def softmax_cross_entropy(
    logits: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    axis: int = -1,
    class_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
    class_mask: npt.ArrayLike | None = None,
    label_smoothing: float = 0.0,
    smoothing: Literal["uniform", "off_target"] = "uniform",
    smoothing_weight: Literal["class", "target"] = "class",
    focal_gamma: float = 0.0,
    focal_alpha: npt.ArrayLike | None = None,
    z_loss: float = 0.0,
    temperature: float | None = None,
    softcap: float | None = None,
    reduction: Literal["mean", "sum", "none"] = "mean",
    normalizer: Literal["weight", "valid", "batch"] | float | None = None,
    empty: Literal["nan", "zero", "raise"] = "nan",
    nonfinite: Literal["propagate", "zero", "raise", "warn"] = "propagate",
    upstream: npt.ArrayLike = 1.0,
    accumulate: bool = False,
    return_aux: str | Sequence[str],
    threads: int | None = None,
) -> tuple[Any, dict[str, Any]]: ...
@overload
def softmax_cross_entropy_value_and_grad(
    logits: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    out: npt.NDArray[Any] | None = None,
    axis: int = -1,
    class_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
    class_mask: npt.ArrayLike | None = None,
    label_smoothing: float = 0.0,
    smoothing: Literal["uniform", "off_target"] = "uniform",
    smoothing_weight: Literal["class", "target"] = "class",
    focal_gamma: float = 0.0,
    focal_alpha: npt.ArrayLike | None = None,
    z_loss: float = 0.0,
    temperature: float | None = None,
    softcap: float | None = None,
    reduction: Literal["mean", "sum"] = "mean",
    normalizer: Literal["weight", "valid", "batch"] | float | None = None,
    empty: Literal["nan", "zero", "raise"] = "nan",
    nonfinite: Literal["propagate", "zero", "raise", "warn"] = "propagate",
    upstream: npt.ArrayLike = 1.0,
    accumulate: bool = False,
    return_aux: None = None,
    threads: int | None = None,
) -> tuple[float, npt.NDArray[Any]]: ...
@overload
def softmax_cross_entropy_value_and_grad(
    logits: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    out: npt.NDArray[Any] | None = None,
    axis: int = -1,
    class_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
    class_mask: npt.ArrayLike | None = None,
    label_smoothing: float = 0.0,
    smoothing: Literal["uniform", "off_target"] = "uniform",
    smoothing_weight: Literal["class", "target"] = "class",
    focal_gamma: float = 0.0,
    focal_alpha: npt.ArrayLike | None = None,
    z_loss: float = 0.0,
    temperature: float | None = None,
    softcap: float | None = None,
    reduction: Literal["none"],
    normalizer: Literal["weight", "valid", "batch"] | float | None = None,
    empty: Literal["nan", "zero", "raise"] = "nan",
    nonfinite: Literal["propagate", "zero", "raise", "warn"] = "propagate",
    upstream: npt.ArrayLike = 1.0,
    accumulate: bool = False,
    return_aux: None = None,
    threads: int | None = None,
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]: ...
@overload
def softmax_cross_entropy_value_and_grad(
    logits: npt.ArrayLike,
    target: npt.ArrayLike,
    *,
    out: npt.NDArray[Any] | None = None,
    axis: int = -1,
    class_weight: npt.ArrayLike | None = None,
    sample_weight: npt.ArrayLike | None = None,
    ignore_index: SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None = None,
    class_mask: npt.ArrayLike | None = None,
    label_smoothing: float = 0.0,
    smoothing: Literal["uniform", "off_target"] = "uniform",
    smoothing_weight: Literal["class", "target"] = "class",
    focal_gamma: float = 0.0,
    focal_alpha: npt.ArrayLike | None = None,
    z_loss: float = 0.0,
    temperature: float | None = None,
    softcap: float | None = None,
    reduction: Literal["mean", "sum", "none"] = "mean",
    normalizer: Literal["weight", "valid", "batch"] | float | None = None,
    empty: Literal["nan", "zero", "raise"] = "nan",
    nonfinite: Literal["propagate", "zero", "raise", "warn"] = "propagate",
    upstream: npt.ArrayLike = 1.0,
    accumulate: bool = False,
    return_aux: str | Sequence[str],
    threads: int | None = None,
) -> tuple[Any, npt.NDArray[Any], dict[str, Any]]: ...
def softplus(x: npt.ArrayLike, *, out: npt.NDArray[Any] | None = None) -> Any: ...
