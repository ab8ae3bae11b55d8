"""The same bits everywhere: instruction sets, threads, batches, addresses, strides, outputs."""

import numpy as np
import pytest

import crossent

SIZES = [(70, 1), (70, 3), (40, 10), (35, 64), (33, 65), (20, 100), (6, 1000), (3, 4097), (2, 9000)]


def batch(rng, shape, dtype):
    """Rows of all kinds, some with a logit of -inf at the end, which is never the target."""
    rows = (*shape[:-1], 1)
    z = rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 4, rows)
    z += rng.choice([0, 0, 0, 100, -1e4, 1e7, 1e13, 1e30], rows)
    if shape[-1] > 1:
        z[::3, ..., -1] = -np.inf
    return z.astype(dtype), rng.integers(0, max(shape[-1] - 1, 1), shape[:-1])


def softmax_answers(z, y, axis=-1):
    """All that can be asked of a batch; the class axis last."""
    options = {"axis": axis, "reduction": "none"}
    loss, grad = crossent.softmax_cross_entropy_value_and_grad(z, y, **options)
    full = {
        "gradient": grad,
        "softmax": crossent.softmax(z, axis=axis),
        "log_softmax": crossent.log_softmax(z, axis=axis),
    }
    return {
        "loss": loss,
        "forward": crossent.softmax_cross_entropy(z, y, **options),
        "logsumexp": crossent.logsumexp(z, axis=axis),
        "sum": np.float64(crossent.softmax_cross_entropy(z, y, axis=axis, reduction="sum")),
        **{name: np.moveaxis(array, axis, -1) for name, array in full.items()},
    }


def sigmoid_answers(x, t):
    loss, grad = crossent.sigmoid_cross_entropy_value_and_grad(x, t, reduction="none")
    return {
        "loss": loss,
        "gradient": grad,
        "forward": crossent.sigmoid_cross_entropy(x, t, reduction="none"),
        "sum": np.float64(crossent.sigmoid_cross_entropy(x, t, reduction="sum")),
        "sigmoid": crossent.sigmoid(x),
        "log_sigmoid": crossent.log_sigmoid(x),
        "softplus": crossent.softplus(x),
    }


def binary_batch(rng, shape, dtype):
    z, _ = batch(rng, shape, dtype)
    return z, rng.random(shape).astype(dtype)


def batches(rng, dtype, make=batch):
    return [make(rng, size, dtype) for size in SIZES]


FUNCTIONS = {"softmax": (batch, softmax_answers), "sigmoid": (binary_batch, sigmoid_answers)}


@pytest.fixture(params=FUNCTIONS)
def function(request):
    return FUNCTIONS[request.param]


def assert_same_bits(got, want, what=""):
    assert got.keys() == want.keys()
    for name in want:
        assert_same_array(got[name], want[name], f"{name} {what}")


def assert_same_array(got, want, what=""):
    assert got.dtype == want.dtype
    assert got.shape == want.shape
    assert got.tobytes() == want.tobytes(), f"{what} of shape {want.shape}"


def test_instruction_sets(function, dtype, isa, rng):
    make, answers = function
    for z, y in batches(rng, dtype, make):
        got = answers(z, y)
        crossent._core._use_isa("scalar")
        want = answers(z, y)
        crossent._core._use_isa(isa)
        assert_same_bits(got, want)


# ---- threads and batches ----------------------------------------------------------------------


@pytest.mark.parametrize("size", [(5000, 10), (700, 100), (40, 5000), (3, 50_257)])
def test_threads(function, size, dtype, rng, num_threads):
    """Sums over the batch, too: they are added in an order that the threads do not change."""
    make, answers = function
    z, y = make(rng, size, dtype)
    num_threads(1)
    want = answers(z, y)
    for n in (2, 3, 7):
        num_threads(n)
        assert_same_bits(answers(z, y), want, f"with {n} threads")


def test_threads_of_one_call(dtype, rng):
    z, y = batch(rng, (5000, 10), dtype)
    bits = {
        np.float64(crossent.softmax_cross_entropy(z, y, threads=n)).tobytes() for n in (1, 2, 3, 7)
    }
    assert len(bits) == 1


def joined(parts):
    return {name: np.concatenate([p[name] for p in parts]) for name in parts[0] if name != "sum"}


def test_any_split_of_the_batch(function, dtype, isa, rng):
    make, answers = function
    for z, y in batches(rng, dtype, make):
        want = joined([answers(z, y)])
        for n in (1, 5, 16, 31, 33):
            parts = [answers(z[i : i + n], y[i : i + n]) for i in range(0, len(z), n)]
            assert_same_bits(joined(parts), want, f"in batches of {n}")


