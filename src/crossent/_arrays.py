"""What the boundary leaves to Python: conversions and error messages."""

import numpy as np


def as_real(value, name):
    """`value` as an array of float32 or float64 in native byte order, without a copy where it is."""
    array = np.asarray(value)
    if array.dtype.kind == "O":
        raise TypeError(f"{name} is an array of Python objects; expected float32 or float64")
    if array.dtype.kind != "f" or array.dtype.itemsize not in (4, 8):
        raise TypeError(f"{name} has dtype {array.dtype}; expected float32 or float64")
    return behaved(array)


def behaved(array):
    """The array in native byte order and aligned, copied only if it is not."""
    return np.require(array, array.dtype.newbyteorder("="), ["ALIGNED"])


def as_labels(value, name):
    """`value` as an array of integers (or booleans)."""
    array = np.asarray(value)
    if array.dtype.kind not in "iub":
        raise TypeError(
            f"{name} has dtype {array.dtype}; expected class indices of an integer dtype"
            + (" (target.astype(np.intp) if they are whole numbers)" * (array.dtype.kind == "f"))
        )
    return behaved(array)


def as_binary_target(value, name):
    """`value` as an array of real numbers or integers."""
    array = np.asarray(value)
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


def bad_label(target, row, classes):
    """The IndexError for the bad label in row `row`, counted in the order of the target."""
    index = np.unravel_index(row, target.shape) if target.ndim else ()
    where = f"target[{', '.join(map(str, index))}]" if index else "target"
    return IndexError(
        f"{where} is {target[index]}; expected 0 <= target < {classes}, the number of classes"
    )


def shape_of_labels(logits, target, axis):
    rows = logits.shape[:axis] + logits.shape[axis + 1 :]
    hint = ""
    if target.shape == logits.shape:
        hint = "; targets of the logits' shape must be floating point probabilities"
        return TypeError(f"target has the shape of logits but dtype {target.dtype}{hint}")
    return ValueError(
        f"target has shape {target.shape}; expected {rows}, the shape of logits {logits.shape} "
        f"without axis {axis}"
    )
