"""Results that come in pieces: losses of mini-batches, logits of slices of the classes."""

import math

import numpy as np

from ._core import _logsumexp_wide

# Every finite double is a whole number of 2^-UNIT, also one whose mantissa is written with 53 bits.
_UNIT = 1074 + 52
_CHUNK = 1 << 20


def _exact(x):
    """A finite double in units of 2^-UNIT."""
    numerator, denominator = float(x).as_integer_ratio()
    return numerator * ((1 << _UNIT) // denominator)


def _exact_sum(x):
    """The sum of a flat array of finite doubles in units of 2^-UNIT.

    Mantissas are added up exponent by exponent, in two halves of 27 bits: a chunk's sums of those
    are whole numbers below 2^53, which doubles hold exactly.
    """
    total = 0
    for start in range(0, x.size, _CHUNK):
        mantissa, exponent = np.frexp(x[start : start + _CHUNK])
        whole = np.ldexp(mantissa, 53).astype(np.int64)
        shift = exponent + (_UNIT - 53)
        least = int(shift.min())
        for half, up in ((whole >> 27, 27), (whole & ((1 << 27) - 1), 0)):
            sums = np.bincount(shift - least, weights=half)
            total += sum(int(sums[k]) << int(k) + least + up for k in np.flatnonzero(sums))
    return total


def _quotient(a, b):
    """a / b of whole numbers, rounded once."""
    try:
        return a / b
    except OverflowError:
        return math.inf if a > 0 else -math.inf


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
        self._sum = self._weight = 0  # whole numbers of 2^-UNIT
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
        if not 0 <= weight < math.inf:
            raise ValueError(f"weight is {weight}; expected a finite number, at least 0")
        if not 0 <= correct <= count and (count or correct):
            raise ValueError(f"correct is {correct}; expected 0 <= correct <= count, {count}")
        if math.isfinite(loss_sum):
            self._sum += _exact(loss_sum)
        else:
            self._not_finite += float(loss_sum)
        self._weight += _exact(weight)
        self._count += int(count)
        self._correct += int(correct)
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
        losses = np.asarray(losses, np.float64)
        weights = np.ones(losses.shape) if weights is None else np.asarray(weights, np.float64)
        correct = np.zeros(losses.shape, bool) if correct is None else np.asarray(correct, bool)
        for name, array in (("weights", weights), ("correct", correct)):
            if array.shape != losses.shape:
                raise ValueError(
                    f"{name} has shape {array.shape}; expected that of losses, {losses.shape}"
                )
        if not ((weights >= 0) & (weights < np.inf)).all():
            raise ValueError("weights has negative, infinite or NaN numbers; expected finite >= 0")
        finite = np.isfinite(losses)
        self._sum += _exact_sum(losses[finite])
        with np.errstate(invalid="ignore"):
            self._not_finite += float(losses[~finite].sum())
        self._weight += _exact_sum(weights.ravel())
        self._count += int(np.count_nonzero(weights))
        self._correct += int(np.count_nonzero(correct & (weights > 0)))
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

    A row's sum is kept in units of e^base, `base` being a multiple of 256 near its logarithm. So
    slices are added as they are, without a rescaling that would cost digits, unless one of them is
    so much larger that little else matters.

    Examples
    --------
    >>> x = np.array([[1.0, 2.0, 3.0, 4.0]])
    >>> state = crossent.LogSumExpState.from_logits(x[:, :3])
    >>> state.merge(crossent.LogSumExpState.from_logits(x[:, 3:])).result().round(4)
    array([4.4402])
    """

    __slots__ = ("_base", "_dtype", "_high", "_low")

    _GRID = 256.0

    def __init__(self, base, high, low, dtype):
        """The sums (high + low) * e^base; see `from_logits`."""
        self._base, self._high, self._low, self._dtype = base, high, low, np.dtype(dtype)

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
        total = np.asarray(_logsumexp_wide(x, axis))
        base = cls._GRID * np.rint(total / cls._GRID)
        known = np.isfinite(total)
        with np.errstate(invalid="ignore"):
            high = np.where(known, np.exp(np.where(known, total - base, 0)), total != -np.inf)
        return cls(base, high, np.zeros(total.shape), np.asarray(x).dtype)

    @property
    def shape(self):
        """Shape of the rows."""
        return self._base.shape

    @property
    def dtype(self):
        """dtype of the result: that of the slices."""
        return self._dtype

    def _scaled(self, base):
        """The sums in units of e^base, base at least this state's."""
        with np.errstate(invalid="ignore", under="ignore"):
            factor = np.where(self._base == base, 1, np.exp(self._base - base))
        return self._high * factor, self._low * factor

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
        base = np.maximum(self._base, other._base)
        (a, a_low), (b, b_low) = self._scaled(base), other._scaled(base)
        high = a + b
        back = high - a
        low = (a - (high - back)) + (b - back) + (a_low + b_low)
        self._base, self._high, self._low = base, high, low
        self._dtype = np.promote_types(self._dtype, other._dtype)
        return self

    def __add__(self, other):
        if not isinstance(other, LogSumExpState):
            return NotImplemented
        return LogSumExpState(self._base, self._high, self._low, self.dtype).merge(other)

    def __repr__(self):
        return f"<crossent.LogSumExpState: rows of shape {self.shape}, {self.dtype}>"

    def result(self):
        """``log(sum(exp(x)))`` of all slices so far; ndarray of their dtype, or a NumPy scalar."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            correction = np.where(self._high > 0, self._low / self._high, 0)
            total = self._base + (np.log(self._high) + correction)
        return total.astype(self.dtype)[()]
