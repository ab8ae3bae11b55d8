"""The oracle of tests/exact.py beside its own differences and beside other packages."""

import itertools

import mpmath
import numpy as np
import pytest
import scipy.special
from mpmath import mpf
from sklearn.metrics import log_loss

from . import exact, truth

CLASSES = 4


def numbers(truths):
    return np.asarray(truths.value, float)


def close(got, want, limit=1e-13):
    np.testing.assert_allclose(got, numbers(want), limit, limit)


# ---- derivatives are those of the loss -----------------------------------------------------------

W, ALPHA = np.array([0.7, 1.9, 0.4, 1.3]), np.array([0.5, 1.1, 0.9, 1.6])
MASK = np.array([True, True, False, True])
SOFTMAX = {
    "plain": {},
    "class_weight": {"class_weight": W},
    "uniform": {"label_smoothing": 0.3, "class_weight": W},
    "off_target": {"label_smoothing": 0.3, "smoothing": "off_target"},
    "by target": {"label_smoothing": 0.2, "smoothing_weight": "target", "class_weight": W},
    "focal": {"focal_gamma": 1.7, "focal_alpha": ALPHA},
    "z_loss": {"z_loss": 0.3},
    "softcap": {"softcap": 3.0, "temperature": 1.5},
    "mask": {"class_mask": MASK, "label_smoothing": 0.1},
    "all": {
        "class_weight": W, "label_smoothing": 0.3, "focal_gamma": 0.6, "focal_alpha": ALPHA,
        "z_loss": 0.2, "softcap": 5.0, "temperature": 0.7, "class_mask": MASK, "sample_weight": 1.7,
    },
}  # fmt: skip
SECOND = [name for name in SOFTMAX if name not in ("focal", "softcap", "all")]


def slope(function, x, j):
    """A central difference of doubles 2^-20 apart: right to about 2^-40."""
    h = np.zeros_like(x)
    h[..., j] = 2.0**-20
    return (function(x + h) - function(x - h)) * mpf(2) ** 19


def row(rng, soft):
    x = np.round(rng.standard_normal((1, CLASSES)) * 2**20) / 2**19
    t = rng.dirichlet(np.ones(CLASSES))[None] * 1.3
    t[0, 2] = 0
    return x, t if soft else np.array([1])


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("name", SOFTMAX)
def test_softmax_gradient_is_the_slope_of_its_loss(name, soft, rng):
    x, t = row(rng, soft)
    options = SOFTMAX[name] | {"reduction": "sum"}
    grad = exact.softmax_cross_entropy(x, t, upstream=0.7, **options).grad.value
    for j in range(CLASSES):
        by_loss = slope(lambda x: exact.softmax_cross_entropy(x, t, **options).loss.value, x, j)
        assert abs(grad[0, j] - mpf(0.7) * by_loss) < 1e-10


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("name", SECOND)
def test_softmax_second_order_is_the_slope_of_its_gradient(name, soft, rng):
    x, t = row(rng, soft)
    options, v = SOFTMAX[name] | {"reduction": "sum"}, rng.standard_normal((1, CLASSES))
    got = exact.softmax_cross_entropy(x, t, vector=v, rule="exact", **options)
    columns = [
        slope(lambda x: exact.softmax_cross_entropy(x, t, **options).grad.value[0], x, j)
        for j in range(CLASSES)
    ]
    product = sum(c * mpf(float(a)) for c, a in zip(columns, v[0], strict=True))
    assert max(abs(product - got.product.value[0])) < 1e-10
    if name != "z_loss":
        assert max(abs(columns[j][j] - got.hess.value[0, j]) for j in range(CLASSES)) < 1e-10


@pytest.mark.parametrize("name", [name for name in SOFTMAX if name != "by target"])
def test_target_gradient_is_the_slope_by_the_target(name, rng):
    x, t = row(rng, soft=True)
    options = SOFTMAX[name] | {"reduction": "sum"}
    got = exact.softmax_cross_entropy(x, t, **options).target_grad.value[0]
    for j in np.flatnonzero(t[0]):
        by_target = slope(lambda t: exact.softmax_cross_entropy(x, t, **options).loss.value, t, j)
        assert abs(got[j] - by_target) < 1e-10


BINARY = [
    {"label_smoothing": e, "focal_gamma": gamma, "focal_alpha": alpha, "pos_weight": w}
    for e, gamma, alpha, w in itertools.product((0, 0.2), (0, 1.7), (None, 0.3), (1, 2.5))
]


