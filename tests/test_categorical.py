"""Cross-entropy from probabilities, against longdouble, mpmath and its own differences."""

import itertools
import pickle

import ml_dtypes
import numpy as np
import pytest

import crossent

from . import everywhere, oracle

LOSS, GRADIENT = 2, 4  # ULP
forward = everywhere.categorical_cross_entropy


def both(p, target, **options):
    where = crossent if "out" in options else everywhere
    return where.categorical_cross_entropy_value_and_grad(p, target, **options)


def limits(clip, dtype):
    """(low, 1 - high) in a wide type, as the convention has them."""
    if clip is None:
        return 0, 0
    if clip == "torch":
        return np.exp(np.longdouble(-100)), 0
    if clip == "keras":
        return dtype(1e-7), dtype(1) - (dtype(1) - dtype(1e-7))
    return clip, clip


def minus_log(p, rest):
    """-log(p), p + rest = 1, whichever says more."""
    with np.errstate(divide="ignore"):
        return np.where(p < 0.5, -np.log(p), -np.log1p(-rest))


def reference(p, t, *, clip=None, normalize_rows=False, dtype=np.float64):
    """Losses of rows and the gradient of their sum, p and t wide, with p's rest from its others."""
    low, high = limits(clip, dtype)
    with np.errstate(all="ignore"):
        total = p.sum(1, keepdims=True) if normalize_rows else 1
        others = (p[:, None, :] * (1 - np.eye(p.shape[1]))).sum(2)
        q = p / total
        rest = others / total if normalize_rows else 1 - p
        below, above = q < low, rest < high
        each = np.where(below, -np.log(np.longdouble(low)), minus_log(q, rest))
        each = np.where(above, -np.log1p(-np.longdouble(high)), each)
        losses = np.where(t == 0, 0, t * each).sum(1)
        live = np.where(below | above, 0, t)
        if not normalize_rows:
            return losses, np.where(live == 0, 0, -live / p)
        # T / S - t_i / p_i = (sum of live_j (p_i - [i = j] S)) / (S p_i), p_i - S = -others
        own = -live * others / (total * p)
        rest_of_live = (live[:, None, :] * (1 - np.eye(p.shape[1]))).sum(2)
        return losses, own + rest_of_live / total


def probabilities(rng, n, classes, dtype):
    x = rng.standard_normal((n, classes)) * np.exp(rng.uniform(-3, 3.5, (n, 1)))
    p = oracle.softmax(x).astype(dtype)
    return np.clip(p, np.finfo(dtype).tiny, 1)


def one_hot(y, classes, kind):
    return np.eye(classes, dtype=kind)[y]


CLIPS = [None, 1e-3, 1e-15, "torch", "keras"]


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("normalize_rows", [False, True])
@pytest.mark.parametrize("classes", [2, 3, 10, 65])
def test_labels(classes, normalize_rows, clip, dtype, rng):
    p, y = probabilities(rng, 200, classes, dtype), rng.integers(0, classes, 200)
    wide = oracle.widen(p)
    want = reference(
        wide, one_hot(y, classes, wide.dtype), clip=clip, normalize_rows=normalize_rows, dtype=dtype
    )
    got = both(p, y, clip=clip, normalize_rows=normalize_rows, reduction="none")
    oracle.assert_close(got[0], want[0].astype(wide.dtype), dtype, LOSS)
    oracle.assert_close(got[1], want[1].astype(wide.dtype), dtype, GRADIENT)


