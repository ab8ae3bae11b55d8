"""The rules by which a step changes parameters: what the core reads of them, and their checks."""

from dataclasses import dataclass, field
from typing import ClassVar

from .. import _check
from .options import by_name
from .schedules import Constant, check_schedule

_MEANINGS = {
    "learning_rate": "did you mean 'lr'?",
    "alpha": "lr is the learning rate, l2 the penalty",
    "rho": "did you mean 'beta2'?",
    "betas": "beta1 and beta2, each by its name",
    "eps": "did you mean 'epsilon'?",
    "decay": "did you mean 'weight_decay'?",
    "clipnorm": "did you mean 'clip'?",
}


def _rule(positional, **meanings):
    """Makes an optimiser of a class: the learning rate may come without a name, no other option."""

    def decorate(cls):
        cls.__init__ = by_name({**_MEANINGS, **meanings}, f": {positional}")(cls.__init__)
        return cls

    return decorate


@dataclass(kw_only=True)
class _Optimizer:
    """Options common to all; L2 and L1 act on weights, not on biases."""

    lr: float = field(default=0.01, kw_only=False)
    l2: float = 0.0
    l1: float = 0.0
    clip: float | None = None
    schedule: object = field(default_factory=Constant)

    # What the core reads of every optimiser; the classes below replace theirs by fields.
    moments: ClassVar[int] = 0
    momentum: ClassVar[float] = 0.0
    nesterov: ClassVar[bool] = False
    beta1: ClassVar[float] = 0.0
    beta2: ClassVar[float] = 0.0
    epsilon: ClassVar[float | None] = None
    weight_decay: ClassVar[float] = 0.0

    def __post_init__(self):
        for name in ("lr", "l2", "l1", "weight_decay"):
            _check.number(name, getattr(self, name), 0)
        for name in ("clip", "epsilon"):
            _check.positive(name, getattr(self, name), optional=True)
        for name in ("momentum", "beta1", "beta2"):
            _check.share(name, getattr(self, name))
        _check.flag("nesterov", self.nesterov)
        check_schedule("schedule", self.schedule)


@_rule(
    "SGD(0.1, momentum=0.9)",
    weight_decay="l2 adds to the gradient; AdamW has weight_decay",
)
@dataclass(kw_only=True)
class SGD(_Optimizer):
    """Stochastic gradient descent: ``m = momentum * m + g; p -= lr * m``.

    Parameters
    ----------
    lr : float, default 0.01
        Learning rate. All options after it have to be named.
    l2, l1 : float, default 0
        Strengths of the penalties ``l2 / 2 * sum(W**2)`` and ``l1 * sum(abs(W))``; biases have
        none.
    clip : float, optional
        Largest Euclidean norm of the whole gradient; a longer one is shortened to it.
    schedule : callable, default ``Constant()``
        `Constant`, `Steps`, `Cosine`, `WarmUp`, or a function of an array of step numbers (from 0),
        the steps of an epoch and of the whole fit, that returns factors of `lr`.
    momentum : float, 0 <= momentum < 1, default 0
    nesterov : bool, default False
        ``p -= lr * (g + momentum * m)`` instead.

    Examples
    --------
    >>> from crossent.train import SGD, Cosine
    >>> SGD(0.1, momentum=0.9, schedule=Cosine()).momentum
    0.9
    """

    momentum: float = 0.0
    nesterov: bool = False

    @property
    def moments(self):
        """Arrays of running means that the core keeps for each parameter."""
        return 1 if self.momentum else 0


@_rule(
    "Adam(1e-3, beta1=0.9)",
    weight_decay="AdamW has weight_decay; l2 adds to the gradient",
    momentum="beta1 is Adam's",
)
@dataclass(kw_only=True)
class Adam(_Optimizer):
    """Adam (Kingma and Ba, 2015) with bias correction; `l2` is added to the gradient.

    Parameters
    ----------
    lr : float, default 0.001
        Learning rate. All options after it have to be named.
    l2, l1, clip, schedule
        As for `SGD`.
    beta1, beta2, epsilon : float, default 0.9, 0.999 and 1e-8
        ``p -= lr * m / (sqrt(v) + epsilon)``, m and v being the corrected running means of the
        gradient and of its square.

    Examples
    --------
    >>> from crossent.train import Adam
    >>> Adam().lr
    0.001
    """

    lr: float = field(default=1e-3, kw_only=False)
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    moments: ClassVar[int] = 2


@_rule("AdamW(1e-3, weight_decay=0.01)", momentum="beta1 is Adam's")
@dataclass(kw_only=True)
class AdamW(Adam):
    """Adam with decoupled weight decay, ``W -= lr * weight_decay * W`` (Loshchilov, Hutter, 2019).

    Parameters
    ----------
    lr, l2, l1, clip, schedule, beta1, beta2, epsilon
        As for `Adam`.
    weight_decay : float, default 0.01
        Of weights, not of biases.

    Examples
    --------
    >>> from crossent.train import AdamW
    >>> AdamW(3e-4).weight_decay
    0.01
    """

    weight_decay: float = 0.01
