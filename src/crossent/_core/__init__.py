"""The boundary between Python and the C core: one module for each topic.

a) Every argument is checked here or in `_check`, once; the core trusts what it is given.
b) Hot paths work on NumPy's C API. A typed memoryview would cost more than a small call.
c) A call's status becomes an exception in one function, `_errors.of_status`.
d) Whatever does not fit the hot path (array-likes, foreign byte order) is converted by `_check.py`
   and comes back through the same door.
e) The C core is one shared library beside these modules, so that the instruction set and the number
   of threads exist once in the process.
"""

from .binary import (
    BinaryCrossEntropy,
    binary_cross_entropy,
    binary_cross_entropy_grad,
    binary_cross_entropy_value_and_grad,
)
from .categorical import (
    CategoricalCrossEntropy,
    categorical_cross_entropy,
    categorical_cross_entropy_grad,
    categorical_cross_entropy_value_and_grad,
)
from .functions import (
    _logsumexp_wide,
    log_sigmoid,
    log_softmax,
    logsumexp,
    sigmoid,
    softmax,
    softplus,
)
from .linear import _ignored_labels, _Linear, _mean_divisor, _reduced, _run_part
from .loop import ACTIVATIONS, SAMPLINGS, _Loop, _scaling_of
from .loss import _rebuild
from .machine import (
    _use_isa,
    available_isas,
    get_num_threads,
    isa,
    set_num_threads,
    show_config,
)
from .sigmoid import (
    SigmoidCrossEntropy,
    sigmoid_cross_entropy,
    sigmoid_cross_entropy_grad,
    sigmoid_cross_entropy_value_and_grad,
)
from .softmax import (
    SoftmaxCrossEntropy,
    softmax_cross_entropy,
    softmax_cross_entropy_grad,
    softmax_cross_entropy_value_and_grad,
)
from .streaming import _sums_log, _sums_merged, _sums_of, _tally
