"""What arguments are checked for, each kind once: losses, training and estimators ask here.

Every check takes the name of the argument first, and returns the value in the form that is worked
with. What is no number where one is expected is a TypeError, one out of bounds a ValueError.
"""

import math
import numbers
import operator
import os

import numpy as np

from . import _errors

# ---------------------------------------------------------------- single values


def one_of(name, value, names):
    """Position of a named value among those allowed."""
    if isinstance(value, str) and value in names:
        return names.index(value)
    raise ValueError(f"{name} is {value!r}; expected {', '.join(map(repr, names))}")


def number(name, value, low=-math.inf, high=math.inf, *, above=False):
    """A real number from `low` to `high`, as a float; larger than `low` where `above` says so.
    Finite, whatever the bounds."""
    refuse_masked(name, value)
    try:
        x = None if isinstance(value, (str, bytes)) else float(value)
    except (TypeError, ValueError):
        x = None
    except OverflowError:  # a whole number beyond the largest float
        x = math.inf
    if x is None:
        raise TypeError(f"{name} is {value!r}; expected a number")
    if low <= x <= high and math.isfinite(x) and not (above and x == low):
        return x
    if math.isinf(low):
        expected = "a finite number"
    elif math.isinf(high):
        expected = f"a finite number, {'above' if above else 'at least'} {low:g}"
    else:
        expected = f"{low:g} {'<' if above else '<='} {name} <= {high:g}"
    raise ValueError(f"{name} is {value}; expected {expected}")


def positive(name, value, optional=False):
    """A finite number above 0, as a float; None stays None where it is allowed."""
    return None if optional and value is None else number(name, value, 0, above=True)


def share(name, value):
    """A number from 0 on and below 1."""
    if not 0 <= number(name, value) < 1:
        raise ValueError(f"{name} is {value!r}; expected 0 <= {name} < 1")
    return value


def flag(name, value):
    """True or False."""
    if not isinstance(value, (bool, np.bool_)) and not (isinstance(value, int) and value in (0, 1)):
        raise TypeError(f"{name} is {value!r}; expected True or False")
    return bool(value)


def names(name, value):
    """One name or several, as a tuple."""
    if isinstance(value, str):
        return (value,)
    try:
        return tuple(value)
    except TypeError:
        raise TypeError(f"{name} is {value!r}; expected a name or several") from None


def whole(name, value, low, high=None):
    """A whole number from `low` to `high`, as an int; a float may hold it, a bool may not."""
    try:
        if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
            exact = int(value)  # OverflowError, ValueError: inf, NaN
            exact = exact if exact == value else None
        else:
            exact = None if isinstance(value, (bool, np.bool_)) else operator.index(value)
    except (TypeError, ValueError, OverflowError):
        exact = None
    if exact is None:
        raise TypeError(f"{name} is {value!r}; expected a whole number")
    if exact < low or (high is not None and exact > high):
        bounds = f"at least {low}" if high is None else f"{low} <= {name} <= {high}"
        raise ValueError(f"{name} is {value}; expected {bounds}")
    return exact


PROCESSORS = os.cpu_count() or 1


def threads(name, value):
    """Number of threads; 0, which stands for `get_num_threads()`, for None. More than the machine
    has processors would only wait for each other, and may be more than it can start."""
    return 0 if value is None else min(whole(name, value, 1, 2**31 - 1), PROCESSORS)


# ---------------------------------------------------------------- arrays


_MASKED = np.ma.MaskedArray


def refuse_masked(name, value):
    """Refuses masked arrays, also in a list or tuple: NumPy would drop the mask in silence."""
    if isinstance(value, _MASKED) or (
        isinstance(value, (list, tuple)) and any(isinstance(part, _MASKED) for part in value)
    ):
        raise _errors.masked(name)


def array(name, value):
    """`value` as an array; nested lists of different lengths are none, nor are masked arrays."""
    refuse_masked(name, value)
    if value is None:
        raise TypeError(f"{name} is missing, or None; expected an array")
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is not an array of numbers: {error}") from None


def behaved(array):
    """The array in native byte order and aligned, copied only if it is not."""
    return np.require(array, array.dtype.newbyteorder("="), ["ALIGNED"])


def real(name, value, expected="float32 or float64"):
    """`value` as an array of float32 or float64 in native byte order; a copy only if it is not."""
    found = array(name, value)
    if found.dtype.kind == "O":
        raise TypeError(f"{name} is an array of Python objects; expected {expected}")
    if found.dtype.kind != "f" or found.dtype.itemsize not in (4, 8):
        hint = f" (np.asarray({name}, np.float64) converts)" if found.dtype.kind in "iub" else ""
        raise TypeError(f"{name} has dtype {found.dtype}; expected {expected}{hint}")
    return behaved(found)


