"""Bits do not depend on the layout of any argument, nor on a row's neighbours."""

import numpy as np
import pytest

import crossent


def soft(rng, shape):
    t = rng.exponential(size=shape)
    return t / t.sum(1, keepdims=True)


def spread(a, how):
    """The same numbers, otherwise in memory."""
    if how == "Fortran":
        return np.asfortranarray(a)
    if how == "every second":
        wide = np.full((*a.shape[:-1], 2 * a.shape[-1]), np.nan).astype(a.dtype)
        wide[..., ::2] = a
        return wide[..., ::2]
    if how == "every second row":
        tall = np.full((2 * a.shape[0], *a.shape[1:]), np.nan).astype(a.dtype)
        tall[::2] = a
        return tall[::2]
    turned = tuple(slice(None, None, -1) for _ in a.shape)
    return a[turned].copy()[turned]


LAYOUTS = ("Fortran", "every second", "every second row", "reversed")


def bits(loss, x, t, options, call):
    xent = loss(reduction="none", **options)
    return [a.tobytes() for a in xent.value_and_grad(x, t, **call)]


@pytest.mark.filterwarnings("ignore:invalid value encountered in cast")
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("classes", [2, 3, 10, 16, 70, 300])
@pytest.mark.parametrize(
    "argument", ["target", "logits", "sample_weight", "class_mask", "upstream"]
)
def test_layout(argument, classes, layout, dtype, isa, rng):
    rows = 100
    given = {
        "logits": (5 * rng.standard_normal((rows, classes))).astype(dtype),
        "target": soft(rng, (rows, classes)).astype(dtype),
        "sample_weight": rng.lognormal(0, 1, rows),
        "class_mask": rng.random((rows, classes)) < 0.9,
        "upstream": rng.standard_normal(rows),
    }
    given["class_mask"] |= given["target"] > 0
    if argument != "class_mask":
        del given["class_mask"]
    changed = given | {argument: spread(given[argument], layout)}
    results = [
        bits(crossent.SoftmaxCrossEntropy, g.pop("logits"), g.pop("target"), {}, g)
        for g in (dict(given), changed)
    ]
    assert results[0] == results[1]


@pytest.mark.parametrize("target", ["dtype", "float64"])
@pytest.mark.parametrize("classes", [2, 5, 70])
def test_layout_of_soft_targets_of_images(classes, target, dtype, isa, rng):
    kind = dtype if target == "dtype" else target
    x = (5 * rng.standard_normal((3, classes, 4, 5))).astype(dtype)
    t = soft(rng, (3, classes, 4, 5)).astype(kind)
    options = {"axis": 1, "class_weight": rng.lognormal(0, 1, classes), "label_smoothing": 0.1}
    for given in ({"axis": 1}, options):
        want = bits(crossent.SoftmaxCrossEntropy, x, t, given, {})
        last = np.ascontiguousarray(np.moveaxis(t, 1, -1))
        assert bits(crossent.SoftmaxCrossEntropy, x, np.moveaxis(last, -1, 1), given, {}) == want
        assert bits(crossent.SoftmaxCrossEntropy, x, t[::-1].copy()[::-1], given, {}) == want


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("loss", ["categorical", "binary", "sigmoid"])
def test_layout_of_other_losses(loss, layout, dtype, isa, rng):
    p = soft(rng, (60, 7)).astype(dtype)
    t = soft(rng, (60, 7)).astype(dtype)
    of = getattr(crossent, f"{loss.capitalize()}CrossEntropy")
    want = bits(of, p, t, {"label_smoothing": 0.1}, {})
    assert bits(of, p, spread(t, layout), {"label_smoothing": 0.1}, {}) == want
    assert bits(of, spread(p, layout), t, {"label_smoothing": 0.1}, {}) == want


def test_a_row_is_the_same_beside_a_masked_anchor(dtype, isa, rng):
    x = (5 * rng.standard_normal((60, 3))).astype(dtype)
    y, mask = rng.integers(3, size=60), np.ones((60, 3), bool)
    mask[np.arange(0, 60, 4), y[::4]] = False
    for options in ({}, {"focal_gamma": 2}):
        xent = crossent.SoftmaxCrossEntropy(reduction="none", **options)
        whole = xent.value_and_grad(x, y, class_mask=mask)
        for i in range(60):
            alone = xent.value_and_grad(x[i : i + 1], y[i : i + 1], class_mask=mask[i : i + 1])
            for a, b in zip(whole, alone, strict=True):
                assert a[i : i + 1].tobytes() == b.tobytes()
