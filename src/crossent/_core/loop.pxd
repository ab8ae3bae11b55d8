from crossent._core.training cimport matrix_blas

cdef int find_blas(matrix_blas *blas) except -1
