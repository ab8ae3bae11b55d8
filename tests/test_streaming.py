"""Accumulators: exact sums, whatever the order; log-sum-exp of slices of the classes."""

import copy
import itertools
import math
import pickle
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import crossent

from . import oracle

finite = st.floats(allow_nan=False, allow_infinity=False)
weights = st.floats(0, 1e300)
rows = st.lists(st.tuples(finite, weights), max_size=20)


def results(total):
    numbers = total.loss_sum, total.weight, total.mean, total.accuracy
    return [x.hex() for x in numbers] + [total.count, total.correct]


def correctly_rounded(fraction):
    try:
        return fraction.numerator / fraction.denominator
    except OverflowError:
        return math.inf if fraction > 0 else -math.inf


@given(rows, st.randoms())
def test_no_order_and_no_split_changes_a_bit(batch, random):
    one_by_one = crossent.LossAccumulator()
    for loss, weight in batch:
        one_by_one.update(loss, weight, count=1)
    random.shuffle(batch)
    parts = [crossent.LossAccumulator() for _ in range(3)]
    for loss, weight in batch:
        random.choice(parts).update(loss, weight, count=1)
    for a, b, c in itertools.permutations(parts):
        assert results(a + b + c) == results(one_by_one)
        assert a + (b + c) == one_by_one


@given(rows)
def test_sums_are_exact_and_rounded_once(batch):
    losses, w = np.array(batch).reshape(-1, 2).T
    total = crossent.LossAccumulator().update_from(losses, w)
    exact, weight = sum(map(Fraction, losses), Fraction()), sum(map(Fraction, w), Fraction())
    assert total.loss_sum == correctly_rounded(exact)
    assert total.weight == correctly_rounded(weight)
    assert total.count == np.count_nonzero(w)
    if weight == 0:
        assert math.isnan(total.mean)
    else:
        assert total.mean == correctly_rounded(exact / weight)


def test_large_arrays_are_added_exactly(rng):
    x = rng.standard_normal(3_000_000) * 10.0 ** rng.integers(-300, 300, 3_000_000)
    total = crossent.LossAccumulator().update_from(x)
    assert total.loss_sum == math.fsum(x)
    assert results(crossent.LossAccumulator().update_from(x[::-1])) == results(total)


@pytest.mark.parametrize("tiny", [5e-324, -5e-324, 2.0**-1022, 1.7976931348623157e308])
def test_the_ends_of_the_range(tiny):
    for total in (
        crossent.LossAccumulator().update(tiny, 1),
        crossent.LossAccumulator().update_from([tiny]),
        crossent.LossAccumulator().update_from([1.0, tiny, -1.0], [1, 0, 0]),
    ):
        assert total.loss_sum == tiny


def test_losses_that_are_not_finite():
    def mean(*losses):
        return crossent.LossAccumulator().update_from(losses).mean

    assert mean(1.0, math.inf) == math.inf
    assert mean(-math.inf, 1.0) == -math.inf
    assert math.isnan(mean(math.inf, -math.inf))
    assert math.isnan(mean(math.nan, math.inf))
    both = crossent.LossAccumulator().update(math.inf, 1) + crossent.LossAccumulator().update(-1, 1)
    assert both.mean == math.inf


def test_mini_batches_give_the_mean_of_all(dtype, rng):
    z, y = rng.standard_normal((100, 5)).astype(dtype), rng.integers(0, 5, 100)
    w = rng.random(100).astype(dtype)
    xent = crossent.SoftmaxCrossEntropy(reduction="none")
    total = crossent.LossAccumulator()
    for part in np.split(np.arange(100), [7, 50]):
        losses, aux = xent.forward(z[part], y[part], sample_weight=w[part], return_aux=("correct",))
        total.update_from(losses, w[part], correct=aux["correct"])
    want = crossent.softmax_cross_entropy(z, y, sample_weight=w)
    assert total.mean == pytest.approx(want, rel=float(2 * np.finfo(dtype).eps))
    assert total.accuracy == np.mean(z.argmax(1) == y)


def test_accumulators_pickle_and_copy():
    total = crossent.LossAccumulator().update(0.1, 3, count=3, correct=2)
    total.update(math.nan, 1, count=1)
    for other in (pickle.loads(pickle.dumps(total)), copy.copy(total), copy.deepcopy(total)):
        assert other == total
        assert results(other.merge(total)) == results(total + total)
    assert total.count == 4
    assert repr(total) == "<crossent.LossAccumulator: mean nan, weight 4.0, count 4, correct 2>"


def accumulated(losses):
    return crossent.LossAccumulator().update_from(losses)


def test_processes_give_the_same_bits(rng):
    x = rng.standard_normal(1000) * 1e10
    with ProcessPoolExecutor(2) as pool:
        parts = list(pool.map(accumulated, np.split(x, 4)))
    assert results(sum(parts[1:], parts[0])) == results(accumulated(x))


