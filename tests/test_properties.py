"""What holds for all batches; hypothesis looks for one where it does not."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

import crossent

from . import oracle

few = settings(max_examples=40, derandomize=True, deadline=None)
CLASSES = st.one_of(st.integers(2, 130), st.sampled_from([4095, 4096, 4097, 8193]))
SEEDS = st.integers(0, 2**32)
INTEGERS = "bBhHiIqQ"


@st.composite
def batches(draw):
    """Logits that are multiples of 2^-6, so that moving them by another multiple is exact."""
    rng = np.random.default_rng(draw(SEEDS))
    classes = draw(CLASSES)
    rows = draw(st.integers(1, 70 if classes < 1000 else 3))
    scale = draw(st.sampled_from([0.05, 1, 10, 100, 1000]))
    z = np.round(scale * rng.standard_normal((rows, classes)) * 64) / 64
    return z.astype(draw(st.sampled_from([np.float32, np.float64]))), rng.integers(0, classes, rows)


def both(z, y, **options):
    return crossent.softmax_cross_entropy_value_and_grad(z, y, **{"reduction": "none"} | options)


def assert_both_close(got, want):
    """Two results within 2 and 4 ULP of one truth are within twice that, and the step between two
    binades, of each other."""
    for g, w, limit in zip(got, want, (5, 9), strict=True):
        oracle.assert_close(g, oracle.widen(w), w.dtype.type, limit)


@few
@given(batches(), st.integers(-(2**16), 2**16))
def test_a_shift_of_all_logits_changes_nothing(batch, shift):
    z, y = batch
    moved = z + z.dtype.type(shift / 64)
    np.testing.assert_array_equal(moved - z, shift / 64)
    assert_both_close(both(moved, y), both(z, y))


@few
@given(batches(), SEEDS)
def test_the_order_of_classes_does_not_matter(batch, seed):
    z, y = batch
    order = np.random.default_rng(seed).permutation(z.shape[1])
    loss, grad = both(z, y)
    assert_both_close(both(z[:, order], np.argsort(order)[y]), (loss, grad[:, order]))


@few
@given(batches(), SEEDS)
def test_rows_are_permuted_as_they_are_given(batch, seed):
    z, y = batch
    order = np.random.default_rng(seed).permutation(len(z))
    for g, w in zip(both(z[order], y[order]), both(z, y), strict=True):
        assert g.tobytes() == w[order].tobytes()


@few
@given(batches(), st.data())
def test_a_batch_is_its_parts(batch, data):
    z, y = batch
    cut = data.draw(st.integers(0, len(z)))
    parts = zip(both(z[:cut], y[:cut]), both(z[cut:], y[cut:]), strict=True)
    for (head, tail), whole in zip(parts, both(z, y), strict=True):
        assert np.concatenate([head, tail]).tobytes() == whole.tobytes()


@few
@given(batches(), st.sampled_from(INTEGERS))
def test_the_integer_type_of_labels_does_not_matter(batch, kind):
    z, y = batch
    y = y % min(np.iinfo(kind).max, len(z[0]))
    for g, w in zip(both(z, y.astype(kind)), both(z, y), strict=True):
        assert g.tobytes() == w.tobytes()


@few
@given(batches(), st.data())
def test_a_class_of_minus_infinity_is_no_class(batch, data):
    z, y = batch
    at = data.draw(st.integers(0, z.shape[1]))
    loss, grad = both(np.insert(z, at, -np.inf, 1), y + (y >= at))
    assert not grad[:, at].any()
    assert_both_close((loss, np.delete(grad, at, 1)), both(z, y))


@few
@given(batches())
def test_mean_and_sum_are_those_of_the_row_losses(batch):
    z, y = batch
    rows = both(z, y)[0].astype(np.float64)
    for reduction in ("sum", "mean"):
        loss = both(z, y, reduction=reduction)[0]
        np.testing.assert_allclose(loss, getattr(rows, reduction)(), 4 * np.finfo(z.dtype).eps)


@few
@given(batches())
def test_a_binary_loss_of_the_other_class_is_that_of_the_opposite_logit(batch):
    x, _ = batch
    one, zero = np.ones_like(x), np.zeros_like(x)
    loss, grad = crossent.sigmoid_cross_entropy_value_and_grad(x, one, reduction="none")
    other, slope = crossent.sigmoid_cross_entropy_value_and_grad(-x, zero, reduction="none")
    assert loss.tobytes() == other.tobytes()
    assert np.array_equal(grad, -slope)