# ---- addresses and strides --------------------------------------------------------------------


def moved(array, offset):
    """A copy that begins `offset` elements after the beginning of a cache line."""
    buffer = np.empty(array.size + 64, array.dtype)
    first = -buffer.ctypes.data // array.itemsize % (64 // array.itemsize)
    view = buffer[first + offset :][: array.size].reshape(array.shape)
    view[...] = array
    return view


@pytest.mark.parametrize("offset", [0, 1, 2, 3, 5, 8, 11, 15])
def test_any_alignment(offset, function, dtype, isa, rng):
    make, answers = function
    for z, y in batches(rng, dtype, make):
        want, out = answers(z, y), moved(z, 7 * offset % 16)
        z = moved(z, offset)
        assert_same_bits(answers(z, y), want)
        assert_same_array(crossent.softmax(z, out=out), crossent.softmax(z))


def strided(*steps):
    """A layout whose axes have these steps in a larger array."""

    def layout(array):
        large = np.zeros([n * abs(s) for n, s in zip(array.shape, steps, strict=True)], array.dtype)
        view = large[tuple(slice(None, None, s) for s in steps)]
        view[...] = array
        return view

    return layout


def part_of_wider_rows(array):
    wide = np.zeros((len(array), array.shape[1] + 11), array.dtype)
    wide[:, 5:-6] = array
    return wide[:, 5:-6]


def readonly(array):
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def unaligned(array):
    data = np.frombuffer(b"?" + array.tobytes(), np.uint8)[1:]
    return data.view(array.dtype).reshape(array.shape)


def memory_mapped(array, directory):
    array.tofile(directory / "array")
    return np.memmap(directory / "array", array.dtype, "r", shape=array.shape)


