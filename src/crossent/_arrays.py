"""What the boundary leaves to Python: conversions and error messages."""

import math
import warnings
from difflib import get_close_matches

import numpy as np


def as_array(value, name):
    """`value` as an array; nested lists of different lengths are none."""
    try:
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} is not an array of numbers: {error}") from None


def as_real(value, name, wanted="float32 or float64"):
    """`value` as an array of float32 or float64 in native byte order; a copy only if it is not."""
    array = as_array(value, name)
    if array.dtype.kind == "O":
        raise TypeError(f"{name} is an array of Python objects; expected {wanted}")
    if array.dtype.kind != "f" or array.dtype.itemsize not in (4, 8):
        hint = f" (np.asarray({name}, np.float64) converts)" if array.dtype.kind in "iub" else ""
        raise TypeError(f"{name} has dtype {array.dtype}; expected {wanted}{hint}")
    return behaved(array)


def behaved(array):
    """The array in native byte order and aligned, copied only if it is not."""
    return np.require(array, array.dtype.newbyteorder("="), ["ALIGNED"])


def as_floating(value, name):
    """`value` as float32, float64, float16 or bfloat16, without a copy where it is that already."""
    array = as_array(value, name)
    if array.dtype.name in ("float16", "bfloat16"):
        return behaved(array)
    return as_real(array, name, "float32, float64, float16 or bfloat16")


def as_target(value, logits):
    """Class indices (any integer dtype, bool), or float32/float64 probabilities of every class."""
    array = as_array(value, "target")
    if array.dtype.kind in "iub":
        return behaved(array)
    if array.dtype.kind != "f" or array.dtype.itemsize not in (4, 8):
        raise TypeError(
            f"target has dtype {array.dtype}; expected class indices of an integer dtype, or "
            "float32 or float64 probabilities"
        )
    if array.shape != logits.shape:
        raise TypeError(
            f"target has dtype {array.dtype} and shape {array.shape}; expected class indices of an "
            "integer dtype (target.astype(np.intp) if they are whole numbers), or probabilities "
            f"of the shape of logits, {logits.shape}"
        )
    return behaved(array)


# What to do with weights as scikit-learn and Keras take them.
FOR_EACH_CLASS = {
    dict: ": [{0}[c] for c in range(classes)]",
    str: "; 'balanced' weights are len(target) / (classes * np.bincount(target))",
}


def vector(value, name):
    """One non-negative number for each class, or one for all; None stays None."""
    if value is None:
        return None
    try:
        array = np.array(value, dtype=np.float64, order="C")
    except (TypeError, ValueError):
        hint = FOR_EACH_CLASS.get(type(value), "").format(name)
        raise TypeError(f"{name} is {value!r}; expected one number for each class{hint}") from None
    if array.ndim > 1:
        raise ValueError(f"{name} has shape {array.shape}; expected one number for each class")
    bad = np.flatnonzero(~(array >= 0) | np.isinf(array))
    if bad.size:
        where = f"{name}[{bad[0]}]" if array.ndim else name
        raise ValueError(f"{where} is {array.flat[bad[0]]}; expected finite numbers, at least 0")
    return array


def per_class(array, classes, name):
    if array.ndim == 0:
        return np.full(classes, array[()])
    if len(array) != classes:
        raise ValueError(f"{name} has {len(array)} numbers; expected {classes}, one for each class")
    return array


def ignored(value):
    """The labels to ignore as an array of int64, or None."""
    if value is None:
        return None
    array = np.atleast_1d(np.asarray(value))
    if array.dtype.kind not in "iu" or array.ndim != 1:
        raise TypeError(f"ignore_index is {value!r}; expected an integer or several")
    return np.array(array, dtype=np.int64, order="C")


def ignored_probabilities():
    return ValueError(
        "ignore_index is set but target is probabilities; expected class indices "
        "(leave rows out with sample_weight=0)"
    )


def per_row(value, shape, name):
    """One float64 for each row, broadcast from `value`."""
    array = np.asarray(value)
    if array.dtype.kind not in "iubf":
        raise TypeError(f"{name} has dtype {array.dtype}; expected real numbers")
    try:
        return np.broadcast_to(array.astype(np.float64, copy=False), shape)
    except ValueError:
        raise ValueError(
            f"{name} has shape {array.shape}; expected {shape}, one number for each row"
        ) from None


