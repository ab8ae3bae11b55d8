"""Special values: limits where they exist, NaN where they do not."""

import itertools

import numpy as np
import pytest

import crossent

from . import everywhere, oracle

NAN, INF = np.nan, np.inf
HUGE = {np.float32: 3e38, np.float64: 1.7e308}

# What is put into a row, which of it is the target (None: an ordinary class), and the loss (FINITE:
# whatever the reference says).
FINITE = object()
ROWS = {
    "NaN": ([NAN], None, NAN),
    "NaN at the target": ([NAN], 0, NAN),
    "NaN and +inf": ([NAN, INF], None, NAN),
    "NaN and -inf": ([NAN, -INF], 1, NAN),
    "+inf at the target": ([INF], 0, 0),
    "+inf elsewhere": ([INF], None, INF),
    "+inf at the target, -inf": ([INF, -INF], 0, 0),
    "+inf elsewhere, -inf at the target": ([INF, -INF], 1, INF),
    "+inf at the target, huge": ([INF, "huge"], 0, 0),
    "two +inf": ([INF, INF], None, NAN),
    "two +inf, one the target": ([INF, INF], 0, NAN),
    "-inf elsewhere": ([-INF, -INF], None, FINITE),
    "-inf at the target": ([-INF], 0, INF),
    "huge at the target": (["huge"], 0, 0),
    "huge elsewhere": (["huge"], None, FINITE),
    "two huge": (["huge", "huge"], 0, np.log(2)),
    "-huge at the target": (["-huge"], 0, FINITE),
    "huge, -huge at the target": (["huge", "-huge"], 1, INF),
    "1e30 elsewhere": ([1e30], None, FINITE),
    "1e30 and 1e30 - 1e25": ([1e30, 1e30 - 1e25], 1, FINITE),
    "masked by -1e30": ([-1e30, -1e30], None, FINITE),
    "masked by -1e30 at the target": ([-1e30, -1e30], 0, FINITE),
    "masked by the lowest number": (["-huge", "-huge"], None, FINITE),
}

# Rows of one value, but for the target where a second is given.
WHOLE_ROWS = {
    "all -inf": (-INF, None, NAN),
    "all -inf but the target": (-INF, 0.5, 0),
    "-inf at the target alone": (0.5, -INF, INF),
    "all +inf": (INF, None, NAN),
    "all NaN": (NAN, None, NAN),
    "NaN at the target alone": (0.5, NAN, NAN),
    "all huge": ("huge", None, FINITE),
    "all -huge": ("-huge", None, FINITE),
    "all 1e30": (1e30, None, FINITE),
    "all masked by -1e30 but the target": (-1e30, 0.5, 0),
    "all +0": (0.0, None, FINITE),
    "all -0": (-0.0, None, FINITE),
    "smallest numbers": (1e-45, -1e-45, FINITE),
}

CLASSES = (2, 5, 64, 100, 5000)
LIMITS = {"loss": 2, "forward": 2, "gradient": 4, "logsumexp": 4, "softmax": 4, "log_softmax": 4}


def number(value, dtype):
    return {"huge": HUGE[dtype], "-huge": -HUGE[dtype]}.get(value, value)


