"""The binary losses with all their options, from logits and probabilities, against a reference.

The reference is the definition, element by element, in a wider floating-point type.
"""

import itertools
import pickle
import re

import mpmath
import numpy as np
import pytest

import crossent

from . import everywhere, oracle

NAN, INF = np.nan, np.inf
KINDS = ("logits", "probs")


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


def run(kind, x, t, **options):
    """Loss and gradient, and the dict of `return_aux` where it is asked for."""
    name = {"logits": "sigmoid", "probs": "binary"}[kind] + "_cross_entropy_value_and_grad"
    return getattr(crossent if "out" in options else everywhere, name)(x, t, **options)


def of_class(kind, **options):
    return {"logits": crossent.SigmoidCrossEntropy, "probs": crossent.BinaryCrossEntropy}[kind](
        **options
    )


# ---- the reference -----------------------------------------------------------------------------


def of_logits(x):
    """p, q = 1 - p, losses u and v of targets 1 and 0, and their derivatives."""
    p, q = oracle.sigmoid(x), oracle.sigmoid(-x)
    return p, q, oracle.softplus(-x), oracle.softplus(x), -q, p, p * q


def of_probs(p, clip, dtype):
    kind, one = np.dtype(dtype).type, np.ones_like(p)
    inside = np.ones_like(p)
    if clip == "keras":
        low, high = kind(1e-7), kind(1) - kind(1e-7)
        inside, p = inside * ((p >= low) & (p <= high)), np.clip(p, low, high)
    q = 1 - p
    u, v, du, dv = -np.log(p), -np.log1p(-p), -inside / p, inside / q
    if clip == "torch":
        both = np.maximum(p * q, 1e-12)
        u, v, du, dv = np.minimum(u, 100), np.minimum(v, 100), -q / both, p / both
    elif clip not in (None, "keras"):
        eps = kind(clip)
        u, du = np.where(p < eps, -np.log(eps * one), u), np.where(p < eps, 0, du)
        v, dv = np.where(q < eps, -np.log(eps * one), v), np.where(q < eps, 0, dv)
    return p, q, u, v, du, dv, one


def reference(kind, x, t, dtype, e=0.0, w=1.0, gamma=0.0, alpha=None, clip=None):
    """Losses, derivatives, the larger of the two terms whose difference they are, A + B, and how
    many times the error of u and v the focal factor e^(-gamma u) has."""
    with np.errstate(all="ignore"):
        p, q, u, v, du, dv, slope_of_p = (
            of_logits(x) if kind == "logits" else of_probs(x, clip, dtype)
        )
        y = t * (1 - x.dtype.type(e)) + x.dtype.type(e) / 2
        a, b = w * y, 1 - y
        if alpha is not None:
            a, b = a * alpha, b * (1 - x.dtype.type(alpha))
        loss = np.where(a == 0, 0, a * q**gamma * u) + np.where(b == 0, 0, b * p**gamma * v)
        if gamma and clip is None:
            less, more = gamma * q ** (gamma - 1), gamma * p ** (gamma - 1)
            down = a * (q**gamma * du - less * slope_of_p * u)
            up = b * (p**gamma * dv + more * slope_of_p * v)
        else:
            down, up = a * q**gamma * du, b * p**gamma * dv
        down, up = np.where(a == 0, 0, down), np.where(b == 0, 0, up)
        swell = 1 + gamma * np.maximum(u, v)
    return loss, up + down, np.maximum(np.abs(up), np.abs(down)), a + b, swell


def elements(kind, shape, dtype, rng, wide=1):
    """Logits or probabilities of every size, with targets 0, 1 and between."""
    if kind == "logits":
        limit = 80 if dtype == np.float32 else 700
        x = np.where(rng.random(shape) < 0.5, 3, limit / 4 * wide) * rng.standard_normal(shape)
        x = np.clip(x, -limit, limit)
    else:
        tiny = -36 if dtype == np.float32 else -300
        x = np.where(
            rng.random(shape) < 0.3, 10.0 ** rng.uniform(tiny, 0, shape), rng.random(shape)
        )
        close = 1 - 2.0 ** rng.uniform(-23 if dtype == np.float32 else -52, 0, shape)
        x = np.where(rng.random(shape) < 0.3, close, x)
    t = np.where(rng.random(shape) < 0.5, rng.integers(0, 2, shape), rng.random(shape))
    return x.astype(dtype), t.astype(dtype)


# ---- every option with every other -------------------------------------------------------------

PRODUCT = {
    "smoothing": (0.0, 0.1),
    "pos_weight": (None, "scalar", "last axis"),
    "sample_weight": (None, "elements", "rows"),
    "left out": (None, "ignored", "two ignored", "missing"),
    "focal": ((0.0, None), (2.0, None), (0.5, 0.25), (0.0, 0.75)),
    "reduction": ("mean", "sum", "none"),
    "normalizer": (None, "valid", "batch", 7.5),
    "upstream": (1.0, -0.5, "elements"),
}