def class_mask(value, shape, axis):
    """True where a class takes part, for every row: from one row, or broadcast to the logits."""
    array = np.asarray(value)
    if array.dtype.kind != "b":
        raise TypeError(f"class_mask has dtype {array.dtype}; expected bool, True for classes kept")
    if array.ndim == 1 and len(array) == shape[axis]:
        array = array.reshape((-1,) + (1,) * (len(shape) - 1 - axis))
    try:
        return np.broadcast_to(array.view(np.uint8), shape)
    except ValueError:
        raise ValueError(
            f"class_mask has shape {array.shape}; expected ({shape[axis]},), one for each class, "
            f"or the shape of logits, {shape}"
        ) from None


def as_binary_target(value, name):
    """`value` as an array of real numbers or integers."""
    array = as_array(value, name)
    if array.dtype.kind not in "iubf" or array.dtype.itemsize > 8 or array.dtype == np.float16:
        raise TypeError(
            f"{name} has dtype {array.dtype}; expected float32, float64, an integer dtype or bool"
        )
    return behaved(array)


def overlap(out, other, name):
    """Raises where `out` and another argument share memory without being the same array."""
    if np.shares_memory(out, other):
        raise ValueError(
            f"out overlaps {name} in memory; expected an array of its own"
            + (", or the logits themselves" if name == "logits" else "")
        )


def bad_label(target, row, classes, name="target"):
    """The IndexError for the bad label in row `row`, counted in the order of the target."""
    index = np.unravel_index(row, target.shape) if target.ndim else ()
    where = f"{name}[{', '.join(map(str, index))}]" if index else name
    label = target[index]
    hint = ""
    if label == classes:
        hint = f"; labels count from 0 ({name} - 1, if they are 1 to {classes})"
    elif label < 0:
        hint = f"; ignore_index={label} leaves such rows out"
    return IndexError(
        f"{where} is {label}; expected 0 <= {name} < {classes}, the number of classes{hint}"
    )


def unknown_option(option, name, known, of_calls):
    """The TypeError for an option that does not exist; the likeliest one meant is named."""
    close = get_close_matches(option, [*known, *sorted(of_calls)], 1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return TypeError(
        f"{option!r} is not an option of {name}{hint}; expected one of {', '.join(sorted(known))}"
    )


def row_name(row, shape):
    index = np.unravel_index(row, shape) if shape else ()
    return f"row {index[0] if len(index) == 1 else tuple(map(int, index))}" if index else "the row"


def bad_weight(row, shape):
    return ValueError(f"sample_weight of {row_name(row, shape)} is negative or NaN; expected >= 0")


def logits_message(row, column, count, shape):
    return (
        f"logits have no loss in {count} row{'s' * (count > 1)}; the first is "
        f"{row_name(row, shape)}, class {column} (NaN, +inf, or every class -inf); expected "
        "finite numbers, or -inf for some classes"
    )


def bad_logits(row, column, count, shape):
    return FloatingPointError(logits_message(row, column, count, shape))


def warn_logits(row, column, count, shape):
    warnings.warn(logits_message(row, column, count, shape), RuntimeWarning, stacklevel=3)


def without(shape, axis):
    return shape[:axis] + shape[axis + 1 :]


def shape_of_labels(logits, target, axis):
    """The exception for integers of a shape that is not that of the rows."""
    rows = without(logits.shape, axis)
    if target.shape == logits.shape:
        return TypeError(
            f"target has the shape of logits, {logits.shape}, but dtype {target.dtype}; expected "
            f"class indices of shape {rows}, or probabilities: for one-hot rows "
            f"target.argmax({axis}), or target.astype(logits.dtype)"
        )
    axes = [d for d in range(logits.ndim) if without(logits.shape, d) == target.shape]
    hint = ""
    if axes:
        hint = f"; it has that without axis {axes[0]}: axis={axes[0]} if the classes lie there"
    elif target.ndim and target.size == math.prod(rows):
        hint = f" (target.reshape({rows}))"
    return ValueError(
        f"target has shape {target.shape}; expected {rows}, the shape of logits {logits.shape} "
        f"without axis {axis}{hint}"
    )


def shape_of_elements(logits, target):
    """The exception for a binary target of another shape than the logits."""
    hint = ""
    if target.size == logits.size:
        hint = f" (target.reshape({logits.shape}))"
    return ValueError(
        f"target has shape {target.shape}; expected that of logits, {logits.shape}{hint}"
    )
