"""The losses in longdouble, many rows at once, without cancellation: what a search looks with.

Rows lie along the last axis. Each function returns {quantity: (value, size)} as tests/exact.py
defines them, of rows of any weight; a search's findings are judged there.
"""

import numpy as np

LD = np.longdouble


def positive(value):
    return value, np.abs(value)


def sums(a):
    return a.sum(-1, keepdims=True)


def times(share, value):
    return np.where(share == 0, 0, share * value)


def parts(x):
    """p, 1 - p, log p, the largest of x, and log(sum of e^(x - largest)), of rows."""
    at = x.argmax(-1)[..., None]
    top = np.take_along_axis(x, at, -1)
    e = np.exp(x - top)
    np.put_along_axis(e, at, 0, -1)
    others = sums(e)
    log_sum = np.log1p(others)
    log_p = (x - top) - log_sum
    p, rest = np.exp(log_p), -np.expm1(log_p)
    np.put_along_axis(rest, at, others / (1 + others), -1)
    return p, rest, log_p, top, log_sum


def smoothed(t, w, o):
    e, classes = LD(o.get("label_smoothing", 0)), t.shape[-1]
    share, own = e / classes, 1 - e
    if o.get("smoothing") == "off_target":
        share = e / (classes - 1)
        own = own - share
    if o.get("smoothing_weight") == "target" and e:
        w = sums(w * t) / sums(t)
    return own * w, w * (own * t + share)


def softmax(x, t, s, u, v, o):
    """`s`, `u`: columns; u over the divisor of the mean. `v`: the vector of a product, or None."""
    x, t = x.astype(LD), t.astype(LD)
    w = np.broadcast_to(np.asarray(o.get("class_weight", 1), LD), x.shape[-1:])
    alpha = np.asarray(o.get("focal_alpha", 1), LD)
    gamma, z = LD(o.get("focal_gamma", 0)), LD(o.get("z_loss", 0))
    unit = 1 / LD(o.get("temperature", 1))
    x, slope = x * unit, unit
    if "softcap" in o:
        cap = LD(o["softcap"])
        x, slope = cap * np.tanh(x / cap), unit / np.cosh(x / cap) ** 2
    p, rest, log_p, top, log_sum = parts(x)
    lse, count = top + log_sum, x.shape[-1]
    lse_size = np.maximum(np.abs(lse), np.abs(top))
    own, t = smoothed(t, w, o)
    factor = alpha * rest**gamma
    loss = sums(times(t, factor * -log_p))
    c = t * (factor + times(alpha * gamma * p, rest ** (gamma - 1) * -log_p))
    whole, one = sums(t), sums(t != 0) == 1
    grad = np.where(one, np.where(c == 0, p * sums(c), -c * rest), p * sums(c) - c)
    grad_size = np.where(one, np.abs(grad), np.maximum(p * sums(c), c))
    by_z = 2 * z * p
    bend = whole * p * rest * unit**2
    apart = whole * p - t
    near = np.abs(np.where(one & (t != 0), -t * rest, apart)) * unit**2
    loss_size = loss + z * lse**2 + 2 * z * np.abs(lse * top)
    got = {
        "loss": ((s * (loss + z * lse**2))[..., 0], (s * loss_size)[..., 0]),
        "logsumexp": (lse[..., 0], lse_size[..., 0]),
        "entropy": positive(sums(times(p, -log_p))[..., 0]),
        "p": p,
    }
    sized = {
        "grad": (slope * (grad + by_z * lse), slope * np.maximum(grad_size, by_z * lse_size)),
        "target_grad": positive(times(own, factor * -log_p)),
        "exact": positive(bend),
        "upper": positive(2 * bend),
        "friedman": positive(count / LD(count - 1) * bend),
        "residual": (near, np.maximum(whole * p, t) * unit**2),
    }
    if v is not None:
        v = v.astype(LD)
        apart = p[..., None, :] * (v[..., None] - v[..., None, :])
        mean, spread = sums(p * v), np.abs(apart).sum(-1)
        value = (whole + 2 * z * lse) * apart.sum(-1) + 2 * z * mean
        size = (whole + 2 * z * lse_size) * spread + 2 * z * sums(p * np.abs(v))
        sized["product"] = (p * value * unit**2, p * size * unit**2)
    return got | {name: (a * s * u, b * s * np.abs(u)) for name, (a, b) in sized.items()}


