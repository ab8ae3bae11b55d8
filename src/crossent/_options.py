"""Every option of every loss, once.

From the tables below come what the losses accept and what they check, their signatures and the
"Parameters" of their docstrings, the lists in messages, the stubs and the table in docs/options.md.
"""

import inspect
import textwrap
from collections.abc import Callable
from inspect import Parameter, Signature
from typing import Any, NamedTuple

from . import _check, _errors

# ---------------------------------------------------------------- what a table is


class Option(NamedTuple):
    """One option: `parse(name, value)` checks a value and gives what the loss works with."""

    name: str
    default: Any
    parse: Callable[[str, Any], Any]
    kind: str  # what docstrings say of its type
    type: str  # what stubs say of it
    line: str  # one sentence
    text: str = ""  # all that is to know; the sentence, where that is enough
    where: str = "class"  # "class", "call", or "both": an argument of functions in any case

    @property
    def header(self):
        """The option's name, type and default, as numpydoc writes them."""
        if self.default is None:
            default = "default `get_num_threads()`" if self.name == "threads" else "optional"
        elif isinstance(self.default, str):
            default = f'default "{self.default}"'
        elif isinstance(self.default, float):
            default = f"default {self.default:g}"
        else:
            default = f"default {self.default}"
        return f"{self.name} : {self.kind}, {default}"


class Table:
    """The options of one loss."""

    def __init__(self, function, owner, data, *options):
        self.function, self.owner, self.data = function, owner, data
        self.options = options
        self.names = [o.name for o in options]
        self.of_class = {o.name: o for o in options if o.where != "call"}
        self.of_calls = {o.name: o for o in options if o.where != "class"}
        self.defaults = {name: o.default for name, o in self.of_class.items()}
        self._parsed = {name: o.parse(name, o.default) for name, o in self.of_class.items()}

    def parse(self, given):
        """All options of the class in the form the loss works with; raises for what is wrong."""
        parsed = dict(self._parsed)
        for name, value in given.items():
            if name not in self.of_class:
                raise self.unknown(name, self.owner, self.of_class)
            parsed[name] = self.of_class[name].parse(name, value)
        return parsed

    def unknown(self, name, called, known=None):
        """The exception for an option that the function or class `called` does not have; `known`
        are those that it has, by default all."""
        known = self.names if known is None else known
        meaning = _errors.meaning_of(name, self.data, self.names)
        if meaning is not None:
            return TypeError(f"{name!r} is not an option of {called}; {meaning}")
        of_calls = () if known is self.names else self.of_calls
        return _errors.unknown_option(name, called, known, of_calls)

    def refuse(self, name):
        """The exception for an argument of a call that is none."""
        if name in self.of_class:
            return TypeError(
                f"{name!r} is not an option of a call; expected {', '.join(sorted(self.of_calls))};"
                " all others are of the class"
            )
        return self.unknown(name, f"a call of {self.owner}", self.of_calls)


def _number(low, high):
    return lambda name, value: _check.number(name, value, low, high)


def _scale(name, value):
    """A positive number, or 0 for None."""
    return 0.0 if value is None else _check.number(name, value, 1e-30, 1e30)


def _one_of(*names):
    return lambda name, value: _check.one_of(name, value, names)


def _axis(name, value):
    return _check.whole(name, value, -64, 63)


def _as_given(name, value):
    return value


def _normalizer(name, value):
    if value is None:
        return None
    if isinstance(value, str):
        _check.one_of(name, value, ("valid", "weight", "batch"))
        return value
    return _check.positive(name, value)


def _clip(name, value):
    if isinstance(value, str) and value not in ("torch", "keras"):
        raise ValueError(f"{name} is {value!r}; expected None, a number, 'torch' or 'keras'")
    if value is None or isinstance(value, str):
        return value
    return _check.number(name, value, 5e-324, 0.499)


def _pos_weight(name, value):
    return None if value is None else _check.non_negative(name, value)


def _focal_share(name, value):
    return None if value is None else _check.number(name, value, 0, 1)


# ---------------------------------------------------------------- the softmax loss

LABELS = "SupportsIndex | Sequence[int] | npt.NDArray[np.integer[Any]] | None"
NUMBERS = "npt.ArrayLike | None"

