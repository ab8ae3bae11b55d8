"""What users of the loop write and see: options by name, short texts, files, pictures, extras."""

import builtins
import inspect
import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest

from crossent.train import SGD, Adam, AdamW, History, Network


def data():
    rng = np.random.default_rng(0)
    return rng.standard_normal((40, 4)).astype(np.float32), rng.integers(0, 3, 40)


# ---------------------------------------------------------------- options by name

MISTAKES = {
    "momentum by place": (lambda: SGD(0.1, 0.9), r"all others by name: SGD\(0.1, momentum=0.9\)"),
    "decay by place": (lambda: AdamW(1e-3, 0.01), r"AdamW\(1e-3, weight_decay=0.01\)"),
    "Adam's by place": (lambda: Adam(1e-3, 0.9), r"at most 1 \(lr\)"),
    "learning_rate": (lambda: Adam(learning_rate=0.1), "'learning_rate' .* did you mean 'lr'"),
    "decay of SGD": (lambda: SGD(weight_decay=0.1), "AdamW has weight_decay"),
    "eps": (lambda: Adam(eps=1e-8), "did you mean 'epsilon'"),
    "betas": (lambda: Adam(betas=(0.9, 0.99)), "beta1 and beta2"),
    "misspelt": (lambda: SGD(momentun=0.9), "did you mean 'momentum'"),
    "sizes for layers": (lambda: Network([4, 8, 3]), r"layers\[0\] is 4.*Network.create\("),
    "an array for layers": (lambda: Network(np.ones((4, 3))), r"layers is a ndarray of shape"),
    "create by place": (lambda: Network.create([4, 3], "relu"), "all others by name"),
    "create: units": (lambda: Network.create([4, 3], activations="relu"), "'activation'"),
    "dtype": (lambda: Network.create([4, 3], dtype=int), "dtype is .*expected float32 or"),
    "dtype by name": (
        lambda: Network.create([4, 3], dtype="floaty"),
        "dtype is 'floaty'; expected",
    ),
    "seed": (lambda: Network.create([4, 3], seed="a"), "seed is 'a'; expected a whole number"),
    "save": (lambda: Network.create([4, 3]).save(None), "path is None; expected the name"),
    "load": (lambda: Network.load(3), "path is 3; expected the name of a file"),
    "sizes": (lambda: Network.create("4, 3"), "sizes is '4, 3'; expected a list"),
    "dropout": (lambda: Network.create([4, 8, 3], dropout="0.5"), "dropout is '0.5'; expected a n"),
    "dropout alone": (lambda: Network.create([4, 3], dropout="0.5"), "dropout is '0.5'"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_what_is_told(mistake):
    call, message = MISTAKES[mistake]
    with pytest.raises(TypeError, match=message):
        call()


OF_FIT = {
    "lr": "optimizer=Adam(lr)",
    "learning_rate": "optimizer=Adam(learning_rate)",
    "verbose": "progress=True",
    "class_weights": "did you mean 'class_weight'?",
    "weight": "sample_weight weighs rows",
    "validation_data": "validation=(X, y)",
    "validation_split": "validation=0.1",
    "callbacks": "callback takes one function",
    "batchsize": "did you mean 'batch_size'?",
    "nonsense": "expected one of X, y, loss, optimizer",
}


@pytest.mark.parametrize("name", OF_FIT)
def test_options_of_fit_that_are_called_otherwise_here(name):
    net = Network.create([4, 3], seed=0)
    with pytest.raises(TypeError) as caught:
        net.fit(*data(), **{name: 1})
    assert str(caught.value).startswith(f"{name!r} is not an option of Network.fit; ")
    assert OF_FIT[name] in str(caught.value)


def test_too_many_arguments_without_a_name():
    net = Network.create([4, 3], seed=0)
    with pytest.raises(TypeError, match=r"Network.fit has 3 arguments without a name; .*\(X, y\)"):
        net.fit(*data(), 10)


def test_signatures_and_pickles_stay():
    assert str(inspect.signature(SGD)).startswith("(lr: float = 0.01, *, l2: float = 0.0")
    assert list(inspect.signature(Network.fit).parameters)[:4] == ["self", "X", "y", "loss"]
    for optimizer in (SGD(0.1, momentum=0.5), Adam(0.1), AdamW(0.1, weight_decay=0.5)):
        assert pickle.loads(pickle.dumps(optimizer)) == optimizer


# ---------------------------------------------------------------- layers


def test_a_softmax_of_one_output():
    with pytest.warns(RuntimeWarning, match="a softmax of a single output is always 1.*'sigmoid'"):
        Network.create([4, 1], output="softmax")


def ones(*shape, dtype=np.float32):
    return np.ones(shape, dtype)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            [(ones(8, 4), ones(8))],
            r"bias of layer 0 has shape \(8,\); expected \(4,\); weights are",
        ),
        ([(ones(8, 4), None), (ones(3, 8), None)], r"\(3, 8\); expected \(4, any\); weights are"),
        ([(ones(8, 4), ones(8)), (ones(3, 8), ones(3))], r"ascontiguousarray\(W.T\)"),
    ],
)
def test_transposed_weights_are_recognised(layers, message):
    with pytest.raises(ValueError, match=message):
        Network(layers)
    Network([(np.ascontiguousarray(w.T), b) for w, b in layers])


