"""Every loss with every option, as docs/options.md defines it: the judge of the last digits.

The formulas are the plain ones, and mpmath has the digits that they cancel: 256 bits, and as many
more as lie between the largest and the smallest number that count. Nothing here is fast or clever.

A result is a `Truth`: its value, and the size at whose last place errors count. That is the value
itself where it is a sum, product or quotient of positive numbers. Where the caller's numbers are
subtracted it is the larger of the two:

    gradient              T p_j - c_j       max(T p_j, c_j), c_j what class j takes, T their sum;
                                            the value alone where one class has all of the target
    binary gradient       B v' - A u'       the larger
    z_loss                z lse(x)^2        z |lse(x)| max |x| is added: lse(x) = max + log(sum)
    logsumexp             max + log(sum)    the larger
    logsumexp with b      log(b_k + sum)    what is added up, over the sum; see `logsumexp`
    hessian_vector        p_j (v_j - <p, v>)        p_j times the sum of p_i |v_j - v_i|

Finite logits and -inf; other special values have a table of their own (docs/numerics.md).
"""

from types import SimpleNamespace

import mpmath
import numpy as np
from mpmath import mpf

from .truth import FAR, GUARD, INF, Truth, exact, exp, far, largest, positive, tanh, times, total

# ---- softmax -----------------------------------------------------------------------------------


def softmax_bits(logits, o):
    """p_j = e^(x_j - max) / S, 1 - p_j and, capped, 1 - tanh^2 have to be right."""
    with np.errstate(all="ignore"):
        x = logits[np.isfinite(logits)].astype(float) / o.temperature
        wide = np.ptp(x) if x.size else 0
        steep = 2 * np.abs(x).max(initial=0) / o.softcap if o.softcap else 0
    return GUARD + far(wide) + far(steep)


def scaled(logits, kept, o):
    """x_j = softcap tanh(logits_j / temperature / softcap), and its slope."""
    x, slope = exact(logits) / mpf(o.temperature), np.full(len(logits), 1 / mpf(o.temperature))
    if o.softcap is not None:
        bend = tanh(x / mpf(o.softcap))
        x, slope = bend * mpf(o.softcap), slope * (1 - bend**2)
    return np.where(kept, x, -INF), slope


def log_probabilities(x):
    """x_j - logsumexp(x), and the two terms of logsumexp(x)."""
    top = max(x)
    log_sum = mpmath.log(total(exp(x - top)))
    return x - top - log_sum, top, log_sum


def mean_weight(t, w):
    return total(w * t) / total(t) if any(t) else mpf(1)


def smoothed(t, kept, w, o):
    """(kept share of t_j, shares of all classes), both with the class weights."""
    e, count = mpf(o.label_smoothing), int(sum(kept))
    share, own = e / count, 1 - e
    if o.smoothing == "off_target":
        share = e / (count - 1) if count > 1 else mpf(0)
        own = own - share if count > 1 else mpf(1)
    if o.smoothing_weight == "target" and e:
        w = np.full(len(t), mean_weight(t, w))
    return w * own, w * (t * own + kept * share)


def focal(log_p, o):
    """alpha_j (1 - p_j)^gamma, and c_j = -d(alpha (1 - p)^gamma (-log p)) / d x_j / (1 - p)."""
    p, gamma = exp(log_p), mpf(o.focal_gamma)
    rest = 1 - p
    factor = np.array([a * r**gamma for a, r in zip(o.alpha, rest, strict=True)])
    more = [
        a * gamma * q * r ** (gamma - 1) * -lp if gamma and q and r else mpf(0)
        for a, q, r, lp in zip(o.alpha, p, rest, log_p, strict=True)
    ]
    return factor, factor + np.array(more)