def floating(name, value):
    """`value` as float32, float64, float16 or bfloat16, without a copy where it is that already."""
    found = array(name, value)
    if found.dtype.name in ("float16", "bfloat16"):
        return behaved(found)
    return real(name, found, "float32, float64, float16 or bfloat16")


def reals(name, value):
    """An array of real numbers."""
    found = array(name, value)
    if found.dtype.kind not in "iubf" and found.dtype.name != "bfloat16":
        raise TypeError(f"{name} has dtype {found.dtype}; expected real numbers")
    return found


def function_data(name, value):
    """The same, and integers and booleans as float64."""
    found = array(name, value)
    return found.astype(np.float64) if found.dtype.kind in "iub" else floating(name, found)


def near_probabilities(found, clips, sums):
    """A copy of `found` in which what lies outside [0, 1] by rounding, at most 16 eps, is the
    bound; any finite number, where the loss clips (`clips`). Where rows are divided by their sums
    (`sums`), only 0 is a bound. None where there is no such number."""
    wide = found.astype(np.float64)
    slack = np.inf if clips else 16 * float(eps_of(found.dtype))
    near = np.where((wide < 0) & (wide >= -slack), 0.0, wide)
    if not sums:
        near = np.where((near > 1) & (near <= 1 + slack), 1.0, near)
    near = np.where(np.isfinite(wide), near, wide)
    return None if np.array_equal(near, wide, equal_nan=True) else near.astype(found.dtype)


def eps_of(dtype):
    """The distance from 1 to the next number; bfloat16 is not NumPy's own."""
    return 2.0**-7 if dtype.name == "bfloat16" else np.finfo(dtype).eps


def data(name, value, target):
    """What a loss is computed of, as `floating` gives it. Where it holds integers and the target
    does not, the two may have been swapped."""
    found = array(name, value)
    if found.dtype.kind in "iub":
        other = array("target", target)
        if other.dtype.kind == "f" and other.ndim >= found.ndim and other.ndim > 1:
            raise TypeError(
                f"{name} has dtype {found.dtype} and target has dtype {other.dtype}; swapped? "
                f"expected ({name}, target): the model's outputs first, then the labels"
            )
    return floating(name, found)


def broadcast(name, value, shape, expected):
    """Real numbers as float64, broadcast to `shape`; not copied where they are that already."""
    found = reals(name, value).astype(np.float64, copy=False)
    if not found.flags.aligned:
        found = found.copy()
    if found.shape == shape:
        return found
    try:
        return np.broadcast_to(found, shape)
    except ValueError:
        raise ValueError(f"{name} has shape {found.shape}; expected {expected}") from None


def per_row(name, value, shape):
    """One float64 for each row, broadcast from `value`."""
    return broadcast(name, value, shape, f"{shape}, one number for each row")


def row_weights(name, value, shape):
    """Weights of rows as `per_row`, finite and at least 0; None stays None."""
    if value is None:
        return None
    found = per_row(name, value, shape)
    refuse_negative(name, found)
    return found


def non_negative(name, value):
    """Numbers, copied as float64: finite, at least 0."""
    found = np.array(reals(name, value), np.float64)
    refuse_negative(name, found)
    return found


def refuse_negative(name, found):
    """Refuses an array with negative, infinite or NaN numbers; names the first."""
    bad = np.flatnonzero(~((found >= 0) & (found < np.inf)))
    if bad.size:
        where = _errors.element_name(name, found.shape, bad[0])
        raise ValueError(f"{where} is {found.flat[bad[0]]}; expected finite numbers, at least 0")


# What to do with weights as scikit-learn and Keras take them.
FOR_EACH_CLASS = {
    dict: ": [{0}[c] for c in range(classes)]",
    str: "; 'balanced' weights are len(target) / (classes * np.bincount(target))",
}


def class_numbers(name, value):
    """One number >= 0 for each class, or one for all, copied as float64; None stays None."""
    if value is None:
        return None
    refuse_masked(name, value)
    try:
        found = np.array(value, dtype=np.float64, order="C")
    except OverflowError:
        raise ValueError(
            f"{name} holds a number beyond the largest float; expected finite numbers, at least 0"
        ) from None
    except (TypeError, ValueError):
        hint = FOR_EACH_CLASS.get(type(value), "").format(name)
        raise TypeError(f"{name} is {value!r}; expected one number for each class{hint}") from None
    if found.ndim > 1:
        raise ValueError(f"{name} has shape {found.shape}; expected one number for each class")
    refuse_negative(name, found)
    return found


