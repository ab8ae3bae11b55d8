"""The compiled loop against a plain one of the same arithmetic, step by step."""

import ctypes
import os
import pickle
import sys
from itertools import pairwise

import numpy as np
import pytest

import crossent
from crossent.train import SGD, Adam, AdamW, Constant, Cosine, Network, Steps, WarmUp
from crossent.train.binding import bind_data, new_loop

from . import plain_loop

ROWS, FEATURES, HIDDEN, CLASSES = 53, 7, 19, 5  # nothing fits a register or a batch


def make_data(rng, dtype=np.float64, rows=ROWS, classes=CLASSES):
    X = rng.standard_normal((rows, FEATURES)).astype(dtype)
    return X, rng.integers(0, classes, rows)


def make_net(rng, widths=(FEATURES, HIDDEN, CLASSES), dtype=np.float64, **options):
    layers = [
        (
            0.5 * rng.standard_normal((n, m)).astype(dtype),
            0.1 * rng.standard_normal(m).astype(dtype),
        )
        for n, m in pairwise(widths)
    ]
    return Network(layers, **options)


def copy_of(net):
    return [[np.array(p, np.float64) for p in pair] for pair in net.layers]


def bound_loop(net, X, y):
    loop, _, _ = new_loop(net, 8, 1)
    bind_data(loop, net, X, y, None, None)
    return loop


def assert_same(net, layers, tolerance):
    for pair, expected in zip(net.layers, layers, strict=True):
        for p, e in zip(pair, expected, strict=True):
            np.testing.assert_allclose(p, e, rtol=tolerance, atol=tolerance)


OPTIMIZERS = {
    "sgd": SGD(0.1),
    "momentum": SGD(0.1, momentum=0.9),
    "nesterov": SGD(0.1, momentum=0.9, nesterov=True),
    "adam": Adam(0.01),
    "adamw": AdamW(0.01, weight_decay=0.1),
    "l2": SGD(0.1, l2=0.1),
    "l1": Adam(0.01, l1=0.01),
    "clip": SGD(0.5, clip=0.3),
}


def check_against_plain(rng, optimizer, activation="relu", dtype=np.float64, tolerance=1e-11,
                        y=None, plain_loss=None, outputs=CLASSES, output="softmax", accumulate=1,
                        sample_weight=None, **options):  # fmt: skip
    X, labels = make_data(rng, dtype)
    y = labels if y is None else y
    net = make_net(rng, (FEATURES, HIDDEN, outputs), dtype, activation=activation, output=output)
    layers = copy_of(net)
    shared = {"batch_size": 8, "epochs": 3, "seed": 5, "accumulate": accumulate}
    expected = plain_loop.fit(
        layers, [activation], X.astype(float), y, optimizer, loss=plain_loss, weight=sample_weight,
        **shared,
    )  # fmt: skip
    history = net.fit(X, y, optimizer=optimizer, sample_weight=sample_weight, **shared, **options)
    np.testing.assert_allclose(history.loss, expected, rtol=tolerance)
    assert_same(net, layers, tolerance)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizers_follow_the_plain_loop(name, rng):
    check_against_plain(rng, OPTIMIZERS[name])


@pytest.mark.parametrize("activation", plain_loop.ACTIVATIONS)
def test_activations_follow_the_plain_loop(activation, isa, rng):
    check_against_plain(rng, SGD(0.1), activation)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_float32_follows_the_plain_loop_to_its_rounding(name, isa, rng):
    # A sign that rounding turns is a step of Adam's whole rate: 1 % of it are the tolerance.
    check_against_plain(rng, OPTIMIZERS[name], dtype=np.float32, tolerance=1e-4)


