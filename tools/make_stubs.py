"""Writes the type stubs of what is public: src/crossent/{__init__,sklearn}.pyi, train/__init__.pyi.

    python tools/make_stubs.py [DIRECTORY]

Names, arguments and defaults are those of the installed package; the types of the losses' options
stand in its table (crossent/_options.py), all others here. `tests/test_types.py` proves that the
files are current. DIRECTORY is where to write them, by default src/crossent.
"""

import dataclasses
import importlib
import inspect
import sys
from pathlib import Path

import crossent
from crossent import _options

ROOT = Path(__file__).parents[1] / "src" / "crossent"

HEADER = '''"""Written by tools/make_stubs.py: do not edit."""

'''
IMPORTS = """import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, SupportsIndex, overload

import numpy as np
import numpy.typing as npt
"""

ARRAY = "npt.NDArray[Any]"
AUX = "tuple[Any, dict[str, Any]]"
SELF = object()  # the class itself

# Types of arguments and of attributes, by name; an entry "f.name" goes before "name".
TYPES = {
    "x": "npt.ArrayLike", "logits": "npt.ArrayLike", "probs": "npt.ArrayLike",
    "target": "npt.ArrayLike", "vector": "npt.ArrayLike", "weight": "npt.ArrayLike",
    "out": f"{ARRAY} | None", "upstream": "npt.ArrayLike", "accumulate": "bool",
    "rule": 'Literal["exact", "upper", "friedman", "residual"]',
    "bias": "npt.ArrayLike | None", "sample_weight": "npt.ArrayLike | None", "chunk": "int | None",
    "axis": "int", "logsumexp.axis": "int | tuple[int, ...] | None",
    "softmax.axis": "int | tuple[int, ...] | None",
    "log_softmax.axis": "int | tuple[int, ...] | None", "b": "npt.ArrayLike | None",
    "from_logits.axis": "int | tuple[int, ...] | None",
    "sums": ARRAY,
    "keepdims": "bool", "return_sign": "bool", "n": "int",
    "loss_sum": "float", "update.weight": "float", "count": "int", "update.correct": "int",
    "losses": "npt.ArrayLike", "weights": "npt.ArrayLike | None",
    "correct": "npt.ArrayLike | None", "merge.other": SELF,
    # crossent.train
    "layers": f"Sequence[tuple[{ARRAY}, {ARRAY} | None]]",
    "activation": "str | Sequence[str]", "dropout": "float | Sequence[float]",
    "output": 'Literal["softmax", "sigmoid"] | None', "sizes": "Sequence[int]",
    "dtype": "npt.DTypeLike", "seed": "int", "create.seed": "int | np.random.Generator | None",
    "X": "npt.ArrayLike | Sequence[npt.ArrayLike]", "validate": "bool", "y": "npt.ArrayLike",
    "loss": "SoftmaxCrossEntropy | SigmoidCrossEntropy | None",
    "optimizer": "SGD | Adam | None", "batch_size": "int", "epochs": "int", "shuffle": "bool",
    "drop_last": "bool", "fit.accumulate": "int", "partial_fit.accumulate": "int",
    "class_weight": 'npt.ArrayLike | dict[int, float] | Literal["balanced"] | None',
    "sampling": 'Literal["all", "over", "under", "balanced"]',
    "validation": "tuple[Any, ...] | float | None", "patience": "int | None", "min_delta": "float",
    "threads": "int | None", "progress": "bool", "verbose": "bool",
    "callback": "Callable[[Network, History], Any] | None",
    "path": "str | os.PathLike[str]", "axes": "Any",
    "lr": "float", "l2": "float", "l1": "float", "clip": "float | None",
    "schedule": "Callable[[Any, int, int], Any]", "momentum": "float", "nesterov": "bool",
    "beta1": "float", "beta2": "float", "epsilon": "float", "weight_decay": "float",
    "Steps.epochs": "float", "WarmUp.epochs": "float", "factor": "float", "final": "float",
    "then": "Callable[[Any, int, int], Any]",
    "step": "Any", "steps_per_epoch": "int", "steps": "int",
    "History.loss": "list[float]", "accuracy": "list[float]", "History.lr": "list[float]",
    "seconds": "list[float]", "val_loss": "list[float]", "val_accuracy": "list[float]",
    "best_epoch": "int",
    # crossent.sklearn
    "SoftmaxClassifier.batch_size": 'int | Literal["auto"]',
    "MLPClassifier.batch_size": 'int | Literal["auto"]',
    "_Classifier.X": "npt.ArrayLike", "classes": "npt.ArrayLike | None",
    "hidden_layer_sizes": "int | Sequence[int]", "MLPClassifier.activation": "str",
    "MLPClassifier.dropout": "float", "label_smoothing": "float", "early_stopping": "bool",
    "validation_fraction": "float", "random_state": "int | np.random.RandomState | None",
    "SoftmaxClassifier.patience": "int", "MLPClassifier.patience": "int",
    "score.X": "npt.ArrayLike",
    "SoftmaxClassifier.class_weight": 'dict[Any, float] | Literal["balanced"] | None',
    "MLPClassifier.class_weight": 'dict[Any, float] | Literal["balanced"] | None',
}  # fmt: skip

