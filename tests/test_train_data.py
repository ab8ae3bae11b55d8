"""Training data of every type and layout; what cannot be trained or validated on is named."""

import numpy as np
import pytest

import crossent
from crossent.train import SGD, Network

ROWS, FEATURES, CLASSES = 90, 70, 3  # more features than are swapped together


def data(rng, dtype=np.float32):
    X = rng.standard_normal((ROWS, FEATURES)).astype(dtype)
    return X, rng.integers(0, CLASSES, ROWS)


def trained(X, y, dtype=np.float32, output="softmax", outputs=CLASSES, **options):
    """History, parameters and logits of a network that starts at the same parameters."""
    net = Network.create([FEATURES, 5, outputs], dtype=dtype, output=output, seed=0)
    history = net.fit(X, y, optimizer=SGD(0.01), batch_size=16, epochs=2, **options)
    return [history.loss, history.val_loss, *net.parameters(), net.logits(X)]


def assert_same_bits(found, expected):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b, strict=isinstance(a, np.ndarray))


# ---------------------------------------------------------------- every type

TYPES = [
    *(np.dtype(kind + size) for kind in "iu" for size in "1248"),
    *(np.dtype(t) for t in (bool, np.float16, np.float32, np.float64)),
]


def unaligned(array):
    bytes_ = np.empty(array.nbytes + 1, np.uint8)
    found = bytes_[1:].view(array.dtype).reshape(array.shape)
    found[...] = array
    return found


LAYOUTS = {
    "plain": lambda X: X,
    "columns": np.asfortranarray,
    "reversed": lambda X: X[::-1, ::-1],
    "unaligned": unaligned,
    "swapped": lambda X: X.astype(X.dtype.newbyteorder()),
    "swapped columns": lambda X: np.asfortranarray(X.astype(X.dtype.newbyteorder())),
    "read-only": lambda X: np.frombuffer(X.tobytes(), X.dtype).reshape(X.shape),
}


def numbers_of(dtype, rng):
    """Small numbers of the type, and some of its largest digits."""
    if dtype.kind == "b":
        return rng.random((ROWS, FEATURES)) < 0.5
    if dtype.kind == "f":
        return rng.standard_normal((ROWS, FEATURES)).astype(dtype)
    X = rng.integers(0, 100, (ROWS, FEATURES)).astype(dtype)
    if dtype.itemsize == 8:
        X[rng.random(X.shape) < 0.01] = 2**60 + 2**36 + 1  # two roundings give 2^60
        X[0, 0] = np.iinfo(dtype).max
    return X


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("kind", TYPES, ids=str)
def test_rows_are_converted_as_if_all_were_before(kind, layout, dtype, rng):
    given = LAYOUTS[layout](numbers_of(kind, rng))
    if kind.itemsize == 8 and kind.kind in "iu":  # no training on numbers so large
        net = Network([(np.eye(FEATURES, dtype=dtype), None)])
        np.testing.assert_array_equal(net.logits(given), net.logits(given.astype(dtype)))
        return
    y = rng.integers(0, CLASSES, ROWS)
    assert_same_bits(trained(given, y, dtype), trained(given.astype(dtype), y, dtype))


@pytest.mark.parametrize("kind", [bool, np.uint8, int])
def test_one_hot_rows_are_labels(kind, rng):
    X, y = data(rng)
    hot = np.eye(CLASSES, dtype=kind)[y]
    options = {"class_weight": "balanced", "validation": (X, hot)}
    assert_same_bits(
        trained(X, hot, **options), trained(X, y, class_weight="balanced", validation=(X, y))
    )
    several = (hot + np.roll(hot, 1)).astype(int)  # no longer one-hot: as probabilities
    assert_same_bits(trained(X, several), trained(X, several.astype(np.float32)))


def test_bfloat16_and_mixed_chunks(rng):
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    X, y = data(rng)
    chunks = [X[:20].astype(bfloat16), X[20:50].astype(np.float16), X[50:].astype(">f8")]
    whole = np.concatenate([chunk.astype(np.float32) for chunk in chunks])
    assert_same_bits(trained(chunks, y)[:-1], trained(whole, y)[:-1])


