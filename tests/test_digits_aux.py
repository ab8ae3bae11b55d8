"""Statistics and Hessians of rows in which one class has nearly all."""

import numpy as np
import pytest

import crossent

from . import exact
from .right import F64, assert_right, assert_ulps, one_hot, rolled

RULES = ("exact", "upper", "friedman", "residual")


@pytest.mark.parametrize("lag", [90, 104, 110, 300, 700, 744, 746, 800, 1e4, 1e8])
@pytest.mark.parametrize(("row", "label"), [([0], 1), ([0, 0], 2), ([0, -1.5, -3], 3), ([5], 1)])
def test_the_entropy_where_the_label_lags(row, label, lag, dtype, isa):
    """[0, -800], label 1: 3e-345, which is 0."""
    x = np.array([[*row, row[0] - lag]], dtype)
    assert_right("softmax", x, np.array([label]), aux=("entropy", "logsumexp", "probability"))
    assert_right("softmax", x, one_hot(label, len(row) + 1), aux=("entropy", "logsumexp"))


LEADS = (1, 17, 30, 40, 80)


@pytest.mark.parametrize("lead", LEADS)
@pytest.mark.parametrize("shift", range(3))
@pytest.mark.parametrize("more", [{}, {"class_weight": [0.3, 1.7, 1.1], "sample_weight": [1.3]}])
def test_hessians_of_a_dominant_class(more, shift, lead, dtype, isa):
    """float64 [40, 0], label 1: hess[0] = 4.25e-18."""
    x = rolled([lead, 0, -2], shift, dtype)
    for y in range(3):
        assert_right("softmax", x, np.array([y]), rules=RULES, **more)
    t = rolled([0.2, 0.3, 0.5], shift, F64)
    assert_right("softmax", x, t, rules=RULES, **more)
    assert_right("softmax", x, np.array([0]), rules=RULES, label_smoothing=0.1, **more)


@pytest.mark.parametrize("small", [3.1e-11, 1e-3, 1e-300, -3.1e-11, 0.0])
@pytest.mark.parametrize("lag", [1, 10, 40, 301.2, 720])
@pytest.mark.parametrize("kind", ["labels", "soft", "smoothed", "focal"])
def test_the_logsumexp_of_aux(kind, lag, small, dtype, isa):
    """[3.1e-11, -301.2], label 1, is no worse than logsumexp()."""
    x = np.array([[small, -lag], [-lag, small], [small + 1, small - lag]], dtype)
    x = np.where(np.abs(x) < np.finfo(dtype).tiny, 0, x).astype(dtype)
    t = np.array([1, 0, 1]) if kind != "soft" else np.array([[0.25, 0.75]] * 3)
    options = {"smoothed": {"label_smoothing": 0.3}, "focal": {"focal_gamma": 2}}.get(kind, {})
    xent = crossent.SoftmaxCrossEntropy(reduction="none", **options)
    got = xent.value_and_grad(x, t, return_aux="logsumexp")[2]["logsumexp"]
    want = exact.softmax_cross_entropy(x, t).logsumexp
    assert_ulps(want, got, dtype, 4, "logsumexp")