def softmax_row(logits, t, kept, v, o):
    """A row of sample weight and upstream 1: a dict of Truths, and numbers without a size."""
    x, slope = scaled(logits, kept, o)
    log_p, top, log_sum = log_probabilities(x)
    p, lse, z = exp(log_p), top + log_sum, mpf(o.z_loss)
    lse_size, rest = max(abs(lse), abs(top)), 1 - p
    own, t = smoothed(t, kept, o.w, o)
    factor, pull = focal(log_p, o)
    loss = total(times(a, f * -b) for a, f, b in zip(t, factor, log_p, strict=True))
    c = t * pull
    push, z_slope = p * total(c), p * (2 * z * lse)
    one = sum(share != 0 for share in t) == 1
    plain = push - c
    terms = abs(plain) if one else largest(push, c)
    row = {
        "loss": Truth(loss + z * lse**2, loss + z * lse**2 + 2 * z * abs(lse) * abs(top)),
        "grad": Truth(slope * (plain + z_slope), slope * largest(terms, p * (2 * z * lse_size))),
        "logsumexp": Truth(lse, lse_size),
        "entropy": positive(total(times(q, -lp) for q, lp in zip(p, log_p, strict=True))),
        "target_grad": positive(
            np.array([times(a, f * -lp) for a, f, lp in zip(own, factor, log_p, strict=True)])
        ),
        "p": p,
        "log_p": log_p,
        "argmax": int(np.argmax(x)),
    }
    if o.rule:
        row["hess"] = hessian(p, rest, t, int(sum(kept)), o)
    if v is not None:
        row["product"] = hessian_vector(p, total(c), z, lse, lse_size, np.where(kept, v, 0), o)
    return row


def hessian(p, rest, t, count, o):
    whole, unit = total(t), 1 / mpf(o.temperature) ** 2
    if o.rule == "residual":
        return Truth(abs(p * whole - t) * unit, largest(p * whole, t) * unit)
    scale = {"exact": mpf(1), "upper": mpf(2), "friedman": mpf(count) / max(count - 1, 1)}[o.rule]
    return positive(p * rest * (scale * whole * unit))


def hessian_vector(p, whole, z, lse, lse_size, v, o):
    """p_j ((T + 2 z lse) (v_j - <p, v>) + 2 z <p, v>)"""
    unit, mean = 1 / mpf(o.temperature) ** 2, total(p * v)
    apart = np.array([total(p * abs(v - a)) for a in v])
    sizes = apart * (whole + 2 * z * lse_size) + 2 * z * total(p * abs(v))
    value = (v - mean) * (whole + 2 * z * lse) + 2 * z * mean
    return Truth(p * value * unit, p * sizes * unit)


SOFTMAX = dict(
    axis=-1, class_weight=None, ignore_index=None, class_mask=None, label_smoothing=0.0,
    smoothing="uniform", smoothing_weight="class", focal_gamma=0.0, focal_alpha=None, z_loss=0.0,
    softcap=None, temperature=None, reduction="mean", normalizer=None, sample_weight=None,
    upstream=1.0, rule=None, vector=None,
)  # fmt: skip


def softmax_cross_entropy(logits, target, **options):
    """Truths `loss`, `grad`, `logsumexp`, `probability`, `entropy`, `target_grad`, and `hess` with
    a `rule`, `product` with a `vector`; the arrays `argmax`, `correct`."""
    o = SimpleNamespace(**(SOFTMAX | options))
    o.temperature = 1.0 if o.temperature is None else float(o.temperature)
    return row_loss(np.asarray(logits), np.asarray(target), o, softmax_row, softmax_bits)


