"""The scikit-learn estimators, by scikit-learn's own checks and in its own tools."""

import pickle

import numpy as np
import pytest

sklearn = pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from crossent.sklearn import MLPClassifier, SoftmaxClassifier
from crossent.train import SGD, Adam, Cosine


@parametrize_with_checks([SoftmaxClassifier(), MLPClassifier(hidden_layer_sizes=(20,))])
def test_scikit_learns_own_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("make", [SoftmaxClassifier, MLPClassifier])
@pytest.mark.parametrize("load", [load_digits, load_breast_cancer])
def test_held_out_accuracy(make, load):
    X, y = load(return_X_y=True)
    X, Xt, y, yt = train_test_split(X, y, random_state=0, stratify=y)
    model = make_pipeline(StandardScaler(), make(random_state=0, epochs=50)).fit(X, y)
    assert model.score(Xt, yt) > 0.95


def test_labels_of_any_kind_and_what_is_predicted(rng):
    X = rng.standard_normal((60, 3))
    y = np.array(["red", "green", "blue"])[X.argmax(axis=1)]
    model = SoftmaxClassifier(random_state=0).fit(X, y)
    assert model.classes_.tolist() == ["blue", "green", "red"]
    proba = model.predict_proba(X)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), proba, rtol=1e-12)
    np.testing.assert_array_equal(model.predict(X), model.classes_[proba.argmax(axis=1)])
    np.testing.assert_allclose(
        model.decision_function(X), X @ model.coef_.T + model.intercept_, rtol=1e-10
    )
    assert model.score(X, y) > 0.9


def test_partial_fit_clone_and_pickle(rng):
    X = rng.standard_normal((200, 4)).astype(np.float32)
    y = (X[:, 0] > 0).astype(int)
    model = MLPClassifier((8,), optimizer=SGD(0.1, momentum=0.9), random_state=0)
    for begin in range(0, 200, 50):
        model.partial_fit(X[begin : begin + 50], y[begin : begin + 50], classes=[0, 1])
    assert model.network_.dtype == np.float32
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    model.partial_fit(X, y)
    again.partial_fit(X, y)
    np.testing.assert_array_equal(again.predict_proba(X), model.predict_proba(X))
    fresh = clone(model)
    assert fresh.optimizer == model.optimizer
    assert not hasattr(fresh, "network_")
    with pytest.raises(ValueError, match="y holds 2; expected one of the classes"):
        model.partial_fit(X, y + 1)


def test_a_grid_search():
    X, y = load_breast_cancer(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), SoftmaxClassifier(epochs=20, random_state=0))
    grid = {"softmaxclassifier__optimizer": [SGD(0.01), SGD(0.1, momentum=0.9)]}
    search = GridSearchCV(pipeline, grid, cv=3).fit(X, y)
    assert search.best_score_ > 0.95


def test_class_weight_and_early_stopping(rng):
    X = rng.standard_normal((400, 2))
    y = (X[:, 0] + rng.standard_normal(400) > 1.5).astype(int)  # few ones
    plain = SoftmaxClassifier(random_state=0).fit(X, y)
    even = SoftmaxClassifier(random_state=0, class_weight="balanced").fit(X, y)
    assert even.predict(X).mean() > 2 * plain.predict(X).mean()
    stopped = MLPClassifier((50,), early_stopping=True, patience=3, random_state=0).fit(X, y)
    assert len(stopped.history_.val_loss) < 200


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_penalty_of_logistic_regression_gives_its_probabilities(classes, weighted, rng):
    X = rng.standard_normal((300, 4))
    y = (X @ rng.standard_normal((4, classes)) + rng.gumbel(size=(300, classes))).argmax(axis=1)
    weight = 10 ** rng.uniform(-2, 2, 300) if weighted else np.ones(300)
    optimizer = Adam(0.03, l2=(2 if classes == 2 else 1) / weight.sum(), schedule=Cosine())
    ours = SoftmaxClassifier(optimizer=optimizer, epochs=600, random_state=0)
    theirs = LogisticRegression(tol=1e-8, max_iter=1000)
    for model in (ours, theirs):
        model.fit(X, y, sample_weight=weight)
    # What noise of the mini-batches is left; means over the weights of each are off by up to 0.06.
    np.testing.assert_allclose(ours.predict_proba(X), theirs.predict_proba(X), atol=0.02)
