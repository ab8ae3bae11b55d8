"""Softcaps: slopes and losses where tanh is close to 1."""

import numpy as np
import pytest

from .right import assert_right


@pytest.mark.parametrize("cap", [2, 30, 50])
@pytest.mark.parametrize("top", [0.1, 1, 3, 10, 30, 100, 1000])
@pytest.mark.parametrize("more", [{}, {"temperature": 2}, {"z_loss": 0.01}])
def test_the_slope_of_a_softcap(more, top, cap, dtype, isa):
    """cap 30, [300, 0], label 0: gradient -7.7e-22."""
    x = np.array([[top, 0, -top / 3], [-top, top, top * (1 - 1e-3)]], dtype)
    options = {"softcap": cap, **more}
    for y in ([0, 0], [1, 2], [2, 1]):
        assert_right("softmax", x, np.array(y), **options)
    assert_right("softmax", x, np.array([[0.2, 0.3, 0.5], [0.9, 0, 0.1]]), **options)


def test_softcapped_losses(dtype, rng):
    x = (40 * rng.standard_normal((60, 5))).astype(dtype)
    assert_right("softmax", x, rng.integers(5, size=60), softcap=30)