@pytest.mark.parametrize("clip", CLIPS)
@pytest.mark.parametrize("normalize_rows", [False, True])
@pytest.mark.parametrize("classes", [1, 2, 3, 10, 65])
def test_soft_targets(classes, normalize_rows, clip, dtype, rng):
    """Where t_i / p_i is close to T / S, the gradient is a difference, and judged by its parts."""
    p = probabilities(rng, 200, classes, dtype)
    t = probabilities(rng, 200, classes, dtype)
    t[::3, 0] = 0
    wide, wide_t = oracle.widen(p), oracle.widen(t)
    want = reference(wide, wide_t, clip=clip, normalize_rows=normalize_rows, dtype=dtype)
    got = both(p, t, clip=clip, normalize_rows=normalize_rows, reduction="none")
    oracle.assert_close(got[0], want[0].astype(wide.dtype), dtype, LOSS)
    size = wide_t.sum(1, keepdims=True) / wide.sum(1, keepdims=True) if normalize_rows else 0
    oracle.assert_close(got[1], want[1].astype(wide.dtype), dtype, GRADIENT, size)


def test_close_to_one(dtype):
    """-log p has the full accuracy that p itself leaves; normalized rows that of the others."""
    p = np.array([[1 - np.finfo(dtype).epsneg, np.finfo(dtype).epsneg]], dtype)
    want = -np.log1p(-oracle.widen(p)[:, 1])
    oracle.assert_close(forward(p, np.array([0]), reduction="none"), want, dtype, LOSS)
    p = np.array([[1, 1e-30]], dtype)
    loss, grad = both(p, np.array([0]), normalize_rows=True)
    assert loss == pytest.approx(1e-30, rel=1e-6)
    np.testing.assert_allclose(grad, [[-1e-30, 1]], 1e-6)
    one, same = both(p, np.array([[1, 0]], dtype), normalize_rows=True)
    assert one == loss
    np.testing.assert_array_equal(same, grad)


def test_any_finite_row_can_be_normalized():
    big, tiny = 1.7e308, 5e-324
    p = np.array([[big, big, 0], [tiny, tiny, 0], [big, tiny, 0], [0, 0, big]])
    y = np.array([0, 1, 1, 2])
    far = np.log(big) - np.log(2.0**-537) * 2
    losses, grad = both(p, y, normalize_rows=True, reduction="none")
    np.testing.assert_allclose(losses, [np.log(2), np.log(2), far, 0], 1e-15)
    np.testing.assert_allclose(grad[0], np.array([-0.5, 0.5, 0.5]) / big, 1e-15)
    np.testing.assert_array_equal(grad[1], [np.inf, -np.inf, np.inf])
    np.testing.assert_allclose(grad[3], np.array([1, 1, 0]) / big, 1e-15)


INF = np.inf
EDGES = {
    "none": (None, [0, INF, INF], [-1, -INF, 0]),
    "eps": (1e-15, [1e-15, -np.log(1e-15), -np.log(1e-15)], [0, 0, 0]),
    "torch": ("torch", [0, 100, 100], [-1, 0, 0]),
    "keras": ("keras", None, [0, 0, 0]),
}


