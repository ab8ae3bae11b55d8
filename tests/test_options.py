"""Every option together with every other, against a slow reference (reference_options.py).

Cases are drawn from the full product of the options, the same ones unless --seed says otherwise; a
test of its own proves that every pair of values that can be combined is among them.
"""

import itertools

import numpy as np
import pytest

import crossent

from . import everywhere
from . import reference_options as reference

PRODUCT = {
    "target": ("labels", "one-hot", "soft", "soft of any sum"),
    "classes": (3, 10, 70, 4100),
    "dtype": ("float32", "float64"),
    "axis": (0, 1, 2),
    "layout": ("contiguous", "strided"),
    "logits": ("as they are", "temperature", "softcap", "both"),
    "class_weight": (False, True),
    "sample_weight": (False, True),
    "ignore": ("none", "one", "several"),
    "mask": ("none", "one", "one a row"),
    "smoothing": (
        "none",
        "uniform",
        "off_target",
        "none by target",
        "uniform by target",
        "off_target by target",
    ),
    "focal": ("none", "gamma", "alpha", "both"),
    "z_loss": (0.0, 0.01),
    "reduction": ("mean", "sum", "none"),
    "normalizer": (None, 7.5, "valid", "weight", "batch"),
    "upstream": ("none", "scalar", "one a row"),
}


def possible(case):
    """Whether the options of a case, all or some, may be combined."""
    return not (
        (case.get("target", "labels") != "labels" and case.get("ignore", "none") != "none")
        or (case.get("normalizer") is not None and case.get("reduction", "mean") != "mean")
        or (case.get("upstream") == "one a row" and case.get("reduction", "none") != "none")
        or (case.get("upstream") == "one a row" and case.get("normalizer") is not None)
    )


def draw_cases(seed, count, **wanted):
    """Cases drawn from the product, or from the wanted values of some options."""
    rng, product = np.random.default_rng(seed), PRODUCT | wanted
    while count:
        case = {name: values[rng.integers(len(values))] for name, values in product.items()}
        if possible(case):
            yield case
            count -= 1


def pairs(case):
    return set(itertools.combinations(case.items(), 2))


def all_pairs():
    for names in itertools.combinations(PRODUCT, 2):
        for values in itertools.product(*(PRODUCT[name] for name in names)):
            if possible(pair := dict(zip(names, values, strict=True))):
                yield tuple(pair.items())


def cover_pairs(seed, count):
    """`count` cases, and as many of the next ones as it takes to have each pair of values."""
    cases, missing = [], set(all_pairs())
    for case in draw_cases(seed, 10**6):
        if len(cases) < count or pairs(case) & missing:
            cases.append(case)
            missing -= pairs(case)
        if len(cases) >= count and not missing:
            return cases


COUNT = 500
every_case = some_cases = pytest.mark.cases


def pytest_generate_tests(metafunc):
    """`every_case` and `some_cases(count, **wanted)`; a case's number is its name."""
    seed = metafunc.config.getoption("--seed")
    for mark in metafunc.definition.iter_markers("cases"):
        some = draw_cases(seed, *mark.args, **mark.kwargs) if mark.args else None
        cases = [c | {"number": i} for i, c in enumerate(some or cover_pairs(seed, COUNT))]
        metafunc.parametrize("case", cases, ids=range(len(cases)))


def test_all_pairs_of_values_that_can_be_combined_are_among_the_cases(request):
    cases = cover_pairs(request.config.getoption("--seed"), COUNT)
    assert len(cases) < 1.2 * COUNT
    for (a, first), (b, second) in itertools.combinations(PRODUCT.items(), 2):
        wanted = {(x, y) for x, y in itertools.product(first, second) if possible({a: x, b: y})}
        assert wanted <= {(case[a], case[b]) for case in cases}


@pytest.fixture
def problem(case, request):
    return make_problem(case, request.config.getoption("--seed"))


