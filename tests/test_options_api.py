"""How options are given: to the class, to a call, wrongly, with 16-bit storage, for no rows."""

import pickle
import re

import numpy as np
import pytest

import crossent
from crossent._options import SOFTMAX

Z, Y = np.linspace(-1, 1, 12).reshape(4, 3), np.array([2, 0, 1, 1])
SOFT = np.full((4, 3), 1 / 3)
Xent = crossent.SoftmaxCrossEntropy

# Options of the class, each with a value that is not its default.
OPTIONS = {
    "axis": 1,
    "class_weight": np.array([1.0, 2.0, 3.0]),
    "ignore_index": [0, -100],
    "class_mask": np.array([True, True, True]),
    "label_smoothing": 0.1,
    "smoothing": "off_target",
    "smoothing_weight": "target",
    "focal_gamma": 2.0,
    "focal_alpha": 0.25,
    "z_loss": 0.01,
    "softcap": 30.0,
    "temperature": 2.0,
    "reduction": "none",
    "normalizer": "valid",
    "empty": "zero",
    "nonfinite": "warn",
    "threads": 2,
}
CALL_OPTIONS = {
    "sample_weight": [1, 0, 2, 1],
    "class_mask": np.array([True, True, True]),
    "upstream": 2.0,
    "return_aux": "entropy",
}


def value_and_grad(z=Z, y=Y, **options):
    return crossent.softmax_cross_entropy_value_and_grad(z, y, **options)


def assert_same(got, want):
    for g, w in zip(got, want, strict=True):
        assert np.asarray(g).tobytes() == np.asarray(w).tobytes()


# ---- mistakes ---------------------------------------------------------------------------------

