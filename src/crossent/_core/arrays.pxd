cimport numpy as cnp

from crossent.crossent cimport *

cdef extern from "numpy/arrayobject.h":
    enum: NPY_HALF
    cnp.ndarray PyArray_NewLikeArray(cnp.ndarray, cnp.NPY_ORDER, void *dtype, int subclass)

cdef enum:
    NOGIL_ELEMENTS = 8192     # below this, releasing the GIL costs more than it gives

cdef object to_real(object value, str name)
cdef object to_floating(object value, str name)
cdef object to_data(object value, object target, str name)
cdef object empty_of(cnp.ndarray array, object shape)
cdef int normalize_axis(long long given, int ndim, str name) except -1
cdef int merge_rows(size_t *ndim, size_t *shape, crossent_array **arrays, int count) noexcept
cdef int check_disjoint(cnp.ndarray out, cnp.ndarray other, str name, str or_itself=*) except -1
cdef bint same_layout(cnp.ndarray a, cnp.ndarray b) noexcept
cdef cnp.ndarray new_like(cnp.ndarray array)
cdef cnp.ndarray output_array(object out, cnp.ndarray logits, cnp.ndarray target, str name)
cdef cnp.ndarray vector_array(object vector, cnp.ndarray logits, cnp.ndarray out)
cdef int too_many_dimensions(cnp.ndarray array, str name) except -1
cdef bint overwrites(cnp.ndarray out, cnp.ndarray data, dict extra) except -1
cdef void *address(object array) noexcept


cdef inline object real_array(object value, str name):
    """float32 or float64, native and aligned; the array itself where it is that already."""
    cdef int kind
    if cnp.PyArray_CheckExact(value):
        kind = cnp.PyArray_TYPE(<cnp.ndarray>value)
        if (kind == cnp.NPY_FLOAT or kind == cnp.NPY_DOUBLE) \
                and cnp.PyArray_ISBEHAVED_RO(<cnp.ndarray>value):
            return value
    return to_real(value, name)


cdef inline bint is_floating(object value) noexcept:
    """An array of float32, float64 or float16 that is used as it is; subclasses, such as masked
    arrays, are looked at first."""
    cdef int kind
    if not cnp.PyArray_CheckExact(value):
        return False
    kind = cnp.PyArray_TYPE(<cnp.ndarray>value)
    return (kind == cnp.NPY_FLOAT or kind == cnp.NPY_DOUBLE or kind == NPY_HALF) \
        and cnp.PyArray_ISBEHAVED_RO(<cnp.ndarray>value)


cdef inline object floating_array(object value, str name):
    """float32, float64, float16 or bfloat16."""
    return value if is_floating(value) else to_floating(value, name)


cdef inline object data_array(object value, object target, str name):
    """The same, for what a loss is computed of: a message may ask whether it is the target."""
    return value if is_floating(value) else to_data(value, target, name)


cdef inline crossent_dtype dtype_of(cnp.ndarray array) noexcept:
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


cdef inline void view(crossent_array *to, cnp.ndarray array, int axis) noexcept:
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


cdef inline bint same_shape(cnp.ndarray a, cnp.ndarray b) noexcept:
    cdef int d
    if cnp.PyArray_NDIM(a) != cnp.PyArray_NDIM(b):
        return False
    for d in range(cnp.PyArray_NDIM(a)):
        if cnp.PyArray_DIM(a, d) != cnp.PyArray_DIM(b, d):
            return False
    return True
