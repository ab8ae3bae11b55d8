"""What each mistake is told: the argument, what was found, what was expected."""

import contextlib
import sys
import tracemalloc

import numpy as np
import pytest

import crossent

Z, Y = np.zeros((2, 3)), np.array([0, 2])
WIDE, SIX = np.zeros((3, 3)), np.zeros(6, "i8")
FROZEN = np.broadcast_to(0.0, (2, 3))
REPEATED = np.lib.stride_tricks.as_strided(np.zeros(3), (2, 3), (0, 8))
LABELS_3D = np.array([[0, 0, 0, 0], [0, 0, 7, 0]])


def xent(z=Z, y=Y, **options):
    return crossent.softmax_cross_entropy_value_and_grad(z, y, **options)


def bce(x=Z, t=Z, **options):
    return crossent.sigmoid_cross_entropy_value_and_grad(x, t, **options)


# name: (call, exception, what its message must say)
MISTAKES = {
    "label too big": (
        lambda: xent(y=np.array([0, 3])),
        IndexError,
        "target[1] is 3; expected 0 <= target < 3",
    ),
    "label negative": (lambda: xent(y=np.array([-1, 0])), IndexError, "target[0] is -1;"),
    "first of two bad labels": (lambda: xent(y=np.array([5, 4])), IndexError, "target[0] is 5;"),
    "int8 label": (lambda: xent(y=np.array([0, -128], "i1")), IndexError, "target[1] is -128;"),
    "uint8 label": (lambda: xent(y=np.array([0, 255], "u1")), IndexError, "target[1] is 255;"),
    "uint64 label": (
        lambda: xent(y=np.array([0, 2**64 - 1], "u8")),
        IndexError,
        "target[1] is 18446744073709551615;",
    ),
    "int64 label": (
        lambda: xent(y=np.array([-(2**63), 0])),
        IndexError,
        "target[0] is -9223372036854775808;",
    ),
    "big-endian label": (lambda: xent(y=np.array([0, 3], ">i4")), IndexError, "target[1] is 3;"),
    "strided label": (lambda: xent(y=np.array([0, 1, 9])[::-2]), IndexError, "target[0] is 9;"),
    "single label": (lambda: xent(np.zeros(3), 3), IndexError, "target is 3;"),
    "label in 2-D": (
        lambda: xent(np.zeros((2, 4, 3)), LABELS_3D),
        IndexError,
        "target[1, 2] is 7;",
    ),
    "label along axis 0": (
        lambda: xent(np.zeros((3, 2, 4)), LABELS_3D, axis=0),
        IndexError,
        "target[1, 2] is 7;",
    ),
    "label of a long row": (lambda: xent(np.zeros((1, 5000)), [5000]), IndexError, "target < 5000"),
    "label of a late row": (
        lambda: xent(np.zeros((12_000, 3)), np.repeat([2, 3], [11_999, 1])),
        IndexError,
        "target[11999] is 3;",
    ),
    "float labels": (lambda: xent(y=Y + 0.5), TypeError, "target has dtype float64"),
    "one-hot integers": (
        lambda: xent(y=2 * np.ones((2, 3), int)),
        ValueError,
        "target[0, 0] is 2; expected 0 or 1 in integers of the logits' shape (one-hot rows)",
    ),
    "labels from 1": (
        lambda: xent(y=np.array([1, 3])),
        IndexError,
        "the number of classes; labels count from 0 (target - 1, if they are 1 to 3)",
    ),
    "labels to leave out": (
        lambda: xent(y=np.array([1, -100])),
        IndexError,
        "; ignore_index=-100 leaves such rows out",
    ),
    "classes along another axis": (
        lambda: xent(np.zeros((2, 3, 4, 5)), np.zeros((2, 4, 5), int)),
        ValueError,
        "it has that without axis 1: axis=1 if the classes lie there",
    ),
    "a column for the binary loss": (
        lambda: bce(np.zeros((4, 1)), np.zeros(4)),
        ValueError,
        "expected that of logits, (4, 1) (target.reshape((4, 1)))",
    ),
    "logits for probabilities": (
        lambda: crossent.categorical_cross_entropy(Z - 1, Y),
        ValueError,
        "is -1.0; expected 0 <= p <= 1 (numbers of any size: softmax_cross_entropy)",
    ),
    "logits for binary probabilities": (
        lambda: crossent.binary_cross_entropy(Z + 2, Z),
        ValueError,
        "probs[0, 0] is 2.0; expected 0 <= probs <= 1 (numbers of any size: sigmoid_cross_entropy)",
    ),
    "object labels": (
        lambda: xent(y=Y.astype(object)),
        TypeError,
        "target has dtype object; expected",
    ),
    "complex labels": (lambda: xent(y=Y + 0j), TypeError, "target has dtype complex128; expected"),
    "labels of time": (
        lambda: xent(y=Y.astype("m8[s]")),
        TypeError,
        "target has dtype timedelta64[s]",
    ),
    "labels of text": (lambda: xent(y=["0", "2"]), TypeError, "target has dtype <U1; expected"),
    "no labels": (lambda: xent(y=None), TypeError, "target is missing, or None; expected"),
    "too many labels": (
        lambda: xent(y=[0, 1, 2]),
        ValueError,
        "target has shape (3,); expected (2,)",
    ),
    "a column of labels": (
        lambda: xent(y=[[0], [2]]),
        ValueError,
        "target has shape (2, 1); expected (2,), the shape of logits (2, 3) without axis 1 "
        "(target.reshape((2,)))",
    ),
    "labels of another axis": (
        lambda: xent(axis=0),
        ValueError,
        "target has shape (2,); expected (3,)",
    ),
    "object logits": (
        lambda: xent(Z.astype(object)),
        TypeError,
        "logits is an array of Python objects",
    ),
    "no logits": (lambda: xent(None), TypeError, "logits is missing, or None; expected"),
    "integer logits": (
        lambda: xent(Z.astype(int)),
        TypeError,
        "expected float32, float64, float16 or bfloat16 (np.asarray(logits, np.float64) converts)",
    ),
    "complex logits": (
        lambda: xent(Z + 0j),
        TypeError,
        "logits has dtype complex128; expected float32",
    ),
    "longdouble logits": (
        lambda: xent(Z.astype("g")),
        TypeError,
        f"logits has dtype {np.dtype('g')}; expected float32",
    ),
    "logits of text": (
        lambda: xent([["a"]], [0]),
        TypeError,
        "logits has dtype <U1; expected float32",
    ),
    "ragged logits": (
        lambda: xent([[0.5], [1, 2]], [0, 0]),
        ValueError,
        "logits is not an array of numbers: setting an array element",
    ),
    "ragged target": (
        lambda: xent(y=[[0], [1, 2]]),
        ValueError,
        "target is not an array of numbers",
    ),
    "class weights of scikit-learn": (
        lambda: xent(class_weight={0: 1.0, 1: 2.0}),
        TypeError,
        "expected one number for each class: [class_weight[c] for c in range(classes)]",
    ),
    "balanced class weights": (
        lambda: xent(class_weight="balanced"),
        TypeError,
        "'balanced' weights are len(target) / (classes * np.bincount(target))",
    ),
    "one negative weight for all": (
        lambda: xent(class_weight=-2),
        ValueError,
        "class_weight is -2.0; expected finite numbers, at least 0",
    ),
    "nine dimensions": (
        lambda: xent(np.zeros((1,) * 9), np.zeros((1,) * 8, int)),
        ValueError,
        "9 dimensions; expected at most 8",
    ),
    "axis too large": (lambda: xent(axis=2), ValueError, "axis is 2; expected -2 <= axis < 2"),
    "axis too small": (lambda: xent(axis=-3), ValueError, "axis is -3; expected -2 <= axis < 2"),
    "axis far too large": (lambda: xent(axis=2**40), ValueError, "axis is 1099511627776"),
    "fractional axis": (lambda: xent(axis=1.5), TypeError, "axis"),
    "no axis": (lambda: xent(axis=None), TypeError, "axis"),
    "logits without axes": (lambda: xent(0.5, 0), ValueError, "logits have no dimensions"),
    "axis of logsumexp": (
        lambda: crossent.logsumexp(Z, axis=2),
        ValueError,
        "axis is 2; expected -2",
    ),
    "no classes": (
        lambda: xent(np.zeros((2, 0))),
        ValueError,
        "(2, 0); expected at least one class along axis 1",
    ),
    "logsumexp of nothing": (
        lambda: crossent.logsumexp(np.zeros((2, 0))),
        ValueError,
        "at least one class",
    ),
    "softmax of nothing": (lambda: crossent.softmax(np.zeros(0)), ValueError, "at least one class"),
    "unknown option": (lambda: xent(smooth=1), TypeError, "'smooth'"),
    "misspelled option": (
        lambda: xent(label_smooting=0.1),
        TypeError,
        "(did you mean 'label_smoothing'?); expected one of accumulate, axis, ",
    ),
    "misspelled option of a call": (
        lambda: bce(sample_weigth=1),
        TypeError,
        "(did you mean 'sample_weight'?); expected one of ",
    ),
    "weights as PyTorch calls them": (
        lambda: xent(weight=[1, 2, 3]),
        TypeError,
        "'weight' is not an option of softmax_cross_entropy_value_and_grad; expected class_weight",
    ),
    "option of a call for the class": (
        lambda: crossent.SoftmaxCrossEntropy(sample_weight=[1, 2]),
        TypeError,
        "expected it in a call, with forward or value_and_grad",
    ),
    "option of the class for a call": (
        lambda: crossent.SoftmaxCrossEntropy()(Z, Y, label_smoothing=0.1),
        TypeError,
        "; all others are of the class",
    ),
    "unknown option of an object": (
        lambda: crossent.SoftmaxCrossEntropy(gamma=1),
        TypeError,
        "'gamma'",
    ),
    "positional option": (lambda: crossent.SoftmaxCrossEntropy("mean"), TypeError, "positional"),
    "out without a gradient": (
        lambda: crossent.softmax_cross_entropy(Z, Y, out=Z),
        TypeError,
        "'out' is not an option of softmax_cross_entropy: it receives a gradient; expected it in",
    ),
    "axis of a binary loss": (lambda: bce(axis=0), TypeError, "'axis'"),
    "bad reduction": (
        lambda: xent(reduction="avg"),
        ValueError,
        "reduction is 'avg'; expected 'mean', 'sum'",
    ),
    "reduction by an array": (
        lambda: xent(reduction=Y),
        ValueError,
        "reduction is array([0, 2]); expected 'mean', 'sum'",
    ),
    "no reduction": (lambda: bce(reduction=None), ValueError, "reduction is None; expected 'mean'"),
    "no threads": (lambda: xent(threads=0), ValueError, "threads is 0; expected"),
    "fewer threads": (lambda: bce(threads=-2), ValueError, "threads is -2; expected"),
    "half a thread": (lambda: xent(threads=1.5), (TypeError, ValueError), "threads"),
    "threads of text": (lambda: xent(threads="2"), TypeError, "threads"),
    "too many threads": (lambda: xent(threads=2**40), ValueError, "threads is 1099511627776"),
    "set no threads": (lambda: crossent.set_num_threads(0), ValueError, "n is 0; expected"),
    "set fewer threads": (lambda: crossent.set_num_threads(-1), ValueError, "n is -1; expected"),
    "set half a thread": (lambda: crossent.set_num_threads(1.5), TypeError, "n is 1.5; expected"),
    "set threads of text": (lambda: crossent.set_num_threads("2"), (TypeError, ValueError), "n is"),
    "set nothing": (lambda: crossent.set_num_threads(None), (TypeError, ValueError), "n is None"),
    "set too many threads": (
        lambda: crossent.set_num_threads(2**40),
        ValueError,
        "n is 1099511627776",
    ),
    "out is a list": (
        lambda: xent(out=[[0.0] * 3] * 2),
        TypeError,
        "out is a list; expected a NumPy array",
    ),
    "out of another dtype": (
        lambda: xent(out=Z.astype("f4")),
        TypeError,
        "out has dtype float32; expected that of logits, float64",
    ),
    "byte-swapped out": (
        lambda: xent(out=Z.astype(">f8")),
        TypeError,
        "out has dtype >f8; expected",
    ),
    "unaligned out": (
        lambda: xent(out=np.zeros(49, "u1")[1:].view("f8").reshape(2, 3)),
        TypeError,
        "aligned",
    ),
    "out of another shape": (
        lambda: xent(out=np.zeros((3, 2))),
        ValueError,
        "out has shape (3, 2); expected that of logits, (2, 3)",
    ),
    "flat out": (lambda: xent(out=np.zeros(6)), ValueError, "out has shape (6,); expected"),
    "read-only out": (
        lambda: xent(out=FROZEN),
        ValueError,
        "out is read-only; expected a writeable array",
    ),
    "read-only logits as out": (lambda: xent(FROZEN, out=FROZEN), ValueError, "out is read-only"),
    "out of repeated elements": (lambda: xent(out=REPEATED), ValueError, "stride 0"),
    "out overlaps logits": (
        lambda: xent(WIDE[:2], out=WIDE[1:]),
        ValueError,
        "out overlaps logits",
    ),
    "out is the logits backwards": (lambda: xent(out=Z[::-1]), ValueError, "out overlaps logits"),
    "out overlaps target": (
        lambda: xent(y=SIX[::3], out=SIX.view("f8").reshape(2, 3)),
        ValueError,
        "out overlaps target",
    ),
    "out of softmax": (
        lambda: crossent.softmax(Z, out=np.zeros(6)),
        ValueError,
        "out has shape (6,)",
    ),
    "out of sigmoid": (lambda: crossent.sigmoid(Z, out=FROZEN), ValueError, "out is read-only"),
    "binary target of another shape": (
        lambda: bce(t=Y),
        ValueError,
        "target has shape (2,); expected that of logits, (2, 3)",
    ),
    "binary target of objects": (
        lambda: bce(t=Z.astype(object)),
        TypeError,
        "target has dtype object; expected",
    ),
    "binary target of text": (
        lambda: bce(t=Z.astype("U1")),
        TypeError,
        "target has dtype <U1; expected",
    ),
    "complex binary target": (
        lambda: bce(t=Z + 0j),
        TypeError,
        "target has dtype complex128; expected",
    ),
    "out is the binary target": (
        lambda: bce(np.ones((2, 3)), Z, out=Z),
        ValueError,
        "out overlaps target",
    ),
    "complex x": (
        lambda: crossent.sigmoid(1j),
        TypeError,
        "x has dtype complex128; expected float32",
    ),
    "objects x": (lambda: crossent.softplus([None]), TypeError, "x is an array of Python objects"),
    "upstream of text": (lambda: forwarded().backward("2"), TypeError, "upstream is '2'; expected"),
    "upstream of text for the binary loss": (
        lambda: bce(upstream="2"),
        TypeError,
        "upstream is '2'; expected a number",
    ),
    "upstream of the wrong shape": (
        lambda: forwarded().backward(np.ones(3)),
        (TypeError, ValueError),
        "",
    ),
    "unknown instruction set": (
        lambda: crossent._core._use_isa("mmx"),
        ValueError,
        "CROSSENT_ISA is 'mmx'; expected",
    ),
}


def forwarded():
    obj = crossent.SoftmaxCrossEntropy()
    obj.forward(Z, Y)
    return obj


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_told(mistake, num_threads):
    call, error, message = MISTAKES[mistake]
    with pytest.raises(error) as caught:
        call()
    assert message in str(caught.value)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_leak_nothing(mistake, num_threads):
    """Neither references to the arguments, nor as much as the smallest object each time."""
    num_threads(1)
    call, _, _ = MISTAKES[mistake]
    times = 200

    def repeat():
        for _ in range(times):
            with contextlib.suppress(Exception):
                call()

    repeat()
    references = [sys.getrefcount(array) for array in (Z, Y, WIDE)]
    tracemalloc.start()
    repeat()
    grown = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert [sys.getrefcount(array) for array in (Z, Y, WIDE)] == references
    assert grown < times * sys.getsizeof(0)


def test_a_mistake_in_an_argument_leaves_out_untouched():
    out = np.full((2, 3), 7.0)
    for options in ({"y": Y + 0.5}, {"y": [0]}, {"axis": 5}, {"reduction": "x"}, {"threads": 0}):
        with pytest.raises((TypeError, ValueError)):
            xent(out=out, **options)
    assert (out == 7).all()
