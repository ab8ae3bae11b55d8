"""Logits at the ends of their range: maxima that creep, the largest losses."""

import mpmath
import numpy as np
import pytest

import crossent

from . import truth
from .right import F32, F64, assert_right, assert_ulps

CREEPS = ([0, 1, 1 + 1e-6], [1, 2, 2 + 1e-6], [2, 1, 1 + 1e-6], [1, 2, 2 + 3e-6], [-2, -1, 1e-6],
          [0.6, 1.3, 2, 2 + 1e-6], [1, 3, 5, 7, 7 + 1e-6])  # fmt: skip


@pytest.mark.parametrize("creep", CREEPS)
@pytest.mark.parametrize("run", [512, 4096])
def test_long_rows_whose_maximum_creeps(creep, run, dtype, isa):
    """Values times the range in which logits are not shifted first, in runs of equal ones."""
    scale = 2.0**20 if dtype == F32 else 2.0**40
    steps = np.array(creep)
    values = (np.floor(steps) * scale + (steps - np.floor(steps)) * 1e6).astype(dtype)
    if 0.6 in creep:
        values = (steps * scale).astype(dtype)
        values[-1] = values[-2] + 1
    x = np.repeat(values, run)[None]
    with mpmath.workprec(512):
        v = truth.exact(values)
        e = truth.exp(v - max(v))
        whole = truth.total(e) * run
        log_p = v - max(v) - mpmath.log(whole)
        p = e / whole
    each = [slice(k * run, (k + 1) * run) for k in range(len(values))]
    for name, want in (("softmax", p), ("log_softmax", log_p)):
        got = getattr(crossent, name)(x)[0]
        for k, part in enumerate(each):
            assert_ulps(truth.positive(want[k : k + 1]), got[part][:1], dtype, 4, name)
            assert (got[part] == got[part][0]).all()
    for k in range(len(values)):
        y = np.array([k * run + run // 2])
        loss, grad = crossent.softmax_cross_entropy_value_and_grad(x, y, reduction="none")
        assert_ulps(truth.positive(-log_p[k : k + 1]), loss, dtype, 2, "loss")
        for j, part in enumerate(each):
            at = part.start + (1 if j != k else run // 2)
            want = p[j] if j != k else p[j] - 1
            assert_ulps(truth.positive(np.array([want])), grad[0, [at]], dtype, 4, f"grad {j}")


@pytest.mark.parametrize(
    ("row", "t"),
    [([1, -1], [0.75, 0.25]), ([-1, 1], [0.25, 0.75]), ([1, -1, 0], [0.75, 0.25, 0])],
)
def test_finite_losses_of_the_largest_logits(row, t, dtype, isa):
    """[1.7e308, -1.7e308], t = [.75, .25]: 8.5e307; the same beside classes without a share."""
    x = np.array([row], dtype) * dtype(1.7e308 if dtype == F64 else 3.3e38)
    t = np.array([t], dtype)
    assert_right("softmax", x, t)
    want = crossent.softmax_cross_entropy(x, t, reduction="none")
    for more in (100, 5000):
        wide = [np.append(a, np.zeros((2, more), dtype), 1) for a in (x[[0, 0]], t[[0, 0]])]
        for target in (wide[1], np.asfortranarray(wide[1])):
            got = crossent.softmax_cross_entropy(wide[0], target, reduction="none")
            assert (got == want).all()
