"""Batches larger than what the loop does at a time, which is 512 rows."""

import numpy as np
import pytest

import crossent
from crossent.train import SGD, Adam, Network

from . import plain_loop
from .test_train import assert_same, copy_of, make_net
from .test_train_errors import stopped_by_ctrl_c

ROWS, FEATURES, HIDDEN, OUTPUTS = 1300, 7, 19, 5  # batches of 700 and 600 rows, two parts each


def make_data(rng):
    X = rng.standard_normal((ROWS, FEATURES))
    weight = rng.integers(0, 3, ROWS).astype(float)
    weight[:600] = 0  # whole parts without rows that count
    return X, rng.integers(0, OUTPUTS, ROWS), weight


@pytest.mark.parametrize("normalizer", ["weight", "valid", "batch", 300.0])
@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("accumulate", [1, 2])
def test_large_batches_follow_the_plain_loop(accumulate, shuffle, output, normalizer, rng):
    X, y, weight = make_data(rng)
    if output == "sigmoid":
        y = rng.random((ROWS, OUTPUTS))
    plain, loss = {
        "softmax": (plain_loop.softmax_loss, crossent.SoftmaxCrossEntropy),
        "sigmoid": (plain_loop.sigmoid_loss, crossent.SigmoidCrossEntropy),
    }[output]
    net = make_net(rng, (FEATURES, HIDDEN, OUTPUTS), dropout=0.3, output=output)
    layers = copy_of(net)
    shared = {
        "batch_size": 700, "epochs": 2, "seed": 5, "accumulate": accumulate, "shuffle": shuffle
    }  # fmt: skip
    expected = plain_loop.fit(
        layers, ["relu"], X, y, SGD(0.1), loss=plain(normalizer=normalizer), weight=weight,
        dropout=0.3, **shared,
    )  # fmt: skip
    history = net.fit(
        X, y, loss=loss(normalizer=normalizer), optimizer=SGD(0.1), sample_weight=weight,
        **shared,
    )  # fmt: skip
    np.testing.assert_allclose(history.loss, expected, rtol=1e-11)
    assert_same(net, layers, 1e-11)


@pytest.mark.parametrize("normalizer", ["weight", "valid", "batch", 300.0])
def test_parts_without_labels_that_count(normalizer, rng):
    X, y, _ = make_data(rng)
    y[100:700] = -1
    options = {
        "ignore_index": -1, "class_weight": [1.0, 2.0, 0.5, 1.0, 3.0], "normalizer": normalizer
    }  # fmt: skip
    net = make_net(rng, (FEATURES, HIDDEN, OUTPUTS), dropout=0.3)
    layers = copy_of(net)
    shared = {"batch_size": 700, "epochs": 2, "seed": 5, "shuffle": False}
    expected = plain_loop.fit(
        layers, ["relu"], X, y, SGD(0.1), loss=plain_loop.softmax_loss(**options), dropout=0.3,
        without=y == -1, **shared,
    )  # fmt: skip
    history = net.fit(
        X, y, loss=crossent.SoftmaxCrossEntropy(**options), optimizer=SGD(0.1), **shared
    )
    np.testing.assert_allclose(history.loss, expected, rtol=1e-11)
    assert_same(net, layers, 1e-11)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_large_batch_is_accumulated_small_ones_to_the_bit(threads, dtype, rng):
    X, y = rng.standard_normal((1024, FEATURES)).astype(dtype), rng.integers(0, OUTPUTS, 1024)
    nets = [Network.create([FEATURES, HIDDEN, OUTPUTS], dtype=dtype, seed=0) for _ in range(2)]
    for net, batch, accumulate in zip(nets, (1024, 512), (1, 2), strict=True):
        net.fit(X, y, optimizer=Adam(0.01), batch_size=batch, accumulate=accumulate, epochs=3,
                threads=threads)  # fmt: skip
    for p, expected in zip(*(net.parameters() for net in nets), strict=True):
        np.testing.assert_array_equal(p, expected)


def test_more_batches_to_a_step_than_an_epoch_has(rng):
    X, y = rng.standard_normal((100, FEATURES)), rng.integers(0, OUTPUTS, 100)
    nets = [Network.create([FEATURES, OUTPUTS], dtype="float64", seed=0) for _ in range(2)]
    for net, accumulate in zip(nets, (4, 10**30), strict=True):
        net.fit(X, y, batch_size=30, accumulate=accumulate, epochs=3)
        assert net._steps == 3
    for p, expected in zip(*(net.parameters() for net in nets), strict=True):
        np.testing.assert_array_equal(p, expected)


def test_no_two_steps_draw_the_same_dropout(rng):
    X, y = rng.standard_normal((50, FEATURES)), rng.integers(0, OUTPUTS, 50)
    net = make_net(rng, (FEATURES, HIDDEN, OUTPUTS), dropout=0.5)
    history = net.fit(X, y, optimizer=SGD(1e-300), accumulate=10**30, shuffle=False, epochs=9)
    assert len(set(history.loss)) == 9


def test_evaluation_of_rows_without_weight(rng):
    features, hidden = 1100, 1000  # weights of more than 4 MB: BLAS, where it is there
    X, y = rng.standard_normal((600, features)).astype(np.float32), rng.integers(0, OUTPUTS, 600)
    weight = np.ones(600)
    weight[:530] = 0  # whole parts
    net = Network.create([features, hidden, OUTPUTS], seed=0)
    loss, accuracy = net.evaluate(X, y, sample_weight=weight)
    assert (loss, accuracy) == (pytest.approx(net.evaluate(X[530:], y[530:])[0], rel=1e-6),
                                net.evaluate(X[530:], y[530:])[1])  # fmt: skip
    assert np.isnan(net.evaluate(X, y, sample_weight=np.zeros(600))[0])
    history = net.fit(X, y, epochs=1, validation=(X, y, weight))
    assert np.isfinite(history.val_loss[0])


def test_a_number_as_normalizer_counts_once(rng):
    X, y, _ = make_data(rng)
    net = make_net(rng, (FEATURES, HIDDEN, OUTPUTS))
    mean, grads = net.backward(X, y)
    loss = crossent.SoftmaxCrossEntropy(normalizer=2.0 * ROWS)
    halved, half = net.backward(X, y, loss=loss)
    assert halved == pytest.approx(mean / 2, rel=1e-12)
    assert net.evaluate(X, y, loss=loss)[0] == pytest.approx(mean / 2, rel=1e-12)
    for pair, expected in zip(half, grads, strict=True):
        for g, e in zip(pair, expected, strict=True):
            np.testing.assert_allclose(g, e / 2, rtol=1e-12, atol=1e-15)


def test_ctrl_c_stops_within_a_long_step():
    rows = 10**6  # a second or more for one step
    X = np.broadcast_to(np.linspace(-1, 1, 784, dtype=np.float32), (rows, 784))
    net = Network.create([784, 128, 10], seed=0)
    before = [p.copy() for p in net.parameters()]
    with stopped_by_ctrl_c(0.3):
        net.fit(X, np.zeros(rows, np.int8), batch_size=rows, epochs=10, threads=1)
    assert net._steps == 0
    for p, expected in zip(net.parameters(), before, strict=True):
        np.testing.assert_array_equal(p, expected)
    twin = Network.create([784, 128, 10], seed=0)  # what was under way leaves no trace
    for other in (net, twin):
        other.partial_fit(X[:100], np.arange(100) % 10, batch_size=30)
    for p, expected in zip(net.parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(p, expected)
