"""Written by tools/make_stubs.py: do not edit."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, SupportsIndex, overload

import numpy as np
import numpy.typing as npt

from .. import SigmoidCrossEntropy, SoftmaxCrossEntropy

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Constant",
    "Cosine",
    "DivergenceError",
    "History",
    "Network",
    "Steps",
    "WarmUp",
]

@dataclass
class SGD:
    lr: float = ...
    l2: float = ...
    l1: float = ...
    clip: float | None = ...
    schedule: Callable[[Any, int, int], Any] = ...
    momentum: float = ...
    nesterov: bool = ...
    @property
    def moments(self) -> int: ...

@dataclass
class Adam:
    lr: float = ...
    l2: float = ...
    l1: float = ...
    clip: float | None = ...
    schedule: Callable[[Any, int, int], Any] = ...
    beta1: float = ...
    beta2: float = ...
    epsilon: float = ...

@dataclass
class AdamW(Adam):
    lr: float = ...
    l2: float = ...
    l1: float = ...
    clip: float | None = ...
    schedule: Callable[[Any, int, int], Any] = ...
    beta1: float = ...
    beta2: float = ...
    epsilon: float = ...
    weight_decay: float = ...

@dataclass(frozen=True)
class Constant:
    def __call__(self, step: Any, steps_per_epoch: int, steps: int) -> Any: ...

@dataclass(frozen=True)
class Cosine:
    final: float = ...
    def __call__(self, step: Any, steps_per_epoch: int, steps: int) -> Any: ...

class DivergenceError(ArithmeticError): ...

@dataclass
class History:
    loss: list[float] = ...
    accuracy: list[float] = ...
    lr: list[float] = ...
    seconds: list[float] = ...
    val_loss: list[float] = ...
    val_accuracy: list[float] = ...
    best_epoch: int = ...
    def plot(self, axes: Any = None) -> Any: ...

class Network:
    def __init__(
        self,
        layers: Sequence[tuple[npt.NDArray[Any], npt.NDArray[Any] | None]],
        *,
        activation: str | Sequence[str] = "relu",
        dropout: float | Sequence[float] = 0.0,
        output: Literal["softmax", "sigmoid"] | None = None,
    ) -> None: ...
    layers: list[tuple[npt.NDArray[Any], npt.NDArray[Any] | None]]
    activations: list[str]
    dropouts: list[float]
    output: str
    @classmethod
    def create(
        cls,
        sizes: Sequence[int],
        *,
        activation: str | Sequence[str] = "relu",
        dropout: float | Sequence[float] = 0.0,
        output: Literal["softmax", "sigmoid"] | None = None,
        dtype: npt.DTypeLike = ...,
        seed: int | np.random.Generator | None = None,
    ) -> Network: ...
    @property
    def dtype(self) -> np.dtype[Any]: ...
    @property
    def features(self) -> int: ...
    @property
    def outputs(self) -> int: ...
    def parameters(self) -> list[npt.NDArray[Any]]: ...
    def logits(
        self, X: npt.NDArray[Any] | Sequence[npt.NDArray[Any]], *, threads: int | None = None
    ) -> npt.NDArray[Any]: ...
    def forward(
        self, X: npt.NDArray[Any] | Sequence[npt.NDArray[Any]], *, threads: int | None = None
    ) -> npt.NDArray[Any]: ...
    def predict_proba(
        self, X: npt.NDArray[Any] | Sequence[npt.NDArray[Any]], *, threads: int | None = None
    ) -> npt.NDArray[Any]: ...
    def predict(
        self, X: npt.NDArray[Any] | Sequence[npt.NDArray[Any]], *, threads: int | None = None
    ) -> npt.NDArray[Any]: ...
    def evaluate(
        self,
        X: npt.NDArray[Any] | Sequence[npt.NDArray[Any]],
        y: npt.ArrayLike,
        *,
        loss: SoftmaxCrossEntropy | SigmoidCrossEntropy | None = None,
        sample_weight: npt.ArrayLike | None = None,
        threads: int | None = None,
    ) -> tuple[float, float]: ...
    def backward(
        self,
        X: npt.NDArray[Any] | Sequence[npt.NDArray[Any]],
        y: npt.ArrayLike,
        *,
        loss: SoftmaxCrossEntropy | SigmoidCrossEntropy | None = None,
        sample_weight: npt.ArrayLike | None = None,
        class_weight: npt.ArrayLike | dict[int, float] | Literal["balanced"] | None = None,
        threads: int | None = None,
    ) -> tuple[float, list[tuple[npt.NDArray[Any], npt.NDArray[Any] | None]]]: ...
    def fit(
        self,
        X: npt.NDArray[Any] | Sequence[npt.NDArray[Any]],
        y: npt.ArrayLike,
        *,
        loss: SoftmaxCrossEntropy | SigmoidCrossEntropy | None = None,
        optimizer: SGD | Adam | None = None,
        batch_size: int = 64,
        epochs: int = 10,
        shuffle: bool = True,
        drop_last: bool = False,
        accumulate: int = 1,
        sample_weight: npt.ArrayLike | None = None,
        class_weight: npt.ArrayLike | dict[int, float] | Literal["balanced"] | None = None,
        sampling: Literal["all", "over", "under", "balanced"] = "all",
        validation: tuple[Any, ...] | None = None,
        patience: int | None = None,
        min_delta: float = 0.0,
        seed: int = 0,
        threads: int | None = None,
        progress: bool = False,
        callback: Callable[[Network, History], Any] | None = None,
    ) -> History: ...
    def partial_fit(
        self,
        X: npt.NDArray[Any] | Sequence[npt.NDArray[Any]],
        y: npt.ArrayLike,
        *,
        loss: SoftmaxCrossEntropy | SigmoidCrossEntropy | None = None,
        optimizer: SGD | Adam | None = None,
        batch_size: int = 64,
        shuffle: bool = True,
        drop_last: bool = False,
        accumulate: int = 1,
        sample_weight: npt.ArrayLike | None = None,
        class_weight: npt.ArrayLike | dict[int, float] | Literal["balanced"] | None = None,
        sampling: Literal["all", "over", "under", "balanced"] = "all",
        seed: int = 0,
        threads: int | None = None,
    ) -> History: ...
    def save(self, path: str | os.PathLike[str]) -> None: ...
    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Network: ...

@dataclass(frozen=True)
class Steps:
    epochs: float
    factor: float = ...
    def __call__(self, step: Any, steps_per_epoch: int, steps: int) -> Any: ...

@dataclass(frozen=True)
class WarmUp:
    epochs: float
    then: Callable[[Any, int, int], Any] = ...
    def __call__(self, step: Any, steps_per_epoch: int, steps: int) -> Any: ...