def possible(case):
    return (case["normalizer"] is None or case["reduction"] == "mean") and (
        case["upstream"] != "elements" or case["reduction"] == "none"
    )


CASES = [
    case
    for values in itertools.product(*PRODUCT.values())
    if possible(case := dict(zip(PRODUCT, values, strict=True)))
]


def problem(kind, case, dtype, rng):
    """Arguments of a case, what the reference needs, and the weights of elements that take part."""
    shape = (3, 7)
    x, t = elements(kind, shape, dtype, rng, 0.1)
    gamma, alpha = case["focal"]
    options = {
        "label_smoothing": case["smoothing"],
        "focal_gamma": gamma,
        "focal_alpha": alpha,
        "reduction": case["reduction"],
        "normalizer": case["normalizer"],
        "upstream": case["upstream"],
    }
    w, s, upstream = 1.0, np.ones(shape), case["upstream"]
    if case["pos_weight"]:
        w = options["pos_weight"] = 2.5 if case["pos_weight"] == "scalar" else rng.random(7) + 0.5
    if case["sample_weight"]:
        weight = rng.choice([0, 0.3, 1, 1.7], (3, 1) if case["sample_weight"] == "rows" else shape)
        weight[-1, -1] = 1
        options["sample_weight"] = weight
        s = np.broadcast_to(weight, shape).copy()
    out = rng.random(shape) < 0.2
    out[-1, -1] = False
    if case["left out"] == "missing":
        options["nan_target"], t[out] = "missing", NAN
    elif case["left out"]:
        t[out] = -1
        options["ignore_index"] = -1
        if case["left out"] == "two ignored":
            options["ignore_index"], t[0, 0], out[0, 0] = [-1, 255], 255, True
    if case["left out"]:
        s[out] = 0
    x[s == 0] = NAN
    if case["upstream"] == "elements":
        upstream = options["upstream"] = rng.standard_normal(shape)
    given = {"e": case["smoothing"], "w": w, "gamma": gamma, "alpha": alpha}
    return x, t, options, given, s, upstream


def expected(kind, x, t, options, given, s, upstream):
    dtype = x.dtype.type
    safe = (
        oracle.widen(np.where(s == 0, dtype(0.5), x)),
        oracle.widen(np.where(s == 0, 0, t).astype(dtype)),
    )
    loss, grad, size, _, swell = reference(kind, *safe, dtype, **given)
    s = s.astype(loss.dtype)
    divisor = loss.dtype.type(1)
    if options["reduction"] == "mean":
        divisor = {None: s.sum(), "valid": (s != 0).sum(), "batch": s.size}.get(
            options["normalizer"], options["normalizer"]
        )
    loss, grad, size = (
        loss * s,
        grad * s * upstream / divisor,
        size * s * np.abs(upstream) / divisor,
    )
    loss = loss if options["reduction"] == "none" else loss.sum() / divisor
    return loss, grad, size * swell, swell


@pytest.mark.parametrize("part", range(8))
def test_every_option_with_every_other(kind, dtype, part, rng):
    for number, case in enumerate(CASES[part::8]):
        arguments = problem(kind, case, dtype, np.random.default_rng([number, part]))
        x, t, options, _, s, _ = arguments
        got_loss, got_grad = run(kind, x, t, **options)
        loss, grad, size, swell = expected(kind, *arguments)
        assert (got_grad[s == 0] == 0).all()
        if options["reduction"] == "none":
            assert (got_loss[s == 0] == 0).all()
            limit = 3 if dtype == np.float64 else 2  # focal factors round the weights
            oracle.assert_close(got_loss, loss, dtype, limit, np.abs(loss) * swell, what=case)
        else:
            np.testing.assert_allclose(
                got_loss, float(loss), 4e-7 if dtype == np.float32 else 2e-14
            )
        oracle.assert_close(got_grad, grad, dtype, 6, size, what=case)


@pytest.mark.parametrize("part", range(4))
def test_the_gradient_is_the_slope_of_the_loss(kind, part):
    for number, case in enumerate(CASES[part::20]):
        x, t, options, _, s, upstream = problem(
            kind, case, np.float64, np.random.default_rng(number)
        )
        x = np.clip(x, 0.05, 0.95) if kind == "probs" else np.clip(x, -8, 8)
        grad, step = run(kind, x, t, **options)[1], 1e-6
        call = {name: options[name] for name in ("sample_weight",) if name in options}
        given = {n: v for n, v in options.items() if n not in ("sample_weight", "upstream")}
        for at in list(np.ndindex(x.shape))[::5]:
            sides, moved = [], x.copy()
            for sign in (1, -1):
                moved[at] = x[at] + sign * step
                loss = np.asarray(of_class(kind, **given)(moved, t, **call))
                loss = np.where(s == 0, 0, loss) if loss.ndim else loss
                sides.append(np.sum(loss * upstream))
            slope = 0 if s[at] == 0 else (sides[0] - sides[1]) / (2 * step)
            np.testing.assert_allclose(grad[at], slope, 1e-6, 1e-6)


