"""Logits are neither copied nor doubled."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

import crossent

pytest.importorskip("resource")

# The last lines prove that the measure sees a copy.
IN_PLACE = """
import resource, sys
import numpy as np, crossent

def peak():
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

z = np.full({shape}, 0.5, np.float32, order="{order}")
y = np.zeros({shape}[0], np.intp)
assert peak() > z.nbytes
before = peak()
crossent.softmax_cross_entropy_value_and_grad(z, y, out=z)
print(peak() - before)
before = peak()
z.copy()
assert peak() - before > 0.9 * z.nbytes
"""


@pytest.mark.parametrize(
    ("shape", "order"), [((100_000, 1000), "C"), ((2000, 50_000), "C"), ((10_000_000, 10), "F")]
)
def test_the_gradient_in_place_of_400_mb_of_logits_takes_no_memory(shape, order):
    code = IN_PLACE.format(shape=shape, order=order)
    run = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120
    )
    assert int(run.stdout) < 16 * 2**20


LAYOUTS = {
    "C": lambda z: z,
    "F": lambda z: z.copy(order="F"),
    "every second row": lambda z: z.repeat(2, 0)[::2],
    "every second class": lambda z: z.repeat(2, 1)[:, ::2],
    "backwards": lambda z: z[::-1, ::-1],
    "three dimensions": lambda z: z.reshape(10, -1, z.shape[1]),
}


@pytest.mark.parametrize("shape", [(3000, 1000), (300_000, 10)])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_logits_of_any_layout_are_not_copied(layout, shape, dtype, num_threads):
    """Labels of any integer type neither. NumPy reports all its memory to tracemalloc."""
    num_threads(1)
    z = LAYOUTS[layout](np.zeros(shape, dtype))
    y, out = np.zeros(z.shape[:-1], np.int8), np.empty_like(z)
    binary = np.zeros(z.shape, np.uint8)
    for call in (
        lambda: crossent.softmax_cross_entropy_value_and_grad(z, y, out=out),
        lambda: crossent.softmax_cross_entropy(z, y),
        lambda: crossent.softmax(z, out=out),
        lambda: crossent.log_softmax(z, out=out),
        lambda: crossent.sigmoid_cross_entropy_value_and_grad(z, binary, out=out),
        lambda: crossent.sigmoid(z, out=out),
    ):
        tracemalloc.start()
        call()
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 10_000
