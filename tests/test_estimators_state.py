"""Weights carry over between calls of the estimators, and no error leaves a trace in them."""

import copy

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.exceptions import NotFittedError

import crossent
from crossent.sklearn import MLPClassifier, SoftmaxClassifier
from crossent.train import SGD, DivergenceError, Network

X2 = np.array([[1.0, 0.0]])


def data(rng, rows=60):
    X = rng.standard_normal((rows, 4))
    return X, np.arange(rows) % 3


# ---------------------------------------------------------------- weights


@pytest.mark.parametrize(("weight", "step"), [(1, 0.05), (0.001, 0.00005), (1000, 50)])
def test_a_step_is_as_long_as_its_weight(weight, step):
    """One row at probabilities of 1/2 and a rate of 0.1."""
    model = SoftmaxClassifier(optimizer=SGD(0.1), random_state=0)
    model.partial_fit(X2, [1], classes=[0, 1], sample_weight=[weight])
    np.testing.assert_allclose(model.intercept_, [-step, step], rtol=1e-12)
    np.testing.assert_allclose(model.coef_[1], [step, 0], rtol=1e-12)
    net = Network([(np.zeros((2, 2)), np.zeros(2))])
    net.partial_fit(X2, [1], optimizer=SGD(0.1), sample_weight=[weight])
    np.testing.assert_allclose(net.layers[0][1], [-step, step], rtol=1e-12)


def test_steps_add_up_over_calls():
    """Steps so small that the probabilities stay at 1/2: their lengths add up."""
    model = SoftmaxClassifier(optimizer=SGD(1e-9), random_state=0)
    for weight in (1, 0.001, 1000):
        model.partial_fit(X2, [1], classes=[0, 1], sample_weight=[weight])
    np.testing.assert_allclose(model.intercept_[1], 1001.001 * 0.5e-9, rtol=1e-6)


@pytest.mark.parametrize("class_weight", [{0: 1, 1: 100}, {1: 100}, {0: 0.5, 1: 50, 2: 7}])
def test_class_weights_mean_the_same_one_by_one_and_together(class_weight):
    def model():
        return SoftmaxClassifier(optimizer=SGD(1e-9), class_weight=class_weight, random_state=0)

    X, y, classes = np.eye(3), np.arange(3), [0, 1, 2]
    together = model().partial_fit(X, y, classes=classes)
    one_by_one = model()
    for i in range(3):
        one_by_one.partial_fit(X[i : i + 1], y[i : i + 1], classes=classes)
    # A step of three rows divides by three.
    np.testing.assert_allclose(3 * together.coef_, one_by_one.coef_, rtol=1e-6)
    weights = [class_weight.get(c, 1) for c in classes]
    np.testing.assert_allclose(np.diag(one_by_one.coef_), 2 / 3 * 1e-9 * np.array(weights), 1e-6)
    net = [Network([(np.zeros((3, 3)), np.zeros(3))]) for _ in range(2)]
    options = {"optimizer": SGD(1e-9), "class_weight": class_weight}
    net[0].partial_fit(X, y, **options)
    for i in range(3):
        net[1].partial_fit(X[i : i + 1], y[i : i + 1], **options)
    np.testing.assert_allclose(3 * net[0].layers[0][0], net[1].layers[0][0], rtol=1e-6)


def test_a_normalizer_that_is_asked_for_stays():
    nets = [Network([(np.zeros((2, 2)), np.zeros(2))]) for _ in range(2)]
    loss = crossent.SoftmaxCrossEntropy(normalizer="weight")
    for net, weight in zip(nets, (1, 1000), strict=True):
        net.partial_fit(X2, [1], optimizer=SGD(0.1), loss=loss, sample_weight=[weight])
    np.testing.assert_array_equal(nets[0].layers[0][0], nets[1].layers[0][0])


def test_weights_do_not_change_unweighted_training(rng):
    X, y = data(rng)
    y[::5] = -1
    loss = crossent.SoftmaxCrossEntropy(ignore_index=-1)
    nets = [Network.create([4, 3], dtype=float, seed=0) for _ in range(2)]
    nets[0].fit(X, y, loss=loss, epochs=1, batch_size=8)
    nets[1].partial_fit(X, y, loss=loss, batch_size=8)
    np.testing.assert_array_equal(nets[0].layers[0][0], nets[1].layers[0][0])


