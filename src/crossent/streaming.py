"""Results that come in pieces: losses of mini-batches, logits of slices of the classes."""

import math

import numpy as np

from . import _check, _core

_UNIT = 1074  # every finite double is a whole number of 2^-1074


def _exact(x):
    """A finite double in units of 2^-_UNIT."""
    numerator, denominator = float(x).as_integer_ratio()
    return numerator * ((1 << _UNIT) // denominator)


def _quotient(a, b):
    """a / b of whole numbers, rounded once."""
    try:
        return a / b
    except OverflowError:
        return math.inf if a > 0 else -math.inf


def _like(losses, name, value, dtype):
    """A contiguous array of the losses' shape, or None."""
    if value is None:
        return None
    array = np.require(value, dtype, ["C", "A"])
    if array.shape != losses.shape:
        raise ValueError(f"{name} has shape {array.shape}; expected that of losses, {losses.shape}")
    return array


class LossAccumulator:
    """Sums of losses and weights over mini-batches, kept exactly.

    The sums are exact, so that no order of updates and merges, and no split of the data over
    threads or processes, changes a bit of the results. Each is rounded once, when it is asked for.
    Use one accumulator in each thread and merge them.

    Examples
    --------
    >>> total = crossent.LossAccumulator()
    >>> for batch in ([0.5, 1.5], [1.0]):
    ...     _ = total.update_from(np.array(batch))
    >>> total.mean, total.count
    (1.0, 3)
    """

    __slots__ = ("_correct", "_count", "_not_finite", "_sum", "_weight")

    def __init__(self):
        self._sum = self._weight = 0  # whole numbers of 2^-_UNIT
        self._not_finite = 0.0  # the sum of the losses that are infinite or NaN
        self._count = self._correct = 0

    def update(self, loss_sum, weight, *, count=0, correct=0):
        """Adds a mini-batch; returns the accumulator.

        Parameters
        ----------
        loss_sum : float
            Sum of the weighted row losses, as ``reduction="sum"`` gives it.
        weight : float
            Sum of the weights of the rows that took part: what the mean divides by.
        count, correct : int, optional
            Number of rows that took part, and of those whose prediction was right.

        Returns
        -------
        LossAccumulator
            This one.

        Raises
        ------
        ValueError
            If `weight` is negative or not finite, or `correct` is not in [0, count].
        """
        loss_sum, weight = float(loss_sum), _check.number("weight", weight, 0)
        count, correct = _check.whole("count", count, 0), _check.whole("correct", correct, 0)
        if correct > count:
            raise ValueError(f"correct is {correct}; expected 0 <= correct <= count, {count}")
        if math.isfinite(loss_sum):
            self._sum += _exact(loss_sum)
        else:
            self._not_finite += loss_sum
        self._weight += _exact(weight)
        self._count += count
        self._correct += correct
        return self

    def update_from(self, losses, weights=None, *, correct=None):
        """Adds the rows of a mini-batch; returns the accumulator.

        Parameters
        ----------
        losses : array_like
            Weighted row losses, as ``reduction="none"`` gives them.
        weights : array_like of the same shape, optional
            Weights that the losses were multiplied with, default 1. Rows of weight 0 took no part.
        correct : array_like of bool and the same shape, optional
            Which predictions were right, as ``return_aux="correct"`` gives it.

        Returns
        -------
        LossAccumulator
            This one.

        Raises
        ------
        ValueError
            If the shapes differ, or a weight is negative or not finite.
        """
        losses = np.require(losses, np.float64, ["C", "A"])
        found = _core._tally(
            losses,
            _like(losses, "weights", weights, np.float64),
            _like(losses, "correct", correct, bool),
        )
        for name, value in zip(
            ("_sum", "_weight", "_not_finite", "_count", "_correct"), found, strict=True
        ):
            setattr(self, name, getattr(self, name) + value)
        return self

    def merge(self, other):
        """Adds what another accumulator holds; returns this one."""
        if not isinstance(other, LossAccumulator):
            raise TypeError(f"other is a {type(other).__name__}; expected a LossAccumulator")
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self

    def __add__(self, other):
        if not isinstance(other, LossAccumulator):
            return NotImplemented
        return LossAccumulator().merge(self).merge(other)

    def __eq__(self, other):
        if not isinstance(other, LossAccumulator):
            return NotImplemented
        return all(repr(getattr(self, n)) == repr(getattr(other, n)) for n in self.__slots__)

    __hash__ = None

    def __repr__(self):
        return (
            f"<crossent.LossAccumulator: mean {self.mean!r}, weight {self.weight!r}, "
            f"count {self.count}, correct {self.correct}>"
        )

    @property
    def loss_sum(self):
        """Sum of the weighted losses, in nats."""
        return self._rounded(1 << _UNIT)

    @property
    def weight(self):
        """Sum of the weights."""
        return _quotient(self._weight, 1 << _UNIT)

    @property
    def count(self):
        """Number of rows that took part."""
        return self._count

    @property
    def correct(self):
        """Number of counted rows whose prediction was right."""
        return self._correct

    @property
    def mean(self):
        """Sum of the weighted losses divided by the sum of the weights; NaN before any update."""
        return self._rounded(self._weight) if self._weight else math.nan

    @property
    def accuracy(self):
        """Share of the counted rows whose prediction was right; NaN before any was counted."""
        return self.correct / self.count if self.count else math.nan

    def _rounded(self, divisor):
        return self._not_finite if self._not_finite != 0 else _quotient(self._sum, divisor)


class LogSumExpState:
    """``log(sum(exp(x)))`` of classes that come in slices: a sum of exponentials for each row.

    The order of the slices and the number of them cost no digits: each row's sum is kept as a pair
    of doubles, in units of a power of e that suits its size.

    Examples
    --------
    >>> x = np.array([[1.0, 2.0, 3.0, 4.0]])
    >>> state = crossent.LogSumExpState.from_logits(x[:, :3])
    >>> state.merge(crossent.LogSumExpState.from_logits(x[:, 3:])).result().round(4)
    array([4.4402])
    """

    __slots__ = ("_dtype", "_sums")

    def __init__(self, sums, dtype):
        """From an array (3, ...): sums (high + low) * e^base; see `from_logits`."""
        self._sums, self._dtype = sums, np.dtype(dtype)

    @classmethod
    def from_logits(cls, x, *, axis=-1):
        """The state of one slice of the classes.

        Parameters
        ----------
        x : ndarray of float32, float64, float16 or bfloat16
        axis : int, tuple of int or None, default -1
            As for `logsumexp`.

        Returns
        -------
        LogSumExpState
        """
        total = np.asarray(_core._logsumexp_wide(x, axis))
        return cls(_core._sums_of(total), np.asarray(x).dtype)

    @property
    def shape(self):
        """Shape of the rows."""
        return self._sums.shape[1:]

    @property
    def dtype(self):
        """dtype of the result: that of the slices."""
        return self._dtype

    def merge(self, other):
        """Adds the sums of another slice of the same rows; returns this state.

        Raises
        ------
        TypeError, ValueError
            If `other` is no `LogSumExpState`, or of rows of another shape.
        """
        if not isinstance(other, LogSumExpState):
            raise TypeError(f"other is a {type(other).__name__}; expected a LogSumExpState")
        if other.shape != self.shape:
            raise ValueError(f"other has rows of shape {other.shape}; expected {self.shape}")
        self._sums = _core._sums_merged(self._sums, other._sums)
        self._dtype = np.promote_types(self._dtype, other._dtype)
        return self

    def __add__(self, other):
        if not isinstance(other, LogSumExpState):
            return NotImplemented
        return LogSumExpState(self._sums, self.dtype).merge(other)

    def __repr__(self):
        return f"<crossent.LogSumExpState: rows of shape {self.shape}, {self.dtype}>"

    def result(self):
        """``log(sum(exp(x)))`` of all slices so far; ndarray of their dtype, or a NumPy scalar."""
        with np.errstate(over="ignore"):
            return _core._sums_log(self._sums).astype(self.dtype)[()]
