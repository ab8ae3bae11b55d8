"""The mini-batch loop in plain NumPy and Python: slow, obvious, the judge of the compiled one."""

import numpy as np
from scipy.special import expit

from . import reference_options

MASK = 2**64 - 1
GOLDEN = 0x9E3779B97F4A7C15


def mix(x):
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def first_state(seed, number):
    return (mix((seed + GOLDEN) & MASK) + mix(number)) & MASK


def numbers(state):
    """SplitMix64."""
    while True:
        state = (state + GOLDEN) & MASK
        yield mix(state)


def epoch_order(rows, seed, epoch):
    """Fisher-Yates from the last place down."""
    random, order = numbers(first_state(seed, epoch)), list(range(rows))
    for i in range(rows, 1, -1):
        j = (next(random) * i) >> 64
        order[i - 1], order[j] = order[j], order[i - 1]
    return order


def gelu(x):
    return 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


def gelu_slope(x):
    t = np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))
    return 0.5 * (1 + t) + 0.5 * x * (1 - t**2) * np.sqrt(2 / np.pi) * (1 + 3 * 0.044715 * x**2)


ACTIVATIONS = {
    "identity": (lambda x: x, np.ones_like),
    "relu": (lambda x: np.maximum(x, 0), lambda x: (x > 0).astype(x.dtype)),
    "tanh": (np.tanh, lambda x: 1 - np.tanh(x) ** 2),
    "sigmoid": (expit, lambda x: expit(x) * (1 - expit(x))),
    "gelu": (gelu, gelu_slope),
}


def divisor_of(normalizer, weight, count, size):
    """What the mean of a batch divides by: weights and number of those that take part, or all."""
    by_name = {None: weight, "weight": weight, "valid": count, "batch": size}
    return by_name[normalizer] if normalizer in by_name else normalizer


def softmax_loss(normalizer=None, **options):
    """A function of logits, target and row weights that returns three things: the sum of the
    losses, its gradient, and what a mean divides by."""

    def loss(logits, y, weight):
        got = reference_options.softmax_cross_entropy(
            logits, y, sample_weight=weight, reduction="sum", **options
        )
        divisor = divisor_of(normalizer, got.weight, got.count, len(y))
        return float(got.loss), got.grad.astype(float), float(divisor)

    return loss


def sigmoid_loss(normalizer=None, pos_weight=1.0, ignore_index=None, nan_target="propagate",
                 label_smoothing=0.0, focal_gamma=0.0, focal_alpha=None):  # fmt: skip
    """The same for independent answers: a q^gamma (-log p) + b p^gamma (-log q), q = 1 - p."""

    def loss(x, y, weight):
        y = y.reshape(x.shape)
        weight = np.where(y == ignore_index, 0, weight[:, None])
        if nan_target == "missing":
            weight, y = np.where(np.isnan(y), 0, weight), np.nan_to_num(y)
        y = (1 - label_smoothing) * y + label_smoothing / 2
        a, b = pos_weight * y, 1 - y
        if focal_alpha is not None:
            a, b = focal_alpha * a, (1 - focal_alpha) * b
        p, q, g = expit(x), expit(-x), focal_gamma
        minus_log_p, minus_log_q = np.logaddexp(0, -x), np.logaddexp(0, x)
        losses = a * q**g * minus_log_p + b * p**g * minus_log_q
        slopes = b * p**g * (p + g * q * minus_log_q) - a * q**g * (q + g * p * minus_log_p)
        divisor = divisor_of(normalizer, weight.sum(), np.count_nonzero(weight), x.size)
        return (losses * weight).sum(), slopes * weight, divisor

    return loss


def dropout_mask(share, draws, width, seed, batch_number, layer):
    """Of a batch's outputs; rows whose `draws` is 0 take no random numbers."""
    random = numbers(mix((first_state(~seed & MASK, batch_number) + layer) & MASK))
    mask = np.ones((len(draws), width))
    for row in np.flatnonzero(draws):
        drawn = np.array([next(random) >> 11 for _ in range(width)])
        mask[row] = np.where(drawn < int(share * 2**53), 0, 1 / (1 - share))
    return mask


