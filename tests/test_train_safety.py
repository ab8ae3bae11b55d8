"""What callers change while a network trains, or around it, does no harm."""

import subprocess
import sys
import threading
import zipfile

import numpy as np
import pytest

import crossent
from crossent import _blas
from crossent.train import Adam, Network

from .test_train_errors import data, net_of, weight


def new_arrays(*widths, dtype=np.float32):
    """Layers of these widths that no network has seen."""
    return Network.create(widths, dtype=dtype, seed=1).layers


# ---------------------------------------------------------------- layers


METHODS = ["logits", "predict", "predict_proba", "evaluate", "backward", "partial_fit", "fit"]


def call(net, method, X, y):
    return getattr(net, method)(X, *([] if method in METHODS[:3] else [y]))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([(weight(4, 3).T.copy().T, None)], "weight of layer 0 is not contiguous"),
        ([(weight(4, 8), None), (weight(7, 3), None)], r"weight of layer 1 has shape \(7, 3\)"),
        ([(weight(4, 8), weight(5)), (weight(8, 3), None)], "bias of layer 0 has shape"),
        ([(weight(4, 3), None)], "activation has 1 values; expected 0"),
    ],
)
def test_replaced_layers_that_do_not_fit_are_refused(method, layers, message):
    net = net_of()
    net.fit(*data())
    net.layers = layers
    with pytest.raises(ValueError, match=message):
        call(net, method, *data())


@pytest.mark.parametrize(
    ("name", "value"),
    [("activations", ["swish"]), ("dropouts", [7.0]), ("dropouts", []), ("output", "linear")],
)
@pytest.mark.parametrize("method", METHODS)
def test_changed_options_that_do_not_fit_are_refused(method, name, value):
    net = net_of()
    setattr(net, name, value)
    with pytest.raises(ValueError, match=name.rstrip("s")):
        call(net, method, *data())