def make_problem(case, seed=0, rows=None):
    """Arguments for a case: (logits, target, options of the class, options of the call).

    Rows that take no part hold NaN. The first row takes part in any case.
    """
    rng = np.random.default_rng([seed, case["number"]])
    n, axis = case["classes"], case["axis"]
    rows = rows or ((2, 3) if n < 1000 else (1, 2))

    def place(array):
        """The class axis where it belongs, in memory or by its strides."""
        moved = np.moveaxis(array, -1, axis)
        return moved if case["layout"] == "strided" else np.ascontiguousarray(moved)

    mask = np.ones((*rows, n), bool)
    if case["mask"] == "one":
        mask &= rng.random(n) < 0.7
    elif case["mask"] == "one a row":
        mask &= rng.random(mask.shape) < 0.7
    mask[..., rng.integers(n)] = True
    labels = np.where(mask, rng.random(mask.shape), -1).argmax(-1)
    options, call = {"axis": axis, "reduction": case["reduction"]}, {}
    if case["mask"] == "one":
        options["class_mask"] = mask[0, 0]
    elif case["mask"] == "one a row":
        call["class_mask"] = np.moveaxis(mask, -1, axis)
    if case["class_weight"]:
        options["class_weight"] = rng.uniform(0.2, 3, n)
    weight = np.ones(rows)
    if case["sample_weight"]:
        weight = call["sample_weight"] = rng.choice([0, 0.3, 1, 1.7], rows)
        weight[0, 0] = 1
    left_out = weight == 0
    if case["ignore"] != "none":
        second = (labels[0, 0] + 1) % n
        options["ignore_index"] = -100 if case["ignore"] == "one" else [-100, second]
        labels[-1, -1] = -100
        left_out |= np.isin(labels, options["ignore_index"])
    if case["smoothing"].split()[0] != "none":
        options["label_smoothing"] = rng.choice([0.1, 0.5])
        options["smoothing"] = case["smoothing"].split()[0]
    if "by target" in case["smoothing"]:
        options["smoothing_weight"] = "target"
    if case["focal"] in ("gamma", "both"):
        options["focal_gamma"] = rng.choice([0.5, 1, 2, 5])
    if case["focal"] in ("alpha", "both"):
        options["focal_alpha"] = 0.25 if rng.random() < 0.5 else rng.uniform(0.2, 2, n)
    if case["logits"] in ("temperature", "both"):
        options["temperature"] = rng.choice([0.7, 3])
    if case["logits"] in ("softcap", "both"):
        options["softcap"] = 6.0
    if case["z_loss"]:
        options["z_loss"] = case["z_loss"]
    if case["normalizer"] is not None:
        options["normalizer"] = case["normalizer"]
    if case["upstream"] == "scalar":
        call["upstream"] = -2.5
    elif case["upstream"] == "one a row":
        call["upstream"] = rng.uniform(-2, 2, rows)
    if case["target"] == "labels":
        target = labels.astype(rng.choice(["i2", "i4", "i8"]))
    else:
        target = place(soft_target(case["target"], labels, mask, rng))
    z = draw_logits(labels, n, rng)
    z[left_out] = np.nan
    z[~mask] = np.nan
    return place(z.astype(case["dtype"])), target, options, call


def draw_logits(labels, n, rng):
    """Flat, spread, rising from block to block of a long row, sure of the label, or far from 0."""
    z = rng.choice([0.5, 4]) * rng.standard_normal((*labels.shape, n))
    kind = rng.integers(5)
    if kind == 0:
        z = np.sort(z, -1)
    elif kind == 1:
        z += 30 * np.eye(n)[labels % n]
    elif kind == 2:
        z += 3000
    return z


def soft_target(kind, labels, mask, rng):
    """Probabilities of the classes that the mask keeps, some of them 0."""
    if kind == "one-hot":
        t = np.eye(mask.shape[-1])[labels]
    else:
        t = rng.exponential(size=mask.shape) * (mask & (rng.random(mask.shape) < 0.8))
        t[np.arange(len(labels))[:, None], np.arange(labels.shape[1]), labels] += 1
        t /= t.sum(-1, keepdims=True)
    if kind == "soft of any sum":
        t *= rng.uniform(0.2, 3, (*labels.shape, 1))
        t[0, 1] = 0
    return t.astype(rng.choice(["f4", "f8"]))


