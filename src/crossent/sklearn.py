"""scikit-learn estimators over the compiled loop of `crossent.train`."""

from contextlib import contextmanager

import numpy as np

from . import _check, _core, _errors
from .train import Adam, Constant, Cosine, Network
from .train.fit import BALANCED
from .train.options import by_name

try:
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.model_selection import train_test_split
    from sklearn.utils import check_random_state
    from sklearn.utils.class_weight import compute_sample_weight
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ModuleNotFoundError as _missing:
    if (_missing.name or "").partition(".")[0] != "sklearn":
        raise
    raise _errors.missing_package("scikit-learn", __name__, "sklearn") from None

__all__ = ["MLPClassifier", "SoftmaxClassifier"]

# batch_size="auto": some twenty steps an epoch, of 32 rows at least, up to which more rows rarely
# help (Masters and Luschi, 2018), and of no more than speed needs.
AUTO_STEPS, LEAST_AUTO_BATCH, LARGEST_AUTO_BATCH = 20, 32, 256


_RATE = "the learning rate belongs to the optimiser: optimizer=Adam(0.01)"
_PENALTY = "penalties belong to the optimiser: optimizer=Adam(0.01, l2=...)"
_MEANINGS = {
    "lr": _RATE,
    "learning_rate": _RATE,
    "learning_rate_init": _RATE,
    "solver": "optimizer takes SGD(...), Adam(...) or AdamW(...)",
    "alpha": _PENALTY,
    "C": _PENALTY,
    "penalty": _PENALTY,
    "l2": _PENALTY,
    "max_iter": "did you mean 'epochs'?",
    "n_iter_no_change": "did you mean 'patience'?",
    "class_weights": "did you mean 'class_weight'?",
    "weights": "did you mean 'sample_weight'?",
    "seed": "did you mean 'random_state'?",
    "n_jobs": "did you mean 'threads'?",
    "hidden_layers": "did you mean 'hidden_layer_sizes'?",
}


