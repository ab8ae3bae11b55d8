"""Special values and wrong ones: one rule for every form of target, size and instruction set.

The order is that of the table in the documentation of the losses: bad labels, NaN and infinities,
nothing that takes part, weights, soft targets, smoothing, binary losses.
"""

import itertools
import re
import warnings

import numpy as np
import pytest

from . import everywhere

NAN, INF = np.nan, np.inf
CLASSES = (3, 70, 4100)
INTEGERS = ("i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8")
REDUCTIONS = ("mean", "sum", "none")


def one_hot(z, y):
    return np.eye(z.shape[-1], dtype=z.dtype)[y]


# Ways to say that class y is the target: (target, options).
FORMS = {
    "labels": lambda z, y: (y, {}),
    "labels, all classes kept": lambda z, y: (y, {"class_mask": np.ones(z.shape[-1], bool)}),
    "one-hot": lambda z, y: (one_hot(z, y), {}),
    "one-hot, weighted": lambda z, y: (one_hot(z, y), {"class_weight": np.ones(z.shape[-1])}),
}


SIZES_AND_FORMS = list(itertools.product(CLASSES, FORMS.values()))


def both(z, target, **options):
    options = {"reduction": "none"} | options
    return everywhere.softmax_cross_entropy_value_and_grad(z, target, **options)


def forward(z, target, **options):
    return everywhere.softmax_cross_entropy(z, target, **{"reduction": "none"} | options)


def long_row(values, classes, fill, dtype, shift=0):
    row = np.full(classes, fill, dtype)
    row[: len(values)] = values
    return np.roll(row, shift)


def close(got, want, dtype):
    limit = 8 * np.finfo(dtype).eps
    np.testing.assert_allclose(got, np.asarray(want, np.float64), limit, 0)


# ---- labels -----------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1}, {"class_weight": 2}])
def test_a_label_that_is_no_class(options, dtype):
    for classes in CLASSES:
        for label in (-1, -100, classes, 2**40):
            z, y = np.zeros((4, classes), dtype), np.array([0, 1, label, label])
            message = f"target[2] is {label}; expected 0 <= target < {classes}, the number of"
            with pytest.raises(IndexError, match=re.escape(message)):
                both(z, y, **options)
            loss, grad = both(z, y, ignore_index=label, **options)
            assert (loss[2:] == 0).all()
            assert not grad[2:].any()
            assert (loss[:2] > 0).all()


def test_labels_that_are_not_whole_numbers(dtype):
    with pytest.raises(TypeError, match=r"target has dtype float64 .*integer dtype"):
        both(np.zeros((2, 3), dtype), np.array([0, 1.7]))


@pytest.mark.parametrize("options", [{}, {"label_smoothing": 0.1, "ignore_index": 2}])
def test_labels_of_every_integer_type(options, dtype, rng):
    z, y = rng.standard_normal((4, 5)).astype(dtype), np.array([4, 0, 2, 3])
    want = both(z, y, **options)
    for kind in INTEGERS:
        for got, right in zip(both(z, y.astype(kind), **options), want, strict=True):
            assert got.tobytes() == right.tobytes()


def test_labels_are_never_rounded_to_the_logits_type():
    """2049 is no float16."""
    z = np.zeros((2, 4100), np.float16)
    z[:, 2049] = 1000
    np.testing.assert_array_equal(forward(z, np.array([2049, 2048])), [0, 1000])


# ---- NaN and infinities -----------------------------------------------------------------------

