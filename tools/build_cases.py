"""Fixed calls of the public Python interface, whose results compare_builds.py compares.

    CROSSENT_ISA=avx2 python -P tools/build_cases.py FILE     writes all results to FILE

Every case has a kind, for the summary, and a name; its results are arrays, numbers and the names of
exceptions.
"""

import itertools
import pickle
import sys
import warnings

import ml_dtypes
import numpy as np

import crossent
from crossent import train

SOFTMAX = {
    "class_weight": ["per class"],
    "sample_weight": ["per row"],
    "ignore_index": [1, [0, 2]],
    "class_mask": ["one"],
    "label_smoothing": [0.1],
    "smoothing": ["off_target"],
    "smoothing_weight": ["target"],
    "focal_gamma": [0.5, 2.0],
    "focal_alpha": ["per class"],
    "z_loss": [0.01],
    "softcap": [6.0],
    "temperature": [0.7, 2.0],
    "reduction": ["sum", "none"],
    "normalizer": [7.5, "valid", "batch"],
    "nonfinite": ["zero"],
    "upstream": [-0.5],
    "return_aux": [("logsumexp", "probability", "entropy", "argmax", "correct"), "target_grad"],
    "accumulate": [True],
}
CATEGORICAL = {
    **{
        name: SOFTMAX[name]
        for name in (
            *("class_weight", "sample_weight", "ignore_index", "label_smoothing", "smoothing"),
            *("smoothing_weight", "reduction", "normalizer", "upstream", "accumulate"),
        )
    },
    "clip": [1e-7, "torch", "keras"],
    "normalize_rows": [True],
}
SIGMOID = {
    "pos_weight": [2.5, "per class"],
    "sample_weight": ["per row", "per element"],
    "ignore_index": [1, [0, 2]],
    "label_smoothing": [0.1],
    "focal_gamma": [0.5, 2.0],
    "focal_alpha": [0.25],
    "reduction": ["sum", "none"],
    "normalizer": [7.5, "valid", "batch"],
    "upstream": [-0.5],
    "return_aux": ["correct"],
    "accumulate": [True],
}
BINARY = {**SIGMOID, "clip": [1e-7, "torch", "keras"]}
LOSSES = {
    "softmax": ("softmax_cross_entropy", SOFTMAX),
    "categorical": ("categorical_cross_entropy", CATEGORICAL),
    "sigmoid": ("sigmoid_cross_entropy", SIGMOID),
    "binary": ("binary_cross_entropy", BINARY),
}
SHAPES = [
    (1, 1),
    (9, 2),
    (70, 10),
    (33, 64),
    (33, 65),
    (9, 70),
    (9, 1000),
    (3, 4097),
    (2, 9001),
    (1, 140_000),
]
TARGETS = ("hard", "soft")
SOME = [(70, 10), (9, 70)]
LAYOUTS = {
    "C": lambda a: a,
    "F": np.asfortranarray,
    "spaced": lambda a: np.repeat(a, 3, -1)[..., ::3],
    "backwards": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
}
CALL_OPTIONS = ("sample_weight", "class_mask", "upstream", "accumulate", "return_aux")


def combinations(options):
    """Each option alone, and each pair of values of two options."""
    yield {}
    for name, values in options.items():
        yield from ({name: value} for value in values)
    for a, b in itertools.combinations(options, 2):
        yield from ({a: x, b: y} for x, y in itertools.product(options[a], options[b]))


def inputs(loss, shape, dtype, soft, seed=1):
    """Logits or probabilities, and targets: labels or soft, 0, 1 or between."""
    rng = np.random.default_rng([seed, *shape, soft])
    x = rng.choice([0.5, 4, 20], (shape[0], 1)) * rng.standard_normal(shape)
    if loss == "softmax" and shape[1] > 2:
        x[::5, -1] = -np.inf
    if loss == "categorical":
        x = np.exp(np.maximum(x - x.max(1, keepdims=True), -60))
        x /= x.sum(1, keepdims=True)
    elif loss == "binary":
        x = 1 / (1 + np.exp(-x))
    if loss in ("sigmoid", "binary"):
        target = rng.random(shape) if soft else rng.integers(0, 2, shape)
    elif soft:
        target = rng.exponential(size=shape) * (rng.random(shape) < 0.8) + 1e-3
        target /= target.sum(1, keepdims=True)
        target[np.isinf(x)] = 0
    else:
        target = rng.integers(0, max(shape[1] - 1, 1), shape[0])
    return x.astype(dtype), target.astype(np.float32) if soft else target


