"""logsumexp with factors, and sums that are merged."""

import itertools
import warnings

import numpy as np
import pytest

import crossent

from . import exact, truth
from .right import F64, assert_ulps


@pytest.mark.parametrize(
    ("x", "b"),
    [
        ([0], [1.0000001]),
        ([0], [1 - 1e-7]),
        ([0], [1 + 2**-52]),
        ([0, 0], [1.5, -0.5000001]),
        ([0, 0], [0.5, 0.5000001]),
        ([0, -40], [1, 1]),
        ([0, -40], [1, -1]),
        ([0, -20, -700], [1.0000001, 1e-3, 5]),
        ([1e-9], [1 - 1e-9]),
        ([3.5, -2.25], [1e-3, 7]),
        ([-5, 2], [100, -3]),
        ([700, -700], [1e-300, 1e300]),
    ],
)
def test_logsumexp_with_factors_near_one(x, b, dtype):
    x, b = np.array(x, dtype), np.array(b, F64)
    for order in itertools.islice(itertools.permutations(range(len(x))), 3):
        at = list(order)
        got, sign = crossent.logsumexp(x[at], b=b[at], return_sign=True)
        want, want_sign = exact.logsumexp(x[at], b[at])
        assert sign == want_sign
        assert_ulps(want, got, dtype, 4, "logsumexp")


@pytest.mark.parametrize("b", [[1.5, -0.5], [0.75, 0.25], [3, -2], [2, -0.5, -0.5], [1, 1, -1]])
@pytest.mark.parametrize("level", [0, 1, -3])
def test_logsumexp_with_factors_whose_sum_is_one(b, level, dtype):
    x = np.full(len(b), level, dtype)
    assert crossent.logsumexp(x, b=b) == level
    value, sign = crossent.logsumexp(x, b=np.negative(b), return_sign=True)
    assert (value, sign) == (level, -1)


@pytest.mark.parametrize(("a", "b"), [(1, -1), (-1, 1), (1, 1), (-1, -1), (1, 0), (0, -1)])
def test_merging_sums_far_apart(a, b, dtype):
    """1e308 and -1e308: no warning."""
    top = 1e308 if dtype == F64 else 1e38
    states = [crossent.LogSumExpState.from_logits(np.array([[v * top]], dtype)) for v in (a, b)]
    want = exact.logsumexp(np.array([a * top, b * top], dtype))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got = states[0].merge(states[1]).result()
        assert_ulps(truth.Truth(*(np.array([v]) for v in want)), got, dtype, 4, "logsumexp")
