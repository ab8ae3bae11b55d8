"""How the learning rate changes over the steps of a training."""

from dataclasses import dataclass

import numpy as np

from .. import _check


def check_schedule(name, schedule):
    if not callable(schedule):
        raise TypeError(
            f"{name} is {schedule!r}; expected Constant(), Steps(...), Cosine(...), WarmUp(...) or "
            "a function of (step, steps_per_epoch, steps)"
        )


@dataclass(frozen=True)
class Constant:
    """The learning rate stays as it is.

    Examples
    --------
    >>> from crossent.train import SGD, Constant
    >>> optimizer = SGD(0.1, schedule=Constant())  # the default
    """

    def __call__(self, step, steps_per_epoch, steps):
        return np.ones(len(step))


@dataclass(frozen=True)
class Steps:
    """The learning rate is multiplied by `factor` every `epochs` epochs.

    Parameters
    ----------
    epochs : float
    factor : float, default 0.1

    Examples
    --------
    >>> from crossent.train import SGD, Steps
    >>> optimizer = SGD(0.1, schedule=Steps(30))  # 0.1, from epoch 30 on 0.01, ...
    """

    epochs: float
    factor: float = 0.1

    def __post_init__(self):
        _check.positive("epochs", self.epochs)
        _check.number("factor", self.factor, 0)

    def __call__(self, step, steps_per_epoch, steps):
        return self.factor ** np.floor(step / (self.epochs * steps_per_epoch))


@dataclass(frozen=True)
class Cosine:
    """Half a cosine from 1 to `final` over the whole `fit` (Loshchilov and Hutter, 2017).

    Parameters
    ----------
    final : float, default 0
        Share of the learning rate that is left at the end.

    Examples
    --------
    >>> from crossent.train import Adam, Cosine
    >>> optimizer = Adam(1e-3, schedule=Cosine())
    """

    final: float = 0.0

    def __post_init__(self):
        _check.number("final", self.final, 0)

    def __call__(self, step, steps_per_epoch, steps):
        return self.final + (1 - self.final) * (1 + np.cos(np.pi * step / steps)) / 2


@dataclass(frozen=True)
class WarmUp:
    """Rises in a straight line over the first `epochs` epochs, then follows another schedule.

    Parameters
    ----------
    epochs : float
    then : a schedule, default ``Constant()``
        It counts from the first step too.

    Examples
    --------
    >>> from crossent.train import Adam, Cosine, WarmUp
    >>> optimizer = Adam(1e-3, schedule=WarmUp(5, Cosine()))
    """

    epochs: float
    then: object = Constant()

    def __post_init__(self):
        _check.number("epochs", self.epochs, 0)
        check_schedule("then", self.then)

    def __call__(self, step, steps_per_epoch, steps):
        rise = (step + 1) / max(1.0, self.epochs * steps_per_epoch)
        return np.minimum(1, rise) * self.then(step, steps_per_epoch, steps)