# logits, label, what fills up a longer row, loss, gradient (0 for what fills up)
P, Q = 1 / (1 + np.exp(2)), 1 / (1 + np.exp(-2))
TAIL = np.exp(-17) / (1 + 2 * np.exp(-17))
ROWS = {
    "NaN": ([1, NAN, 0], 0, -1000, NAN, NAN),
    "NaN at the target": ([1, NAN, 0], 1, -1000, NAN, NAN),
    "all NaN": ([NAN, NAN, NAN], 1, NAN, NAN, NAN),
    "+inf at the target": ([1, INF, 0], 1, -1000, 0, [0, 0, 0]),
    "+inf elsewhere": ([1, INF, 0], 0, -1000, INF, [-1, 1, 0]),
    "several +inf": ([INF, INF, 0], 0, -1000, NAN, NAN),
    "several +inf elsewhere": ([INF, INF, 0], 2, -1000, NAN, NAN),
    "NaN and +inf": ([INF, NAN, 0], 0, -1000, NAN, NAN),
    "-inf elsewhere": ([0, -INF, 2], 2, -INF, np.log1p(np.exp(-2)), [P, 0, -P]),
    "-inf at the target": ([0, -INF, 2], 1, -INF, INF, [P, -1, Q]),
    "all -inf": ([-INF, -INF, -INF], 0, -INF, NAN, NAN),
    "far apart": ([17, 0, 0], 0, -1000, np.log1p(2 * np.exp(-17)), [-2 * TAIL, TAIL, TAIL]),
}
# Those that have no loss, and those that have one only as a limit.
FAULTS = {name: row for name, row in ROWS.items() if np.isnan(row[3]) or INF in row[0]}


def make_row(name, classes, dtype, shift=0):
    """(logits, labels, loss, gradient), of one row and `classes` classes."""
    values, label, fill, loss, grad = ROWS[name]
    z = long_row(values, classes, fill, dtype, shift)
    if np.ndim(grad):
        grad = long_row(grad, classes, 0, np.float64, shift)
    return z[None], np.array([(label + shift) % classes]), loss, grad


@pytest.mark.parametrize("name", ROWS)
def test_a_row(name, dtype):
    for classes, form in SIZES_AND_FORMS:
        for shift in (0, classes // 2, classes - 2):
            z, y, loss, grad = make_row(name, classes, dtype, shift)
            target, options = form(z, y)
            got, slope = both(z, target, **options)
            close(got, [loss], dtype)
            close(slope, np.broadcast_to(grad, slope.shape), dtype)
            close(forward(z, target, **options), [loss], dtype)


@pytest.mark.parametrize("name", ROWS)
def test_a_row_leaves_its_neighbours_alone(name, dtype, rng):
    for classes, form in SIZES_AND_FORMS:
        special, label, *_ = make_row(name, classes, dtype)
        z, y = rng.standard_normal((7, classes)).astype(dtype), rng.integers(0, classes, 7)
        target, options = form(z, y)
        want = both(z, target, **options)
        z[3], y[3] = special[0], label[0]
        got = both(z, form(z, y)[0], **options)
        for g, w in zip(got, want, strict=True):
            assert np.delete(g, 3, 0).tobytes() == np.delete(w, 3, 0).tobytes()


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if np.isnan(row[3])])
def test_a_row_without_a_loss_has_none_under_any_option(name, dtype):
    options = ({"label_smoothing": 0.1}, {"focal_gamma": 2}, {"z_loss": 0.1}, {"temperature": 2})
    for classes in CLASSES:
        z, y, *_ = make_row(name, classes, dtype)
        for option in options:
            loss, grad = both(z, y, **option)
            assert np.isnan(loss).all()
            assert np.isnan(grad).all()
        loss, grad = both(z, np.full((1, classes), 1 / classes))
        assert np.isnan(loss).all()
        assert np.isnan(grad).all()


def test_minus_infinity_under_smoothing(dtype):
    """Each class has a share of the target, one of probability 0 too; none that is masked."""
    limit = 4 * np.finfo(dtype).eps
    for classes in CLASSES:
        z = long_row([0, -INF, 2], classes, -INF, dtype)[None]
        kept = np.zeros(classes, bool)
        kept[[0, 2]] = True
        loss, grad = both(z, np.array([2]), label_smoothing=0.25)
        assert loss[0] == INF
        p = long_row([P, 0, Q], classes, 0, np.float64)
        target = 0.75 * (np.arange(classes) == 2)
        np.testing.assert_allclose(grad[0], p - target - 0.25 / classes, 0, limit)
        loss, grad = both(z, np.array([2]), label_smoothing=0.25, class_mask=kept)
        close(loss, [np.log1p(np.exp(-2)) + 0.25], dtype)
        np.testing.assert_allclose(grad[0], p - target - 0.125 * kept, 0, limit)


