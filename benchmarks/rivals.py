"""What a user would pick instead of crossent. Adding a rival is adding a function here.

A rival gets logits, targets and the number of threads and returns two functions without arguments:
the mean loss, and the mean loss with the gradient of its logits. What it imports on top of NumPy
it imports itself, so that an ImportError leaves it out.
"""

from functools import cache

import numpy as np

RIVALS = {"softmax": {}, "sigmoid": {}}
PACKAGES = ["numpy", "scipy", "torch", "jax", "scikit-learn", "numba"]  # whose versions count
SLOW_TO_PREPARE = {"torch.compile"}
GRADIENT_OF_SUM = {"scikit-learn"}  # not divided by the number of rows


def rival(loss, name):
    def enter(function):
        RIVALS[loss][name] = function
        return function

    return enter


# ---------------------------------------------------------------- softmax cross-entropy


@rival("softmax", "NumPy")
def softmax_numpy(z, y, threads):
    rows = np.arange(len(y))

    def forward():
        shifted = z - z.max(1, keepdims=True)
        return float((np.log(np.exp(shifted).sum(1)) - shifted[rows, y]).mean())

    def both():
        shifted = z - z.max(1, keepdims=True)
        e = np.exp(shifted)
        s = e.sum(1, keepdims=True)
        loss = (np.log(s)[:, 0] - shifted[rows, y]).mean()
        e /= s
        e[rows, y] -= 1
        e /= len(y)
        return float(loss), e

    return forward, both


@rival("softmax", "SciPy")
def softmax_scipy(z, y, threads):
    from scipy.special import log_softmax, logsumexp

    rows = np.arange(len(y))

    def both():
        g = log_softmax(z, axis=1)
        loss = -g[rows, y].mean()
        np.exp(g, out=g)
        g[rows, y] -= 1
        g /= len(y)
        return float(loss), g

    return lambda: float((logsumexp(z, axis=1) - z[rows, y]).mean()), both


@rival("softmax", "PyTorch")
def softmax_torch(z, y, threads, compiled=False):
    import torch

    return torch_calls(torch.nn.functional.cross_entropy, z, y, threads, compiled)


@rival("softmax", "torch.compile")
def softmax_compiled(z, y, threads):
    return softmax_torch(z, y, threads, compiled=True)


@rival("softmax", "JAX")
def softmax_jax(z, y, threads):
    import jax

    def loss(z, y):
        return -jax.numpy.take_along_axis(jax.nn.log_softmax(z), y[:, None], 1).mean()

    return jax_calls(loss, z, y)


@rival("softmax", "scikit-learn")
def softmax_sklearn(z, y, threads):
    from sklearn._loss.loss import HalfMultinomialLoss

    return sklearn_calls(HalfMultinomialLoss(n_classes=z.shape[1]), z, y, threads)


@rival("softmax", "Numba")
def softmax_numba(z, y, threads):
    forward, both = numba_rows(z.dtype.type, threads > 1)
    g = np.empty_like(z)
    return lambda: float(forward(z, y)), lambda: (float(both(z, y, g)), g)


@cache
def numba_rows(real, parallel):
    from numba import njit, prange

    one = real(1)

    @njit(fastmath=True, parallel=parallel)
    def forward(z, y):
        total = 0.0
        for n in prange(z.shape[0]):
            m = z[n, 0]
            for c in range(z.shape[1]):
                m = max(m, z[n, c])
            s = m - m
            for c in range(z.shape[1]):
                s += np.exp(z[n, c] - m)
            total += np.log(s) + m - z[n, y[n]]
        return total / z.shape[0]

    @njit(fastmath=True, parallel=parallel)
    def both(z, y, g):
        total = 0.0
        for n in prange(z.shape[0]):
            m = z[n, 0]
            for c in range(z.shape[1]):
                m = max(m, z[n, c])
            s = m - m
            for c in range(z.shape[1]):
                e = np.exp(z[n, c] - m)
                g[n, c] = e
                s += e
            total += np.log(s) + m - z[n, y[n]]
            r = one / (s * z.shape[0])
            for c in range(z.shape[1]):
                g[n, c] *= r
            g[n, y[n]] -= one / z.shape[0]
        return total / z.shape[0]

    return forward, both