MISTAKES = {
    "negative weight": (lambda t: t.update(1, -1), ValueError, "weight is -1; expected"),
    "NaN weight": (lambda t: t.update(1, math.nan), ValueError, "weight is nan; expected"),
    "more right than counted": (
        lambda t: t.update(1, 1, count=1, correct=2),
        ValueError,
        "correct is 2; expected 0 <= correct <= count, 1",
    ),
    "shape of weights": (
        lambda t: t.update_from([1, 2], [1]),
        ValueError,
        "weights has shape (1,); expected that of losses, (2,)",
    ),
    "NaN weights": (lambda t: t.update_from([1], [math.nan]), ValueError, "weights[0] is nan"),
    "negative weights": (
        lambda t: t.update_from([[1, 2]], [[1, -2]]),
        ValueError,
        "weights[0, 1] is -2.0; expected finite numbers, at least 0",
    ),
    "infinite weights": (lambda t: t.update_from([1], [math.inf]), ValueError, "weights[0] is inf"),
    "infinite count": (lambda t: t.update(5.0, 2.0, count=math.inf), TypeError, "count is inf"),
    "count of a huge number": (
        lambda t: t.update(5.0, 2.0, count=1, correct=10**400),
        ValueError,
        "expected 0 <= correct <= count, 1",
    ),
    "masked losses": (
        lambda t: t.update_from(np.ma.array([1.0])),
        TypeError,
        "losses is a masked array",
    ),
    "masked weights": (
        lambda t: t.update_from([1.0], np.ma.array([1.0])),
        TypeError,
        "weights is a masked array",
    ),
    "masked answers": (
        lambda t: t.update_from([1.0], correct=np.ma.array([True])),
        TypeError,
        "correct is a masked array",
    ),
    "masked sum": (lambda t: t.update(np.ma.masked, 1), TypeError, "loss_sum is a masked array"),
    "text": (lambda t: t.update("x", 1), TypeError, "loss_sum is a str; expected one number"),
    "losses as sum": (lambda t: t.update([1.0, 2.0], 1), TypeError, "update_from takes the losses"),
    "text as losses": (lambda t: t.update_from(["x"]), TypeError, "losses has dtype <U1; expected"),
    "merge": (lambda t: t.merge(1.0), TypeError, "other is a float; expected a LossAccumulator"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_leave_an_accumulator_alone(mistake):
    call, error, message = MISTAKES[mistake]
    total = crossent.LossAccumulator().update(0.5, 1, count=1)
    before = copy.copy(total)
    with pytest.raises(error) as caught:
        call(total)
    assert message in str(caught.value)
    assert total == before


def test_losses_of_ignored_rows_are_noticed(rng):
    z, y = rng.standard_normal((20, 4)), rng.integers(0, 4, 20)
    y[[3, 7]] = -100
    losses = crossent.softmax_cross_entropy(z, y, ignore_index=-100, reduction="none")
    total = crossent.LossAccumulator()
    with pytest.warns(RuntimeWarning, match=r"2 of 20 losses are exactly 0.*weights=\(target != "):
        total.update_from(losses)
    right = crossent.LossAccumulator().update_from(losses, y != -100)
    want = crossent.softmax_cross_entropy(z, y, ignore_index=-100)
    assert right.mean == pytest.approx(want, rel=1e-15)
    assert right.count == 18
    assert crossent.LossAccumulator().update_from(losses, validate=False) == total


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.int8, ">f8"])
def test_losses_of_any_type_and_layout(kind, rng):
    losses = (10 * rng.random((300, 700)) + 1).astype(kind)
    weights, correct = rng.random(losses.shape).astype(np.float32), losses > 5
    want = crossent.LossAccumulator()
    want.update_from(losses.astype(float), weights.astype(float), correct=correct)
    for change in (
        np.asfortranarray,
        lambda a: np.repeat(a, 2, axis=1)[:, ::2],
        np.ascontiguousarray,
    ):
        found = crossent.LossAccumulator().update_from(
            change(losses), change(weights), correct=change(correct)
        )
        assert found == want
    weights[299, 650] = -1
    with pytest.raises(ValueError, match=r"weights\[299, 650\] is -1.0; expected finite"):
        want.update_from(losses, weights)


def test_bfloat16_losses(rng):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    losses = (rng.random(1000) + 1).astype(ml_dtypes.bfloat16)
    found = crossent.LossAccumulator().update_from(losses)
    assert found == crossent.LossAccumulator().update_from(losses.astype(float))


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_memory_of_an_update_does_not_grow_with_the_losses(kind):
    import tracemalloc

    losses, weights = np.ones(2_000_000, kind), np.ones(2_000_000, kind)
    total = crossent.LossAccumulator()
    tracemalloc.start()
    total.update_from(losses, weights, correct=losses)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < losses.nbytes
    assert (total.mean, total.count, total.correct) == (1.0, 2_000_000, 2_000_000)


# ---- log-sum-exp of slices --------------------------------------------------------------------