# ---- accuracy ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "clip"),
    [("logits", None), *(("probs", clip) for clip in (None, 1e-15, "torch", "keras"))],
)
@pytest.mark.parametrize("target", ["hard", "soft", "smoothed"])
def test_losses_keep_their_ulp_limits(kind, target, clip, dtype, rng):
    x, t = elements(kind, 8000, dtype, rng)
    t = t if target == "soft" else np.round(t)
    options = {"label_smoothing": 0.1} if target == "smoothed" else {}
    options |= {"clip": clip} if clip else {}
    weight = rng.random(len(x)) * 10.0 ** rng.integers(-3, 4, len(x))
    loss, grad = run(kind, x, t, sample_weight=weight, reduction="none", **options)
    given = {"e": options.get("label_smoothing", 0.0), "clip": clip}
    want, slope, size, *_ = reference(kind, oracle.widen(x), oracle.widen(t), dtype, **given)
    wide = weight.astype(want.dtype)
    oracle.assert_close(loss, want * wide, dtype, 2, what="loss")
    oracle.assert_close(grad, slope * wide, dtype, 4, size * wide, what="gradient")


def test_probabilities_at_the_ends_are_exact(dtype):
    """Subnormal p, p next to 1, and 1 - p as it is, not rounded before its logarithm."""
    kind = np.finfo(dtype)
    p = np.array([kind.smallest_subnormal, kind.tiny / 3, kind.tiny, 1 - kind.epsneg, kind.eps / 3])
    p = np.concatenate([p, [0.5, 0.70710678, 0.70710677, 1e-3]]).astype(dtype)
    for target in (0, 1):
        t = np.full(len(p), target, dtype)
        loss, grad = run("probs", p, t, reduction="none")
        want, slope, *_ = reference("probs", oracle.widen(p), oracle.widen(t), dtype)
        oracle.assert_close(loss, want, dtype, 2)
        with np.errstate(over="ignore"):
            oracle.assert_close(grad, slope, dtype, 4)


@pytest.mark.parametrize("gamma", [1e-3, 0.5, 1, 2, 5, 100, 1e6])
def test_focal_gradients_are_finite_and_right(kind, gamma, dtype, rng):
    x, t = elements(kind, 2000, dtype, rng)
    if kind == "probs":
        x = np.clip(x, 1e-6, 1 - 1e-6)
    loss, grad = run(kind, x, t, focal_gamma=gamma, reduction="none")
    assert np.isfinite(loss).all()
    assert np.isfinite(grad).all()
    if gamma > 100:
        return
    want, slope, size, *_ = reference(kind, oracle.widen(x), oracle.widen(t), dtype, gamma=gamma)
    # Below float64's least numbers the factor is 0; its relative error is gamma times that of u.
    limit = (1e-14 if dtype == np.float64 else 1e-6) * max(1, gamma)
    floor = np.finfo(dtype).tiny
    np.testing.assert_allclose(loss, want.astype(float), limit * 10, floor)
    assert (np.abs(grad - slope) <= 10 * limit * size + floor).all()


# ---- special values ----------------------------------------------------------------------------

