"""The network that users hold: its arrays, its answers, its training."""

import warnings

import numpy as np

from .. import _check, _core
from .._blas import one_blas_thread
from . import fit, storage
from .binding import EVALUATION_ROWS, Evaluation, bind_data, bind_rows, new_loop
from .layers import (
    check_activation,
    check_dropout,
    check_network,
    layer_list,
    new_layers,
    per_hidden_layer,
    short,
)
from .options import by_name


class Network:
    """Dense layers ``x @ W + b`` with activations between them, on the caller's own arrays.

    Parameters
    ----------
    layers : list of (weight, bias)
        Weights of shape (inputs, outputs), biases of shape (outputs,) or None; float32 or float64,
        all of one dtype, C-contiguous, writeable. Training changes them in place.
    activation : {"relu", "tanh", "sigmoid", "gelu", "identity"} or a list of them, default "relu"
        Between the layers; the last layer has none. "gelu" is the form with tanh.
    dropout : float or a list of them, 0 <= dropout < 1, default 0
        Share of each hidden layer's outputs that training sets to 0; the others are multiplied by
        ``1 / (1 - dropout)``.
    output : {"softmax", "sigmoid"}, optional
        What the last layer's outputs are logits of: one class among several, or independent
        yes-or-no answers. By default "sigmoid" for a single output, else "softmax".

    Examples
    --------
    >>> from crossent.train import Adam, Network
    >>> rng = np.random.default_rng(0)
    >>> X = rng.standard_normal((300, 2)).astype(np.float32)
    >>> y = (X[:, 0] * X[:, 1] > 0).astype(int)          # not linear
    >>> net = Network.create([2, 16, 2], seed=0)
    >>> history = net.fit(X, y, optimizer=Adam(0.01), batch_size=32, epochs=60, seed=0)
    >>> history.loss[-1] < 0.2 < history.loss[0]
    True
    """

    @by_name()
    def __init__(self, layers, *, activation="relu", dropout=0.0, output=None):
        if not isinstance(layers, (list, tuple)):
            raise TypeError(f"layers is {short(layers)}; expected a list of (weight, bias)")
        self.layers = layer_list(list(layers))
        hidden = len(self.layers) - 1
        self.activations = per_hidden_layer("activation", activation, hidden, check_activation)
        self.dropouts = per_hidden_layer("dropout", dropout, hidden, check_dropout)
        self.output = output or ("sigmoid" if self.outputs == 1 else "softmax")
        check_network(self, written=True)
        if self.output == "softmax" and self.outputs == 1:
            warnings.warn(
                "a softmax of a single output is always 1, and its loss 0; expected "
                "output='sigmoid' for yes or no, or one output for each class",
                RuntimeWarning,
                stacklevel=3,
            )
        self._forget()

    @classmethod
    @by_name()
    def create(
        cls, sizes, *, activation="relu", dropout=0.0, output=None, dtype=np.float32, seed=None
    ):
        """A network with new parameters: biases 0, weights normal with a fitting deviation.

        Parameters
        ----------
        sizes : list of int
            Features, hidden layers' widths, outputs: ``[784, 128, 10]``.
        activation, dropout, output
            As for `Network`.
        dtype : float32 or float64, default float32
        seed : int or numpy.random.Generator, optional
            Without one each network is another.

        Notes
        -----
        The deviation is ``sqrt(2 / inputs)`` before relu and gelu (He et al., 2015), else
        ``sqrt(2 / (inputs + outputs))`` (Glorot and Bengio, 2010).
        """
        if isinstance(sizes, str) or np.ndim(sizes) != 1:
            raise TypeError(f"sizes is {sizes!r}; expected a list, such as [784, 128, 10]")
        try:
            known = np.dtype(dtype) in (np.float32, np.float64)
        except TypeError:
            known = False
        if not known:
            raise TypeError(f"dtype is {dtype!r}; expected float32 or float64")
        if seed is not None and not isinstance(seed, np.random.Generator):
            seed = _check.whole("seed", seed, 0)
        sizes = [_check.whole("sizes", n, 1) for n in sizes]
        if len(sizes) < 2:
            raise ValueError(f"sizes is {sizes}; expected at least features and outputs")
        names = list(activation) if isinstance(activation, (list, tuple)) else [activation]
        names = [*(names * len(sizes))[: len(sizes) - 2], "identity"]
        return cls(new_layers(sizes, names, dtype, seed), activation=activation,
                   dropout=dropout, output=output)  # fmt: skip

    @property
    def dtype(self):
        """float32 or float64, of all parameters; the rows of `X` are converted to it."""
        return self.layers[0][0].dtype

    @property
    def features(self):
        """Columns of `X`."""
        return self.layers[0][0].shape[0]

    @property
    def outputs(self):
        """Width of the last layer: classes, or yes-or-no answers."""
        return self.layers[-1][0].shape[1]

    def __repr__(self):
        sizes = [self.features, *(weight.shape[1] for weight, _ in self.layers)]
        parts = ["-".join(map(str, sizes)), *dict.fromkeys(self.activations), self.output]
        count = sum(p.size for p in self.parameters())
        return f"<crossent.train.Network: {', '.join(parts)}, {self.dtype}, {count:,} parameters>"

    def summary(self):
        """Prints the layers: shapes, activations, dropout, numbers of parameters.

        Examples
        --------
        >>> from crossent.train import Network
        >>> Network.create([784, 128, 10], dropout=0.2).summary()
        layer       weight  bias  activation  dropout  parameters
            0   (784, 128)   yes        relu      0.2     100,480
            1    (128, 10)   yes     softmax        0       1,290
        float32, 101,770 parameters, 407,080 bytes
        """
        print("layer       weight  bias  activation  dropout  parameters")
        activations, dropouts = [*self.activations, self.output], [*self.dropouts, 0.0]
        for i, (weight, bias) in enumerate(self.layers):
            count = weight.size + (0 if bias is None else bias.size)
            print(
                f"{i:5} {weight.shape!s:>12} {'no' if bias is None else 'yes':>5} "
                f"{activations[i]:>11} {dropouts[i]:8g} {count:11,}"
            )
        parameters = self.parameters()
        print(
            f"{self.dtype}, {sum(p.size for p in parameters):,} parameters, "
            f"{sum(p.nbytes for p in parameters):,} bytes"
        )

    def parameters(self):
        """All weights and biases, the arrays themselves."""
        return [p for layer in self.layers for p in layer if p is not None]

    def _forget(self):
        """Forgets the optimiser's moments and the number of steps and epochs done."""
        self._moments, self._steps, self._epochs = {}, 0, 0
        self._scaling = None, None  # temperature and softcap of the loss of the last training

    def _state(self):
        """All that training changes, for `_put_back`: arrays with copies, and counts."""
        parameters = [(p, p.copy()) for p in self.parameters()]
        moments = {key: (moment, moment.copy()) for key, moment in self._moments.items()}
        return parameters, moments, (self._steps, self._epochs, self._scaling)

    def _put_back(self, state):
        parameters, moments, (self._steps, self._epochs, self._scaling) = state
        for array, kept in [*parameters, *moments.values()]:
            array[...] = kept
        self._moments = {key: array for key, (array, _) in moments.items()}

    # ------------------------------------------------------------ using it

    def logits(self, X, *, threads=None):
        """Outputs of the last layer, shape (rows, outputs)."""
        loop, blas, _ = new_loop(self, EVALUATION_ROWS, threads)
        out = np.empty((bind_rows(loop, self, X), self.outputs), self.dtype)
        with one_blas_thread(blas):
            loop.evaluate(out)
        return out

    forward = logits

    def predict_proba(self, X, *, threads=None):
        """Softmax or sigmoid of the logits, shape (rows, outputs).

        `temperature` and `softcap` of the loss that the network was last trained with act on the
        logits here as they did there.
        """
        z = self.logits(X, threads=threads)
        temperature, softcap = self._scaling
        if temperature is not None:
            z /= temperature
        if softcap is not None:
            z = softcap * np.tanh(z / softcap)
        return (_core.sigmoid if self.output == "sigmoid" else _core.softmax)(z, out=z)

    def predict(self, X, *, threads=None, validate=True):
        """The likeliest class of each row; for a sigmoid 0 or 1, of shape (rows,) if one output.

        Parameters
        ----------
        X : array (rows, features)
            As for `fit`.
        threads : int, optional
        validate : bool, default True
            Refuse rows whose logits are NaN, which have no likeliest class; False calls them class
            0.

        Raises
        ------
        ValueError
            Names the first row whose logits are NaN.
        """
        z = self.logits(X, threads=threads)
        if validate:
            self._refuse_nan(z)
        if self.output == "softmax":
            return z.argmax(axis=1)
        answers = (z > 0).astype(np.intp)
        return answers[:, 0] if self.outputs == 1 else answers

    def _refuse_nan(self, z):
        bad = np.flatnonzero(np.isnan(z).any(axis=1))
        if bad.size == 0:
            return
        if not all(np.isfinite(p).all() for p in self.parameters()):
            raise ValueError("the parameters hold NaN or infinity; expected finite numbers")
        raise ValueError(
            f"X[{bad[0]}] holds NaN or infinity, or numbers too large: its logits are NaN; "
            "expected finite numbers (validate=False calls such rows class 0)"
        )

    @by_name()
    def evaluate(
        self, X, y, *, loss=None, sample_weight=None, threads=None, validate=True
    ):  # fmt: skip
        """Mean loss and accuracy on a data set.

        Parameters
        ----------
        X, y, loss, sample_weight, threads, validate
            As for `fit`.

        Returns
        -------
        loss, accuracy : float
            In nats, without penalties; the share of rows (of answers, for a sigmoid) that is right.
            A number as the loss's `normalizer` divides the sum over all rows.
        """
        return Evaluation(self, X, y, loss, sample_weight, threads, validate)()

    @by_name()
    def backward(
        self, X, y, *, loss=None, sample_weight=None, class_weight=None, threads=None,
        validate=True,
    ):  # fmt: skip
        """Mean loss and its gradients, for checking and for optimisers of one's own.

        Returns
        -------
        loss : float
        gradients : list of (weight gradient, bias gradient)
            New arrays, in the order of `layers`; dropout is left out.
        """
        loop, blas, gradients = new_loop(self, EVALUATION_ROWS, threads, gradients=True)
        bind_data(loop, self, X, y, loss, sample_weight, class_weight, validate=validate)
        if loop.rows == 0:
            raise ValueError("X has no rows; expected at least one")
        loop.order("all", 0, 0, False)
        with one_blas_thread(blas):
            loop.gradients()
        return loop.mean_loss, gradients

    # ------------------------------------------------------------ training

    @by_name()
    def fit(
        self, X, y, *, loss=None, optimizer=None, batch_size=64, epochs=10, shuffle=True,
        drop_last=False, accumulate=1, sample_weight=None, class_weight=None, sampling="all",
        validation=None, patience=None, min_delta=0.0, seed=0, threads=None, progress=False,
        callback=None, validate=True,
    ):  # fmt: skip
        """Trains for whole epochs, in C; starts the optimiser afresh.

        Parameters
        ----------
        X : array (rows, features) of real numbers, or a sequence of such chunks
            Of any dtype up to 64 bits: rows are converted to the network's as they are gathered,
            without a copy of X. Chunks come in a list, or in any object with ``len`` and ``[i]``,
            of which each is asked for once. Arrays may be `numpy.memmap`: only the rows of a batch
            are touched. Lists of numbers and data frames become an array first.
        y : class indices (rows,), or targets (rows, outputs)
            Rows of integers or booleans with one 1 are class indices too, for a softmax.
        loss : SoftmaxCrossEntropy or SigmoidCrossEntropy, optional
            With its options; reduction "mean".
        optimizer : SGD, Adam or AdamW, default ``Adam()``
        batch_size : int, default 64
            Rows of a step: 1 is stochastic, at least ``len(X)`` full-batch.
        epochs : int, default 10
            How often every row is used.
        shuffle : bool, default True
            A new order each epoch, from `seed` and the number of the epoch.
        drop_last : bool, default False
            Leave out the last batch of an epoch if it is short.
        accumulate : int, default 1
            Batches whose gradients make one step; the mean is over all their rows.
        sample_weight : array (rows,), optional
            Numbers >= 0 that multiply the losses of a row.
        class_weight : "balanced", dict or array (classes,), optional
            Numbers that multiply the losses of a class; "balanced" makes all classes weigh the same
            in sum, a dict leaves the others at 1.
        sampling : {"all", "over", "under", "balanced"}, default "all"
            "over" repeats rows of rarer classes, "under" leaves out rows of commoner ones, until
            all classes are equal; "balanced" draws with replacement, each class as often.
        validation : tuple (X, y) or (X, y, sample_weight), or float, optional
            Evaluated after each epoch. A number between 0 and 1 keeps that share of the rows aside,
            drawn from `seed`: they have weight 0 in training.
        patience : int, optional
            Stop when the validation loss has not fallen by `min_delta` for so many epochs, and put
            back the parameters of the best one.
        min_delta : float, default 0
        seed : int, default 0
            Of shuffling, sampling and dropout.
        threads : int, default `crossent.get_num_threads()`
            The result does not depend on it.
        progress : bool, default False
            Show a bar (needs tqdm).
        callback : function of (network, history), optional
            Called after each epoch; a true result stops the training.
        validate : bool, default True
            Refuse targets of a sigmoid outside [0, 1], soft targets that are negative or not
            finite, and validation rows that hold NaN or infinity. False takes them as they are.

        Returns
        -------
        History

        Raises
        ------
        ValueError, TypeError, IndexError
            Arguments that do not fit, NaN in X, labels out of range; names what and where.
        DivergenceError
            If the loss is no longer finite.
        KeyboardInterrupt
            Ctrl-C stops within 0.1 s and a batch, or a part of 512 rows of a larger one; the order
            of an epoch is drawn first (0.3 s for 10 million rows). As after every error, the
            parameters are those after the last whole step.
        """
        return fit.fit(
            self, X, y, loss=loss, optimizer=optimizer, batch_size=batch_size, epochs=epochs,
            shuffle=shuffle, drop_last=drop_last, accumulate=accumulate,
            sample_weight=sample_weight, class_weight=class_weight, sampling=sampling,
            validation=validation, patience=patience, min_delta=min_delta, seed=seed,
            threads=threads, progress=progress, callback=callback, validate=validate,
        )  # fmt: skip

    @by_name()
    def partial_fit(
        self, X, y, *, loss=None, optimizer=None, batch_size=64, shuffle=True, drop_last=False,
        accumulate=1, sample_weight=None, class_weight=None, sampling="all", seed=0, threads=None,
        validate=True,
    ):  # fmt: skip
        """One epoch that goes on where the last call ended: moments, steps and epochs are kept.

        So let the optimiser be of the same kind, with other numbers if you like.

        Weights mean the same in every call: a step divides by its rows that take part, not by
        their weights, unless the loss has a `normalizer` of its own. ``class_weight="balanced"`` is
        refused, as it depends on the rows of all calls.

        Parameters and errors are those of `fit`, without `epochs`, `validation`, `patience`,
        `progress` and `callback`. A schedule sees the epochs done so far as its end.

        Returns
        -------
        History
            Of this epoch.
        """
        return fit.partial_fit(
            self, X, y, loss=loss, optimizer=optimizer, batch_size=batch_size, shuffle=shuffle,
            drop_last=drop_last, accumulate=accumulate, sample_weight=sample_weight,
            class_weight=class_weight, sampling=sampling, seed=seed, threads=threads,
            validate=validate,
        )  # fmt: skip

    # ------------------------------------------------------------ files

    def save(self, path):
        """Writes parameters and architecture to an ``.npz`` file; names without that ending get it.

        `load` finds the file by the same name.
        """
        storage.save(self, path)

    @classmethod
    def load(cls, path):
        """The network that `save` wrote.

        Raises
        ------
        ValueError
            If the file holds something else, or is damaged.
        """
        return storage.load(cls, path)
