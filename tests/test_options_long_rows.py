"""Options on rows of several blocks and segments: in place, in 16 bits, with infinities."""

import numpy as np
import pytest

import crossent

from . import reference_options as reference

ml_dtypes = pytest.importorskip("ml_dtypes")

CLASSES = (9000, 140_000)
OPTIONS = {
    "plain": {},
    "smoothed": {"label_smoothing": 0.1},
    "off target": {"label_smoothing": 0.1, "smoothing": "off_target"},
    "weighted": {"label_smoothing": 0.1, "smoothing_weight": "target", "class_weight": "random"},
    "z-loss": {"z_loss": 0.01},
    "temperature": {"temperature": 0.5},
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
every_length = pytest.mark.parametrize("classes", CLASSES)
every_target = pytest.mark.parametrize("soft", [False, True], ids=["labels", "soft"])


def problem(rng, classes, dtype, soft, options):
    z = (3 * rng.standard_normal((2, classes))).astype(dtype)
    target = rng.integers(0, classes, 2)
    if soft:
        target = rng.exponential(size=z.shape)
        target = (target / target.sum(1, keepdims=True)).astype(np.float32)
    options = dict(options)
    if options.get("class_weight") == "random":
        options["class_weight"] = rng.uniform(0.5, 2, classes)
    return z, target, options


@every_option
@every_length
@every_target
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_against_the_reference_and_in_place(rng, dtype, soft, classes, options):
    dtype = np.dtype(getattr(ml_dtypes, dtype, dtype))
    z, target, options = problem(rng, classes, dtype, soft, options)
    want = reference.softmax_cross_entropy(z.astype(np.float64), target, **options)
    loss, grad = crossent.softmax_cross_entropy_value_and_grad(z, target, **options)
    np.testing.assert_allclose(loss, float(want.loss), 2e-6 if dtype != np.float64 else 1e-14)
    eps = float(ml_dtypes.finfo(dtype).eps)
    small = float(ml_dtypes.finfo(dtype).smallest_subnormal)
    error = np.abs(grad.astype(np.longdouble) - want.grad)
    assert (error <= 8 * eps * want.grad_terms + small).all()
    again, same = crossent.softmax_cross_entropy_value_and_grad(z, target, out=z, **options)
    assert same is z
    assert again == loss
    assert z.tobytes() == grad.tobytes()


@every_length
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_infinite_logits_of_soft_targets(rng, dtype, classes):
    """A share of 0 takes nothing from -inf; any other share of it is an infinite loss."""
    z, target, _ = problem(rng, classes, dtype, True, {})
    target[:, 1:] *= rng.random((2, classes - 1)) < 0.5
    z[target == 0] = -np.inf
    with np.errstate(invalid="ignore"):
        want = reference.softmax_cross_entropy(z.astype(np.float64), target)
    loss, grad = crossent.softmax_cross_entropy_value_and_grad(z, target)
    np.testing.assert_allclose(loss, float(want.loss), 2e-6 if dtype == "float32" else 1e-14)
    assert (grad[target == 0] == 0).all()
    z[1, np.flatnonzero(target[1])[-1]] = -np.inf
    got = crossent.softmax_cross_entropy(z, target, reduction="none")
    assert np.isfinite(got[0])
    assert got[1] == np.inf