# options, x, target, loss, gradient
TABLE = {
    "logits": [
        ({}, INF, 1, 0, 0),
        ({}, -INF, 0, 0, 0),
        ({}, INF, 0, INF, 1),
        ({}, -INF, 1, INF, -1),
        ({}, NAN, 1, NAN, NAN),
        ({}, 0.0, NAN, NAN, NAN),
        ({}, -30, 0, np.log1p(np.exp(-30)), np.exp(-30) / (1 + np.exp(-30))),
        ({}, -1000, 1, 1000, -1),
        ({}, 40, 1, 4.248354255291589e-18, -4.248354255291589e-18),
        ({}, 1.0, 2.0, 2 * np.log1p(np.exp(-1)) - np.log1p(np.exp(1)), 1 / (1 + np.exp(-1)) - 2),
        ({"ignore_index": -1}, NAN, -1, 0, 0),
        ({"nan_target": "missing"}, NAN, NAN, 0, 0),
        ({"sample_weight": 0}, NAN, 1, 0, 0),
        ({"nonfinite": "zero"}, NAN, 1, 0, 0),
        ({"nonfinite": "zero"}, -INF, 1, 0, 0),
        ({"pos_weight": 0}, -INF, 1, 0, 0),
        ({"focal_gamma": 2}, INF, 1, 0, 0),
        ({"focal_gamma": 2}, -INF, 0, 0, 0),
        ({"focal_gamma": 2}, INF, 0, INF, 1),
        ({"focal_gamma": 0.5}, -INF, 1, INF, -1),
        ({"focal_gamma": 2}, NAN, 1, NAN, NAN),
        ({"label_smoothing": 0.1}, INF, 1, INF, 0.05),
        ({"label_smoothing": 1}, 0, 1, np.log(2), 0),
    ],
    "probs": [
        ({}, 0, 1, INF, -INF),
        ({}, 1, 0, INF, INF),
        ({}, 0, 0, 0, 1),
        ({}, 1, 1, 0, -1),
        ({"clip": "torch"}, 0, 1, 100, -1e12),
        ({"clip": "torch"}, 1, 0, 100, 1e12),
        ({"clip": "torch"}, 0, 0, 0, 0),
        ({"clip": "keras"}, 0, 1, 16.11809565095832, 0),
        ({"clip": 1e-15}, 0, 1, 34.538776394910684, 0),
        ({"clip": 1e-15}, 1, 0, 34.538776394910684, 0),
        ({"clip": 1e-15}, 0, 0, 0, 1),
        ({"clip": 1e-15}, 1, 1, 0, -1),
        ({"clip": 0.25}, 0.25, 1, np.log(4), -4),
        ({"sample_weight": 0}, NAN, 1, 0, 0),
        ({"sample_weight": 0}, 7, 1, 0, 0),
        ({"ignore_index": -1}, NAN, -1, 0, 0),
        ({"nan_target": "missing"}, -3, NAN, 0, 0),
        ({}, 0.5, NAN, NAN, NAN),
        ({"focal_gamma": 2}, 1, 1, 0, 0),
        ({"focal_gamma": 2}, 0, 0, 0, 0),
        ({"focal_gamma": 2}, 0, 1, INF, -INF),
        ({"focal_gamma": 0.5}, 1, 0, INF, INF),
        ({"focal_gamma": 2, "clip": 1e-15}, 1, 1, 0, -1e-30),
        ({"label_smoothing": 0.1}, 1, 1, INF, INF),
    ],
}


@pytest.mark.parametrize(
    ("kind", "row"), [(k, r) for k, rows in TABLE.items() for r in rows], ids=str
)
def test_special_values(kind, row, dtype):
    """Alone, and among ordinary elements, whose results keep their bits."""
    options, x, t, loss, grad = row
    few = np.finfo(dtype).eps * 4
    for n in (1, 5, 64, 1100):
        xs, ts = np.full(n, 0.5, dtype), np.ones(n, dtype)
        weight = np.ones(n)
        given = {name: value for name, value in options.items() if name != "sample_weight"}
        plain = run(kind, xs, ts, reduction="none", sample_weight=weight, **given)
        at = n // 2
        xs[at], ts[at], weight[at] = x, t, options.get("sample_weight", 1)
        got = run(kind, xs, ts, reduction="none", sample_weight=weight, **given)
        np.testing.assert_allclose([got[0][at], got[1][at]], [loss, grad], 4 * few, few**4)
        for g, w in zip(got, plain, strict=True):
            assert np.delete(g, at).tobytes() == np.delete(w, at).tobytes()


def test_keras_clips_in_its_own_dtype(dtype):
    """1 - 1e-7 in float32 is 1 - 2^-23, so the two caps differ there."""
    loss, grad = run("probs", np.ones(1, dtype), np.zeros(1, int), clip="keras")
    np.testing.assert_allclose(loss, 15.942385 if dtype == np.float32 else 16.118096, 1e-6)
    assert grad[0] == 0


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("options", [{"ignore_index": 1}, {"sample_weight": 0}])
def test_nothing_takes_part(kind, reduction, options, dtype):
    x, t = np.full((2, 3), NAN, dtype), np.ones((2, 3), int)
    loss, grad = run(kind, x, t, reduction=reduction, **options)
    assert not grad.any()
    np.testing.assert_array_equal(loss, NAN if reduction == "mean" else 0)
    if reduction == "mean":
        assert run(kind, x, t, empty="zero", **options)[0] == 0
        with pytest.raises(ValueError, match="no row takes part"):
            run(kind, x, t, empty="raise", **options)


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 2, 2)])
def test_no_elements(kind, shape):
    x = np.zeros(shape)
    assert np.isnan(run(kind, x, x, pos_weight=2)[0])
    assert run(kind, x, x, reduction="sum", sample_weight=1)[0] == 0
    assert run(kind, x, x, reduction="none", focal_gamma=1)[0].shape == shape


# ---- the same bits everywhere ------------------------------------------------------------------

