"""Hill climbing for the largest errors: of each loss, option and dtype, by inputs and options.

Rows are changed a little (by units in the last place, by factors, by new numbers) and kept where
tests/screen.py sees an error that is not smaller. What it finds is judged by tests/exact.py alone.

    python -m tests.search --seconds 3600      the table of docs/numerics.md, as markdown
"""

import argparse
import time
from typing import NamedTuple

import numpy as np

import crossent

from . import exact, oracle, screen

ROWS = 64
LIMITS = {"loss": 2.0}  # all else: 4


class Case(NamedTuple):
    loss: str
    target: str  # "labels", "soft" of the logits' dtype, "float64", or "" without a target
    options: tuple
    quantities: tuple

    @property
    def name(self):
        return " ".join([self.loss, self.target, *self.options]).replace("  ", " ")


# ---- options -------------------------------------------------------------------------------------


def gamma(rng, classes):
    return float(rng.choice([0.1, 0.5, 1, 2, 5, rng.uniform(0, 5)]))


SHARED = {
    "class_weight": lambda rng, k: rng.lognormal(0, 1, k),
    "label_smoothing": lambda rng, k: float(rng.choice([0.1, 0.9, 1, rng.random()])),
    "smoothing": lambda rng, k: "off_target",
    "smoothing_weight": lambda rng, k: "target",
    "focal_gamma": gamma,
    "focal_alpha": lambda rng, k: rng.lognormal(0, 1, k),
    "z_loss": lambda rng, k: float(10 ** rng.uniform(-4, 0)),
    "softcap": lambda rng, k: float(rng.choice([30, 50, rng.uniform(1, 100)])),
    "temperature": lambda rng, k: float(rng.choice([0.5, 2, 8])),  # others: docs/numerics.md
    "normalize_rows": lambda rng, k: True,
    "reduction": lambda rng, k: "mean",
    "upstream": lambda rng, k: float(rng.lognormal()),
}
BY_ROW = ("sample_weight", "upstream", "pos_weight")

SECOND = ("exact", "residual", "product")
SOFTMAX = {
    (): (*SECOND, "logsumexp", "entropy"),
    ("class_weight",): SECOND,
    ("sample_weight",): SECOND,
    ("upstream",): SECOND,
    ("reduction",): (),
    ("label_smoothing",): SECOND,
    ("label_smoothing", "smoothing"): (),
    ("label_smoothing", "smoothing_weight", "class_weight"): (),
    ("focal_gamma",): (),
    ("focal_alpha",): (),
    ("z_loss",): ("product",),
    ("softcap",): (),
    ("temperature",): SECOND,
    ("class_weight", "sample_weight", "upstream", "label_smoothing", "reduction"): (),
    ("class_weight", "sample_weight", "upstream", "label_smoothing", "focal_gamma", "focal_alpha",
     "z_loss", "softcap", "temperature"): (),
}  # fmt: skip
BINARY = {
    (): (),
    ("pos_weight",): (),
    ("sample_weight",): (),
    ("upstream",): (),
    ("label_smoothing",): (),
    ("focal_gamma",): (),
    ("pos_weight", "sample_weight", "upstream", "label_smoothing", "focal_alpha"): (),
    ("pos_weight", "sample_weight", "upstream", "label_smoothing", "focal_alpha",
     "focal_gamma"): (),
}  # fmt: skip
CATEGORICAL = {
    (): (),
    ("normalize_rows",): (),
    ("class_weight",): (),
    ("sample_weight",): (),
    ("label_smoothing",): (),
    ("class_weight", "sample_weight", "upstream", "label_smoothing", "smoothing"): (),
    ("class_weight", "sample_weight", "label_smoothing", "normalize_rows"): (),
}
FUNCTIONS = ("softmax", "log_softmax", "logsumexp", "sigmoid", "softplus", "log_sigmoid")


def listed():
    for loss, sets in (("softmax", SOFTMAX), ("categorical", CATEGORICAL)):
        for target in ("labels", "soft"):
            for options, more in sets.items():
                aux = (
                    ("probability",) if (loss, target, options) == ("softmax", "labels", ()) else ()
                )
                if (loss, target) == ("softmax", "soft") and "smoothing_weight" not in options:
                    aux += ("target_grad",)
                yield Case(loss, target, options, ("loss", "grad", *more, *aux))
    yield Case("softmax", "float64", (), ("loss", "grad"))
    for loss, second in (("sigmoid", SECOND), ("binary", ())):
        for options, more in BINARY.items():
            more = () if "focal_gamma" in options else second
            yield Case(loss, "soft", options, ("loss", "grad", *more))
    yield Case("functions", "", (), FUNCTIONS)