# ---------------------------------------------------------------- sigmoid cross-entropy


@rival("sigmoid", "NumPy")
def sigmoid_numpy(x, y, threads):
    def both():
        e = np.exp(-np.abs(x))
        loss = (np.maximum(x, 0) - x * y + np.log1p(e)).mean()
        return float(loss), (np.where(x >= 0, 1, e) / (1 + e) - y) / x.size

    return lambda: float((np.maximum(x, 0) - x * y + np.log1p(np.exp(-np.abs(x)))).mean()), both


@rival("sigmoid", "SciPy")
def sigmoid_scipy(x, y, threads):
    from scipy.special import expit, log_expit

    def forward():
        return -float((y * log_expit(x) + (1 - y) * log_expit(-x)).mean())

    return forward, lambda: (forward(), (expit(x) - y) / x.size)


@rival("sigmoid", "PyTorch")
def sigmoid_torch(x, y, threads, compiled=False):
    import torch

    loss = torch.nn.functional.binary_cross_entropy_with_logits
    return torch_calls(loss, x, y, threads, compiled)


@rival("sigmoid", "torch.compile")
def sigmoid_compiled(x, y, threads):
    return sigmoid_torch(x, y, threads, compiled=True)


@rival("sigmoid", "JAX")
def sigmoid_jax(x, y, threads):
    import jax.numpy as jnp

    def loss(x, y):
        return (jnp.maximum(x, 0) - x * y + jnp.log1p(jnp.exp(-jnp.abs(x)))).mean()

    return jax_calls(loss, x, y)


@rival("sigmoid", "scikit-learn")
def sigmoid_sklearn(x, y, threads):
    from sklearn._loss.loss import HalfBinomialLoss

    return sklearn_calls(HalfBinomialLoss(), x, y, threads)


@rival("sigmoid", "Numba")
def sigmoid_numba(x, y, threads):
    forward, both = numba_elements(x.dtype.type, threads > 1)
    g = np.empty_like(x)
    return lambda: float(forward(x, y)), lambda: (float(both(x, y, g)), g)


@cache
def numba_elements(real, parallel):
    from numba import njit, prange

    zero, one = real(0), real(1)

    @njit(fastmath=True, parallel=parallel)
    def forward(x, y):
        total = 0.0
        for n in prange(x.size):
            total += max(x[n], zero) - x[n] * y[n] + np.log1p(np.exp(-abs(x[n])))
        return total / x.size

    @njit(fastmath=True, parallel=parallel)
    def both(x, y, g):
        total = 0.0
        for n in prange(x.size):
            e = np.exp(-abs(x[n]))
            total += max(x[n], zero) - x[n] * y[n] + np.log1p(e)
            g[n] = ((one if x[n] >= zero else e) / (one + e) - y[n]) / x.size
        return total / x.size

    return forward, both


# ---------------------------------------------------------------- what both losses share


def torch_calls(loss, z, y, threads, compiled):
    import torch

    torch.set_num_threads(threads)
    if compiled:
        torch._dynamo.reset()
        loss = torch.compile(loss, dynamic=False)
    tz, ty = torch.from_numpy(z.copy()).requires_grad_(True), torch.from_numpy(y)

    def forward():
        with torch.no_grad():
            return loss(tz, ty).item()

    def both():
        tz.grad = None
        value = loss(tz, ty)
        value.backward()
        return value.item(), tz.grad.numpy()

    return forward, both


def jax_calls(loss, z, y):
    import jax

    jax.config.update("jax_enable_x64", True)
    jz, jy = jax.numpy.asarray(z), jax.numpy.asarray(y)
    value, value_and_grad = jax.jit(loss), jax.jit(jax.value_and_grad(loss))

    def both():
        value, grad = value_and_grad(jz, jy)
        return float(value), grad.block_until_ready()

    return lambda: float(value(jz, jy)), both


def sklearn_calls(half, z, y, threads):
    y = y.astype(z.dtype)
    losses, grad = np.empty(len(y), z.dtype), np.empty_like(z)

    def forward():
        half.loss(y, z, loss_out=losses, n_threads=threads)
        return float(losses.mean())

    def both():
        half.loss_gradient(y, z, loss_out=losses, gradient_out=grad, n_threads=threads)
        return float(losses.mean()), grad

    return forward, both