def filled(options, shape):
    """Options whose values are arrays, made for a shape."""
    rng, options = np.random.default_rng(shape), dict(options)
    arrays = {
        "per class": rng.uniform(0.2, 3, shape[1]),
        "per row": rng.choice([0, 0.3, 1, 1.7], shape[0]),
        "per element": rng.choice([0, 0.3, 1, 1.7], shape),
        "one": (np.arange(shape[1]) % 3 < 2) | (np.arange(shape[1]) > shape[1] - 3),
    }
    for name, value in options.items():
        if isinstance(value, str) and value in arrays:
            options[name] = arrays[value]
    return options


def attempt(call):
    """What `call` returns, or the kind of exception that it raises."""
    try:
        return call()
    except Exception as error:
        return type(error).__name__


def flat(result, name=""):
    """Every array and number of nested results, with a name."""
    if isinstance(result, dict):
        for key, value in result.items():
            yield from flat(value, f"{name} {key}")
    elif isinstance(result, (tuple, list)):
        for i, value in enumerate(result):
            yield from flat(value, f"{name} {i}" if name else f"{i}")
    else:
        yield name, result if isinstance(result, str) else np.array(result)


def loss_cases():
    """Yields (kind, name, call). The kind is what the summary adds up."""
    wide, halves = (np.float32, np.float64), (np.float16, ml_dtypes.bfloat16)
    for loss, (name, options) in LOSSES.items():
        function = getattr(crossent, f"{name}_value_and_grad")
        forward = getattr(crossent, name)

        def case(given, shape, dtype, soft, layout="C", loss=loss, both=function, alone=forward):
            x, target = inputs(loss, shape, dtype, soft)
            x, given = LAYOUTS[layout](x), filled(given, shape)
            if loss in ("sigmoid", "binary") and "sample_weight" in given:
                given["sample_weight"] = given["sample_weight"].reshape(shape[0], -1)
            out = LAYOUTS[layout](np.ones(shape, dtype)) if given.get("accumulate") else None
            fused = attempt(lambda: both(x, target, out=out, threads=1, **given))
            given.pop("accumulate", None)
            return fused, attempt(lambda: alone(x, target, threads=1, **given))

        for given in combinations(options):
            kind = f"{loss} {', '.join(given) or 'plain'}"
            few = len(given) == 2
            for shape, dtype, soft, layout in itertools.product(
                SOME if few else SHAPES, (*wide, *halves), (False, True), LAYOUTS
            ):
                if (few or shape not in SOME) and (dtype in halves or layout != "C"):
                    continue
                text = f"{loss} {given} {shape} {np.dtype(dtype)} {TARGETS[soft]} {layout}"
                yield kind, text, lambda a=(given, shape, dtype, soft, layout), f=case: f(*a)


def object_cases():
    """Second derivatives, and forward and backward apart."""
    classes = {"softmax": crossent.SoftmaxCrossEntropy, "sigmoid": crossent.SigmoidCrossEntropy}
    for loss, make in classes.items():
        options = LOSSES[loss][1]
        skipped = {"accumulate", "return_aux"}
        for given in combinations({n: v for n, v in options.items() if n not in skipped}):
            for shape, dtype, soft in itertools.product(
                SOME, (np.float32, np.float64), (False, True)
            ):

                def case(loss=loss, make=make, given=given, shape=shape, dtype=dtype, soft=soft):
                    x, target = inputs(loss, shape, dtype, soft)
                    if loss == "softmax":
                        x = np.maximum(x, -50)
                    v = np.random.default_rng(0).standard_normal(shape).astype(dtype)
                    full = filled(given, shape)
                    if loss == "sigmoid" and "sample_weight" in full:
                        full["sample_weight"] = full["sample_weight"].reshape(shape[0], -1)
                    call = {n: full.pop(n) for n in CALL_OPTIONS if n in full}
                    xent = make(**full)
                    found = [
                        attempt(lambda r=r: xent.grad_and_hess(x, target, rule=r, **call))
                        for r in ("exact", "upper", "friedman", "residual")
                    ]
                    found.append(attempt(lambda: xent.hessian_vector(x, target, v, **call)))
                    upstream = call.pop("upstream", 1)
                    found.append(attempt(lambda: xent.forward(x, target, **call)))
                    return [*found, attempt(lambda: xent.backward(upstream))]

                where = f"{given} {shape} {np.dtype(dtype)} {TARGETS[soft]}"
                kind = f"{loss} object {', '.join(given) or 'plain'}"
                yield kind, f"{loss} object {where}", case


