"""The mini-batch loop in plain NumPy and Python: slow, obvious, the judge of the compiled one."""

import numpy as np
from scipy.special import expit, log_softmax, softmax

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


def softmax_loss(logits, y):
    """Row losses and their gradients."""
    onehot = np.eye(logits.shape[1])[y] if y.ndim == 1 else y
    return -(onehot * log_softmax(logits, axis=1)).sum(axis=1), softmax(logits, axis=1) - onehot


def sigmoid_loss(logits, y):
    y = y.reshape(logits.shape)
    loss = (np.logaddexp(0, logits) - y * logits).mean(axis=1)
    return loss, (expit(logits) - y) / logits.shape[1]


def dropout_mask(share, shape, seed, batch_number, layer):
    random = numbers(mix((first_state(~seed & MASK, batch_number) + layer) & MASK))
    draws = np.array([next(random) >> 11 for _ in range(np.prod(shape))]).reshape(shape)
    return np.where(draws < int(share * 2**53), 0, 1 / (1 - share))


def gradients(layers, activations, x, y, loss, weight, masks=None):
    """Sum of weighted losses and its gradients, layer by layer."""
    inputs, befores = [x], []
    for i, (w, b) in enumerate(layers):
        before = inputs[-1] @ w + b
        befores.append(before)
        after = ACTIVATIONS[activations[i]][0](before) if i < len(activations) else before
        inputs.append(after if masks is None or i == len(activations) else after * masks[i])
    losses, delta = loss(inputs[-1], y)
    delta, grads = delta * weight[:, None], []
    for i in reversed(range(len(layers))):
        grads.insert(0, (inputs[i].T @ delta, delta.sum(axis=0)))
        if i:
            delta = delta @ layers[i][0].T
            delta = delta if masks is None else delta * masks[i - 1]
            delta = delta * ACTIVATIONS[activations[i - 1]][1](befores[i - 1])
    return (losses * weight).sum(), grads


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


def fit(layers, activations, X, y, optimizer, *, loss=softmax_loss, batch_size, epochs=1, seed=0,
        accumulate=1, weight=None, dropout=0.0):  # fmt: skip
    """Trains `layers`, a list of [weight, bias], in place; returns the mean loss of each epoch."""
    weight = np.ones(len(X)) if weight is None else weight
    update, step, losses = Update(optimizer), 0, []
    for epoch in range(epochs):
        order, total = epoch_order(len(X), seed, epoch), 0.0
        for begin in range(0, len(X), batch_size * accumulate):
            rows = order[begin : begin + batch_size * accumulate]
            masks = None
            if dropout:
                assert accumulate == 1
                masks = [
                    dropout_mask(dropout, (len(rows), w.shape[1]), seed, step, i)
                    for i, (w, _) in enumerate(layers[:-1])
                ]
            value, grads = gradients(
                layers, activations, X[rows], y[rows], loss, weight[rows], masks
            )
            total += value
            divisor = weight[rows].sum()
            grads = [[g / divisor for g in pair] for pair in grads]
            norm = np.sqrt(sum((g**2).sum() for pair in grads for g in pair))
            shorter = min(1, optimizer.clip / norm) if optimizer.clip else 1
            step += 1
            for i, pair in enumerate(grads):
                for j, g in enumerate(pair):
                    layers[i][j] = update(
                        (i, j), layers[i][j], g * shorter, optimizer.lr, step, j == 0
                    )
        losses.append(total / weight.sum())
    return losses