AXIS = Option(
    "axis", -1, _axis, "int", "int",
    "The class axis; 1 for images of shape (N, C, H, W).",
)  # fmt: skip
CLASS_WEIGHT = Option(
    "class_weight", None, _check.class_numbers, "array_like, shape (C,), or float", NUMBERS,
    "Numbers >= 0 that multiply the losses of a class, and count in the divisor of the mean.",
)  # fmt: skip
SAMPLE_WEIGHT = Option(
    "sample_weight", None, _as_given,
    "array_like, one number for each row (or what broadcasts to that)", NUMBERS,
    "Numbers >= 0 that multiply the losses of a row, and count in the divisor of the mean.",
    "Numbers >= 0 that multiply the losses of a row, and count in the divisor of the mean. A row "
    "of weight 0 takes no part.",
    where="call",
)  # fmt: skip
IGNORE_INDEX = Option(
    "ignore_index", None, _check.ignored, "int or several", LABELS,
    "Labels whose rows take no part, such as -100.",
    "Labels whose rows take no part, such as -100. Not with targets of probabilities.",
)  # fmt: skip
CLASS_MASK = Option(
    "class_mask", None, _as_given,
    "array_like of bool, shape (C,), or what broadcasts to the logits", NUMBERS,
    "False leaves a class out.",
    "False leaves a class out: its probability is 0, and a target there has loss ``inf``.",
    where="both",
)  # fmt: skip
LABEL_SMOOTHING = Option(
    "label_smoothing", 0.0, _number(0, 1), "float in [0, 1]", "float",
    "Share e of the target that is spread evenly over the classes.",
    "Share e of the target that is spread over the K classes that take part.",
)  # fmt: skip
SMOOTHING = Option(
    "smoothing", "uniform", _one_of("uniform", "off_target"), '{"uniform", "off_target"}',
    'Literal["uniform", "off_target"]',
    "e / K to every class; or e / (K - 1) to every class but the target.",
)  # fmt: skip
SMOOTHING_WEIGHT = Option(
    "smoothing_weight", "class", _one_of("class", "target"), '{"class", "target"}',
    'Literal["class", "target"]',
    "Whose class weight a share of the smoothing has: its own class's, or the target's.",
    "With smoothing and `class_weight`: each share weighs as its own class does; or all weigh as "
    "the target does.",
)  # fmt: skip
FOCAL_GAMMA = Option(
    "focal_gamma", 0.0, _number(0, 1e6), "float >= 0", "float",
    "Multiplies each class's loss by ``(1 - p)**focal_gamma``, p being its probability.",
)  # fmt: skip
FOCAL_ALPHA = Option(
    "focal_alpha", None, _check.class_numbers, "float >= 0, or array_like of shape (C,)", NUMBERS,
    "Multiplies each class's loss; does not count in the divisor of the mean.",
)  # fmt: skip
Z_LOSS = Option(
    "z_loss", 0.0, _number(0, 1e300), "float >= 0", "float",
    "Adds ``z_loss * logsumexp(x)**2`` to the loss of a row.",
)  # fmt: skip
TEMPERATURE = Option(
    "temperature", None, _scale, "float > 0", "float | None",
    "Logits become ``logits / temperature``.",
)  # fmt: skip
SOFTCAP = Option(
    "softcap", None, _scale, "float > 0", "float | None",
    "After that, logits become ``softcap * tanh(logits / softcap)``.",
)  # fmt: skip
REDUCTION = Option(
    "reduction", "mean", _one_of("mean", "sum", "none", "batchmean"),
    '{"mean", "sum", "none", "batchmean"}',
    'Literal["mean", "sum", "none", "batchmean"]',
    "Mean over the rows, their sum, one loss for each row, or their sum divided by the batch size.",
    "Mean over the rows, their sum, one loss for each row, or their sum divided by the batch size. "
    "The mean divides by the sum of the weights of the rows that take part (their number, where "
    'there are no weights); "batchmean" by the length of the first axis that is not the class '
    "axis, whatever the weights.",
)  # fmt: skip
NORMALIZER = Option(
    "normalizer", None, _normalizer, '{"weight", "valid", "batch"} or float > 0',
    'Literal["weight", "valid", "batch"] | float | None',
    "Another divisor of the mean.",
    "Another divisor of the mean: that sum, the number of rows that take part, the number of all "
    "rows, or a number.",
)  # fmt: skip
EMPTY = Option(
    "empty", "nan", _one_of("nan", "zero", "raise"), '{"nan", "zero", "raise"}',
    'Literal["nan", "zero", "raise"]',
    "What the mean is where nothing takes part: NaN, 0, or a ValueError.",
)  # fmt: skip
NONFINITE = Option(
    "nonfinite", "propagate", _one_of("propagate", "zero", "raise", "warn"),
    '{"propagate", "zero", "raise", "warn"}', 'Literal["propagate", "zero", "raise", "warn"]',
    "What becomes of rows with NaN, with ``+inf``, or with nothing but ``-inf``.",
    "What becomes of rows with NaN, with ``+inf``, or with nothing but ``-inf``: what the notes "
    "say; loss and gradient 0 (the row still counts); FloatingPointError, or RuntimeWarning, with "
    "their number and the first one's row and class.",
)  # fmt: skip
UPSTREAM = Option(
    "upstream", 1.0, _as_given, 'float, or one number for each row with ``reduction="none"``',
    "npt.ArrayLike", "The gradient is multiplied by it; the loss is not.", where="call",
)  # fmt: skip
ACCUMULATE = Option(
    "accumulate", False, _check.flag, "bool", "bool",
    "Add the gradient to `out` instead of replacing it; of no effect on the loss.", where="call",
)  # fmt: skip
SOFTMAX_AUX = ("logsumexp", "probability", "entropy", "argmax", "correct", "target_grad")
RETURN_AUX = Option(
    "return_aux", None, _as_given, "str or several of them", "str | Sequence[str] | None",
    "Returns in addition a dict of statistics of the rows, from the same pass.",
    'Returns in addition a dict of arrays, one number for each row: "logsumexp"; "probability" of '
    'the label; "entropy" of softmax(x), in nats; "argmax" (int64); "correct" (bool), whether that '
    'is the label; and "target_grad", of the logits\' shape, d loss / d target for targets of '
    'probabilities. Rows that take no part hold NaN, -1 or False. The dict also holds "count" and '
    '"weight": number and sum of weights of the rows that took part.',
    where="call",
)  # fmt: skip
THREADS = Option(
    "threads", None, _check.threads, "int", "int | None",
    "Threads for this call. The result does not depend on it.",
)  # fmt: skip

