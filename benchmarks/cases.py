"""The cases that the benchmarks share: (rows, classes) and element counts."""

import numpy as np

SOFTMAX = [(32, 10), (4096, 10), (4096, 100), (256, 1000), (512, 50257)]
SIGMOID = [100, 10_000, 1_000_000]
DTYPES = ["float32", "float64"]


def softmax_data(rows, classes, dtype, seed=0):
    """Logits of scale 3 and labels drawn evenly."""
    rng = np.random.default_rng(seed)
    logits = (rng.standard_normal((rows, classes)) * 3).astype(dtype)
    return logits, rng.integers(0, classes, rows)


def sigmoid_data(n, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(n) * 3).astype(dtype), (rng.random(n) < 0.5).astype(dtype)
