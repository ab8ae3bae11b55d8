"""What may be passed and what comes back; threads, processes and the environment."""

import os
import pathlib
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import crossent

INTEGERS = ["i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8", "intc", "long", "longlong", "ulonglong"]
LOSSES = {
    "softmax": (
        crossent.SoftmaxCrossEntropy,
        crossent.softmax_cross_entropy,
        crossent.softmax_cross_entropy_value_and_grad,
    ),
    "sigmoid": (
        crossent.SigmoidCrossEntropy,
        crossent.sigmoid_cross_entropy,
        crossent.sigmoid_cross_entropy_value_and_grad,
    ),
}


@pytest.fixture(params=LOSSES)
def loss(request):
    return LOSSES[request.param]


@pytest.fixture
def batch(request, rng, dtype):
    """Logits, and targets that suit the loss of the test."""
    z = rng.standard_normal((6, 5)).astype(dtype)
    if request.getfixturevalue("loss") is LOSSES["softmax"]:
        return z, rng.integers(0, 5, 6)
    return z, rng.integers(0, 2, (6, 5))


def assert_same(got, want):
    for g, w in zip(got, want, strict=True):
        np.testing.assert_array_equal(g, w, strict=True)


# ---- arguments --------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["?", *INTEGERS])
def test_every_integer_type_of_target(kind, order, loss, dtype):
    _, forward, both = loss
    z = np.array([[0.5, -1, 3], [2, 0, 1]], dtype)
    target = np.array([1, 0] if both is LOSSES["softmax"][2] else [[1, 0, 1], [0, 0, 1]])
    want = both(z, target, reduction="none")
    given = target.astype(np.dtype(kind).newbyteorder(order))
    assert_same(both(z, given, reduction="none"), want)
    assert_same(both(z, given.tolist(), reduction="none"), want)
    assert forward(z, given) == forward(z, target)


@pytest.mark.parametrize("kind", ["f4", "f8", ">f4", ">f8"])
def test_every_floating_point_type_of_binary_target(kind, dtype):
    x, t = np.linspace(-3, 3, 5000).astype(dtype), np.linspace(0, 1, 5000).astype("f4")
    want = crossent.sigmoid_cross_entropy_value_and_grad(x, t.astype(dtype), reduction="none")
    got = crossent.sigmoid_cross_entropy_value_and_grad(x, t.astype(kind), reduction="none")
    assert_same(got, want)


def test_lists_are_arrays_of_float64():
    loss, grad = crossent.softmax_cross_entropy_value_and_grad([[0.5, 1.5]], [1])
    assert grad.dtype == np.float64
    assert loss == crossent.softmax_cross_entropy(np.array([[0.5, 1.5]]), np.array([1]))
    np.testing.assert_array_equal(crossent.sigmoid([0.0]), [0.5])


def test_one_row_needs_no_batch(dtype):
    """Logits of shape (C,) and a single label."""
    z = np.array([0.5, 1.5, 0], dtype)
    want = crossent.softmax_cross_entropy_value_and_grad(z[None], np.array([1]))
    for label in (1, np.int8(1), np.array(1, np.uint16)):
        loss, grad = crossent.softmax_cross_entropy_value_and_grad(z, label)
        assert loss == want[0]
        np.testing.assert_array_equal(grad, want[1][0], strict=True)
    assert crossent.softmax_cross_entropy(z, 1, reduction="none").shape == ()


def test_single_elements(dtype):
    x = dtype(0)
    for function in (crossent.sigmoid, crossent.softplus, crossent.log_sigmoid):
        assert type(function(x)) is dtype
    assert type(crossent.logsumexp(np.zeros(3, dtype))) is dtype
    assert crossent.sigmoid_cross_entropy(x, 1) == pytest.approx(np.log(2))


def test_subclasses_of_ndarray_become_arrays(dtype):
    z = np.eye(2, dtype=dtype).view(np.recarray)
    losses, grad = crossent.softmax_cross_entropy_value_and_grad(z, [0, 1], reduction="none")
    assert type(losses) is type(grad) is np.ndarray


def test_eight_dimensions_are_enough(dtype):
    z, y = np.zeros((1, 2, 1, 2, 1, 2, 1, 3), dtype), np.zeros((1, 2, 1, 2, 1, 2, 1), int)
    assert crossent.softmax_cross_entropy(z, y) == pytest.approx(np.log(3))
    assert crossent.logsumexp(z, axis=3).shape == (1, 2, 1, 1, 2, 1, 3)


# ---- results ----------------------------------------------------------------------------------


def test_reductions(loss, batch):
    _, forward, both = loss
    rows, grad = both(*batch, reduction="none")
    assert rows.dtype == grad.dtype == batch[0].dtype
    assert rows.shape == batch[1].shape
    total, same_grad = both(*batch, reduction="sum")
    assert type(total) is np.float64
    np.testing.assert_array_equal(same_grad, grad)
    np.testing.assert_allclose(total, rows.sum(), 1e-5)
    mean, smaller = both(*batch)
    assert type(mean) is np.float64
    np.testing.assert_allclose(mean, rows.mean(), 1e-5)
    np.testing.assert_allclose(smaller, grad / rows.size, 1e-5)
    for reduction, want in (("none", rows), ("sum", total), ("mean", mean)):
        assert_same([forward(*batch, reduction=reduction)], [want])


def test_inputs_are_left_alone(loss, batch):
    copies = [array.copy() for array in batch]
    loss[2](*batch)
    assert_same(batch, copies)