@pytest.mark.parametrize("options", BINARY)
@pytest.mark.parametrize("function", ["sigmoid_cross_entropy", "binary_cross_entropy"])
def test_binary_gradient_is_the_slope_of_its_loss(function, options):
    x, t = np.array([0.125, 0.5, 0.9375]), np.array([0.25, 0.0, 1.0])
    of, options = getattr(exact, function), options | {"reduction": "none"}
    got = of(x, t, rule="exact", vector=np.ones(3), **options)
    by_loss = slope(lambda x: of(x, t, **options).loss.value, x, slice(None))
    assert max(abs(by_loss - got.grad.value)) < 1e-8
    if function[0] == "s" and not options["focal_gamma"]:
        by_grad = slope(lambda x: of(x, t, **options).grad.value, x, slice(None))
        assert max(abs(by_grad - got.hess.value)) < 1e-10
        assert max(abs(by_grad - got.product.value)) < 1e-10


@pytest.mark.parametrize("clip", [None, 0.2, "torch", "keras"])
@pytest.mark.parametrize("normalize_rows", [False, True])
def test_categorical_gradient_is_the_slope_of_its_loss(clip, normalize_rows):
    p, t = np.array([[0.125, 0.25, 0.625]]), np.array([[0.3, 0.6, 0.4]])
    options = {
        "clip": clip,
        "normalize_rows": normalize_rows,
        "label_smoothing": 0.1,
        "reduction": "sum",
    }
    got = exact.categorical_cross_entropy(p, t, **options).grad.value[0]
    for j in range(3):
        by_loss = slope(lambda p: exact.categorical_cross_entropy(p, t, **options).loss.value, p, j)
        assert abs(by_loss - got[j]) < 1e-10


# ---- other packages ------------------------------------------------------------------------------


def problem(rng, soft=False):
    x = 3 * rng.standard_normal((9, CLASSES))
    return x, rng.dirichlet(np.ones(CLASSES), 9) if soft else rng.integers(CLASSES, size=9)


def test_scipy_agrees(rng):
    x, _ = problem(rng)
    b = rng.standard_normal(CLASSES)
    for row in x:
        close(scipy.special.softmax(row), exact.softmax(row))
        close(scipy.special.log_softmax(row), exact.log_softmax(row))
        close(scipy.special.logsumexp(row), exact.logsumexp(row))
        got, sign = scipy.special.logsumexp(row, b=b, return_sign=True)
        want, want_sign = exact.logsumexp(row, b)
        assert (float(want.value), want_sign) == (pytest.approx(got, 1e-12), sign)
    close(scipy.special.expit(x), exact.sigmoid(x))
    close(scipy.special.log_expit(x), exact.log_sigmoid(x))
    truths = exact.softmax_cross_entropy(x, np.zeros(9, int))
    close(scipy.special.entr(scipy.special.softmax(x, 1)).sum(1), truths.entropy)


def test_scikit_learn_agrees(rng):
    loss = pytest.importorskip("sklearn._loss.loss")
    x, y = problem(rng)
    s = rng.uniform(0.5, 2, 9)
    p = scipy.special.softmax(x, 1)
    want = exact.categorical_cross_entropy(p, y, sample_weight=s).loss
    assert log_loss(y, p, sample_weight=s, labels=range(CLASSES)) == pytest.approx(float(want[0]))
    half = loss.HalfMultinomialLoss(n_classes=CLASSES)
    grad, hess = half.gradient_hessian(y.astype(float), x, sample_weight=s)
    truths = exact.softmax_cross_entropy(x, y, sample_weight=s, reduction="sum", rule="exact")
    close(grad, truths.grad)
    close(hess, truths.hess)
    half, t = loss.HalfBinomialLoss(), rng.random(9)
    grad, hess = half.gradient_hessian(t, x[:, 0].copy())
    truths = exact.sigmoid_cross_entropy(x[:, 0], t, reduction="sum", rule="exact")
    close(grad, truths.grad)
    close(hess, truths.hess)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("soft", [False, True])
