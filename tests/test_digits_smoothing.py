"""Smoothing: of a label far behind, of two classes off the target, whatever was called before."""

import itertools

import numpy as np
import pytest

import crossent

from .right import F64, assert_right, one_hot

SMOOTHINGS = (
    {"label_smoothing": 0.2},
    {"label_smoothing": 0.2, "smoothing": "off_target"},
    {"label_smoothing": 0.2, "smoothing_weight": "target", "class_weight": [1, 1]},
    {"label_smoothing": 0.2, "normalize_rows": True},
)


@pytest.mark.parametrize("options", SMOOTHINGS)
@pytest.mark.parametrize("kind", ["labels", "one-hot"])
def test_smoothing_does_not_depend_on_earlier_calls(kind, options, dtype, rng):
    p, y = np.array([[0.7, 0.3], [0.2, 0.8]], dtype), np.array([0, 1])
    t = y if kind == "labels" else one_hot(y, 2)
    first = crossent.categorical_cross_entropy(p, t, reduction="none", **options)
    assert_right("categorical", p, t, **options)
    for _ in range(300):
        n, k, f = rng.integers(1, 40, 3)
        crossent.linear_cross_entropy_value_and_grad(
            rng.standard_normal((n, f)), rng.standard_normal((k, f)), rng.integers(k, size=n)
        )
        again = crossent.categorical_cross_entropy(p, t, reduction="none", **options)
        assert again.tobytes() == first.tobytes()


@pytest.mark.parametrize("e", [0.5, 0.6, 0.9, 1])
@pytest.mark.parametrize("lag", [-30, 0, 1, 30, 80])
@pytest.mark.parametrize("more", [{}, {"class_weight": [0.3, 1.9]}, {"sample_weight": [1.7]}])
def test_off_target_smoothing_of_two_classes(more, lag, e, dtype, isa):
    """[0, 30], label 0, e = 1: loss 9.357623e-14."""
    x = np.array([[0, lag]], dtype)
    options = {"label_smoothing": e, "smoothing": "off_target", **more}
    for y in (0, 1):
        assert_right("softmax", x, np.array([y]), **options)
        assert_right("softmax", x, one_hot(y, 2), **options)
    assert_right("softmax", x, np.array([[0.3, 0.7]]), **options)
    assert_right("categorical", np.array([[0.25, 0.75]], dtype), np.array([1]), **options)


def test_off_target_smoothing_of_two_classes_that_a_mask_keeps(dtype, isa):
    x, mask = np.array([[0, 5, 30]], dtype), np.array([True, False, True])
    options = {"label_smoothing": 1, "smoothing": "off_target", "class_mask": mask}
    assert_right("softmax", x, np.array([0]), **options)


@pytest.mark.parametrize(("classes", "e"), [(70, 1), (70, 0.9), (7, 1), (300, 1), (70, 0.1)])
def test_smoothing_of_a_label_far_behind(classes, e, dtype, isa):
    """70 classes, e = 1: 14.09696364754401559."""
    lag = 690.3 if dtype == F64 else 80.3
    x = np.array([[0.1] * (classes - 1) + [-lag]], dtype)
    near = x.copy()
    near[0, :-1] += (np.arange(classes - 1) % 5 * 2.0**-20).astype(dtype)
    for row, label in itertools.product((x, near), (classes - 1, 0)):
        assert_right("softmax", row, np.array([label]), label_smoothing=e)
