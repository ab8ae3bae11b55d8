"""Whether results are right: a loss to 2 units in the last place, all else to 4.

The units are those of the sizes that exact.py states.
"""

import warnings

import mpmath
import numpy as np

import crossent

from . import exact

F32, F64 = np.float32, np.float64
LIMITS = {"loss": 2}
CLASSES = {
    "softmax": (crossent.SoftmaxCrossEntropy, exact.softmax_cross_entropy),
    "sigmoid": (crossent.SigmoidCrossEntropy, exact.sigmoid_cross_entropy),
    "categorical": (crossent.CategoricalCrossEntropy, exact.categorical_cross_entropy),
    "binary": (crossent.BinaryCrossEntropy, exact.binary_cross_entropy),
}
CALL = ("sample_weight", "upstream", "class_mask")


def assert_ulps(truth_of, got, dtype, limit, what):
    errors = truth_of.ulps(got, dtype)
    at = np.unravel_index(errors.argmax(), errors.shape)
    want = np.asarray(truth_of.value, object)[at]
    assert errors.max(initial=0) <= limit, (
        f"{what} {[int(i) for i in at]}: got {np.asarray(got)[at]!r}, want "
        f"{mpmath.nstr(want, 20)}, {errors[at]:.3g} ulp > {limit}"
    )


def assert_right(loss, x, target, aux=(), rules=(), **options):
    """Loss, gradient, statistics and Hessians, all rows at once and without a reduction."""
    of_class, judge = CLASSES[loss]
    options = {"reduction": "none"} | options
    want = judge(x, target, **options)
    call = {name: options.pop(name) for name in CALL if name in options}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        function = of_class(**options)
        got = function.value_and_grad(x, target, **call, **({"return_aux": aux} if aux else {}))
        alone = function(x, target, **call)
    results = {"loss": got[0], "grad": got[1]} | {name: got[2][name] for name in aux}
    for name, value in results.items():
        assert_ulps(getattr(want, name), value, x.dtype, LIMITS.get(name, 4), name)
    assert_ulps(want.loss, alone, x.dtype, LIMITS["loss"], "loss alone")
    for rule in rules:
        hess = function.grad_and_hess(x, target, rule=rule, **call)[1]
        want = judge(x, target, rule=rule, **options, **call).hess
        assert_ulps(want, hess, x.dtype, 4, f"hess {rule}")


def rolled(row, shift, dtype):
    return np.roll(np.array([row], dtype), shift, 1)


def one_hot(y, classes, dtype=F64):
    return np.eye(classes, dtype=dtype)[np.atleast_1d(y)]