@pytest.mark.parametrize("widths", [(4, 300, 3), (4, 5, 3), (4, 8, 30)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments_belong_to_arrays_of_a_shape_and_dtype(widths, dtype):
    """Larger layers after a step: the moments of the smaller ones are not written to."""
    X, y = data(dtype=dtype)
    net = net_of(np.float32)
    net.partial_fit(*data(), optimizer=Adam(0.01))
    net.layers = new_arrays(*widths, dtype=dtype)
    fresh = Network(new_arrays(*widths, dtype=dtype))
    for other in (net, fresh):
        other.partial_fit(X, y, optimizer=Adam(0.01))
    for p, expected in zip(net.parameters(), fresh.parameters(), strict=True):
        np.testing.assert_array_equal(p, expected)


def test_moments_stay_with_new_arrays_of_the_same_shape():
    X, y = data()
    net, twin = net_of(), net_of()
    for other in (net, twin):
        other.partial_fit(X, y, optimizer=Adam(0.01))
    net.layers = [tuple(p.copy() for p in pair) for pair in net.layers]
    for other in (net, twin):
        other.partial_fit(X, y, optimizer=Adam(0.01))
    for p, expected in zip(net.parameters(), twin.parameters(), strict=True):
        np.testing.assert_array_equal(p, expected)


# ---------------------------------------------------------------- callbacks


def trained_with(callback, **options):
    """Losses and the parameters that were there at the start, after training."""
    X, y = data()
    net = net_of()
    parameters = net.parameters()
    history = net.fit(
        X, y, epochs=6, validation=(X, y), patience=6, callback=callback, **options
    )  # fmt: skip
    return history.loss, history.val_loss, parameters


def assert_no_harm(callback, **options):
    plain, changed = trained_with(None, **options), trained_with(callback, **options)
    assert plain[:2] == changed[:2]
    for p, expected in zip(changed[2], plain[2], strict=True):
        np.testing.assert_array_equal(p, expected)


def test_a_callback_that_replaces_the_layers():
    def replace(net, history):
        net.layers = new_arrays(4, 300, 3)

    assert_no_harm(replace)


def test_a_callback_that_makes_the_loss_anew():
    """Its arrays stay alive as long as the loop reads them."""
    loss = crossent.SoftmaxCrossEntropy(class_weight=[1.0, 2.0, 3.0], ignore_index=[7, 8, 9])
    kept = []

    def again(net, history):
        loss.__init__(class_weight=[1.0, 2.0, 3.0], ignore_index=[7, 8, 9])
        kept.extend(np.full(3, np.nan) for _ in range(1000))  # takes the freed memory

    assert_no_harm(again, loss=loss)


def test_a_callback_that_trains_the_same_network():
    def train(net, history):
        net.partial_fit(*data(), optimizer=Adam(0.01))

    losses, _, parameters = trained_with(train)
    assert np.isfinite(losses).all()
    assert all(np.isfinite(p).all() for p in parameters)


# ---------------------------------------------------------------- the state of NumPy and of BLAS


def test_floating_point_errors_that_raise_are_no_hindrance():
    program = (
        "import numpy as np; np.seterr(all='raise'); import crossent.train as t\n"
        "X, y = np.eye(4, dtype=np.float32), np.array([0, 1, 0, 1])\n"
        "net = t.Network.create([4, 2], seed=0)\n"
        "net.fit(X, y, optimizer=t.SGD(0.1, schedule=t.Steps(1, 1e-200)), epochs=5)\n"
        "net.fit(X, y, optimizer=t.SGD(5e-324, schedule=t.Cosine()), epochs=5)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


class Pools:
    """Stands for threadpoolctl: how many threads BLAS has."""

    threads = 8

    def limit(self, limits, user_api):
        before, self.threads = self.threads, limits
        pools = self

        class Limiter:
            def restore_original_limits(self):
                pools.threads = before

        return Limiter()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_overlapping_calls_give_blas_its_threads_back(order, monkeypatch):
    pools = Pools()
    monkeypatch.setattr(_blas, "_thread_pools", lambda: pools)
    calls = [_blas.one_blas_thread(True) for _ in range(2)]
    for c in calls:
        c.__enter__()
        assert pools.threads == 1
    calls[order[0]].__exit__(None, None, None)
    assert pools.threads == 1
    calls[order[1]].__exit__(None, None, None)
    assert pools.threads == 8
    with pytest.raises(KeyboardInterrupt), _blas.one_blas_thread(True):
        raise KeyboardInterrupt
    assert pools.threads == 8


# ---------------------------------------------------------------- other threads


@pytest.mark.parametrize("sampling", ["over", "under", "balanced"])
def test_labels_that_change_while_rows_are_drawn(sampling):
    """Wrong numbers are allowed then, or a message; a read or write outside an array is not."""
    rng = np.random.default_rng(0)
    X = np.zeros((200_000, 1), np.float32)
    y = rng.integers(0, 3, len(X))
    over = threading.Event()

    def change():
        while not over.is_set():
            for first in (0, 1, 2):
                y[: len(y) // 2] = first

    writer = threading.Thread(target=change)
    writer.start()
    try:
        for seed in range(5):
            net = Network.create([1, 3], seed=0)
            try:
                net.fit(X, y, sampling=sampling, epochs=3, batch_size=4096, seed=seed, threads=1)
            except ValueError as error:
                assert "needs rows of every class" in str(error)  # noqa: PT017
    finally:
        over.set()
        writer.join()


# ---------------------------------------------------------------- files


def damaged(path, **changes):
    """The file with some of its arrays replaced, or left out where None stands."""
    with np.load(path) as file:
        arrays = {**file, **changes}
    np.savez(path, **{name: a for name, a in arrays.items() if a is not None})


@pytest.mark.parametrize(
    "changes",
    [
        {"layers": None},
        {"layers": np.array(3)},
        {"layers": np.array("x")},
        {"layers": np.zeros(2)},
        {"scaling": np.array([0.0, np.nan])},
        {"scaling": np.array([np.nan, np.inf])},
        {"scaling": np.array([1.0])},
        {"scaling": np.array(1.0)},
        {"activations": np.array(["swish"])},
        {"activations": np.array(3)},
        {"dropouts": np.array([1.5])},
        {"output": np.array("linear")},
        {"weight0": np.array(["a"])},
        {"weight1": np.ones((2, 2), np.float32)},
        {"bias0": np.array(object())},
    ],
)
def test_damaged_files_of_networks(changes, tmp_path):
    path = tmp_path / "net.npz"
    net_of().save(path)
    damaged(path, **changes)
    with pytest.raises(ValueError, match=r"net.npz holds no network; expected a file that .*save"):
        Network.load(path)


def test_files_that_hold_something_else(tmp_path):
    path = tmp_path / "net.npz"
    net_of().save(path)
    whole = path.read_bytes()
    with zipfile.ZipFile(tmp_path / "empty.npz", "w"):
        pass
    contents = [b"", b"x", whole[:100], whole[: len(whole) // 2], whole[:-1]]
    contents += [whole[:200] + bytes(100) + whole[300:], (tmp_path / "empty.npz").read_bytes()]
    np.save(tmp_path / "array.npy", np.ones(3))
    contents.append((tmp_path / "array.npy").read_bytes())
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(ValueError, match="holds no network"):
            Network.load(path)
    with pytest.raises(FileNotFoundError):
        Network.load(tmp_path / "none.npz")
