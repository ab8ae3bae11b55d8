"""What mistakes are told. Each function makes one exception, whose message names the argument, what
was found there and what was expected.

`name` is what the called function calls its argument: `target` in one, `y` in another.
"""

import math
from difflib import get_close_matches

import numpy as np

# ---------------------------------------------------------------- places


def element_name(name, shape, index):
    """name[2, 0] for element `index` in C order; `name` alone for a single number."""
    at = np.unravel_index(index, shape) if shape else ()
    return f"{name}[{', '.join(map(str, at))}]" if at else name


def row_name(row, shape):
    """Row `row`, counted in C order, of rows of that shape."""
    at = np.unravel_index(row, shape) if shape else ()
    if not at:
        return "the row"
    return f"row {at[0] if len(at) == 1 else tuple(map(int, at))}"


def without(shape, axis):
    """The shape of the rows of an array: without its class axis."""
    axis %= len(shape)
    return shape[:axis] + shape[axis + 1 :]


def have(name):
    """The name with its verb: logits have, x has."""
    return f"{name} {'have' if name.endswith('s') else 'has'}"


def masked(name):
    return TypeError(
        f"{name} is a masked array, whose mask would be lost; expected a plain array: "
        f"{name}.filled(...), and sample_weight=~np.ma.getmaskarray({name}) leaves masked rows out"
    )


# ---------------------------------------------------------------- options


def meant_option(option, owner, known, meanings):
    """An option that `owner` does not have; `meanings` tells what names of other libraries mean
    here, else the likeliest of `known` is named."""
    hint = meanings.get(option)
    if hint is None:
        close = get_close_matches(option, known, 1)
        hint = f"did you mean {close[0]!r}?" if close else f"expected one of {', '.join(known)}"
    return TypeError(f"{option!r} is not an option of {owner}; {hint}")


