"""What real programs pass to losses and expect of them: scalars, gradients alone, one-hot rows of
any type, masked arrays, arguments that share memory, names of other libraries, forgotten steps."""

import numpy as np
import pytest

import crossent

Z = np.array([[0.5, -1.0, 3.0], [2.0, 0.0, 1.0], [0.0, 0.25, -4.0], [1.0, 1.0, 1.0]])
P = np.exp(Z) / np.exp(Z).sum(1, keepdims=True)
LABELS, BITS = np.array([1, 0, 2, 2]), np.array([[1, 0, 1], [0, 0, 1], [1, 1, 0], [0, 1, 0]])

LOSSES = {  # name, class, its arguments
    "softmax": (crossent.SoftmaxCrossEntropy, Z, LABELS),
    "sigmoid": (crossent.SigmoidCrossEntropy, Z, BITS),
    "categorical": (crossent.CategoricalCrossEntropy, P, LABELS),
    "binary": (crossent.BinaryCrossEntropy, P, BITS),
}


@pytest.fixture(params=LOSSES)
def name(request):
    return request.param


def function(name, suffix=""):
    return getattr(crossent, f"{name}_cross_entropy{suffix}")


# ---- results ----------------------------------------------------------------------------------


def test_scalars_are_of_numpy(name):
    make, x, target = LOSSES[name]
    for value in (
        function(name)(x, target),
        function(name)(x, target, reduction="sum"),
        function(name)(x[:0], target[:0]),
        function(name, "_value_and_grad")(x, target)[0],
        make()(x, target),
        make().forward(x, target),
    ):
        assert type(value) is np.float64
        assert value.shape == ()
        assert isinstance(value.item(), float)
    value = crossent.linear_cross_entropy(x, np.ones((3, 3)), LABELS)
    assert type(value) is np.float64


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_the_gradient_alone(name, kind):
    make, x, target = LOSSES[name]
    x = x.astype(kind)
    for options in ({}, {"reduction": "sum", "label_smoothing": 0.1}, {"reduction": "none"}):
        want = function(name, "_value_and_grad")(x, target, **options)[1]
        out = np.empty_like(x)
        got = function(name, "_grad")(x, target, **options), make(**options).grad(x, target)
        assert function(name, "_grad")(x, target, out=out, **options) is out
        for grad in (*got, out):
            np.testing.assert_array_equal(grad, want, strict=True)
    weighted = make().grad(x, target, upstream=3, sample_weight=2, out=out)
    both = make().value_and_grad(x, target, upstream=3, sample_weight=2)
    np.testing.assert_array_equal(weighted, both[1])
    with pytest.raises(TypeError, match=f"option of {name}_cross_entropy_grad"):
        function(name, "_grad")(x, target, return_aux="correct")
    with pytest.raises(TypeError, match="option of grad"):
        make().grad(x, target, return_aux="correct")


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
def test_backward_returns_what_forward_found(name, kind):
    make, x, target = LOSSES[name]
    x, each = x.astype(kind), np.array([0.5, -2, 0, 7])
    if name in ("sigmoid", "binary"):
        each = each[:, None] * [1, 2, 3]
    bce = make(reduction="none")
    losses = bce.forward(x, target)
    np.testing.assert_array_equal(losses, function(name)(x, target, reduction="none"))
    want = function(name, "_grad")(x, target, reduction="none").astype(float)
    scale = each if each.ndim == 2 else each[:, None]
    x[:] = 0.5
    np.testing.assert_array_equal(bce.backward(), want)
    np.testing.assert_array_equal(bce.backward(each), (want * scale).astype(kind))
    np.testing.assert_array_equal(bce.backward(-3), (want * -3).astype(kind))
    out = np.ones_like(x)
    assert bce.backward(0.5, out=out, accumulate=True) is out
    np.testing.assert_array_equal(out, (1 + want * 0.5).astype(kind))
    assert bce.backward(out=out) is out
    np.testing.assert_array_equal(out, want)
    for bad in (np.ones(7), [np.ones(4)] * 7):
        with pytest.raises(ValueError, match="upstream has shape"):
            bce.backward(bad)
    mean = make()
    mean.forward(x, target)
    with pytest.raises(ValueError, match="upstream is an array"):
        mean.backward(each)
    with pytest.raises(ValueError, match="out is None"):
        mean.backward(accumulate=True)