def test_a_wrong_shape_is_not_always_transposed():
    with pytest.raises(ValueError, match=r"has shape \(2,\); expected \(3,\)$"):
        Network([(ones(4, 3), ones(2))])


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            [(ones(4, 3), ones(3, dtype=float))],
            "the bias of layer 0 has dtype float64; expected that of the weight of layer 0, float",
        ),
        (
            [(ones(4, 3), None), (ones(3, 3, dtype=float), None)],
            "the weight of layer 1 has dtype float64; expected that of the weight of layer 0",
        ),
    ],
)
def test_dtypes_that_differ(layers, message):
    with pytest.raises(TypeError, match=message):
        Network(layers)


# ---------------------------------------------------------------- short texts


def test_short_texts(capsys):
    net = Network.create([4, 8, 3], activation="tanh", dropout=0.5, seed=0)
    assert repr(net) == ("<crossent.train.Network: 4-8-3, tanh, softmax, float32, 67 parameters>")
    history = net.fit(*data(), epochs=2, validation=data())
    assert repr(History()) == "<crossent.train.History: 0 epochs>"
    text = repr(history)
    assert text.startswith("<crossent.train.History: 2 epochs, loss ")
    assert f"val_loss {history.val_loss[-1]:.4g}" in text
    assert len(text) < 120
    net.summary()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[1].split() == ["0", "(4,", "8)", "yes", "tanh", "0.5", "40"]
    assert lines[3] == "float32, 67 parameters, 268 bytes"
    Network([(ones(4, 3), None)]).summary()
    assert " no " in capsys.readouterr().out


# ---------------------------------------------------------------- files


@pytest.mark.parametrize("name", ["model", "model.npz", "model.v2"])
@pytest.mark.parametrize("kind", [str, Path, os.fsencode])
def test_load_finds_what_save_wrote(name, kind, tmp_path):
    path, (X, _) = kind(str(tmp_path / name)), data()
    (tmp_path / "model").write_text("something else")
    net = Network.create([4, 3], seed=0)
    net.save(path)
    np.testing.assert_array_equal(Network.load(path).logits(X), net.logits(X))
    if name == "model":
        (tmp_path / "model.npz").rename(tmp_path / "moved")
        np.testing.assert_array_equal(Network.load(tmp_path / "moved").logits(X), net.logits(X))
    with pytest.raises(FileNotFoundError):
        Network.load(tmp_path / "none")


# ---------------------------------------------------------------- pictures and extras


def test_plot_shows_a_picture(monkeypatch):
    pytest.importorskip("matplotlib").use("Agg")
    from matplotlib import pyplot

    history = Network.create([4, 3], seed=0).fit(*data(), epochs=2)
    axes = history.plot()  # nothing to see here, and no warning
    assert axes.figure.number in pyplot.get_fignums()
    shown = []
    monkeypatch.setattr(pyplot, "show", lambda: shown.append(1))
    history.plot()
    assert shown == [1]
    history.plot(axes)
    assert shown == [1]
    assert len(axes.lines) == 2
    pyplot.close("all")


def without(package, monkeypatch):
    """As if the package were not installed."""
    imports = builtins.__import__

    def refuse(name, *args, **kwargs):
        if name.partition(".")[0] == package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return imports(name, *args, **kwargs)

    for name in [n for n in sys.modules if n.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", refuse)


def test_missing_packages_name_the_extra(monkeypatch):
    net = Network.create([4, 3], seed=0)
    history = net.fit(*data(), epochs=1)
    without("tqdm", monkeypatch)
    with pytest.raises(ModuleNotFoundError, match=r"tqdm.*pip install 'crossent\[train\]'"):
        net.fit(*data(), progress=True)
    without("matplotlib", monkeypatch)
    with pytest.raises(ModuleNotFoundError, match=r"matplotlib.*pip install 'crossent\[plot\]'"):
        history.plot()
    import crossent

    monkeypatch.delitem(sys.modules, "crossent.sklearn", raising=False)
    monkeypatch.delattr(crossent, "sklearn", raising=False)
    without("sklearn", monkeypatch)
    with pytest.raises(ModuleNotFoundError, match=r"scikit-learn.*'crossent\[sklearn\]'"):
        import crossent.sklearn
