"""crossent's own cases for pytest-benchmark; each checks its answer first."""

import cases
import numpy as np
import pytest

import crossent


def plain_loss(logits, target):
    z = logits.astype(np.float64)
    top = z.max(1)
    return np.mean(np.log(np.exp(z - top[:, None]).sum(1)) + top - z[np.arange(len(z)), target])


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize(("rows", "classes"), cases.SOFTMAX)
def test_softmax_value_and_grad(benchmark, rows, classes, dtype):
    logits, target = cases.softmax_data(rows, classes, dtype)
    out = np.empty_like(logits)
    loss, _ = benchmark(crossent.SoftmaxCrossEntropy().value_and_grad, logits, target, out=out)
    assert loss == pytest.approx(plain_loss(logits, target), rel=1e-6)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize(("rows", "classes"), cases.SOFTMAX)
def test_softmax_forward(benchmark, rows, classes, dtype):
    logits, target = cases.softmax_data(rows, classes, dtype)
    loss = benchmark(crossent.SoftmaxCrossEntropy(), logits, target)
    assert loss == pytest.approx(plain_loss(logits, target), rel=1e-6)


@pytest.mark.parametrize("dtype", cases.DTYPES)
@pytest.mark.parametrize("n", cases.SIGMOID)
def test_sigmoid_value_and_grad(benchmark, n, dtype):
    logits, target = cases.sigmoid_data(n, dtype)
    out = np.empty_like(logits)
    loss, _ = benchmark(crossent.SigmoidCrossEntropy().value_and_grad, logits, target, out=out)
    wide = logits.astype(np.float64)
    assert loss == pytest.approx(np.mean(np.logaddexp(0, wide) - wide * target), rel=1e-6)
