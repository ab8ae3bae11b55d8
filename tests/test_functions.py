"""logsumexp as SciPy has it, and functions of 16-bit numbers."""

import ml_dtypes
import mpmath
import numpy as np
import pytest
import scipy.special

import crossent

from . import everywhere, oracle

AXES = [None, -1, 0, 1, (0, 1), (0, 2), (2, 1), (0, 1, 2), (-1,)]
HALVES = [np.float16, ml_dtypes.bfloat16]
FUNCTIONS = ["softmax", "log_softmax", "logsumexp", "sigmoid", "log_sigmoid", "softplus"]


def pair(result):
    return result if isinstance(result, tuple) else (result,)


@pytest.mark.parametrize("return_sign", [False, True])
@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("b", ["none", "positive", "signed", "row", "scalar", "whole"])
@pytest.mark.parametrize("axis", AXES)
def test_as_scipy(axis, b, keepdims, return_sign, dtype, rng):
    x = rng.standard_normal((4, 5, 6)).astype(dtype)
    b = {
        "none": None,
        "positive": rng.random(x.shape).astype(dtype),
        "signed": rng.standard_normal(x.shape).astype(dtype),
        "row": rng.standard_normal(6).astype(dtype),
        "scalar": dtype(-2.5),
        "whole": rng.integers(-2, 3, x.shape),
    }[b]
    options = dict(axis=axis, b=b, keepdims=keepdims, return_sign=return_sign)
    got = pair(crossent.logsumexp(x, **options))
    want = pair(scipy.special.logsumexp(x, **options))
    for g, w in zip(got, want, strict=True):
        assert g.shape == w.shape
        assert g.dtype == dtype
        # SciPy's own error where terms of opposite signs cancel
        np.testing.assert_allclose(g, w, rtol=0, atol=300 * np.finfo(dtype).eps)


def exact(x, b):
    """log |sum| and its sign, with 800 digits, and the size of the largest term's parts."""
    with mpmath.workdps(800):
        total = mpmath.fsum(
            mpmath.mpf(float(w)) * mpmath.exp(mpmath.mpf(float(v)))
            for v, w in zip(x, b, strict=True)
            if w
        )
        value = -np.inf if total == 0 else oracle.number(mpmath.log(abs(total)))
        return value, int(mpmath.sign(total))


def wide_weights(rng, n):
    return np.ldexp(1 + rng.random(n), rng.integers(-1000, 1000, n))


WEIGHTED = {
    "near one": lambda rng, n: (rng.standard_normal(n), 1 + rng.random(n)),
    "small rest": lambda rng, n: (np.r_[0, rng.uniform(-60, -30, n - 1)], np.ones(n)),
    "wide weights": lambda rng, n: (700 * rng.standard_normal(n), wide_weights(rng, n)),
    "weights undo the logits": lambda rng, n: (
        (x := rng.uniform(-600, 600, n)),
        np.exp(-x) * (1 + rng.random(n)),
    ),
    "far apart": lambda rng, n: (1e5 * rng.standard_normal(n), rng.random(n)),
}


@pytest.mark.parametrize("case", WEIGHTED)
def test_weights_keep_the_promise(case, dtype, rng):
    for n in (1, 2, 5, 30):
        with np.errstate(over="ignore"):
            x, b = (array.astype(dtype) for array in WEIGHTED[case](rng, n))
        b[~np.isfinite(b) | (b == 0)] = 1
        for sign in (1, -1):
            want, want_sign = exact(x, sign * b)
            got, got_sign = crossent.logsumexp(x, b=sign * b, return_sign=True)
            assert got_sign == want_sign == sign
            size = np.abs(x[b > 0]).max() if case != "small rest" else 0
            oracle.assert_close(got, np.longdouble(want), dtype, 4, size, case)


def test_small_sums_beside_one_keep_their_digits(dtype):
    x, b = np.array([0, -40, -41], dtype), np.array([1, -0.5, 0.25], dtype)
    want, sign = exact(x, b)
    got = crossent.logsumexp(x, b=b, return_sign=True)
    assert got[1] == sign == 1
    oracle.assert_close(got[0], np.longdouble(want), dtype, 4)


def test_cancellation_costs_no_more_than_the_terms(dtype):
    x = np.array([1, 1, 0.5], dtype)
    got, sign = crossent.logsumexp(x, b=np.array([1, -1, -2], dtype), return_sign=True)
    assert sign == -1
    assert got == pytest.approx(0.5 + np.log(2), rel=float(4 * np.finfo(dtype).eps))
    got, sign = crossent.logsumexp(x[:2], b=[1, -1], return_sign=True)
    assert (got, sign) == (-np.inf, 0)


INF, NAN = np.inf, np.nan
SPECIAL = {
    "zero weights hide anything": ([INF, NAN, 0], [0, 0, 1], 0, 1),
    "no weight": ([1, 2], [0, 0], -INF, 0),
    "negative sum": ([0, 1], [1, -1], NAN, None),
    "infinite": ([INF, 0], [2, -1], INF, 1),
    "minus infinite": ([INF, 0], [-2, 1], INF, -1),
    "both infinities": ([INF, INF], [1, -1], NAN, NAN),
    "nan": ([NAN, 0], [1, 1], NAN, NAN),
    "nan weight": ([0, 0], [1, NAN], NAN, NAN),
    "all minus infinity": ([-INF, -INF], [1, -1], -INF, 0),
    "infinite weight": ([0, 0], [INF, 1], INF, 1),
    "infinite weight of nothing": ([-INF, 0], [INF, 1], NAN, NAN),
}


