"""The compiled mini-batch loop: dense networks on NumPy arrays, trained without Python.

A network is a list of layers ``x @ W + b`` with an activation between them; the arrays are the
caller's own and change in place. Shuffling, gathering, forward pass, loss, backward pass and update
run in C with the GIL released, for whole epochs. The order of the rows depends on the seed alone
(SplitMix64 and Fisher-Yates, see csrc/train_data.c), and the results on nothing but it: not on the
number of threads, nor on which instruction set with fused multiply-add runs.

Where BLAS computes a product (weights of more than 4 MB, or processors without fused multiply-add),
it is SciPy's, and it must keep to one thread while the loop spreads pieces over its own. The loop
sees to that with threadpoolctl; without that package, set OPENBLAS_NUM_THREADS=1.
"""

from contextlib import contextmanager
from time import perf_counter

import numpy as np

from . import _arrays, _core
from ._blas import one_blas_thread
from ._optimizers import (
    SGD,
    Adam,
    AdamW,
    Constant,
    Cosine,
    DivergenceError,
    History,
    Steps,
    WarmUp,
)

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Constant",
    "Cosine",
    "DivergenceError",
    "History",
    "Network",
    "Steps",
    "WarmUp",
]

EVALUATION_ROWS = 256  # a batch when nothing is learnt


# ---------------------------------------------------------------- arguments


def _whole(name, value, low):
    whole = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not whole or value != value // 1 or value < low:
        raise ValueError(f"{name} is {value!r}; expected a whole number, at least {low}")
    return int(value)


def _choice(name, value, choices):
    if value not in choices:
        raise ValueError(f"{name} is {value!r}; expected one of {', '.join(map(repr, choices))}")
    return value


def _parameter(name, array, shape):
    """A parameter that C may write: contiguous, writeable, of the network's dtype and shape."""
    if not isinstance(array, np.ndarray):
        raise TypeError(f"{name} is a {type(array).__name__}; expected a NumPy array")
    if array.dtype not in (np.float32, np.float64) or not array.dtype.isnative:
        raise TypeError(f"{name} has dtype {array.dtype}; expected float32 or float64")
    if array.ndim != len(shape) or any(
        want not in (None, found) for want, found in zip(shape, array.shape, strict=True)
    ):
        wanted = str(tuple("any" if n is None else n for n in shape)).replace("'", "")
        raise ValueError(f"{name} has shape {array.shape}; expected {wanted}")
    if array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}; expected no empty dimension")
    if not array.flags.c_contiguous or not array.flags.aligned:
        raise ValueError(f"{name} is not contiguous; expected a C-contiguous array")
    if not array.flags.writeable:
        raise ValueError(f"{name} is read-only; expected a writeable array")
    return array


def _layer_list(layers):
    """[(weight, bias), ...] checked: the shapes chain, nothing overlaps."""
    checked, width, arrays = [], None, []
    for i, layer in enumerate(layers):
        if not isinstance(layer, (tuple, list)) or len(layer) != 2:
            raise TypeError(f"layers[{i}] is {layer!r}; expected a pair (weight, bias)")
        weight = _parameter(f"the weight of layer {i}", layer[0], (width, None))
        width = weight.shape[1]
        bias = layer[1]
        if bias is not None:
            bias = _parameter(f"the bias of layer {i}", bias, (width,))
        for array in (weight, bias):
            if array is None:
                continue
            if array.dtype != layers[0][0].dtype:
                raise TypeError(
                    f"layer {i} has dtype {array.dtype}; expected that of layer 0, "
                    f"{layers[0][0].dtype}"
                )
            if any(np.may_share_memory(array, other) for other in arrays):
                raise ValueError(f"layer {i} shares memory with another parameter")
            arrays.append(array)
        checked.append((weight, bias))
    if not checked:
        raise ValueError("layers is empty; expected at least one pair (weight, bias)")
    return checked


def _per_layer(name, value, count, check):
    """One value for each hidden layer."""
    values = list(value) if isinstance(value, (list, tuple)) else [value] * count
    if len(values) != count:
        raise ValueError(f"{name} has {len(values)} values; expected {count}, one a hidden layer")
    for one in values:
        check(one)
    return values