@pytest.mark.parametrize("outputs", [1, 2, 5, 8, 10, 11, 12, 17])
@pytest.mark.parametrize("features", [3, 64, 201])
def test_products_of_any_width(features, outputs, isa, dtype, rng):
    X = rng.standard_normal((45, features)).astype(dtype)
    y = rng.integers(0, 2, (45, outputs))
    net = Network.create([features, outputs], dtype=dtype, output="sigmoid", seed=0)
    _, [(dw, db)] = net.backward(X, y)
    z = X.astype(float) @ net.layers[0][0].astype(float)
    delta = (1 / (1 + np.exp(-z)) - y) / y.size
    tolerance = 1e-5 if dtype == np.float32 else 1e-13
    np.testing.assert_allclose(dw, X.T.astype(float) @ delta, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(db, delta.sum(axis=0), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("widths", [(7, 5), (7, 19, 5), (7, 33, 16, 5)])
def test_any_depth(widths, rng):
    X, y = make_data(rng)
    net = make_net(rng, widths, activation="tanh")
    layers = copy_of(net)
    plain_loop.fit(layers, ["tanh"] * (len(widths) - 2), X, y, SGD(0.1), batch_size=10, epochs=2)
    net.fit(X, y, optimizer=SGD(0.1), batch_size=10, epochs=2)
    assert_same(net, layers, 1e-11)


@pytest.mark.parametrize("outputs", [1, 3])
def test_sigmoids_of_any_width(outputs, dtype, rng):
    y = rng.integers(0, 2, (ROWS, outputs))
    check_against_plain(rng, SGD(0.1), **limits(dtype), y=y, outputs=outputs, output="sigmoid",
                        plain_loss=plain_loop.sigmoid_loss())  # fmt: skip


def test_targets_of_the_sigmoid_in_every_dtype_give_the_same_bits(rng):
    X, y = make_data(rng, classes=2)
    nets = []
    for target in (y, y.astype(np.int8), y.astype(bool), y[:, None].astype(float)):
        net = make_net(np.random.default_rng(1), (FEATURES, 1))
        net.fit(X, target, epochs=2)
        nets.append(net)
    for net in nets[1:]:
        np.testing.assert_array_equal(net.layers[0][0], nets[0].layers[0][0])


@pytest.mark.parametrize("batch_size", [1, 8, ROWS, 1000])
def test_batch_sizes(batch_size, rng):
    X, y = make_data(rng)
    net = make_net(rng)
    layers = copy_of(net)
    plain_loop.fit(layers, ["relu"], X, y, SGD(0.05), batch_size=batch_size, epochs=2)
    net.fit(X, y, optimizer=SGD(0.05), batch_size=batch_size, epochs=2)
    assert_same(net, layers, 1e-10)


def test_accumulated_batches_are_one_large_batch(rng):
    X, y = make_data(rng)
    weight = rng.random(ROWS)
    net = make_net(rng)
    layers = copy_of(net)
    plain_loop.fit(
        layers, ["relu"], X, y, Adam(0.01), batch_size=8, accumulate=3, weight=weight, epochs=2
    )
    net.fit(X, y, optimizer=Adam(0.01), batch_size=8, accumulate=3, sample_weight=weight, epochs=2)
    assert_same(net, layers, 1e-10)


def test_dropout_follows_the_documented_generator(rng):
    X, y = make_data(rng)
    net = make_net(rng, dropout=0.4)
    layers = copy_of(net)
    plain_loop.fit(layers, ["relu"], X, y, SGD(0.1), batch_size=8, epochs=1, seed=3, dropout=0.4)
    net.fit(X, y, optimizer=SGD(0.1), batch_size=8, epochs=1, seed=3)
    assert_same(net, layers, 1e-11)


def test_weights_are_repetitions(dtype, rng):
    X, y = make_data(rng, dtype)
    weight = rng.integers(0, 3, ROWS).astype(float)
    net, other = make_net(rng, dtype=dtype), None
    other = Network([tuple(p.copy() for p in pair) for pair in net.layers])
    net.fit(X, y, sample_weight=weight, epochs=2, shuffle=False, batch_size=ROWS)
    kept = np.repeat(np.arange(ROWS), weight.astype(int))
    other.fit(X[kept], y[kept], epochs=2, shuffle=False, batch_size=1000)
    assert_same(net, copy_of(other), 1e-4 if dtype == np.float32 else 1e-9)


CLASS_WEIGHT = [1.0, 2.0, 0.5, 0.0, 3.0]
LOSSES = {
    "plain": {},
    "label_smoothing": {"label_smoothing": 0.1},
    "off_target": {"label_smoothing": 0.1, "smoothing": "off_target"},
    "class_weight": {"class_weight": CLASS_WEIGHT},
    "smoothed_and_weighted": {"label_smoothing": 0.1, "class_weight": CLASS_WEIGHT},
    "smoothed_by_target": {
        "label_smoothing": 0.1, "class_weight": CLASS_WEIGHT, "smoothing_weight": "target",
    },
    "ignore_index": {"ignore_index": 2},
    "ignore_two": {"ignore_index": (0, 2), "class_weight": CLASS_WEIGHT},
    "focal": {"focal_gamma": 2.0, "focal_alpha": [1.0, 2.0, 0.5, 1.0, 3.0]},
    "z_loss": {"z_loss": 0.01},
    "softcap": {"softcap": 2.0, "temperature": 0.7},
    "many": {
        "label_smoothing": 0.1, "class_weight": CLASS_WEIGHT, "ignore_index": 2,
        "focal_gamma": 1.5, "z_loss": 0.01, "softcap": 3.0, "temperature": 0.7,
    },
    "valid": {"normalizer": "valid", "ignore_index": 2, "class_weight": CLASS_WEIGHT},
    "batch": {"normalizer": "batch", "ignore_index": 2},
    "number": {"normalizer": 7.0},
}  # fmt: skip
SIGMOID_LOSSES = {
    "plain": {},
    "pos_weight": {"pos_weight": [1.0, 3.0, 0.5]},
    "label_smoothing": {"label_smoothing": 0.1},
    "focal": {"label_smoothing": 0.1, "focal_gamma": 2.0, "focal_alpha": 0.3},
    "ignore_index": {"ignore_index": -1},
    "missing": {"nan_target": "missing"},
    "valid": {"ignore_index": -1, "normalizer": "valid"},
    "batch": {"ignore_index": -1, "normalizer": "batch"},
    "number": {"normalizer": 7.0},
}


def some_weights(rng, weighted):
    """Row weights with zeros, or None."""
    return rng.integers(0, 3, ROWS).astype(float) if weighted else None


def limits(dtype):
    """Tolerances of a trajectory: rounding, grown over some twenty steps."""
    return {"dtype": dtype, "tolerance": 1e-11 if dtype == np.float64 else 3e-5}


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("name", "target"),
    [
        (name, target)
        for name, options in LOSSES.items()
        for target in ("labels", "soft")
        if target == "labels" or "ignore_index" not in options
    ],
)
def test_softmax_losses_follow_the_plain_loop(name, target, weighted, accumulate, dtype, rng):
    options, y = LOSSES[name], None
    if target == "soft":
        y = rng.dirichlet(np.ones(CLASSES), ROWS).astype(dtype)
    check_against_plain(
        rng, SGD(0.1), "tanh", **limits(dtype), y=y, accumulate=accumulate,
        sample_weight=some_weights(rng, weighted), plain_loss=plain_loop.softmax_loss(**options),
        loss=crossent.SoftmaxCrossEntropy(**options),
    )  # fmt: skip


@pytest.mark.parametrize("accumulate", [1, 3])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("target", ["labels", "soft"])
@pytest.mark.parametrize("name", SIGMOID_LOSSES)
def test_sigmoid_losses_follow_the_plain_loop(name, target, weighted, accumulate, dtype, rng):
    options = SIGMOID_LOSSES[name]
    y = rng.integers(-1 if "ignore_index" in options else 0, 2, (ROWS, 3))
    if target == "soft":
        y = np.where(y < 0, y, rng.random((ROWS, 3))).astype(dtype)
    if target == "soft" and name == "missing":
        y[rng.random(y.shape) < 0.2] = np.nan
    check_against_plain(
        rng, SGD(0.1), "tanh", **limits(dtype), y=y, accumulate=accumulate, outputs=3,
        output="sigmoid", sample_weight=some_weights(rng, weighted),
        plain_loss=plain_loop.sigmoid_loss(**options), loss=crossent.SigmoidCrossEntropy(**options),
    )  # fmt: skip


@pytest.mark.parametrize("weighted", [False, True])
def test_class_weights_of_fit_follow_the_plain_loop(weighted, dtype, rng):
    weight = some_weights(rng, weighted)
    given = {"sample_weight": weight, "class_weight": dict(enumerate(CLASS_WEIGHT))}
    plain_loss = plain_loop.softmax_loss(class_weight=CLASS_WEIGHT)
    check_against_plain(rng, SGD(0.1), **limits(dtype), plain_loss=plain_loss, **given)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_options_of_the_loss(name, weighted, rng):
    loss = crossent.SoftmaxCrossEntropy(**LOSSES[name])
    X, y = make_data(rng)
    call = {"sample_weight": rng.integers(0, 3, ROWS).astype(float)} if weighted else {}
    net = make_net(rng, (FEATURES, CLASSES))
    value, grad = loss.value_and_grad(net.logits(X), y, **call)
    got, [(dw, db)] = net.backward(X, y, loss=loss, **call)
    assert got == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(dw, X.T @ grad, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(db, grad.sum(axis=0), rtol=1e-9, atol=1e-13)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("options", SIGMOID_LOSSES.values(), ids=SIGMOID_LOSSES)
def test_options_of_the_sigmoid_loss(options, weighted, rng):
    loss = crossent.SigmoidCrossEntropy(**options)
    X, _ = make_data(rng)
    y = rng.integers(-1 if "ignore_index" in options else 0, 2, (ROWS, 3))
    weight = rng.integers(0, 3, ROWS).astype(float) if weighted else None
    net = make_net(rng, (FEATURES, 3), output="sigmoid")
    call = {"sample_weight": weight[:, None]} if weighted else {}
    value, grad = loss.value_and_grad(net.logits(X), y, **call)
    got, [(dw, db)] = net.backward(X, y, loss=loss, sample_weight=weight)
    assert got == pytest.approx(value, rel=1e-12)
    np.testing.assert_allclose(dw, X.T @ grad, rtol=1e-9, atol=1e-13)
    np.testing.assert_allclose(db, grad.sum(axis=0), rtol=1e-9, atol=1e-13)


def test_rows_without_part_are_never_read(rng):
    X, y = make_data(rng)
    weight = np.ones(ROWS)
    weight[3], y[10] = 0, -100
    clean, dirty = X.copy(), X.copy()
    dirty[[3, 10]] = np.nan
    loss = crossent.SoftmaxCrossEntropy(ignore_index=-100)
    nets = [make_net(np.random.default_rng(1)) for _ in range(2)]
    for net, data in zip(nets, (clean, dirty), strict=True):
        net.fit(data, y, loss=loss, sample_weight=weight, epochs=2, batch_size=8)
    assert_same(nets[1], copy_of(nets[0]), 0)


def test_rows_of_each_ignored_label_are_never_read(rng):
    X, y = make_data(rng)
    ignored = np.isin(y, (0, 2))
    dirty = np.where(ignored[:, None], np.nan, X)
    loss = crossent.SoftmaxCrossEntropy(ignore_index=(0, 2))
    nets = [make_net(np.random.default_rng(1)) for _ in range(2)]
    for net, data in zip(nets, (X, dirty), strict=True):
        net.fit(data, y, loss=loss, epochs=2, batch_size=8)
    assert_same(nets[1], copy_of(nets[0]), 0)
    assert nets[1].evaluate(dirty, y, loss=loss) == nets[0].evaluate(X, y, loss=loss)


def test_balanced_class_weights(rng):
    X, y = make_data(rng, classes=3)
    counts = np.bincount(y, minlength=CLASSES)
    by_name, by_hand = make_net(rng), None
    by_hand = Network([tuple(p.copy() for p in pair) for pair in by_name.layers])
    by_name.fit(X, y, class_weight="balanced", epochs=2)
    by_hand.fit(X, y, sample_weight=ROWS / (CLASSES * counts[y]), epochs=2)
    assert_same(by_name, copy_of(by_hand), 0)


@pytest.mark.parametrize("sampling", ["over", "under", "balanced"])
def test_sampling_evens_out_the_classes(sampling, rng):
    y = np.repeat([0, 1, 2], [40, 10, 25])
    net = Network.create([3, 3], dtype=np.float64)
    loop = bound_loop(net, np.eye(3)[y], y)
    length = loop.order(sampling, 3, 0, True)
    order = loop._order_of_rows()
    counts = np.bincount(y[order], minlength=3)
    assert length == {"over": 120, "under": 30, "balanced": 75}[sampling]
    np.testing.assert_array_equal(counts, length // 3)
    if sampling == "over":
        assert np.bincount(order).min() >= 1
    if sampling == "under":
        assert np.bincount(order).max() == 1


def test_balanced_sampling_draws_every_row_of_a_small_class(rng):
    y = np.repeat([0, 1, 2], [200, 2, 3])
    loop = bound_loop(Network.create([3, 3], dtype=np.float64), np.eye(3)[y], y)
    loop.order("balanced", 3, 0, True)
    assert {200, 201, 202, 203, 204} < set(loop._order_of_rows().tolist())


def test_the_order_is_the_documented_one(rng):
    net = Network.create([2, 2], dtype=np.float64)
    loop = bound_loop(net, np.zeros((100, 2)), np.zeros(100, int))
    loop.optimize(SGD(), 0, 2**63 + 5, 1)
    for epoch in (0, 1, 7):
        loop.order("all", 2, epoch, True)
        assert loop._order_of_rows().tolist() == plain_loop.epoch_order(100, 2**63 + 5, epoch)


def test_drop_last(rng):
    X, y = make_data(rng)
    net = make_net(rng)
    net.fit(X, y, batch_size=10, epochs=2, drop_last=True)
    assert net._steps == 2 * (ROWS // 10)


# ---------------------------------------------------------------- the same bits


# From 512 features on the sums of the first layer are in halves.
@pytest.mark.parametrize("features", [200, 601])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_threads_do_not_change_a_bit(activation, features, dtype, rng):
    X = rng.standard_normal((300, features)).astype(dtype)
    y = rng.integers(0, 10, 300)
    results = []
    for threads in (1, 2, 5):
        net = Network.create([features, 300, 70, 10], activation=activation, dropout=0.2, seed=0,
                             dtype=dtype)  # fmt: skip
        history = net.fit(X, y, batch_size=100, epochs=2, threads=threads)
        results.append((history.loss, net.parameters(), net.logits(X, threads=threads)))
    for loss, parameters, logits in results[1:]:
        assert loss == results[0][0]
        np.testing.assert_array_equal(logits, results[0][2])
        for p, first in zip(parameters, results[0][1], strict=True):
            np.testing.assert_array_equal(p, first)


@pytest.mark.parametrize("features", [511, 512, 601])
@pytest.mark.parametrize("rows", [1, 23, 50])
def test_long_sums(rows, features, dtype, rng):
    X = rng.standard_normal((rows, features)).astype(dtype)
    net = Network.create([features, 45, 3], activation="identity", seed=0, dtype=dtype)
    (w, b), (v, c) = [(w.astype(float), b.astype(float)) for w, b in net.layers]
    expected = (X.astype(float) @ w + b) @ v + c
    np.testing.assert_allclose(net.logits(X), expected, rtol=0, atol=200 * np.finfo(dtype).eps)


@pytest.mark.parametrize("features", [40, 601])
def test_instruction_sets_with_fma_agree_to_the_last_bit(features, dtype, rng):
    X = rng.standard_normal((100, features)).astype(dtype)
    y = rng.integers(0, 10, 100)
    before, results = crossent.isa(), {}
    for name in set(crossent.available_isas()) & {"avx512", "avx2", "neon"}:
        crossent._core._use_isa(name)
        net = Network.create([features, 50, 10], activation="gelu", seed=0, dtype=dtype)
        net.fit(X, y, epochs=3, threads=1)
        results[name] = net.parameters()
    crossent._core._use_isa(before)
    for parameters in results.values():
        for p, first in zip(parameters, next(iter(results.values())), strict=True):
            np.testing.assert_array_equal(p, first)


def test_where_the_rows_lie_does_not_change_a_bit(tmp_path, rng):
    X, y = make_data(rng, np.float32)
    X.tofile(tmp_path / "X")
    spaced = np.zeros((ROWS, 2 * FEATURES), np.float32)
    spaced[:, ::2] = X
    kinds = {
        "array": X,
        "memmap": np.memmap(tmp_path / "X", np.float32, "r", shape=X.shape),
        "chunks": [X[:1], X[1:30], X[30:30], X[30:]],
        "columns": np.asfortranarray(X),
        "strided": spaced[:, ::2],
    }
    results = {}
    for name, data in kinds.items():
        net = make_net(np.random.default_rng(1), dtype=np.float32)
        net.fit(data, y, epochs=2, batch_size=16)
        results[name] = net
        np.testing.assert_array_equal(net.logits(data), net.logits(X))
    for net in results.values():
        assert_same(net, results["array"].layers, 0)


# ---------------------------------------------------------------- gradients


@pytest.mark.parametrize("activation", plain_loop.ACTIVATIONS)
def test_gradients_agree_with_pytorch(activation, rng):
    torch = pytest.importorskip("torch")
    from torch.nn import functional

    torch_activation = {
        "identity": lambda x: x, "relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid,
        "gelu": lambda x: functional.gelu(x, approximate="tanh"),
    }[activation]  # fmt: skip
    X, y = make_data(rng)
    net = make_net(rng, (FEATURES, HIDDEN, 11, CLASSES), activation=activation)
    loss, gradients = net.backward(X, y)
    layers = [[torch.tensor(p, requires_grad=True) for p in pair] for pair in net.layers]
    h = torch.tensor(X)
    for i, (w, b) in enumerate(layers):
        h = h @ w + b
        h = torch_activation(h) if i < 2 else h
    expected = functional.cross_entropy(h, torch.tensor(y))
    expected.backward()
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    for pair, tensors in zip(gradients, layers, strict=True):
        for g, t in zip(pair, tensors, strict=True):
            np.testing.assert_allclose(g, t.grad.numpy(), rtol=1e-9, atol=1e-12)


def test_tanh_keeps_its_digits_near_zero_and_far_out(isa, dtype):
    x = np.array([0, 1e-30, -1e-5, 1e-3, 0.1, 0.34, 0.5, -2, 9, 40, -1e5, np.inf], dtype)
    identity = np.eye(len(x), dtype=dtype)
    net = Network([(np.diag(x[:-1]), None), (np.eye(len(x) - 1, dtype=dtype), None)],
                  activation="tanh", output="softmax")  # fmt: skip
    got = net.logits(identity[:-1, :-1]).diagonal()
    np.testing.assert_allclose(got, np.tanh(x[:-1].astype(np.longdouble)).astype(dtype),
                               rtol=4 * np.finfo(dtype).eps, atol=0)  # fmt: skip


# ---------------------------------------------------------------- the rest of the interface


def test_partial_fit_goes_on_where_it_ended(rng):
    X, y = make_data(rng)
    whole, parts = make_net(rng), None
    parts = Network([tuple(p.copy() for p in pair) for pair in whole.layers])
    whole.fit(X, y, optimizer=Adam(0.01), epochs=3, seed=2)
    for _ in range(3):
        parts.partial_fit(X, y, optimizer=Adam(0.01), seed=2)
    assert_same(parts, copy_of(whole), 0)


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Constant(), [1, 1, 1, 1]),
        (Steps(2, 0.1), [1, 1, 0.1, 0.1]),
        (Cosine(), [1, 0.8535533905932737, 0.5, 0.14644660940672627]),
        (WarmUp(2), [0.5, 1, 1, 1]),
        (WarmUp(2, Cosine()), [0.5, 0.8535533905932737, 0.5, 0.14644660940672627]),
        (lambda step, steps_per_epoch, steps: step / steps, [0, 0.25, 0.5, 0.75]),
    ],
)
def test_schedules(schedule, expected, rng):
    X, y = make_data(rng)
    history = make_net(rng).fit(
        X, y, optimizer=SGD(0.1, schedule=schedule), epochs=4, batch_size=ROWS
    )
    np.testing.assert_allclose(history.lr, 0.1 * np.array(expected), rtol=1e-14)


def test_predictions_and_evaluation(dtype, rng):
    X, y = make_data(rng, dtype, rows=600)  # more than one batch
    net = make_net(rng, dtype=dtype)
    logits = net.logits(X)
    expected = copy_of(net)
    (w1, b1), (w2, b2) = expected
    exact = np.maximum(X.astype(float) @ w1 + b1, 0) @ w2 + b2
    np.testing.assert_allclose(logits, exact, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(net.predict(X), logits.argmax(axis=1))
    np.testing.assert_array_equal(net.predict_proba(X), crossent.softmax(logits))
    loss, accuracy = net.evaluate(X, y)
    assert loss == pytest.approx(crossent.softmax_cross_entropy(logits, y), rel=1e-12)
    assert accuracy == np.mean(net.predict(X) == y)


@pytest.mark.parametrize("nonfinite", ["propagate", "raise"])
def test_evaluation_of_rows_without_a_loss_is_nan(nonfinite, rng):
    """The loss itself says it, as it is asked for; only a training stops."""
    X, y = make_data(rng)
    X[4] = np.nan
    loss, _ = make_net(rng).evaluate(X, y, loss=crossent.SoftmaxCrossEntropy(nonfinite=nonfinite))
    assert np.isnan(loss)


def test_accuracy_of_a_sigmoid_counts_answers(dtype, rng):
    X, _ = make_data(rng, dtype)
    y = rng.integers(-1, 2, (ROWS, 3))
    net = make_net(rng, (FEATURES, 3), dtype, output="sigmoid")
    right, asked = net.predict(X) == y, y >= 0
    soft = np.where(asked, y, np.nan).astype(dtype)
    for target, options in ((y, {"ignore_index": -1}), (soft, {"nan_target": "missing"})):
        loss = crossent.SigmoidCrossEntropy(**options)
        assert net.evaluate(X, target, loss=loss)[1] == right[asked].mean()
    assert net.evaluate(X, np.abs(y))[1] == (net.predict(X) == np.abs(y)).mean()


def test_early_stopping_puts_back_the_best_parameters(rng):
    X, y = make_data(rng)
    Xv, yv = make_data(rng)  # noise: soon overfitted
    net = make_net(rng)
    history = net.fit(X, y, validation=(Xv, yv), patience=3, epochs=500, optimizer=Adam(0.02))
    assert len(history.loss) == history.best_epoch + 4 < 500
    assert history.val_loss[history.best_epoch] == min(history.val_loss)
    assert net.evaluate(Xv, yv)[0] == min(history.val_loss)


def test_a_callback_can_stop(rng):
    X, y = make_data(rng)
    seen = []
    history = make_net(rng).fit(
        X, y, callback=lambda net, history: seen.append(net) or len(history.loss) == 2
    )
    assert len(seen) == len(history.loss) == 2


def test_save_load_and_pickle(tmp_path, rng):
    X, y = make_data(rng)
    net = make_net(rng, activation="gelu", dropout=0.1)
    net.fit(X, y)
    net.save(tmp_path / "net.npz")
    for other in (Network.load(tmp_path / "net.npz"), pickle.loads(pickle.dumps(net))):
        np.testing.assert_array_equal(other.logits(X), net.logits(X))
        assert other.activations == ["gelu"]
        assert other.dropouts == [0.1]


def test_create_draws_he_or_glorot():
    weight = Network.create([400, 500, 2], activation="relu", seed=1).layers[0][0]
    assert weight.dtype == np.float32
    assert weight.std() == pytest.approx(np.sqrt(2 / 400), rel=0.01)
    weight = Network.create([400, 500, 2], activation="tanh", seed=1).layers[0][0]
    assert weight.std() == pytest.approx(np.sqrt(2 / 900), rel=0.01)


@pytest.mark.parametrize("created", [True, False])
def test_moments_begin_with_a_line_away_from_their_parameters(created, rng):
    X, y = make_data(rng)
    net = Network.create([FEATURES, HIDDEN, CLASSES], dtype="float64") if created else make_net(rng)
    net.fit(X, y, optimizer=Adam(0.01), epochs=1, batch_size=8)
    for i, pair in enumerate(net.layers):
        for j, p in enumerate(pair):
            line = p.ctypes.data // 64
            places = [net._moments[i, j, k].ctypes.data / 64 - line for k in range(2)]
            assert [place % 64 for place in places] == [32, 48]


def test_history_plots(rng):
    pytest.importorskip("matplotlib")
    X, y = make_data(rng)
    history = make_net(rng).fit(X, y, validation=(X, y), epochs=2)
    assert len(history.plot().lines) == 2


def test_a_progress_bar(rng, capsys):
    pytest.importorskip("tqdm")
    X, y = make_data(rng)
    make_net(rng).fit(X, y, epochs=2, progress=True)
    assert "2/2" in capsys.readouterr().err


# ---------------------------------------------------------------- data, memory, the interpreter


class Files:
    """A sequence that opens its chunks when asked."""

    def __init__(self, directory, arrays):
        self.paths, self.opened = [], 0
        for i, array in enumerate(arrays):
            self.paths.append(directory / f"{i}.npy")
            np.save(self.paths[-1], array)

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, i):
        self.opened += 1
        return np.load(self.paths[i], mmap_mode="r")


def test_any_sequence_of_chunks(tmp_path, rng):
    X, y = make_data(rng, np.float32)
    files = Files(tmp_path, [X[:20], X[20:]])
    nets = [make_net(np.random.default_rng(1), dtype=np.float32) for _ in range(2)]
    nets[0].fit(X, y, epochs=2, batch_size=16)
    nets[1].fit(files, y, epochs=2, batch_size=16)
    assert files.opened == 2
    assert_same(nets[1], nets[0].layers, 0)


def resident_mb():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 2**20


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="memory is read from /proc")
def test_only_the_rows_of_a_batch_are_touched(tmp_path, rng):
    rows, features, every = 500_000, 256, 5000  # 512 MB, a file of holes
    X = np.memmap(tmp_path / "X", np.float32, "w+", shape=(rows, features))
    y, weight = rng.integers(0, 3, rows), np.zeros(rows)
    weight[::every] = 1
    net = Network.create([features, 3], seed=0)
    net.fit(X[:1], y[:1], epochs=1, threads=1)
    before = resident_mb()
    net.fit(X, y, sample_weight=weight, epochs=1, threads=1)
    assert resident_mb() - before < 100