def fused(problem, **more):
    z, target, options, call = problem
    return crossent.SoftmaxCrossEntropy(**options).value_and_grad(z, target, **call, **more)


def truth(problem, **more):
    z, target, options, call = problem
    return reference.softmax_cross_entropy(z, target, **options, **call, **more)


def tolerance(problem):
    """How far a result may be off, relative to its terms: 6 eps.

    Temperature and softcap round the logits x, which moves probabilities by |x| roundings.
    (1 - p)^gamma multiplies relative errors by gamma, and those of log (1 - p) are of its size.
    """
    z, _, options, _ = problem
    warm, gamma = min(1, options.get("temperature", 1)), options.get("focal_gamma", 0)
    rounded = {"temperature", "softcap"} & options.keys()
    size = float(np.nanmax(np.abs(z))) / warm if rounded else 0
    spread = float(np.nanmax(z) - np.nanmin(z)) / warm
    return 6 * np.finfo(z.dtype).eps * ((1 + size) * (1 + gamma) + gamma * spread)


def assert_within(got, want, terms, limit, what):
    """|got - want| <= limit * terms, but for what underflows."""
    smallest = 8 * np.finfo(np.asarray(got).dtype).tiny
    with np.errstate(invalid="ignore"):
        error = np.abs(np.asarray(got, reference.LD) - want)
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    bad = ~(same | (error <= limit * terms + smallest))
    assert not bad.any(), f"{what}{np.argwhere(bad)[:3].tolist()}: got {got}, want {want}"


def same_bits(got, want):
    return all(
        np.asarray(g).tobytes() == np.asarray(w).tobytes() for g, w in zip(got, want, strict=True)
    )


# ---- every case -------------------------------------------------------------------------------


@every_case
def test_loss_and_gradient(case, problem):
    """Those of the reference; the same bits in every way of asking; arguments are left alone."""
    z, target, options, call = problem
    before = [np.array(a) for a in (z, target, *options.values(), *call.values())]
    loss, grad = fused(problem)
    want, limit = truth(problem), tolerance(problem)
    assert_within(loss, want.loss, want.loss_terms, limit, "loss")
    assert_within(grad, want.grad, want.grad_terms, limit, "grad")

    xent = crossent.SoftmaxCrossEntropy(**options)
    forward_options = {name: value for name, value in call.items() if name != "upstream"}
    assert same_bits([xent.forward(z, target, **forward_options)], [loss])
    scaled = xent.backward(call.get("upstream", 1))
    assert_within(scaled, want.grad, want.grad_terms, limit, "scaled gradient")
    if "upstream" not in call:
        assert same_bits([scaled, xent.grad(z, target, **call)], [grad, grad])
    function = crossent.softmax_cross_entropy_value_and_grad
    assert same_bits(function(z, target, **options, **call), [loss, grad])
    assert same_bits([crossent.softmax_cross_entropy(z, target, **options, **call)], [loss])
    assert same_bits((z, target, *options.values(), *call.values()), before)
    assert same_bits([*fused(problem, out=z), z], [loss, grad, grad])


# ---- some cases -------------------------------------------------------------------------------


@some_cases(60)
def test_all_instruction_sets_give_the_same_bits(case, problem):
    everywhere.call(fused, problem)


LARGE = {3: (120, 100), 10: (50, 70), 70: (20, 30), 4100: (2, 5)}


@some_cases(40)
def test_all_numbers_of_threads_give_the_same_bits(case):
    z, target, options, call = make_problem(case, rows=LARGE[case["classes"]])
    assert z.size > 2**15
    want = fused((z, target, options | {"threads": 1}, call))
    for threads in (2, 3):
        assert same_bits(fused((z, target, options | {"threads": threads}, call)), want)


@some_cases(100)
def test_accumulate_adds_to_out(case, problem, rng):
    z = problem[0]
    loss, grad = fused(problem)
    out = rng.standard_normal(z.shape).astype(z.dtype)
    want = out + grad
    got, same = fused(problem, out=out, accumulate=True)
    assert same is out
    assert same_bits([got, out], [loss, want])


