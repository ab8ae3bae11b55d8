/* Fortran's gemm, slow and obvious: what BLAS does for matrix.h. */
#ifndef CROSSENT_TESTS_GEMM_H
#define CROSSENT_TESTS_GEMM_H

#define GEMM(name, T) \
    static void name(const char *ta, const char *tb, const int *m, const int *n, const int *k, \
                     const T *alpha, const T *a, const int *lda, const T *b, const int *ldb, \
                     const T *beta, T *c, const int *ldc) \
    { \
        for (long j = 0; j < *n; j++) \
            for (long i = 0; i < *m; i++) { \
                double sum = 0; \
                for (long l = 0; l < *k; l++) \
                    sum += (double)(*ta == 'T' ? a[i * *lda + l] : a[l * *lda + i]) * \
                           (double)(*tb == 'T' ? b[l * *ldb + j] : b[j * *ldb + l]); \
                T *to = c + j * *ldc + i; \
                *to = (T)((double)*alpha * sum + (*beta == 0 ? 0 : (double)(*beta * *to))); \
            } \
    }
GEMM(sgemm, float)
GEMM(dgemm, double)

#endif