# (call, exception, what its message must say)
MISTAKES = [
    (
        lambda: value_and_grad(gamma=2),
        TypeError,
        "'gamma' is not an option of softmax_cross_entropy",
    ),
    (lambda: Xent(sample_weight=[1]), TypeError, "'sample_weight' is not an option of Softmax"),
    (lambda: Xent(labelsmoothing=0.1), TypeError, "expected one of axis, class_mask, class_weight"),
    (
        lambda: Xent().forward(Z, Y, focal_gamma=2),
        TypeError,
        "'focal_gamma' is not an option of a call; expected accumulate, class_mask, return_aux",
    ),
    (lambda: Xent().value_and_grad(Z, Y, reduction="sum"), TypeError, "'reduction' is not an opt"),
    (lambda: Xent().grad_and_hess(Z, Y, beta=1), TypeError, "'beta' is not an option of a call"),
    (lambda: value_and_grad(axis=2), ValueError, "axis is 2; expected -2 <= axis < 2"),
    (lambda: value_and_grad(axis=1.5), TypeError, "axis"),
    (lambda: value_and_grad(axis="last"), TypeError, "axis"),
    # numbers
    (
        lambda: Xent(label_smoothing=1.01),
        ValueError,
        "label_smoothing is 1.01; expected 0 <= label",
    ),
    (lambda: Xent(label_smoothing=-0.1), ValueError, "label_smoothing is -0.1; expected 0 <="),
    (lambda: Xent(label_smoothing="a"), TypeError, "label_smoothing is 'a'; expected a number"),
    (lambda: Xent(label_smoothing=None), TypeError, "label_smoothing is None; expected a number"),
    (lambda: Xent(label_smoothing=[0.1, 0]), TypeError, "label_smoothing is [0.1, 0]; expected a"),
    (lambda: Xent(focal_gamma=-1), ValueError, "focal_gamma is -1; expected 0 <= focal_gamma"),
    (lambda: Xent(focal_gamma=np.nan), ValueError, "focal_gamma is nan; expected"),
    (lambda: Xent(focal_gamma="2"), TypeError, "focal_gamma is '2'; expected a number"),
    (lambda: Xent(z_loss=-1e-4), ValueError, "z_loss is -0.0001; expected 0 <= z_loss"),
    (lambda: Xent(z_loss=np.inf), ValueError, "z_loss is inf; expected"),
    (lambda: Xent(z_loss=1j), TypeError, "z_loss is 1j; expected a number"),
    (lambda: Xent(temperature=0), ValueError, "temperature is 0; expected"),
    (lambda: Xent(temperature=-1), ValueError, "temperature is -1; expected"),
    (lambda: Xent(temperature=np.nan), ValueError, "temperature is nan; expected"),
    (lambda: Xent(temperature="hot"), TypeError, "temperature is 'hot'; expected a number"),
    (lambda: Xent(softcap=0), ValueError, "softcap is 0; expected"),
    (lambda: Xent(softcap=[30]), TypeError, "softcap is [30]; expected a number"),
    # names
    (lambda: Xent(reduction="avg"), ValueError, "reduction is 'avg'; expected 'mean', 'sum'"),
    (lambda: Xent(smoothing="prior"), ValueError, "smoothing is 'prior'; expected 'uniform'"),
    (lambda: Xent(smoothing_weight=1), ValueError, "smoothing_weight is 1; expected 'class'"),
    (lambda: Xent(empty=0), ValueError, "empty is 0; expected 'nan', 'zero'"),
    (lambda: Xent(nonfinite="ignore"), ValueError, "nonfinite is 'ignore'; expected 'propagate'"),
    (
        lambda: value_and_grad(return_aux="lse"),
        ValueError,
        "return_aux is 'lse'; expected 'logsumexp', 'probability', 'entropy', 'argmax', 'correct'",
    ),
    (lambda: value_and_grad(return_aux=["entropy", 1]), ValueError, "return_aux is 1; expected"),
    (
        lambda: Xent().grad_and_hess(Z, Y, rule="gauss"),
        ValueError,
        "rule is 'gauss'; expected 'exact', 'upper', 'friedman'",
    ),
    # normalizer
    (lambda: Xent(normalizer="sum"), ValueError, "normalizer is 'sum'; expected 'valid', 'weight'"),
    (lambda: Xent(normalizer=0), ValueError, "normalizer is 0; expected"),
    (lambda: Xent(normalizer=-2), ValueError, "normalizer is -2; expected"),
    (lambda: Xent(normalizer=[1, 2]), TypeError, "normalizer is [1, 2]; expected a number"),
    # one for each class
    (
        lambda: value_and_grad(class_weight=[1, 2]),
        ValueError,
        "class_weight has 2 numbers; expected 3, one for each class",
    ),
    (lambda: Xent(class_weight=np.ones((2, 3))), ValueError, "class_weight has shape (2, 3); exp"),
    (lambda: Xent(class_weight=[1, -2]), ValueError, "class_weight[1] is -2.0; expected finite"),
    (lambda: Xent(class_weight=[np.inf]), ValueError, "class_weight[0] is inf; expected finite"),
    (lambda: Xent(class_weight="balanced"), (TypeError, ValueError), "class_weight"),
    (lambda: Xent(class_weight={0: 1}), (TypeError, ValueError), "class_weight"),
    (
        lambda: value_and_grad(focal_alpha=[0.5] * 4),
        ValueError,
        "focal_alpha has 4 numbers; expected 3, one for each class",
    ),
    (lambda: Xent(focal_alpha=-0.25), ValueError, "focal_alpha is -0.25; expected"),
    (lambda: Xent(ignore_index=1.0), TypeError, "ignore_index is 1.0; expected an integer or"),
    (lambda: Xent(ignore_index=[0.5]), TypeError, "ignore_index is [0.5]; expected an integer"),
    (lambda: Xent(ignore_index="pad"), TypeError, "ignore_index is 'pad'; expected an integer"),
    (lambda: Xent(ignore_index=[[1]]), TypeError, "ignore_index is [[1]]; expected an integer"),
    (lambda: Xent(ignore_index=True), TypeError, "ignore_index is True; expected an integer"),
    (
        lambda: value_and_grad(class_mask=[1, 1, 0]),
        TypeError,
        "class_mask has dtype int64; expected bool, True for classes kept",
    ),
    (
        lambda: value_and_grad(class_mask=[True, False]),
        ValueError,
        "class_mask has shape (2,); expected (3,), one for each class, or the shape of logits",
    ),
    (lambda: value_and_grad(class_mask=np.ones((3, 4), bool)), ValueError, "has shape (3, 4)"),
    # one for each row
    (
        lambda: value_and_grad(sample_weight=[1, 2]),
        ValueError,
        "sample_weight has shape (2,); expected (4,), one number for each row",
    ),
    (lambda: value_and_grad(sample_weight=np.ones((4, 1))), ValueError, "has shape (4, 1); exp"),
    (lambda: value_and_grad(sample_weight="1"), TypeError, "sample_weight has dtype <U1; expected"),
    (lambda: value_and_grad(sample_weight=[1j] * 4), TypeError, "sample_weight has dtype complex"),
    (lambda: value_and_grad(sample_weight=[1, -1, 1, 1]), ValueError, "sample_weight of row 1 is"),
    (
        lambda: value_and_grad(upstream=[1, 2], reduction="none"),
        ValueError,
        "upstream has shape (2,); expected (4,), one number for each row",
    ),
    (lambda: value_and_grad(upstream="1"), TypeError, "upstream"),
    # what cannot be combined
    (
        lambda: value_and_grad(upstream=[1, 2, 3, 4]),
        ValueError,
        "upstream is one number for each row; expected a scalar with reduction='mean' or 'sum'",
    ),
    (
        lambda: Xent(normalizer="batch", reduction="sum"),
        ValueError,
        "normalizer replaces the divisor of a mean; expected reduction='mean'",
    ),
    (
        lambda: value_and_grad(y=SOFT, ignore_index=0),
        ValueError,
        "ignore_index is set but target is probabilities; expected class indices (leave rows out",
    ),
    (
        lambda: Xent(ignore_index=0).grad_and_hess(Z, SOFT),
        ValueError,
        "ignore_index is set but target is probabilities",
    ),
    (
        lambda: value_and_grad(return_aux="target_grad"),
        ValueError,
        "return_aux names target_grad but target is class indices; expected probabilities",
    ),
    (lambda: value_and_grad(y=SOFT, return_aux="probability"), ValueError, "probability"),
    (lambda: value_and_grad(y=SOFT, return_aux="correct"), ValueError, "correct"),
    (lambda: value_and_grad(accumulate=True), ValueError, "accumulate"),
    (lambda: Xent().grad_and_hess(Z, Y, accumulate=True), ValueError, "accumulate"),
    (lambda: Xent().grad_and_hess(Z, Y, return_aux="entropy"), (TypeError, ValueError), "aux"),
    (lambda: Xent(focal_gamma=2).grad_and_hess(Z, Y), ValueError, "focal_gamma is not defined"),
    (lambda: Xent(focal_alpha=2).grad_and_hess(Z, Y), ValueError, "focal_alpha is not defined"),
    (lambda: Xent(z_loss=2).grad_and_hess(Z, Y), ValueError, "z_loss is not defined"),
    (lambda: Xent(softcap=2).grad_and_hess(Z, Y), ValueError, "softcap is not defined"),
    (lambda: Xent(focal_gamma=2).hessian_vector(Z, Y, Z), ValueError, "focal_gamma is not defined"),
    (lambda: Xent(focal_alpha=2).hessian_vector(Z, Y, Z), ValueError, "focal_alpha is not defined"),
    (lambda: Xent(softcap=2).hessian_vector(Z, Y, Z), ValueError, "softcap is not defined"),
    (lambda: Xent().hessian_vector(Z, Y, Z[0]), ValueError, "vector has shape"),
    (lambda: Xent().hessian_vector(Z, Y, Y), TypeError, "vector"),
    (lambda: Xent().backward(), RuntimeError, "backward was called before forward"),
]