def profile_events(function):
    """How many calls the interpreter sees."""
    events = []
    sys.setprofile(lambda frame, event, argument: events.append(event))
    try:
        function()
    finally:
        sys.setprofile(None)
    return len(events)


def test_the_interpreter_sees_nothing_of_an_epoch(rng):
    net = make_net(rng)
    X, y = make_data(rng, rows=4000)
    counts = [
        profile_events(lambda n=n: net.fit(X[:n], y[:n], batch_size=4, epochs=1, threads=1))
        for n in (40, 40, 4000)
    ]
    assert counts[1] == counts[2]  # 10 steps or 1000


def test_probabilities_are_those_of_the_loss(tmp_path, rng):
    X, y = make_data(rng)
    net = make_net(rng)
    net.fit(X, y, loss=crossent.SoftmaxCrossEntropy(temperature=0.5, softcap=1.5), epochs=1)
    z = 1.5 * np.tanh(net.logits(X) / 0.5 / 1.5)
    np.testing.assert_allclose(net.predict_proba(X), crossent.softmax(z), rtol=1e-12)
    net.save(tmp_path / "net.npz")
    again = Network.load(tmp_path / "net.npz")
    np.testing.assert_array_equal(again.predict_proba(X), net.predict_proba(X))
    net.fit(X, y, epochs=1)
    np.testing.assert_array_equal(net.predict_proba(X), crossent.softmax(net.logits(X)))