def function_cases():
    for name in ("logsumexp", "softmax", "log_softmax", "sigmoid", "log_sigmoid", "softplus"):
        for shape, dtype, layout in itertools.product(SHAPES, ("f2", "f4", "f8"), LAYOUTS):

            def case(name=name, shape=shape, dtype=dtype, layout=layout):
                return getattr(crossent, name)(
                    LAYOUTS[layout](inputs("softmax", shape, dtype, False)[0])
                )

            yield name, f"{name} {shape} {dtype} {layout}", case


def linear_cases():
    options = {n: v for n, v in SOFTMAX.items() if n not in ("return_aux", "accumulate")}
    for given in combinations(options):
        if len(given) == 2 and "label_smoothing" not in given:
            continue
        for dtype, bias, chunk in itertools.product(("f4", "f8"), (False, True), (None, 7)):

            def case(given=given, dtype=dtype, bias=bias, chunk=chunk):
                rng = np.random.default_rng(5)
                x, w = rng.standard_normal((40, 9)).astype(dtype), rng.standard_normal((70, 9))
                b = rng.standard_normal(70).astype(dtype) if bias else None
                return crossent.linear_cross_entropy_value_and_grad(
                    x, w.astype(dtype), rng.integers(0, 70, 40), bias=b, chunk=chunk, threads=1,
                    **filled(given, (40, 70)),
                )  # fmt: skip

            kind = f"linear {', '.join(given) or 'plain'}"
            yield kind, f"linear {given} {dtype} bias={bias} chunk={chunk}", case


def training_cases():
    optimizers = {
        "SGD": lambda: train.SGD(0.1, momentum=0.9),
        "Adam": lambda: train.Adam(1e-2),
        "AdamW": lambda: train.AdamW(1e-2),
    }
    runs = {
        "plain": {},
        "smoothed": {"loss": crossent.SoftmaxCrossEntropy(label_smoothing=0.1, z_loss=1e-3)},
        "focal": {"loss": crossent.SoftmaxCrossEntropy(focal_gamma=2.0, ignore_index=3)},
        "sigmoid": {"loss": crossent.SigmoidCrossEntropy(label_smoothing=0.1)},
        "weights": {"sample_weight": np.linspace(0, 2, 300), "accumulate": 2},
        "balanced": {"sampling": "balanced", "class_weight": "balanced"},
        "under": {"sampling": "under", "drop_last": True},
        "validation": {"patience": 2, "validation": True, "batch_size": 600},
    }
    for name, given in runs.items():
        for optimizer, activation, dtype, sizes in itertools.product(
            optimizers, ("relu", "tanh", "gelu"), ("f4", "f8"), ([9, 4], [9, 33, 17, 4])
        ):

            def case(given=given, o=optimizer, activation=activation, dtype=dtype, sizes=sizes):
                rng, more = np.random.default_rng(3), dict(given)
                X, y = rng.standard_normal((300, 9)).astype(dtype), rng.integers(0, 4, 300)
                if more.get("validation"):
                    more["validation"] = (X[:50], y[:50])
                output = "softmax"
                if more.get("loss") and "Sigmoid" in repr(more["loss"]):
                    output, y = "sigmoid", rng.integers(0, 2, (300, 4)).astype(dtype)
                net = train.Network.create(
                    sizes, activation=activation, dtype=np.dtype(dtype).type, output=output, seed=0
                )
                more = {"batch_size": 32, "epochs": 3, "seed": 1, "threads": 1} | more
                net.fit(X, y, optimizer=optimizers[o](), **more)
                return [part for layer in net.layers for part in layer], net.evaluate(X, y)

            where = f"{name} {optimizer} {activation} {dtype} {sizes}"
            yield f"training {name}", f"training {where}", case


def record(path):
    """Runs every case on the instruction set that CROSSENT_ISA names; writes all results."""
    warnings.simplefilter("ignore")
    makers = (loss_cases, object_cases, function_cases, linear_cases, training_cases)
    found = {}
    for kind, name, call in itertools.chain(*(make() for make in makers)):
        found[name] = kind, dict(flat(attempt(call)))
    with open(path, "wb") as file:
        pickle.dump(found, file)


if __name__ == "__main__":
    record(sys.argv[1])
