"""SoftmaxCrossEntropy with all its options: row by row, in longdouble, from the definitions.

A row with logits x (over temperature, then softcapped; of the classes that the mask keeps alone), p
the softmax of x, target t (one-hot for a label), class weights w, sample weight s:

    t'   = w_j ((1 - e) t_j + e / K)               e: label_smoothing, K: classes kept
    loss = s (sum of t'_j alpha_j (1 - p_j)^gamma (-log p_j)  +  z_loss logsumexp(x)^2)

Where smoothing_weight is "target", and e > 0, the row's weight stands for w_j s. Classes that the
mask leaves out have probability 0: a target with a share there has loss inf, and the gradient is
that of a logit of -inf. A row's weight is s times the mean of w under t; rows of weight 0 take no
part. The reduced loss is the sum of the others over a divisor; its gradient that of the sum of
upstream * loss over it.
"""

from types import SimpleNamespace

import numpy as np

LD = np.longdouble


def softmax_cross_entropy(
    logits,
    target,
    *,
    axis=-1,
    class_weight=None,
    ignore_index=(),
    class_mask=None,
    label_smoothing=0.0,
    smoothing="uniform",
    smoothing_weight="class",
    focal_gamma=0.0,
    focal_alpha=None,
    z_loss=0.0,
    softcap=None,
    temperature=None,
    reduction="mean",
    normalizer=None,
    sample_weight=None,
    upstream=1.0,
    rule="exact",
    vector=None,
):
    """All results; for the loss and each derivative the `..._terms` that it is a sum of, absolute.

    `product` is that of the Hessian with `vector`. Rows that take no part have loss 0, derivatives
    0, no statistics (NaN, -1, False).
    """
    x = np.moveaxis(np.asarray(logits), axis, -1)
    shape, classes = x.shape[:-1], x.shape[-1]
    mask = np.ones(x.shape, bool)
    if class_mask is not None and np.ndim(class_mask) == 1:
        mask &= class_mask
    elif class_mask is not None:
        mask &= np.moveaxis(np.broadcast_to(class_mask, logits.shape), axis, -1)
    target = np.asarray(target)
    labels = target.dtype.kind in "iub"
    t = one_hot(target % classes, classes) if labels else np.moveaxis(target, axis, -1)
    options = SimpleNamespace(
        w=per_class(class_weight, classes),
        alpha=per_class(focal_alpha, classes),
        smoothing=LD(label_smoothing),
        off_target=smoothing == "off_target",
        by_target=smoothing_weight == "target",
        gamma=LD(focal_gamma),
        z_loss=LD(z_loss),
        softcap=softcap,
        temperature=LD(1 if temperature is None else temperature),
        rule=rule,
    )
    v = np.zeros(x.shape) if vector is None else np.moveaxis(vector, axis, -1)
    s = np.broadcast_to(np.asarray(1 if sample_weight is None else sample_weight, LD), shape).copy()
    u = np.broadcast_to(np.asarray(upstream, LD), shape)
    if labels:
        s[np.isin(target, ignore_index)] = 0

    per_row = ("loss", "loss_terms", "logsumexp", "probability", "entropy")
    wide = ["grad", "hess", "target_grad", "product"]
    wide += [f"{name}_terms" for name in wide]
    got = {name: np.zeros(shape, LD) for name in per_row}
    got |= {name: np.zeros(x.shape, LD) for name in wide}
    got["argmax"], got["correct"] = np.full(shape, -1), np.zeros(shape, bool)
    for name in ("logsumexp", "probability", "entropy"):
        got[name][...] = np.nan
    weight, count = LD(0), 0
    for i in np.ndindex(shape):
        row_weight = s[i] * target_weight(t[i].astype(LD), options.w)
        if s[i] == 0 or row_weight == 0:
            continue
        weight, count = weight + row_weight, count + 1
        row = one_row(x[i].astype(LD), t[i].astype(LD), mask[i], v[i].astype(LD), options)
        if labels:
            row["probability"] = np.exp(row["log_p"][target[i]])
            row["correct"] = row["argmax"] == target[i]
        for name in got.keys() & row.keys():
            got[name][i] = row[name]
            if "loss" in name:
                got[name][i] *= s[i]
            elif name in wide:
                got[name][i] *= s[i] * (abs(u[i]) if "terms" in name else u[i])

    divisor = LD(1)
    if reduction == "mean":
        divisor = {None: weight, "weight": weight, "valid": count, "batch": s.size}.get(normalizer)
        divisor = LD(normalizer if divisor is None else divisor)
    for name in wide:
        got[name] = np.moveaxis(got[name] / (divisor if divisor else np.inf), -1, axis)
    if reduction != "none":
        with np.errstate(invalid="ignore"):
            for name in ("loss", "loss_terms"):
                got[name] = got[name].sum() / divisor
    return SimpleNamespace(**got, weight=weight, count=count)