@pytest.mark.parametrize("edge", EDGES)
def test_zero_and_one(edge, dtype):
    """p = 1 and p = 0 with a label; p = 0 that soft targets give half."""
    clip, want, slope = EDGES[edge]
    if clip == "keras":
        low, high = limits(clip, dtype)
        want = [-np.log1p(-float(high)), -np.log(float(low)), -np.log(float(low))]
    p = np.array([[1, 0], [1, 0]], dtype)
    losses, grad = both(p, np.array([0, 1]), clip=clip, reduction="none")
    np.testing.assert_allclose(losses, np.array(want[:2], dtype), 3 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(grad, np.array([[slope[0], 0], [0, slope[1]]], dtype))
    losses, grad = both(p, np.array([[1, 0], [0, 1]], dtype), clip=clip, reduction="none")
    np.testing.assert_allclose(losses, np.array(want[:2], dtype), 3 * np.finfo(dtype).eps)
    np.testing.assert_array_equal(grad, np.array([[slope[0], 0], [0, slope[1]]], dtype))


def test_negative_zero_is_zero():
    losses, grad = both(np.array([[-0.0, 1.0]]), np.array([0]), reduction="none")
    assert losses[0] == np.inf
    np.testing.assert_array_equal(grad, [[-np.inf, 0]])


def test_logarithms_of_all_sizes(dtype):
    """One class: the loss is -log p, down to the least subnormal number."""
    tiny = np.finfo(dtype).smallest_subnormal
    p = np.concatenate(
        [
            np.geomspace(float(tiny), 1, 5000).astype(dtype),
            1 - np.geomspace(float(np.finfo(dtype).epsneg), 0.5, 5000).astype(dtype),
            [tiny, np.finfo(dtype).tiny, np.nextafter(np.finfo(dtype).tiny, dtype(0))],
        ]
    )[:, None]
    wide = oracle.widen(p.astype(dtype))[:, 0]
    want = minus_log(wide, 1 - wide)
    y = np.zeros(len(p), int)
    oracle.assert_close(forward(p.astype(dtype), y, reduction="none"), want, dtype, LOSS)
    t = np.ones(p.shape, dtype)
    oracle.assert_close(forward(p.astype(dtype), t, reduction="none"), want, dtype, LOSS)


@pytest.mark.parametrize("clip", [None, 0.05, "keras"])
@pytest.mark.parametrize("normalize_rows", [False, True])
@pytest.mark.parametrize("soft", [False, True])
def test_the_gradient_is_that_of_the_loss(soft, normalize_rows, clip, rng):
    p = rng.uniform(0.1, 0.3, (3, 4))
    p[:, 0] = 0.01
    y = rng.dirichlet(np.ones(4), 3) if soft else np.array([0, 1, 3])
    options = dict(
        clip=clip,
        normalize_rows=normalize_rows,
        label_smoothing=0.2,
        class_weight=[1, 2, 3, 4],
        sample_weight=[0.5, 1, 2],
    )
    grad = both(p, y, **options)[1]
    for i in np.ndindex(p.shape):
        step = np.zeros(p.shape)
        step[i] = 1e-6
        slope = (forward(p + step, y, **options) - forward(p - step, y, **options)) / 2e-6
        assert grad[i] == pytest.approx(slope, abs=2e-6)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"label_smoothing": 0.3},
        {"label_smoothing": 0.3, "smoothing": "off_target"},
        {"class_weight": [1, 2, 0, 3, 0.5]},
        {"class_weight": [1, 2, 0, 3, 0.5], "label_smoothing": 0.1},
        {"class_weight": [1, 2, 0, 3, 0.5], "label_smoothing": 0.1, "smoothing_weight": "target"},
        {"sample_weight": [1, 0, 2, 0.5, 1, 1]},
        {"normalizer": "batch", "sample_weight": [1, 0, 2, 0.5, 1, 1]},
        {"normalizer": "valid", "class_weight": [1, 2, 0, 3, 0.5]},
        {"reduction": "sum"},
        {"reduction": "none", "upstream": [1, 2, 3, 4, 5, 6]},
    ],
    ids=str,
)
def test_options_mean_what_they_mean_for_softmax(options, soft, rng):
    """The loss of softmax(z), and its gradient through the softmax, are those from logits."""
    if options.get("smoothing") and soft:
        pytest.skip("needs labels")
    z, y = rng.standard_normal((6, 5)), rng.integers(0, 5, 6)
    y = rng.dirichlet(np.ones(5), 6) if soft else y
    p = crossent.softmax(z)
    loss, grad = both(p, y, **options)
    want, slope = crossent.softmax_cross_entropy_value_and_grad(z, y, **options)
    np.testing.assert_allclose(loss, want, 1e-13)
    through = p * (grad - (p * grad).sum(1, keepdims=True))
    np.testing.assert_allclose(through, slope, 1e-12, 1e-14)
    np.testing.assert_allclose(both(3 * p, y, normalize_rows=True, **options)[0], want, 1e-13)


