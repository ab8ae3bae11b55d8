"""Closed forms, and the accuracy that DESIGN promises: 2 ULP for losses, 4 for all else."""

import functools

import numpy as np
import pytest

import crossent

from . import everywhere, oracle

LOSS, GRADIENT = 2, 4  # ULP
CLASSES = (1, 2, 3, 10, 16, 17, 63, 64, 65, 100, 1000, 4096, 4097, 9000)
TOP = {np.float32: 110, np.float64: 760}  # e^-TOP is 0, and on the way are subnormal numbers


def normal(rng, rows, classes, dtype):
    return rng.standard_normal((rows, classes))


def offset(value):
    return lambda rng, rows, classes, dtype: 3 * normal(rng, rows, classes, dtype) + value


def scale(value):
    return lambda rng, rows, classes, dtype: value * normal(rng, rows, classes, dtype)


def gap(sign):
    """Class 0 is ahead of (behind) all others by 0 .. TOP."""

    def logits(rng, rows, classes, dtype):
        z = 0.5 * normal(rng, rows, classes, dtype)
        steps = np.linspace(0, TOP[dtype], rows)
        if classes > 1:
            z[:, 0] = z[:, 1:].max(1) + steps if sign > 0 else z[:, 1:].min(1) - steps
        return z

    return logits


def constant(rng, rows, classes, dtype):
    return np.repeat(rng.standard_normal((rows, 1)), classes, 1)


def dominated(rng, rows, classes, dtype):
    """One class anywhere in the row is far ahead: its place in the sums must not matter."""
    z = normal(rng, rows, classes, dtype)
    z[np.arange(rows), rng.integers(0, classes, rows)] += 40
    return z


def two_peaks(rng, rows, classes, dtype):
    """The first and the last class, far above all others and far apart."""
    z = normal(rng, rows, classes, dtype) - 3 * TOP[dtype]
    z[:, 0], z[:, -1] = -np.linspace(TOP[dtype] / 3, TOP[dtype], rows), 0
    return z


def rising(rng, rows, classes, dtype):
    """Every block of a long row raises the maximum."""
    return np.linspace(0, TOP[dtype], classes) + normal(rng, rows, classes, dtype)


def crossing(rng, rows, classes, dtype):
    """The maximum grows past 2 RANGE, from where on long rows count from their maximum."""
    far = 2.0**21 if dtype == np.float32 else 2.0**41
    return far + np.linspace(-64, 64, classes) + normal(rng, rows, classes, dtype)


def zero_target(rng, z):
    return np.zeros(len(z), int)


def any_target(rng, z):
    return rng.integers(0, z.shape[1], len(z))


def top_target(rng, z):
    return z.argmax(1)


FAMILIES = {
    "class 0 ahead, target": (gap(1), zero_target),
    "class 0 ahead": (gap(1), any_target),
    "class 0 behind, target": (gap(-1), zero_target),
    "class 0 behind": (gap(-1), any_target),
    "offset 1e2": (offset(1e2), any_target),
    "offset -1e4": (offset(-1e4), any_target),
    "offset 1e6": (offset(1e6), top_target),
    "offset 1e30": (offset(1e30), any_target),
    "scale 1e-8": (scale(1e-8), any_target),
    "scale 1": (scale(1), any_target),
    "scale 5": (scale(5), top_target),
    "scale 80": (scale(80), any_target),
    "scale 1e4": (scale(1e4), top_target),
    "scale 1e4, any target": (scale(1e4), any_target),
    "constant": (constant, any_target),
    "dominated": (dominated, any_target),
    "dominated, target": (dominated, top_target),
    "two peaks": (two_peaks, zero_target),
    "two peaks, target": (two_peaks, top_target),
    "rising": (rising, any_target),
    "rising past the range": (crossing, any_target),
}


@pytest.fixture(params=FAMILIES)
def family(request):
    return request.param


