"""The data of a training: rows, targets and weights as the arrays that C reads.

Every check takes the name of the argument that the data came by, for its messages.
"""

import numpy as np

from .. import _check, _errors


def chunks_of(name, X, features, dtype):
    """X as a list of two-dimensional arrays of numbers, of which arrays are not copied: C converts
    row by row. Each chunk is asked for once. Lists of numbers, data frames, tensors and all else
    that NumPy makes an array of are one chunk."""
    refuse_sparse_or_masked(name, X)
    if isinstance(X, (str, bytes, dict, set)) or X is None:
        raise TypeError(f"{name} is a {type(X).__name__}; expected an array (rows, {features})")
    if isinstance(X, np.ndarray):
        chunks = [X]
    elif hasattr(X, "__array__") or (isinstance(X, (list, tuple)) and not holds_chunks(X)):
        chunks = [_check.array(name, X)]
    elif hasattr(X, "__len__") and hasattr(X, "__getitem__"):
        chunks = [X[i] for i in range(len(X))]
    else:
        raise TypeError(
            f"{name} is a {type(X).__name__}; expected an array (rows, {features}), or a sequence "
            "of such chunks"
        )
    if not chunks:
        raise ValueError(f"{name} is empty; expected at least one chunk of rows")
    names = [name] if len(chunks) == 1 else [f"{name}[{i}]" for i in range(len(chunks))]
    return [chunk_of(n, c, features, dtype) for n, c in zip(names, chunks, strict=True)]


def refuse_sparse_or_masked(name, X):
    _check.refuse_masked(name, X)
    if hasattr(X, "toarray"):
        raise TypeError(
            f"{name} is a sparse {type(X).__name__}; expected a dense array: {name}.toarray(), or "
            f"an object whose [i] gives the rows {name}[begin:end].toarray() of chunk i"
        )


def holds_chunks(X):
    """A list of arrays with rows of their own, not of rows or numbers; also an empty one."""
    return len(X) == 0 or hasattr(X[0], "toarray") or np.ndim(X[0]) == 2


def chunk_of(name, chunk, features, dtype):
    """One chunk as C reads it."""
    refuse_sparse_or_masked(name, chunk)
    if not isinstance(chunk, np.ndarray):
        chunk = _check.array(name, chunk)
    if chunk.dtype.kind in "OUS":
        raise TypeError(
            f"{name} has dtype {chunk.dtype}; expected numbers: {name}.astype(np.{dtype}), after "
            "columns of text have become numbers (pandas.get_dummies) and gaps have been filled"
        )
    if chunk.ndim != 2 or chunk.shape[1] != features:
        hint = f" ({name}[None, :] is one row)" if chunk.shape == (features,) else ""
        if chunk.ndim > 2 and chunk.size == len(chunk) * features:
            hint = f" ({name}.reshape(len({name}), -1))"
        raise ValueError(f"{name} has shape {chunk.shape}; expected (rows, {features}){hint}")
    known = chunk.dtype.kind in "iubf" and chunk.dtype.itemsize <= 8
    if not known and chunk.dtype.name != "bfloat16":
        raise TypeError(
            f"{name} has dtype {chunk.dtype}; expected real numbers of at most 64 bits: "
            f"{name}.astype(np.{dtype})"
        )
    return chunk