def test_ignored_rows_are_never_read(dtype, rng):
    p, y = probabilities(rng, 6, 4, dtype), np.array([0, -100, 1, 2, 3, -100])
    p[y == -100] = np.nan
    p[2] = 7
    options = dict(ignore_index=-100, sample_weight=[1, 1, 0, 1, 1, 1])
    live = np.array([0, 3, 4])
    for more in ({}, {"normalize_rows": True}, {"label_smoothing": 0.1}):
        loss, grad = both(p, y, **options, **more)
        want, slope = both(p[live], y[live], **more)
        assert loss == want
        np.testing.assert_array_equal(grad[live], slope)
        assert not grad[[1, 2, 5]].any()


@pytest.mark.parametrize("empty", ["nan", "zero", "raise"])
def test_no_rows(empty):
    for p, y in ((np.empty((0, 3)), np.empty(0, int)), (np.ones((2, 3)) / 3, np.array([9, 9]))):
        if empty == "raise":
            with pytest.raises(ValueError, match="no row takes part"):
                forward(p, y, ignore_index=9, empty=empty)
        else:
            got = forward(p, y, ignore_index=9, empty=empty)
            np.testing.assert_equal(got, np.nan if empty == "nan" else 0.0)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_axis_strides_and_place(axis, soft, dtype, rng):
    p = np.moveaxis(probabilities(rng, 35, 4, dtype).reshape(5, 7, 4), -1, axis)
    t = np.moveaxis(probabilities(rng, 35, 4, dtype).reshape(5, 7, 4), -1, axis)
    y = t if soft else rng.integers(0, 4, (5, 7))
    loss, grad = both(p, y, axis=axis, reduction="none")
    assert loss.shape == (5, 7)
    flat = both(
        np.moveaxis(p, axis, -1).reshape(35, 4),
        np.moveaxis(t, axis, -1).reshape(35, 4) if soft else y.ravel(),
        reduction="none",
    )
    np.testing.assert_array_equal(loss.ravel(), flat[0])
    np.testing.assert_array_equal(np.moveaxis(grad, axis, -1).reshape(35, 4), flat[1])
    same = p.copy()
    assert both(same, y, axis=axis, out=same)[1] is same
    np.testing.assert_array_equal(same, both(p, y, axis=axis)[1])
    total = np.ones_like(p)  # the gradient is not rounded before it is added
    both(p, y, axis=axis, out=total, accumulate=True, reduction="sum")
    np.testing.assert_allclose(total, 1 + grad.astype("f8"), 2e-7, 1e-6)