@pytest.mark.parametrize("smoothing", [{}, {"label_smoothing": 0.1}])
def test_classes_that_a_mask_leaves_out_are_never_read(smoothing, dtype, rng):
    """They have probability 0 and gradient 0, whatever they hold."""
    for classes, form in SIZES_AND_FORMS:
        z, y = rng.standard_normal((5, classes)).astype(dtype), np.arange(5) % 2
        kept = np.arange(classes) % 3 < 2
        target, _ = form(z, y)
        want = both(z, target, class_mask=kept, **smoothing)
        assert not want[1][:, ~kept].any()
        for value in (NAN, INF, -INF, 1e30):
            z[:, ~kept] = value
            for g, w in zip(both(z, target, class_mask=kept, **smoothing), want, strict=True):
                assert g.tobytes() == w.tobytes()


def test_a_row_of_which_a_mask_leaves_no_class(dtype):
    for form in FORMS.values():
        z, y, mask = np.zeros((2, 3), dtype), np.array([1, 1]), np.ones((2, 3), bool)
        mask[1] = False
        close(both(z, form(z, y)[0], class_mask=mask)[0], [np.log(3), NAN], dtype)
        with pytest.raises(FloatingPointError, match="1 row; the first is row 1"):
            both(z, form(z, y)[0], class_mask=mask, nonfinite="raise")


# ---- rows that take no part -------------------------------------------------------------------

# Ways to leave row 1 out of rows with labels 0, 1, 2: options.
LEFT_OUT = {
    "ignored": {"ignore_index": 1},
    "one of several": {"ignore_index": [-100, 1]},
    "sample weight": {"sample_weight": [1, 0, 1]},
    "class weight": {"class_weight": "0 for class 1"},
}


@pytest.mark.parametrize("name", LEFT_OUT)
def test_rows_that_take_no_part_are_never_read(name, dtype, rng):
    for classes, form in SIZES_AND_FORMS:
        z, y = rng.standard_normal((3, classes)).astype(dtype), np.array([0, 1, 2])
        target, options = form(z, y)
        if target.ndim == 2 and "ignore_index" in LEFT_OUT[name]:
            continue
        options = options | LEFT_OUT[name]
        if "class_weight" in options:
            options["class_weight"] = np.where(np.arange(classes) == 1, 0, 1)
        for reduction in REDUCTIONS:
            more = {"reduction": reduction, "nonfinite": "raise", **options}
            z[1] = 0
            want = both(z, target, **more)
            rows = both(z[::2], target[::2], reduction=reduction)
            close(np.sum(want[0]), np.sum(rows[0]), dtype)
            assert not want[1][1].any()
            for row in (NAN, INF, -INF, [NAN, *[0] * (classes - 1)]):
                z[1] = row
                for g, w in zip(both(z, target, **more), want, strict=True):
                    assert np.asarray(g).tobytes() == np.asarray(w).tobytes()


def test_soft_targets_of_rows_of_weight_0_are_never_read(dtype, rng):
    z, t = rng.standard_normal((3, 4)).astype(dtype), rng.random((3, 4))
    want = both(z[::2], t[::2], class_weight=[1, 2, 3, 4], reduction="mean")
    z[1] = t[1] = NAN
    got = both(z, t, class_weight=[1, 2, 3, 4], sample_weight=[1, 0, 1], reduction="mean")
    close(got[0], want[0], dtype)
    assert not got[1][1].any()


# ---- reports of logits that are not finite ----------------------------------------------------


