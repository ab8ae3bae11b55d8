"""Calls that type checkers must accept, and what they must know of the results."""

from typing import Any, assert_type

import numpy as np
import numpy.typing as npt

import crossent
import crossent.train

Array = npt.NDArray[Any]
z = np.zeros((4, 3), np.float32)
y = np.array([0, 1, 2, 0])

assert_type(crossent.softmax_cross_entropy(z, y), np.float64)
assert_type(crossent.softmax_cross_entropy(z, y, reduction="batchmean"), np.float64)
assert_type(crossent.softmax_cross_entropy_grad(z, y, out=z, label_smoothing=0.1), Array)
assert_type(crossent.softmax_cross_entropy(z, y, reduction="none"), Array)
assert_type(crossent.softmax_cross_entropy_value_and_grad(z, y, out=z), tuple[np.float64, Array])
assert_type(
    crossent.softmax_cross_entropy(z, y, return_aux=("entropy", "argmax")),
    tuple[Any, dict[str, Any]],
)
assert_type(
    crossent.sigmoid_cross_entropy_value_and_grad(z, z, reduction="none"), tuple[Array, Array]
)
assert_type(crossent.binary_cross_entropy([0.5], [1], clip="torch", pos_weight=[2]), np.float64)
assert_type(crossent.categorical_cross_entropy(z, y, clip=1e-15, normalize_rows=True), np.float64)
crossent.softmax_cross_entropy(
    z, y, axis=1, class_weight=[1, 2, 3], sample_weight=np.ones(4), ignore_index=(1, -100),
    class_mask=[True, True, False], label_smoothing=0.1, smoothing="off_target",
    smoothing_weight="target", focal_gamma=2, focal_alpha=0.25, z_loss=1e-4, temperature=2,
    softcap=30, normalizer="valid", empty="zero", nonfinite="warn", upstream=2, threads=1,
)  # fmt: skip

xent = crossent.SoftmaxCrossEntropy(label_smoothing=0.1)
xent.forward(z, y, sample_weight=[1, 2, 3, 4])
assert_type(xent.backward(2.0), Array)
assert_type(xent.grad(z, y), Array)
assert_type(crossent.softmax(z, None), Array)
assert_type(xent.grad_and_hess(z, y, rule="upper"), tuple[Array, Array])
assert_type(xent.hessian_vector(z, y, z), Array)

loss, (dx, dweight, dbias) = crossent.linear_cross_entropy_value_and_grad(z, np.eye(3), y, chunk=2)
assert_type(loss, np.float64)
assert_type(dweight, Array)
assert_type(crossent.logsumexp(z, axis=(0, 1), keepdims=True), Any)

net = crossent.train.Network.create([3, 8, 3], activation="gelu", seed=0)
history = net.fit(z, y, loss=xent, optimizer=crossent.train.AdamW(1e-3), epochs=1)
assert_type(history.loss, list[float])
assert_type(net.evaluate(z, y), tuple[float, float])