def unknown_option(option, owner, known, of_calls=()):
    """An option that `owner`, a class or function, does not have; names the likeliest one meant."""
    if option == "out" and "out" not in known:
        return TypeError(
            f"'out' is not an option of {owner}: it receives a gradient; expected it in a call "
            "with value_and_grad"
        )
    if option in of_calls:
        return TypeError(
            f"{option!r} is not an option of {owner}; expected it in a call, with forward or "
            "value_and_grad"
        )
    close = get_close_matches(option, [*known, *sorted(of_calls)], 1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    return TypeError(
        f"{option!r} is not an option of {owner}{hint}; expected one of {', '.join(sorted(known))}"
    )


# What arguments of other libraries are called here; {data} is what the loss takes, logits or probs.
MEANINGS = {
    "input": "the model's outputs are {data}, the first argument",
    "inputs": "the model's outputs are {data}, the first argument",
    "preds": "the model's outputs are {data}, the first argument",
    "y_pred": "predictions are {data}, the first argument; the target is the second",
    "y_prob": "probabilities are the first argument of the losses from probabilities",
    "logits": "the first argument is {data}; for logits: softmax_cross_entropy and "
    "sigmoid_cross_entropy",
    "probs": "the first argument is {data}; for probabilities: categorical_cross_entropy and "
    "binary_cross_entropy",
    "labels": "labels are target, the second argument",
    "targets": "labels are target, the second argument",
    "y": "labels are target, the second argument",
    "y_true": "labels are target, the second argument, after {data}",
    "label": "labels are target, the second argument",
    "weight": "expected {weight}",
    "weights": "expected {weight}",
    "class_weights": "expected {weight}",
    "sample_weights": "expected sample_weight",
    "from_logits": "the functions are apart: softmax_cross_entropy and sigmoid_cross_entropy take "
    "logits, categorical_cross_entropy and binary_cross_entropy probabilities",
    "eps": "{eps}",
    "epsilon": "{eps}",
    "smoothing_factor": "expected label_smoothing",
    "gamma": "expected focal_gamma",
    "alpha": "expected focal_alpha",
    "dim": "expected axis",
    "size_average": "expected reduction",
    "reduce": "expected reduction",
    "normalize": "{normalize}",
    "lr": "the learning rate belongs to the optimizer: crossent.train.SGD(0.1)",
    "learning_rate": "the learning rate belongs to the optimizer: crossent.train.SGD(0.1)",
    "verbose": "a loss prints nothing; verbose is an argument of training",
}


def meaning_of(name, data, known):
    """What an argument that other libraries have is here, of a loss that takes `data` and has the
    options `known`; None for a name that is not of theirs."""
    if name not in MEANINGS or name == data:
        return None
    if "class_weight" in known:
        weight = "class_weight (one number for each class) or sample_weight (one for each row)"
    else:
        weight = "sample_weight (factor of the whole loss) or pos_weight (of target 1)"
    eps = (
        "expected clip"
        if "clip" in known
        else (
            "logits need none, as no logarithm of 0 is taken; for smoothed labels: label_smoothing"
        )
    )
    normalize = (
        "normalize_rows divides rows of probabilities by their sum; a sum instead of a mean "
    )
    normalize += "is reduction='sum'"
    if "normalize_rows" not in known:
        normalize = "a sum instead of a mean is reduction='sum'"
    return MEANINGS[name].format(data=data, weight=weight, eps=eps, normalize=normalize)


def positional(called, value):
    """A third argument by position, where all options are given by name."""
    return TypeError(
        f"{called} takes 2 arguments by position, and {value!r:.60} is a third; expected options "
        "by name, such as reduction='sum'"
    )


def missing_package(package, wanted_by, extra):
    """An optional package that is not installed; pip installs it as `extra`."""
    return ModuleNotFoundError(
        f"{wanted_by} needs {package}, which is not installed: pip install 'crossent[{extra}]'",
        name=package,
    )


# ---------------------------------------------------------------- targets


def bad_label(name, target, row, classes):
    """A label that is no class: that of row `row`, counted in the order of the target."""
    label = target[np.unravel_index(row, target.shape) if target.ndim else ()]
    hint = ""
    if label == classes:
        hint = f"; labels count from 0 ({name} - 1, if they are 1 to {classes})"
    elif label < 0:
        hint = f"; ignore_index={label} leaves such rows out"
    return IndexError(
        f"{element_name(name, target.shape, row)} is {label}; expected 0 <= {name} < {classes}, "
        f"the number of classes{hint}"
    )


def ignored_probabilities(name="target"):
    return ValueError(
        f"ignore_index is set but {name} is probabilities; expected class indices "
        "(leave rows out with sample_weight=0)"
    )


def label_shape(name, target, logits_name, shape, axis):
    """Class indices of a shape that is not that of the rows of logits of shape `shape`."""
    rows = without(shape, axis)
    if target.shape == shape:
        return TypeError(
            f"{name} has the shape of {logits_name}, {shape}, but dtype {target.dtype}; expected "
            f"class indices of shape {rows}, or probabilities: for one-hot rows "
            f"{name}.argmax({axis}), or {name}.astype({logits_name}.dtype)"
        )
    axes = [d for d in range(len(shape)) if without(shape, d) == target.shape]
    hint = ""
    if axes:
        hint = f"; it has that without axis {axes[0]}: axis={axes[0]} if the classes lie there"
    elif target.ndim and target.size == math.prod(rows):
        hint = f" ({name}.reshape({rows}))"
    return ValueError(
        f"{name} has shape {target.shape}; expected {rows}, the shape of {logits_name} {shape} "
        f"without axis {axis}{hint}"
    )


def element_shape(name, target, logits_name, shape):
    """A binary target of another shape than the logits."""
    hint = f" ({name}.reshape({shape}))" if target.size == math.prod(shape) else ""
    return ValueError(
        f"{name} has shape {target.shape}; expected that of {logits_name}, {shape}{hint}"
    )


# ---------------------------------------------------------------- what the C core finds


def no_memory(what="the work buffers"):
    return MemoryError(f"crossent: no memory for {what}")


class Found:
    """What a call of the C core found, and what its caller names the arguments and where they lie.

    Of losses of rows: `row`, `column` and `classes`, and the rows' `shape`. Of losses of elements
    (`elementwise`): the elements' `shape`, `row` counting elements in C order, and `value`.
    """

    elementwise = False
    logits, target = "logits", "target"
    labels = None  # the array of labels
    shape = ()
    classes = row = column = count = 0
    value = None
    normalize = False  # probabilities of rows that are divided by their sums

    def __init__(self, **fields):
        self.__dict__.update(fields)


def of_status(status, found):
    """The exception for a status of the C core, in the order of `enum crossent_status`."""
    kinds = (None, _out_of_memory, _label, _weight, _logits, _probability)
    return kinds[status](found)


def _out_of_memory(found):
    return no_memory()


def _label(found):
    if not found.elementwise:
        return bad_label(found.target, found.labels, found.row, found.classes)
    where = element_name(found.target, found.shape, found.row)
    return ValueError(f"{where} is {found.value}; expected 0 <= {found.target} <= 1")


def _weight(found):
    if not found.elementwise:
        where, value = row_name(found.row, found.shape), "negative, infinite or NaN"
    else:
        where, value = element_name(found.logits, found.shape, found.row), found.value
    return ValueError(f"sample_weight of {where} is {value}; expected >= 0 and finite")


def _logits(found):
    if found.elementwise:
        many = f"{found.count} logits are" if found.count > 1 else "1 logit is"
        where = element_name(found.logits, found.shape, found.row)
        return FloatingPointError(f"{many} not finite; the first is {where}, {found.value}")
    return FloatingPointError(
        f"{have(found.logits)} no loss in {found.count} row{'s' * (found.count > 1)}; the first is "
        f"{row_name(found.row, found.shape)}, class {found.column} (NaN, +inf, or every class "
        "-inf); expected finite numbers, or -inf for some classes"
    )


def _probability(found):
    p = found.logits
    if found.elementwise:
        where = element_name(p, found.shape, found.row)
        return ValueError(
            f"{where} is {found.value}; expected 0 <= {p} <= 1 (numbers of any size: "
            "sigmoid_cross_entropy)"
        )
    where = row_name(found.row, found.shape)
    if found.column == found.classes:
        return ValueError(f"{p} of {where} sum to 0; expected a positive sum to normalize by")
    expected = (
        "finite numbers, at least 0"
        if found.normalize
        else "0 <= p <= 1 (numbers of any size: softmax_cross_entropy)"
    )
    return ValueError(
        f"{p} of {where}, class {found.column}, is {found.value}; expected {expected}"
    )