BUSY = {
    "label_smoothing": 0.1,
    "pos_weight": 2.5,
    "focal_alpha": 0.3,
    "ignore_index": -1,
}


def results(kind, x, t, weight, **options):
    """All results of a call that has nearly every option, as bytes."""
    found = []
    for gamma, reduction in itertools.product((0, 2), ("mean", "none")):
        given = options | {"focal_gamma": gamma, "reduction": reduction}
        found += run(kind, x, t, sample_weight=weight, return_aux="correct", **BUSY, **given)
    return [np.ascontiguousarray(f).tobytes() for f in found if not isinstance(f, dict)]


def busy_arrays(kind, dtype, rng, shape=(39, 79)):
    x, t = elements(kind, shape, dtype, rng)
    t[rng.random(shape) < 0.1] = -1
    return x, t, rng.random(shape)


def test_threads_agree(kind, dtype, rng):
    arrays = busy_arrays(kind, dtype, rng, (700, 79))
    assert results(kind, *arrays, threads=1) == results(kind, *arrays, threads=3)


LAYOUTS = {
    "F order": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, -1)[..., ::2],
    "backwards": lambda a: a[::-1, ::-1].copy()[::-1, ::-1],
    "rows apart": lambda a: np.concatenate([a, a], -1)[:, : a.shape[1]],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_agree(kind, layout, dtype, rng):
    arrays = busy_arrays(kind, dtype, rng)
    change = LAYOUTS[layout]
    want = results(kind, *arrays)
    for i in range(3):
        changed = [change(a) if i == j else a for j, a in enumerate(arrays)]
        assert results(kind, *changed) == want


def test_forward_and_object_agree_with_the_pair(kind, dtype, rng):
    x, t, weight = busy_arrays(kind, dtype, rng)
    for reduction in ("mean", "none"):
        loss = of_class(kind, reduction=reduction, **BUSY)
        value, grad = loss.value_and_grad(x, t, sample_weight=weight)
        assert np.array_equal(loss.forward(x, t, sample_weight=weight), value)
        assert np.array_equal(loss.backward(), grad)
        again = pickle.loads(pickle.dumps(loss))
        assert np.array_equal(again.value_and_grad(x, t, sample_weight=weight)[1], grad)


def test_plain_objects_give_the_plain_bits(dtype, rng):
    x, t = elements("logits", 500, dtype, rng)
    loss = crossent.SigmoidCrossEntropy(reduction="sum")
    value, grad = loss.value_and_grad(x, t)
    assert loss.forward(x, t) == value
    assert np.array_equal(loss.backward(), grad)


# ---- outputs -----------------------------------------------------------------------------------


def test_accumulate_adds_to_out(kind, dtype, rng):
    x, t, weight = busy_arrays(kind, dtype, rng)
    grad = run(kind, x, t, sample_weight=weight, reduction="sum", **BUSY)[1]
    start = rng.standard_normal(x.shape).astype(dtype)
    out = start.copy()
    got = run(kind, x, t, sample_weight=weight, reduction="sum", out=out, accumulate=True, **BUSY)[
        1
    ]
    assert got is out
    oracle.assert_close(out, oracle.widen(start) + grad, dtype, 1, np.abs(grad))
    assert np.array_equal(out[t == -1], start[t == -1])


def test_out_may_be_the_input(kind, dtype, rng):
    x, t, weight = busy_arrays(kind, dtype, rng)
    want = run(kind, x, t, sample_weight=weight, **BUSY)[1]
    assert np.array_equal(run(kind, x, t, sample_weight=weight, out=x, **BUSY)[1], want)


def test_what_return_aux_names(dtype):
    x, t = np.array([-1, 0, 2, NAN], dtype), np.array([0, 1, 1, -1])
    _, _, aux = run("logits", x, t, ignore_index=-1, return_aux=["probability", "correct"])
    np.testing.assert_allclose(aux["probability"][:3], 1 / (1 + np.exp(-x[:3])), 1e-6)
    assert np.isnan(aux["probability"][3])
    assert aux["correct"].tolist() == [True, False, True, False]
    assert aux["correct"].dtype == bool
    assert (aux["count"], aux["weight"]) == (3, 3.0)
    aux = run("probs", np.array([0.2, 0.7], dtype), np.array([0, 0]), return_aux="correct")[2]
    assert aux["correct"].tolist() == [True, False]
    _, aux = everywhere.sigmoid_cross_entropy(x[:2], t[:2], return_aux="correct")
    assert aux["count"] == 2


