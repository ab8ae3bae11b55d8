"""Slow and obvious truth: float64 judges float32, longdouble judges float64, mpmath judges both.

Functions take and return arrays that `widen` made; rows lie along the last of two axes. Special
values are limits: a row that holds a NaN, more than one +inf or nothing but -inf has no loss (NaN).
"""

import mpmath
import numpy as np
import pytest


def widen(x):
    """`x` in a floating-point type at least 11 bits more precise than its own."""
    if x.dtype == np.float32:
        return x.astype(np.float64)
    if np.finfo(np.longdouble).nmant < np.finfo(np.float64).nmant + 11:
        pytest.skip("longdouble is no wider than double here")
    return x.astype(np.longdouble)


def softmax_cross_entropy(x, target):
    """Losses of the rows and the gradient of their sum.

    With m the largest logit but the target's, S the sum of e^(x_j - m) over j != target and
    d = m - x_target: loss = log(1 + S e^d), gradient_target = -S e^d / (1 + S e^d). Where d > 0,
    numerator and denominator are divided by e^d, so that nothing overflows.
    """
    rows = np.arange(len(x))
    at_target, others = x[rows, target], x.copy()
    others[rows, target] = -np.inf
    m = others.max(1)
    m = np.where(m == -np.inf, at_target, m)
    with np.errstate(all="ignore"):
        e = np.exp(others - m[:, None])
        s, d = e.sum(1), m - at_target
        up, down = np.exp(np.minimum(d, 0)), np.exp(-np.maximum(d, 0))
        loss = np.where(d <= 0, np.log1p(s * up), d + np.log(s) + np.log1p(down / s))
        grad = e * (up / (down + s * up))[:, None]
        grad[rows, target] = -s * up / (down + s * up)
    return softmax_limits(x, target, loss, grad)


def softmax_limits(x, target, loss, grad):
    infinite, chosen = x == np.inf, np.zeros(x.shape, bool)
    chosen[np.arange(len(x)), target] = True
    one = infinite.sum(1) == 1
    loss[one] = np.where((infinite & chosen).any(1), 0, np.inf)[one]
    grad[one] = infinite[one].astype(x.dtype) - chosen[one]
    undefined = np.isnan(x).any(1) | (infinite.sum(1) > 1) | (x == -np.inf).all(1)
    loss[undefined] = grad[undefined] = np.nan
    return loss, grad


def logsumexp(x):
    """max + log(sum / e^max); the maximum itself where it is not finite."""
    top = x.argmax(1)
    at_top = x[np.arange(len(x)), top]
    return np.where(np.isfinite(at_top), at_top + softmax_cross_entropy(x, top)[0], at_top)


def log_softmax(x):
    """(x - max) - log(sum / e^max): a sum of numbers of one sign."""
    top = x.max(1, keepdims=True)
    with np.errstate(invalid="ignore"):
        return np.where(x == top, 0, x - top) - softmax_cross_entropy(x, x.argmax(1))[0][:, None]


def softmax(x):
    return np.exp(log_softmax(x))


def sigmoid(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)


def softplus(x):
    return np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0)


def log_sigmoid(x):
    return -softplus(-x)


def sigmoid_cross_entropy(x, t):
    """Losses, gradients, and the larger of the two terms whose difference a gradient is.

    loss = t softplus(-x) + (1 - t) softplus(x); gradient = (1 - t) p - t (1 - p), p = sigmoid(x).
    A share of 0 makes no loss, whatever it is a share of.
    """
    up, down = (1 - t) * sigmoid(x), t * sigmoid(-x)
    with np.errstate(invalid="ignore"):
        loss = np.where(t == 0, 0, t * softplus(-x)) + np.where(t == 1, 0, (1 - t) * softplus(x))
    return np.where(np.isnan(x), x, loss), up - down, np.maximum(up, down)


def exact_softmax_cross_entropy(row, target):
    """One row, straight from the definition, with 400 digits."""
    with mpmath.workdps(400):
        e = [mpmath.exp(mpmath.mpf(float(x)) - mpmath.mpf(float(row[target]))) for x in row]
        total = mpmath.fsum(e)
        grad = [(v - (j == target) * total) / total for j, v in enumerate(e)]
        return number(mpmath.log(total)), np.array([number(g) for g in grad])


def exact_sigmoid_cross_entropy(x, target):
    with mpmath.workdps(400):
        x, t = mpmath.mpf(float(x)), mpmath.mpf(float(target))
        p = 1 / (1 + mpmath.exp(-x))
        return number(-t * mpmath.log(p) - (1 - t) * mpmath.log(1 - p)), number(p - t)


def number(value):
    return np.longdouble(mpmath.nstr(value, 30))


def ulp_error(got, want, dtype, size=0):
    """|got - want| in units in the last place of `want` (or of `size`, where that is larger).

    The unit is that of the binade of the unrounded truth, and of the smallest number below the
    normal ones. Infinities and NaNs are right or infinitely wrong.
    """
    got, want = np.asarray(got), np.asarray(want)
    kind = np.finfo(dtype)
    with np.errstate(all="ignore"):
        rounded = want.astype(dtype)
        exponent = np.frexp(np.where(np.isfinite(want), np.maximum(np.abs(want), size), 1))[1]
        unit = np.ldexp(want.dtype.type(1), np.maximum(exponent - 1, kind.minexp) - kind.nmant)
        error = np.abs(got.astype(want.dtype) - want) / unit
    same = (got == rounded) | (np.isnan(got) & np.isnan(want))
    return np.where(np.isfinite(rounded) & np.isfinite(got), error, np.where(same, 0, np.inf))


def assert_close(got, want, dtype, limit, size=0, what=""):
    """At most `limit` ULP, or a message with the worst entry."""
    got, want = np.asarray(got), np.asarray(want)
    assert got.shape == want.shape, what
    error = ulp_error(got, want, dtype, size)
    if error.size and not error.max() <= limit:
        at = np.unravel_index(error.argmax(), error.shape)
        pytest.fail(
            f"{what} {[int(i) for i in at]}: got {got[at]!r}, want {want[at]!r}, "
            f"{error[at]:.3g} ulp > {limit}"
        )