@pytest.mark.parametrize("number", range(len(MISTAKES)))
def test_mistakes_are_told(number):
    call, error, message = MISTAKES[number]
    with pytest.raises(error, match=re.escape(message)):
        call()


@pytest.mark.parametrize("name", sorted(SOFTMAX.defaults))
def test_every_option_refuses_what_makes_no_sense(name):
    with pytest.raises((TypeError, ValueError)):
        value_and_grad(**{name: object()})


# ---- the same options, given in other ways ----------------------------------------------------


def test_every_option_is_among_those_tested_here():
    assert OPTIONS.keys() == SOFTMAX.defaults.keys()


@pytest.mark.parametrize("name", sorted(SOFTMAX.defaults))
def test_defaults_given_are_defaults(name):
    default = {name: SOFTMAX.defaults[name]}
    assert_same(value_and_grad(**default), value_and_grad())
    assert_same(Xent(**default).grad_and_hess(Z, Y), Xent().grad_and_hess(Z, Y))


@pytest.mark.parametrize("name", sorted(OPTIONS))
def test_options_of_the_class(name):
    """The same from the object, its copy and the function; repr names the option."""
    options = {name: OPTIONS[name]}
    xent = Xent(**options)
    want = value_and_grad(**options)
    for same in (xent, pickle.loads(pickle.dumps(xent))):
        assert_same(same.value_and_grad(Z, Y), want)
        assert_same([same.forward(Z, Y), same.backward()], want)
        assert repr(same) == f"crossent.SoftmaxCrossEntropy({name}={OPTIONS[name]!r})"