def test_a_conversion_takes_no_copy_of_the_data(rng):
    import tracemalloc

    X, y = np.zeros((20_000, FEATURES), np.uint8), rng.integers(0, CLASSES, 20_000)
    net = Network.create([FEATURES, CLASSES], seed=0)
    tracemalloc.start()
    net.fit(X, y, epochs=1)
    net.evaluate(X, y)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < X.nbytes


def test_lists_frames_and_tensors_become_one_array(rng):
    X, y = data(rng)
    expected = trained(X, y)
    assert_same_bits(trained(X.tolist(), y.tolist()), expected)
    assert_same_bits(trained(list(X), list(y)), expected)
    frame = pytest.importorskip("pandas").DataFrame(X)
    assert_same_bits(trained(frame, frame[0].index % CLASSES), trained(X, np.arange(ROWS) % 3))


class Chunks:
    """Chunks that are made when they are asked for."""

    def __init__(self, X):
        self.X, self.asked = X, []

    def __len__(self):
        return 3

    def __getitem__(self, i):
        self.asked.append(i)
        return self.X[30 * i : 30 * i + 30]


def test_chunks_are_asked_for_once(rng):
    X, y = data(rng, np.float64)
    chunks, aside = Chunks(X), Chunks(X)
    net = Network.create([FEATURES, CLASSES], seed=0)
    net.fit(chunks, y, validation=(aside, y), epochs=3)
    assert chunks.asked == aside.asked == [0, 1, 2]


# ---------------------------------------------------------------- no data


def sparse(X):
    return pytest.importorskip("scipy.sparse").csr_matrix(X)


NO_DATA = {
    "sparse": (sparse, TypeError, r"X is a sparse csr_matrix; expected .*X.toarray\(\)"),
    "sparse chunks": (lambda X: [sparse(X)], TypeError, r"X is a sparse csr_matrix"),
    "masked": (np.ma.masked_less, TypeError, r"X is a masked array.*X.filled\(...\)"),
    "masked chunks": (lambda X: [np.ma.array(X)], TypeError, "X is a masked array"),
    "text": (lambda X: X.astype(str), TypeError, "X has dtype <U32; expected numbers"),
    "objects": (lambda X: X.astype(object), TypeError, r"X has dtype object; expected numbers: X"),
    "complex": (lambda X: X.astype(complex), TypeError, "X has dtype complex128; expected real"),
    "long double": (lambda X: X.astype(np.longdouble), TypeError, "of at most 64 bits: X.astype"),
    "None": (lambda X: None, TypeError, r"X is a NoneType; expected an array \(rows, 70\)"),
    "a number": (lambda X: 3, TypeError, "X is a int; expected an array"),
    "a path": (lambda X: "data.csv", TypeError, "X is a str; expected an array"),
    "a dict": (lambda X: {0: X}, TypeError, "X is a dict; expected an array"),
    "one row": (lambda X: X[0], ValueError, r"expected \(rows, 70\) \(X\[None, :\] is one row\)"),
    "images": (lambda X: X.reshape(ROWS, 7, 10), ValueError, r"\(X.reshape\(len\(X\), -1\)\)"),
    "ragged": (lambda X: [[1.0], [1.0, 2.0]], ValueError, "X is not an array of numbers"),
    "nothing": (lambda X: [], ValueError, "X is empty; expected at least one chunk"),
}


@pytest.mark.parametrize("call", ["fit", "partial_fit", "evaluate", "backward", "predict"])
@pytest.mark.parametrize("case", NO_DATA)
def test_no_data(case, call, rng):
    change, error, message = NO_DATA[case]
    X, y = data(rng)
    X = change(X, 0) if change is np.ma.masked_less else change(X)
    net = Network.create([FEATURES, CLASSES], seed=0)
    with pytest.raises(error, match=message):
        getattr(net, call)(X) if call == "predict" else getattr(net, call)(X, y)