@pytest.mark.parametrize("name", FAULTS)
def test_nonfinite_names_the_first_row_and_class_and_counts(name, dtype):
    for classes, form in SIZES_AND_FORMS:
        shift = classes // 2
        special, label, loss, _ = make_row(name, classes, dtype, shift)
        column = 0
        if name != "all -inf":
            column = np.flatnonzero(np.isnan(special[0]) | (special[0] == INF))[0]
        z = np.zeros((2, 3, classes), dtype)
        z[0, 2] = z[1, 1] = special[0]
        y = np.full((2, 3), label[0])
        target, options = form(z, y)
        message = re.escape(
            f"logits have no loss in 2 rows; the first is row (0, 2), class {column}"
        )
        with pytest.raises(FloatingPointError, match=message):
            both(z, target, nonfinite="raise", **options)
        with pytest.raises(FloatingPointError, match=message):
            forward(z, target, nonfinite="raise", **options)
        with pytest.warns(RuntimeWarning, match=message):
            losses, _ = both(z, target, nonfinite="warn", **options)
        close(losses[0, 2], loss, dtype)
        close(losses[0, 0], np.log(classes), dtype)


@pytest.mark.parametrize("name", FAULTS)
def test_nonfinite_rows_as_zeros(name, dtype):
    """They take part, with loss 0 and gradient 0."""
    for classes, form in SIZES_AND_FORMS:
        z = np.zeros((4, classes), dtype)
        special, label, *_ = make_row(name, classes, dtype)
        z[1] = special[0]
        target, options = form(z, np.full(4, label[0]))
        for reduction, want in (("mean", 0.75), ("sum", 3), ("none", np.array([1, 0, 1, 1]))):
            loss, grad = both(z, target, nonfinite="zero", reduction=reduction, **options)
            close(loss, want * np.log(classes), dtype)
            assert not grad[1].any()
            assert np.isfinite(grad).all()
        rows = both(np.delete(z, 1, 0), np.delete(target, 1, 0), **options)
        assert np.delete(grad, 1, 0).tobytes() == rows[1].tobytes()


@pytest.mark.parametrize("policy", ["propagate", "zero", "raise", "warn"])
def test_finite_rows_are_no_fault(policy, dtype, rng):
    for classes, form in SIZES_AND_FORMS:
        z, y = rng.standard_normal((5, classes)).astype(dtype), rng.integers(0, classes - 1, 5)
        z[2, -1] = -INF
        target, options = form(z, y)
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            got = both(z, target, nonfinite=policy, **options)
        want = both(z, target, **options)
        for g, w in zip(got, want, strict=True):
            np.testing.assert_allclose(g, w, 4 * np.finfo(dtype).eps)


# ---- nothing takes part -----------------------------------------------------------------------

NOTHING = {
    "no rows": (0, {}),
    "all ignored": (2, {"ignore_index": 1}),
    "class weights 0": (2, {"class_weight": [1, 0, 1]}),
    "sample weights 0": (2, {"sample_weight": [0, 0]}),
}


@pytest.mark.parametrize("name", NOTHING)
@pytest.mark.parametrize("normalizer", [None, "weight", "valid"])
def test_the_mean_of_nothing(name, normalizer, dtype):
    rows, options = NOTHING[name]
    z, y = np.full((rows, 3), NAN, dtype), np.ones(rows, int)
    options = {"reduction": "mean", "normalizer": normalizer} | options
    for empty, want in ((None, NAN), ("nan", NAN), ("zero", 0)):
        knob = {} if empty is None else {"empty": empty}
        loss, grad = both(z, y, **options, **knob)
        assert isinstance(loss, float)
        np.testing.assert_equal(loss, want)
        assert grad.shape == z.shape
        assert not grad.any()
        np.testing.assert_equal(forward(z, y, **options, **knob), want)
    for call in (both, forward):
        with pytest.raises(ValueError, match="no row takes part in the mean"):
            call(z, y, empty="raise", **options)


@pytest.mark.parametrize("name", NOTHING)
def test_other_reductions_of_nothing(name, dtype):
    rows, options = NOTHING[name]
    z, y = np.full((rows, 3), NAN, dtype), np.ones(rows, int)
    assert both(z, y, reduction="sum", empty="raise", **options)[0] == 0
    loss = both(z, y, reduction="none", empty="raise", **options)[0]
    assert loss.shape == y.shape
    assert not loss.any()
    if rows:
        assert both(z, y, reduction="mean", normalizer="batch", empty="raise", **options)[0] == 0
    assert both(z, y, reduction="mean", normalizer=3, empty="raise", **options)[0] == 0


