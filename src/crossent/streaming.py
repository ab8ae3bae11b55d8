"""Results that come in pieces: losses of mini-batches, logits of slices of the classes."""

import math
import warnings

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


_TOGETHER = 1 << 16  # rows whose numbers become doubles together


def _numbers(name, value, shape=None):
    """Real numbers, of any dtype, of the shape of the losses."""
    array = _check.array(name, value)
    if array.dtype.kind not in "iubf" and array.dtype.name != "bfloat16":
        raise TypeError(f"{name} has dtype {array.dtype}; expected real numbers")
    if shape is not None and array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; expected that of losses, {shape}")
    return array


def _parts(arrays, dtypes):
    """Arrays of one shape, None among them, in flat contiguous pieces of those dtypes: only a
    piece of each is ever copied. The pieces are overwritten when the next come."""
    given = [array for array in arrays if array is not None]
    pieces = np.nditer(
        given,
        ["external_loop", "buffered", "zerosize_ok"],
        [["readonly", "contig", "aligned"]] * len(given),
        [dtype for array, dtype in zip(arrays, dtypes, strict=True) if array is not None],
        order="C",
        casting="unsafe",
        buffersize=_TOGETHER,
    )
    for found in pieces:
        found = iter(found if isinstance(found, tuple) else (found,))
        yield [None if array is None else next(found) for array in arrays]


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
    _SUMS = ("_sum", "_weight", "_not_finite", "_count", "_correct")  # as the core returns them

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
        weight = _check.number("weight", weight, 0)
        _check.refuse_masked("loss_sum", loss_sum)
        try:
            loss_sum = float(loss_sum)
        except (TypeError, ValueError):
            raise TypeError(
                f"loss_sum is a {type(loss_sum).__name__}; expected one number (update_from takes "
                "the losses of rows)"
            ) from None
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

    def update_from(self, losses, weights=None, *, correct=None, validate=True):
        """Adds the rows of a mini-batch; returns the accumulator.

        Parameters
        ----------
        losses : array_like
            Weighted row losses, as ``reduction="none"`` gives them.
        weights : array_like of the same shape, optional
            Weights that the losses were multiplied with, default 1. Rows of weight 0 took no part:
            for `ignore_index` pass ``weights=target != ignore_index``.
        correct : array_like of bool and the same shape, optional
            Which predictions were right, as ``return_aux="correct"`` gives it.
        validate : bool, default True
            Warn where there are no weights, and losses of exactly 0, as ignored rows have.

        Returns
        -------
        LossAccumulator
            This one; after an error it is as it was.

        Raises
        ------
        ValueError
            If the shapes differ, or a weight is negative or not finite.

        Warns
        -----
        RuntimeWarning
            If rows seem to be ignored, which would count here.
        """
        losses = _numbers("losses", losses)
        weights = None if weights is None else _numbers("weights", weights, losses.shape)
        correct = None if correct is None else _numbers("correct", correct, losses.shape)
        total, nothing = LossAccumulator(), 0
        for part in _parts((losses, weights, correct), (np.float64, np.float64, bool)):
            try:
                found = _core._tally(*part)
            except ValueError:
                _check.refuse_negative(
                    "weights", np.asarray(weights, float)
                )  # names the place in the whole
                raise
            total._add(found)
            if validate and weights is None:
                nothing += len(part[0]) - np.count_nonzero(part[0])
        if nothing:
            warnings.warn(
                f"{nothing} of {losses.size} losses are exactly 0, as those of ignored rows are, "
                "and count with weight 1; weights=(target != ignore_index) leaves ignored rows "
                "out, validate=False counts them",
                RuntimeWarning,
                stacklevel=2,
            )
        return self.merge(total)

    def _add(self, found):
        """Adds sums in the order of `_SUMS`."""
        for name, value in zip(self._SUMS, found, strict=True):
            setattr(self, name, getattr(self, name) + value)

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
        _check.refuse_masked("x", x)
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
        dtype = np.promote_types(self._dtype, other._dtype)
        self._sums, self._dtype = _core._sums_merged(self._sums, other._sums), dtype
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