MASKED = {
    "y": lambda X, y: {"y": np.ma.array(y, mask=y == 0)},
    "sample_weight": lambda X, y: {"sample_weight": np.ma.ones(ROWS)},
    "class_weight": lambda X, y: {"class_weight": np.ma.ones(CLASSES)},
    r"validation\[0\]": lambda X, y: {"validation": (np.ma.array(X), y)},
    r"validation\[1\]": lambda X, y: {"validation": (X, np.ma.array(y))},
    r"validation\[2\]": lambda X, y: {"validation": (X, y, np.ma.ones(ROWS))},
    "min_delta": lambda X, y: {"min_delta": np.ma.masked},
}


@pytest.mark.parametrize("name", MASKED)
def test_masked_arguments(name, rng):
    X, y = data(rng)
    options = {"y": y, **MASKED[name](X, y)}
    net = Network.create([FEATURES, CLASSES], seed=0)
    with pytest.raises(TypeError, match=f"{name} is a masked array.*sample_weight=~"):
        net.fit(X, options.pop("y"), **options)
    with pytest.raises(TypeError, match="lr is a masked array"):
        SGD(np.ma.masked)
    with pytest.raises(TypeError, match="the bias of layer 0 is a masked array"):
        Network([(np.ones((2, 2)), np.ma.ones(2))])


# ---------------------------------------------------------------- numbers without meaning


@pytest.mark.parametrize("call", ["fit", "partial_fit", "evaluate", "backward"])
@pytest.mark.parametrize("kind", [int, np.float32])
def test_labels_of_minus_one_and_one(kind, call, rng):
    X, _ = data(rng)
    y = (2 * rng.integers(0, 2, ROWS) - 1).astype(kind)
    y[:2] = 1, -1
    net = Network.create([FEATURES, 1], seed=0)
    before = net.layers[0][0].copy()
    message = r"y\[1, 0\] is -1(.0)?; expected 0 <= y <= 1: \(y \+ 1\) / 2 for labels -1 and 1"
    with pytest.raises(ValueError, match=message):
        getattr(net, call)(X, y)
    np.testing.assert_array_equal(net.layers[0][0], before)
    getattr(net, call)(X, y, validate=False)
    getattr(net, call)(X, (y + 1) / 2)


def test_targets_that_the_loss_leaves_out_may_be_anything(rng):
    X, _ = data(rng)
    y = rng.random((ROWS, 2))
    y[3, 1], y[5] = -7, np.nan
    loss = crossent.SigmoidCrossEntropy(ignore_index=-7, nan_target="missing")
    trained(X, y, output="sigmoid", outputs=2, loss=loss)
    weight = np.ones(ROWS)
    weight[[3, 5]] = 0
    trained(X, y, output="sigmoid", outputs=2, sample_weight=weight)
    with pytest.raises(ValueError, match=r"y\[3, 1\] is -7.0; expected 0 <= y <= 1 \(validate"):
        trained(X, y, output="sigmoid", outputs=2)


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5])
def test_soft_targets_that_are_no_probabilities(value, rng):
    X, _ = data(rng)
    y = rng.dirichlet(np.ones(CLASSES), ROWS)
    y[40, 2] = value
    with pytest.raises(ValueError, match=rf"y\[40, 2\] is {value}; expected finite probabilities"):
        trained(X, y)
    with pytest.raises(ValueError, match=r"validation\[1\]\[40, 2\] is"):
        trained(X, np.zeros(ROWS, int), validation=(X, y))
    weight = np.arange(ROWS) != 40
    assert np.isfinite(trained(X, y, sample_weight=weight)[0]).all()
    if value == -0.5:
        assert np.isfinite(trained(X, y, validate=False)[0]).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_validation_rows_that_are_not_finite(value, rng):
    X, y = data(rng)
    Xv = X.copy()
    Xv[70, 3] = value
    net = Network.create([FEATURES, CLASSES], seed=0)
    before = net.layers[0][0].copy()
    for validation in ((Xv, y), ([Xv[:50], Xv[50:]], y)):
        with pytest.raises(ValueError, match=r"validation\[0\]\[70\] holds NaN or infinity"):
            net.fit(X, y, validation=validation, patience=2)
    np.testing.assert_array_equal(net.layers[0][0], before)
    net.fit(X, y, validation=(Xv, y, np.arange(ROWS) != 70), epochs=1)
    net.fit(X, y, validation=(Xv, y), epochs=1, validate=False)
    assert not np.isfinite(net.evaluate(Xv, y)[0])  # whoever asks for one loss sees it


