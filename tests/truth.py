"""Numbers of mpmath, and the errors of floating-point results beside them."""

from typing import NamedTuple

import mpmath
import numpy as np
from mpmath import mpf

GUARD = 256  # bits
FAR = 4000  # nats: e^-FAR is nothing beside any product of three doubles
INF = mpf("inf")

exp, tanh = (np.frompyfunc(f, 1, 1) for f in (mpmath.exp, mpmath.tanh))
exact = np.frompyfunc(lambda value: mpf(float(value)), 1, 1)


class Truth(NamedTuple):
    value: np.ndarray
    size: np.ndarray

    def ulps(self, got, dtype):
        """Errors of `got` in units of the last place that `dtype` has at `size`."""
        with np.errstate(all="ignore"):
            errors = np.frompyfunc(lambda g, v, s: ulp(g, v, s, dtype), 3, 1)(got, *self)
        return np.asarray(errors, float)


def ulp(got, value, size, dtype):
    """The unit is that of the unrounded truth's binade; infinities and NaN are right or wrong."""
    kind, got = np.finfo(dtype), float(got)
    overflow = mpf(float(kind.max)) * (1 + mpf(2) ** (-kind.nmant - 2))
    if mpmath.isnan(value) or abs(value) >= overflow:
        want = float("nan") if mpmath.isnan(value) else float(mpmath.sign(value)) * np.inf
        return 0.0 if got == want or (got != got and want != want) else np.inf
    if not np.isfinite(got):
        return np.inf
    binade = mpmath.frexp(max(abs(value), size))[1] - 1
    with mpmath.workprec(6000):
        error = abs(mpf(got) - value)
    return min(1e300, float(error / mpf(2) ** (max(binade, kind.minexp) - kind.nmant)))


def positive(value):
    return Truth(value, abs(value))


def far(distance):
    """Bits that numbers e^-distance need beside 1."""
    return int(1.4427 * min(float(distance), FAR)) + 8


def times(share, value):
    """A share of 0 takes nothing, whatever it is a share of."""
    return mpf(0) if share == 0 else share * value


def total(values):
    return mpmath.fsum(list(values))


def largest(*values):
    return np.frompyfunc(lambda *v: max(abs(x) for x in v), len(values), 1)(*values)
