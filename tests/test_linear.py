"""linear_cross_entropy against the loss of logits that exist."""

import tracemalloc

import numpy as np
import pytest

import crossent

ROWS, FEATURES, CLASSES = 41, 13, 70

OPTIONS = {
    "plain": {},
    "sum": {"reduction": "sum"},
    "none": {"reduction": "none"},
    "smoothing": {"label_smoothing": 0.1},
    "ignored": {"ignore_index": [-100, 3]},
    "valid": {"ignore_index": [-100, 3], "normalizer": "valid"},
    "batch": {"ignore_index": [-100, 3], "normalizer": "batch"},
    "class_weight": {"class_weight": np.linspace(0, 2, CLASSES)},
    "z_loss": {"z_loss": 0.01, "softcap": 3.0},
    "focal": {"focal_gamma": 2.0},
}


def case(rng, dtype=np.float64):
    x = rng.standard_normal((ROWS, FEATURES)).astype(dtype)
    weight = rng.standard_normal((CLASSES, FEATURES)).astype(dtype)
    return x, weight, rng.integers(0, CLASSES, ROWS), rng.standard_normal(CLASSES).astype(dtype)


def by_hand(x, weight, target, bias, options, call):
    loss = crossent.SoftmaxCrossEntropy(**options)
    value, grad = loss.value_and_grad(x @ weight.T + bias, target, **call)
    return value, (grad @ weight, grad.T @ x, grad.sum(axis=0))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("chunk", [None, 1, 10, ROWS])
@pytest.mark.parametrize("name", OPTIONS)
def test_chunks_do_not_change_the_loss(name, chunk, weighted, rng):
    x, weight, target, bias = case(rng)
    options = OPTIONS[name]
    if "ignore_index" in options:
        target[::5] = -100
    call = {"sample_weight": rng.integers(0, 3, ROWS).astype(float)} if weighted else {}
    expected, gradients = by_hand(x, weight, target, bias, options, call)
    value, got = crossent.linear_cross_entropy_value_and_grad(
        x, weight, target, bias=bias, chunk=chunk, **call, **options
    )
    np.testing.assert_allclose(value, expected, rtol=1e-12)
    for g, e in zip(got, gradients, strict=True):
        np.testing.assert_allclose(g, e, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(
        crossent.linear_cross_entropy(x, weight, target, bias=bias, chunk=chunk, **call, **options),
        expected, rtol=1e-12,
    )  # fmt: skip


def test_both_layouts_of_the_weights(dtype, rng):
    x, weight, target, _ = case(rng, dtype)
    columns = np.asfortranarray(weight)
    loss, (dx, dw, db) = crossent.linear_cross_entropy_value_and_grad(x, weight, target, chunk=7)
    again, (dx2, dw2, _) = crossent.linear_cross_entropy_value_and_grad(x, columns, target, chunk=7)
    assert db is None
    assert dw.flags.c_contiguous
    assert dw2.flags.f_contiguous
    tolerance = 1e-4 if dtype == np.float32 else 1e-12
    assert again == pytest.approx(loss, rel=tolerance)
    np.testing.assert_allclose(dx2, dx, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(dw2, dw, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("by_columns", [False, True])
def test_gradients_have_the_same_bits_for_any_chunk_threads_and_instruction_set(
    by_columns, dtype, rng
):
    x = rng.standard_normal((150, 40)).astype(dtype)
    weight = rng.standard_normal((600, 40)).astype(dtype)  # more than two blocks of classes
    weight = np.asfortranarray(weight) if by_columns else weight
    bias = rng.standard_normal(600).astype(dtype)
    target, before, results = rng.integers(0, 600, 150), crossent.isa(), []
    for isa in set(crossent.available_isas()) & {"avx512", "avx2", "neon"}:
        crossent._core._use_isa(isa)
        for chunk, threads in ((None, 1), (None, 2), (None, 5), (17, 3), (1, 1)):
            results.append(crossent.linear_cross_entropy_value_and_grad(
                x, weight, target, bias=bias, chunk=chunk, threads=threads
            ))  # fmt: skip
    crossent._core._use_isa(before)
    for loss, (dx, dw, db) in results:
        assert loss == pytest.approx(results[0][0], rel=1e-14)  # chunks are summed in another order
        np.testing.assert_array_equal(dx, results[0][1][0])
        np.testing.assert_array_equal(dw, results[0][1][1])
        np.testing.assert_array_equal(db, results[0][1][2])


def test_without_fused_multiply_add_the_products_are_scipys(rng):
    pytest.importorskip("scipy")
    x, weight, target, bias = case(rng)
    before, results = crossent.isa(), {}
    for isa in ("scalar", before):
        crossent._core._use_isa(isa)
        layer = crossent._core._Linear(weight, bias, 1)
        results[isa] = crossent.linear_cross_entropy_value_and_grad(x, weight, target, bias=bias)
        assert layer.uses_blas == (isa in ("scalar", "sse2"))
    crossent._core._use_isa(before)
    (loss, gradients), (expected, others) = results["scalar"], results[before]
    assert loss == pytest.approx(expected, rel=1e-13)
    for g, e in zip(gradients, others, strict=True):
        np.testing.assert_allclose(g, e, rtol=1e-11, atol=1e-14)


def test_soft_targets(rng):
    x, weight, _, bias = case(rng)
    target = rng.dirichlet(np.ones(CLASSES), ROWS)
    expected, gradients = by_hand(x, weight, target, bias, {}, {})
    value, got = crossent.linear_cross_entropy_value_and_grad(x, weight, target, bias=bias, chunk=9)
    assert value == pytest.approx(expected, rel=1e-12)
    for g, e in zip(got, gradients, strict=True):
        np.testing.assert_allclose(g, e, rtol=1e-10, atol=1e-13)


def test_rows_without_part_are_never_read(rng):
    x, weight, target, _ = case(rng)
    target[3], x[3] = -1, np.nan
    loss, (dx, dw, _) = crossent.linear_cross_entropy_value_and_grad(
        x, weight, target, ignore_index=-1
    )
    assert np.isfinite(loss)
    assert np.isfinite(dw).all()
    np.testing.assert_array_equal(dx[3], 0)


def test_no_rows_take_part(rng):
    x, weight, target, _ = case(rng)
    target[:] = -1
    loss, (dx, dw, _) = crossent.linear_cross_entropy_value_and_grad(
        x, weight, target, ignore_index=-1
    )
    assert np.isnan(loss)
    assert not dx.any()
    assert not dw.any()


def test_the_chunk_bounds_the_memory(rng):
    x = rng.standard_normal((512, 16)).astype(np.float32)
    weight = rng.standard_normal((20000, 16)).astype(np.float32)
    target = rng.integers(0, 20000, 512)
    crossent.linear_cross_entropy(x[:1], weight, target[:1])  # imports
    tracemalloc.start()
    crossent.linear_cross_entropy_value_and_grad(x, weight, target, chunk=32)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    logits, gradients = 32 * 20000 * 4, x.nbytes + weight.nbytes
    assert peak < 1.2 * (logits + gradients)


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"weight": np.ones((CLASSES, 3))}, ValueError, r"weight has shape \(70, 3\); expected"),
        ({"weight": np.ones((CLASSES, FEATURES), "f4")}, TypeError, "weight has dtype float32"),
        ({"weight": np.ones((2 * CLASSES, FEATURES))[::2]}, ValueError, "weight is not contiguous"),
        ({"bias": np.ones(3)}, ValueError, r"bias has shape \(3,\)"),
        ({"target": np.full(ROWS, CLASSES)}, IndexError, r"target\[0\] is 70; expected 0 <="),
        ({"target": np.zeros(3, int)}, ValueError, r"target has shape \(3,\)"),
        ({"chunk": 0}, ValueError, "chunk is 0"),
        ({"axis": 0}, TypeError, "'axis' is not an option"),
        ({"smooth": 0.1}, TypeError, "'smooth' is not an option"),
    ],
)
def test_arguments(change, error, message, rng):
    x, weight, target, bias = case(rng)
    arguments = {"x": x, "weight": weight, "target": target, "bias": bias, **change}
    with pytest.raises(error, match=message):
        crossent.linear_cross_entropy(**arguments)