def one_hot(labels, classes):
    t = np.zeros((*labels.shape, classes))
    np.put_along_axis(t, labels[..., None].astype(np.int64), 1, -1)
    return t


def per_class(values, classes):
    return np.broadcast_to(np.asarray(1 if values is None else values, LD), classes)


def target_weight(t, w):
    """The mean class weight under the target; what a row counts for in a mean."""
    return (w * t).sum() / t.sum() if t.sum() else LD(1)


def one_row(x, t, mask, v, o):
    """The row of sample weight 1; derivatives by the logits as they were given, of all classes."""
    row_weight, classes = target_weight(t, o.w), mask.sum()
    x, slope = x / o.temperature, np.ones(len(x), LD)
    if o.softcap is not None:
        ratio = x / LD(o.softcap)
        x, slope = o.softcap * np.tanh(ratio), 1 / np.cosh(ratio) ** 2
    x, slope = np.where(mask, x, -np.inf), np.where(mask, slope, 1) / o.temperature
    size = np.abs(x[mask]).max()

    with np.errstate(divide="ignore"):
        top, others = x.argmax(), x.copy()
        others[top] = -np.inf
        log_p = (x - x[top]) - np.log1p(np.exp(others - x[top]).sum())
        lse = x[top] - log_p[top]
        p, rest = np.exp(log_p), -np.expm1(log_p)

    e, kept_share = o.smoothing, 1 - o.smoothing
    if o.off_target:
        e, kept_share = (0, 1) if classes == 1 else (e, 1 - e - e / (classes - 1))
        shared = e / (classes - 1) if e else LD(0)
    else:
        shared = e / classes
    w = np.full(len(x), row_weight) if o.by_target and o.smoothing else o.w
    t = w * (kept_share * t + shared * mask)

    factor = o.alpha * rest**o.gamma
    with np.errstate(divide="ignore", invalid="ignore"):
        losses = np.where(t == 0, 0, t * factor * -log_p)
        extra = o.alpha * o.gamma * p * rest ** (o.gamma - 1) * -log_p
        slopes = factor + np.where(p * rest * o.gamma == 0, 0, extra)
    pull, push, z = t * slopes, p * (t * slopes).sum(), 2 * o.z_loss * lse * p
    z_terms = 2 * o.z_loss * (np.abs(lse) + size) * p
    curve = {
        "exact": t.sum() * p * rest,
        "upper": 2 * t.sum() * p * rest,
        "friedman": classes / LD(max(classes - 1, 1)) * t.sum() * p * rest,
        "residual": np.abs(t.sum() * p - t),
    }[o.rule]
    bend, v_top = t.sum() + 2 * o.z_loss * lse, v[top]
    v = np.where(mask, v - v_top, 0)  # 0 at the top, whose p may be close to 1
    mean = (p * v).sum()
    spread, whole = np.abs(v - mean), v_top + mean
    sizes = t.sum() + 2 * o.z_loss * (np.abs(lse) + size)
    with np.errstate(invalid="ignore"):
        by_target = np.where(kept_share * w * factor == 0, 0, kept_share * w * factor * -log_p)
    return {
        "loss": losses.sum() + o.z_loss * lse**2,
        "loss_terms": np.abs(losses).sum() + o.z_loss * size**2 + o.z_loss * lse**2,
        "grad": slope * (push - pull + z),
        "grad_terms": (push + pull + z_terms) / o.temperature,
        "hess": curve / o.temperature**2,
        "hess_terms": 2 * (t.sum() * p + t) / o.temperature**2,
        "product": p * (bend * (v - mean) + 2 * o.z_loss * whole) / o.temperature**2,
        "product_terms": p
        * (sizes * (spread + (p * spread).sum()) + 2 * o.z_loss * np.abs(whole))
        / o.temperature**2,
        "target_grad": by_target,
        "target_grad_terms": w * factor * (np.where(mask, np.abs(x), 0) + np.abs(lse)),
        "log_p": log_p,
        "logsumexp": lse,
        "entropy": np.where(p == 0, 0, p * np.where(mask, -log_p, 0)).sum(),
        "argmax": top,
    }