@pytest.mark.parametrize("fitted", [False, True])
def test_balanced_is_refused_in_partial_fit(fitted, rng):
    X, y = data(rng)
    model = SoftmaxClassifier(class_weight="balanced", epochs=2, random_state=0)
    if fitted:
        model.fit(X, y)
    with pytest.raises(ValueError, match="class_weight is 'balanced', which partial_fit cannot"):
        model.partial_fit(X, y, classes=[0, 1, 2])
    with pytest.raises(ValueError, match="class_weight is 'balanced', which partial_fit cannot"):
        Network.create([4, 3]).partial_fit(X, y, class_weight="balanced")


# ---------------------------------------------------------------- errors

BAD = {
    "unknown label": lambda X, y: {"y": y + 1},
    "text": lambda X, y: {"y": y + 0.5},
    "NaN": lambda X, y: {"X": np.where(X == X[3, 1], np.nan, X)},
    "features": lambda X, y: {"X": X[:, :2]},
    "rows": lambda X, y: {"y": y[1:]},
    "negative weight": lambda X, y: {"sample_weight": -np.ones(len(y))},
    "weights": lambda X, y: {"sample_weight": np.ones(3)},
    "masked": lambda X, y: {"X": np.ma.array(X)},
    "masked labels": lambda X, y: {"y": np.ma.array(y)},
    "masked weights": lambda X, y: {"sample_weight": np.ma.ones(len(y))},
}
WRONG = {
    "class_weight": [1, 2],
    "batch_size": 0,
    "label_smoothing": 2,
    "optimizer": "adam",
    "threads": 0,
}


def everything(model):
    """All that a call may change, in a form that compares."""
    found = {k: v for k, v in vars(model).items() if k not in ("network_", "_random")}
    if hasattr(model, "network_"):
        net = model.network_
        found["network_"] = (
            id(net), net._steps, net._epochs, [p.tolist() for p in net.parameters()],
            {key: m.tolist() for key, m in net._moments.items()},
        )  # fmt: skip
    if hasattr(model, "_random"):
        found["_random"] = str(model._random.get_state())
    return copy.copy(found)


def assert_unchanged(model, before):
    now = everything(model)
    assert now.keys() == before.keys()
    for key in now:
        np.testing.assert_equal(now[key], before[key])


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("call", ["fit", "partial_fit"])
@pytest.mark.parametrize("make", [SoftmaxClassifier, MLPClassifier])
def test_a_first_call_that_fails_leaves_nothing(make, call, bad, rng):
    X, y = data(rng)
    model = make(epochs=2, random_state=0)
    if bad == "unknown label" and call == "fit":
        y = y * 0
    arguments = {"X": X, "y": y, **BAD[bad](X, y)}
    more = {"classes": [0, 1, 2]} if call == "partial_fit" else {}
    if bad == "features" or (bad == "text" and call == "partial_fit"):
        arguments["X"] = X[0]
    before = everything(model)
    with pytest.raises((ValueError, TypeError)):
        getattr(model, call)(**arguments, **more)
    assert_unchanged(model, before)
    with pytest.raises(NotFittedError):
        model.predict(X)
    X, y = data(rng)
    model.partial_fit(X[:, :3], y + 5, classes=[5, 6, 7])  # others than those that failed
    assert set(model.predict(X[:, :3])) <= {5, 6, 7}


@pytest.mark.parametrize("bad", [*BAD, *WRONG])
@pytest.mark.parametrize("call", ["fit", "partial_fit"])
@pytest.mark.parametrize("make", [SoftmaxClassifier, MLPClassifier])
def test_a_later_call_that_fails_keeps_the_good_model(make, call, bad, rng):
    X, y = data(rng)
    model = make(epochs=2, random_state=np.random.RandomState(0))
    model.partial_fit(X, y, classes=[0, 1, 2]).partial_fit(X, y)
    arguments = {"X": X, "y": y, **(BAD[bad](X, y) if bad in BAD else {})}
    if call == "fit" and bad == "unknown label":
        arguments["y"] = y * 0
    if call == "fit" and bad == "features":
        arguments["X"] = X[0]
    if bad in WRONG:
        model.set_params(**{bad: WRONG[bad]})
    before, random = everything(model), str(model.random_state.get_state())
    with pytest.raises((ValueError, TypeError)):
        getattr(model, call)(**arguments)
    assert_unchanged(model, before)
    assert str(model.random_state.get_state()) == random


def test_a_training_that_diverges_keeps_the_good_model(rng):
    X, y = data(rng)
    model = MLPClassifier((5,), batch_size=8, epochs=3, random_state=0).fit(X, y)
    model.optimizer = SGD(1e200)
    for call in (model.fit, model.partial_fit):
        before = everything(model)
        with pytest.raises(DivergenceError):
            call(X, y)
        assert_unchanged(model, before)