def per_class(name, found, classes):
    """What `class_numbers` gave, spread over that many classes if it is one number."""
    if found.ndim == 0:
        return np.full(classes, found[()])
    if len(found) != classes:
        raise ValueError(f"{name} has {len(found)} numbers; expected {classes}, one for each class")
    return found


def class_mask(name, value, shape, axis):
    """1 where a class takes part, for every row: from one row, or broadcast to the logits."""
    found = array(name, value)
    if found.dtype.kind != "b":
        raise TypeError(f"{name} has dtype {found.dtype}; expected bool, True for classes kept")
    if found.ndim == 1 and len(found) == shape[axis]:
        found = found.reshape((-1,) + (1,) * (len(shape) - 1 - axis))
    try:
        return np.broadcast_to(found.view(np.uint8), shape)
    except ValueError:
        raise ValueError(
            f"{name} has shape {found.shape}; expected ({shape[axis]},), one for each class, "
            f"or the shape of logits, {shape}"
        ) from None


# ---------------------------------------------------------------- targets


def ignored(name, value):
    """The labels to leave out as an array of int64, or None."""
    if value is None:
        return None
    found = np.atleast_1d(array(name, value))
    if found.shape == (0,):
        return None
    if found.dtype.kind == "O" and all(isinstance(v, numbers.Integral) for v in found.flat):
        raise ValueError(f"{name} is {value!r}; expected integers of at most 64 bits")
    if found.dtype.kind not in "iu" or found.ndim != 1:
        raise TypeError(f"{name} is {value!r}; expected an integer or several")
    if found.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{name} is {value!r}; expected at most {np.iinfo(np.int64).max}")
    return np.array(found, dtype=np.int64, order="C")


def class_target(name, value, shape, axis=-1, logits_name="logits"):
    """Class indices of the rows' shape (any integer dtype, bool), or probabilities of `shape`, the
    shape of the logits: float32 or float64, to which one-hot integers or booleans and the 16-bit
    types are converted."""
    found = array(name, value)
    if found.dtype.kind in "iub":
        if found.shape == shape:
            return one_hot(name, found)
        if found.shape != _errors.without(shape, axis):
            raise _errors.label_shape(name, found, logits_name, shape, axis % len(shape))
        return behaved(found)
    half = found.dtype.name in ("float16", "bfloat16")
    if not half and (found.dtype.kind != "f" or found.dtype.itemsize not in (4, 8)):
        raise TypeError(
            f"{name} has dtype {found.dtype}; expected class indices of an integer dtype, or "
            "probabilities of a floating-point dtype of at most 64 bits"
        )
    if found.shape != shape:
        raise TypeError(
            f"{name} has dtype {found.dtype} and shape {found.shape}; expected class indices of an "
            f"integer dtype ({name}.astype(np.intp) if they are whole numbers), or probabilities "
            f"of the shape of {logits_name}, {shape}"
        )
    return found.astype(np.float32) if half else behaved(found)


def one_hot(name, found):
    """Integers or booleans of the logits' shape, 0 or 1, as float32 in their memory order."""
    if found.dtype.kind != "b":
        bad = np.flatnonzero((found != 0) & (found != 1))
        if bad.size:
            where = _errors.element_name(name, found.shape, bad[0])
            raise ValueError(
                f"{where} is {found.flat[bad[0]]}; expected 0 or 1 in integers of the logits' "
                "shape (one-hot rows), or class indices, one for each row"
            )
    return found.astype(np.float32)


def binary_target(name, value):
    """An array of real numbers or integers of at most 64 bits."""
    found = array(name, value)
    if found.dtype.name in ("float16", "bfloat16"):
        return behaved(found)
    if found.dtype.kind not in "iubf" or found.dtype.itemsize > 8:
        raise TypeError(
            f"{name} has dtype {found.dtype}; expected float32, float64, an integer dtype or bool"
        )
    return behaved(found)


def labels(name, target, classes, leave_out=None, rows=None):
    """True for the rows of an array of class indices that take part; a bad label among them is an
    IndexError. `leave_out` lists labels that take no part, `rows` is True for rows that may."""
    kept = np.ones(target.shape, bool) if rows is None else rows
    if leave_out is not None:
        kept = kept & ~np.isin(target, leave_out)
    bad = np.flatnonzero(kept & ((target < 0) | (target >= classes)))
    if bad.size:
        raise _errors.bad_label(name, target, int(bad[0]), classes)
    return kept