def central_differences(function, x, where, rng, count=6, step=1e-5):
    """Some indices, of those asked for; d function / d x there; and how far that may be off.

    A step h leaves h^2 times third derivatives, and eps / h times the function.
    """
    at = rng.permutation(np.argwhere(where))[:count]
    slopes, largest = [], 0
    for index in map(tuple, at):
        kept, sides = x[index], []
        for x[index] in (kept + step, kept - step):
            sides.append(function())
        x[index] = kept
        slopes.append((sides[0] - sides[1]) / (2 * step))
        largest = max(largest, *np.abs(sides))
    atol = 1e-7 * np.abs(slopes).max(initial=1) + 1e-10 * largest
    return tuple(at.T), np.array(slopes), atol


@some_cases(100, dtype=["float64"], classes=[3, 10, 70])
def test_the_gradient_is_the_slope_of_the_loss(case, problem, rng):
    z, target, options, call = problem
    upstream = call.pop("upstream", 1)
    xent = crossent.SoftmaxCrossEntropy(**options)
    _, grad = xent.value_and_grad(z, target, upstream=upstream, **call)
    at, slopes, atol = central_differences(
        lambda: np.sum(upstream * xent.forward(z, target, **call)), z, ~np.isnan(z), rng
    )
    np.testing.assert_allclose(grad[at], slopes, 0, atol)


@some_cases(120, target=["labels"], ignore=["none"])
def test_indices_and_one_hot_give_the_same_number(case, problem):
    z, target, options, call = problem
    soft = np.moveaxis(np.eye(case["classes"])[target], -1, case["axis"])
    got, want, limit = fused((z, soft, options, call)), truth(problem), tolerance(problem)
    index = fused(problem)
    assert_within(got[0], index[0], want.loss_terms, 2 * limit, "loss")
    assert_within(got[1], index[1], want.grad_terms, 2 * limit, "grad")


AUX = ("logsumexp", "probability", "entropy", "argmax", "correct")


@some_cases(200)
def test_statistics_of_the_same_pass(case, problem):
    z, target, options, call = problem
    xent = crossent.SoftmaxCrossEntropy(**options)
    names = AUX if case["target"] == "labels" else ("logsumexp", "entropy", "argmax")
    loss, grad, aux = xent.value_and_grad(z, target, return_aux=names, **call)
    assert same_bits([loss, grad], fused(problem))
    assert same_bits(xent.forward(z, target, return_aux=names, **call)[1].values(), aux.values())
    want, limit = truth(problem), tolerance(problem)
    size = 1 + np.nanmax(np.abs(z)) / min(1, options.get("temperature", 1))
    for name in names:
        right = getattr(want, name)
        if right.dtype.kind == "f":
            terms = right if name == "probability" else size
            assert aux[name].dtype == z.dtype
            assert_within(aux[name], right, terms, limit, name)
        else:
            np.testing.assert_array_equal(aux[name], right, name)
    assert aux["count"] == want.count
    np.testing.assert_allclose(aux["weight"], float(want.weight), 1e-14)


SOFT = ["one-hot", "soft", "soft of any sum"]
PER_CLASS = ["none", "uniform", "off_target"]


@some_cases(120, target=SOFT, smoothing=PER_CLASS)
def test_gradient_with_respect_to_the_target(case, problem):
    z, target, options, call = problem
    xent = crossent.SoftmaxCrossEntropy(**options)
    *_, aux = xent.value_and_grad(z, target, return_aux="target_grad", **call)
    want = truth(problem)
    assert aux["target_grad"].dtype == z.dtype
    assert_within(
        aux["target_grad"], want.target_grad, want.target_grad_terms, tolerance(problem), "t"
    )


@some_cases(
    60, target=SOFT, smoothing=PER_CLASS, dtype=["float64"], classes=[3, 10], normalizer=[None, 7.5]
)
def test_the_gradient_with_respect_to_the_target_is_a_slope(case, problem, rng):
    """With the divisor held: it is that of the targets as they are."""
    z, target, options, call = problem
    target = target.astype("f8")
    options["reduction"] = "none"
    options.pop("normalizer", None)
    upstream = call.pop("upstream", 1)
    xent = crossent.SoftmaxCrossEntropy(**options)
    _, _, aux = xent.value_and_grad(z, target, return_aux="target_grad", upstream=upstream, **call)
    at, slopes, atol = central_differences(
        lambda: np.sum(upstream * xent.forward(z, target, **call)), target, ~np.isnan(z), rng, 12
    )
    np.testing.assert_allclose(aux["target_grad"][at], slopes, 0, atol)