class _Classifier(ClassifierMixin, BaseEstimator):
    """What both estimators share; the subclasses name their hidden layers."""

    def _hidden(self):
        raise NotImplementedError

    @by_name(_MEANINGS)
    def fit(self, X, y, sample_weight=None):
        """Trains from new parameters. After an error the estimator is as it was.

        Parameters
        ----------
        X : array (rows, features)
            float32 stays float32; all else becomes float64.
        y : array (rows,)
            Class labels of any kind.
        sample_weight : array (rows,), optional
            Numbers >= 0; only their ratios matter.

        Returns
        -------
        self
        """
        with self._as_it_was_after_errors():
            X, y = self._data(X, y, reset=True)
            self.classes_, target = np.unique(y, return_inverse=True)
            if len(self.classes_) < 2:
                raise ValueError(f"y has 1 class, {self.classes_[0]}; expected at least two")
            weight = self._weights(y, target, sample_weight)
            if weight is not None and weight.any():
                # Of mean 1: the gradient of a step, which divides by its rows, is then that of the
                # whole weighted mean in expectation, whichever rows it has.
                weight = weight / weight.mean()
            random = check_random_state(self.random_state)
            network = self._new_network(X, random)
            rows, validation = (X, target, weight), None
            if self.early_stopping:
                rows, validation = self._keep_rows_aside(*rows, random)
            self.history_ = network.fit(
                *rows[:2],
                epochs=self.epochs,
                validation=validation,
                patience=self.patience if self.early_stopping else None,
                sample_weight=rows[2],
                progress=bool(self.verbose),
                callback=self.callback,
                **self._options(len(rows[0]), random, Cosine()),
            )
            self.network_ = network
            self.__dict__.pop("_random", None)
        return self

    @by_name(_MEANINGS)
    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """One more epoch, on these rows. After an error the estimator is as it was.

        Weights mean the same in every call, whichever rows come together: a step divides by its
        rows, not by their weights. ``class_weight="balanced"`` is refused, as it depends on the
        rows of all calls.

        Parameters
        ----------
        X, y
            As for `fit`.
        classes : array, required in the first call
            All labels that will ever come.
        sample_weight : array (rows,), optional
            Numbers >= 0 that multiply the losses of the rows.

        Returns
        -------
        self
        """
        with self._as_it_was_after_errors(getattr(self, "network_", None)):
            first = not hasattr(self, "network_")
            if isinstance(self.class_weight, str) and self.class_weight == "balanced":
                raise ValueError(BALANCED)
            X, y = self._data(X, y, reset=first)
            if first:
                if classes is None:
                    raise ValueError("classes must be passed in the first call of partial_fit")
                self.classes_ = np.unique(_check.array("classes", classes))
                if len(self.classes_) < 2:
                    raise ValueError(f"classes is {classes}; expected at least two")
                self._random = check_random_state(self.random_state)
                self.network_ = self._new_network(X, self._random)
            elif classes is not None and not np.array_equal(np.unique(classes), self.classes_):
                raise ValueError(
                    f"classes is {classes}; expected those of the first call, {self.classes_}"
                )
            strange = np.setdiff1d(y, self.classes_)
            if strange.size:
                raise ValueError(
                    f"y holds {strange[0]}; expected one of the classes {self.classes_}"
                )
            target = np.searchsorted(self.classes_, y)
            random = getattr(self, "_random", None) or check_random_state(self.random_state)
            options = self._options(len(X), random, Constant())
            self.network_.partial_fit(
                X, target, sample_weight=self._weights(y, target, sample_weight), **options
            )
        return self

    @contextmanager
    def _as_it_was_after_errors(self, network=None):
        """Puts back all that a call has changed if it fails: attributes, the state of random
        numbers, and the parameters and moments of the network that it trains."""
        attributes = dict(vars(self))
        kept = network and network._state()
        randoms = [
            (random, random.get_state())
            for random in (attributes.get("_random"), self.random_state)
            if isinstance(random, np.random.RandomState)
        ]
        try:
            yield
        except BaseException:
            vars(self).clear()
            vars(self).update(attributes)
            if network:
                network._put_back(kept)
            for random, state in randoms:
                random.set_state(state)
            raise

    def _data(self, X, y, reset):
        """X and y as arrays, checked; masked arrays would lose their mask."""
        _check.refuse_masked("X", X)
        _check.refuse_masked("y", y)
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], reset=reset)
        check_classification_targets(y)
        return X, y

    def _weights(self, y, target, sample_weight):
        """What multiplies the losses of the rows, as given, or None."""
        by_class = self._class_weights()
        if sample_weight is None and self.class_weight is None:
            return None
        if sample_weight is not None:
            sample_weight = _check.array("sample_weight", sample_weight)
            if sample_weight.shape not in ((), y.shape):
                raise ValueError(
                    f"sample_weight has shape {sample_weight.shape}; expected {y.shape}, one "
                    "number for each row"
                )
        weight = _check.row_weights("sample_weight", sample_weight, y.shape)
        if self.class_weight is None:
            return np.array(weight)
        if by_class is None:
            by_row = compute_sample_weight("balanced", y)
        else:
            by_row = by_class[target]
        return by_row if weight is None else weight * by_row

    def _class_weights(self):
        """The weight of each class, or None without weights and for "balanced"."""
        given = self.class_weight
        if given is None or (isinstance(given, str) and given == "balanced"):
            return None
        if not isinstance(given, dict):
            error = ValueError if isinstance(given, str) else TypeError
            raise error(
                f"class_weight is {given!r}; expected a dict {{label: weight}} or 'balanced'"
                + ("" if isinstance(given, str) else ": dict(zip(classes, weights))")
            )
        known = self.classes_.tolist()
        for label, weight in given.items():
            _check.number(f"class_weight[{label!r}]", weight, 0)
        # Classes that this y happens to lack may have a weight, unless one it has seems misspelt.
        unknown = [label for label in given if label not in known]
        if unknown and not given.keys() >= set(known):
            raise ValueError(
                f"class_weight has the class {unknown[0]!r}; expected one of {self.classes_}"
            )
        return np.array([float(given.get(label, 1)) for label in known])

    def _keep_rows_aside(self, X, target, weight, random):
        """(rows to train on, rows to validate on), each (X, target, weight)."""
        share = _check.number("validation_fraction", self.validation_fraction)
        if not 0 < share < 1:
            raise ValueError(
                f"validation_fraction is {share}; expected 0 < validation_fraction < 1"
            )
        kept = int(np.ceil(share * len(X)))
        fewest, classes = np.bincount(target).min(), len(self.classes_)
        if fewest < 2 or min(kept, len(X) - kept) < classes:
            raise ValueError(
                f"early_stopping keeps {kept} of the {len(X)} rows aside (validation_fraction="
                f"{share}), and the rarest class has {fewest}; expected at least 2 rows of every "
                f"class, and {classes} rows, as many as classes, on either side"
            )
        arrays = [X, target] if weight is None else [X, target, weight]
        parts = train_test_split(
            *arrays, test_size=self.validation_fraction, random_state=random, stratify=target
        )
        return (*parts[0::2], None)[:3], tuple(parts[1::2])

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
        _check.refuse_masked("X", X)
        X = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return self.network_.logits(X, threads=self.threads)

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
    class_weight : dict {label: weight} or "balanced", optional
        Against rare classes: "balanced" makes all classes weigh the same in sum, a dict leaves
        classes that it does not name at 1. Not "balanced" for `partial_fit`.
    label_smoothing : float in [0, 1], default 0
    early_stopping : bool, default False
        Keep `validation_fraction` of the rows aside, and stop when their loss has not fallen for
        `patience` epochs.
    validation_fraction : float, default 0.1
    patience : int, default 10
    random_state : int, RandomState or None
    threads : int, optional
    verbose : bool, default False
        Show a bar while `fit` trains (needs tqdm).
    callback : function of (network, history), optional
        Called after each epoch of `fit`; a true result stops the training.

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

    @by_name(_MEANINGS)
    def __init__(
        self, *, optimizer=None, epochs=200, batch_size="auto", class_weight=None,
        label_smoothing=0.0, early_stopping=False, validation_fraction=0.1, patience=10,
        random_state=None, threads=None, verbose=False, callback=None,
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
        self.verbose = verbose
        self.callback = callback

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
    validation_fraction, patience, random_state, threads, verbose, callback
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

    @by_name(_MEANINGS)
    def __init__(
        self, hidden_layer_sizes=(100,), activation="relu", *, dropout=0.0, optimizer=None,
        epochs=200, batch_size="auto", class_weight=None, label_smoothing=0.0,
        early_stopping=False, validation_fraction=0.1, patience=10, random_state=None,
        threads=None, verbose=False, callback=None,
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
        self.verbose = verbose
        self.callback = callback

    def _hidden(self):
        sizes = self.hidden_layer_sizes
        if isinstance(sizes, str) or not np.iterable(sizes):
            sizes = (sizes,)
        return [_check.whole("hidden_layer_sizes", n, 1) for n in sizes]

    def _architecture(self):
        return {"activation": self.activation, "dropout": self.dropout}