def test_hessians(dtype, rng):
    x, t = elements("logits", (30, 7), dtype, rng, 0.1)
    weight = rng.random(x.shape)
    loss = crossent.SigmoidCrossEntropy(reduction="sum", label_smoothing=0.1, pos_weight=2.0)
    wide = oracle.widen(x)
    _, slope, size, shares, _ = reference("logits", wide, oracle.widen(t), dtype, e=0.1, w=2.0)
    curve = shares * oracle.sigmoid(wide) * oracle.sigmoid(-wide) * weight
    grad = loss.value_and_grad(x, t, sample_weight=weight)[1]
    rules = {"exact": curve, "upper": 2 * curve, "friedman": 2 * curve}
    for rule, want in rules.items():
        got = everywhere.call(loss.grad_and_hess, x, t, rule=rule, sample_weight=weight)
        assert np.array_equal(got[0], grad)
        oracle.assert_close(got[1], want, dtype, 5)
    got = everywhere.call(loss.grad_and_hess, x, t, rule="residual", sample_weight=weight)[1]
    oracle.assert_close(got, np.abs(slope * weight), dtype, 4, size * weight)


def bfloat16():
    return np.dtype(pytest.importorskip("ml_dtypes").bfloat16)


@pytest.mark.parametrize("storage", ["float16", "bfloat16"])
def test_storage_types_are_rounded_once(kind, storage, rng):
    storage = bfloat16() if storage == "bfloat16" else np.dtype(storage)
    x, t = elements(kind, (20, 9), np.float32, rng, 0.1)
    x, t = x.astype(storage), np.round(t).astype(storage)
    loss, grad = run(kind, x, t, reduction="none")
    assert loss.dtype == grad.dtype == storage
    wide = run(kind, x.astype(np.float64), t.astype(np.float64), reduction="none")
    unit = 2.0**-11 if storage == np.float16 else 2.0**-8
    with np.errstate(over="ignore", invalid="ignore"):
        for got, want in zip((loss, grad), wide, strict=True):
            rounded = want.astype(storage).astype(np.float64)
            same = np.isinf(rounded) | np.isnan(rounded)
            np.testing.assert_array_equal(got.astype(np.float64)[same], rounded[same])
            np.testing.assert_allclose(
                got.astype(np.float64)[~same], want[~same], 1.001 * unit, 2.0**-25
            )
    total = run(kind, x, t, reduction="sum")[0]
    if np.isfinite(wide[0]).all():
        np.testing.assert_allclose(total, wide[0].sum(), 1e-6)


# ---- mistakes ----------------------------------------------------------------------------------

X, T = np.zeros((2, 3)), np.zeros((2, 3))


def changed(array, at, value):
    array = array.copy()
    array[at] = value
    return array


