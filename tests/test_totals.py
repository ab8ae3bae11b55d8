"""Sums over rows keep what one addition rounds off; rows that a training loop draws and ignores."""

import math

import numpy as np
import pytest

import crossent
from crossent.train import SGD, Network

ROWS = 20_000


def one_ulp(got, want):
    assert abs(got - want) <= np.spacing(want), (got, want)


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_small_losses_among_large_ones_are_not_lost(loss):
    """Each is less than half an ulp of the running sum; together they are 20 ulp of the total."""
    lag = np.where(np.arange(ROWS) % 2, 700, -25.7)  # losses of 700 and 7e-12
    if loss == "softmax":
        z, target = np.stack([np.zeros(ROWS), lag], 1), np.zeros(ROWS, int)
    else:
        z, target = lag, np.zeros(ROWS)
    function = getattr(crossent, f"{loss}_cross_entropy")
    rows = function(z, target, reduction="none")
    for threads in (1, 2):
        one_ulp(function(z, target, reduction="sum", threads=threads), math.fsum(rows))


@pytest.mark.parametrize("loss", ["softmax", "sigmoid"])
def test_small_weights_among_large_ones_are_not_lost(loss):
    weight = np.where(np.arange(ROWS) % 2, 1, 1e-14)
    if loss == "softmax":
        z, target = np.zeros((ROWS, 3)), np.zeros(ROWS, int)
    else:
        z, target = np.zeros(ROWS), np.zeros(ROWS)
    function = getattr(crossent, f"{loss}_cross_entropy")
    _, aux = function(z, target, sample_weight=weight, return_aux="correct")
    one_ulp(aux["weight"], math.fsum(weight))


def test_upstream_of_each_element_scales_a_product_with_the_hessian(rng):
    x, v, upstream = rng.standard_normal((3, 5, 7))
    t = rng.integers(0, 2, x.shape)
    bce = crossent.SigmoidCrossEntropy(reduction="none")
    got = bce.hessian_vector(x, t, v, upstream=upstream)
    p = 1 / (1 + np.exp(-x))
    np.testing.assert_allclose(got, upstream * p * (1 - p) * v, 1e-13)


def rows_that_taught(y, **options):
    """Which rows a linear network learnt from: row i alone moves row i of its weight."""
    n = len(y)
    W, b = np.zeros((n, y.max() + 1)), np.zeros(y.max() + 1)
    net = Network([(W, b)])
    net.fit(np.eye(n), y, optimizer=SGD(0.1), batch_size=4, seed=0, **options)
    return np.abs(W).max(1) > 0


@pytest.mark.parametrize("sampling", ["balanced", "under"])
def test_sampling_draws_every_row_sooner_or_later(sampling):
    y = np.array([0, 1, 2, 0, 1, 0, 0, 1, 0, 2])
    assert rows_that_taught(y, sampling=sampling, epochs=60).all()


def test_all_of_several_ignored_labels_are_ignored_in_training():
    y = np.array([0, 1, 2, 3, 0, 1, 2, 3])
    loss = crossent.SoftmaxCrossEntropy(ignore_index=[3, 0, 2])
    assert rows_that_taught(y, loss=loss, epochs=2).tolist() == (y == 1).tolist()