def row_loss(x, target, o, of_row, bits_of):
    """What the losses of rows share: options for classes and rows, reduction."""
    shape, x = x.shape, np.moveaxis(x, o.axis, -1)
    classes, rows = x.shape[-1], x.shape[:-1]
    labels = target.ndim < x.ndim
    t = np.eye(classes)[target.astype(int) % classes] if labels else np.moveaxis(target, o.axis, -1)
    kept = np.ones(x.shape, bool)
    if o.class_mask is not None and np.ndim(o.class_mask) == 1:
        kept &= o.class_mask
    elif o.class_mask is not None:
        kept &= np.moveaxis(np.broadcast_to(o.class_mask, shape), o.axis, -1)
    v = None if o.vector is None else np.moveaxis(np.asarray(o.vector), o.axis, -1)
    s = per_row(o.sample_weight, rows)
    if labels and o.ignore_index is not None:
        s[np.isin(target, o.ignore_index)] = 0
    results = {}
    with mpmath.workprec(GUARD):
        o.w = exact(np.broadcast_to(1.0 if o.class_weight is None else o.class_weight, classes))
        o.alpha = exact(np.broadcast_to(1.0 if o.focal_alpha is None else o.focal_alpha, classes))
        weights = {i: mpf(s[i]) * mean_weight(exact(t[i]), o.w) for i in np.ndindex(rows)}
    for i in np.ndindex(rows):
        if s[i] and weights[i]:
            with mpmath.workprec(bits_of(x[i], o)):
                given = None if v is None else exact(v[i])
                results[i] = of_row(x[i], exact(t[i]), kept[i], given, o)
                if labels and "p" in results[i]:
                    results[i]["probability"] = positive(results[i]["p"][target[i]])
                    results[i]["correct"] = results[i]["argmax"] == target[i]
    return gathered(results, weights, rows, s, o, lambda y: np.moveaxis(y, -1, o.axis), classes)


def per_row(value, shape):
    return np.array(np.broadcast_to(1.0 if value is None else value, shape), float)


def gathered(results, weights, shape, s, o, placed, classes=None):
    """Truths of all rows, weighted and reduced. Rows that take no part: 0, NaN, -1 or False."""
    upstream = np.broadcast_to(o.upstream, shape)
    out, names = {}, {name for row in results.values() for name in row} - {"p", "log_p"}
    wide = {"grad", "hess", "product", "target_grad"}
    with mpmath.workprec(GUARD + 3 * far(FAR)):
        divisor = mpf(1)
        if o.reduction == "mean":
            named = {"valid": len(results), "batch": s.size, "weight": total(weights.values())}
            divisor = mpf(named.get(o.normalizer or "weight", o.normalizer))
        for name in names:
            whole = shape + ((classes,) if name in wide and classes else ())
            if name in ("argmax", "correct"):
                out[name] = np.full(shape, {"argmax": -1, "correct": False}[name])
                for i, row in results.items():
                    out[name][i] = row[name]
                continue
            known = name in wide or name == "loss"
            value = np.full(whole, mpf(0) if known else mpf("nan"), object)
            size = np.full(whole, mpf(0), object)
            for i, row in results.items():
                factor = mpf(s[i]) if known else mpf(1)
                factor *= mpf(float(upstream[i])) / divisor if name in wide else 1
                value[i], size[i] = row[name].value * factor, row[name].size * abs(factor)
            if name == "loss" and o.reduction != "none":
                value, size = total(value.flat) / divisor, total(size.flat) / divisor
            out[name] = Truth(
                *(placed(y) if name in wide and classes else y for y in (value, size))
            )
    return SimpleNamespace(**out, weight=total(weights.values()), count=len(results))


# ---- probabilities -----------------------------------------------------------------------------


def limits(clip, dtype):
    """p is clipped to [low, 1 - high]."""
    if clip is None:
        return mpf(0), mpf(0)
    if clip == "torch":
        return mpmath.exp(-100), mpf(0)
    if clip == "keras":
        kind = np.float64 if dtype == np.float64 else np.float32
        return mpf(float(kind(1e-7))), 1 - mpf(float(kind(1) - kind(1e-7)))
    return mpf(float(clip)), mpf(float(clip))