# ---------------------------------------------------------------- BLAS


@pytest.fixture
def gemm_calls(monkeypatch):
    """SciPy's gemm replaced by functions that count and then call it."""
    cython_blas = pytest.importorskip("scipy.linalg.cython_blas")
    api, counts, kept = ctypes.pythonapi, {"sgemm": 0, "dgemm": 0}, []
    api.PyCapsule_GetName.restype = ctypes.c_char_p
    api.PyCapsule_GetName.argtypes = [ctypes.py_object]
    api.PyCapsule_GetPointer.restype = ctypes.c_void_p
    api.PyCapsule_GetPointer.argtypes = [ctypes.py_object, ctypes.c_char_p]
    api.PyCapsule_New.restype = ctypes.py_object
    api.PyCapsule_New.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    kind = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)
    for name in counts:
        capsule = cython_blas.__pyx_capi__[name]
        signature = api.PyCapsule_GetName(capsule)
        real = kind(api.PyCapsule_GetPointer(capsule, signature))

        def counting(*arguments, name=name, real=real):
            counts[name] += 1
            real(*arguments)

        wrapped = kind(counting)
        address = ctypes.cast(wrapped, ctypes.c_void_p).value
        kept.append((wrapped, signature))
        monkeypatch.setitem(cython_blas.__pyx_capi__, name,
                            api.PyCapsule_New(address, signature, None))  # fmt: skip
    yield counts
    del kept