def test_rows_that_take_no_part_stay_zero_in_backward():
    xent = crossent.SoftmaxCrossEntropy(ignore_index=-1, reduction="none")
    xent.forward(Z, np.array([1, -1, 2, -1]))
    grad = xent.backward([1, np.nan, 2, np.inf])
    assert np.all(grad[[1, 3]] == 0)
    assert np.all(grad[[0, 2]] != 0)


def test_backward_along_another_axis():
    xent = crossent.SoftmaxCrossEntropy(axis=0, reduction="none")
    xent.forward(Z.T, LABELS)
    each = np.array([0.5, 2, 4, 8])
    want = xent.value_and_grad(Z.T, LABELS, upstream=each)[1]
    np.testing.assert_allclose(xent.backward(each), want, 1e-15)


@pytest.mark.parametrize("kind", ["labels", "soft"])
@pytest.mark.parametrize("axis", [1, 0, -1])
def test_batchmean_divides_by_the_batch(kind, axis):
    z = np.linspace(-2, 2, 4 * 3 * 5).reshape(4, 3, 5)
    y = np.random.default_rng(0).integers(0, z.shape[axis], np.delete(z.shape, axis))
    size = y.shape[0]
    options = {"axis": axis, "class_weight": np.arange(1.0, z.shape[axis] + 1)}
    if kind == "labels":
        options["ignore_index"] = 1
    else:
        y = np.moveaxis(np.eye(z.shape[axis])[y], -1, axis)
    total, grad = crossent.softmax_cross_entropy_value_and_grad(z, y, reduction="sum", **options)
    got = crossent.softmax_cross_entropy_value_and_grad(z, y, reduction="batchmean", **options)
    assert got[0] == total / size
    np.testing.assert_allclose(got[1], grad / size, 1e-15)


def test_batchmean_of_elements():
    for name in ("sigmoid", "binary"):
        _, x, target = LOSSES[name]
        weight = np.arange(4.0)[:, None]
        total = function(name)(x, target, reduction="sum", sample_weight=weight)
        got = function(name)(x, target, reduction="batchmean", sample_weight=weight)
        assert got == total / 4
    assert np.isnan(crossent.sigmoid_cross_entropy(Z[:0], BITS[:0], reduction="batchmean"))
    with pytest.raises(ValueError, match="expected reduction='mean'"):
        crossent.SoftmaxCrossEntropy(reduction="batchmean", normalizer=3)
    x, w = np.eye(4, 3), np.eye(3)
    got = crossent.linear_cross_entropy(x, w, LABELS, ignore_index=2, reduction="batchmean")
    assert got == crossent.linear_cross_entropy(x, w, LABELS, ignore_index=2, reduction="sum") / 4


# ---- targets and data --------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["?", "i1", "u1", "i8", "u8", ">i4", "f2", "bfloat16", "f4"])
@pytest.mark.parametrize("name", ["softmax", "categorical"])
def test_one_hot_of_every_type(kind, name):
    if kind == "bfloat16":
        kind = pytest.importorskip("ml_dtypes").bfloat16
    _, x, target = LOSSES[name]
    rows = np.eye(3)[target]
    want = function(name, "_value_and_grad")(x, rows)
    for given in (rows.astype(kind), np.asfortranarray(rows.astype(kind))):
        got = function(name, "_value_and_grad")(x, given)
        assert got[0] == want[0]
        np.testing.assert_array_equal(got[1], want[1])


def test_soft_targets_of_16_bits_are_what_they_hold():
    soft = np.array([[0.25, 0.5, 0.25]] * 4, np.float16)
    want = crossent.softmax_cross_entropy(Z, soft.astype(float))
    assert crossent.softmax_cross_entropy(Z, soft) == want


@pytest.mark.parametrize("target", [1, 0, True, 0.25, np.float32(0.5), np.array(1)])
def test_one_target_for_all_elements(target):
    for name in ("sigmoid", "binary"):
        _, x, _ = LOSSES[name]
        got = function(name, "_value_and_grad")(x, target)
        want = function(name, "_value_and_grad")(x, np.full(x.shape, float(target)))
        assert got[0] == want[0]
        np.testing.assert_array_equal(got[1], want[1])
    got = crossent.SigmoidCrossEntropy().hessian_vector(Z, target, Z)
    np.testing.assert_array_equal(
        got, crossent.SigmoidCrossEntropy().hessian_vector(Z, np.full(Z.shape, target), Z)
    )