# Types of results, "function" or "Class.method".
RESULTS = {
    "available_isas": "tuple[str, ...]", "isa": "str", "get_num_threads": "int",
    "set_num_threads": "None", "show_config": "None", "get_include": "str",
    "logsumexp": "Any", "softmax": ARRAY, "log_softmax": ARRAY, "sigmoid": "Any",
    "log_sigmoid": "Any", "softplus": "Any",
    "LossAccumulator.update": SELF, "LossAccumulator.update_from": SELF,
    "LossAccumulator.merge": SELF, "LossAccumulator.loss_sum": "float",
    "LossAccumulator.weight": "float", "LossAccumulator.mean": "float",
    "LossAccumulator.count": "int", "LossAccumulator.correct": "int",
    "LossAccumulator.accuracy": "float", "LossAccumulator.perplexity": "float",
    "LogSumExpState.from_logits": SELF, "LogSumExpState.shape": "tuple[int, ...]",
    "LogSumExpState.dtype": "np.dtype[Any]", "LogSumExpState.merge": SELF,
    "LogSumExpState.result": "Any",
    "Network.create": SELF, "Network.load": SELF, "Network.dtype": "np.dtype[Any]",
    "Network.features": "int", "Network.outputs": "int", "Network.parameters": f"list[{ARRAY}]",
    "Network.logits": ARRAY, "Network.forward": ARRAY, "Network.predict_proba": ARRAY,
    "Network.predict": ARRAY, "Network.evaluate": "tuple[float, float]",
    "Network.backward": f"tuple[float, list[tuple[{ARRAY}, {ARRAY} | None]]]",
    "Network.fit": "History", "Network.partial_fit": "History", "Network.save": "None",
    "Network.summary": "None",
    "History.plot": "Any", "SGD.moments": "int",
    "fit": SELF, "partial_fit": SELF, "decision_function": ARRAY, "predict_proba": ARRAY,
    "predict_log_proba": ARRAY, "predict": ARRAY, "coef_": ARRAY, "intercept_": ARRAY,
    "__call__": "Any", "__add__": SELF,
}  # fmt: skip


def default_of(parameter):
    value = parameter.default
    simple = isinstance(value, (str, int, float, bool, type(None)))
    return "" if value is parameter.empty else f" = {value!r}" if simple else " = ..."


def type_of(name, owners, cls):
    for owner in owners:
        if f"{owner}.{name}" in TYPES:
            found = TYPES[f"{owner}.{name}"]
            break
    else:
        found = TYPES[name]
    return cls if found is SELF else found.replace('"', '"')


def result_of(name, cls):
    found = RESULTS.get(f"{cls}.{name}" if cls else name) or RESULTS[name]
    return cls if found is SELF else found


