"""Bad input is named, and a failed step leaves no trace in the parameters."""

import os
import signal
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest

import crossent
from crossent.train import SGD, Adam, Cosine, DivergenceError, Network, Steps, WarmUp
from crossent.train.binding import bind_data, new_loop


def data(rows=40, dtype=np.float32):
    rng = np.random.default_rng(0)
    return rng.standard_normal((rows, 4)).astype(dtype), rng.integers(0, 3, rows)


def net_of(dtype=np.float32):
    return Network.create([4, 8, 3], seed=0, dtype=dtype)


def weight(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


def read_only(array):
    array.flags.writeable = False
    return array


SHARED = weight(4, 4)


@pytest.mark.parametrize(
    ("layers", "error", "message"),
    [
        ([], ValueError, "layers is empty"),
        ([(weight(4, 3), weight(2))], ValueError, r"bias of layer 0 has shape \(2,\); expected"),
        (
            [(weight(4, 3), weight(3)), (weight(4, 3), None)],
            ValueError,
            r"weight of layer 1 has shape \(4, 3\); expected \(3, any\)",
        ),
        ([(weight(4, 3, dtype=np.float16), None)], TypeError, "dtype float16; expected float32 or"),
        (
            [(weight(4, 3), weight(3, dtype=np.float64))],
            TypeError,
            "bias of layer 0 has dtype float64",
        ),
        ([(weight(4, 3).T, None)], ValueError, "not contiguous"),
        ([(read_only(weight(4, 3)), None)], ValueError, "read-only"),
        ([(SHARED, None), (SHARED, None)], ValueError, "layer 1 shares memory"),
        ([([[1.0]], None)], TypeError, "is a list; expected a NumPy array"),
        ([weight(4, 3)], TypeError, "expected a pair"),
        ([(weight(0, 3), None)], ValueError, "no empty dimension"),
    ],
)
def test_layers_that_do_not_fit(layers, error, message):
    with pytest.raises(error, match=message):
        Network(layers)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"activation": "swish"}, "activation is 'swish'; expected 'identity', 'relu'"),
        ({"activation": ["relu", "relu"]}, "activation has 2 values; expected 1"),
        ({"dropout": 1.0}, "dropout is 1.0"),
        ({"output": "linear"}, "output is 'linear'"),
    ],
)
def test_options_of_a_network(options, message):
    with pytest.raises(ValueError, match=message):
        Network.create([4, 8, 3], **options)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"X": data()[0][:, :3]}, ValueError, r"X has shape \(40, 3\); expected \(rows, 4\)"),
        (
            {"X": data()[0].astype(complex)},
            TypeError,
            "X has dtype complex128; expected real numbers",
        ),
        ({"X": [data()[0], data()[0][0]]}, ValueError, r"X\[1\] has shape \(4,\)"),
        ({"X": data()[0][:0], "y": data()[1][:0]}, ValueError, "X has no rows"),
        ({"y": data()[1][:39]}, ValueError, r"y has shape \(39,\); expected \(40,\)"),
        ({"y": data()[1] - 1}, IndexError, r"is -1; expected 0 <= y < 3"),
        ({"y": data()[1] + 1}, IndexError, r"is 3; expected 0 <= y < 3"),
        ({"y": data()[1][:, None]}, ValueError, r"expected \(40,\), .* \(y.reshape\(-1\)\)"),
        ({"y": -np.eye(3, dtype=int)[data()[1]]}, ValueError, r"y\[0, \d\] is -1.0; expected fin"),
        ({"shuffle": "no"}, TypeError, "shuffle is 'no'; expected True or False"),
        ({"drop_last": 2}, TypeError, "drop_last is 2; expected True or False"),
        ({"validate": "no"}, TypeError, "validate is 'no'; expected True or False"),
        ({"y": data()[1].astype(str)}, TypeError, r"np.unique\(y, return_inverse=True\)\[1\]"),
        ({"y": data()[1] + 0.0}, ValueError, r"or integer class indices of shape \(40,\)"),
        ({"y": data()[1].astype(str)}, TypeError, "y has dtype <U"),
        ({"sample_weight": np.ones(3)}, ValueError, r"sample_weight has shape \(3,\)"),
        (
            {"sample_weight": -np.ones(40)},
            ValueError,
            r"sample_weight\[0\] is -1.0; expected finite",
        ),
        ({"class_weight": "even"}, ValueError, "class_weight is 'even'; expected 'balanced'"),
        ({"class_weight": [1.0, 2.0]}, ValueError, r"class_weight has shape \(2,\)"),
        ({"batch_size": 0}, ValueError, "batch_size is 0"),
        ({"batch_size": None}, TypeError, "batch_size is None; expected a whole number"),
        ({"batch_size": "all"}, TypeError, "batch_size is 'all'; expected a whole number"),
        ({"epochs": 1.5}, TypeError, "epochs is 1.5"),
        ({"accumulate": 0}, ValueError, "accumulate is 0"),
        ({"threads": 0}, ValueError, "threads is 0"),
        ({"sampling": "some"}, ValueError, "sampling is 'some'"),
        ({"patience": 3}, ValueError, "patience needs validation"),
        ({"validation": 1.2}, ValueError, "validation is 1.2; expected 0 < validation < 1"),
        ({"validation": "x"}, TypeError, r"validation is a str; expected a share .*: \(X, y\)"),
        ({"validation": (1,)}, ValueError, "validation has 1 parts"),
        ({"loss": "mse"}, TypeError, "loss is a str; expected a SoftmaxCrossEntropy"),
        ({"loss": crossent.SigmoidCrossEntropy()}, TypeError, "loss is a SigmoidCrossEntropy"),
        ({"loss": crossent.SoftmaxCrossEntropy(reduction="sum")}, ValueError, "reduction"),
        ({"optimizer": "adam"}, TypeError, "optimizer is 'adam'"),
        ({"optimizer": Adam}, TypeError, r"optimizer is <class .*Adam\(\.\.\.\)"),
        ({"optimizer": SGD(schedule=lambda *a: 1.0)}, ValueError, "schedule returned shape"),
        (
            {"optimizer": SGD(schedule=lambda s, *_: np.where(s == 0, np.nan, 1))},
            ValueError,
            "learning rate of step 1 nan",
        ),
        ({"y": None}, TypeError, "y is missing, or None"),
        ({"validation": (data()[0], None)}, TypeError, r"validation\[1\] is missing, or None"),
        ({"validation": (data()[0][:, :2], data()[1])}, ValueError, r"validation\[0\] has shape"),
        ({"class_weight": [1.0, -1.0, 1.0]}, ValueError, r"class_weight\[1\] is -1.0"),
        ({"class_weight": {0: np.nan}}, ValueError, r"class_weight\[0\] is nan"),
        ({"class_weight": {7: 2.0}}, ValueError, "class_weight has the class 7; expected 0 <="),
        ({"patience": 0, "validation": data()}, ValueError, "patience is 0"),
        ({"min_delta": "x"}, TypeError, "min_delta is 'x'"),
        ({"callback": 3}, TypeError, "callback is 3"),
    ],
)
def test_arguments_of_fit(change, error, message):
    X, y = data()
    net, arguments = net_of(), {"X": X, "y": y, **change}
    before = [p.copy() for p in net.parameters()]
    with pytest.raises(error, match=message):
        net.fit(arguments.pop("X"), arguments.pop("y"), **arguments)
    for p, old in zip(net.parameters(), before, strict=True):
        np.testing.assert_array_equal(p, old)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(-1.0), "lr is -1.0"),
        (lambda: SGD(momentum=1.0), "momentum is 1.0"),
        (lambda: Adam(beta2=1.5), "beta2 is 1.5"),
        (lambda: SGD(clip=0.0), "clip is 0.0; expected a finite number, above 0"),
        (lambda: SGD(np.inf), "lr is inf; expected a finite number, at least 0"),
        (lambda: Adam(epsilon=np.nan), "epsilon is nan"),
        (lambda: Adam(epsilon="x"), "epsilon is 'x'"),
        (lambda: SGD(nesterov="x"), "nesterov is 'x'"),
        (lambda: Steps(0), "epochs is 0"),
        (lambda: Cosine(-1.0), "final is -1.0"),
        (lambda: WarmUp(np.inf), "epochs is inf"),
        (lambda: WarmUp(1, then=2), "then is 2; expected Constant"),
    ],
)
def test_arguments_of_optimizers(make, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make()


def test_a_call_that_fails_at_once_leaves_the_network_as_it_was():
    X, y = data()
    net, bad = net_of(), data()[0]
    net.fit(X, y, loss=crossent.SoftmaxCrossEntropy(temperature=5.0))
    bad[:] = np.nan
    steps, probabilities = net._steps, net.predict_proba(X)
    for call in (
        lambda: net.fit(X, y, batch_size=0),
        lambda: net.fit(X[:, :2], y),
        lambda: net.fit(bad, y),
        lambda: net.partial_fit(bad, y, loss=crossent.SoftmaxCrossEntropy(temperature=50.0)),
    ):
        with pytest.raises(ValueError, match=r"X|batch_size"):
            call()
        assert net._steps == steps
        np.testing.assert_array_equal(net.predict_proba(X), probabilities)


def test_ignored_labels_among_weighted_classes():
    X, y = data()
    y[::4] = -100
    rest = y >= 0
    loss = crossent.SoftmaxCrossEntropy(ignore_index=-100)
    shared = {"class_weight": "balanced", "batch_size": 100, "shuffle": False}
    found = net_of().fit(X, y, loss=loss, **shared).loss
    assert found == pytest.approx(net_of().fit(X[rest], y[rest], **shared).loss, rel=1e-6)
    assert np.isfinite(net_of().fit(X, y, loss=loss, sampling="over").loss).all()
    with pytest.raises(IndexError, match=r"y\[0\] is -100; expected 0 <= y < 3"):
        net_of().fit(X, y, sampling="over")


@pytest.mark.parametrize("activation", ["tanh", "sigmoid", "relu"])
@pytest.mark.parametrize("call", ["fit", "backward"])
def test_an_infinity_that_only_the_gradient_shows(activation, call, dtype):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((1100, 4)).astype(dtype), rng.integers(0, 3, 1100)
    X[700, 2] = np.inf
    net = Network.create([4, 8, 3], activation=activation, dtype=dtype, seed=0)
    net.layers[0][0][2] = -1  # relu: every unit answers 0
    options = {"batch_size": 1100, "shuffle": False} if call == "fit" else {}
    with pytest.raises(ValueError, match=r"X\[700\] holds NaN or infinity"):
        getattr(net, call)(X, y, **options)


def test_parameters_that_have_become_read_only():
    X, y = data()
    net = net_of()
    net.layers[0][0].flags.writeable = False
    with pytest.raises(ValueError, match="the weight of layer 0 is read-only"):
        net.fit(X, y)


def test_a_large_finite_row_is_not_blamed():
    X, y = np.ones((20, 3)), np.full((20, 3), 1 / 3)
    X[4], y[9] = 1e200, np.nan
    with pytest.raises(DivergenceError):
        Network.create([3, 3], dtype=float, seed=0).fit(X, y, batch_size=20, validate=False)


def train_until_stopped(X, y, error, message, **options):
    """Trains in order and checks that the parameters are those of the last good step."""
    net, good = net_of(X.dtype), net_of(X.dtype)
    with pytest.raises(error, match=message) as info:
        net.fit(X, y, shuffle=False, batch_size=8, epochs=1, **options)
    if net._steps:
        good.fit(X[: 8 * net._steps], y[: 8 * net._steps], shuffle=False, batch_size=8, epochs=1,
                 **options)  # fmt: skip
    for p, expected in zip(net.parameters(), good.parameters(), strict=True):
        np.testing.assert_array_equal(p, expected)
    return net._steps, info


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_nan_in_the_data_is_found_where_it_is(value, dtype):
    X, y = data(dtype=dtype)
    X[27, 2] = value
    message = r"X\[27\] holds NaN or infinity \(found in step 4\).* those after step 3"
    steps, _ = train_until_stopped(X, y, ValueError, message)
    assert steps == 3


def test_a_bad_label_is_found_where_it_is():
    X, y = data()
    y[17] = 3
    steps, _ = train_until_stopped(X, y, IndexError, r"y\[17\] is 3; expected 0 <= y < 3")
    assert steps == 2


def test_divergence_names_the_step(dtype):
    X, y = data(dtype=dtype)
    X *= 1e18 if dtype == np.float32 else 1e150
    steps, info = train_until_stopped(X, y, DivergenceError, "is not finite", optimizer=SGD(1e30))
    assert f"of step {steps + 1} " in str(info.value)


@pytest.mark.parametrize("call", ["fit", "evaluate", "backward"])
def test_ignored_labels_among_probabilities(call):
    X, y = data()
    soft = np.eye(y.max() + 1)[y]
    with pytest.raises(ValueError, match="ignore_index is set but y is probabilities"):
        getattr(net_of(), call)(X, soft, loss=crossent.SoftmaxCrossEntropy(ignore_index=-1))


def test_sampling_needs_every_class():
    X, y = data()
    with pytest.raises(ValueError, match="needs rows of every class"):
        net_of().fit(X, np.minimum(y, 1), sampling="over")


@contextmanager
def stopped_by_ctrl_c(seconds):
    """Presses Ctrl-C after so many seconds, which must end the block within 0.2."""
    pressed = []

    def press():
        pressed.append(time.perf_counter())
        os.kill(os.getpid(), signal.SIGINT)

    timer = threading.Timer(seconds, press)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # nohup and & ignore it
    try:
        timer.start()
        with pytest.raises(KeyboardInterrupt):
            yield
    finally:
        signal.signal(signal.SIGINT, before)
    assert time.perf_counter() - pressed[0] < 0.2
    timer.join()


def test_ctrl_c_stops_between_two_steps():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20000, 100)).astype(np.float32), rng.integers(0, 10, 20000)
    net = Network.create([100, 64, 10], seed=0)
    with stopped_by_ctrl_c(0.5):
        net.fit(X, y, epochs=10**6, threads=1)
    steps, per_epoch = net._steps, -(-20000 // 64)
    assert steps > 0
    # The same steps once more: whole epochs, and of the last one the rows in its order.
    twin = Network.create([100, 64, 10], seed=0)
    twin.fit(X, y, epochs=steps // per_epoch, threads=1)
    left = steps % per_epoch
    if left:
        loop, _, _ = new_loop(net, 64, 1)
        bind_data(loop, net, X, y, None, None)
        loop.optimize(Adam(), 0, 0, 1)
        loop.order("all", 10, steps // per_epoch, True)
        rows = loop._order_of_rows()[: left * 64]
        twin.partial_fit(X[rows], y[rows], shuffle=False, threads=1)
    for p, expected in zip(net.parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(p, expected)