def test_all_options_of_the_class_at_once():
    options = {name: value for name, value in OPTIONS.items() if name != "reduction"}
    xent = Xent(**options)
    assert_same(pickle.loads(pickle.dumps(xent)).value_and_grad(Z, Y), xent.value_and_grad(Z, Y))


@pytest.mark.parametrize("name", sorted(CALL_OPTIONS))
def test_options_of_a_call(name):
    options = {name: CALL_OPTIONS[name]}
    want, got = value_and_grad(**options), Xent().value_and_grad(Z, Y, **options)
    assert_same(got[:2], want[:2])
    if name == "return_aux":
        assert got[2].keys() == want[2].keys() == {"entropy", "count", "weight"}
        assert_same(got[2].values(), want[2].values())
        loss, aux = Xent().forward(Z, Y, **options)
        assert_same([loss, *aux.values()], [want[0], *want[2].values()])
        loss, aux = crossent.softmax_cross_entropy(Z, Y, **options)
        assert_same([loss, *aux.values()], [want[0], *want[2].values()])


def test_a_mask_of_a_call_goes_before_that_of_the_class():
    one, other = np.array([True, True, False]), np.array([True, False, True])
    y = np.zeros(4, int)
    got = Xent(class_mask=one).value_and_grad(Z, y, class_mask=other)
    assert_same(got, value_and_grad(y=y, class_mask=other))


def test_backward_uses_the_options_of_the_last_forward():
    xent = Xent(class_mask=np.array([True, True, True]))
    for weight in ([1, 2, 3, 4], [0, 0, 1, 1], None):
        want = xent.value_and_grad(Z, Y, sample_weight=weight)[1]
        xent.forward(Z, Y, sample_weight=weight, return_aux="entropy")
        assert_same([xent.backward()], [want])
        assert_same([xent.backward(2)], [2 * want])
        out = np.ones_like(Z)
        assert xent.backward(out=out, accumulate=True) is out
        assert_same([out], [1 + want])


@pytest.mark.parametrize("name", ["class_weight", "focal_alpha"])
def test_one_number_for_all_classes(name, rng):
    """Of any number of classes, also from one object."""
    xent = Xent(**{name: 0.25}, reduction="sum")
    for classes in (3, 5, 2):
        z, y = rng.standard_normal((4, classes)), rng.integers(0, classes, 4)
        loss, grad = value_and_grad(z, y, reduction="sum")
        assert_same(xent.value_and_grad(z, y), [loss / 4, grad / 4])


def test_options_are_read_once():
    """Arrays of the class may change afterwards."""
    weight, labels = np.array([1.0, 2, 3]), np.array([0])
    xent = Xent(class_weight=weight, ignore_index=labels)
    want = xent.value_and_grad(Z, Y)
    weight[:], labels[:] = 7, 1
    assert_same(xent.value_and_grad(Z, Y), want)


def test_broadcasts_of_one_number_a_row(rng):
    z, y = rng.standard_normal((2, 5, 3)), rng.integers(0, 3, (2, 5))
    for weight in (2, [[2]], [[1], [2]], np.arange(5), np.arange(10).reshape(2, 5)):
        full = np.broadcast_to(weight, (2, 5)).astype(float)
        assert_same(
            value_and_grad(z, y, sample_weight=weight), value_and_grad(z, y, sample_weight=full)
        )
        if np.ndim(weight):
            assert_same(
                value_and_grad(z, y, upstream=weight, reduction="none"),
                value_and_grad(z, y, upstream=full, reduction="none"),
            )


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_broadcasts_of_a_mask(axis, rng):
    z = rng.standard_normal((3, 3, 3))
    mask, y = np.array([True, False, True]), np.zeros((3, 3), int)
    shape = [1, 1, 1]
    shape[axis] = 3
    options = {"axis": axis, "label_smoothing": 0.1}
    want = value_and_grad(z, y, class_mask=np.broadcast_to(mask.reshape(shape), z.shape), **options)
    assert_same(value_and_grad(z, y, class_mask=mask, **options), want)
    assert_same(value_and_grad(z, y, class_mask=mask.reshape(shape), **options), want)
    assert_same(value_and_grad(z, y, class_mask=mask.tolist(), **options), want)