def arguments(signature, owners, cls=None, types=None):
    """The text between the parentheses of a definition."""
    parts, star = [], False
    for p in signature.parameters.values():
        if p.kind is p.VAR_KEYWORD:
            parts.append(f"**{p.name}: Any")
            continue
        if p.kind is p.KEYWORD_ONLY and not star:
            star = True
            parts.append("*")
        if p.name in ("self", "cls"):
            parts.append(p.name)
            continue
        found = (types or {}).get(p.name) or type_of(p.name, owners, cls)
        parts.append(f"{p.name}: {found}{default_of(p)}")
    return ", ".join(parts)


def definition(name, text, result, indent="", decorators=()):
    lines = [f"{indent}@{d}\n" for d in decorators]
    return "".join(lines) + f"{indent}def {name}({text}) -> {result}: ...\n"


# ---------------------------------------------------------------- losses


def option_types(options):
    return {o.name: o.type for o in options}


def loss_function(name, function, options, gradient):
    """Overloads for what a reduction and `return_aux` change of the result."""
    types, has_aux = option_types(options), any(o.name == "return_aux" for o in options)
    means = 'Literal["mean", "sum", "batchmean"]'
    reductions = [(means, "np.float64"), ('Literal["none"]', ARRAY)]
    cases = [({"reduction": r, "return_aux": "None"}, loss) for r, loss in reductions]
    if has_aux:
        cases.append(({"return_aux": "str | Sequence[str]"}, None))
    text = ""
    for change, loss in cases:
        given = function
        required = {k for k, v in change.items() if v in ('Literal["none"]', "str | Sequence[str]")}
        parameters = [
            p.replace(default=p.empty) if p.name in required else p
            for p in given.parameters.values()
        ]
        given = inspect.Signature(parameters, __validate_parameters__=False)
        if loss is None:
            result = f"tuple[Any, {gradient}, dict[str, Any]]" if gradient else AUX
        else:
            result = f"tuple[{loss}, {gradient}]" if gradient else loss
        text += definition(
            name, arguments(given, (), types=types | change), result, decorators=["overload"]
        )
    return text


def loss_class(table):
    cls = getattr(crossent, table.owner)
    types = option_types(table.options)
    text = f"class {table.owner}:\n"
    text += definition(
        "__init__", f"self, {arguments(inspect.signature(cls), (), types=types)}", "None", "    "
    )
    results = {
        "__call__": "Any", "forward": "Any", "value_and_grad": "Any", "grad": ARRAY,
        "backward": ARRAY,
        "grad_and_hess": f"tuple[{ARRAY}, {ARRAY}]", "hessian_vector": ARRAY,
    }  # fmt: skip
    for name, result in results.items():
        if not hasattr(cls, name):
            continue
        signature = inspect.signature(getattr(cls, "forward" if name == "__call__" else name))
        text += definition(name, arguments(signature, (), types=types), result, "    ")
    return text


def linear_function(name, gradient):
    function = inspect.signature(getattr(crossent, name))
    return loss_function(name, function, _options.LINEAR, gradient)


# ---------------------------------------------------------------- everything else