def categorical_row(probs, t, kept, v, o):
    """loss = sum of t'_j (-log clip(p_j / S)), S = 1, or the row's sum with `normalize_rows`."""
    low, high = limits(o.clip, probs.dtype)
    p = exact(probs)
    norm = total(p) if o.normalize_rows else mpf(1)
    q, t = p / norm, smoothed(t, kept, o.w, o)[1]
    clipped = np.array([min(max(a, low), 1 - high) for a in q])
    logs = [mpmath.log(a) if a else -INF for a in clipped]
    loss = total(times(a, -b) for a, b in zip(t, logs, strict=True))
    live = np.where(clipped == q, t, mpf(0))
    own = np.array([a / b if b else times(a, INF) for a, b in zip(live, p, strict=True)])
    push = total(live) / norm if o.normalize_rows else mpf(0)
    one = sum(a != 0 for a in live) == 1
    grad = np.array([push - a for a in own])
    return {
        "loss": positive(loss),
        "grad": Truth(grad, abs(grad) if one else np.array([max(push, a) for a in own])),
    }


CATEGORICAL = {**SOFTMAX, "clip": None, "normalize_rows": False}


def categorical_cross_entropy(probs, target, **options):
    o = SimpleNamespace(**(CATEGORICAL | options))
    bits = GUARD + (far(FAR) if o.normalize_rows else 0)
    return row_loss(np.asarray(probs), np.asarray(target), o, categorical_row, lambda p, o: bits)


# ---- binary ------------------------------------------------------------------------------------


def from_logit(x, o, dtype):
    """p, losses u and v of targets 1 and 0, and the sizes of their slopes, -u' and v'."""
    p, q = 1 / (1 + mpmath.exp(-x)), 1 / (1 + mpmath.exp(x))
    return p, mpmath.log(1 + mpmath.exp(-x)), mpmath.log(1 + mpmath.exp(x)), q, p


def from_probability(p, o, dtype):
    """The same from p: logarithms of what the clip makes of p and 1 - p, slopes 0 where it acts."""
    low, high = limits(o.clip, dtype)
    each = mpf(0)
    if o.clip == "torch":
        u, v = (min(-mpmath.log(a) if a else INF, mpf(100)) for a in (p, 1 - p))
        both = max(p * (1 - p), mpf(1e-12))
        return p, u, v, (1 - p) / both, p / both
    if o.clip not in (None, "keras"):
        each, low, high = low, mpf(0), mpf(0)
    c = min(max(p, low), 1 - high)
    u, v = (-mpmath.log(a) if a else INF for a in (max(c, each), max(1 - c, each)))
    du = 0 if c != p or p < each else 1 / p if p else INF
    dv = 0 if c != p or 1 - p < each else 1 / (1 - p) if p != 1 else INF
    return p, u, v, mpf(du), mpf(dv)


def binary_element(x, y, w, v_given, of_input, dtype, o):
    """loss = A q^gamma u + B p^gamma v, where p^gamma = e^(-gamma u), q^gamma = e^(-gamma v)."""
    p, u, v, du, dv = of_input(x, o, dtype)
    e, gamma = mpf(o.label_smoothing), mpf(o.focal_gamma)
    y = y * (1 - e) + e / 2
    a, b = w * y, 1 - y
    if o.focal_alpha is not None:
        a, b = mpf(o.focal_alpha) * a, (1 - mpf(o.focal_alpha)) * b
    a = times(a, mpmath.exp(-gamma * v)) if gamma else a
    b = times(b, mpmath.exp(-gamma * u)) if gamma else b
    down = times(a, du + (gamma * u * dv if gamma else 0))
    up = times(b, dv + (gamma * v * du if gamma else 0))
    row = {
        "loss": Truth(times(a, u) + times(b, v), abs(times(a, u)) + abs(times(b, v))),
        "grad": Truth(up - down, max(abs(up), abs(down))),
        "probability": positive(p),
    }
    bend = (a + b) * du * dv
    if o.rule == "residual":
        row["hess"] = Truth(abs(up - down), max(abs(up), abs(down)))
    elif o.rule:
        row["hess"] = positive(bend * (1 if o.rule == "exact" else 2))
    if v_given is not None:
        row["product"] = positive(bend * v_given)
    return row


