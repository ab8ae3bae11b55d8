"""scikit-learn estimators over the compiled loop of `crossent.train`."""

import numbers

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from . import _core
from .train import Adam, Constant, Cosine, Network

__all__ = ["MLPClassifier", "SoftmaxClassifier"]

# batch_size="auto": some twenty steps an epoch, of 32 rows at least, up to which more rows rarely
# help (Masters and Luschi, 2018), and of no more than speed needs.
AUTO_STEPS, LEAST_AUTO_BATCH, LARGEST_AUTO_BATCH = 20, 32, 256


class _Classifier(ClassifierMixin, BaseEstimator):
    """What both estimators share; the subclasses name their hidden layers."""

    def _hidden(self):
        raise NotImplementedError

    def fit(self, X, y, sample_weight=None):
        """Trains from new parameters.

        Parameters
        ----------
        X : array (rows, features)
            float32 stays float32; all else becomes float64.
        y : array (rows,)
            Class labels of any kind.
        sample_weight : array (rows,), optional

        Returns
        -------
        self
        """
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32])
        check_classification_targets(y)
        self.classes_, target = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y has 1 class, {self.classes_[0]}; expected at least two")
        weight = self._weights(X, y, sample_weight)
        random = check_random_state(self.random_state)
        self.network_ = self._new_network(X, random)
        validation = None
        if self.early_stopping:
            X, Xv, target, tv, *weights = train_test_split(
                *([X, target] if weight is None else [X, target, weight]),
                test_size=self.validation_fraction,
                random_state=random,
                stratify=target,
            )
            weight, validation = (weights[0] if weights else None), (Xv, tv, *weights[1:])
        self.history_ = self.network_.fit(
            X,
            target,
            epochs=self.epochs,
            validation=validation,
            patience=self.patience if self.early_stopping else None,
            sample_weight=weight,
            **self._options(len(X), random, Cosine()),
        )
        return self

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """One more epoch, on these rows.

        Parameters
        ----------
        X, y, sample_weight
            As for `fit`.
        classes : array, required in the first call
            All labels that will ever come.

        Returns
        -------
        self
        """
        first = not hasattr(self, "network_")
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], reset=first)
        check_classification_targets(y)
        if first:
            if classes is None:
                raise ValueError("classes must be passed in the first call of partial_fit")
            self.classes_ = np.unique(classes)
            self._random = check_random_state(self.random_state)
            self.network_ = self._new_network(X, self._random)
        elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(
                f"classes is {classes}; expected those of the first call, {self.classes_}"
            )
        strange = np.setdiff1d(y, self.classes_)
        if strange.size:
            raise ValueError(f"y holds {strange[0]}; expected one of the classes {self.classes_}")
        random = getattr(self, "_random", None) or check_random_state(self.random_state)
        self.network_.partial_fit(
            X.astype(self.network_.dtype, copy=False),
            np.searchsorted(self.classes_, y),
            sample_weight=self._weights(X, y, sample_weight),
            **self._options(len(X), random, Constant()),
        )
        return self

    def _weights(self, X, y, sample_weight):
        """Weights of mean 1. A step divides by its rows, not by their weights: its gradient is then
        that of the whole weighted mean in expectation, whichever rows it has."""
        if sample_weight is None and self.class_weight is None:
            return None
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
        if self.class_weight is not None:
            weight = weight * compute_sample_weight(self.class_weight, y)
        return weight / (weight.mean() or 1.0)

    def _new_network(self, X, random):
        return Network.create(
            [X.shape[1], *self._hidden(), len(self.classes_)],
            dtype=X.dtype,
            seed=int(random.randint(2**31)),
            output="softmax",
            **self._architecture(),
        )

    def _architecture(self):
        return {}

    def _options(self, rows, random, schedule):
        batch = self.batch_size
        if batch == "auto":
            batch = min(max(rows // AUTO_STEPS, LEAST_AUTO_BATCH), LARGEST_AUTO_BATCH)
        default = Adam(0.01, schedule=schedule)
        return {
            "loss": _core.SoftmaxCrossEntropy(
                label_smoothing=self.label_smoothing, normalizer="batch"
            ),
            "optimizer": default if self.optimizer is None else self.optimizer,
            "batch_size": batch,
            "seed": int(random.randint(2**31)),
            "threads": self.threads,
        }

    def _logits(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return self.network_.logits(X.astype(self.network_.dtype, copy=False), threads=self.threads)

    def decision_function(self, X):
        """Logits (rows, classes); for two classes the difference of the two, (rows,)."""
        z = self._logits(X)
        return z[:, 1] - z[:, 0] if z.shape[1] == 2 else z

    def predict_proba(self, X):
        """Probabilities (rows, classes), in the order of `classes_`."""
        return _core.softmax(self._logits(X))

    def predict_log_proba(self, X):
        """Their logarithms, accurate also where a probability is close to 1 or 0."""
        return _core.log_softmax(self._logits(X))

    def predict(self, X):
        """The likeliest class of each row."""
        logits = self._logits(X)
        return self.classes_[logits.argmax(axis=1)]


class SoftmaxClassifier(_Classifier):
    """Softmax regression (multinomial logistic regression) by mini-batches.

    Parameters
    ----------
    optimizer : SGD, Adam or AdamW of `crossent.train`, optional
        With learning rate, L2, L1, clipping and schedule; by default
        ``Adam(0.01, schedule=Cosine())``, in `partial_fit` ``Adam(0.01)``.
    epochs : int, default 200
    batch_size : int or "auto", default "auto"
        "auto" is a twentieth of the rows, at least 32 and at most 256.
    class_weight : dict or "balanced", optional
        Against rare classes: "balanced" makes all classes weigh the same in sum.
    label_smoothing : float in [0, 1], default 0
    early_stopping : bool, default False
        Keep `validation_fraction` of the rows aside, and stop when their loss has not fallen for
        `patience` epochs.
    validation_fraction : float, default 0.1
    patience : int, default 10
    random_state : int, RandomState or None
    threads : int, optional

    Attributes
    ----------
    classes_ : ndarray (classes,)
    coef_, intercept_ : ndarray (classes, features) and (classes,)
    network_ : crossent.train.Network
    history_ : crossent.train.History

    Notes
    -----
    The weights start at 0, and there is no penalty unless the optimiser has one. That of
    `sklearn.linear_model.LogisticRegression` (C=1) is ``l2=1 / rows``; with two classes it is
    ``2 / rows``, as here each class has weights of its own. Features of one scale
    (`sklearn.preprocessing.StandardScaler`) need fewer epochs.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from crossent.sklearn import SoftmaxClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> SoftmaxClassifier(random_state=0).fit(X, y).score(X, y) > 0.95
    True
    """

    def __init__(
        self, *, optimizer=None, epochs=200, batch_size="auto", class_weight=None,
        label_smoothing=0.0, early_stopping=False, validation_fraction=0.1, patience=10,
        random_state=None, threads=None,
    ):  # fmt: skip
        self.optimizer = optimizer
        self.epochs = epochs
        self.batch_size = batch_size
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state
        self.threads = threads

    def _hidden(self):
        return ()

    def _new_network(self, X, random):
        network = super()._new_network(X, random)
        network.layers[0][0][...] = 0  # the loss is convex: no need to start at random
        return network

    @property
    def coef_(self):
        """Weights, (classes, features): a view of the network's."""
        return self.network_.layers[0][0].T

    @property
    def intercept_(self):
        """Biases, (classes,): the network's."""
        return self.network_.layers[0][1]


class MLPClassifier(_Classifier):
    """A network of dense layers with a softmax at its end, trained by mini-batches.

    Parameters
    ----------
    hidden_layer_sizes : int or sequence of int, default (100,)
    activation : {"relu", "tanh", "sigmoid", "gelu", "identity"}, default "relu"
    dropout : float, 0 <= dropout < 1, default 0
    optimizer, epochs, batch_size, class_weight, label_smoothing, early_stopping,
    validation_fraction, patience, random_state, threads
        As for `SoftmaxClassifier`.

    Attributes
    ----------
    classes_ : ndarray (classes,)
    network_ : crossent.train.Network
    history_ : crossent.train.History

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from crossent.sklearn import MLPClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> MLPClassifier((16,), random_state=0).fit(X, y).score(X, y) > 0.95
    True
    """

    def __init__(
        self, hidden_layer_sizes=(100,), activation="relu", *, dropout=0.0, optimizer=None,
        epochs=200, batch_size="auto", class_weight=None, label_smoothing=0.0,
        early_stopping=False, validation_fraction=0.1, patience=10, random_state=None,
        threads=None,
    ):  # fmt: skip
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.dropout = dropout
        self.optimizer = optimizer
        self.epochs = epochs
        self.batch_size = batch_size
        self.class_weight = class_weight
        self.label_smoothing = label_smoothing
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.patience = patience
        self.random_state = random_state
        self.threads = threads

    def _hidden(self):
        sizes = self.hidden_layer_sizes
        return (sizes,) if isinstance(sizes, numbers.Integral) else sizes

    def _architecture(self):
        return {"activation": self.activation, "dropout": self.dropout}