SOFTMAX = Table(
    "softmax_cross_entropy", "SoftmaxCrossEntropy", "logits",
    AXIS, CLASS_WEIGHT, SAMPLE_WEIGHT, IGNORE_INDEX, CLASS_MASK, LABEL_SMOOTHING, SMOOTHING,
    SMOOTHING_WEIGHT, FOCAL_GAMMA, FOCAL_ALPHA, Z_LOSS, TEMPERATURE, SOFTCAP, REDUCTION, NORMALIZER,
    EMPTY, NONFINITE, UPSTREAM, ACCUMULATE, RETURN_AUX, THREADS,
)  # fmt: skip

# ---------------------------------------------------------------- from probabilities

CLIP = Option(
    "clip", None, _clip, 'None, float, "torch" or "keras"',
    'float | Literal["torch", "keras"] | None',
    "What becomes of probabilities close to 0 or 1.",
    'None: exact, the loss of p = 0 is ``inf``. A number eps: p and 1 - p from below by eps, each '
    'on its own, so that eps = 1e-15 works in float32 too. "torch": the logarithm from below at '
    '-100. "keras": p to [1e-7, 1 - 1e-7] as rounded in its dtype. The gradient is that of the '
    "clipped function: 0 where p is clipped.",
)  # fmt: skip
NORMALIZE_ROWS = Option(
    "normalize_rows", False, _check.flag, "bool", "bool",
    "Divide each row by its sum first.",
    "Divide each row by its sum first; `probs` may then be any finite numbers >= 0. The gradient "
    "is with respect to `probs` as given.",
)  # fmt: skip
CATEGORICAL = Table(
    "categorical_cross_entropy", "CategoricalCrossEntropy", "probs",
    CLIP, NORMALIZE_ROWS, AXIS, CLASS_WEIGHT, SAMPLE_WEIGHT, IGNORE_INDEX, LABEL_SMOOTHING,
    SMOOTHING, SMOOTHING_WEIGHT, REDUCTION, NORMALIZER, EMPTY, UPSTREAM, ACCUMULATE, THREADS,
)  # fmt: skip

# ---------------------------------------------------------------- the binary losses

