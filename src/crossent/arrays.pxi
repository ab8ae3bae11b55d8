# Arrays to pointers.

cdef extern from "numpy/arrayobject.h":
    enum: NPY_HALF
    cnp.ndarray PyArray_NewLikeArray(cnp.ndarray, cnp.NPY_ORDER, void *dtype, int subclass)


cdef enum:
    NOGIL_ELEMENTS = 8192     # below this, releasing the GIL costs more than it gives


cdef inline object real_array(object value, str name):
    """float32 or float64, native and aligned; the array itself where it is that already."""
    cdef int kind
    if cnp.PyArray_Check(value):
        kind = cnp.PyArray_TYPE(<cnp.ndarray>value)
        if (kind == cnp.NPY_FLOAT or kind == cnp.NPY_DOUBLE) \
                and cnp.PyArray_ISBEHAVED_RO(<cnp.ndarray>value):
            return value
    return _check.real(name, value)


cdef inline object floating_array(object value, str name):
    """float32, float64, float16 or bfloat16."""
    cdef int kind
    if cnp.PyArray_Check(value):
        kind = cnp.PyArray_TYPE(<cnp.ndarray>value)
        if (kind == cnp.NPY_FLOAT or kind == cnp.NPY_DOUBLE or kind == NPY_HALF) \
                and cnp.PyArray_ISBEHAVED_RO(<cnp.ndarray>value):
            return value
    return _check.floating(name, value)


cdef object empty_of(cnp.ndarray array, object shape):
    """A new array of the same dtype."""
    return np.empty(shape, (<object>array).dtype)


cdef crossent_dtype dtype_of(cnp.ndarray array) noexcept:
    """The array must hold integers, booleans or one of our floating-point types."""
    cdef int kind = cnp.PyArray_TYPE(array)
    cdef bint signed = cnp.PyTypeNum_ISSIGNED(kind)
    if kind == cnp.NPY_FLOAT:
        return CROSSENT_F32
    if kind == cnp.NPY_DOUBLE:
        return CROSSENT_F64
    if kind == NPY_HALF:
        return CROSSENT_F16
    if kind >= cnp.NPY_VOID:
        return CROSSENT_BF16
    size = cnp.PyArray_ITEMSIZE(array)
    if size == 1:
        return CROSSENT_I8 if signed else CROSSENT_U8
    if size == 2:
        return CROSSENT_I16 if signed else CROSSENT_U16
    if size == 4:
        return CROSSENT_I32 if signed else CROSSENT_U32
    return CROSSENT_I64 if signed else CROSSENT_U64


cdef int normalize_axis(long long given, int ndim) except -1:
    if ndim == 0:
        raise ValueError("logits have no dimensions; expected at least a class axis")
    if not -ndim <= given < ndim:
        raise ValueError(f"axis is {given}; expected {-ndim} <= axis < {ndim} for logits of "
                         f"{ndim} dimensions")
    return <int>(given + ndim if given < 0 else given)


cdef void view(crossent_array *to, cnp.ndarray array, int axis) noexcept:
    """The array as rows x classes; `axis` is -1 for an array that has no class axis."""
    cdef int d, row = 0
    to.data = <char *>cnp.PyArray_DATA(array)
    to.dtype = dtype_of(array)
    to.step = 0
    for d in range(cnp.PyArray_NDIM(array)):
        if d == axis:
            to.step = cnp.PyArray_STRIDE(array, d)
        else:
            to.stride[row] = cnp.PyArray_STRIDE(array, d)
            row += 1


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


cdef int _refuse_overlap(object out, object other, str name) except -1:
    """Their extents meet: do they share an element?"""
    if np.shares_memory(out, other):
        raise ValueError(f"out overlaps {name} in memory; expected an array of its own"
                         + (", or the logits themselves" if name == "logits" else ""))
    return 0


cdef int check_disjoint(cnp.ndarray out, cnp.ndarray other, str name) except -1:
    cdef char *low_a = NULL
    cdef char *high_a = NULL
    cdef char *low_b = NULL
    cdef char *high_b = NULL
    extent(out, &low_a, &high_a)
    extent(other, &low_b, &high_b)
    if low_a < high_b and low_b < high_a:
        _refuse_overlap(out, other, name)
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


cdef bint same_shape(cnp.ndarray a, cnp.ndarray b) noexcept:
    cdef int d
    if cnp.PyArray_NDIM(a) != cnp.PyArray_NDIM(b):
        return False
    for d in range(cnp.PyArray_NDIM(a)):
        if cnp.PyArray_DIM(a, d) != cnp.PyArray_DIM(b, d):
            return False
    return True


cdef cnp.ndarray new_like(cnp.ndarray array):
    return PyArray_NewLikeArray(array, cnp.NPY_KEEPORDER, NULL, 0)


cdef cnp.ndarray output_array(object out, cnp.ndarray logits, cnp.ndarray target):
    """`out` checked, or a new array of the logits' shape, dtype and memory order."""
    cdef int d
    if out is None:
        return new_like(logits)
    if not cnp.PyArray_Check(out):
        raise TypeError(f"out is a {type(out).__name__}; expected a NumPy array")
    cdef cnp.ndarray array = out
    if cnp.PyArray_TYPE(array) != cnp.PyArray_TYPE(logits) \
            or not cnp.PyArray_ISBEHAVED_RO(array):
        raise TypeError(f"out has dtype {out.dtype}; expected that of logits, {logits.dtype}, "
                        "aligned in memory")
    if not same_shape(array, logits):
        raise ValueError(f"out has shape {out.shape}; expected that of logits, "
                         f"{(<object>logits).shape}")
    if not cnp.PyArray_ISWRITEABLE(array):
        raise ValueError("out is read-only; expected a writeable array")
    for d in range(cnp.PyArray_NDIM(array)):
        if cnp.PyArray_STRIDE(array, d) == 0 and cnp.PyArray_DIM(array, d) > 1:
            raise ValueError(f"out repeats its elements along axis {d} (stride 0); expected an "
                             "array whose elements are distinct in memory")
    if array is not logits and not same_layout(array, logits):
        check_disjoint(array, logits, "logits")
    if target is not None and cnp.PyArray_SIZE(target) > 0:
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


cdef int too_many_dimensions(cnp.ndarray array) except -1:
    if cnp.PyArray_NDIM(array) > CROSSENT_MAX_DIMS:
        raise ValueError(f"logits have {cnp.PyArray_NDIM(array)} dimensions; expected at most "
                         f"{CROSSENT_MAX_DIMS}")
    return 0
