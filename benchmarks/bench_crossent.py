"""crossent's own cases for pytest-benchmark; each checks its answer first."""

import cases
import numpy as np
import pytest

import crossent


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize(("rows", "classes"), cases.SOFTMAX)
def test_softmax_value_and_grad(benchmark, rows, classes, dtype):
    logits, target = cases.softmax_data(rows, classes, dtype)
    out = np.empty_like(logits)
    loss, _ = benchmark(crossent.SoftmaxCrossEntropy().value_and_grad, logits, target, out=out)
    assert loss == pytest.approx(cases.softmax_reference(logits, target)[0], rel=1e-6)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize(("rows", "classes"), cases.SOFTMAX)
def test_softmax_forward(benchmark, rows, classes, dtype):
    logits, target = cases.softmax_data(rows, classes, dtype)
    loss = benchmark(crossent.SoftmaxCrossEntropy(), logits, target)
    assert loss == pytest.approx(cases.softmax_reference(logits, target)[0], rel=1e-6)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("n", cases.SIGMOID)
def test_sigmoid_value_and_grad(benchmark, n, dtype):
    logits, target = cases.sigmoid_data(n, dtype)
    out = np.empty_like(logits)
    loss, _ = benchmark(crossent.SigmoidCrossEntropy().value_and_grad, logits, target, out=out)
    assert loss == pytest.approx(cases.sigmoid_reference(logits, target)[0], rel=1e-6)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize(("rows", "classes"), cases.OPTION_SHAPES)
@pytest.mark.parametrize("name", cases.options(1, 2, "float32"))
def test_options(benchmark, rows, classes, dtype, name):
    option = cases.options(rows, classes, dtype).get(name)
    if option is None:
        pytest.skip(f"{name} is one type alone")
    loss, grad = benchmark(option.call)
    expected, expected_grad = option.expected()
    wide = 1e-2 if grad.itemsize == 2 else 1e-5
    assert loss is None or loss == pytest.approx(expected, rel=wide)
    np.testing.assert_allclose(
        np.asarray(option.view(grad), np.float64),
        expected_grad,
        rtol=0,
        atol=wide * np.abs(expected_grad).max(),
    )
