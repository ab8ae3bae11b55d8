# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: embedsignature=False, binding=True, freethreading_compatible=True
"""The boundary between Python and the C core.

a) Every argument is checked here, once; the core trusts what it is given.
b) Hot paths work on NumPy's C API. A typed memoryview would cost more than a small call.
c) A call's status becomes an exception in one function, `check`.
d) Whatever does not fit the hot path (array-likes, foreign byte order) is converted by `_check.py`
   and comes back through the same door.
"""
cimport cython
cimport numpy as cnp
from libc.math cimport NAN
from libc.stdint cimport int64_t
from libc.string cimport memset

from crossent.crossent cimport *

import numpy as np

from . import _check, _errors

cnp.import_array()

include "arrays.pxi"
include "machine.pxi"
include "base.pxi"
include "softmax.pxi"
include "sigmoid.pxi"
include "binary.pxi"
include "functions.pxi"
include "categorical.pxi"
include "train.pxi"
include "linear.pxi"
include "streaming.pxi"