# ---- weights ----------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [-1, NAN])
def test_weights_are_not_negative(value, dtype):
    for form in FORMS.values():
        z = np.zeros((2, 3), dtype)
        target, options = form(z, np.array([0, 1]))
        with pytest.raises(
            ValueError, match=r"sample_weight of row 1 is negative, infinite or NaN; expected"
        ):
            both(z, target, sample_weight=[1, value], **options)
        for name in ("class_weight", "focal_alpha"):
            with pytest.raises(
                ValueError, match=rf"{name}\[2\] is .*; expected finite numbers, at"
            ):
                both(z, target, **options | {name: [1, 0, value]})


@pytest.mark.parametrize("options", [{}, {"z_loss": 0.5}, {"normalizer": "valid"}])
@pytest.mark.parametrize("weights", [[1, 2, 4], [0.5, 0, 3]])
def test_indices_and_one_hot_have_one_mean(weights, options, dtype, rng):
    z, y = rng.standard_normal((5, 3)).astype(dtype), np.array([0, 1, 2, 2, 1])
    options = {"class_weight": weights, "reduction": "mean"} | options
    index, soft = both(z, y, **options), both(z, one_hot(z, y), **options)
    close(soft[0], index[0], dtype)
    np.testing.assert_allclose(soft[1], index[1], 0, 4 * np.finfo(dtype).eps)
    if "z_loss" not in options and "normalizer" not in options:
        rows = forward(z, y) * np.take(weights, y)
        close(index[0], rows.sum() / np.take(weights, y).sum(), dtype)


@pytest.mark.parametrize("smoothing", [{}, {"label_smoothing": 0.1}])
def test_indices_and_one_hot_agree_on_a_target_that_a_mask_leaves_out(smoothing, dtype):
    z, y, kept = np.zeros((1, 3), dtype), np.array([1]), np.array([True, False, True])
    index = both(z, y, class_mask=kept, **smoothing)
    soft = both(z, one_hot(z, y), class_mask=kept, **smoothing)
    close(index[0], soft[0], dtype)
    close(index[1], soft[1], dtype)


# ---- soft targets -----------------------------------------------------------------------------


def test_soft_targets_of_any_sum(dtype, rng):
    for classes in CLASSES:
        z, t = rng.standard_normal((4, classes)).astype(dtype), rng.random((4, classes))
        t *= 2 / t.sum(1, keepdims=True)
        loss, grad = both(z, t)
        log_p = everywhere.log_softmax(z.astype(np.float64))
        close(loss, -(t * log_p).sum(1), dtype)
        np.testing.assert_allclose(grad, 2 * np.exp(log_p) - t, 0, 8 * np.finfo(dtype).eps)


def test_soft_targets_of_zeros(dtype, rng):
    for classes in CLASSES:
        z = rng.standard_normal((3, classes)).astype(dtype)
        z[1, 0] = -INF
        loss, grad = both(z, np.zeros_like(z))
        assert loss.tobytes() == np.zeros(3, dtype).tobytes()
        assert not grad.any()


def test_soft_targets_are_not_checked(dtype):
    z = np.zeros((2, 3), dtype)
    loss, grad = both(z, np.array([[1.5, -0.5, 0], [NAN, 0.5, 0.5]]))
    close(loss, [np.log(3), NAN], dtype)
    close(grad[0], [1 / 3 - 1.5, 1 / 3 + 0.5, 1 / 3], dtype)


def test_soft_targets_with_ignore_index(dtype):
    z = np.zeros((2, 3), dtype)
    for label in (1, -100, [0, 1]):
        with pytest.raises(ValueError, match="ignore_index is set but target is probabilities"):
            both(z, one_hot(z, [0, 1]), ignore_index=label)


def test_one_hot_targets_of_integers(dtype):
    z = np.array([[0, 1, 3], [2, -1, 0]], dtype)
    rows = one_hot(z, [0, 1])
    for got, want in zip(both(z, rows.astype(int)), both(z, rows), strict=True):
        np.testing.assert_array_equal(got, want)