@pytest.mark.parametrize("keepdims", [False, True])
def test_shape_of_logsumexp(keepdims, dtype):
    x = np.zeros((2, 3, 4), dtype)
    for axis in range(-3, 3):
        shape = np.sum(x, axis=axis, keepdims=keepdims).shape
        got = crossent.logsumexp(x, axis=axis, keepdims=keepdims)
        assert got.shape == shape
        assert got.dtype == dtype


# ---- objects ----------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_objects_are_the_functions_with_options(reduction, loss, batch):
    make, forward, both = loss
    obj = make(reduction=reduction, threads=1)
    value, grad = both(*batch, reduction=reduction)
    assert_same(obj.value_and_grad(*batch), (value, grad))
    assert_same(
        [obj(*batch), obj.forward(*batch), forward(*batch, reduction=reduction)], [value] * 3
    )
    np.testing.assert_array_equal(obj.backward(), grad)
    np.testing.assert_array_equal(obj.backward(upstream=2.0), 2 * grad)


def test_value_and_grad_keeps_nothing(loss, batch):
    obj = loss[0]()
    obj.forward(*batch)
    grad = obj.backward()
    obj.value_and_grad(*(array[:2] for array in batch))
    np.testing.assert_array_equal(obj.backward(), grad)


def test_forward_keeps_the_gradient_and_no_arguments(loss, batch):
    """What becomes of logits and target before `backward` does not matter."""
    z, y = batch
    obj = loss[0]()
    before = sys.getrefcount(z)
    want = loss[2](z, y)[1]
    obj.forward(z, y)
    assert sys.getrefcount(z) == before
    z[:], y[:] = 7, 0
    np.testing.assert_array_equal(obj.backward(), want)
    obj(z, y)  # the loss alone: leaves what is kept
    np.testing.assert_array_equal(obj.backward(), want)


def test_backward_needs_forward(loss):
    with pytest.raises(RuntimeError, match="backward was called before forward"):
        loss[0]().backward()


# ---- threads ----------------------------------------------------------------------------------


def test_labels_that_change_during_a_call_cannot_crash(isa):
    """At worst the numbers are wrong or a label is reported that is good again."""
    z, y = np.zeros((20_000, 10), np.float32), np.zeros(20_000, np.int64)
    done = threading.Event()

    def scribble():
        while not done.is_set():
            for label in (3, 2**62, -1, 9, -(2**63), 10):
                y.fill(label)

    writer = threading.Thread(target=scribble)
    writer.start()
    try:
        for _ in range(40):
            try:
                crossent.softmax_cross_entropy_value_and_grad(z, y, out=z)
            except IndexError:
                z.fill(0)
    finally:
        done.set()
        writer.join()


def test_calls_from_many_threads_do_not_disturb_each_other(dtype, rng):
    z, y = rng.standard_normal((3000, 30)).astype(dtype), rng.integers(0, 30, 3000)
    want = crossent.softmax_cross_entropy_value_and_grad(z, y)
    with ThreadPoolExecutor(8) as pool:
        calls = [
            pool.submit(crossent.softmax_cross_entropy_value_and_grad, z, y) for _ in range(64)
        ]
        for call in calls:
            assert_same(call.result(), want)


@pytest.mark.parametrize("n", [1, 2, 5, np.int64(3)])
def test_number_of_threads(n, num_threads):
    num_threads(n)
    assert crossent.get_num_threads() == n


# ---- the machine ------------------------------------------------------------------------------


def python(code, **environment):
    return subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("name", crossent.available_isas())
def test_the_environment_forces_an_instruction_set(name):
    run = python("import crossent; print(crossent.isa())", CROSSENT_ISA=name)
    assert run.stdout.strip() == name, run.stderr


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("CROSSENT_ISA", "mmx"),
        ("CROSSENT_ISA", "AVX2"),
        ("CROSSENT_NUM_THREADS", "0"),
        ("CROSSENT_NUM_THREADS", "-1"),
        ("CROSSENT_NUM_THREADS", "many"),
    ],
)
def test_a_mistake_in_the_environment_is_told_at_import(variable, value):
    run = python("import crossent", **{variable: value})
    assert run.returncode == 1
    assert f"ValueError: {variable} is '{value}'; expected" in run.stderr


def test_the_environment_sets_the_number_of_threads():
    run = python("import crossent; print(crossent.get_num_threads())", CROSSENT_NUM_THREADS="3")
    assert run.stdout.strip() == "3", run.stderr


def test_available_instruction_sets():
    names = crossent.available_isas()
    assert len(set(names)) == len(names)
    assert names[-1] == "scalar"
    assert crossent.isa() in names


def test_configuration(capsys):
    crossent.show_config()
    text = capsys.readouterr().out
    assert crossent.__version__ in text
    assert crossent.isa() in text
    assert f"threads: {crossent.get_num_threads()}" in text
    assert "compiler" in text


def test_the_header_is_installed():
    assert (pathlib.Path(crossent.get_include()) / "crossent.h").is_file()


FORK = """
import os, warnings
import numpy as np, crossent

warnings.simplefilter("ignore")
z, y = np.zeros((50_000, 10)), np.zeros(50_000, int)
want = crossent.softmax_cross_entropy(z, y, threads=2)
child = os.fork()
got = crossent.softmax_cross_entropy(z, y, threads=2)
if child == 0:
    os._exit(int(got != want))
assert os.waitpid(child, 0)[1] == 0 and got == want
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_child_of_fork_can_compute():
    run = python(FORK)
    assert run.returncode == 0, run.stderr