def test_grad_and_hess_into_out():
    grad, hess = Xent().grad_and_hess(Z, Y)
    out = Z.copy()
    got = Xent().grad_and_hess(out, Y, out=out)
    assert got[0] is out
    assert_same(got, [grad, hess])


def test_entropy_keeps_its_digits():
    """Whichever class is the target."""
    for gap in (1, 30, 100):
        p = np.exp(-gap) / (1 + np.exp(-gap))
        want = np.log1p(np.exp(-gap)) + gap * p
        for label in (0, 1):
            _, aux = Xent().forward(np.array([[0.0, -gap]]), [label], return_aux="entropy")
            np.testing.assert_allclose(aux["entropy"], want, 1e-14)


# ---- no rows ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(OPTIONS.keys() - {"axis"}))
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("shape", [(0, 3), (2, 0, 3)])
def test_no_rows(shape, soft, name, dtype):
    if soft and name == "ignore_index":
        return
    z, y = np.zeros(shape, dtype), np.zeros(shape if soft else shape[:-1], dtype if soft else int)
    loss, grad, aux = value_and_grad(
        z, y, return_aux=("entropy", "argmax"), **{name: OPTIONS[name]}
    )
    if name == "reduction":
        assert loss.shape == shape[:-1]
        assert loss.dtype == dtype
    else:
        np.testing.assert_equal(loss, 0 if name == "empty" else np.nan)
    assert grad.shape == shape
    assert aux["entropy"].shape == aux["argmax"].shape == shape[:-1]
    assert aux["count"] == aux["weight"] == 0


def test_no_rows_for_grad_and_hess(dtype):
    for array in Xent().grad_and_hess(np.zeros((0, 3), dtype), np.zeros(0, int)):
        assert array.shape == (0, 3)
        assert array.dtype == dtype
    with pytest.raises(ValueError, match="no row takes part in the mean"):
        Xent(empty="raise").grad_and_hess(np.zeros((0, 3), dtype), np.zeros(0, int))


# ---- 16 bits ----------------------------------------------------------------------------------


@pytest.fixture(params=["float16", "bfloat16"])
def half(request):
    if request.param == "float16":
        return np.dtype(np.float16)
    return np.dtype(pytest.importorskip("ml_dtypes").bfloat16)


HALF_OPTIONS = {
    "plain": {},
    "sum": {"reduction": "sum"},
    "smoothing": {"label_smoothing": 0.1},
    "class weight": {"class_weight": "random"},
    "focal": {"focal_gamma": 2},
    "focal and smoothing": {"focal_gamma": 2, "label_smoothing": 0.1},
    "z_loss": {"z_loss": 0.01},
    "temperature": {"temperature": 2},
    "mask": {"class_mask": "all but the last"},
}


def between(got, low, high):
    """Whether `got` is what some number from `low` to `high` is rounded to."""
    low, high = low.astype(got.dtype), high.astype(got.dtype)
    return ((low <= got) & (got <= high)).all()


@pytest.mark.parametrize("name", HALF_OPTIONS)
@pytest.mark.parametrize("classes", [3, 70, 4100])
def test_16_bits_are_rounded_to_once(name, classes, half, rng):
    """From float32, which is 2^13 times finer: what float64 gives, rounded, or its neighbour where
    float64 is that close to the middle of two numbers."""
    z = (3 * rng.standard_normal((20, classes))).astype(half)
    z[0, 0], y = 20, rng.integers(0, classes - 1, 20)
    y[0] = 0
    options = {"reduction": "none"} | HALF_OPTIONS[name]
    if "class_weight" in options:
        options["class_weight"] = rng.uniform(0.5, 2, classes)
    if "class_mask" in options:
        options["class_mask"] = np.arange(classes) < classes - 1
    loss, grad = value_and_grad(z, y, **options)
    want, slope = value_and_grad(z.astype(np.float64), y, **options)
    assert grad.dtype == half
    near = 40 * np.finfo(np.float32).eps
    size = near * (np.abs(slope) + (classes**-1.0 if name != "plain" else 0))
    assert between(grad, slope - size, slope + size)
    if options["reduction"] == "none":
        assert loss.dtype == half
        assert between(loss, want * (1 - near), want * (1 + near))
    else:
        assert isinstance(loss, float)
        np.testing.assert_allclose(loss, want, 1e-6)