def merged(x, cuts, order=None, axis=-1):
    states = [
        crossent.LogSumExpState.from_logits(part, axis=axis) for part in np.split(x, cuts, axis)
    ]
    if order is not None:
        states = [states[i] for i in order]
    return sum(states[1:], states[0]).result()


@pytest.mark.parametrize("offset", [0, 1, -127.9, 128.1, 700, 1e4, -1e6, 1e30])
@pytest.mark.parametrize("scale", [1e-3, 1, 30, 200])
def test_slices_give_the_whole(offset, scale, dtype, rng):
    x = (scale * rng.standard_normal((50, 97)) + offset).astype(dtype)
    want, size = oracle.logsumexp(oracle.widen(x)), np.abs(oracle.widen(x)).max(1)
    for cuts in ([], [50], [1, 2, 3], range(1, 97)):
        oracle.assert_close(merged(x, cuts), want, dtype, 4, size)


def test_states_have_the_same_bits_on_every_instruction_set(isa, rng):
    x = 300 * rng.standard_normal((50, 97))
    before, cuts = crossent.isa(), [1, 40, 60]
    found = merged(x, cuts)
    crossent._core._use_isa("scalar")
    expected = merged(x, cuts)
    crossent._core._use_isa(before)
    np.testing.assert_array_equal(found, expected, strict=True)


def test_states_far_apart_are_rescaled(rng):
    """Bases of 0, 1, 2, 3 and 4 steps apart: each factor e^-256, e^-512 and 0."""
    for far in (0.0, 256.0, 512.0, 768.0, 1024.0):
        x = np.array([[1.0, 2.0, far + 1.0, far + 0.5]])
        want = oracle.logsumexp(oracle.widen(x))
        for order in ([0, 1], [1, 0]):
            oracle.assert_close(merged(x, [2], order), want, np.float64, 2)


def test_a_rising_maximum_costs_no_digits(dtype):
    """Every slice outweighs those before it; the bases move."""
    x = np.linspace(-2000, 2000, 3001).astype(dtype)[None]
    want = oracle.logsumexp(oracle.widen(x))
    for order in (range(3001), range(3000, -1, -1)):
        got = merged(x, range(1, 3001), order)
        oracle.assert_close(got, want, dtype, 2)


@settings(max_examples=50)
@given(st.permutations(range(8)), st.integers(0, 2**32 - 1))
def test_order_of_slices_does_not_matter(order, seed):
    x = 100 * np.random.default_rng(seed).standard_normal((5, 40))
    cuts = range(5, 40, 5)
    np.testing.assert_array_max_ulp(merged(x, cuts, order), merged(x, cuts), 1)


def test_special_values_of_slices(dtype):
    inf, nan = np.inf, np.nan
    x = np.array(
        [
            [-inf, -inf, -inf],
            [-inf, 0, -inf],
            [inf, 0, -inf],
            [inf, 5, inf],
            [nan, 0, 0],
            [0, inf, nan],
            [nan, -inf, -inf],
            [1e30, -1e30, 0],
        ],
        dtype,
    )
    want = [-inf, 0, inf, inf, nan, nan, nan, dtype(1e30)]
    for order in itertools.permutations(range(3)):
        got = merged(x, [1, 2], order)
        np.testing.assert_array_equal(got, np.array(want, dtype), strict=True)


@pytest.mark.parametrize("axis", [0, 1, 2, -2])
def test_axis_of_slices(axis, dtype, rng):
    x = rng.standard_normal((6, 6, 6)).astype(dtype)
    np.testing.assert_allclose(
        merged(x, [2, 3], axis=axis), crossent.logsumexp(x, axis=axis), 4 * np.finfo(dtype).eps
    )


def test_states_pickle_and_are_not_changed_by_addition(rng):
    x = rng.standard_normal((3, 4))
    a, b = (crossent.LogSumExpState.from_logits(part, axis=1) for part in (x[:, :1], x[:, 1:]))
    before = a.result()
    total = pickle.loads(pickle.dumps(a)) + b
    np.testing.assert_array_equal(a.result(), before)
    np.testing.assert_array_equal(total.result(), a.merge(b).result(), strict=True)
    assert repr(total) == "<crossent.LogSumExpState: rows of shape (3,), float64>"
    assert type(crossent.LogSumExpState.from_logits(x[0]).result()) is np.float64


def test_mistakes_with_states(rng):
    a, b = (crossent.LogSumExpState.from_logits(np.zeros((n, 2))) for n in (2, 3))
    with pytest.raises(ValueError, match=r"other has rows of shape \(3,\); expected \(2,\)"):
        a.merge(b)
    with pytest.raises(TypeError, match="other is a int; expected a LogSumExpState"):
        a.merge(1)
    with pytest.raises(TypeError, match=r"x is a masked array.*x.filled\(...\)"):
        crossent.LogSumExpState.from_logits(np.ma.zeros((2, 2)))