CASES = list(listed())


# ---- inputs --------------------------------------------------------------------------------------


def logits(rng, shape, dtype):
    """Rows of one scale each, some with a leader, some with a straggler, some with sum e^x = 1."""
    x = rng.standard_normal(shape) * 10 ** rng.uniform(-2, 1.5, (shape[0], 1))
    far = rng.uniform(0, 80 if dtype == np.float32 else 690, shape[0])
    kind = rng.integers(6, size=shape[0])
    x[:, 0] += np.where(kind == 0, far, np.where(kind == 1, -far, 0))
    x[kind == 2] -= np.log(np.exp(x[kind == 2]).sum(1, keepdims=True))
    x[kind == 3] = x[kind == 3].round(1)
    x[kind == 4] = 10.0 ** rng.uniform(-18, 0, x[kind == 4].shape)
    return x.astype(dtype)


def probabilities(rng, shape, dtype):
    p = np.exp(oracle.log_softmax(logits(rng, shape, np.float64) / 3))
    close = 1 - 2.0 ** rng.uniform(-23 if dtype == np.float32 else -52, 0, shape)
    p = np.where(rng.random(shape) < 0.3, close, p)
    return within(p.astype(dtype))


def within(p):
    kind = np.finfo(p.dtype)
    return np.clip(p, kind.tiny, 1 - kind.epsneg)


def by_row(case):
    """A mean has one upstream for all rows."""
    return [name for name in BY_ROW if name != "upstream" or "reduction" not in case.options]


def drawn_options(rng, case, classes):
    names = [name for name in case.options if name not in by_row(case)]
    shared = {name: SHARED[name](rng, classes) for name in names}
    if "focal_alpha" in shared and case.loss in ("sigmoid", "binary"):
        shared["focal_alpha"] = float(rng.random())
    return shared


def drawn(rng, case, classes, dtype):
    """New rows: x, target, and the options that each row has for itself."""
    shape = (ROWS, classes)
    from_probabilities = case.loss in ("categorical", "binary")
    rows = {"x": (probabilities if from_probabilities else logits)(rng, shape, dtype)}
    if case.target == "labels":
        rows["target"] = rng.integers(classes, size=ROWS)
    elif case.loss in ("sigmoid", "binary"):
        t = rng.random(shape)
        t = np.where(rng.random(shape) < 0.3, rng.integers(0, 2, shape), t)
        rows["target"] = t.astype(dtype)
    elif case.target:
        t = rng.dirichlet(np.ones(classes) * 10 ** rng.uniform(-1, 1), ROWS)
        t[:, 1:][rng.random((ROWS, classes - 1)) < 0.1] = 0
        rows["target"] = t.astype(np.float64 if case.target == "float64" else dtype)
    for name in sorted(set(by_row(case)) & set(case.options)):
        rows[name] = rng.lognormal(0, 1, shape if case.loss in ("sigmoid", "binary") else ROWS)
    if "product" in case.quantities:
        rows["vector"] = rng.standard_normal(shape).astype(dtype)
    return rows


def changed(rng, rows, new, case):
    """One number of each row or so: times 1 +- 2^-53 to 2, or that of `new`."""
    entries = sum(a[0].size for a in rows.values())
    out = {}
    for name, a in rows.items():
        b = new[name]
        if a.dtype.kind == "f":
            factor = 1 + rng.choice([-1, 1], a.shape) * 2.0 ** rng.uniform(-53, 1, a.shape)
            b = np.where(rng.random(a.shape) < 0.3, b, a * factor)
        b = np.where(rng.random(a.shape) < 1.5 / entries, b, a).astype(a.dtype)
        if name == "x" and case.loss in ("categorical", "binary"):
            b = within(b)
        if name == "target" and a.dtype.kind == "f":
            b = np.minimum(np.abs(b), 1)
            if case.loss in ("softmax", "categorical"):
                b = np.where(b.sum(1, keepdims=True) == 0, a, b)
        out[name] = np.abs(b) if name in ("sample_weight", "pos_weight") else b
    return out