@pytest.mark.parametrize("nonfinite", ["raise", "warn"])
def test_rows_without_a_loss_are_named_by_their_place_in_x(nonfinite):
    x, weight = np.ones((10, 3)), np.ones((5, 3))
    x[7, 0] = np.inf
    check = (
        pytest.raises(FloatingPointError, match="the first is row 7")
        if nonfinite == "raise"
        else pytest.warns(RuntimeWarning, match="the first is row 7")
    )
    for f in (crossent.linear_cross_entropy, crossent.linear_cross_entropy_value_and_grad):
        with check:
            f(x, weight, np.arange(10) % 5, nonfinite=nonfinite, chunk=3,
              sample_weight=np.arange(10) % 4)  # fmt: skip


@pytest.mark.parametrize("chunk", [np.nan, np.inf, [1], 0, "3", 1.5])
def test_a_chunk_is_a_whole_number(chunk):
    with pytest.raises(
        (TypeError, ValueError), match=r"chunk is .*; expected (a whole|at least 1)"
    ):
        crossent.linear_cross_entropy(
            np.ones((2, 3)), np.ones((5, 3)), np.zeros(2, int), chunk=chunk
        )


def test_a_softcap_makes_an_infinite_logit_finite():
    x, weight = np.ones((4, 3)), np.ones((5, 3))
    x[2] = np.inf
    options = {"softcap": 5.0, "nonfinite": "raise"}
    whole = crossent.softmax_cross_entropy(x @ weight.T, np.arange(4), **options)
    found = crossent.linear_cross_entropy(x, weight, np.arange(4), chunk=3, **options)
    assert found == pytest.approx(whole, rel=1e-14)