WRITEABLE = {
    "C": np.copy,
    "F": lambda array: array.copy(order="F"),
    "every second row": strided(2, 1),
    "every third class": strided(1, 3),
    "rows backwards": strided(-1, 1),
    "classes backwards": strided(1, -1),
    "both backwards in steps": strided(-2, -2),
    "part of wider rows": part_of_wider_rows,
}
LAYOUTS = {
    **WRITEABLE,
    "read-only": readonly,
    "unaligned": unaligned,
    "byte-swapped": lambda array: array.astype(array.dtype.newbyteorder(">")),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout(layout, function, dtype, isa, rng):
    make, answers = function
    for z, y in batches(rng, dtype, make):
        assert_same_bits(answers(LAYOUTS[layout](z), y), answers(z, y))


@pytest.mark.parametrize("shape", [(16, 1000), (33, 4096), (17, 4097), (18, 9001), (17, 131_100)])
def test_rows_enough_to_fill_the_lanes_with_their_classes_apart(shape, dtype, isa, rng):
    z, y = batch(rng, shape, dtype)
    z[3] = -np.inf
    for row, special in zip((0, 4, 8, 12), (0, np.inf, -np.inf, np.nan), strict=True):
        z[row, y[row]] = z[row + 1, 4] = special
        z[row + 2, [3, -2]] = special
    for layout in ("F", "every third class"):
        apart = LAYOUTS[layout](z)
        loss, grad = crossent.softmax_cross_entropy_value_and_grad(z, y, reduction="none")
        got = crossent.softmax_cross_entropy_value_and_grad(apart, y, reduction="none", out=apart)
        assert_same_array(got[0], loss, layout)
        assert_same_array(got[1], grad, layout)
        loss = crossent.softmax_cross_entropy(LAYOUTS[layout](z), y, reduction="none")
        assert_same_array(loss, got[0], layout)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_any_layout_of_binary_targets(layout, dtype, isa, rng):
    x, t = binary_batch(rng, (7, 1000), dtype)
    assert_same_bits(sigmoid_answers(x, LAYOUTS[layout](t)), sigmoid_answers(x, t))


@pytest.mark.parametrize("step", [1, 2, -1, -3])
def test_any_stride_of_labels(step, dtype, rng):
    z, y = batch(rng, (70, 10), dtype)
    for kind in (np.int8, np.intp, ">i4"):
        labels = strided(step)(y.astype(kind))
        assert_same_bits(softmax_answers(z, labels), softmax_answers(z, y))


def test_memory_mapped_files(function, dtype, tmp_path, rng):
    make, answers = function
    for z, y in batches(rng, dtype, make):
        assert_same_bits(answers(memory_mapped(z, tmp_path), y), answers(z, y))


def test_one_row_repeated_by_stride_0(dtype, isa, rng):
    for z, y in batches(rng, dtype):
        z, y = np.broadcast_to(z[0], z.shape), np.broadcast_to(y[0], y.shape)
        assert_same_bits(softmax_answers(z, y), softmax_answers(z.copy(), y.copy()))


@pytest.mark.parametrize("shape", [(4, 5, 3), (3, 2, 100), (2, 5, 3, 7), (2, 2, 2, 5000)])
def test_any_axis(shape, dtype, isa, rng):
    """As a view of the batch, and as an array of its own in C and F order."""
    z, y = batch(rng, shape, dtype)
    want = softmax_answers(z, y)
    for axis in (*range(len(shape)), -len(shape)):
        view = np.moveaxis(z, -1, axis)
        for array in (view, np.ascontiguousarray(view), np.asfortranarray(view)):
            assert_same_bits(softmax_answers(array, y, axis), want, f"along axis {axis}")


def test_rows_in_any_order_of_axes(dtype, isa, rng):
    """Strides of the row axes that do not merge into one."""
    z, y = batch(rng, (4, 5, 6, 3), dtype)
    want = softmax_answers(z, y)
    swapped = z.transpose(2, 0, 1, 3).copy().transpose(1, 2, 0, 3)
    assert_same_bits(softmax_answers(swapped, y), want)
    assert_same_bits(softmax_answers(swapped, np.asfortranarray(y)), want)


# ---- out= -------------------------------------------------------------------------------------


def pattern(z):
    """Binary targets that need no logits."""
    return np.arange(z.size).reshape(z.shape) % 2


OUT = {
    "gradient": lambda z, y, out: crossent.softmax_cross_entropy_value_and_grad(z, y, out=out)[1],
    "softmax": lambda z, y, out: crossent.softmax(z, out=out),
    "log_softmax": lambda z, y, out: crossent.log_softmax(z, out=out),
    "sigmoid gradient": lambda z, y, out: crossent.sigmoid_cross_entropy_value_and_grad(
        z, pattern(z), out=out
    )[1],
    "sigmoid": lambda z, y, out: crossent.sigmoid(z, out=out),
    "log_sigmoid": lambda z, y, out: crossent.log_sigmoid(z, out=out),
    "softplus": lambda z, y, out: crossent.softplus(z, out=out),
}


def out_cases(rng, dtype):
    for z, y in batches(rng, dtype):
        for name, function in OUT.items():
            yield name, function, z, y, function(z, y, None)


@pytest.mark.parametrize("layout", WRITEABLE)
def test_any_out(layout, dtype, isa, rng):
    for name, function, z, y, want in out_cases(rng, dtype):
        for logits_layout in ("C", "F", "every third class"):
            out = WRITEABLE[layout](np.full_like(z, 99))
            assert function(WRITEABLE[logits_layout](z), y, out) is out
            assert_same_array(out, want, f"{name} of {logits_layout} logits")


@pytest.mark.parametrize("layout", WRITEABLE)
def test_out_may_be_the_logits(layout, dtype, isa, rng):
    for name, function, z, y, want in out_cases(rng, dtype):
        logits = WRITEABLE[layout](z)
        assert function(logits, y, logits) is logits
        assert_same_array(logits, want, name)


@pytest.mark.parametrize("layout", WRITEABLE)
def test_gradients_are_added_to_any_out(layout, dtype, isa, rng):
    for z, y in batches(rng, dtype):
        want = OUT["gradient"](z, y, None)
        for logits_layout in ("C", "F"):
            out = WRITEABLE[layout](rng.standard_normal(z.shape).astype(dtype))
            want_out = out + want
            crossent.SoftmaxCrossEntropy().value_and_grad(
                WRITEABLE[logits_layout](z), y, out=out, accumulate=True
            )
            assert_same_array(out, want_out, f"{logits_layout} logits")


def test_out_may_be_another_view_of_the_logits(dtype, rng):
    for z, y in batches(rng, dtype):
        want = OUT["gradient"](z, y, None)
        OUT["gradient"](z, y, z[:])
        assert_same_array(z, want)


@pytest.mark.parametrize("layout", WRITEABLE)
def test_what_lies_between_the_elements_of_out_is_left_alone(layout, dtype, isa, rng):
    for name, function, z, y, _ in out_cases(rng, dtype):
        out = WRITEABLE[layout](np.zeros_like(z))
        function(z, y, out)
        out[...] = 0
        assert not (out if out.base is None else out.base).any(), name


def test_a_new_gradient_has_the_order_of_the_logits(function, dtype, rng):
    make, answers = function
    z, y = make(rng, (40, 30), dtype)
    assert answers(z, y)["gradient"].flags.c_contiguous
    assert answers(np.asfortranarray(z), y)["gradient"].flags.f_contiguous
