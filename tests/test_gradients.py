"""The gradient is the derivative of the loss, and both are the same in every way of asking."""

import numpy as np
import pytest

import crossent

from . import everywhere, oracle

SHAPES = [(4, 3), (3, 64), (3, 65), (2, 300), (2, 5000)]


def softmax_case(rng, shape, dtype=np.float64):
    return rng.standard_normal(shape).astype(dtype), rng.integers(0, shape[1], shape[0])


def sigmoid_case(rng, shape, dtype=np.float64):
    return rng.standard_normal(shape).astype(dtype), rng.random(shape).astype(dtype)


CASES = {
    "softmax": (softmax_case, crossent.SoftmaxCrossEntropy, oracle.softmax_cross_entropy),
    "sigmoid": (sigmoid_case, crossent.SigmoidCrossEntropy, oracle.sigmoid_cross_entropy),
}


@pytest.fixture(params=CASES)
def case(request):
    return CASES[request.param]


def central_differences(loss, x, at, step):
    """d loss / d x at some indices."""
    slopes = []
    for index in at:
        kept, sides = x[index], []
        for x[index] in (kept + step, kept - step):
            sides.append(loss(x))
        x[index] = kept
        slopes.append((sides[0] - sides[1]) / (2 * step))
    return np.array(slopes)


def some_indices(rng, shape):
    flat = rng.choice(np.prod(shape), min(np.prod(shape), 12), replace=False)
    return list(zip(*np.unravel_index(flat, shape), strict=True))


@pytest.mark.parametrize("reduction", ["sum", "mean"])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_gradient_is_the_slope_of_the_loss(case, shape, reduction, rng):
    make, loss_class, _ = case
    x, target = make(rng, shape)
    loss = loss_class(reduction=reduction)
    grad = everywhere.call(loss.value_and_grad, x, target)[1]
    at = some_indices(rng, shape)
    slopes = central_differences(lambda x: loss.forward(x, target), x, at, 1e-5)
    # The steps cost 1e-10 in the third derivative, and eps * loss / 1e-5 in the differences.
    np.testing.assert_allclose([grad[i] for i in at], slopes, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_the_slope_of_the_reference_is_its_own_gradient(case, shape, rng):
    make, _, reference = case
    x, target = make(rng, shape)
    x = oracle.widen(x)
    if target.dtype == np.float64:
        target = oracle.widen(target)
    grad, at = reference(x, target)[1], some_indices(rng, shape)
    slopes = central_differences(lambda x: reference(x, target)[0].sum(), x, at, 1e-6)
    np.testing.assert_allclose([grad[i] for i in at], slopes, rtol=0, atol=1e-9)


@pytest.mark.parametrize("reduction", ["sum", "mean", "none"])
@pytest.mark.parametrize("shape", SHAPES)
def test_all_ways_of_asking_have_the_same_bits(case, shape, reduction, dtype, isa, rng):
    make, loss_class, _ = case
    x, target = make(rng, shape, dtype)
    loss = loss_class(reduction=reduction)
    value, grad = loss.value_and_grad(x, target)
    for forward in (loss.forward, loss):
        assert np.array_equal(forward(x, target), value)
    assert np.array_equal(loss.backward(), grad)


@pytest.mark.parametrize("classes", [1, 2, 10, 64, 65, 1000, 5000])
def test_rows_of_a_softmax_gradient_sum_to_zero(classes, dtype, rng):
    """Each entry is off by up to 4 ULP, so the sum is off by up to 4 eps of the absolute sum."""
    z = (5 * rng.standard_normal((50, classes))).astype(dtype)
    y = rng.integers(0, classes, 50)
    _, grad = everywhere.softmax_cross_entropy_value_and_grad(z, y, reduction="none")
    exact = grad.astype(np.longdouble)
    largest = np.abs(exact).max(1)
    assert np.all(np.abs(exact.sum(1)) <= 8 * np.finfo(dtype).eps * largest)


@pytest.mark.parametrize("upstream", [2, 0.5, -3.0, 0, np.float32(4)])
def test_upstream_scales_the_gradient(case, upstream, dtype, isa, rng):
    """Each is within 4 ULP of the truth, which may be of another binade once scaled."""
    make, loss_class, _ = case
    x, target = make(rng, (9, 70), dtype)
    loss = loss_class(reduction="sum")
    loss.forward(x, target)
    scaled, grad = loss.backward(upstream), loss.backward()
    oracle.assert_close(scaled, oracle.widen(grad) * float(upstream), dtype, 12)
