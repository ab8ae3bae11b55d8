"""Epochs of training: steps in C, and what happens between two epochs."""

import numbers
from contextlib import contextmanager
from time import perf_counter

import numpy as np

from .. import _check, _core
from .._blas import one_blas_thread
from .binding import (
    Evaluation,
    bind_data,
    ignored_by,
    loss_of,
    moments_fit,
    new_loop,
    options_of,
    with_default,
)
from .data import chunks_of, labels_of, rows_that_count, target_of, weights_of
from .history import History, progress_bar
from .layers import check_network
from .optimizers import Adam


@contextmanager
def training(
    net, afresh, X, y, optimizer, *, loss=None, batch_size=64, shuffle=True, drop_last=False,
    accumulate=1, sample_weight=None, class_weight=None, sampling="all", seed=0, threads=None,
    validate=True,
):  # fmt: skip
    """Yields the function that trains one epoch. Before the first step is done no state of the
    network changes, whatever happens."""
    _check.one_of("sampling", sampling, _core.SAMPLINGS)
    seed = _check.whole("seed", seed, 0)
    shuffle, drop_last = _check.flag("shuffle", shuffle), _check.flag("drop_last", drop_last)
    validate = _check.flag("validate", validate)
    accumulate = _check.whole("accumulate", accumulate, 1)
    optimizer = Adam() if optimizer is None else optimizer
    if isinstance(optimizer, type) or not hasattr(optimizer, "moments"):
        raise TypeError(f"optimizer is {optimizer!r}; expected SGD(...), Adam(...) or AdamW(...)")
    check_network(net, written=True)
    X = chunks_of("X", X, net.features, net.dtype)
    rows = sum(map(len, X))
    if rows == 0:
        raise ValueError("X has no rows; expected at least one")
    batch, loss = min(_check.whole("batch_size", batch_size, 1), rows), loss_of(net, loss)
    before = net._moments, net._steps, net._epochs, net._scaling
    if afresh or not moments_fit(net):
        net._forget()
    first = net._steps

    def epoch(history, epochs, report):
        clock = perf_counter()
        length = loop.order(sampling, classes, net._epochs, shuffle)
        if length == 0:
            raise ValueError(f"sampling={sampling!r} needs rows of every class; y has none of some")
        if drop_last and length >= batch:
            length -= length % batch
        steps = -(-length // (batch * accumulate))
        rates = learning_rates(optimizer, net._epochs * steps, steps, epochs * steps)
        try:
            loop.epoch(rates, length, report)
        finally:
            net._steps = loop.step
            if net._steps > first:
                net._scaling = _core._scaling_of(loss)
        net._epochs += 1
        history.loss.append(loop.mean_loss)
        history.accuracy.append(loop.accuracy)
        history.lr.append(float(rates[-1]))
        history.seconds.append(perf_counter() - clock)

    try:
        loop, blas, _ = new_loop(
            net, batch, threads, moments=optimizer.moments, gradients=True, dropout=True
        )
        target, part = bind_data(
            loop, net, X, y, loss, sample_weight, class_weight, validate=validate
        )
        if afresh and part is not None and not part.any():
            raise ValueError(
                "no row of X takes part: every row is ignored or of weight zero; expected at "
                "least one to train on"
            )
        classes = max(2, net.outputs)
        if sampling != "all":
            labels_of("y", target, classes, f"sampling={sampling!r}", ignored_by(net, loss))
        # More batches than an epoch has; the product with the number of steps is below 2^64.
        loop.optimize(optimizer, net._steps, seed % 2**64, min(accumulate, 2**40))
        with one_blas_thread(blas):
            yield epoch
    except BaseException:
        if net._steps == first:
            net._moments, net._steps, net._epochs, net._scaling = before
        raise


def learning_rates(optimizer, done, steps, all_steps):
    """The learning rate of each of an epoch's `steps`, of which `done` lie behind."""
    with np.errstate(all="ignore"):  # what overflows is found below, what underflows is 0
        factors = optimizer.schedule(np.arange(done, done + steps), steps, all_steps)
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


VALIDATION = "a share of the rows, such as 0.1, or data: (X, y) or (X, y, sample_weight)"


def evaluation_of(net, validation, loss, threads, validate, names=None):
    """The validation set bound once for all epochs, or None; checked before anything is trained."""
    if validation is None:
        return None
    if not isinstance(validation, (tuple, list)):
        raise TypeError(f"validation is a {type(validation).__name__}; expected {VALIDATION}")
    if len(validation) not in (2, 3):
        raise ValueError(f"validation has {len(validation)} parts; expected {VALIDATION}")
    X, y, *weight = validation
    evaluation = Evaluation(
        net, X, y, loss, weight[0] if weight else None, threads, validate,
        names=names or [f"validation[{i}]" for i in range(3)],
    )  # fmt: skip
    evaluation.refuse_what_tells_nothing()
    return evaluation


def set_aside(net, X, y, loss, sample_weight, share, seed):
    """The weights by which rows are trained on, and those by which they are validated on: a random
    share of the rows that take part has weight 0 in the first, the others in the second."""
    share = _check.number("validation", share)
    if not 0 < share < 1:
        raise ValueError(f"validation is {share}; expected 0 < validation < 1, a share of the rows")
    rows = sum(map(len, X))
    target = target_of("y", y, rows, net.outputs, net.dtype, net.output == "sigmoid")
    weights = weights_of("sample_weight", sample_weight, rows)
    part = rows_that_count(target, weights, options_of(loss_of(net, loss)))
    candidates = np.arange(rows) if part is None else np.flatnonzero(part)
    count = int(np.ceil(share * len(candidates)))
    if not 0 < count < len(candidates):
        raise ValueError(
            f"validation={share} keeps {count} of {len(candidates)} rows that take part; expected "
            "at least one to train on and one to validate on"
        )
    kept = np.zeros(rows, bool)
    kept[np.random.default_rng(seed).permutation(candidates)[:count]] = True
    weights = np.ones(rows) if weights is None else weights
    return np.where(kept, 0.0, weights), np.where(kept, weights, 0.0)


class EarlyStopping:
    """The best epoch so far by its validation loss, and the parameters it left."""

    def __init__(self, net, patience, min_delta):
        self.parameters, self.patience, self.min_delta = net.parameters(), patience, min_delta
        self.least, self.waited, self.best = np.inf, 0, None

    def see(self, history, loss):
        """Takes in the validation loss of the epoch that has just ended."""
        if loss < self.least - self.min_delta:
            history.best_epoch, self.waited = len(history.loss) - 1, 0
            if self.patience:
                self.best = [p.copy() for p in self.parameters]
        else:
            self.waited += 1
        self.least = min(self.least, loss)

    def is_over(self):
        return self.patience is not None and self.waited >= self.patience

    def put_back(self):
        if self.best is not None:
            for p, kept in zip(self.parameters, self.best, strict=True):
                p[...] = kept


def fit(
    net, X, y, *, epochs, validation, patience, min_delta, progress, callback, optimizer, **options
):
    """`Network.fit`; `options` are those of `training`."""
    epochs = _check.whole("epochs", epochs, 0)
    if patience is not None:
        patience = _check.whole("patience", patience, 1)
        if validation is None:
            raise ValueError("patience needs validation=(X, y); found None")
    min_delta = _check.number("min_delta", min_delta)
    if callback is not None and not callable(callback):
        raise TypeError(f"callback is {callback!r}; expected a function of (network, history)")
    names = None
    if isinstance(validation, numbers.Real):
        check_network(net, written=True)
        X, names = chunks_of("X", X, net.features, net.dtype), ("X", "y", "sample_weight")
        options["sample_weight"], weight = set_aside(
            net, X, y, options["loss"], options["sample_weight"], validation, options["seed"]
        )
        validation = X, y, weight
    evaluate = evaluation_of(
        net, validation, options["loss"], options["threads"], options["validate"], names
    )
    stopping, history = EarlyStopping(net, patience, min_delta), History()
    with (
        training(net, True, X, y, optimizer, **options) as epoch,
        progress_bar(progress, epochs) as bar,
    ):
        for _ in range(epochs):
            epoch(history, epochs, bar.rows if bar else None)
            if evaluate is not None:
                loss, accuracy = evaluate()
                history.val_loss.append(loss)
                history.val_accuracy.append(accuracy)
                stopping.see(history, loss)
            if bar:
                bar.epoch(history)
            if callback is not None and callback(net, history):
                break
            if stopping.is_over():
                break
        stopping.put_back()
    return history


def partial_fit(net, X, y, *, optimizer, loss, class_weight, **options):
    """`Network.partial_fit`."""
    if isinstance(class_weight, str) and class_weight == "balanced":
        raise ValueError(BALANCED)
    # A row's weight then means the same in every call. The mean over weights would not let it.
    loss = with_default(loss_of(net, loss), normalizer="valid")
    history = History()
    options.update(loss=loss, class_weight=class_weight)
    with training(net, False, X, y, optimizer, **options) as epoch:
        epoch(history, net._epochs + 1, None)
    return history


BALANCED = (
    "class_weight is 'balanced', which partial_fit cannot know: it depends on the rows of all "
    "calls; expected numbers, such as those of sklearn.utils.class_weight.compute_class_weight("
    "'balanced', classes=classes, y=y) for the whole y"
)
