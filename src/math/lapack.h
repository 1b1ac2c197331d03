/* Decompositions of small dense matrices, by OpenBLAS's LAPACK. Results are those of one library on one kind of CPU:
 * where ranks must agree, one of them computes. */
#ifndef IVF_MATH_LAPACK_H
#define IVF_MATH_LAPACK_H

#include <stdint.h>

/* Local, one thread. Eigenvectors of the symmetric a[d][d], row i of a being that of value[i], in ascending order.
 * About 2 d^2 doubles of memory beside a. MPIVF_FAILED when LAPACK cannot (values that are not finite) or for want of
 * memory. */
int ivf_eigenvectors(int d, double *a, double *value);

/* Local, one thread. The matrix q[n][m] with orthonormal rows (n <= m) or columns that is nearest to the transpose of
 * a[m][n]: V U^T for a = U S V^T, the solution of the orthogonal Procrustes problem (Schoenemann 1966). a is
 * destroyed. As above. */
int ivf_procrustes(int m, int n, double *a, double *q);

/* Local. Bytes that these take beside their arguments, by the sizes of LAPACK's documentation: dsyevd's 1 + 6 d + 2 d^2
 * doubles and 3 + 5 d integers; dgesdd's u, vt and some 4 k^2 + 7 k doubles for a lesser side of k. */
int64_t ivf_eigenvectors_memory(int d);
int64_t ivf_procrustes_memory(int m, int n);

#endif