# ---- one evaluation ------------------------------------------------------------------------------

LOSSES = {
    "softmax": (crossent.SoftmaxCrossEntropy, exact.softmax_cross_entropy, screen.softmax),
    "sigmoid": (crossent.SigmoidCrossEntropy, exact.sigmoid_cross_entropy, screen.sigmoid),
    "binary": (crossent.BinaryCrossEntropy, exact.binary_cross_entropy, screen.of_probabilities),
    "categorical": (
        crossent.CategoricalCrossEntropy,
        exact.categorical_cross_entropy,
        screen.categorical,
    ),
    "functions": (None, None, screen.functions),
}
RULES = ("exact", "residual")
AUX = ("logsumexp", "entropy", "probability", "target_grad")


def split(rows, shared):
    """Options of the class, and of the call."""
    call = {name: rows[name] for name in ("sample_weight", "upstream") if name in rows}
    options = {"reduction": "none"} | shared
    if "upstream" in shared:
        call["upstream"] = options.pop("upstream")
    if "pos_weight" in rows:
        options["pos_weight"] = rows["pos_weight"]
    return options, call


def computed(case, quantity, rows, shared):
    """What crossent says, {quantity: array}: the one asked for and what comes with it."""
    x, options = rows["x"], split(rows, shared)
    if case.loss == "functions":
        return {quantity: getattr(crossent, quantity)(x)}
    loss, call = LOSSES[case.loss][0](**options[0]), options[1]
    if quantity in RULES:
        return {quantity: loss.grad_and_hess(x, rows["target"], rule=quantity, **call)[1]}
    if quantity == "product":
        return {quantity: loss.hessian_vector(x, rows["target"], rows["vector"], **call)}
    aux = [name for name in AUX if name == quantity]
    got = loss.value_and_grad(x, rows["target"], **call, **({"return_aux": aux} if aux else {}))
    found = {"grad": got[1]} | ({} if options[0]["reduction"] == "mean" else {"loss": got[0]})
    return found | ({quantity: got[2][quantity]} if aux else {})


def screened(case, quantity, rows, shared):
    """{quantity: the largest error of each row}, in ulp."""
    got, x = computed(case, quantity, rows, shared), rows["x"]
    binary = case.loss in ("sigmoid", "binary")
    column = (lambda a: np.asarray(a)) if binary else (lambda a: np.asarray(a)[:, None])
    s, u = (column(rows.get(name, np.ones(len(x)))) for name in ("sample_weight", "upstream"))
    if binary:
        s, u = (np.broadcast_to(a.reshape(a.shape[0], -1), x.shape) for a in (s, u))
    t, o = rows.get("target"), dict(shared)
    if "pos_weight" in rows:
        o["pos_weight"] = rows["pos_weight"]
    if case.target == "labels":
        t = np.eye(x.shape[1])[t]
    if o.get("reduction") == "mean":
        w = np.asarray(o.get("class_weight", 1), screen.LD) * t
        u = u * o.get("upstream", 1) / (screen.LD(1) * s * screen.sums(w) / screen.sums(t)).sum()
    with np.errstate(all="ignore"):
        vector = rows.get("vector") if quantity == "product" else None
        want = LOSSES[case.loss][2](x, t, s.astype(screen.LD), u, vector, o)
    if case.target == "labels" and "p" in want:
        p = np.take_along_axis(want["p"], rows["target"][:, None], 1)[:, 0]
        want["probability"] = screen.positive(p)
    errors = {}
    for name, values in got.items():
        error = oracle.ulp_error(values, want[name][0], x.dtype, want[name][1])
        error = np.minimum(np.nan_to_num(error, nan=0), 1e300).astype(float)
        errors[name] = error.reshape(len(x), -1).max(1)
    return errors