def test_a_number_beyond_float32(rng):
    X, y = data(rng, np.float64)
    X[70, 3] = 1e300
    message = r"\[70\] holds NaN or infinity.*; expected finite numbers of float32"
    with pytest.raises(ValueError, match="X" + message):
        trained(X, y)
    with pytest.raises(ValueError, match=r"validation\[0\]" + message):
        trained(X[:50], y[:50], validation=(X, y))


def test_nothing_to_validate_or_to_train_on(rng):
    X, y = data(rng)
    loss = crossent.SoftmaxCrossEntropy(ignore_index=0)
    nothing = "leaves nothing to validate on"
    for validation in ((X, y, np.zeros(ROWS)), (X, y * 0), (X[:0], y[:0])):
        with pytest.raises(ValueError, match=nothing):
            trained(X, y, loss=loss, validation=validation)
    weighted = crossent.SoftmaxCrossEntropy(class_weight=[0.0, 1.0, 1.0])
    with pytest.raises(ValueError, match=nothing):
        trained(X, y, loss=weighted, validation=(X, y * 0))
    for options in ({"sample_weight": np.zeros(ROWS)}, {"loss": loss}):
        with pytest.raises(ValueError, match="no row of X takes part"):
            trained(X, y * 0, **options)


def test_a_bad_label_to_validate_on_is_found_before_training(rng):
    X, y = data(rng)
    net, yv = Network.create([FEATURES, CLASSES], seed=0), y.copy()
    before = net.layers[0][0].copy()
    yv[7] = 3
    with pytest.raises(IndexError, match=r"validation\[1\]\[7\] is 3; expected 0 <="):
        net.fit(X, y, validation=(X, yv))
    np.testing.assert_array_equal(net.layers[0][0], before)
    net.fit(X, y, validation=(X, yv, np.arange(ROWS) != 7), epochs=1)


def test_predict_on_nan(rng):
    X, _ = data(rng)
    X[40, 1] = np.nan
    for outputs in (1, CLASSES):
        net = Network.create([FEATURES, outputs], seed=0)
        with pytest.raises(ValueError, match=r"X\[40\] holds NaN or infinity"):
            net.predict(X)
        assert net.predict(X, validate=False)[40] == 0
        assert np.isnan(net.predict_proba(X)[40]).all()
        assert net.predict(X[:40]).shape == (40,)
    net.layers[0][0][0, 0] = np.nan
    with pytest.raises(ValueError, match="the parameters hold NaN or infinity"):
        net.predict(X[:40])


# ---------------------------------------------------------------- a share to validate on


def test_a_share_of_the_rows_is_kept_aside(rng):
    X, y = data(rng)
    weight = rng.integers(0, 3, ROWS)
    found = trained(X, y, validation=0.2, sample_weight=weight, seed=3)
    part = np.flatnonzero(weight)
    kept = np.zeros(ROWS, bool)
    kept[np.random.default_rng(3).permutation(part)[: int(np.ceil(0.2 * len(part)))]] = True
    expected = trained(X, y, sample_weight=weight * ~kept, validation=(X, y, weight * kept), seed=3)
    assert_same_bits(found, expected)
    assert found[1]
    assert found[1] != trained(X, y, validation=0.2, sample_weight=weight, seed=4)[1]


@pytest.mark.parametrize("share", [0, 1, -0.5, 1.5, np.nan, 0.999])
def test_shares_that_leave_nothing(share, rng):
    X, y = data(rng)
    with pytest.raises(ValueError, match="validation"):
        trained(X, y, validation=share)