BINARY = dict(
    pos_weight=None, ignore_index=None, nan_target="propagate", label_smoothing=0.0,
    focal_gamma=0.0, focal_alpha=None, reduction="mean", normalizer=None, sample_weight=None,
    upstream=1.0, rule=None, vector=None, clip=None,
)  # fmt: skip


def sigmoid_cross_entropy(logits, target, **options):
    return element_loss(logits, target, options, from_logit)


def binary_cross_entropy(probs, target, **options):
    return element_loss(probs, target, options, from_probability)


def element_loss(x, target, options, of_input):
    """Truths `loss`, `grad`, `probability`, and `hess` with a `rule`, `product` with a `vector`."""
    o = SimpleNamespace(**(BINARY | options))
    x, target = np.asarray(x), np.asarray(target)
    s, w = per_row(o.sample_weight, x.shape), per_row(o.pos_weight, x.shape)
    if o.ignore_index is not None:
        s[np.isin(target, o.ignore_index)] = 0
    if o.nan_target == "missing":
        s[np.isnan(target)] = 0
    results = {}
    for i in np.ndindex(x.shape):
        if s[i]:
            steep = abs(float(x[i])) if of_input is from_logit else 0
            with mpmath.workprec(GUARD + far(steep)):
                v = None if o.vector is None else mpf(float(o.vector[i]))
                numbers = (mpf(float(x[i])), mpf(float(target[i])), mpf(w[i]))
                results[i] = binary_element(*numbers, v, of_input, x.dtype, o)
    weights = {i: mpf(s[i]) for i in results}
    return gathered(results, weights, x.shape, s, o, lambda y: y)


# ---- building blocks, of one row or one number --------------------------------------------------


def of_row(x):
    with mpmath.workprec(softmax_bits(x, SimpleNamespace(temperature=1.0, softcap=None))):
        log_p, top, log_sum = log_probabilities(exact(x))
        return exp(log_p), log_p, Truth(top + log_sum, max(abs(top + log_sum), abs(top)))


def softmax(x):
    return positive(of_row(x)[0])


def log_softmax(x):
    return positive(of_row(x)[1])


def logsumexp(x, b=None):
    """log|sum of b_j e^(x_j)|, and with b its sign.

    With k the largest x of those whose b is not 0, it is x_k + log|b_k + R|, R the sum of the
    b_j e^(x_j - x_k) of the others. Near 1 the logarithm is b_k - 1 + R: terms that may cancel.
    """
    if b is None:
        return of_row(x)[2]
    with mpmath.workprec(GUARD + far(np.ptp(x))):
        x, b = exact(x)[b != 0], exact(b)[b != 0]
        top = int(np.argmax(x))
        terms = b * exp(x - x[top])
        value = total(terms)
        if value == 0:
            return Truth(-INF, mpf(1)), 0
        others = total(abs(terms)) - abs(terms[top])
        result = x[top] + mpmath.log(abs(value))
        size = max(abs(result), abs(x[top]), max(abs(abs(b[top]) - 1), others) / abs(value))
        return Truth(result, size), int(mpmath.sign(value))


def element_function(f):
    def function(x):
        with mpmath.workprec(GUARD + far(np.abs(x).max(initial=0))):
            return positive(np.frompyfunc(f, 1, 1)(exact(x)))

    return function


sigmoid = element_function(lambda x: 1 / (1 + mpmath.exp(-x)))
softplus = element_function(lambda x: mpmath.log(1 + mpmath.exp(x)))
log_sigmoid = element_function(lambda x: -mpmath.log(1 + mpmath.exp(-x)))