def judged(case, quantity, rows, shared):
    """The largest error, in ulp, by tests/exact.py."""
    got, x = computed(case, quantity, rows, shared)[quantity], rows["x"]
    if case.loss == "functions":
        function = getattr(exact, quantity)
        if quantity == "logsumexp":
            return max(float(function(a).ulps(b, x.dtype)) for a, b in zip(x, got, strict=True))
        return max(function(a).ulps(b, x.dtype).max() for a, b in zip(x, got, strict=True))
    options, call = split(rows, shared)
    options |= call
    if quantity in RULES:
        options["rule"] = quantity
    if quantity == "product":
        options["vector"] = rows["vector"]
    truths = LOSSES[case.loss][1](x, rows["target"], **options)
    truth = getattr(truths, "hess" if quantity in RULES else quantity)
    return float(truth.ulps(got, x.dtype).max(initial=0))


# ---- the search ----------------------------------------------------------------------------------


class Found(NamedTuple):
    ulps: float
    rows: dict
    shared: dict

    def __str__(self):
        rows = {n: a[0].tolist() if len(a) == 1 else "..." for n, a in self.rows.items()}
        shared = {n: v.tolist() if isinstance(v, np.ndarray) else v for n, v in self.shared.items()}
        return ", ".join(f"{name} = {value}" for name, value in (rows | shared).items())


def picked(rows, i, shared):
    """Row i alone, as long as the others do not matter."""
    if shared.get("reduction") == "mean":
        return rows
    return {name: a[i : i + 1] for name, a in rows.items()}


def climb(rng, case, quantity, dtype, generations, start=None):
    """One hill; (error by the screen, rows, shared options) of its top."""
    if start is None or rng.random() < 0.5:
        classes = int(rng.choice([2, 2, 3, 3, 5, 17, 70]))
        shared = drawn_options(rng, case, classes)
        rows = drawn(rng, case, classes, dtype)
    else:
        _, rows, shared = start
        classes = rows["x"].shape[1]
        if len(rows["x"]) == 1:
            rows = {name: np.repeat(a, ROWS, 0) for name, a in rows.items()}
    score = screened(case, quantity, rows, shared)[quantity]
    for _ in range(generations):
        trial = changed(rng, rows, drawn(rng, case, classes, dtype), case)
        error = screened(case, quantity, trial, shared)[quantity]
        better = (error >= score) & np.isfinite(error)
        if shared.get("reduction") == "mean":
            better[:] = error.max() >= score.max()
        for name, a in rows.items():
            rows[name] = np.where(better.reshape(-1, *[1] * (a.ndim - 1)), trial[name], a)
        score = np.where(better, error, score)
    i = int(score.argmax())
    return score[i], picked(rows, i, shared), shared


def search(case, quantity, dtype, seed, seconds=None, hills=4, generations=40):
    """The worst found: on `hills` hills, or on as many as there is time for."""
    rng = np.random.default_rng([seed, CASES.index(case), case.quantities.index(quantity)])
    best, found, start, hill = None, None, time.monotonic(), 0
    while hill < hills if seconds is None else not hill or time.monotonic() < start + seconds:
        top = climb(rng, case, quantity, dtype, generations, best)
        if best is None or top[0] > best[0]:
            error = judged(case, quantity, top[1], top[2])
            if found is None or error > found.ulps:
                used = {n: a for n, a in top[1].items() if n != "vector" or quantity == "product"}
                best, found = top, Found(min(error, 1e300), used, top[2])
        hill += 1
    return found


def limit(quantity):
    return LIMITS.get(quantity, 4.0)


def searches(case):
    """The quantities of a case; of a mean those of rows."""
    return [q for q in case.quantities if q != "loss" or "reduction" not in case.options]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=3600, help="for all cases together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", default="", help="cases whose name holds this")
    arguments = parser.parse_args()
    cases = [case for case in CASES if arguments.only in case.name]
    number = 2 * sum(len(searches(case)) for case in cases)
    print(f"Instruction set {crossent.isa()}, seed {arguments.seed}, "
          f"{arguments.seconds / number:.1f} seconds a line.\n")  # fmt: skip
    print(
        "| case | of | dtype | largest seen, ulp | limit | reached by |\n|---|---|---|---|---|---|"
    )
    for case in cases:
        for quantity in searches(case):
            for dtype in (np.float32, np.float64):
                found = search(case, quantity, dtype, arguments.seed, arguments.seconds / number)
                mark = "**" if found.ulps > limit(quantity) else ""
                print(f"| {case.name} | {quantity} | {np.dtype(dtype).name} | "
                      f"{mark}{found.ulps:.3g}{mark} | {limit(quantity):g} | `{found}` |",
                      flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
