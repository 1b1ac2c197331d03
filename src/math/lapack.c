/* Wrappers of LAPACK's Fortran symbols, which every OpenBLAS has; Debian's brings no header for them. LAPACK counts
 * matrices by columns: what is a[m][n] here is its transpose there. */
#include "math/lapack.h"

#include <cblas.h>
#include <stddef.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "math/gemm.h"

/* The lengths of character arguments follow the others. */
void dsyevd_(const char *job, const char *triangle, const blasint *n, double *a, const blasint *lda, double *value,
             double *work, const blasint *work_length, blasint *integers, const blasint *integers_length, blasint *info,
             size_t job_length, size_t triangle_length);
void dgesdd_(const char *job, const blasint *m, const blasint *n, double *a, const blasint *lda, double *s, double *u,
             const blasint *ldu, double *vt, const blasint *ldvt, double *work, const blasint *work_length,
             blasint *integers, blasint *info, size_t job_length);

static int refuse(const char *what, int d, blasint info)
{
    return ivf_fail(MPIVF_FAILED, "LAPACK's %s of a matrix of %d columns ended with %d", what, d, (int)info);
}

int ivf_eigenvectors(int d, double *a, double *value)
{
    const blasint n = d;
    const blasint ask = -1;
    double length = 0;
    blasint count = 0;
    blasint info = 0;
    ivf_gemm_settle();
    dsyevd_("V", "L", &n, a, &n, value, &length, &ask, &count, &ask, &info, 1, 1);
    const blasint work_length = (blasint)length;
    double *work = ivf_new((size_t)work_length, sizeof *work);
    blasint *integers = ivf_new((size_t)count, sizeof *integers);
    int rc = work == NULL || integers == NULL ? MPIVF_FAILED : MPIVF_OK;
    if (rc == MPIVF_OK) {
        dsyevd_("V", "L", &n, a, &n, value, work, &work_length, integers, &count, &info, 1, 1);
        rc = info == 0 ? MPIVF_OK : refuse("eigenvectors", d, info);
    }
    ivf_free(work);
    ivf_free(integers);
    return rc;
}

/* What dgesdd works with for an m by n matrix of least side k. */
typedef struct {
    double *s;  /* [k] */
    double *u;  /* m by k */
    double *vt; /* k by n */
    double *work;
    blasint *integers; /* [8 k] */
    blasint work_length;
} svd_space;

static int make_space(svd_space *space, blasint m, blasint n, blasint k, double *a)
{
    const blasint ask = -1;
    double length = 0;
    blasint info = 0;
    dgesdd_("S", &m, &n, a, &m, NULL, NULL, &m, NULL, &k, &length, &ask, NULL, &info, 1);
    space->work_length = (blasint)length;
    space->s = ivf_new((size_t)k, sizeof(double));
    space->u = ivf_new((size_t)m * (size_t)k, sizeof(double));
    space->vt = ivf_new((size_t)k * (size_t)n, sizeof(double));
    space->work = ivf_new((size_t)space->work_length, sizeof(double));
    space->integers = ivf_new(8 * (size_t)k, sizeof(blasint));
    return space->s == NULL || space->u == NULL || space->vt == NULL || space->work == NULL || space->integers == NULL
               ? MPIVF_FAILED
               : MPIVF_OK;
}

static void drop_space(svd_space *space)
{
    ivf_free(space->s);
    ivf_free(space->u);
    ivf_free(space->vt);
    ivf_free(space->work);
    ivf_free(space->integers);
}

int ivf_procrustes(int m, int n, double *a, double *q)
{
    /* By columns, a is the n by m matrix a^T = V S U^T, and q, which is wanted by rows, is the m by n matrix U V^T. */
    const blasint rows = n;
    const blasint columns = m;
    const blasint k = m < n ? m : n;
    svd_space space = {0};
    blasint info = 0;
    ivf_gemm_settle();
    int rc = make_space(&space, rows, columns, k, a);
    if (rc == MPIVF_OK) {
        dgesdd_("S", &rows, &columns, a, &rows, space.s, space.u, &rows, space.vt, &k, space.work, &space.work_length,
                space.integers, &info, 1);
        rc = info == 0 ? MPIVF_OK : refuse("singular values", m, info);
    }
    if (rc == MPIVF_OK)
        cblas_dgemm(CblasColMajor, CblasTrans, CblasTrans, columns, rows, k, 1.0, space.vt, k, space.u, rows, 0.0, q,
                    columns);
    drop_space(&space);
    return rc;
}

int64_t ivf_eigenvectors_memory(int d)
{
    const int64_t n = d;
    return 8 * (2 * n * n + 34 * n) + 4 * (5 * n + 3);
}

int64_t ivf_procrustes_memory(int m, int n)
{
    const int64_t k = m < n ? m : n;
    return 8 * (k * ((int64_t)m + n) + 4 * k * k + 71 * k) + 32 * k;
}