def test_torch_agrees(soft, reduction, rng):
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    x, t = problem(rng, soft)
    for e, w in itertools.product((0.0, 0.2), (None, W)):
        weight = None if w is None else torch.tensor(w)
        if soft and w is not None and reduction == "mean":
            continue  # divides by the number of rows
        logits = torch.tensor(x, requires_grad=True)
        got = f.cross_entropy(
            logits, torch.tensor(t), weight=weight, label_smoothing=e, reduction=reduction
        )
        got.sum().backward()
        want = exact.softmax_cross_entropy(
            x, t, class_weight=w, label_smoothing=e, reduction=reduction
        )
        close(got.detach(), want.loss)
        close(logits.grad, want.grad)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_torch_agrees_on_binary_losses(reduction, rng):
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    x, t = problem(rng)[0], rng.random((9, CLASSES))
    logits = torch.tensor(x, requires_grad=True)
    got = f.binary_cross_entropy_with_logits(
        logits, torch.tensor(t), pos_weight=torch.tensor(W), reduction=reduction
    )
    got.sum().backward()
    want = exact.sigmoid_cross_entropy(x, t, pos_weight=W, reduction=reduction)
    close(got.detach(), want.loss)
    close(logits.grad, want.grad)
    p = scipy.special.expit(x)
    p[0, :2], t[0, :2] = (0, 1), (1, 0)
    probs = torch.tensor(p, requires_grad=True)
    got = f.binary_cross_entropy(probs, torch.tensor(t), reduction=reduction)
    got.sum().backward()
    want = exact.binary_cross_entropy(p, t, clip="torch", reduction=reduction)
    close(got.detach(), want.loss)
    close(probs.grad, want.grad, 1e-8)  # its 1e-12 is a float


def test_optax_agrees(rng):
    optax = pytest.importorskip("optax")
    jax = pytest.importorskip("jax")
    x, t = (a.astype(np.float32) for a in problem(rng, soft=True))
    want = exact.softmax_cross_entropy(x, t, reduction="none")
    close(optax.softmax_cross_entropy(x, t), want.loss, 1e-5)
    smooth = optax.smooth_labels(jax.numpy.eye(CLASSES)[np.ones(9, int)], 0.2)
    want = exact.softmax_cross_entropy(x, np.ones(9, int), label_smoothing=0.2, reduction="none")
    close(optax.softmax_cross_entropy(x, smooth), want.loss, 1e-5)
    for alpha, gamma in ((None, 2.0), (0.25, 1.5)):
        y = (t > 0.3).astype(np.float32)
        got = optax.sigmoid_focal_loss(x, y, alpha=alpha, gamma=gamma)
        options = {"focal_alpha": alpha, "focal_gamma": gamma, "reduction": "none"}
        close(got, exact.sigmoid_cross_entropy(x, y, **options).loss, 1e-5)


def test_keras_agrees(rng, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    losses = pytest.importorskip("keras").losses
    x, t = (a.astype(np.float32) for a in problem(rng, soft=True))
    p = scipy.special.softmax(x, 1)
    p[0] = 0, 0, 0, 1
    got = losses.categorical_crossentropy(t, p, label_smoothing=0.2)
    options = {"clip": "keras", "normalize_rows": True, "label_smoothing": 0.2, "reduction": "none"}
    close(got, exact.categorical_cross_entropy(p, t, **options).loss, 1e-5)
    got = losses.binary_crossentropy(t, p, label_smoothing=0.2)
    options = {"clip": "keras", "label_smoothing": 0.2, "normalizer": "batch"}
    for row, target, loss in zip(p, t, got, strict=True):
        close(loss, exact.binary_cross_entropy(row, target, **options).loss, 1e-5)
    y = np.argmax(t, 1)
    got = losses.sparse_categorical_crossentropy(y, x, from_logits=True)
    close(got, exact.softmax_cross_entropy(x, y, reduction="none").loss, 1e-5)


# ---- the unit ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("got", "value", "size", "want"),
    [
        (1.0, "1 + 2 ** -60", 0, 2**-8),
        (1.0 + 2**-52, "1", 0, 1),
        (1.0 + 2**-52, "1", 8, 1 / 8),
        (1.0, "1 - 2 ** -60", 0, 2**-7),
        (5e-324, "2 ** -1075", 0, 0.5),
        (np.inf, "2 ** 1024", 0, 0),
        (1.7976931348623157e308, "2 ** 1024", 0, np.inf),
        (0.0, "nan", 0, np.inf),
    ],
)
def test_what_an_ulp_is(got, value, size, want):
    with mpmath.workprec(300):
        value = eval(value.replace("2 **", "mpf(2) **"), {"mpf": mpf, "nan": mpmath.nan})
        assert truth.ulp(got, mpf(value), size, np.float64) == want
