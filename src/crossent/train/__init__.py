"""The compiled mini-batch loop: dense networks on NumPy arrays, trained without Python.

A network is a list of layers ``x @ W + b`` with an activation between them; the arrays are the
caller's own and change in place. Shuffling, gathering, forward pass, loss, backward pass and update
run in C with the GIL released, for whole epochs. The order of the rows depends on the seed alone
(SplitMix64 and Fisher-Yates, see csrc/train/data.c), and the results on nothing but it: not on the
number of threads, nor on which instruction set with fused multiply-add runs.

Where BLAS computes a product (weights of more than 4 MB, or processors without fused multiply-add),
it is SciPy's, and it must keep to one thread while the loop spreads pieces over its own. The loop
sees to that with threadpoolctl; without that package, set OPENBLAS_NUM_THREADS=1.
"""

from .history import DivergenceError, History
from .network import Network
from .optimizers import SGD, Adam, AdamW
from .schedules import Constant, Cosine, Steps, WarmUp

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Constant",
    "Cosine",
    "DivergenceError",
    "History",
    "Network",
    "Steps",
    "WarmUp",
]

for _name in __all__:
    globals()[_name].__module__ = __name__  # names in messages and pickles are the public ones