# ---- smoothing --------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [-0.1, 1.5, NAN, INF])
def test_label_smoothing_is_a_share(value, dtype):
    with pytest.raises(ValueError, match=f"label_smoothing is {value}; expected 0 <= label_smoo"):
        both(np.zeros((2, 3), dtype), [0, 1], label_smoothing=value)


def test_smoothing_under_class_weights(dtype, rng):
    """Every class its own weight, or all that of the target; the mean divides by the targets'."""
    for classes, form in SIZES_AND_FORMS:
        z, y = rng.standard_normal((4, classes)).astype(dtype), np.array([0, 1, 2, 2])
        w, e = rng.uniform(0.5, 2, classes), 0.1
        target, options = form(z, y)
        options |= {"class_weight": w, "label_smoothing": e}
        ce = -everywhere.log_softmax(z.astype(np.float64))
        own = (1 - e) * w[y] * ce[np.arange(4), y]
        rows = {"class": own + e * (w * ce).mean(1), "target": own + e * w[y] * ce.mean(1)}
        for kind, want in rows.items():
            close(both(z, target, smoothing_weight=kind, **options)[0], want, dtype)
            mean = both(z, target, smoothing_weight=kind, reduction="mean", **options)[0]
            close(mean, want.sum() / w[y].sum(), dtype)


@pytest.mark.parametrize("smoothing", ["uniform", "off_target"])
def test_smoothing_spreads_over_the_class_axis(smoothing, dtype, rng):
    """Not over the last one."""
    for form in FORMS.values():
        z, y = rng.standard_normal((2, 3, 5)).astype(dtype), rng.integers(0, 3, (2, 5))
        target, _ = form(np.moveaxis(z, 1, -1), y)
        axes = {"label_smoothing": 0.1, "smoothing": smoothing}
        want = both(np.moveaxis(z, 1, -1), target, **axes)
        if target.ndim == 3:
            target = np.moveaxis(target, -1, 1)
        got = both(z, target, axis=1, **axes)
        assert got[0].tobytes() == want[0].tobytes()
        assert np.array_equal(np.moveaxis(got[1], 1, -1), want[1])


# ---- shapes -----------------------------------------------------------------------------------


def test_shapes_are_not_guessed(dtype):
    z = np.zeros((2, 3), dtype)
    for target in ([[0], [1]], [0], [0, 1, 2], 0):
        with pytest.raises(ValueError, match="target has shape"):
            both(z, target)
    with pytest.raises(TypeError, match=r"target has dtype .* and shape"):
        both(z, np.zeros((2, 1), dtype))


# ---- binary losses from logits ----------------------------------------------------------------

# logit, target, loss, gradient
BINARY = {
    "NaN": (NAN, 1, NAN, NAN),
    "+inf, right": (INF, 1, 0, 0),
    "-inf, right": (-INF, 0, 0, 0),
    "+inf, wrong": (INF, 0, INF, 1),
    "-inf, wrong": (-INF, 1, INF, -1),
    "+inf, half": (INF, 0.5, INF, 0.5),
    "sure": (-30, 0, np.log1p(np.exp(-30)), 1 / (1 + np.exp(30))),
    "sure, the other way": (30, 1, np.log1p(np.exp(-30)), -1 / (1 + np.exp(30))),
    "wrong": (-1000, 1, 1000, -1),
    "target beyond 1": (0.5, 2, np.log1p(np.exp(0.5)) - 1, 1 / (1 + np.exp(-0.5)) - 2),
    "target of NaN": (0.5, NAN, NAN, NAN),
}