def python_class(cls):
    bases = [b.__name__ for b in cls.__mro__[1:] if b.__module__ == cls.__module__]
    bases = [b for b in bases if not b.startswith("_")]
    if issubclass(cls, Exception):
        bases = [cls.__base__.__name__]
    elif any(b.__name__ == "BaseEstimator" for b in cls.__mro__):
        bases = ["ClassifierMixin", "BaseEstimator"]
    text = "".join(f"@dataclass{'(frozen=True)' * cls.__dataclass_params__.frozen}\n"
                   for _ in [0] if dataclasses.is_dataclass(cls))  # fmt: skip
    text += f"class {cls.__name__}({', '.join(bases)}):\n".replace("()", "")
    before = len(text)
    owners = [c.__name__ for c in cls.__mro__[:-1]]
    found = {}
    for c in reversed(cls.__mro__[:-1]):
        if c.__module__.startswith("crossent"):
            found.update(vars(c))
    if dataclasses.is_dataclass(cls):
        named = False
        for field in dataclasses.fields(cls):
            if field.kw_only and not named:
                named = True
                text += "    _: KW_ONLY\n"
            found.pop(field.name, None)
            default = " = ..." if field.default is not dataclasses.MISSING or (
                field.default_factory is not dataclasses.MISSING) else ""  # fmt: skip
            text += f"    {field.name}: {type_of(field.name, owners, cls.__name__)}{default}\n"
    elif "__init__" in found:
        init = inspect.signature(cls.__init__)
        text += definition("__init__", arguments(init, owners, cls.__name__), "None", "    ")
        for name in init.parameters if "BaseEstimator" in bases else ():
            if name != "self":
                text += f"    {name}: {type_of(name, owners, cls.__name__)}\n"
        if "BaseEstimator" in bases:
            text += f"    classes_: {ARRAY}\n    network_: Network\n    history_: History\n"
    if cls.__name__ == "Network":
        text += (
            f"    layers: list[tuple[{ARRAY}, {ARRAY} | None]]\n"
            "    activations: list[str]\n    dropouts: list[float]\n    output: str\n"
        )
    for name, value in found.items():
        if name.startswith("_") and name not in ("__call__", "__add__"):
            continue
        if isinstance(value, property):
            text += definition(name, "self", result_of(name, cls.__name__), "    ", ["property"])
        elif isinstance(value, classmethod):
            signature = inspect.signature(value.__func__)
            text += definition(
                name, arguments(signature, [name, *owners], cls.__name__),
                result_of(name, cls.__name__), "    ", ["classmethod"],
            )  # fmt: skip
        elif inspect.isfunction(value):
            if name == "__add__":
                given = f"self, other: {cls.__name__}"
            else:
                given = arguments(inspect.signature(value), [name, *owners], cls.__name__)
            text += definition(name, given, result_of(name, cls.__name__), "    ")
    return text if len(text) > before else text.rstrip("\n") + " ...\n"


def stub_of(module):
    text = ""
    tables = {t.function: t for t in _options.TABLES} | {t.owner: t for t in _options.TABLES}
    for name in module.__all__:
        value = getattr(module, name)
        loss = name.removesuffix("_value_and_grad")
        fused = ARRAY if name != loss else ""
        if name in tables and inspect.isclass(value):
            text += loss_class(tables[name])
        elif name == loss and name.endswith("_grad"):
            types = option_types(tables[name.removesuffix("_grad")].options)
            text += definition(name, arguments(inspect.signature(value), (), types=types), ARRAY)
        elif loss in tables:
            text += loss_function(name, inspect.signature(value), tables[loss].options, fused)
        elif loss == "linear_cross_entropy":
            gradient = f"tuple[{ARRAY}, {ARRAY}, {ARRAY} | None]" if fused else ""
            text += linear_function(name, gradient)
        elif inspect.isclass(value):
            text += python_class(value)
        else:
            text += definition(
                name, arguments(inspect.signature(value), [name]), result_of(name, None)
            )
    return text


def stubs():
    """{path below the package: text}"""
    names = "\n__all__ = [\n{}]\n"
    found = {}
    for path, module, more in (
        ("__init__.pyi", "crossent", "\nfrom . import sklearn as sklearn, train as train\n"
         "\n__version__: str\n"),
        ("train/__init__.pyi", "crossent.train", "from dataclasses import KW_ONLY, dataclass\n\n"
         "from .. import SigmoidCrossEntropy, SoftmaxCrossEntropy\n"),
        ("sklearn.pyi", "crossent.sklearn", "\nfrom sklearn.base import BaseEstimator, "
         "ClassifierMixin\n\nfrom .train import SGD, Adam, History, Network\n"),
    ):  # fmt: skip
        module = importlib.import_module(module)
        listed = names.format("".join(f'    "{name}",\n' for name in module.__all__))
        found[path] = HEADER + IMPORTS + more + listed + "\n" + stub_of(module)
    return found


if __name__ == "__main__":
    where = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT
    for path, text in stubs().items():
        (where / path).parent.mkdir(exist_ok=True, parents=True)
        (where / path).write_text(text)