def _chunks(X, features, dtype):
    """X as a list of two-dimensional arrays, none of them copied; each chunk is asked for once."""
    if isinstance(X, np.ndarray):
        chunks = [X]
    elif hasattr(X, "__len__") and hasattr(X, "__getitem__") and not isinstance(X, dict):
        chunks = [X[i] for i in range(len(X))]
    else:
        chunks = [X]
    if not all(isinstance(c, np.ndarray) for c in chunks):
        raise TypeError(
            f"X is a {type(X).__name__}; expected a NumPy array or a sequence of them (chunks of "
            "rows)"
        )
    if not chunks:
        raise ValueError("X is an empty list; expected at least one chunk")
    for i, chunk in enumerate(chunks):
        name = "X" if chunk is X else f"X[{i}]"
        if chunk.ndim != 2 or chunk.shape[1] != features:
            raise ValueError(f"{name} has shape {chunk.shape}; expected (rows, {features})")
        if not chunk.flags.aligned:
            raise ValueError(f"{name} is not aligned; expected an aligned array: {name}.copy()")
        if chunk.dtype != dtype or not chunk.dtype.isnative:
            raise TypeError(
                f"{name} has dtype {chunk.dtype}; expected that of the weights, {dtype}: "
                f"{name}.astype(np.{dtype})"
            )
    return chunks, sum(map(len, chunks))


def _target(y, rows, outputs, dtype, elementwise):
    """y contiguous: (rows,) class indices, or (rows, outputs) for a sigmoid or soft targets."""
    array = np.asarray(y)
    wide = (rows, outputs)
    if array.dtype.kind not in "iubf" or array.dtype.itemsize > 8:
        raise TypeError(f"y has dtype {array.dtype}; expected integers, bool, float32 or float64")
    if elementwise and outputs == 1 and array.shape == (rows,):
        array = array[:, None]
    if array.dtype.kind == "f":
        if array.shape != wide:
            raise ValueError(
                f"y has shape {array.shape} and dtype {array.dtype}; expected {wide}"
                + ("" if elementwise else f", or integer class indices of shape ({rows},)")
            )
        array = array.astype(dtype, copy=False)
    elif array.shape != (wide if elementwise else (rows,)):
        raise ValueError(
            f"y has shape {array.shape}; expected {wide if elementwise else (rows,)}, as X has "
            f"{rows} rows" + (" (of one-hot rows: y.argmax(1))" if array.shape == wide else "")
        )
    if array.dtype == bool:
        array = array.view(np.uint8)
    return np.require(array, array.dtype.newbyteorder("="), ["C", "A"])


def _row_weights(sample_weight, rows):
    if sample_weight is None:
        return None
    weight = np.ascontiguousarray(sample_weight, np.float64)
    if weight.shape != (rows,):
        raise ValueError(f"sample_weight has shape {weight.shape}; expected ({rows},)")
    if not (np.isfinite(weight).all() and (weight >= 0).all()):
        raise ValueError(
            "sample_weight holds negative or non-finite numbers; expected weights >= 0"
        )
    return weight


def _labels(target, classes, why, ignored=None):
    """The class indices of a target of hard labels, without those that are ignored."""
    if target.dtype.kind == "f" or (target.ndim == 2 and target.shape[1] != 1):
        raise ValueError(f"{why} needs class indices; y has shape {target.shape}, {target.dtype}")
    labels = target.reshape(-1)
    bad = (labels < 0) | (labels >= classes)
    if ignored is not None:
        left_out = np.isin(labels, ignored)
        bad &= ~left_out
    if bad.any():
        row = int(np.flatnonzero(bad)[0])
        raise IndexError(f"y[{row}] is {labels[row]}; expected 0 <= y < {classes}")
    return labels if ignored is None else labels[~left_out]


def _class_weights(class_weight, target, classes, ignored=None):
    """One weight a class: "balanced" is rows / (classes * rows of the class)."""
    if class_weight is None:
        return None
    labels = _labels(target, classes, "class_weight", ignored)
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ValueError(
                f"class_weight is {class_weight!r}; expected 'balanced', a dict, or {classes} "
                "numbers"
            )
        counts = np.bincount(labels, minlength=classes)
        return len(labels) / (classes * np.maximum(counts, 1.0))
    if isinstance(class_weight, dict):
        unknown = [key for key in class_weight if key not in range(classes)]
        if unknown:
            raise ValueError(
                f"class_weight has the class {unknown[0]!r}; expected 0 <= class < {classes}"
            )
        class_weight = [class_weight.get(c, 1.0) for c in range(classes)]
    weights = _arrays.vector(class_weight, "class_weight")
    if weights.shape != (classes,):
        raise ValueError(f"class_weight has shape {weights.shape}; expected ({classes},)")
    return weights