# ---- second order -----------------------------------------------------------------------------

RULES = ("exact", "upper", "friedman", "residual")
QUADRATIC = {"logits": ["as they are", "temperature"], "focal": ["none"], "z_loss": [0.0]}


@pytest.mark.parametrize("rule", RULES)
@some_cases(50, **QUADRATIC)
def test_diagonal_of_the_hessian(case, problem, rule):
    z, target, options, call = problem
    grad, hess = crossent.SoftmaxCrossEntropy(**options).grad_and_hess(z, target, rule=rule, **call)
    want, limit = truth(problem, rule=rule), tolerance(problem)
    assert hess.dtype == z.dtype
    assert same_bits([grad], fused(problem)[1:])
    assert_within(hess, want.hess, want.hess_terms, limit, "hess")


@some_cases(20, dtype=["float64"], classes=[3, 10], **QUADRATIC)
def test_the_exact_diagonal_is_the_slope_of_the_gradient(case, problem, rng):
    z, target, options, call = problem
    xent = crossent.SoftmaxCrossEntropy(**options)
    _, hess = xent.grad_and_hess(z, target, **call)
    for index in map(tuple, rng.permutation(np.argwhere(~np.isnan(z)))[:6]):
        kept, sides = z[index], []
        for z[index] in (kept + 1e-5, kept - 1e-5):
            sides.append(xent.value_and_grad(z, target, **call)[1][index])
        z[index] = kept
        np.testing.assert_allclose(hess[index], (sides[0] - sides[1]) / 2e-5, 0, 1e-7)


CURVED = {"logits": ["as they are", "temperature"], "focal": ["none"]}


def vector_of(problem, rng):
    """Numbers with an offset; NaN where nothing may be read."""
    z = problem[0]
    v = rng.standard_normal(z.shape) + rng.choice([0, 100])
    return np.where(np.isnan(z), np.nan, v).astype(z.dtype)


@some_cases(120, **CURVED)
def test_hessian_vector_product(case, problem, rng):
    z, target, options, call = problem
    v, xent = vector_of(problem, rng), crossent.SoftmaxCrossEntropy(**options)
    product = xent.hessian_vector(z, target, v, **call)
    want = truth(problem, vector=v)
    assert product.dtype == z.dtype
    assert_within(product, want.product, want.product_terms, tolerance(problem), "product")
    for out in (z.copy(), np.array(v, copy=True)):
        same = xent.hessian_vector(z, target, v, out=out, **call)
        assert same is out
        assert same_bits([out], [product])
    again = xent.hessian_vector(z, target, v, out=v, **call)
    assert same_bits([again, v], [product, product])
    assert same_bits([xent.hessian_vector(z, target, vector_of(problem, rng), out=z, **call)], [z])


@some_cases(20, **CURVED)
def test_hessian_vector_product_of_all_instruction_sets(case, problem, rng):
    z, target, options, call = problem
    v, xent = vector_of(problem, rng), crossent.SoftmaxCrossEntropy(**options)
    everywhere.call(xent.hessian_vector, z, target, v, **call)


@some_cases(40, dtype=["float64"], classes=[3, 10, 70], **CURVED)
def test_hessian_vector_product_is_the_slope_of_the_gradient(case, problem, rng):
    z, target, options, call = problem
    v, xent, step = vector_of(problem, rng), crossent.SoftmaxCrossEntropy(**options), 1e-5
    v -= np.nanmean(v)
    sides = [xent.value_and_grad(z + h * v, target, **call)[1] for h in (step, -step)]
    slope = (sides[0] - sides[1]) / (2 * step)
    size = np.abs(sides[0]).max(initial=1)
    np.testing.assert_allclose(xent.hessian_vector(z, target, v, **call), slope, 0, 1e-7 * size)
