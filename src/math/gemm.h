/* Matrix products through CBLAS. */
#ifndef IVF_MATH_GEMM_H
#define IVF_MATH_GEMM_H

#include <stdint.h>

/* Local, one thread. c[m][ldc] = a[m][d] . b[n][d]^T, the first n columns of each row of c. Sizes must fit BLAS's
 * integer (ends the program otherwise: callers work in blocks). */
void ivf_gemm_nt(int64_t m, int64_t n, int64_t d, const float *a, const float *b, float *c, int64_t ldc);

/* Local, one thread. c[m][n] = a[k][m]^T . b[k][n]. The same. */
void ivf_gemm_tn(int64_t m, int64_t n, int64_t k, const float *a, const float *b, float *c);

/* Local. Tells OpenBLAS to use one thread; every caller of BLAS or LAPACK in math/ does so first. */
void ivf_gemm_settle(void);

#endif