MISTAKES = {
    "negative weight": (
        lambda: run("logits", X, T, sample_weight=changed(X, (1, 2), -1)),
        ValueError,
        "sample_weight of logits[1, 2] is -1.0; expected >= 0",
    ),
    "NaN weight": (
        lambda: run("probs", X, T, sample_weight=changed(X, (0, 1), NAN)),
        ValueError,
        "sample_weight of probs[0, 1] is nan; expected >= 0",
    ),
    "negative pos_weight": (
        lambda: run("logits", X, T, pos_weight=[1, -2, 1]),
        ValueError,
        "pos_weight[1] is -2.0; expected finite numbers, at least 0",
    ),
    "pos_weight of the wrong shape": (
        lambda: run("logits", X, T, pos_weight=[1, 2]),
        ValueError,
        "pos_weight has shape (2,); expected one that broadcasts to that of logits, (2, 3)",
    ),
    "sample_weight of the wrong shape": (
        lambda: run("probs", X, T, sample_weight=np.ones((3, 2))),
        ValueError,
        "sample_weight has shape (3, 2); expected one that broadcasts to that of probs, (2, 3)",
    ),
    "weights of text": (
        lambda: run("logits", X, T, sample_weight="1"),
        TypeError,
        "sample_weight has dtype <U1; expected real numbers",
    ),
    "target beyond 1": (
        lambda: run("logits", X, changed(T, (1, 0), 1.5), validate=True),
        ValueError,
        "target[1, 0] is 1.5; expected 0 <= target <= 1",
    ),
    "NaN target": (
        lambda: run("probs", X, changed(T, (0, 2), NAN), validate=True),
        ValueError,
        "target[0, 2] is nan; expected 0 <= target <= 1",
    ),
    "probability beyond 1": (
        lambda: run("probs", changed(X, (1, 1), 2), T),
        ValueError,
        "probs[1, 1] is 2.0; expected 0 <= probs <= 1",
    ),
    "negative probability": (
        lambda: run("probs", changed(X, (0, 1), -1e-3), T),
        ValueError,
        "probs[0, 1] is -0.001; expected 0 <= probs <= 1",
    ),
    "NaN probability": (
        lambda: everywhere.binary_cross_entropy(changed(X, (0, 2), NAN), T),
        ValueError,
        "probs[0, 2] is nan; expected 0 <= probs <= 1",
    ),
    "NaN and infinite logits": (
        lambda: run("logits", changed(X, (1,), [0, NAN, INF]), T, nonfinite="raise"),
        FloatingPointError,
        "2 logits are not finite; the first is logits[1, 1], nan",
    ),
    "one infinite logit": (
        lambda: run("logits", changed(X, (1, 2), -INF), T, nonfinite="raise"),
        FloatingPointError,
        "1 logit is not finite; the first is logits[1, 2], -inf",
    ),
    "nonfinite probabilities": (
        lambda: run("probs", X, T, nonfinite="zero"),
        TypeError,
        "'nonfinite' is not an option of binary_cross_entropy",
    ),
    "clipped logits": (lambda: run("logits", X, T, clip="torch"), TypeError, "'clip'"),
    "unknown clip": (
        lambda: run("probs", X, T, clip="numpy"),
        ValueError,
        "clip is 'numpy'; expected None, a number, 'torch' or 'keras'",
    ),
    "clip of everything": (lambda: run("probs", X, T, clip=0.6), ValueError, "clip is 0.6"),
    "class_mask": (lambda: run("logits", X, T, class_mask=X > 0), TypeError, "'class_mask'"),
    "label_smoothing": (
        lambda: run("logits", X, T, label_smoothing=1.5),
        ValueError,
        "label_smoothing is 1.5; expected 0 <= label_smoothing <= 1",
    ),
    "focal_alpha": (lambda: run("probs", X, T, focal_alpha=2), ValueError, "focal_alpha is 2"),
    "focal_gamma": (lambda: run("probs", X, T, focal_gamma=-1), ValueError, "focal_gamma is -1"),
    "ignore_index": (
        lambda: run("logits", X, T, ignore_index=0.5),
        TypeError,
        "ignore_index is 0.5",
    ),
    "nan_target": (
        lambda: run("logits", X, T, nan_target="skip"),
        ValueError,
        "nan_target is 'skip'; expected 'propagate', 'missing'",
    ),
    "normalizer of a sum": (
        lambda: run("logits", X, T, reduction="sum", normalizer=2),
        ValueError,
        "normalizer",
    ),
    "upstream of a mean": (
        lambda: run("logits", X, T, upstream=X),
        ValueError,
        "upstream is one number for each element; expected a scalar",
    ),
    "return_aux": (
        lambda: run("probs", X, T, return_aux="probability"),
        ValueError,
        "return_aux is 'probability'; expected 'correct'",
    ),
    "rule": (
        lambda: crossent.SigmoidCrossEntropy().grad_and_hess(X, T, rule="gauss"),
        ValueError,
        "rule is 'gauss'",
    ),
    "Hessian of a focal loss": (
        lambda: crossent.SigmoidCrossEntropy(focal_gamma=2).grad_and_hess(X, T),
        ValueError,
        "focal_gamma",
    ),
    "shapes": (
        lambda: run("probs", X, T[0]),
        ValueError,
        "target has shape (3,); expected that of probs, (2, 3)",
    ),
    "integer probabilities": (lambda: run("probs", T.astype(int), T), TypeError, "probs has dtype"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_told(mistake):
    call, error, message = MISTAKES[mistake]
    with pytest.raises(error, match=re.escape(message)):
        call()


def test_the_first_fault_is_told_whatever_the_threads(dtype):
    x = np.zeros(200_000, dtype)
    x[[70_000, 150_000, 199_999]] = NAN
    for threads in (1, 4):
        with pytest.raises(FloatingPointError, match=r"3 logits .* logits\[70000\], nan"):
            run("logits", x, x, nonfinite="raise", threads=threads)
        with pytest.raises(ValueError, match=r"probs\[70000\] is nan"):
            run("probs", x, x * 0, threads=threads, out=x.copy())


def test_a_warning_goes_to_the_caller(dtype):
    x = np.array([0, NAN], dtype)
    with pytest.warns(RuntimeWarning, match=r"1 logit is not finite; .* logits\[1\]") as caught:
        loss = crossent.sigmoid_cross_entropy(x, [0, 0], nonfinite="warn")
    assert caught[0].filename == __file__
    assert np.isnan(loss)


def test_what_takes_no_part_is_not_judged():
    """Neither by validate, nor as a probability, nor as a logit that is not finite."""
    x, t = np.array([0.5, NAN]), np.array([1.0, 7.0])
    weight = [1, 0]
    assert run("probs", x, t, validate=True, sample_weight=weight)[0] == np.log(2)
    got = run("logits", x, t, validate=True, ignore_index=7, nonfinite="raise")[0]
    np.testing.assert_allclose(got, np.log1p(np.exp(-0.5)))


# ---- others ------------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weighted", [False, True])
def test_torch_agrees(kind, weighted, reduction, dtype, rng):
    """Where it is right; torch's mean divides by the number of elements, whatever they weigh."""
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    x, t = elements(kind, (20, 9), dtype, rng, 0.1)
    weight = rng.random((20, 9)).astype(dtype) if weighted else None
    options = {"reduction": reduction, "normalizer": "batch" if reduction == "mean" else None}
    theirs = {"reduction": reduction, "weight": None if weight is None else torch.tensor(weight)}
    z = torch.tensor(x, requires_grad=True)
    if kind == "logits" and weighted:
        options["pos_weight"] = rng.random(9).astype(dtype)
        theirs["pos_weight"] = torch.tensor(options["pos_weight"])
    if kind == "logits":
        want = functional.binary_cross_entropy_with_logits(z, torch.tensor(t), **theirs)
    else:
        want = functional.binary_cross_entropy(z, torch.tensor(t), **theirs)
        options["clip"] = "torch"
    want.sum().backward()
    loss, grad = run(kind, x, t, sample_weight=weight, **options)
    few = 2e-5 if dtype == np.float32 else 1e-9  # torch's 1e-12 is that of float32
    size = np.abs(z.grad.numpy()).max()
    np.testing.assert_allclose(loss, want.detach().numpy(), few, few)
    np.testing.assert_allclose(grad, z.grad.numpy(), 20 * few, few * min(size, 1))


def test_torchvision_focal_loss_for_hard_targets(rng):
    """alpha_t (1 - p_t)^gamma ce, as torchvision.ops.sigmoid_focal_loss defines it."""
    x, t = rng.standard_normal((5, 6)), rng.integers(0, 2, (5, 6))
    p = 1 / (1 + np.exp(-x))
    share = np.where(t, p, 1 - p)
    want = np.where(t, 0.25, 0.75) * (1 - share) ** 2 * -np.log(share)
    got = everywhere.sigmoid_cross_entropy(x, t, focal_gamma=2, focal_alpha=0.25, reduction="none")
    np.testing.assert_allclose(got, want, 1e-13)


def test_logits_and_their_probabilities_have_one_loss(dtype, rng):
    x = rng.uniform(-5, 5, (6, 11)).astype(np.float64)
    t = rng.random(x.shape)
    options = {"label_smoothing": 0.1, "focal_gamma": 1.5, "pos_weight": 3.0, "reduction": "none"}
    p = everywhere.sigmoid(x)
    loss, slope = run("logits", x, t, **options)
    same, by_p = run("probs", p, t, **options)
    np.testing.assert_allclose(loss, same, 1e-12)
    np.testing.assert_allclose(slope, by_p * p * (1 - p), 1e-10, 1e-12)


# ---- Hessian-vector products ------------------------------------------------------------------


def test_hessian_vector_product(dtype, rng):
    """p (1 - p) v with 40 digits, weights, smoothing, ignored elements and both ways of `out`."""
    x = (10 * rng.standard_normal(300)).astype(dtype)
    t = rng.integers(0, 3, 300)
    v, s = rng.standard_normal(300).astype(dtype), rng.choice([0, 0.5, 2], 300)
    x[(t == 2) | (s == 0)] = np.nan
    bce = crossent.SigmoidCrossEntropy(ignore_index=2, label_smoothing=0.1, reduction="sum")
    got = everywhere.call(bce.hessian_vector, x, t, v, sample_weight=s, upstream=0.5)
    want = np.zeros(300, np.longdouble)
    with mpmath.workdps(40):
        for i in np.flatnonzero(~np.isnan(x)):
            p = 1 / (1 + mpmath.exp(-mpmath.mpf(float(x[i]))))
            want[i] = oracle.number(p * (1 - p) * float(v[i]) * float(s[i]) / 2)
    oracle.assert_close(got, want, dtype, 4)
    for out in (x.copy(), v):
        assert bce.hessian_vector(x, t, v, sample_weight=s, upstream=0.5, out=out) is out
        np.testing.assert_array_equal(out, got)


def test_what_a_hessian_vector_product_cannot_be_asked_for():
    bce = crossent.SigmoidCrossEntropy()
    with pytest.raises(ValueError, match="hessian_vector with focal_gamma is not defined"):
        crossent.SigmoidCrossEntropy(focal_gamma=1).hessian_vector(X, T, X)
    with pytest.raises(ValueError, match=r"vector has shape \(3,\); expected that of logits"):
        bce.hessian_vector(X, T, X[0])
    both = np.zeros((3, 3))
    with pytest.raises(ValueError, match="out overlaps vector"):
        bce.hessian_vector(X, T, both[:2], out=both[1:])
    with pytest.raises(ValueError, match="accumulate is set"):
        bce.hessian_vector(X, T, X, accumulate=True)
    with pytest.raises(ValueError, match=r"accumulate is set; .* not with grad_and_hess"):
        bce.grad_and_hess(X, T, accumulate=True)