def _zeros(shape, dtype, place=0, beside=None):
    """Zeros that begin with a cache line, which NumPy's own arrays seldom do: a step is some 3 %
    faster where no register is read from two; and `place` quarters of a page after `beside`, but
    for whole pages. A load waits for a recent store to an address with the same last 12 bits, which
    costs Adam a quarter of its time."""
    line, page, size = 64, 4096, int(np.prod(shape)) * np.dtype(dtype).itemsize
    memory = np.zeros(size + page, np.uint8)
    at = 0 if beside is None else beside.ctypes.data // line * line
    first = (at + place * page // 4 - memory.ctypes.data) % page
    return memory[first : first + size].view(dtype).reshape(shape)


# ---------------------------------------------------------------- the network


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

    def __init__(self, layers, *, activation="relu", dropout=0.0, output=None):
        self.layers = _layer_list(list(layers))
        hidden = len(self.layers) - 1
        self.activations = _per_layer(
            "activation", activation, hidden, lambda v: _choice("activation", v, _core.ACTIVATIONS)
        )
        self.dropouts = _per_layer("dropout", dropout, hidden, self._check_dropout)
        self.output = output or ("sigmoid" if self.outputs == 1 else "softmax")
        _choice("output", self.output, ("softmax", "sigmoid"))
        self._forget()

    @staticmethod
    def _check_dropout(value):
        if not 0 <= value < 1:
            raise ValueError(f"dropout is {value!r}; expected 0 <= dropout < 1")

    @classmethod
    def create(cls, sizes, *, activation="relu", dtype=np.float32, seed=None, **options):
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
        if np.ndim(sizes) != 1:
            raise TypeError(f"sizes is {sizes!r}; expected a list, such as [784, 128, 10]")
        sizes = [_whole("sizes", n, 1) for n in sizes]
        if len(sizes) < 2:
            raise ValueError(f"sizes is {sizes}; expected at least features and outputs")
        rng = np.random.default_rng(seed)
        names = list(activation) if isinstance(activation, (list, tuple)) else [activation]
        names = [*(names * len(sizes))[: len(sizes) - 2], "identity"]
        layers = []
        for n, m, name in zip(sizes[:-1], sizes[1:], names, strict=True):
            scale = np.sqrt(2 / n if name in ("relu", "gelu") else 2 / (n + m))
            weight = _zeros((n, m), dtype)
            weight[...] = rng.standard_normal((n, m)) * scale
            layers.append((weight, np.zeros(m, dtype)))
        return cls(layers, activation=activation, **options)

    @property
    def dtype(self):
        """float32 or float64, of all parameters; `X` must have it too."""
        return self.layers[0][0].dtype

    @property
    def features(self):
        """Columns of `X`."""
        return self.layers[0][0].shape[0]

    @property
    def outputs(self):
        """Width of the last layer: classes, or yes-or-no answers."""
        return self.layers[-1][0].shape[1]

    def parameters(self):
        """All weights and biases, the arrays themselves."""
        return [p for layer in self.layers for p in layer if p is not None]

    def _forget(self):
        """Forgets the optimiser's moments and the number of steps and epochs done."""
        self._moments, self._steps, self._epochs = {}, 0, 0
        self._scaling = None, None  # temperature and softcap of the loss of the last training

    # ------------------------------------------------------------ binding to C

    def _loop(self, batch, threads, moments=0, gradients=False, dropout=False):
        """A `_core._Loop` for this network; `moments` arrays for each parameter are kept."""

        def moment(p, *key):
            if p is not None and key not in self._moments:
                self._moments[key] = _zeros(p.shape, p.dtype, 2 + key[2], p)
            return self._moments.get(key)

        def gradient(p):
            return None if p is None or not gradients else _zeros(p.shape, p.dtype, 1, p)

        layers = []
        for i, (pair, name, share) in enumerate(
            zip(self.layers, [*self.activations, "identity"], [*self.dropouts, 0.0], strict=True)
        ):
            grads = tuple(gradient(p) for p in pair)
            kept = tuple(
                tuple(moment(p, i, j, k) if k < moments else None for k in range(2))
                for j, p in enumerate(pair)
            )
            layers.append((*pair, name, share if dropout else 0.0, grads, kept))
        threads = _core.get_num_threads() if threads is None else threads
        loop = _core._Loop(layers, batch, threads)
        return loop, loop.prepare(), [layer[4] for layer in layers]

    def _bind(self, loop, X, y=..., loss=None, sample_weight=None, class_weight=None):
        """`y` is ... where no loss is wanted."""
        chunks, rows = _chunks(X, self.features, self.dtype)
        target = ignored = None
        if y is not ...:
            target = _target(y, rows, self.outputs, self.dtype, self.output == "sigmoid")
            loss = self._loss(loss)
            ignored = self._ignored(loss)
        classes = max(2, self.outputs)
        loop.bind(
            chunks,
            target,
            _row_weights(sample_weight, rows),
            loss,
            _class_weights(class_weight, target, classes, ignored),
        )
        return target, rows

    def _ignored(self, loss):
        """The labels that take no part, or None."""
        return _core._ignored_labels(loss) if self.output == "softmax" else None

    def _loss(self, loss):
        wanted = (
            _core.SigmoidCrossEntropy if self.output == "sigmoid" else _core.SoftmaxCrossEntropy
        )
        if loss is None:
            return wanted()
        if not isinstance(loss, wanted):
            raise TypeError(
                f"loss is a {type(loss).__name__}; expected a {wanted.__name__}, such as "
                f"crossent.{wanted.__name__}(), as the network's output is {self.output!r}"
            )
        return loss

    # ------------------------------------------------------------ using it

    def logits(self, X, *, threads=None):
        """Outputs of the last layer, shape (rows, outputs)."""
        loop, blas, _ = self._loop(EVALUATION_ROWS, threads)
        _, rows = self._bind(loop, X)
        out = np.empty((rows, self.outputs), self.dtype)
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

    def predict(self, X, *, threads=None):
        """The likeliest class of each row; for a sigmoid 0 or 1, of shape (rows,) if one output."""
        z = self.logits(X, threads=threads)
        if self.output == "softmax":
            return z.argmax(axis=1)
        answers = (z > 0).astype(np.intp)
        return answers[:, 0] if self.outputs == 1 else answers

    def evaluate(self, X, y, *, loss=None, sample_weight=None, threads=None):
        """Mean loss and accuracy on a data set.

        Parameters
        ----------
        X, y, loss, sample_weight, threads
            As for `fit`.

        Returns
        -------
        loss, accuracy : float
            In nats, without penalties; the share of rows (of answers, for a sigmoid) that is right.
            A number as the loss's `normalizer` divides the sum over all rows.
        """
        loop, blas, _ = self._loop(EVALUATION_ROWS, threads)
        self._bind(loop, X, y, loss, sample_weight)
        with one_blas_thread(blas):
            loop.evaluate(None)
        return loop.mean_loss, loop.accuracy

    def backward(self, X, y, *, loss=None, sample_weight=None, class_weight=None, threads=None):
        """Mean loss and its gradients, for checking and for optimisers of one's own.

        Returns
        -------
        loss : float
        gradients : list of (weight gradient, bias gradient)
            New arrays, in the order of `layers`; dropout is left out.
        """
        loop, blas, gradients = self._loop(EVALUATION_ROWS, threads, gradients=True)
        _, rows = self._bind(loop, X, y, loss, sample_weight, class_weight)
        if rows == 0:
            raise ValueError("X has no rows; expected at least one")
        loop.order("all", 0, 0, False)
        with one_blas_thread(blas):
            loop.gradients()
        return loop.mean_loss, gradients

    # ------------------------------------------------------------ training

    def fit(
        self,
        X,
        y,
        *,
        loss=None,
        optimizer=None,
        batch_size=64,
        epochs=10,
        shuffle=True,
        drop_last=False,
        accumulate=1,
        sample_weight=None,
        class_weight=None,
        sampling="all",
        validation=None,
        patience=None,
        min_delta=0.0,
        seed=0,
        threads=None,
        progress=False,
        callback=None,
    ):
        """Trains for whole epochs, in C; starts the optimiser afresh.

        Parameters
        ----------
        X : ndarray (rows, features) of the network's dtype, or a sequence of such chunks
            A list, or any object with ``len`` and ``[i]``, of which each chunk is asked for once.
            Arrays may be `numpy.memmap`: only the rows of a batch are touched.
        y : class indices (rows,), or targets (rows, outputs)
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
        validation : tuple (X, y) or (X, y, sample_weight), optional
            Evaluated after each epoch.
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
        epochs = _whole("epochs", epochs, 0)
        if patience is not None:
            patience = _whole("patience", patience, 1)
        if not isinstance(min_delta, (int, float, np.number)) or not min_delta < np.inf:
            raise ValueError(f"min_delta is {min_delta!r}; expected a number")
        if callback is not None and not callable(callback):
            raise TypeError(f"callback is {callback!r}; expected a function of (network, history)")
        self._check_validation(validation, patience)
        optimizer = Adam() if optimizer is None else optimizer
        options = {
            "loss": loss, "batch_size": batch_size, "shuffle": shuffle, "drop_last": drop_last,
            "accumulate": accumulate, "sample_weight": sample_weight,
            "class_weight": class_weight, "sampling": sampling, "seed": seed, "threads": threads,
        }  # fmt: skip
        with self._training(True, X, y, optimizer, **options) as epoch:
            return self._epochs_of(
                epoch, epochs, loss, validation, patience, min_delta, threads, progress, callback
            )

    def partial_fit(self, X, y, *, optimizer=None, **options):
        """One epoch that goes on where the last call ended: moments, steps and epochs are kept.

        So let the optimiser be of the same kind, with other numbers if you like.

        Parameters and errors are those of `fit`, without `epochs`, `validation`, `patience`,
        `progress` and `callback`. A schedule sees the epochs done so far as its end.

        Returns
        -------
        History
            Of this epoch.
        """
        optimizer = Adam() if optimizer is None else optimizer
        with self._training(False, X, y, optimizer, **options) as epoch:
            history = History()
            epoch(history, self._epochs + 1, None)
            return history

    @contextmanager
    def _training(
        self, afresh, X, y, optimizer, *, loss=None, batch_size=64, shuffle=True, drop_last=False,
        accumulate=1, sample_weight=None, class_weight=None, sampling="all", seed=0, threads=None,
    ):  # fmt: skip
        """Yields the function that trains one epoch. Before the first step is done no state of the
        network changes, whatever happens."""
        _choice("sampling", sampling, _core.SAMPLINGS)
        seed, accumulate = _whole("seed", seed, 0), _whole("accumulate", accumulate, 1)
        if isinstance(optimizer, type) or not hasattr(optimizer, "moments"):
            raise TypeError(
                f"optimizer is {optimizer!r}; expected SGD(...), Adam(...) or AdamW(...)"
            )
        _layer_list(self.layers)  # nobody made one read-only meanwhile
        X, rows = _chunks(X, self.features, self.dtype)
        if rows == 0:
            raise ValueError("X has no rows; expected at least one")
        batch, loss = min(_whole("batch_size", batch_size, 1), rows), self._loss(loss)
        before = self._moments, self._steps, self._epochs, self._scaling
        if afresh:
            self._forget()
        first = self._steps

        def epoch(history, epochs, bar):
            clock = perf_counter()
            length = loop.order(sampling, classes, self._epochs, shuffle)
            if length == 0:
                raise ValueError(
                    f"sampling={sampling!r} needs rows of every class; y has none of some"
                )
            if drop_last and length >= batch:
                length -= length % batch
            rates = self._rates(optimizer, -(-length // (batch * accumulate)), epochs)
            try:
                loop.epoch(rates, length, bar)
            finally:
                self._steps = loop.step
                if self._steps > first:
                    self._scaling = _core._scaling_of(loss)
            self._epochs += 1
            history.loss.append(loop.mean_loss)
            history.accuracy.append(loop.accuracy)
            history.lr.append(float(rates[-1]))
            history.seconds.append(perf_counter() - clock)
            return length

        try:
            loop, blas, _ = self._loop(batch, threads, optimizer.moments, True, True)
            target, _ = self._bind(loop, X, y, loss, sample_weight, class_weight)
            classes = max(2, self.outputs)
            if sampling != "all":
                _labels(target, classes, f"sampling={sampling!r}", self._ignored(loss))
            # More batches than an epoch has; the product with the number of steps is below 2^64.
            loop.optimize(optimizer, self._steps, seed % 2**64, min(accumulate, 2**40))
            with one_blas_thread(blas):
                yield epoch
        except BaseException:
            if self._steps == first:
                self._moments, self._steps, self._epochs, self._scaling = before
            raise

    def _rates(self, optimizer, steps, epochs):
        """The learning rate of each of an epoch's steps."""
        done = self._epochs * steps
        factors = optimizer.schedule(np.arange(done, done + steps), steps, epochs * steps)
        rates = np.array(optimizer.lr * np.asarray(factors), np.float64)
        if rates.shape != (steps,):
            raise ValueError(
                f"schedule returned shape {rates.shape}; expected one factor a step, ({steps},)"
            )
        bad = np.flatnonzero(~np.isfinite(rates))
        if bad.size:
            raise ValueError(
                f"schedule makes the learning rate of step {done + bad[0] + 1} {rates[bad[0]]}; "
                "expected finite numbers"
            )
        return rates

    def _check_validation(self, validation, patience):
        """Before anything is trained."""
        if validation is None:
            if patience is not None:
                raise ValueError("patience needs validation=(X, y); found None")
            return
        if not isinstance(validation, (tuple, list)):
            raise TypeError(
                f"validation is {validation!r}; expected data: (X, y) or (X, y, sample_weight)"
            )
        if len(validation) not in (2, 3):
            raise ValueError(
                f"validation has {len(validation)} parts; expected (X, y) or (X, y, sample_weight)"
            )
        _, rows = _chunks(validation[0], self.features, self.dtype)
        _target(validation[1], rows, self.outputs, self.dtype, self.output == "sigmoid")
        _row_weights(validation[2] if len(validation) == 3 else None, rows)

    def _epochs_of(
        self, epoch, epochs, loss, validation, patience, min_delta, threads, progress, callback
    ):
        history, best, waited = History(), None, 0
        with _progress_bar(progress, epochs) as bar:
            for number in range(epochs):
                epoch(history, epochs, bar.rows if bar else None)
                if validation is not None:
                    Xv, yv, *weight = validation
                    value, accuracy = self.evaluate(
                        Xv, yv, loss=loss, sample_weight=weight[0] if weight else None,
                        threads=threads,
                    )  # fmt: skip
                    history.val_loss.append(value)
                    history.val_accuracy.append(accuracy)
                    least = min(history.val_loss[:-1], default=np.inf)
                    if value < least - min_delta:
                        history.best_epoch, waited = number, 0
                        best = [p.copy() for p in self.parameters()] if patience else None
                    else:
                        waited += 1
                if bar:
                    bar.epoch(history)
                if callback is not None and callback(self, history):
                    break
                if patience is not None and waited >= patience:
                    break
        if best is not None:
            for p, kept in zip(self.parameters(), best, strict=True):
                p[...] = kept
        return history

    # ------------------------------------------------------------ files

    def save(self, path):
        """Writes parameters and architecture to an ``.npz`` file."""
        arrays = {}
        for i, (weight, bias) in enumerate(self.layers):
            arrays[f"weight{i}"] = weight
            if bias is not None:
                arrays[f"bias{i}"] = bias
        np.savez(
            path, activations=np.array(self.activations, "U8"), dropouts=np.array(self.dropouts),
            output=np.array(self.output), layers=np.array(len(self.layers)),
            scaling=np.array(self._scaling, float), **arrays,
        )  # fmt: skip

    @classmethod
    def load(cls, path):
        """The network that `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            layers = [
                (file[f"weight{i}"], file[f"bias{i}"] if f"bias{i}" in file else None)
                for i in range(int(file["layers"]))
            ]
            net = cls(
                layers,
                activation=[str(a) for a in file["activations"]],
                dropout=[float(d) for d in file["dropouts"]],
                output=str(file["output"]),
            )
            net._scaling = tuple(None if np.isnan(s) else float(s) for s in file["scaling"])
            return net


class _Bar:
    """A tqdm bar over epochs, whose text follows the rows inside one."""

    def __init__(self, tqdm):
        self.tqdm = tqdm

    def rows(self, done):
        self.tqdm.set_postfix_str(f"{done} rows", refresh=False)
        self.tqdm.update(0)

    def epoch(self, history):
        self.tqdm.set_postfix(loss=f"{history.loss[-1]:.4g}", refresh=False)
        self.tqdm.update(1)


@contextmanager
def _progress_bar(wanted, epochs):
    if not wanted:
        yield None
        return
    from tqdm import tqdm

    with tqdm(total=epochs, unit="epoch") as bar:
        yield _Bar(bar)