@pytest.mark.parametrize("kind", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", ["categorical", "binary"])
@pytest.mark.parametrize("soft", [False, True])
def test_probabilities_that_rounding_put_outside(name, kind, soft):
    """Means of softmaxes exceed 1; what lies outside by at most 16 eps counts as the bound."""
    eps = np.finfo(kind).eps
    x = np.array([[1 + 16 * eps, -16 * eps, 0], [0.25, 0.5, 0.25], [-eps, 1 + eps, 0]], kind)
    target = np.array([[1, 0, 0], [0, 1, 0], [0, 1, 0]])
    if not soft and name == "categorical":
        target = target.argmax(1)
    f = function(name, "_value_and_grad")
    clean = np.clip(x, 0, 1)
    for options in ({}, {"clip": 1e-3}, {"reduction": "none"}, {"label_smoothing": 0}):
        given = x.copy()
        want = f(clean, target, **options)
        for got in (f(given, target, **options), f(given, target, out=given, **options)):
            np.testing.assert_array_equal(got[0], want[0])
            np.testing.assert_array_equal(got[1], want[1])
        assert got[1] is given
    sums = np.ones_like(x)
    f(x, target, out=sums, accumulate=True, reduction="sum")
    want = np.ones_like(x)
    f(clean, target, out=want, accumulate=True, reduction="sum")
    np.testing.assert_array_equal(sums, want)
    with pytest.raises(ValueError, match="expected 0 <= p"):
        f(x + np.array(40 * eps, kind), target)


@pytest.mark.parametrize("name", ["categorical", "binary"])
@pytest.mark.parametrize("clip", [1e-7, "torch", "keras"])
def test_any_finite_number_can_be_clipped(name, clip):
    x, target = np.array([[1.83, -0.5, 0.25]]), np.array([[1, 0, 0]])
    want = function(name)(np.clip(x, 0, 1), target, clip=clip)
    assert function(name)(x, target, clip=clip) == want
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(ValueError, match="probs"):
            function(name)(np.full((1, 3), bad), target, clip=clip)


def test_functions_take_integers_and_lists():
    whole = [[1, 2, 3], [0, 5, 0]]
    for f in (
        crossent.softmax, crossent.log_softmax, crossent.logsumexp,
        crossent.sigmoid, crossent.log_sigmoid, crossent.softplus,
    ):  # fmt: skip
        want = f(np.array(whole, float))
        for given in (whole, np.array(whole), np.array(whole, np.uint8)):
            np.testing.assert_array_equal(f(given), want, strict=True)
    assert crossent.sigmoid(0) == 0.5
    np.testing.assert_array_equal(crossent.softmax([True, True]), [0.5, 0.5])


def test_softmax_over_several_axes():
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    for f in (crossent.softmax, crossent.log_softmax):
        for axis in (None, (0, 2), (2, 0), (1, 2)):
            axes = (0, 1, 2) if axis is None else axis
            want = f(np.moveaxis(x, axes, range(len(axes))).reshape(-1, *(
                n for d, n in enumerate(x.shape) if d not in axes)), 0)  # fmt: skip
            moved = np.moveaxis(f(x, axis), axes, range(len(axes)))
            np.testing.assert_allclose(moved.reshape(want.shape), want, 1e-15)
            out = x.copy()
            assert f(out, axis, out=out) is out
            np.testing.assert_array_equal(out, f(x, axis))
        np.testing.assert_array_equal(f(x, 1), f(x, axis=1))
    np.testing.assert_array_equal(crossent.logsumexp(x, 0), crossent.logsumexp(x, axis=0))


# ---- what is refused ---------------------------------------------------------------------------

MASKED = np.ma.masked_array


def masked(array):
    return MASKED(array, mask=np.zeros(np.shape(array), bool))


@pytest.mark.parametrize("suffix", ["", "_value_and_grad", "_grad"])
def test_masked_arrays_are_refused_everywhere(name, suffix):
    make, x, target = LOSSES[name]
    f, data = function(name, suffix), "logits" if name in ("softmax", "sigmoid") else "probs"
    calls = {
        data: lambda: f(masked(x), target),
        "target": lambda: f(x, masked(target)),
        "sample_weight": lambda: f(x, target, sample_weight=masked(np.ones((4, 3)[: target.ndim]))),
        "upstream": lambda: f(x, target, upstream=masked(np.ones((4, 3)[: target.ndim])),
                              reduction="none"),
        "ignore_index": lambda: f(x, target, ignore_index=masked([1])),
    }  # fmt: skip
    if suffix:
        calls["out"] = lambda: f(x, target, out=masked(x.copy()))
    for option in ("class_weight", "focal_alpha", "class_mask", "pos_weight"):
        if option in make.__signature__.parameters and not (
            option == "focal_alpha" and name != "softmax"
        ):
            value = masked(np.ones(3, bool if option == "class_mask" else float))
            calls[option] = lambda option=option, value=value: f(x, target, **{option: value})
    for argument, call in calls.items():
        with pytest.raises(TypeError, match=f"^{argument} is a masked array"):
            call()


def test_functions_refuse_masked_arrays():
    for f in (crossent.softmax, crossent.logsumexp, crossent.sigmoid, crossent.softplus):
        with pytest.raises(TypeError, match="x is a masked array"):
            f(masked(Z))
    with pytest.raises(TypeError, match="b is a masked array"):
        crossent.logsumexp(Z, b=masked(Z))
    with pytest.raises(TypeError, match="out is a masked array"):
        crossent.softmax(Z, out=masked(Z.copy()))
    with pytest.raises(TypeError, match="vector is a masked array"):
        crossent.SoftmaxCrossEntropy().hessian_vector(Z, LABELS, masked(Z))
    for bad in ((masked(Z), np.eye(3), LABELS), (Z, masked(np.eye(3)), LABELS)):
        with pytest.raises(TypeError, match="is a masked array"):
            crossent.linear_cross_entropy(*bad)


def test_out_that_overlaps_other_arguments_is_refused(name):
    make, x, target = LOSSES[name]
    target = target.astype(np.int64)
    n = 500
    x, target = np.repeat(x, n // 4, 0), np.repeat(target, n // 4, 0)
    out = np.ones(x.shape)
    rows = out[::-1, 0] if target.ndim == 1 else out[::-1, :1]
    f = function(name, "_value_and_grad")
    cases = {
        "sample_weight": {"sample_weight": rows},
        "upstream": {"upstream": rows, "reduction": "none"},
    }
    if name == "softmax":
        cases["class_mask"] = {"class_mask": out.view(bool)[:, :3]}
    for argument, options in cases.items():
        with pytest.raises(ValueError, match=f"out overlaps {argument} in memory"):
            f(x, target, out=out, **options)
    assert np.all(out == 1)
    if name in ("softmax", "sigmoid"):
        with pytest.raises(ValueError, match="out overlaps sample_weight"):
            make().grad_and_hess(x, target, out=out, sample_weight=rows)
        with pytest.raises(ValueError, match="out overlaps sample_weight"):
            make().hessian_vector(x, target, x, out=out, sample_weight=rows)
        with pytest.raises(ValueError, match="out overlaps vector"):
            make().hessian_vector(x, target, out[::-1], out=out)


def test_empty_batches_have_empty_outputs(name):
    _, x, target = LOSSES[name]
    out = np.empty((0, 3))
    loss, grad = function(name, "_value_and_grad")(x[:0], target[:0], out=out)
    assert np.isnan(loss)
    assert grad is out
    assert crossent.softmax(x[:0], out=out) is out


def test_integers_beyond_int64_do_not_wrap():
    high = np.uint64(2**64 - 1)
    with pytest.raises(IndexError, match="18446744073709551615"):
        crossent.softmax_cross_entropy(Z, np.array([0, high, 1, 2], np.uint64), ignore_index=-1)
    for value in (high, 2**63, 2**70, [1, 2**70], -(2**70)):
        with pytest.raises(ValueError, match="ignore_index is"):
            crossent.softmax_cross_entropy(Z, LABELS, ignore_index=value)
    same = crossent.softmax_cross_entropy(Z, LABELS, ignore_index=[])
    assert same == crossent.softmax_cross_entropy(Z, LABELS)


@pytest.mark.parametrize("option", ["upstream", "focal_gamma", "normalizer", "class_weight",
                                    "z_loss", "temperature", "focal_alpha"])  # fmt: skip
def test_numbers_beyond_floats(option):
    with pytest.raises((ValueError, TypeError), match=option):
        crossent.softmax_cross_entropy(Z, LABELS, **{option: 10**400})
    with pytest.raises((ValueError, TypeError), match="pos_weight"):
        crossent.sigmoid_cross_entropy(Z, BITS, pos_weight=10**400)
    with pytest.raises((ValueError, TypeError), match="sample_weight"):
        crossent.sigmoid_cross_entropy(Z, BITS, sample_weight=10**400)


@pytest.mark.parametrize(
    "method",
    ["__call__", "forward", "value_and_grad", "grad", "backward", "grad_and_hess",
     "hessian_vector"],
)  # fmt: skip
def test_a_subclass_that_forgets_init(name, method):
    make, x, target = LOSSES[name]

    class Forgetful(make):
        def __init__(self):
            pass

    loss = Forgetful()
    assert "Forgetful" in repr(loss)
    if not hasattr(loss, method):
        return
    arguments = {"backward": (), "hessian_vector": (x, target, x)}.get(method, (x, target))
    with pytest.raises(RuntimeError, match=r"super\(\).__init__"):
        getattr(loss, method)(*arguments)
    if name in ("softmax", "sigmoid"):
        output = "softmax" if name == "softmax" else "sigmoid"
        net = crossent.train.Network.create([3, 3], output=output, seed=0)
        with pytest.raises(RuntimeError, match=r"super\(\).__init__"):
            net.fit(x, target, loss=loss, epochs=1)


def test_a_failed_init_leaves_an_object_as_it_was():
    loss = crossent.SoftmaxCrossEntropy(reduction="sum")
    want = loss(Z, LABELS)
    with pytest.raises(ValueError, match="normalizer"):
        loss.__init__(reduction="none", normalizer=2)
    assert loss(Z, LABELS) == want


def test_threads_are_bounded_by_the_machine():
    assert crossent.softmax_cross_entropy(Z, LABELS, threads=2**31 - 1) == (
        crossent.softmax_cross_entropy(Z, LABELS, threads=1)
    )
    z, y = np.zeros((100_000, 3)), np.zeros(100_000, int)
    assert crossent.softmax_cross_entropy(z, y, threads=100_000) == pytest.approx(np.log(3))


# ---- names of other libraries ------------------------------------------------------------------

NAMES = {
    "input": "outputs are {}, the first argument",
    "y_pred": "predictions are {}, the first argument",
    "labels": "labels are target",
    "y_true": "labels are target, the second argument, after {}",
    "from_logits": "categorical_cross_entropy and binary_cross_entropy probabilities",
    "weight": "sample_weight",
    "dim": "expected axis",
    "size_average": "expected reduction",
    "lr": "optimizer",
    "learning_rate": "optimizer",
    "verbose": "prints nothing",
    "eps": "clip|label_smoothing",
    "normalize": "reduction='sum'",
}


@pytest.mark.parametrize("option", NAMES)
@pytest.mark.parametrize("suffix", ["", "_value_and_grad", "_grad"])
def test_names_of_other_libraries(name, option, suffix):
    make, x, target = LOSSES[name]
    data = "logits" if name in ("softmax", "sigmoid") else "probs"
    message = NAMES[option].format(data)
    called = f"{name}_cross_entropy{suffix}"
    with pytest.raises(TypeError, match=f"^'{option}' is not an option of {called};.*{message}"):
        function(name, suffix)(x, target, **{option: 1})
    with pytest.raises(TypeError, match=f"is not an option of {make.__name__};.*{message}"):
        make(**{option: 1})
    with pytest.raises(TypeError, match=f"a call of {make.__name__};.*{message}"):
        make().forward(x, target, **{option: 1})


def test_arguments_of_other_libraries_by_name(name):
    f = function(name)
    _, x, target = LOSSES[name]
    with pytest.raises(TypeError, match=r"'labels' is not an option.* target, the second"):
        f(x, labels=target)
    with pytest.raises(TypeError, match="'y_true' is not an option"):
        f(y_true=target, y_pred=x)
    with pytest.raises(TypeError, match="target is missing"):
        f(x)
    with pytest.raises(TypeError, match="'sum' is a third; expected options by name"):
        f(x, target, "sum")
    with pytest.raises(TypeError, match="'sum' is a third; expected options by name"):
        LOSSES[name][0]().forward(x, target, "sum")


def test_swapped_arguments_are_noticed():
    for name in ("softmax", "categorical"):
        with pytest.raises(TypeError, match="swapped"):
            function(name)(LABELS, P)
    with pytest.raises(TypeError, match="swapped"):
        crossent.sigmoid_cross_entropy(BITS, Z)
