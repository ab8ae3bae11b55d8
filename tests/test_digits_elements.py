"""Last digits of the binary losses and of those from probabilities: inputs that a search found."""

import itertools

import numpy as np
import pytest

import crossent

from . import exact
from .right import F32, F64, assert_right, assert_ulps

OPTIONS = {
    "pos_weight": 3.550643430465651,
    "sample_weight": 2.9569242780410008,
    "upstream": 1.9283072979815374,
    "label_smoothing": 0.1,
    "focal_alpha": 0.3,
    "focal_gamma": 2.0,
}
SETS = [{}, *({name: OPTIONS[name]} for name in OPTIONS), OPTIONS]
LOGITS = [18.217816248570998, 0.5, 1e-9, -3.3, 37, -40, 88, -104, 700.5, -745]
TARGETS = [0.4990729161967133, 0.003071324434131384, 0, 1, 0.999]


@pytest.mark.parametrize("options", SETS, ids=lambda o: "-".join(o) or "plain")
def test_binary_losses(options, dtype, isa):
    """float64: a gradient of 7.5 ulp with all linear options, a focal loss of 556."""
    x, t = (np.array(a) for a in zip(*itertools.product(LOGITS, TARGETS), strict=True))
    rules = () if "focal_gamma" in options else ("exact", "residual")
    assert_right("sigmoid", x.astype(dtype), t.astype(dtype), rules=rules, **options)
    p = np.clip(0.5 + x / 250, 1e-5, 1 - 1e-7).astype(dtype)
    assert_right("binary", p, t.astype(dtype), **options)


@pytest.mark.parametrize("gamma", [0.1, 0.5, 1, 2, 5])
def test_focal_factors_of_binary_losses(gamma, dtype, isa):
    x = np.array([-700, -80, -23, -1, 1e-3, 0.3, 5, 23, 80, 140], dtype)
    for y in (0, 1, 0.3):
        assert_right("sigmoid", x, np.full(x.shape, y), focal_gamma=gamma)
        p = np.clip(x / 200 + 0.5, 1e-6, 1 - 1e-7).astype(dtype)
        assert_right("binary", p, np.full(x.shape, y), focal_gamma=gamma)


def test_float32_logits_with_float64_targets(isa):
    """1 - t near 0 keeps its digits; in place, and whatever the neighbours are."""
    x = np.array([0.5, -4, 30, 90, -90, 2, 3], F32)
    t = np.array([1 - 1e-9, 1 / 3, 1 - 1e-12, 1 - 1e-15, 1e-300, 1, 0.5])
    assert_right("sigmoid", x, t)
    loss, grad = crossent.sigmoid_cross_entropy_value_and_grad(x, t, reduction="none")
    for i in range(len(x)):
        alone = crossent.sigmoid_cross_entropy_value_and_grad(x[[i]], t[[i]], reduction="none")
        assert (alone[0][0], alone[1][0]) == (loss[i], grad[i])
    long_x, long_t = np.tile(x, 1500), np.tile(t, 1500)
    total, again = crossent.sigmoid_cross_entropy_value_and_grad(
        long_x, long_t, out=long_x, reduction="sum"
    )
    assert np.array_equal(again, np.tile(grad, 1500))
    want = exact.sigmoid_cross_entropy(x, t, reduction="sum").loss
    assert float(abs(total - 1500 * want.value) / (1500 * want.value)) < 1e-6


def test_float64_labels_of_float32_logits_are_labels(rng):
    x, y = rng.standard_normal(5000).astype(F32), rng.integers(2, size=5000)
    got = crossent.sigmoid_cross_entropy_value_and_grad(x, y.astype(F64))
    want = crossent.sigmoid_cross_entropy_value_and_grad(x, y)
    assert got[0] == want[0]
    assert np.array_equal(got[1], want[1])


