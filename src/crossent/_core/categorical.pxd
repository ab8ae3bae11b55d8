cdef int clip_bounds(object clip, object dtype, double *low, double *high) except -1