@functools.lru_cache(maxsize=len(CLASSES))  # the instruction sets take turns at a family
def softmax_batch(family, classes, dtype, seed):
    """Logits, targets, and the truth about every quantity: (value, size of its unit)."""
    logits, target = FAMILIES[family]
    rng = np.random.default_rng([seed, classes])
    rows = min(200, max(4, 10_000 // classes))
    z = logits(rng, rows, classes, dtype).astype(dtype)
    y = target(rng, z)
    x = oracle.widen(z)
    loss, grad = oracle.softmax_cross_entropy(x, y)
    truth = {
        "loss": (loss, 0),
        "loss of the fused pass": (loss, 0),
        "gradient": (grad, 0),
        "logsumexp": (oracle.logsumexp(x), np.abs(x).max(1)),
        "softmax": (oracle.softmax(x), 0),
        "log_softmax": (oracle.log_softmax(x), 0),
    }
    return z, y, truth


def softmax_both(z, y):
    return everywhere.softmax_cross_entropy_value_and_grad(z, y, reduction="none")


QUANTITIES = {
    "loss": (LOSS, lambda z, y: everywhere.softmax_cross_entropy(z, y, reduction="none")),
    "loss of the fused pass": (LOSS, lambda z, y: softmax_both(z, y)[0]),
    "gradient": (GRADIENT, lambda z, y: softmax_both(z, y)[1]),
    "logsumexp": (GRADIENT, lambda z, y: everywhere.logsumexp(z)),
    "softmax": (GRADIENT, lambda z, y: everywhere.softmax(z)),
    "log_softmax": (GRADIENT, lambda z, y: everywhere.log_softmax(z)),
}


def test_softmax_functions_keep_their_ulp_limits(family, dtype, request):
    for classes in CLASSES:
        z, y, truth = softmax_batch(family, classes, dtype, request.config.getoption("--seed"))
        for name, (limit, function) in QUANTITIES.items():
            want, size = truth[name]
            got = function(z, y)
            assert got.dtype == dtype
            oracle.assert_close(got, want, dtype, limit, size, f"{name} of {classes} classes")


@pytest.mark.parametrize("classes", [3, 40, 100, 5000])
def test_a_label_far_behind_keeps_its_probability(classes, dtype, rng):
    z = gap(-1)(rng, 200, classes, dtype).astype(dtype)
    _, _, aux = everywhere.softmax_cross_entropy_value_and_grad(
        z, np.zeros(200, int), return_aux="probability"
    )
    want = oracle.softmax(oracle.widen(z))[:, 0]
    oracle.assert_close(aux["probability"], want, dtype, GRADIENT)


def test_a_row_of_300001_classes_keeps_the_ulp_limits(dtype, rng):
    z = (5 * rng.standard_normal((2, 300_001))).astype(dtype)
    y = np.array([0, 300_000])
    loss, grad = oracle.softmax_cross_entropy(oracle.widen(z), y)
    got_loss, got_grad = softmax_both(z, y)
    oracle.assert_close(got_loss, loss, dtype, LOSS)
    oracle.assert_close(got_grad, grad, dtype, GRADIENT)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_reductions_are_as_exact_as_their_rows(reduction, dtype, rng):
    z, y = (4 * rng.standard_normal((999, 7))).astype(dtype), rng.integers(0, 7, 999)
    loss, grad = oracle.softmax_cross_entropy(oracle.widen(z), y)
    divisor = len(z) if reduction == "mean" else 1
    got_loss, got_grad = everywhere.softmax_cross_entropy_value_and_grad(z, y, reduction=reduction)
    assert type(got_loss) is np.float64
    assert got_loss == everywhere.softmax_cross_entropy(z, y, reduction=reduction)
    oracle.assert_close(got_loss, loss.sum() / divisor, dtype, LOSS)
    oracle.assert_close(got_grad, grad / divisor, dtype, GRADIENT)


BINARY_TARGETS = {
    "0": lambda rng, n: np.zeros(n),
    "1": lambda rng, n: np.ones(n),
    "soft": lambda rng, n: rng.random(n),
}


@pytest.mark.parametrize("target", BINARY_TARGETS)
def test_sigmoid_cross_entropy_keeps_its_ulp_limits(target, dtype, rng):
    x = elements(rng, dtype)
    t = BINARY_TARGETS[target](rng, len(x)).astype(dtype)
    loss, grad, size = oracle.sigmoid_cross_entropy(oracle.widen(x), oracle.widen(t))
    got_loss, got_grad = everywhere.sigmoid_cross_entropy_value_and_grad(x, t, reduction="none")
    forward = everywhere.sigmoid_cross_entropy(x, t, reduction="none")
    oracle.assert_close(got_loss, loss, dtype, LOSS)
    oracle.assert_close(forward, loss, dtype, LOSS)
    oracle.assert_close(got_grad, grad, dtype, GRADIENT, size)


@pytest.mark.parametrize("name", ["sigmoid", "log_sigmoid", "softplus"])
def test_elementwise_functions_keep_their_ulp_limits(name, dtype, rng):
    x = elements(rng, dtype)
    got = getattr(crossent, name)(x)
    oracle.assert_close(got, getattr(oracle, name)(oracle.widen(x)), dtype, GRADIENT)


def elements(rng, dtype):
    """Ordinary logits, small ones, and all the way to where e^-|x| is 0."""
    parts = np.linspace(-TOP[dtype], TOP[dtype], 4001), 5 * rng.standard_normal(4000)
    small = rng.standard_normal(300) * 10.0 ** rng.integers(-30, 0, 300)
    huge = rng.standard_normal(300) * 10.0 ** rng.integers(3, 37, 300)
    return np.concatenate([*parts, small, huge, [0.0, -0.0]]).astype(dtype)


def test_the_judge_agrees_with_mpmath(family, dtype):
    """To an eighth of an ULP, so that its own error does not decide."""
    z, y, truth = softmax_batch(family, 10, dtype, 0)
    for row in (0, len(z) // 2, len(z) - 1):
        if np.ptp(z[row]) > 800:  # 400 digits do not reach further
            continue
        loss, grad = oracle.exact_softmax_cross_entropy(z[row], y[row])
        oracle.assert_close(truth["loss"][0][row], loss, dtype, 1 / 8)
        oracle.assert_close(truth["gradient"][0][row], grad, dtype, 1 / 8)


@pytest.mark.parametrize("target", [0.0, 1.0, 0.25])
def test_the_binary_judge_agrees_with_mpmath(target, dtype):
    x = np.array([-700, -30, -1, -1e-3, 0, 0.3, 20, 80, 700], dtype)
    judged = oracle.sigmoid_cross_entropy(oracle.widen(x), oracle.widen(np.full_like(x, target)))
    for i in range(len(x)):
        loss, grad = oracle.exact_sigmoid_cross_entropy(x[i], target)
        oracle.assert_close(judged[0][i], loss, dtype, 1 / 8)
        oracle.assert_close(judged[1][i], grad, dtype, 1 / 8, judged[2][i])


# ---- closed forms and worked examples ---------------------------------------------------------


@pytest.mark.parametrize("classes", CLASSES)
def test_equal_logits_give_log_of_the_number_of_classes(classes, dtype):
    y = np.array([0, classes // 2, classes - 1])
    loss, grad = softmax_both(np.full((3, classes), 0.75, dtype), y)
    share = 1 / oracle.widen(np.full(3, classes, dtype))
    oracle.assert_close(loss, -np.log(share), dtype, 1)
    oracle.assert_close(grad[np.arange(3), y], share - 1, dtype, 1)


def test_the_loss_of_a_confident_model_is_not_lost(dtype):
    """1 + 2 e^-17 rounds to 1 in float32; its logarithm is 2 e^-17 nevertheless."""
    loss, grad = softmax_both(np.array([[17, 0, 0]], dtype), np.array([0]))
    np.testing.assert_allclose(loss, 8.2798750e-08, rtol=1e-7)
    np.testing.assert_allclose(grad, [[-8.2798746e-08, 4.1399373e-08, 4.1399373e-08]], rtol=1e-7)


def test_worked_example_softmax(dtype):
    z = np.array([2.0, 1.0, 0.1], dtype)
    np.testing.assert_allclose(everywhere.softmax(z), [0.659, 0.242, 0.099], atol=5e-4)
    assert round(everywhere.softmax_cross_entropy(z, 0), 3) == 0.417


def test_worked_example_binary(dtype):
    logit = np.log(np.array([0.3 / 0.7], dtype))
    assert round(everywhere.sigmoid_cross_entropy(logit, np.array([0])), 4) == 0.3567


@pytest.mark.parametrize(
    ("predictions", "cross_entropy"),
    [
        ([(0.9, 0.1), (0.1, 0.9), (0.4, 0.6)], 0.38),
        ([(0.6, 0.4), (0.3, 0.7), (0.1, 0.9)], 1.06),
    ],
)
def test_worked_example_two_networks(predictions, cross_entropy, dtype):
    """The same classification error, 1 of 3, but not the same cross-entropy."""
    logits = np.log(np.array(predictions, dtype))  # softmax(log p) = p
    assert round(everywhere.softmax_cross_entropy(logits, np.array([0, 1, 0])), 2) == cross_entropy


def test_two_classes_are_a_sigmoid(dtype):
    """softmax([x, 0]) and sigmoid(x) are the same model."""
    x = np.linspace(-50, 50, 1001, dtype=dtype)
    loss, grad = softmax_both(np.stack([np.zeros_like(x), x], 1), np.ones(len(x), int))
    want, slope = everywhere.sigmoid_cross_entropy_value_and_grad(
        x, np.ones_like(x), reduction="none"
    )
    oracle.assert_close(loss, oracle.widen(want), dtype, 2 * LOSS)
    oracle.assert_close(grad[:, 1], oracle.widen(slope), dtype, 2 * GRADIENT)