@pytest.mark.parametrize("case", SPECIAL)
def test_special_values_with_weights(case, dtype):
    x, b, want, sign = SPECIAL[case]
    x, b = np.array(x, dtype), np.array(b, dtype)
    if sign is None:
        np.testing.assert_equal(everywhere.logsumexp(x, b=b), dtype(want))
        return
    got = everywhere.logsumexp(x, b=b, return_sign=True)
    np.testing.assert_equal(got, (dtype(want), dtype(sign)))
    with np.errstate(all="ignore"):
        np.testing.assert_equal(got, scipy.special.logsumexp(x, b=b, return_sign=True))


def test_signs_without_weights():
    x = np.array([[0, 1], [-INF, -INF], [INF, 0], [NAN, 0]])
    got, sign = crossent.logsumexp(x, return_sign=True)
    np.testing.assert_array_equal(sign, [1, 0, 1, NAN])
    np.testing.assert_array_equal(got, crossent.logsumexp(x))


def test_weights_have_the_same_bits_everywhere(num_threads, rng):
    x, b = 30 * rng.standard_normal((200, 300)), rng.standard_normal((200, 300))
    num_threads(1)
    got = everywhere.logsumexp(x, b=b, return_sign=True)
    num_threads(4)
    want = everywhere.logsumexp(x[:, ::-1][:, ::-1], b=b, return_sign=True)
    for g, w in zip(got, want, strict=True):
        np.testing.assert_array_equal(g, w)


@pytest.mark.parametrize("n", [4095, 4096, 4097, 10_000])
def test_long_weighted_rows(n, dtype, rng):
    x, b = rng.standard_normal((2, n)).astype(dtype), rng.random((2, n)).astype(dtype)
    with np.errstate(all="ignore"):
        wide_x, wide_b = oracle.widen(x), oracle.widen(b)
        want = np.log((np.exp(wide_x) * wide_b).sum(1))
    oracle.assert_close(crossent.logsumexp(x, b=b), want, dtype, 4)


def test_strides_of_several_axes(dtype, rng):
    x = rng.standard_normal((3, 8, 5, 4)).astype(dtype)[:, ::-2, :, ::2]
    for axis in (None, (1, 3), (0, 3), (2, 3), 1):
        got = crossent.logsumexp(x, axis=axis, keepdims=True)
        want = scipy.special.logsumexp(x, axis=axis, keepdims=True)
        np.testing.assert_allclose(got, want, 8 * np.finfo(dtype).eps)


MISTAKES = {
    "complex": (lambda x: crossent.logsumexp(x + 0j), TypeError, "x has dtype complex128"),
    "complex weights": (
        lambda x: crossent.logsumexp(x, b=x + 0j),
        TypeError,
        "b has dtype complex128; expected real numbers",
    ),
    "shape of weights": (
        lambda x: crossent.logsumexp(x, b=np.ones(4)),
        ValueError,
        "b has shape (4,); expected one that broadcasts to that of x, (2, 3)",
    ),
    "axis": (lambda x: crossent.logsumexp(x, axis=(0, 2)), ValueError, "axis is 2; expected"),
    "axis twice": (
        lambda x: crossent.logsumexp(x, axis=(1, -1)),
        ValueError,
        "axis is (1, -1); expected different axes, at least one",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes(mistake):
    call, error, message = MISTAKES[mistake]
    with pytest.raises(error) as caught:
        call(np.zeros((2, 3)))
    assert message in str(caught.value)


# ---- 16-bit numbers ---------------------------------------------------------------------------


@pytest.mark.parametrize("half", HALVES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_halves_are_computed_in_float32(name, half, rng):
    function = getattr(crossent, name)
    x = (5 * rng.standard_normal((7, 9))).astype(half)
    want = function(x.astype(np.float32)).astype(half)
    np.testing.assert_array_equal(function(x), want, strict=True)
    if name != "logsumexp":
        out = np.empty_like(x)
        assert function(x, out=out) is out
        np.testing.assert_array_equal(out, want)
        assert function(x, out=x) is x
        np.testing.assert_array_equal(x, want)


@pytest.mark.parametrize("half", HALVES)
def test_logsumexp_of_halves(half, rng):
    x = rng.standard_normal((3, 4)).astype(half)
    for options in ({"axis": None}, {"b": x}, {"b": x, "return_sign": True}, {"keepdims": True}):
        got = pair(crossent.logsumexp(x, **options))
        options = {**options, **({"b": x.astype("f4")} if "b" in options else {})}
        want = pair(crossent.logsumexp(x.astype("f4"), **options))
        for g, w in zip(got, want, strict=True):
            assert g.dtype == half
            np.testing.assert_array_equal(g.astype("f4"), w.astype(half).astype("f4"))


def test_out_of_another_half_is_refused():
    with pytest.raises(TypeError, match="out has dtype"):
        crossent.sigmoid(np.zeros(3, np.float16), out=np.zeros(3, np.float32))