def minus_log(p, rest):
    return np.where(p < 0.5, -np.log(p), -np.log1p(-rest))


def categorical(p, t, s, u, v, o):
    p, t = p.astype(LD), t.astype(LD)
    w = np.broadcast_to(np.asarray(o.get("class_weight", 1), LD), p.shape[-1:])
    norm = sums(p) if o.get("normalize_rows") else LD(1)
    others = np.stack([np.delete(p, j, -1).sum(-1) for j in range(p.shape[-1])], -1)
    q, rest = p / norm, others / norm if o.get("normalize_rows") else 1 - p
    t = smoothed(t, w, o)[1]
    own, one = t / p, sums(t != 0) == 1
    push = sums(t) / norm if o.get("normalize_rows") else np.zeros_like(norm)
    grad, size = push - own, np.maximum(push, own)
    if o.get("normalize_rows"):
        grad = np.where(one & (t != 0), -own * rest, grad)
    size = np.where(one, np.abs(grad), size)
    loss = sums(times(t, minus_log(q, rest))) * s
    return {"loss": positive(loss[..., 0]), "grad": (grad * s * u, size * s * np.abs(u))}


def of_logit(x):
    e = np.exp(-np.abs(x))
    p, q = np.where(x < 0, e, 1) / (1 + e), np.where(x < 0, 1, e) / (1 + e)
    return p, np.log1p(e) + np.maximum(-x, 0), np.log1p(e) + np.maximum(x, 0), q, p


def of_probability(p):
    return p, minus_log(p, 1 - p), minus_log(1 - p, p), 1 / p, 1 / (1 - p)


def binary(of_input):
    def function(x, t, s, u, v, o):
        """`o["pos_weight"]` has x's shape, or is 1."""
        p, loss_1, loss_0, du, dv = of_input(x.astype(LD))
        t, e = t.astype(LD), LD(o.get("label_smoothing", 0))
        y, other = t * (1 - e) + e / 2, (1 - t) * (1 - e) + e / 2
        alpha, gamma = o.get("focal_alpha"), LD(o.get("focal_gamma", 0))
        a, b = o.get("pos_weight", 1) * y * s, other * s
        if alpha is not None:
            a, b = LD(alpha) * a, (1 - LD(alpha)) * b
        bend = (a + b) * du * dv * u
        a, b = a * np.exp(-gamma * loss_0), b * np.exp(-gamma * loss_1)
        down = times(a, du + gamma * loss_1 * dv) * u
        up = times(b, dv + gamma * loss_0 * du) * u
        grad, size = up - down, np.maximum(np.abs(up), np.abs(down))
        return {
            "loss": positive(times(a, loss_1) + times(b, loss_0)),
            "grad": (grad, size),
            "probability": positive(p),
            "exact": positive(bend),
            "upper": positive(2 * bend),
            "residual": (np.abs(grad), size),
            "product": positive(bend * (1 if v is None else v.astype(LD))),
        }

    return function


sigmoid, of_probabilities = binary(of_logit), binary(of_probability)


def functions(x, t, s, u, v, o):
    """Building blocks; the elementwise ones of every entry."""
    x = x.astype(LD)
    p, _, log_p, top, log_sum = parts(x)
    q, plus_minus, plus, _, _ = of_logit(x)
    lse = (top + log_sum)[..., 0]
    return {
        "softmax": positive(p),
        "log_softmax": positive(log_p),
        "logsumexp": (lse, np.maximum(np.abs(lse), np.abs(top[..., 0]))),
        "sigmoid": positive(q),
        "softplus": positive(plus),
        "log_sigmoid": positive(-plus_minus),
    }
