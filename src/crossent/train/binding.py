"""A network, its data and its loss bound to the compiled loop."""

from .. import _check, _core
from .._blas import one_blas_thread
from .data import (
    check_binary,
    check_soft,
    chunks_of,
    class_weights,
    refuse_bad_rows,
    rows_that_count,
    target_of,
    weights_of,
)
from .layers import aligned_zeros, check_network

EVALUATION_ROWS = 256  # a batch when nothing is learnt


def new_loop(net, batch, threads, *, moments=0, gradients=False, dropout=False):
    """(loop, whether BLAS is in use, gradients): a `_core._Loop` over the network's parameters.

    With `gradients` it has arrays for them, a pair for each layer, else pairs of None. With
    `moments` it has as many arrays for each parameter, which the network keeps.
    """
    check_network(net, written=False)
    layers, gradient_pairs = [], []
    for i, (pair, activation, share) in enumerate(
        zip(net.layers, [*net.activations, "identity"], [*net.dropouts, 0.0], strict=True)
    ):
        grads = tuple(
            aligned_zeros(p.shape, p.dtype, 1, p) if gradients and p is not None else None
            for p in pair
        )
        kept = tuple(
            tuple(kept_moment(net, p, (i, j, k)) if k < moments else None for k in range(2))
            for j, p in enumerate(pair)
        )
        layers.append((*pair, activation, share if dropout else 0.0, grads, kept))
        gradient_pairs.append(grads)
    loop = _core._Loop(layers, batch, _core.get_num_threads() if threads is None else threads)
    return loop, loop.prepare(), gradient_pairs


def kept_moment(net, p, key):
    """Moment k of part j of layer i, key (i, j, k): the optimiser's, made where there is none."""
    if p is not None and key not in net._moments:
        net._moments[key] = aligned_zeros(p.shape, p.dtype, 2 + key[2], p)
    return net._moments.get(key)


def moments_fit(net):
    """Whether the moments are those of arrays like the network's: nobody changed its layers."""

    def belongs(i, j, moment):
        p = net.layers[i][j] if i < len(net.layers) else None
        return p is not None and p.shape == moment.shape and p.dtype == moment.dtype

    return all(belongs(i, j, moment) for (i, j, _), moment in net._moments.items())


def loss_of(net, loss):
    """The loss object, checked; without one that of the network's output."""
    wanted = _core.SigmoidCrossEntropy if net.output == "sigmoid" else _core.SoftmaxCrossEntropy
    if loss is None:
        return wanted()
    if not isinstance(loss, wanted):
        raise TypeError(
            f"loss is a {type(loss).__name__}; expected a {wanted.__name__}, such as "
            f"crossent.{wanted.__name__}(), as the network's output is {net.output!r}"
        )
    return loss


def options_of(loss):
    """The options that a loss object was made with."""
    return loss.__reduce__()[1][1]


def with_default(loss, **defaults):
    """The loss with options that it was not given."""
    return type(loss)(**{**defaults, **options_of(loss)})


def ignored_by(net, loss):
    """The labels that take no part, or None."""
    return _core._ignored_labels(loss) if net.output == "softmax" else None


def bind_rows(loop, net, X):
    """Binds rows without targets; returns how many there are."""
    chunks = chunks_of("X", X, net.features, net.dtype)
    loop.bind(chunks, None, None, None, None)
    return sum(map(len, chunks))


def bind_data(
    loop, net, X, y, loss, sample_weight, class_weight=None, names=("X", "y", "sample_weight"),
    validate=True,
):  # fmt: skip
    """Binds rows, targets, weights and loss; returns the target as C reads it, and which rows take
    part (None: all). `names` are those of the arguments by which the data came."""
    chunks = chunks_of(names[0], X, net.features, net.dtype)
    rows = sum(map(len, chunks))
    target = target_of(names[1], y, rows, net.outputs, net.dtype, net.output == "sigmoid")
    weights = weights_of(names[2], sample_weight, rows)
    loss = loss_of(net, loss)
    options = options_of(loss)
    part = rows_that_count(target, weights, options)
    if validate and options.get("validate", True):
        if net.output == "sigmoid":
            check_binary(names[1], target, part, options)
        elif target.dtype.kind == "f":
            check_soft(names[1], target, part)
    elif net.output == "sigmoid":
        loss = type(loss)(**{**options, "validate": False})
    by_class = class_weights(
        class_weight, names[1], target, max(2, net.outputs), ignored_by(net, loss)
    )
    loop.bind(chunks, target, weights, loss, by_class, names)
    return target, part


class Evaluation:
    """Mean loss and accuracy on one data set, any number of times: all is bound once."""

    def __init__(self, net, X, y, loss, sample_weight, threads, validate=True, **names):
        self._loop, self._blas, _ = new_loop(net, EVALUATION_ROWS, threads)
        self._names = names.get("names", ("X", "y"))
        self._chunks = chunks_of(self._names[0], X, net.features, net.dtype)
        self._target, self._part = bind_data(
            self._loop, net, self._chunks, y, loss, sample_weight, validate=validate, **names
        )
        # With "zero" somebody means what is not finite.
        loss = loss_of(net, loss)
        self._validate = validate and options_of(loss).get("nonfinite") != "zero"
        self._net, self._ignored = net, ignored_by(net, loss)

    def __call__(self):
        with one_blas_thread(self._blas):
            self._loop.evaluate(None)
        return self._loop.mean_loss, self._loop.accuracy

    def refuse_what_tells_nothing(self):
        """Refuses a set without rows that take part, and one with rows that make the loss NaN."""
        if len(self._target) == 0 or (self._part is not None and not self._part.any()):
            raise ValueError(
                f"{self._names[0]} leaves nothing to validate on: there are no rows, or "
                "every row is ignored or of weight zero; expected at least one that takes part"
            )
        if self._validate:
            refuse_bad_rows(self._names[0], self._chunks, self._part, self._net.dtype)
        if self._target.dtype.kind != "f" and self._net.output == "softmax":
            _check.labels(
                self._names[1], self._target, self._net.outputs, self._ignored, self._part
            )