@pytest.mark.parametrize("name", BINARY)
@pytest.mark.parametrize("length", [1, 70, 5000])
def test_a_binary_element(name, length, dtype):
    x, t, loss, grad = BINARY[name]
    kinds = [dtype] if t not in (0, 1) else [dtype, np.int8, np.uint64, bool]
    for at in {0, length // 2, length - 1}:
        logits, want, slope = np.full(length, 3, dtype), np.zeros(length), np.zeros(length)
        logits[at] = x
        rest = np.arange(length) != at
        want[rest], slope[rest] = np.log1p(np.exp(3)), 1 / (1 + np.exp(-3))
        want[at], slope[at] = loss, grad
        for kind in kinds:
            target = np.where(rest, 0, t).astype(kind)
            both = everywhere.sigmoid_cross_entropy_value_and_grad
            got = both(logits, target, reduction="none")
            close(got[0], want, dtype)
            close(got[1], slope, dtype)


# Ways to leave element 1 out: targets, options.
LEFT_OUT_BINARY = {
    "ignored": ([0, -1, 1], {"ignore_index": -1}),
    "one of several": ([0, 7, 1], {"ignore_index": [-1, 7]}),
    "sample weight": ([0, 1, 1], {"sample_weight": [1, 0, 1]}),
    "missing": ([0, NAN, 1], {"nan_target": "missing"}),
}


@pytest.mark.parametrize("name", LEFT_OUT_BINARY)
def test_binary_elements_that_take_no_part_are_never_read(name, dtype):
    target, options = LEFT_OUT_BINARY[name]
    target, value_and_grad = np.array(target), everywhere.sigmoid_cross_entropy_value_and_grad
    for reduction in REDUCTIONS:
        more = {"reduction": reduction, "nonfinite": "raise", "validate": True, **options}
        want = value_and_grad(np.array([1, 0, 2], dtype), target, **more)
        rows = value_and_grad(np.array([1, 2], dtype), target[::2], reduction=reduction)
        close(np.sum(want[0]), np.sum(rows[0]), dtype)
        assert want[1][1] == 0
        for value in (NAN, INF, -INF):
            got = value_and_grad(np.array([1, value, 2], dtype), target, **more)
            for g, w in zip(got, want, strict=True):
                assert np.asarray(g).tobytes() == np.asarray(w).tobytes()


@pytest.mark.parametrize("value", [NAN, INF, -INF])
def test_nonfinite_names_the_first_binary_element_and_counts(value, dtype):
    value_and_grad = everywhere.sigmoid_cross_entropy_value_and_grad
    x, t = np.ones((2, 3), dtype), np.zeros((2, 3))
    x[0, 2] = x[1, 0] = value
    message = re.escape(f"2 logits are not finite; the first is logits[0, 2], {value}")
    with pytest.raises(FloatingPointError, match=message):
        value_and_grad(x, t, nonfinite="raise")
    with pytest.warns(RuntimeWarning, match=message):
        value_and_grad(x, t, nonfinite="warn")
    loss, grad = value_and_grad(x, t, nonfinite="zero", reduction="none")
    good = x == 1
    close(loss, good * np.log1p(np.exp(1)), dtype)
    close(grad, good / (1 + np.exp(-1)), dtype)


def test_binary_targets_are_checked_on_request(dtype):
    x = np.zeros((2, 2), dtype)
    for value in (2.0, -0.5, NAN):
        with pytest.raises(ValueError, match=rf"target\[1, 0\] is {value}; expected 0 <= target"):
            everywhere.sigmoid_cross_entropy(x, np.array([[0, 1], [value, 0.5]]), validate=True)


def test_the_binary_mean_of_nothing(dtype):
    x = np.zeros((0, 3), dtype)
    for empty, want in (("nan", NAN), ("zero", 0)):
        np.testing.assert_equal(everywhere.sigmoid_cross_entropy(x, x, empty=empty), want)
    with pytest.raises(ValueError, match="takes part in the mean"):
        everywhere.sigmoid_cross_entropy(x, x, empty="raise")
    one, options = np.full(1, NAN, dtype), {"sample_weight": 0, "empty": "zero"}
    assert everywhere.sigmoid_cross_entropy(one, one, **options) == 0
    assert everywhere.sigmoid_cross_entropy(x, x, reduction="sum") == 0
    assert everywhere.sigmoid_cross_entropy(x, x, reduction="none").shape == x.shape


def test_binary_shapes_are_not_guessed(dtype):
    with pytest.raises(ValueError, match=r"target has shape \(2, 1\); expected that of logits"):
        everywhere.sigmoid_cross_entropy(np.zeros(2, dtype), np.zeros((2, 1), dtype))