def test_a_failed_split_keeps_the_good_model(rng):
    X, y = data(rng)
    model = SoftmaxClassifier(random_state=0, epochs=3).fit(X, y)
    model.early_stopping = True
    before = everything(model)
    message = r"early_stopping keeps 1 of the 4 rows aside \(validation_fraction=0.1\)"
    with pytest.raises(ValueError, match=message):
        model.fit(X[:4], y[:4])
    with pytest.raises(ValueError, match="leaves nothing to validate on"):
        model.fit(X, y, sample_weight=np.arange(60) == 1)
    for share in (0, 1, 1.5):
        model.validation_fraction = share
        with pytest.raises(ValueError, match=f"validation_fraction is {share}"):
            model.fit(X, y)
    model.validation_fraction = 0.1
    assert_unchanged(model, before)


# ---------------------------------------------------------------- messages and options

TOLD = {
    "class_weight list": ({"class_weight": [1, 2]}, TypeError, r"is \[1, 2\]; expected a dict"),
    "class_weight text": ({"class_weight": "even"}, ValueError, "is 'even'; expected a dict"),
    "class_weight label": ({"class_weight": {7: 2}}, ValueError, "has the class 7; expected one"),
    "class_weight < 0": ({"class_weight": {1: -2}}, ValueError, r"class_weight\[1\] is -2; exp"),
    "class_weight NaN": ({"class_weight": {1: np.nan}}, ValueError, r"class_weight\[1\] is nan"),
    "hidden": ({"hidden_layer_sizes": 5.5}, TypeError, "hidden_layer_sizes is 5.5; expected a wh"),
    "hidden 0": ({"hidden_layer_sizes": (5, 0)}, ValueError, "hidden_layer_sizes is 0"),
    "hidden text": ({"hidden_layer_sizes": "5"}, TypeError, "hidden_layer_sizes is '5'"),
    "dropout": ({"dropout": "0.5"}, TypeError, "dropout is '0.5'; expected a number"),
    "batch_size": ({"batch_size": "all"}, TypeError, "batch_size is 'all'"),
    "epochs": ({"epochs": "5"}, TypeError, "epochs is '5'"),
    "callback": ({"callback": 5}, TypeError, "callback is 5"),
}


@pytest.mark.parametrize("case", TOLD)
def test_parameters_that_do_not_fit(case, rng):
    options, error, message = TOLD[case]
    X, y = data(rng)
    with pytest.raises(error, match=message):
        MLPClassifier(**{"epochs": 1, **options}).fit(X, y)


OTHERWISE = {
    "lr": r"optimizer=Adam\(0.01\)",
    "learning_rate_init": r"optimizer=Adam\(0.01\)",
    "C": "l2=...",
    "max_iter": "did you mean 'epochs'",
    "class_weights": "did you mean 'class_weight'",
    "epoch": "did you mean 'epochs'",
}


@pytest.mark.parametrize("name", OTHERWISE)
@pytest.mark.parametrize("make", [SoftmaxClassifier, MLPClassifier])
def test_parameters_that_are_called_otherwise_here(make, name, rng):
    with pytest.raises(TypeError, match=f"{name!r} is not an option of {make.__name__}; ") as told:
        make(**{name: 1})
    told.match(OTHERWISE[name])
    with pytest.raises(TypeError, match="did you mean 'sample_weight'"):
        make().fit(*data(rng), weights=np.ones(60))


def test_weights_that_do_not_fit(rng):
    X, y = data(rng)
    weight = np.ones(60)
    weight[7] = -1
    with pytest.raises(ValueError, match=r"sample_weight\[7\] is -1.0; expected finite numbers"):
        SoftmaxClassifier().fit(X, y, sample_weight=weight)
    with pytest.raises(ValueError, match=r"sample_weight has shape \(3,\); expected \(60,\)"):
        SoftmaxClassifier().fit(X, y, sample_weight=[1, 1, 1])


def test_sizes_of_layers(rng):
    X, y = data(rng)
    for sizes in (5, 5.0, [5], (5,), np.array([5])):
        model = MLPClassifier(sizes, epochs=1, random_state=0).fit(X, y)
        assert model.network_.layers[0][0].shape == (4, 5)


def test_verbose_and_callback(capsys, rng):
    pytest.importorskip("tqdm")
    X, y = data(rng)
    seen = []
    model = SoftmaxClassifier(
        epochs=9,
        verbose=1,
        callback=lambda net, history: seen.append(len(history.loss)) or len(seen) == 4,
    ).fit(X, y)
    assert seen == [1, 2, 3, 4]
    assert len(model.history_.loss) == 4
    assert "epoch" in capsys.readouterr().err
