"""Losses whose weights have errors of their own."""

import numpy as np
import pytest

from .right import assert_right


@pytest.mark.parametrize("rows", [3, 7, 10, 49, 100])
def test_the_gradient_of_a_mean(rows, dtype, rng):
    x = (3 * rng.standard_normal((rows, 3))).astype(dtype)
    assert_right("softmax", x, rng.integers(3, size=rows), reduction="mean")
    options = {"class_weight": rng.lognormal(0, 1, 3), "sample_weight": rng.lognormal(0, 1, rows)}
    t = rng.dirichlet(np.ones(3), rows)
    options |= {"label_smoothing": 0.1, "upstream": 0.7}
    assert_right("softmax", x, t, reduction="mean", **options)