def places(count, classes):
    """First, middle and last classes, in every order; that is in any block of a long row."""
    return itertools.permutations(sorted({0, classes // 2, classes - 1}), count)


def special_rows(case, classes, dtype, rng):
    """A row for every order of places; none where there are too few classes."""
    values, which, _ = ROWS[case]
    rows, targets = [], []
    for at in places(len(values), classes):
        ordinary = sorted({0, 1, classes - 2, classes - 1} - set(at))
        if ordinary or which is not None:
            rows.append(rng.standard_normal(classes))
            rows[-1][list(at)] = [number(v, dtype) for v in values]
            targets.append(rng.choice(ordinary) if which is None else at[which])
    return np.array(rows).astype(dtype).reshape(-1, classes), np.array(targets, int)


def whole_rows(case, classes, dtype):
    value, at_target, _ = WHOLE_ROWS[case]
    y = np.array([0, classes // 2, classes - 1])
    z = np.full((3, classes), number(value, dtype))
    if at_target is not None:
        z[np.arange(3), y] = at_target
    return z.astype(dtype), y


def check_rows(z, y, loss):
    """Every function, in both memory orders, against the reference; it against `loss`."""
    dtype, x = z.dtype.type, oracle.widen(z)
    truth = dict(zip(("loss", "gradient"), oracle.softmax_cross_entropy(x, y), strict=True))
    with np.errstate(over="ignore"):
        rounded = truth["loss"].astype(dtype)
    if loss is FINITE:
        assert np.isfinite(rounded).all()
    else:
        np.testing.assert_allclose(rounded, np.full(len(y), loss), 1e-6)
    truth["forward"] = truth["loss"]
    for name in ("logsumexp", "softmax", "log_softmax"):
        truth[name] = getattr(oracle, name)(x)
    size = {"logsumexp": np.where(np.isfinite(x), np.abs(x), 0).max(1, initial=0)}
    for order in "CF":
        got = softmax_answers(np.asarray(z, order=order), y)
        for name, limit in LIMITS.items():
            what = f"{name} of {z.shape[1]} classes in {order} order"
            oracle.assert_close(got[name], truth[name], dtype, limit, size.get(name, 0), what)


def softmax_answers(z, y):
    loss, grad = everywhere.softmax_cross_entropy_value_and_grad(z, y, reduction="none")
    return {
        "loss": loss,
        "forward": everywhere.softmax_cross_entropy(z, y, reduction="none"),
        "gradient": grad,
        "logsumexp": everywhere.logsumexp(z),
        "softmax": everywhere.softmax(z),
        "log_softmax": everywhere.log_softmax(z),
    }


@pytest.mark.parametrize("case", ROWS)
def test_special_values_in_a_row(case, dtype, rng):
    for classes in CLASSES:
        z, y = special_rows(case, classes, dtype, rng)
        check_rows(z, y, ROWS[case][2])


@pytest.mark.parametrize("case", WHOLE_ROWS)
def test_rows_of_one_value(case, dtype):
    for classes in CLASSES:
        z, y = whole_rows(case, classes, dtype)
        check_rows(z, y, WHOLE_ROWS[case][2])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("classes", CLASSES)
def test_special_rows_do_not_touch_their_neighbours(classes, order, dtype, rng):
    """Every second row is special; the others keep the bits they have without them."""
    special = [special_rows(case, classes, dtype, rng) for case in ROWS]
    special += [whole_rows(case, classes, dtype) for case in WHOLE_ROWS]
    z_special, y_special = (np.concatenate(parts) for parts in zip(*special, strict=True))
    n = len(z_special)
    z, y = rng.standard_normal((n, classes)).astype(dtype), rng.integers(0, classes, n)
    mixed = np.asarray(np.stack([z, z_special], 1).reshape(2 * n, classes), order=order)
    labels = np.stack([y, y_special], 1).reshape(-1)
    got = everywhere.softmax_cross_entropy_value_and_grad(mixed, labels, reduction="none")
    want = everywhere.softmax_cross_entropy_value_and_grad(z, y, reduction="none")
    for g, w in zip(got, want, strict=True):
        assert g[::2].tobytes() == w.tobytes()


@pytest.mark.parametrize("value", [0.0, -0.0, 3.5, -1e30, 1e30, "huge", "-huge"])
def test_one_class_is_certain(value, dtype):
    """Its loss is +0, not -0, and its gradient 0."""
    z, y = np.full((4, 1), number(value, dtype), dtype), np.zeros(4, int)
    loss, grad = everywhere.softmax_cross_entropy_value_and_grad(z, y, reduction="none")
    assert loss.tobytes() == np.zeros(4, dtype).tobytes()
    assert (grad == 0).all()
    oracle.assert_close(everywhere.softmax(z), oracle.widen(np.ones_like(z)), dtype, 1)
    assert (everywhere.log_softmax(z) == 0).all()
    assert (everywhere.logsumexp(z) == z[:, 0]).all()


@pytest.mark.parametrize(("value", "loss"), [(INF, 0), (-INF, NAN), (NAN, NAN)])
def test_one_class_that_is_not_finite(value, loss, dtype):
    check_rows(np.full((4, 1), value, dtype), np.zeros(4, int), loss)


def test_losses_of_zero_are_positive_zeros(dtype):
    z, y = np.array([[0, -1000, -1000], [5000, 0, 0], [INF, 0, -INF]], dtype), np.zeros(3, int)
    loss = everywhere.softmax_cross_entropy(z, y, reduction="none")
    assert loss.tobytes() == np.zeros(3, dtype).tobytes()


@pytest.mark.parametrize("classes", CLASSES)
def test_the_sign_of_a_zero_logit_does_not_matter(classes, dtype, rng):
    z, y = rng.integers(-1, 2, (20, classes)).astype(dtype), rng.integers(0, classes, 20)
    negative = np.where(z == 0, np.array(-0.0, dtype), z)
    got = everywhere.softmax_cross_entropy_value_and_grad(z, y, reduction="none")
    same = everywhere.softmax_cross_entropy_value_and_grad(negative, y, reduction="none")
    for a, b in zip(got, same, strict=True):
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("target", ["top", "other"])
@pytest.mark.parametrize("classes", [3, *CLASSES[1:]])
def test_subnormal_gradients_keep_their_digits(target, classes, dtype):
    """An ULP down there is the smallest number; probabilities shrink until they are 0."""
    kind = np.finfo(dtype)
    edge = -np.log(oracle.widen(np.array([kind.smallest_normal])))[0]
    gaps = np.linspace(float(edge) - 3, float(edge) + 1.1 * kind.nmant * np.log(2), 100)
    z = np.zeros((100, classes), dtype)
    z[:, 0] = gaps
    y = np.full(100, 0 if target == "top" else classes - 1)
    loss, grad = oracle.softmax_cross_entropy(oracle.widen(z), y)
    assert ((0 < np.abs(grad)) & (np.abs(grad) < kind.smallest_normal)).any()
    got = everywhere.softmax_cross_entropy_value_and_grad(z, y, reduction="none")
    oracle.assert_close(got[0], loss, dtype, 2)
    oracle.assert_close(got[1], grad, dtype, 4)


# ---- empty batches ----------------------------------------------------------------------------

EMPTY = [((0, 3), 1, (0,)), ((2, 0, 3), -1, (2, 0)), ((3, 0), 0, (0,)), ((0, 4, 0), 1, (0, 0))]


@pytest.mark.parametrize(("shape", "axis", "rows"), EMPTY)
def test_no_rows(shape, axis, rows, dtype):
    """The mean of nothing is NaN, its sum 0."""
    z, y = np.empty(shape, dtype), np.empty(rows, int)
    for reduction, want in (("mean", NAN), ("sum", 0.0), ("none", np.empty(rows, dtype))):
        loss, grad = everywhere.softmax_cross_entropy_value_and_grad(
            z, y, axis=axis, reduction=reduction
        )
        np.testing.assert_array_equal(loss, want, strict=True)
        np.testing.assert_array_equal(grad, z, strict=True)
    assert everywhere.logsumexp(z, axis=axis).shape == rows
    assert everywhere.softmax(z, axis=axis).shape == shape


@pytest.mark.parametrize("shape", [(0,), (0, 3), (3, 0), (2, 0, 3)])
def test_no_elements(shape, dtype):
    x = np.empty(shape, dtype)
    for reduction, want in (("mean", NAN), ("sum", 0.0), ("none", x)):
        loss, grad = everywhere.sigmoid_cross_entropy_value_and_grad(x, x, reduction=reduction)
        np.testing.assert_array_equal(loss, want, strict=True)
        np.testing.assert_array_equal(grad, x, strict=True)
    assert everywhere.sigmoid(x).shape == shape


# ---- elements ---------------------------------------------------------------------------------

# logit, target: loss, gradient
ELEMENTS = [
    (INF, 1, 0, 0),
    (-INF, 0, 0, 0),
    (INF, 0, INF, 1),
    (-INF, 1, INF, -1),
    (INF, 0.25, INF, 0.75),
    (-INF, 0.25, INF, -0.25),
    (NAN, 0, NAN, NAN),
    (NAN, 1, NAN, NAN),
    (NAN, 0.25, NAN, NAN),
    (1.0, NAN, NAN, NAN),
    (0.0, 0, np.log(2), 0.5),
    (-0.0, 0, np.log(2), 0.5),
    (0.0, 1, np.log(2), -0.5),
    (-0.0, 1, np.log(2), -0.5),
    (1000.0, 1, 0, 0),
    (-1000.0, 1, 1000, -1),
    (1e30, 0, 1e30, 1),
    (-1e30, 0, 0, 0),
    (-30.0, 0, 9.357622968839737e-14, 9.357622968839299e-14),
]
FUNCTIONS = {
    "sigmoid": {INF: 1, -INF: 0, NAN: NAN, 0.0: 0.5, 1e30: 1, -1e30: 0},
    "log_sigmoid": {INF: 0, -INF: -INF, NAN: NAN, 0.0: -np.log(2), 1e30: 0, -1e30: -1e30},
    "softplus": {INF: INF, -INF: 0, NAN: NAN, 0.0: np.log(2), 1e30: 1e30, -1e30: 0},
}


def element_places():
    for length in (1, 5, 100, 5000):
        yield from ((length, at) for at in {0, length // 2, length - 1})


@pytest.mark.parametrize(("x", "target", "loss", "grad"), ELEMENTS)
def test_special_elements_and_their_neighbours(x, target, loss, grad, dtype):
    for length, at in element_places():
        logits, targets = np.full(length, 1, dtype), np.full(length, 1, dtype)
        plain = everywhere.sigmoid_cross_entropy_value_and_grad(logits, targets, reduction="none")
        logits[at], targets[at] = x, target
        got = everywhere.sigmoid_cross_entropy_value_and_grad(logits, targets, reduction="none")
        for g, p, want in zip(got, plain, (loss, grad), strict=True):
            p[at] = want
            np.testing.assert_array_max_ulp(g, p, 2)


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5])
def test_elements_do_not_depend_on_their_neighbours(share, dtype, request):
    """Where all are moderate they take a shorter path: it has the same bits."""
    rng = np.random.default_rng(request.config.getoption("--seed"))
    moderate, others = [0.3, -2, 11.5, -21], [80, -86, 90, -100, 707, 709, -740, INF, -INF, NAN]
    x = np.where(rng.random(6400) < share, rng.choice(others, 6400), rng.choice(moderate, 6400))
    logits, targets = x.astype(dtype), rng.choice([0, 0.25, 1], 6400).astype(dtype)
    got = everywhere.sigmoid_cross_entropy_value_and_grad(logits, targets, reduction="none")
    for value, target in itertools.product(moderate + others, (0, 0.25, 1)):
        z, y = np.array([value], dtype), np.array([target], dtype)
        alone = everywhere.sigmoid_cross_entropy_value_and_grad(z, y, reduction="none")
        same = (targets == y) & ((logits == z) | (np.isnan(logits) & np.isnan(z)))
        for g, want in zip(got, alone, strict=True):
            np.testing.assert_array_equal(g[same], np.broadcast_to(want, same.sum()))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_special_values_of_elementwise_functions(name, dtype):
    function = getattr(crossent, name)
    for (x, want), (length, at) in itertools.product(FUNCTIONS[name].items(), element_places()):
        logits = np.full(length, 1, dtype)
        plain = function(logits)
        logits[at], plain[at] = x, want
        np.testing.assert_array_max_ulp(function(logits), plain, 2)


@pytest.mark.parametrize("target", [0, 1, 0.25])
def test_the_sign_of_a_zero_element_does_not_matter(target, dtype):
    t = np.full(2, target, dtype)
    both = everywhere.sigmoid_cross_entropy_value_and_grad(
        np.array([0.0, -0.0], dtype), t, reduction="none"
    )
    for loss_or_grad in both:
        assert loss_or_grad[0].tobytes() == loss_or_grad[1].tobytes()


def test_subnormal_elements_keep_their_digits(dtype):
    kind = np.finfo(dtype)
    edge = float(-np.log(oracle.widen(np.array([kind.smallest_normal])))[0])
    x = np.linspace(edge - 3, edge + 1.1 * kind.nmant * np.log(2), 500).astype(dtype)
    for logits, targets in ((x, np.ones_like(x)), (-x, np.zeros_like(x))):
        loss, grad, _ = oracle.sigmoid_cross_entropy(oracle.widen(logits), oracle.widen(targets))
        assert ((0 < loss) & (loss < kind.smallest_normal)).any()
        got = everywhere.sigmoid_cross_entropy_value_and_grad(logits, targets, reduction="none")
        oracle.assert_close(got[0], loss, dtype, 2)
        oracle.assert_close(got[1], grad, dtype, 4)
