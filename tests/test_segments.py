"""Rows so long that they are cut into segments (131,072 classes), which threads may share."""

import numpy as np
import pytest

import crossent

SEGMENT = 131_072
CLASSES = (SEGMENT, SEGMENT + 1, 2 * SEGMENT + 4097, 700_001)
KINDS = ("even", "rising", "falling", "far from 0", "first segment masked", "sure")


def long_rows(kind, rows, classes, dtype):
    """Logits and labels; what is special lies in a segment of its own."""
    rng = np.random.default_rng(classes)
    z, labels = rng.standard_normal((rows, classes)) * 3, rng.integers(SEGMENT - 9, classes, rows)
    if kind in ("rising", "falling"):
        z = np.sort(z, 1)[:, :: 1 if kind == "rising" else -1] * 30
    elif kind == "far from 0":
        z = z * 1e7 + 5e8
    elif kind == "first segment masked":
        z[:, : SEGMENT - 9] = -np.inf
    elif kind == "sure":
        z[np.arange(rows), labels] += 60
    return z.astype(dtype), labels


def truth(z, labels):
    """Losses and probabilities in longdouble, as sums of positive terms."""
    rows, x = np.arange(len(z)), z.astype(np.longdouble)
    top = x.max(1, keepdims=True)
    e = np.exp(x - top)
    own, others = e[rows, labels].copy(), e.copy()
    others[rows, labels] = 0
    others = others.sum(1)
    far = np.log(own + others) + (top[:, 0] - x[rows, labels])
    loss = np.where(own == 1, np.log1p(others), far)
    p = e / (own + others)[:, None]
    grad = p.copy()
    grad[rows, labels] = -others / (own + others)
    return loss, p, grad


def ulps(got, want):
    return np.abs((got - want) / np.spacing(np.abs(want).astype(got.dtype))).max()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("classes", CLASSES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_losses_gradients_and_softmax(dtype, classes, kind):
    z, labels = long_rows(kind, 1, classes, dtype)
    loss, p, want = truth(z, labels)
    got, grad = crossent.softmax_cross_entropy_value_and_grad(z, labels, reduction="none")
    normal = np.abs(want) > np.finfo(dtype).tiny
    assert ulps(got, loss) <= 2
    assert ulps(grad[normal], want[normal]) <= 4
    assert (np.abs(grad[~normal]) <= 2 * np.finfo(dtype).tiny).all()
    assert ulps(crossent.softmax(z)[normal], p[normal]) <= 4
    lse = loss + z[0, labels]
    assert np.abs(crossent.logsumexp(z) - lse) <= 2 * np.spacing(np.abs(lse).astype(dtype))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_bits_do_not_depend_on_threads_instruction_set_or_layout(dtype, kind, isa):
    z, labels = long_rows(kind, 2, 2 * SEGMENT + 4097, dtype)
    function = crossent.softmax_cross_entropy_value_and_grad
    crossent._core._use_isa("scalar")
    loss, grad = function(z, labels, reduction="none", threads=1)
    crossent._core._use_isa(isa)
    layouts = z, np.asfortranarray(z)
    for x, threads in [(x, threads) for x in layouts for threads in (1, 2, 3, 7)]:
        got, got_grad = function(x, labels, reduction="none", threads=threads)
        assert got.tobytes() == loss.tobytes()
        assert np.ascontiguousarray(got_grad).tobytes() == grad.tobytes()
        here = x.copy("K")
        got, got_grad = function(here, labels, out=here, reduction="none", threads=threads)
        assert got.tobytes() == loss.tobytes()
        assert np.ascontiguousarray(here).tobytes() == grad.tobytes()
