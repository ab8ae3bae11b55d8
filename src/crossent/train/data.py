"""The data of a training: rows, targets and weights as the arrays that C reads.

Every check takes the name of the argument that the data came by, for its messages.
"""

import numpy as np

from .. import _check


def chunks_of(name, X, features, dtype):
    """X as a list of two-dimensional arrays, none of them copied; each chunk is asked for once."""
    if isinstance(X, np.ndarray):
        chunks = [X]
    elif hasattr(X, "__len__") and hasattr(X, "__getitem__") and not isinstance(X, dict):
        chunks = [X[i] for i in range(len(X))]
    else:
        chunks = [X]
    if not all(isinstance(c, np.ndarray) for c in chunks):
        raise TypeError(
            f"{name} is a {type(X).__name__}; expected a NumPy array or a sequence of them (chunks "
            "of rows)"
        )
    if not chunks:
        raise ValueError(f"{name} is an empty list; expected at least one chunk")
    for i, chunk in enumerate(chunks):
        check_chunk(name if chunk is X else f"{name}[{i}]", chunk, features, dtype)
    return chunks


def check_chunk(name, chunk, features, dtype):
    if chunk.ndim != 2 or chunk.shape[1] != features:
        raise ValueError(f"{name} has shape {chunk.shape}; expected (rows, {features})")
    if not chunk.flags.aligned:
        raise ValueError(f"{name} is not aligned; expected an aligned array: {name}.copy()")
    if chunk.dtype != dtype or not chunk.dtype.isnative:
        raise TypeError(
            f"{name} has dtype {chunk.dtype}; expected that of the weights, {dtype}: "
            f"{name}.astype(np.{dtype})"
        )


def target_of(name, y, rows, outputs, dtype, elementwise):
    """y contiguous: (rows,) class indices, or (rows, outputs) for a sigmoid or soft targets."""
    array = np.asarray(y)
    wide = (rows, outputs)
    if array.dtype.kind not in "iubf" or array.dtype.itemsize > 8:
        raise TypeError(
            f"{name} has dtype {array.dtype}; expected integers, bool, float32 or float64"
        )
    if elementwise and outputs == 1 and array.shape == (rows,):
        array = array[:, None]
    if array.dtype.kind == "f":
        if array.shape != wide:
            raise ValueError(
                f"{name} has shape {array.shape} and dtype {array.dtype}; expected {wide}"
                + ("" if elementwise else f", or integer class indices of shape ({rows},)")
            )
        array = array.astype(dtype, copy=False)
    elif array.shape != (wide if elementwise else (rows,)):
        hint = f" (of one-hot rows: {name}.argmax(1))" if array.shape == wide else ""
        raise ValueError(
            f"{name} has shape {array.shape}; expected {wide if elementwise else (rows,)}, as X "
            f"has {rows} rows{hint}"
        )
    if array.dtype == bool:
        array = array.view(np.uint8)
    return np.require(array, array.dtype.newbyteorder("="), ["C", "A"])


def weights_of(name, sample_weight, rows):
    """One float64 for each row, contiguous, or None."""
    if sample_weight is None:
        return None
    if np.shape(sample_weight) != (rows,):
        raise ValueError(f"{name} has shape {np.shape(sample_weight)}; expected ({rows},)")
    return np.ascontiguousarray(_check.row_weights(name, sample_weight, (rows,)))


def labels_of(name, target, classes, why, ignored=None):
    """The class indices of a target of hard labels, without those that are ignored."""
    if target.dtype.kind == "f" or (target.ndim == 2 and target.shape[1] != 1):
        raise ValueError(
            f"{why} needs class indices; {name} has shape {target.shape}, {target.dtype}"
        )
    labels = target.reshape(-1)
    return labels[_check.labels(name, labels, classes, ignored)]


def class_weights(class_weight, name, target, classes, ignored=None):
    """One weight a class: "balanced" is rows / (classes * rows of the class)."""
    if class_weight is None:
        return None
    labels = labels_of(name, target, classes, "class_weight", ignored)
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(
                f"class_weight is {class_weight!r}; expected 'balanced', a dict, or {classes} "
                "numbers"
            )
        counts = np.bincount(labels, minlength=classes)
        return len(labels) / (classes * np.maximum(counts, 1.0))
    if isinstance(class_weight, dict):
        unknown = [key for key in class_weight if key not in range(classes)]
        if unknown:
            raise ValueError(
                f"class_weight has the class {unknown[0]!r}; expected 0 <= class < {classes}"
            )
        class_weight = [class_weight.get(c, 1.0) for c in range(classes)]
    weights = _check.class_numbers("class_weight", class_weight)
    if weights.shape != (classes,):
        raise ValueError(f"class_weight has shape {weights.shape}; expected ({classes},)")
    return weights