@pytest.mark.parametrize("name", ["sample_weight", "upstream", "pos_weight", "normalizer"])
@pytest.mark.parametrize("focal", [{}, {"focal_gamma": 0.25}])
def test_weights_before_the_cut_to_zero(focal, name, dtype, isa):
    """float32 155, target 1, sample_weight 1e30: 4.8e-38."""
    lead, large = (155, 1e30) if dtype == F32 else (1400, 1e300)
    lead = lead * 0.8 if focal else lead
    options = {name: 1 / large, "reduction": "mean"} if name == "normalizer" else {name: large}
    if name == "normalizer" and dtype == F64:
        return  # the sum of the losses itself is below the range
    for x, t in ((lead, 1), (-lead, 0)):
        if name != "pos_weight" or t:
            rules = () if focal else ("exact", "residual")
            assert_right("sigmoid", np.array([x], dtype), np.array([t]), rules=rules, **options,
                         **focal)  # fmt: skip


def test_the_largest_loss_of_one_element():
    assert crossent.sigmoid_cross_entropy(np.array([-1.7e308]), np.array([1])) == 1.7e308


@pytest.mark.parametrize("weight", [np.inf, -1, np.nan])
def test_weights_that_are_no_weights(weight, dtype):
    x, p = np.zeros((2, 2), dtype), np.full((2, 2), 0.5, dtype)
    for name, arguments in (
        ("sigmoid_cross_entropy", (x, np.ones((2, 2)))),
        ("binary_cross_entropy", (p, np.ones((2, 2)))),
        ("categorical_cross_entropy", (p, np.array([0, 1]))),
        ("softmax_cross_entropy", (x, np.array([0, 1]))),
    ):
        with pytest.raises(ValueError, match="sample_weight"):
            getattr(crossent, name)(*arguments, sample_weight=np.array([1, weight]))


# ---- losses of rows of probabilities -------------------------------------------------------------

ROWS = np.array([
    [0.7481541745715488, 0.2518458254284512], [0.3, 0.7], [1 - 2**-20, 2**-20], [0.999, 0.001],
])  # fmt: skip
WEIGHTS = {
    "sample_weight": np.array([1.723140749302778, 0.7, 3.3, 1.1]),
    "class_weight": np.array([0.7, 1.9]),
    "upstream": np.array([1.9283072979815374, 0.3, 1 / 3, 7]),
    "label_smoothing": 0.1,
}


@pytest.mark.parametrize("names", [(), *((name,) for name in WEIGHTS), tuple(WEIGHTS)], ids=str)
@pytest.mark.parametrize("normalize", [False, True])
def test_categorical_losses(normalize, names, dtype, isa):
    """p = .748, sample_weight 1.72: 2.41 ulp; normalised with weights, a gradient of 5.9."""
    p = (ROWS * (3.7 if normalize else 1)).astype(dtype)
    if not normalize:
        p = np.minimum(p, 1)
    options = {name: WEIGHTS[name] for name in names} | {"normalize_rows": normalize}
    for target in (
        np.array([0, 1, 0, 1]),
        np.array([1, 0, 1, 0]),
        ROWS[::-1],
        np.eye(2)[[0, 1] * 2],
    ):
        assert_right("categorical", p, target, **options)


def test_smoothing_from_probabilities_does_not_depend_on_earlier_calls(rng):
    """Labels and one-hot targets, label_smoothing .2, between calls that use the same memory."""
    p = np.array([[0.7, 0.3], [0.2, 0.8]])
    for target, k in itertools.product((np.array([0, 1]), np.eye(2)), (3, 17, 70)):
        x, w = rng.standard_normal((5, k)), rng.standard_normal((k, k))
        crossent.linear_cross_entropy_value_and_grad(x, w, rng.integers(k, size=5))
        assert_right("categorical", p, target, label_smoothing=0.2)


def test_labels_that_no_int64_holds():
    """2^64 - 1 is not the label -1 that is ignored."""
    target = np.array([2**64 - 1], np.uint64)
    with pytest.raises(IndexError):
        crossent.softmax_cross_entropy(np.zeros((1, 2)), target, ignore_index=-1)
    with pytest.raises(IndexError):
        crossent.categorical_cross_entropy(np.full((1, 2), 0.5), target, ignore_index=-1)


def test_factors_of_logsumexp_in_any_order(rng):
    x, b = 5 * rng.standard_normal((50, 6)), rng.standard_normal((50, 6))
    for row, factors in zip(x, b, strict=True):
        want, want_sign = exact.logsumexp(row, factors)
        got, sign = crossent.logsumexp(row, b=factors, return_sign=True)
        assert sign == want_sign
        assert_ulps(want, got, F64, 4, "logsumexp")
