"""Losses with soft targets, smoothing and weights, in units of the last place.

All terms of such a loss are positive, so it keeps the limit of the plain loss. A gradient entry is
a difference T p_j - t_j of what the caller gave, and is held to its larger term.
"""

import itertools

import numpy as np
import pytest

import crossent

from . import oracle

LD = np.longdouble
LOSS, GRADIENT = 2, 4
TARGETS = ("labels", "one-hot", "float32", "float64")
SMOOTHING = {
    "none": {},
    "uniform": {"label_smoothing": 0.1},
    "much": {"label_smoothing": 0.7},
    "off_target": {"label_smoothing": 0.3, "smoothing": "off_target"},
    "by target": {"label_smoothing": 0.1, "smoothing_weight": "target"},
}
OPTIONS = list(itertools.product(TARGETS, SMOOTHING, (False, True), (False, True)))


def truth(x, t, w, s, label_smoothing=0.0, smoothing="uniform", smoothing_weight="class"):
    """Row losses, gradient, and the larger of the two terms of each of its entries."""
    x, t, classes = x.astype(LD), t.astype(LD), x.shape[1]
    minus_log_p = -oracle.log_softmax(x)
    e = LD(label_smoothing)
    share = e / (classes - (smoothing == "off_target"))
    kept = 1 - e - (share if smoothing == "off_target" else 0)
    if smoothing_weight == "target":
        w = (w * t).sum(1, keepdims=True) / t.sum(1, keepdims=True)
    t = s[:, None] * w * (kept * t + share)
    push = np.exp(-minus_log_p) * t.sum(1, keepdims=True)
    return (t * minus_log_p).sum(1), push - t, np.maximum(push, t)


@pytest.mark.parametrize("classes", [2, 3, 10, 70, 5000])
@pytest.mark.parametrize(("kind", "smoothing", "weighted", "sampled"), OPTIONS)
def test_loss_and_gradient(kind, smoothing, weighted, sampled, classes, dtype, rng):
    rows = max(4, 3000 // classes)
    spread = rng.choice([0.3, 1, 4, 20], (rows, 1))
    x = (spread * rng.standard_normal((rows, classes)) + rng.choice([0, 100])).astype(dtype)
    labels = np.where(rng.random(rows) < 0.5, x.argmax(1), rng.integers(classes, size=rows))
    t = np.eye(classes)[labels]
    if kind.startswith("float"):
        t = rng.exponential(size=x.shape)
        t = (t / t.sum(1, keepdims=True)).astype(kind)
    options, call, w, s = dict(SMOOTHING[smoothing]), {}, np.ones(classes), np.ones(rows)
    if weighted:
        w = options["class_weight"] = rng.uniform(0.1, 3, classes)
    if sampled:
        s = call["sample_weight"] = rng.uniform(0.1, 3, rows)
    if classes == 2 and smoothing == "off_target":
        options["label_smoothing"] = 0.125
    xent = crossent.SoftmaxCrossEntropy(reduction="none", **options)
    loss, grad = xent.value_and_grad(x, labels if kind == "labels" else t, **call)
    options.pop("class_weight", None)
    oracle.widen(x)
    want_loss, want_grad, terms = truth(x, t, w.astype(LD), s.astype(LD), **options)
    oracle.assert_close(loss, want_loss, dtype, LOSS, what="loss")
    oracle.assert_close(grad, want_grad, dtype, GRADIENT, terms, what="gradient")


def test_a_one_hot_row_gives_the_bits_of_its_label(dtype, rng):
    """Whatever other rows are, and under every option that weighs or spreads."""
    x = (4 * rng.standard_normal((40, 6))).astype(dtype)
    labels = rng.integers(6, size=40)
    t = np.eye(6)[labels]
    t[::2] = rng.dirichlet(np.ones(6), 20)
    extra = {"focal_gamma": 1.5, "z_loss": 0.01, "temperature": 0.7}
    for smoothing, weight in itertools.product(SMOOTHING.values(), (None, rng.uniform(0.1, 3, 6))):
        for more in ({}, extra):
            options = {"class_weight": weight, "reduction": "none", **smoothing, **more}
            xent = crossent.SoftmaxCrossEntropy(**options)
            for got, want in zip(
                xent.value_and_grad(x, t), xent.value_and_grad(x, labels), strict=True
            ):
                assert got[1::2].tobytes() == want[1::2].tobytes()


@pytest.mark.parametrize("classes", [6, 70])
def test_a_one_hot_row_gives_the_zeros_of_its_label(classes, dtype, isa, rng):
    """A negative upstream gives -0 where a probability is 0; targets of the logits' own type."""
    x = rng.standard_normal((40, classes)).astype(dtype)
    x[:, -1] = -np.inf
    labels = rng.integers(classes - 1, size=40)
    t = np.eye(classes, dtype=dtype)[labels]
    t[::2, :-1] = rng.dirichlet(np.ones(classes - 1), 20)
    xent = crossent.SoftmaxCrossEntropy(reduction="none")
    _, got = xent.value_and_grad(x, t, upstream=-1)
    _, want = xent.value_and_grad(x, labels, upstream=-1)
    assert np.signbit(want[:, -1]).all()
    assert got[1::2].tobytes() == want[1::2].tobytes()


@pytest.mark.parametrize("options", [{}, {"temperature": 3}, {"sample_weight": True}])
@pytest.mark.parametrize("classes", [3, 10, 64, 65])
def test_statistics_and_accumulation_leave_the_bits_alone(classes, options, dtype, isa, rng):
    """Short rows too, whose losses are summed in double before they are rounded."""
    x = (4 * rng.standard_normal((100, classes))).astype(dtype)
    y, options, call = rng.integers(classes, size=100), dict(options), {}
    if options.pop("sample_weight", None):
        call["sample_weight"] = rng.uniform(0.1, 3, 100)
    xent = crossent.SoftmaxCrossEntropy(**options)
    loss, grad = xent.value_and_grad(x, y, **call)
    same, slope, _ = xent.value_and_grad(x, y, return_aux="entropy", **call)
    added, out = xent.value_and_grad(x, y, out=np.zeros_like(x), accumulate=True, **call)
    assert loss == same == added
    assert grad.tobytes() == slope.tobytes()
    np.testing.assert_array_equal(grad, out)