BINARY_OPTIONS = (
    Option(
        "pos_weight", None, _pos_weight, "array_like", NUMBERS,
        "Factor >= 0 of the loss of target 1; broadcasts to the logits.",
        "Factor >= 0 of ``target * softplus(-x)``, against rare ones: a number, or what broadcasts "
        "to the logits, such as one number for each entry of the last axis.",
    ),
    SAMPLE_WEIGHT._replace(
        kind="array_like",
        line="Factor of the whole loss, >= 0; broadcasts to the logits.", text="",
    ),
    IGNORE_INDEX._replace(line="Targets whose elements take no part.", text=""),
    Option(
        "nan_target", "propagate", _one_of("propagate", "missing"), '{"propagate", "missing"}',
        'Literal["propagate", "missing"]',
        '"missing": elements whose target is NaN take no part.',
    ),
    Option(
        "validate", False, _check.flag, "bool", "bool",
        "Targets that take part must lie in [0, 1].",
    ),
    LABEL_SMOOTHING._replace(
        line="The target moves by this share e of its way to 1/2.",
        text="The target moves by this share of its way to 1/2: ``y * (1 - e) + e / 2``.",
    ),
    FOCAL_GAMMA._replace(
        line="Multiplies the two terms of the loss by ``(1 - p)**gamma`` and ``p**gamma``.",
        text="``target * (1 - p)**gamma * softplus(-x) + (1 - target) * p**gamma * softplus(x)``, "
        "p = sigmoid(x). Any gamma >= 0 has finite gradients.",
    ),
    Option(
        "focal_alpha", None, _focal_share, "float in [0, 1]", "float | None",
        "Factor of the first of these terms; 1 - alpha is that of the second.",
    ),
    REDUCTION._replace(
        line="Mean over the elements, their sum, one loss for each element, or their sum divided "
        "by the batch size.",
        text="Mean over elements, sum, one loss per element, or the sum divided by the batch size. "
        "The mean divides by the sum of the sample weights that took part (their number, where "
        "there are none); `pos_weight` and `focal_alpha` do not enter it. \"batchmean\" divides by "
        "the length of the first axis, whatever the weights.",
    ),
    NORMALIZER._replace(
        text="Another divisor of the mean: that sum, the number of elements that took part, the "
        "number of all elements, or a number.",
    ),
    EMPTY,
    NONFINITE._replace(
        line="What becomes of logits that are NaN or infinite.",
        text="What becomes of logits that are NaN or infinite: what the formula gives; loss and "
        "gradient 0 (the element still counts); FloatingPointError, or RuntimeWarning, with their "
        "number and the first one's index.",
    ),
    UPSTREAM._replace(
        kind='float, or array_like with ``reduction="none"``',
        line="The gradient is multiplied by it; an array broadcasts to the logits.",
    ),
    ACCUMULATE,
    RETURN_AUX._replace(
        line="Returns in addition a dict of statistics of the elements, from the same pass.",
        kind='str or several of "probability", "correct"',
        text="Returns in addition a dict of: sigmoid(x), NaN where an element takes no part; "
        'whether ``x > 0`` is ``target > 1/2``; and always "count" and "weight" of the elements '
        "that took part.",
    ),
    THREADS,
)  # fmt: skip
SIGMOID = Table("sigmoid_cross_entropy", "SigmoidCrossEntropy", "logits", *BINARY_OPTIONS)

# Those of the loss from logits, but that a bad probability is always an error.
FROM_LOGITS = {o.name: o for o in BINARY_OPTIONS if o.name != "nonfinite"}
BINARY = Table(
    "binary_cross_entropy", "BinaryCrossEntropy", "probs",
    CLIP._replace(
        text="None: exact; a loss is ``inf`` where p is 0 and the target 1. A number eps: p from "
        "below and 1 - p from below by eps, each on its own, so that eps = 1e-15 works in float32 "
        'too. "keras": p to [1e-7, 1 - 1e-7] as rounded in its dtype. For these the gradient is '
        'that of the clipped function: 0 where it is clipped. "torch": both logarithms from below '
        "at -100, with the gradient ``(p - target) / max(p * (1 - p), 1e-12)``.",
    ),
    *(
        FROM_LOGITS
        | {
            "pos_weight": FROM_LOGITS["pos_weight"]._replace(
                text="Factor >= 0 of ``target * -log(p)``: a number, or what broadcasts to `probs`."
            ),
            "focal_gamma": FROM_LOGITS["focal_gamma"]._replace(
                text="``target * (1 - p)**gamma * -log(p) + (1 - target) * p**gamma * "
                "-log(1 - p)``."
            ),
            "return_aux": FROM_LOGITS["return_aux"]._replace(
                kind='"correct"',
                text="Returns in addition a dict of: whether ``p > 1/2`` is ``target > 1/2``; and "
                'always "count" and "weight" of the elements that took part.',
            ),
        }
    ).values(),
)  # fmt: skip

TABLES = (SOFTMAX, SIGMOID, CATEGORICAL, BINARY)

# The loss of a linear layer is the softmax loss of its outputs, whose classes lie along one axis.
LINEAR = [o for o in SOFTMAX.of_class.values() if o.name not in ("axis", "class_mask")]

# ---------------------------------------------------------------- signatures and docstrings


