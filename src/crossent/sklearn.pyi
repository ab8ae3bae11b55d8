"""Written by tools/make_stubs.py: do not edit."""

import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, SupportsIndex, overload

import numpy as np
import numpy.typing as npt

from sklearn.base import BaseEstimator, ClassifierMixin

from .train import SGD, Adam, History, Network

__all__ = [
    "MLPClassifier",
    "SoftmaxClassifier",
]

class MLPClassifier(ClassifierMixin, BaseEstimator):
    def __init__(self, hidden_layer_sizes: int | Sequence[int] = ..., activation: str = 'relu', *, dropout: float = 0.0, optimizer: SGD | Adam | None = None, epochs: int = 200, batch_size: int | Literal["auto"] = 'auto', class_weight: dict[Any, float] | Literal["balanced"] | None = None, label_smoothing: float = 0.0, early_stopping: bool = False, validation_fraction: float = 0.1, patience: int = 10, random_state: int | np.random.RandomState | None = None, threads: int | None = None, verbose: bool = False, callback: Callable[[Network, History], Any] | None = None) -> None: ...
    hidden_layer_sizes: int | Sequence[int]
    activation: str
    dropout: float
    optimizer: SGD | Adam | None
    epochs: int
    batch_size: int | Literal["auto"]
    class_weight: dict[Any, float] | Literal["balanced"] | None
    label_smoothing: float
    early_stopping: bool
    validation_fraction: float
    patience: int
    random_state: int | np.random.RandomState | None
    threads: int | None
    verbose: bool
    callback: Callable[[Network, History], Any] | None
    classes_: npt.NDArray[Any]
    network_: Network
    history_: History
    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> MLPClassifier: ...
    def partial_fit(self, X: npt.ArrayLike, y: npt.ArrayLike, classes: npt.ArrayLike | None = None, sample_weight: npt.ArrayLike | None = None) -> MLPClassifier: ...
    def decision_function(self, X: npt.ArrayLike) -> npt.NDArray[Any]: ...
    def predict_proba(self, X: npt.ArrayLike) -> npt.NDArray[Any]: ...
    def predict_log_proba(self, X: npt.ArrayLike) -> npt.NDArray[Any]: ...
    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]: ...
class SoftmaxClassifier(ClassifierMixin, BaseEstimator):
    def __init__(self, *, optimizer: SGD | Adam | None = None, epochs: int = 200, batch_size: int | Literal["auto"] = 'auto', class_weight: dict[Any, float] | Literal["balanced"] | None = None, label_smoothing: float = 0.0, early_stopping: bool = False, validation_fraction: float = 0.1, patience: int = 10, random_state: int | np.random.RandomState | None = None, threads: int | None = None, verbose: bool = False, callback: Callable[[Network, History], Any] | None = None) -> None: ...
    optimizer: SGD | Adam | None
    epochs: int
    batch_size: int | Literal["auto"]
    class_weight: dict[Any, float] | Literal["balanced"] | None
    label_smoothing: float
    early_stopping: bool
    validation_fraction: float
    patience: int
    random_state: int | np.random.RandomState | None
    threads: int | None
    verbose: bool
    callback: Callable[[Network, History], Any] | None
    classes_: npt.NDArray[Any]
    network_: Network
    history_: History
    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike, sample_weight: npt.ArrayLike | None = None) -> SoftmaxClassifier: ...
    def partial_fit(self, X: npt.ArrayLike, y: npt.ArrayLike, classes: npt.ArrayLike | None = None, sample_weight: npt.ArrayLike | None = None) -> SoftmaxClassifier: ...
    def decision_function(self, X: npt.ArrayLike) -> npt.NDArray[Any]: ...
    def predict_proba(self, X: npt.ArrayLike) -> npt.NDArray[Any]: ...
    def predict_log_proba(self, X: npt.ArrayLike) -> npt.NDArray[Any]: ...
    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]: ...
    @property
    def coef_(self) -> npt.NDArray[Any]: ...
    @property
    def intercept_(self) -> npt.NDArray[Any]: ...
