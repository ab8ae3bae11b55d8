"""What `crossent.train` is told and what it tells: optimisers, schedules, history, errors."""

from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np


class DivergenceError(ArithmeticError):
    """The loss or its gradient stopped being finite; the message names the step.

    The parameters are those after the last good step.

    Examples
    --------
    >>> from crossent.train import SGD, DivergenceError, Network
    >>> X, y = np.ones((8, 2), np.float32), np.array([0, 1] * 4)
    >>> try:
    ...     history = Network.create([2, 2], seed=0).fit(X, y, optimizer=SGD(1e38), batch_size=3)
    ... except DivergenceError:
    ...     print("a smaller learning rate may help")
    a smaller learning rate may help
    """


def training_stopped(row, what, step):
    """The exception for a step that could not be done."""
    left = f"the parameters are those after step {step - 1}" if step > 1 else "nothing was changed"
    if row is not None:
        return ValueError(
            f"X[{row}] holds NaN or infinity (found in step {step}); expected finite numbers; "
            f"{left}"
        )
    return DivergenceError(
        f"the {what} of step {step} is not finite; {left}. "
        "A smaller learning rate or clip= may help"
    )


TINY = float(np.nextafter(0, 1))  # the least number above 0


def _number(name, value, low, high=None):
    fits = isinstance(value, (int, float, np.number)) and low <= value < np.inf
    if fits and (high is None or value <= high):
        return
    wanted = "above 0" if low == TINY else f"at least {low}"
    wanted = f"a finite number, {wanted}" if high is None else f"a number from {low} to {high}"
    raise ValueError(f"{name} is {value!r}; expected {wanted}")


# ---------------------------------------------------------------- schedules


def _check_schedule(name, schedule):
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
        _number("epochs", self.epochs, TINY)
        _number("factor", self.factor, 0)

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
        _number("final", self.final, 0)

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
        _number("epochs", self.epochs, 0)
        _check_schedule("then", self.then)

    def __call__(self, step, steps_per_epoch, steps):
        rise = (step + 1) / max(1.0, self.epochs * steps_per_epoch)
        return np.minimum(1, rise) * self.then(step, steps_per_epoch, steps)


# ---------------------------------------------------------------- optimisers


@dataclass
class _Optimizer:
    """Options common to all; L2 and L1 act on weights, not on biases."""

    lr: float = 0.01
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
            _number(name, getattr(self, name), 0)
        for name in ("clip", "epsilon"):
            if getattr(self, name) is not None:
                _number(name, getattr(self, name), TINY)
        for name in ("momentum", "beta1", "beta2"):
            _number(name, getattr(self, name), 0, np.nextafter(1, 0))
        if not isinstance(self.nesterov, (bool, np.bool_)):
            raise TypeError(f"nesterov is {self.nesterov!r}; expected True or False")
        _check_schedule("schedule", self.schedule)


@dataclass
class SGD(_Optimizer):
    """Stochastic gradient descent: ``m = momentum * m + g; p -= lr * m``.

    Parameters
    ----------
    lr : float, default 0.01
        Learning rate.
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


@dataclass
class Adam(_Optimizer):
    """Adam (Kingma and Ba, 2015) with bias correction; `l2` is added to the gradient.

    Parameters
    ----------
    lr : float, default 0.001
        Learning rate.
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

    lr: float = 1e-3
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8
    moments: ClassVar[int] = 2


@dataclass
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


# ---------------------------------------------------------------- history


@dataclass
class History:
    """What happened, one number an epoch: lists named after the columns.

    Attributes
    ----------
    loss, accuracy : list of float
        Means over the rows of the epoch, each as the network was when its batch came. For a
        sigmoid the accuracy counts answers: one for each output that the loss does not ignore.
    lr, seconds : list of float
        Learning rate of the epoch's last step; time of the epoch.
    val_loss, val_accuracy : list of float
        On the validation set at the end of the epoch; empty without one.
    best_epoch : int
        Index of the epoch with the least validation loss (-1 without one).

    Examples
    --------
    >>> from crossent.train import Network
    >>> X, y = np.eye(4, dtype=np.float32), np.array([0, 1, 0, 1])
    >>> history = Network.create([4, 2], seed=0).fit(X, y, epochs=3)
    >>> len(history.loss), len(history.val_loss), history.best_epoch
    (3, 0, -1)
    """

    loss: list = field(default_factory=list)
    accuracy: list = field(default_factory=list)
    lr: list = field(default_factory=list)
    seconds: list = field(default_factory=list)
    val_loss: list = field(default_factory=list)
    val_accuracy: list = field(default_factory=list)
    best_epoch: int = -1

    def plot(self, axes=None):
        """Draws the losses against the epoch with matplotlib; returns the axes."""
        if axes is None:
            from matplotlib.figure import Figure

            axes = Figure(layout="constrained").subplots()
        epochs = range(1, len(self.loss) + 1)
        axes.plot(epochs, self.loss, label="training")
        if self.val_loss:
            axes.plot(epochs, self.val_loss, label="validation")
        axes.set(xlabel="epoch", ylabel="mean loss", yscale="log")
        axes.legend()
        return axes