def _parameters(options):
    return [Parameter(o.name, Parameter.KEYWORD_ONLY, default=o.default) for o in options]


def signature(data, options, *more):
    """(*data, *, more, options); `data` and `more` are names, or pairs of name and default."""
    found = [Parameter(name, Parameter.POSITIONAL_OR_KEYWORD) for name in data]
    found += [Parameter(name, Parameter.KEYWORD_ONLY, default=value) for name, value in more]
    return Signature(found + _parameters(options), __validate_parameters__=False)


def section(options, whole=False):
    """The options as entries of a docstring's "Parameters"; each with one line, or as a whole."""
    lines = []
    for option in options:
        lines.append(option.header)
        text = option.text if whole and option.text else option.line
        lines.append(textwrap.indent(textwrap.fill(text, 92, break_long_words=False), "    "))
    return "\n".join(lines)


def describe(callable, data, options, *more, whole=False):
    """Gives a compiled function or method its signature, and its docstring the options: in place of
    the line ``{options}``."""
    callable.__signature__ = signature(data, options, *more)
    text = inspect.cleandoc(callable.__doc__)
    callable.__doc__ = text.replace("{options}", section(options, whole))


class ClassSignature:
    """`__signature__` of a compiled class: that of its making; of an object: that of its call."""

    def __init__(self, table):
        self.made = signature((), table.of_class.values())
        self.called = signature((table.data, "target"), table.of_calls.values())

    def __get__(self, instance, owner):
        return self.made if instance is None else self.called


def describe_loss(cls, table, function, fused, gradient):
    """Signatures and docstrings of a loss: its class, its methods and its three functions."""
    calls = list(table.of_calls.values())
    out = ("out", None)
    aux = "aux : dict, only with `return_aux`\n" if "return_aux" in table.of_calls else ""
    describe(function, (table.data, "target"), table.options, whole=True)
    describe(fused, (table.data, "target"), table.options, out)
    alone = [o for o in table.options if o.name != "return_aux"]
    describe(gradient, (table.data, "target"), alone, out)
    for name, more in (("forward", ()), ("value_and_grad", (out,)), ("grad", (out,))):
        method = getattr(cls, name)
        method.__doc__ = METHODS[name].format(
            data=table.data, function=table.function, options="{options}", aux=aux
        )
        given = alone if name == "grad" else calls
        describe(method, ("self", table.data, "target"), [o for o in calls if o in given], *more)
    second = [o for o in calls if o.name not in ("accumulate", "return_aux")]
    if hasattr(cls, "grad_and_hess"):
        rule = ("rule", "exact")
        describe(cls.grad_and_hess, ("self", table.data, "target"), second, rule, out)
        describe(cls.hessian_vector, ("self", table.data, "target", "vector"), second, out)


METHODS = {
    "forward": """The loss; computes the gradient in the same pass and keeps it for `backward`.

Where no gradient is wanted, calling the object gives the loss alone. `upstream` and `accumulate`
are arguments of `backward`; here they have no effect.

Parameters
----------
{data}, target
    As for `{function}`.
{options}

Returns
-------
loss : np.float64, or ndarray with ``reduction="none"``
{aux}""",
    "grad": """The gradient alone; leaves what `forward` keeps as it is.

Parameters
----------
{data}, target
    As for `{function}`.
out : ndarray of the shape and dtype of `{data}`, optional
    Receives the gradient. May be `{data}` itself.
{options}

Returns
-------
grad : ndarray of the shape and dtype of `{data}`
""",
    "value_and_grad": """Loss and gradient in one pass; leaves what `forward` keeps as it is.

Parameters
----------
{data}, target
    As for `{function}`.
out : ndarray of the shape and dtype of `{data}`, optional
    Receives the gradient. May be `{data}` itself.
{options}

Returns
-------
loss : np.float64, or ndarray with ``reduction="none"``
grad : ndarray of the shape and dtype of `{data}`
{aux}""",
}


def class_doc(table, summary, rest):
    """The docstring of a loss's class."""
    calls = ", ".join(f"`{name}`" for name in table.of_calls if name not in table.of_class)
    both = [name for name in table.of_calls if name in table.of_class]
    given = f"; a `{both[0]}` given there goes before that of the class" if both else ""
    options = textwrap.indent(section(table.of_class.values()), "")
    notes = textwrap.fill(f"{calls} are arguments of the methods{given}.", 96)
    return (
        f"{summary}\n\nParameters\n----------\n{options}\n\nNotes\n-----\n{notes}\n\n"
        f"{inspect.cleandoc(rest)}\n"
    )
