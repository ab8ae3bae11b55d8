"""Arrays to pointers."""
import numpy as np

from .. import _check, _errors

cnp.import_array()


cdef object to_real(object value, str name):
    return _check.real(name, value)


cdef object to_floating(object value, str name):
    return _check.floating(name, value)


cdef object to_data(object value, object target, str name):
    return _check.data(name, value, target)


cdef object empty_of(cnp.ndarray array, object shape):
    """A new array of the same dtype."""
    return np.empty(shape, (<object>array).dtype)


cdef int normalize_axis(long long given, int ndim, str name) except -1:
    if ndim == 0:
        raise ValueError(f"{_errors.have(name)} no dimensions; expected at least a class axis")
    if not -ndim <= given < ndim:
        raise ValueError(f"axis is {given}; expected {-ndim} <= axis < {ndim} for {name} of "
                         f"{ndim} dimensions")
    return <int>(given + ndim if given < 0 else given)


cdef int merge_rows(size_t *ndim, size_t *shape, crossent_array **arrays, int count) noexcept:
    """Merges neighbouring row dimensions that are one evenly strided run in every array."""
    cdef size_t d, kept = 0
    cdef int i
    cdef bint merges
    for d in range(ndim[0]):
        if shape[d] == 1:
            continue
        merges = kept > 0
        if merges:
            for i in range(count):
                if arrays[i].data != NULL and \
                        arrays[i].stride[kept - 1] != arrays[i].stride[d] * <ptrdiff_t>shape[d]:
                    merges = False
        if merges:
            shape[kept - 1] *= shape[d]
        else:
            shape[kept] = shape[d]
            kept += 1
        for i in range(count):
            arrays[i].stride[kept - 1] = arrays[i].stride[d]
    ndim[0] = kept
    return 0


cdef inline void extent(cnp.ndarray array, char **low, char **high) noexcept:
    """The bytes between which the array's elements lie."""
    cdef int d
    cdef ptrdiff_t span
    low[0] = <char *>cnp.PyArray_DATA(array)
    high[0] = low[0] + cnp.PyArray_ITEMSIZE(array)
    for d in range(cnp.PyArray_NDIM(array)):
        span = (cnp.PyArray_DIM(array, d) - 1) * cnp.PyArray_STRIDE(array, d)
        if span < 0:
            low[0] += span
        else:
            high[0] += span


cdef int check_disjoint(cnp.ndarray out, cnp.ndarray other, str name, str or_itself="") except -1:
    """Refuses an `out` that shares elements with another argument; `or_itself` ends the message.
    Without an `out`, or without elements, nothing is shared."""
    cdef char *low_a = NULL
    cdef char *high_a = NULL
    cdef char *low_b = NULL
    cdef char *high_b = NULL
    if out is None or cnp.PyArray_SIZE(out) == 0 or cnp.PyArray_SIZE(other) == 0:
        return 0
    extent(out, &low_a, &high_a)
    extent(other, &low_b, &high_b)
    if low_a < high_b and low_b < high_a:
        if np.shares_memory(out, other):
            raise ValueError(f"out overlaps {name} in memory; expected an array of its own"
                             f"{or_itself}")
    return 0


cdef bint same_layout(cnp.ndarray a, cnp.ndarray b) noexcept:
    """The same elements at the same addresses, for arrays of one shape and dtype."""
    cdef int d
    if cnp.PyArray_DATA(a) != cnp.PyArray_DATA(b):
        return False
    for d in range(cnp.PyArray_NDIM(a)):
        if cnp.PyArray_STRIDE(a, d) != cnp.PyArray_STRIDE(b, d) and cnp.PyArray_DIM(a, d) > 1:
            return False
    return True


cdef cnp.ndarray new_like(cnp.ndarray array):
    return PyArray_NewLikeArray(array, cnp.NPY_KEEPORDER, NULL, 0)


cdef cnp.ndarray output_array(object out, cnp.ndarray logits, cnp.ndarray target, str name):
    """`out` checked, or a new array of the shape, dtype and memory order of `logits`, which the
    caller's function calls `name`."""
    cdef int d
    if out is None:
        return new_like(logits)
    if not cnp.PyArray_Check(out):
        raise TypeError(f"out is a {type(out).__name__}; expected a NumPy array")
    _check.refuse_masked("out", out)
    cdef cnp.ndarray array = out
    if cnp.PyArray_TYPE(array) != cnp.PyArray_TYPE(logits) \
            or not cnp.PyArray_ISBEHAVED_RO(array):
        raise TypeError(f"out has dtype {out.dtype}; expected that of {name}, {logits.dtype}, "
                        "aligned in memory")
    if not same_shape(array, logits):
        raise ValueError(f"out has shape {out.shape}; expected that of {name}, "
                         f"{(<object>logits).shape}")
    if not cnp.PyArray_ISWRITEABLE(array):
        raise ValueError("out is read-only; expected a writeable array")
    for d in range(cnp.PyArray_NDIM(array)):
        if cnp.PyArray_STRIDE(array, d) == 0 and cnp.PyArray_DIM(array, d) > 1 \
                and cnp.PyArray_SIZE(array) > 0:
            raise ValueError(f"out repeats its elements along axis {d} (stride 0); expected an "
                             "array whose elements are distinct in memory")
    if array is not logits and not same_layout(array, logits):
        check_disjoint(array, logits, name, f", or {name} itself")
    if target is not None:
        check_disjoint(array, target, "target")
    return array


cdef cnp.ndarray vector_array(object vector, cnp.ndarray logits, cnp.ndarray out):
    """What a Hessian multiplies: of the logits' shape, in memory `out` itself or apart from it."""
    cdef cnp.ndarray array = floating_array(vector, "vector")
    if not same_shape(array, logits):
        raise ValueError(f"vector has shape {(<object>array).shape}; expected that of logits, "
                         f"{(<object>logits).shape}")
    if cnp.PyArray_TYPE(array) != cnp.PyArray_TYPE(out) or not same_layout(array, out):
        check_disjoint(out, array, "vector")
    return array


cdef int too_many_dimensions(cnp.ndarray array, str name) except -1:
    if cnp.PyArray_NDIM(array) > CROSSENT_MAX_DIMS:
        raise ValueError(f"{_errors.have(name)} {cnp.PyArray_NDIM(array)} dimensions; expected at "
                         f"most {CROSSENT_MAX_DIMS}")
    return 0


cdef bint overwrites(cnp.ndarray out, cnp.ndarray data, dict extra) except -1:
    """Whether a call that ends in an error may leave its arguments changed, so that it cannot be
    made again: `out` is the data, or is added to."""
    if out is None:
        return False
    return cnp.PyArray_DATA(out) == cnp.PyArray_DATA(data) or bool(extra and extra.get("accumulate"))


cdef void *address(object array) noexcept:
    """Where the elements begin; NULL for None."""
    return NULL if array is None else cnp.PyArray_DATA(<cnp.ndarray>array)
