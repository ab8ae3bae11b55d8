"""Calls that type checkers must refuse, each where it says so."""

import numpy as np

import crossent
from crossent.train import SGD, Network

z = np.zeros((4, 3), np.float32)
y = np.array([0, 1, 2, 0])

crossent.softmax_cross_entropy(z, y, lable_smoothing=0.1)  # wrong: misspelled
crossent.softmax_cross_entropy(z, y, 0.1)  # wrong: options are named
crossent.softmax_cross_entropy(z, y, out=z)  # wrong: there is no gradient
crossent.softmax_cross_entropy(z, y, reduction="avg")  # wrong: no such reduction
crossent.softmax_cross_entropy(z, y, weight=[1, 2, 3])  # wrong: another library's name
crossent.softmax_cross_entropy(z)  # wrong: no target
crossent.softmax_cross_entropy_value_and_grad(z, y, axis="last")  # wrong: no number
crossent.sigmoid_cross_entropy(z, z, axis=0)  # wrong: it has no classes
crossent.binary_cross_entropy(z, z, clip="tensorflow")  # wrong: no such way
crossent.binary_cross_entropy(z, z, nonfinite="zero")  # wrong: from logits only
crossent.categorical_cross_entropy(z, y, return_aux="entropy")  # wrong: from logits only
crossent.SoftmaxCrossEntropy("mean")  # wrong: options are named
crossent.SoftmaxCrossEntropy(sample_weight=[1.0])  # wrong: of a call
crossent.SoftmaxCrossEntropy(label_smoothing="0.1")  # wrong: no number
crossent.SoftmaxCrossEntropy().forward(z, y, label_smoothing=0.1)  # wrong: of the class
crossent.SoftmaxCrossEntropy().grad_and_hess(z, y, rule="newton")  # wrong: no such rule
crossent.SigmoidCrossEntropy().value_and_grad(z, z, class_mask=[True])  # wrong: no classes
crossent.softmax(z, dim=1)  # wrong: another library's name
crossent.linear_cross_entropy(z, z, y, axis=0)  # wrong: rows are the first axis
crossent.set_num_threads("2")  # wrong: no number
Network([(z, None)], activation=1)  # wrong: no name
Network([(z, None)]).fit(z, y, epoch=3)  # wrong: misspelled
SGD(learning_rate=0.1)  # wrong: another library's name