@pytest.mark.parametrize("half", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("soft", [False, True])
def test_halves_are_rounded_once(half, soft, rng):
    p = np.clip(probabilities(rng, 20, 5, np.float32), 1e-3, 1).astype(half)
    y = probabilities(rng, 20, 5, np.float32) if soft else rng.integers(0, 5, 20)
    for options in ({}, {"normalize_rows": True}):
        got = both(p, y, reduction="none", **options)
        wide = p.astype("f8")
        want = both(wide, y.astype("f8") if soft else y, reduction="none", **options)
        for g, w in zip(got, want, strict=True):
            np.testing.assert_array_equal(g, w.astype(half), strict=True)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("normalize_rows", [False, True])
@pytest.mark.parametrize("classes", [3, 5000])
def test_all_numbers_of_threads_give_the_same_bits(classes, normalize_rows, soft, dtype, rng):
    n = 300_000 // classes if not soft else 60_000 // classes
    p = probabilities(rng, n, classes, dtype)
    y = probabilities(rng, n, classes, dtype) if soft else rng.integers(0, classes, n)
    if normalize_rows:
        p /= 2
    got = both(p, y, normalize_rows=normalize_rows, threads=1, sample_weight=np.linspace(0, 1, n))
    want = both(p, y, normalize_rows=normalize_rows, threads=4, sample_weight=np.linspace(0, 1, n))
    assert got[0] == want[0]
    np.testing.assert_array_equal(got[1], want[1])


def test_only_the_target_is_read_without_need():
    p = np.array([[0.5, np.nan, 7]])
    assert forward(p, np.array([0])) == np.log(2)
    np.testing.assert_array_equal(both(p, np.array([0]))[1], [[-2, 0, 0]])


P, Y = np.full((3, 4), 0.25), np.array([0, 1, 2])


def wrong(value, row=1, column=1):
    p = P.copy()
    p[row, column] = value
    return p


MISTAKES = {
    "nan": (
        lambda: forward(wrong(np.nan), Y),
        "probs of row 1, class 1, is nan; expected 0 <= p <= 1",
    ),
    "above": (lambda: forward(wrong(1.5), Y), "probs of row 1, class 1, is 1.5; expected 0 <= p"),
    "below": (lambda: forward(wrong(-1e-3), Y), "row 1, class 1, is -0.001"),
    "soft": (lambda: forward(wrong(2, 2, 3), P), "probs of row 2, class 3, is 2.0"),
    "smoothed": (lambda: forward(wrong(2, 2, 3), Y, label_smoothing=0.1), "row 2, class 3, is 2.0"),
    "in place": (lambda: both(p := wrong(2.5), Y, out=p), "row 1, class 1, is 2.5"),
    "infinite": (
        lambda: forward(wrong(np.inf), Y, normalize_rows=True),
        "row 1, class 1, is inf; expected finite numbers, at least 0",
    ),
    "sum": (
        lambda: forward(P * [[1], [0], [0]], Y, normalize_rows=True),
        "probs of row 1 sum to 0; expected a positive sum to normalize by",
    ),
    "axis": (
        lambda: forward(wrong(2, 0, 0).T[None], Y[None], axis=1),
        "probs of row (0, 0), class 0, is 2.0",
    ),
    "shape": (
        lambda: forward(P, Y[:2]),
        "target has shape (2,); expected (3,), the shape of probs",
    ),
    "no classes": (lambda: forward(P[:, :0], Y), "probs have shape (3, 0)"),
    "clip": (lambda: forward(P, Y, clip="tf"), "clip is 'tf'; expected None, a number, 'torch'"),
    "clip too large": (lambda: forward(P, Y, clip=0.7), "clip is 0.7; expected"),
    "ignored soft": (lambda: forward(P, P, ignore_index=1), "ignore_index is set but target is"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake):
    call, message = MISTAKES[mistake]
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        call()
    assert message in str(caught.value)


def test_other_mistakes():
    with pytest.raises(IndexError, match=r"target\[1\] is 4; expected 0 <= target < 4"):
        forward(P, np.array([0, 4, 1]))
    with pytest.raises(TypeError, match="probs has dtype int64; expected"):
        forward(P.astype(int), Y)
    with pytest.raises(
        TypeError, match="'focal_gamma' is not an option of categorical_cross_entropy"
    ):
        forward(P, Y, focal_gamma=2.0)
    with pytest.raises(TypeError, match="'class_mask' is not an option of categorical"):
        forward(P, Y, class_mask=[True] * 4)


def test_objects(rng):
    p, y = probabilities(rng, 6, 4, np.float64), rng.integers(0, 4, 6)
    for clip, normalize_rows in itertools.product([None, 1e-7, "keras"], [False, True]):
        options = dict(clip=clip, normalize_rows=normalize_rows, class_weight=[1, 2, 3, 4])
        loss = pickle.loads(pickle.dumps(crossent.CategoricalCrossEntropy(**options)))
        value, grad = both(p, y, **options)
        assert loss(p, y) == loss.forward(p, y) == value
        np.testing.assert_array_equal(loss.backward(), grad)
        np.testing.assert_array_equal(loss.backward(2.0), 2 * grad)
        assert repr(loss).startswith("crossent.CategoricalCrossEntropy(clip=")
