"""Soft targets of one share, and losses whose weights have errors of their own."""

import numpy as np
import pytest

from .right import F64, assert_right, rolled


@pytest.mark.parametrize("shift", range(3))
@pytest.mark.parametrize("lead", [1, 20, 60])
@pytest.mark.parametrize("share", [0.3, 1.3, 1.0])
@pytest.mark.parametrize(
    "options",
    [
        {"class_weight": [0.7, 1, 1.1]},
        {"sample_weight": [1.7231]},
        {"class_weight": [0.7, 1, 1.1], "sample_weight": [1 / 3], "upstream": [0.9]},
        {"focal_alpha": [0.3, 0.7, 0.1]},
        {"class_weight": [0.7, 0, 0]},
    ],
)
def test_a_soft_target_with_one_share(options, share, lead, shift, dtype, isa):
    """[60, 0], target [.3, 0], class_weight [.7, 1]: gradient -1.839e-27."""
    options = {n: np.roll(v, shift) if len(v) == 3 else np.array(v) for n, v in options.items()}
    t = rolled([share, 0, 0], shift, F64)
    assert_right("softmax", rolled([lead, 0, -3], shift, dtype), t, **options)
    assert_right("softmax", rolled([0, lead, -3], shift, dtype), t, **options)


PRINTED = {
    "softmax soft target": (
        "softmax", F64,
        [14.57282240184465, 12.51329783436137, -22.47341262577133, -17.465610533039055],
        [0.08433828650722552, 0.48390670744078007, 0.180027140239466, 0.2539990306709855], {},
    ),
    "z_loss": ("softmax", F64, [3.7, 1.2, -4], 1, {"z_loss": 0.1}),
    "z_loss near 0": ("softmax", F64, [-0.7, -0.69], 1, {"z_loss": 0.5}),
}  # fmt: skip


@pytest.mark.parametrize("name", PRINTED)
def test_printed_inputs(name, isa):
    loss, dtype, x, t, options = PRINTED[name]
    t = np.array([t], dtype if isinstance(t, (float, list)) else int)
    assert_right(loss, np.array([x], dtype), t, **options)


@pytest.mark.parametrize("rows", [3, 7, 10, 49, 100])
def test_the_gradient_of_a_mean(rows, dtype, rng):
    x = (3 * rng.standard_normal((rows, 3))).astype(dtype)
    assert_right("softmax", x, rng.integers(3, size=rows), reduction="mean")
    options = {"class_weight": rng.lognormal(0, 1, 3), "sample_weight": rng.lognormal(0, 1, rows)}
    t = rng.dirichlet(np.ones(3), rows)
    options |= {"label_smoothing": 0.1, "upstream": 0.7}
    assert_right("softmax", x, t, reduction="mean", **options)