def target_of(name, y, rows, outputs, dtype, elementwise):
    """y contiguous: (rows,) class indices, or (rows, outputs) for a sigmoid or soft targets."""
    array = _check.array(name, y)
    wide = (rows, outputs)
    if array.dtype.kind not in "iubf" or array.dtype.itemsize > 8:
        hint = "; np.unique(y, return_inverse=True)[1] numbers the labels"
        raise TypeError(
            f"{name} has dtype {array.dtype}; expected integers, bool, float32 or float64"
            + (hint if array.dtype.kind in "OUS" and array.ndim == 1 else "")
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
    elif not elementwise and array.shape == wide and outputs > 1:
        array = one_hot(array, dtype)
    elif array.shape != (wide if elementwise else (rows,)):
        hint = f" ({name}.reshape(-1))" if array.shape == (rows, 1) else ""
        raise ValueError(
            f"{name} has shape {array.shape}; expected {wide if elementwise else (rows,)}, as X "
            f"has {rows} rows{hint}"
        )
    if array.dtype == bool:
        array = array.view(np.uint8)
    return np.require(array, array.dtype.newbyteorder("="), ["C", "A"])


def one_hot(array, dtype):
    """Class indices of rows of one 1 and else 0, integers or bool; of others probabilities."""
    if ((array == 0) | (array == 1)).all() and (array.sum(axis=1, dtype=np.intp) == 1).all():
        return array.argmax(axis=1)
    return array.astype(dtype)


def weights_of(name, sample_weight, rows):
    """One float64 for each row, contiguous, or None."""
    if sample_weight is None:
        return None
    _check.refuse_masked(name, sample_weight)
    if np.shape(sample_weight) != (rows,):
        raise ValueError(f"{name} has shape {np.shape(sample_weight)}; expected ({rows},)")
    return np.ascontiguousarray(_check.row_weights(name, sample_weight, (rows,)))


def first_of(bad, part):
    """Index of the first element of `bad` in a row that takes part, or None."""
    if part is not None:
        bad = bad & part.reshape((-1,) + (1,) * (bad.ndim - 1))
    found = np.flatnonzero(bad)
    return int(found[0]) if found.size else None


def check_soft(name, target, part):
    """Soft targets of a softmax are finite and at least 0, in the rows that take part."""
    if target.size and target.min() >= 0 and target.max() < np.inf:
        return
    at = first_of(~((target >= 0) & (target < np.inf)), part)
    if at is not None:
        raise ValueError(
            f"{_errors.element_name(name, target.shape, at)} is {target.flat[at]}; expected finite "
            "probabilities, at least 0 (validate=False takes any number)"
        )


def check_binary(name, target, part, options):
    """Targets of a sigmoid are in [0, 1], but for those that the loss leaves out."""
    if target.size and target.min() >= 0 and target.max() <= 1:
        return
    bad = ~((target >= 0) & (target <= 1))
    if options.get("ignore_index") is not None:
        bad &= ~np.isin(target, options["ignore_index"])
    if options.get("nan_target") == "missing":
        bad &= ~np.isnan(target)
    at = first_of(bad, part)
    if at is not None:
        hint = f": ({name} + 1) / 2 for labels -1 and 1" if target.flat[at] == -1 else ""
        raise ValueError(
            f"{_errors.element_name(name, target.shape, at)} is {target.flat[at]}; expected "
            f"0 <= {name} <= 1{hint} (validate=False takes any number)"
        )


def rows_that_count(target, weights, options):
    """True for each row that takes part by its weight and its labels, or None: all do. `options`
    are those of the loss."""
    part = None if weights is None else weights > 0
    left_out = options.get("ignore_index")
    hard = target.dtype.kind in "iub" and target.ndim == 1
    if left_out is not None and (hard or target.ndim == 2):
        kept = ~np.isin(target, left_out)
        kept = kept if hard else kept.any(axis=1)
        part = kept if part is None else part & kept
    by_class = options.get("class_weight")
    if by_class is not None and hard and np.ndim(by_class) == 1 and not np.all(by_class):
        kept = np.asarray(by_class, float)[np.clip(target, 0, len(by_class) - 1)] > 0
        part = kept if part is None else part & kept
    return part


SCANNED = 1 << 18  # elements of X that are looked at together


def refuse_bad_rows(name, chunks, part, dtype):
    """Refuses NaN and infinity in the rows that take part, once they are `dtype`; reads no
    others."""
    first = 0
    for chunk in chunks:
        rows = max(1, SCANNED // chunk.shape[1])
        for begin in range(0, len(chunk) if chunk.dtype.kind not in "iub" else 0, rows):
            at = np.arange(begin, min(begin + rows, len(chunk)))
            if part is not None:
                at = at[part[first + at]]
            block = chunk[begin : begin + rows] if len(at) == rows else chunk[at]
            with np.errstate(over="ignore"):
                finite = np.isfinite(block.astype(dtype, copy=False))
            if not finite.all():
                row = at[np.flatnonzero(~finite.all(axis=1))[0]]
                raise ValueError(
                    f"{name}[{first + row}] holds NaN or infinity; expected finite numbers of "
                    f"{dtype}"
                )
        first += len(chunk)


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
        raise ValueError(
            f"class_weight has shape {weights.shape}; expected ({classes},), one number for each "
            "class, a dict or 'balanced'"
        )
    return weights