def test_the_target_gradient_of_16_bits_near_1(half):
    """p - 1 from the other classes, not from a rounded p."""
    gaps = np.array([4, 8, 9.5, 12, 15])
    z = np.stack([gaps, 0 * gaps], 1).astype(half)
    _, grad = value_and_grad(z, np.zeros(5, int), reduction="sum")
    want = (-1 / (1 + np.exp(z[:, 0].astype(float)))).astype(half)
    assert grad[:, 0].tobytes() == want.tobytes()
    assert grad[:, 1].tobytes() == (-want).tobytes()


def test_16_bits_accumulate_in_more(half, rng):
    z, y = rng.standard_normal((50, 9)).astype(half), rng.integers(0, 9, 50)
    out = (100 * rng.standard_normal(z.shape)).astype(half)
    slope = value_and_grad(z.astype(np.float32), y)[1].astype(float)
    low = (out.astype(float) + slope * (1 - 1e-6)).astype(half)
    high = (out.astype(float) + slope * (1 + 1e-6)).astype(half)
    value_and_grad(z, y, out=out, accumulate=True)
    assert ((np.minimum(low, high) <= out) & (out <= np.maximum(low, high))).all()


def test_16_bits_in_place_and_in_every_layout(half, rng):
    z, y = rng.standard_normal((6, 8)).astype(half), rng.integers(0, 8, 6)
    want = value_and_grad(z, y)
    for layout in (
        z.copy(),
        np.asfortranarray(z),
        z.repeat(2, 1)[:, ::2],
        z[:, ::-1].copy()[:, ::-1],
    ):
        assert_same(value_and_grad(layout, y), want)
        loss, grad = value_and_grad(layout, y, out=layout)
        assert grad is layout
        assert_same([loss, np.array(grad, order="C")], want)


def test_16_bits_have_infinities_and_nans(half):
    z = np.array([[1, np.inf], [1, -np.inf], [np.nan, 0], [-np.inf, -np.inf]]).astype(half)
    loss, grad = value_and_grad(z, [0, 0, 0, 0], reduction="none")
    np.testing.assert_array_equal(loss.astype(float), [np.inf, 0, np.nan, np.nan])
    want = [[-1, 1], [0, 0], [np.nan, np.nan], [np.nan, np.nan]]
    np.testing.assert_array_equal(grad.astype(float), want)
    with pytest.raises(FloatingPointError, match="in 3 rows; the first is row 0, class 1"):
        value_and_grad(z, [0, 0, 0, 0], nonfinite="raise")


def test_16_bits_overflow_to_infinity():
    z = np.array([[60000, -60000]], np.float16)
    with np.errstate(over="ignore"):
        loss, grad = value_and_grad(z, [1], reduction="none")
        assert loss[0] == np.inf
        assert grad.tolist() == [[1, -1]]
        assert value_and_grad(z, [1])[0] == pytest.approx(120000, 1e-7)
        _, grad = value_and_grad(z, [1], reduction="sum", upstream=1e6)
    assert grad.tolist() == [[np.inf, -np.inf]]


def test_16_bits_of_every_size(half):
    """All finite numbers are rounded to where they are the results."""
    bits = np.arange(2**15, dtype=np.uint16).view(half)
    finite = bits[np.isfinite(bits.astype(np.float32))]
    z = np.stack([np.zeros_like(finite), finite], 1)
    loss, _ = value_and_grad(z, np.zeros(len(z), int), reduction="none")
    want = np.logaddexp(0, z[:, 1].astype(np.float64))
    near = 4 * np.finfo(np.float32).eps
    with np.errstate(over="ignore"):
        assert between(loss, want * (1 - near), want * (1 + near))


def test_soft_targets_of_16_bits(half):
    soft = SOFT.astype(half)
    assert_same(value_and_grad(Z, soft), value_and_grad(Z, soft.astype(np.float32)))
    loss, grad = value_and_grad(Z.astype(half), SOFT.astype(np.float32))
    want = value_and_grad(Z.astype(half).astype(float), SOFT)
    np.testing.assert_allclose(loss, want[0], 1e-6)
    np.testing.assert_allclose(grad.astype(float), want[1], 0.01)