def test_large_weights_go_to_blas_and_agree(gemm_calls, dtype, rng):
    widths = (1100, 1000, 7)  # 4.4 MB and 28 kB in float32
    net = make_net(rng, widths, dtype, activation="relu")
    X, y = rng.standard_normal((50, 1100)).astype(dtype), rng.integers(0, 7, 50)
    for weight, _ in net.layers:
        weight *= dtype(0.1)
    layers = copy_of(net)
    plain_loop.fit(layers, ["relu"], X.astype(float), y, SGD(0.1), batch_size=20, epochs=1)
    net.fit(X, y, optimizer=SGD(0.1), batch_size=20, epochs=1)
    assert_same(net, layers, 1e-4 if dtype == np.float32 else 1e-11)
    name, other = ("sgemm", "dgemm") if dtype == np.float32 else ("dgemm", "sgemm")
    assert gemm_calls[name] >= 2 * 3  # forward and gradient, 3 steps
    assert gemm_calls[other] == 0


def test_small_weights_stay_with_our_own_kernels(gemm_calls, rng):
    if crossent.isa() in ("scalar", "sse2"):
        pytest.skip("no fused multiply-add: BLAS does all products")
    X, y = make_data(rng)
    make_net(rng).fit(X, y, epochs=1)
    assert gemm_calls == {"sgemm": 0, "dgemm": 0}


def test_blas_on_any_number_of_threads_gives_the_same_bits(rng):
    pytest.importorskip("scipy")
    X, y = rng.standard_normal((300, 1100)).astype(np.float32), rng.integers(0, 7, 300)
    nets = []
    for threads in (1, 2, 3):
        net = Network.create([1100, 1000, 7], seed=0)
        net.fit(X, y, batch_size=100, epochs=1, threads=threads)
        nets.append(net)
    for net in nets[1:]:
        assert_same(net, nets[0].layers, 0)