def gradients(layers, activations, x, y, loss, weight, masks=None):
    """Sum of the losses, its gradients (weight, bias, weight, ...), and what a mean divides by."""
    inputs, befores = [x], []
    for i, (w, b) in enumerate(layers):
        before = inputs[-1] @ w + b
        befores.append(before)
        after = ACTIVATIONS[activations[i]][0](before) if i < len(activations) else before
        inputs.append(after if masks is None or i == len(activations) else after * masks[i])
    total, delta, divisor = loss(inputs[-1], y, weight)
    grads = []
    for i in reversed(range(len(layers))):
        grads = [inputs[i].T @ delta, delta.sum(axis=0), *grads]
        if i:
            delta = delta @ layers[i][0].T
            delta = delta if masks is None else delta * masks[i - 1]
            delta = delta * ACTIVATIONS[activations[i - 1]][1](befores[i - 1])
    return total, grads, divisor


class Update:
    """One optimiser for all parameters; `options` are the fields of the optimiser's class."""

    def __init__(self, options):
        self.o, self.first, self.second = options, {}, {}

    def __call__(self, key, p, g, rate, step, is_weight):
        o = self.o
        if is_weight:
            g = g + o.l2 * p + o.l1 * np.sign(p)
        if o.moments < 2:
            if o.momentum:
                m = self.first[key] = o.momentum * self.first.get(key, 0) + g
                g = g + o.momentum * m if o.nesterov else m
            return p - rate * g
        m = self.first[key] = o.beta1 * self.first.get(key, 0) + (1 - o.beta1) * g
        v = self.second[key] = o.beta2 * self.second.get(key, 0) + (1 - o.beta2) * g * g
        m, v = m / (1 - o.beta1**step), v / (1 - o.beta2**step)
        decay = o.weight_decay if is_weight else 0
        return p - rate * decay * p - rate * m / (np.sqrt(v) + o.epsilon)


def fit(layers, activations, X, y, optimizer, *, loss=None, batch_size, epochs=1, seed=0,
        accumulate=1, weight=None, dropout=0.0, shuffle=True, without=False):  # fmt: skip
    """Trains `layers`, a list of [weight, bias], in place; returns the mean loss of each epoch.
    Rows of weight 0, and those `without` a label that counts, take no part: they draw no dropout,
    and a step of nothing else is none."""
    weight = np.ones(len(X)) if weight is None else weight
    draws = np.where(without, 0, weight)
    loss = softmax_loss() if loss is None else loss
    update, step, means = Update(optimizer), 0, []
    for epoch in range(epochs):
        order = epoch_order(len(X), seed, epoch) if shuffle else np.arange(len(X))
        epoch_loss = epoch_divisor = 0.0
        batches = [order[i : i + batch_size] for i in range(0, len(X), batch_size)]
        for first in range(0, len(batches), accumulate):
            total, divisor, grads = 0.0, 0.0, None
            for k, rows in enumerate(batches[first : first + accumulate]):
                masks = None
                if dropout:
                    masks = [
                        dropout_mask(
                            dropout, draws[rows], w.shape[1], seed, step * accumulate + k, i
                        )
                        for i, (w, _) in enumerate(layers[:-1])
                    ]
                value, more, part = gradients(
                    layers, activations, X[rows], y[rows], loss, weight[rows], masks
                )
                total, divisor = total + value, divisor + part
                grads = more if grads is None else [g + m for g, m in zip(grads, more, strict=True)]
            epoch_loss, epoch_divisor = epoch_loss + total, epoch_divisor + divisor
            of_step = np.concatenate(batches[first : first + accumulate])
            if divisor == 0 or not draws[of_step].any():
                continue
            norm = np.sqrt(sum((g**2).sum() for g in grads)) / divisor
            shorter = min(1, optimizer.clip / norm) if optimizer.clip else 1
            step += 1
            for key, g in enumerate(grads):
                layer, which = layers[key // 2], key % 2
                layer[which] = update(
                    key, layer[which], g * shorter / divisor, optimizer.lr, step, which == 0
                )
        means.append(epoch_loss / epoch_divisor)
    return means
