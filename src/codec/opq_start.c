/* Where OPQ starts: principal components, each given to the sub-vector whose variances have the smallest product so far
 * and that has room ("eigenvalue allocation", Ge et al. 2013, section 4.2). */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "codec/opq_work.h"
#include "math/lapack.h"

/* Of the largest eigenvalue: smaller ones are noise of the sums. */
static const double LEAST_VARIANCE = 1e-7;

static void covariance(const ivf_opq_work *w, int64_t rows, double *c)
{
    const size_t d = w->d;
    const int64_t *sums = w->sums + d * d;
    for (size_t i = 0; i < d; i++)
        for (size_t j = 0; j < d; j++) {
            const double mean_i = (double)sums[i] / w->value_unit / (double)rows;
            const double mean_j = (double)sums[j] / w->value_unit / (double)rows;
            const double both = (double)w->sums[i * d + j] / 2 + (double)w->sums[j * d + i] / 2;
            c[i * d + j] = both / w->product_unit / (double)rows - mean_i * mean_j;
        }
}

/* The sub-vector with room whose logarithms add up to the least. */
static size_t emptiest(const ivf_opq_work *w, const double *logarithms, const size_t *taken)
{
    size_t best = w->m;
    for (size_t sub = 0; sub < w->m; sub++)
        if (taken[sub] < w->dsub && (best == w->m || logarithms[sub] < logarithms[best]))
            best = sub;
    return best;
}

/* Rows of the rotation from eigenvectors c[d][d] in ascending order of their values; beyond d they are zero. */
static void allocate(ivf_opq_work *w, const double *c, const double *value, double *logarithms, size_t *taken)
{
    const double largest = value[w->d - 1] > 0 ? value[w->d - 1] : 1;
    memset(w->rotation, 0, w->d * w->d_out * sizeof *w->rotation);
    memset(logarithms, 0, w->m * sizeof *logarithms);
    memset(taken, 0, w->m * sizeof *taken);
    for (size_t i = 0; i < w->d && i < w->d_out; i++) {
        const size_t from = w->d - 1 - i;
        const size_t sub = emptiest(w, logarithms, taken);
        float *to = w->rotation + (sub * w->dsub + taken[sub]++) * w->d;
        logarithms[sub] += log(fmax(value[from] / largest, LEAST_VARIANCE) / LEAST_VARIANCE);
        for (size_t j = 0; j < w->d; j++)
            to[j] = (float)c[from * w->d + j];
    }
}

int ivf_opq_start(ivf_opq_work *w, int64_t rows)
{
    double *c = ivf_new(w->d * w->d, sizeof *c);
    double *value = ivf_new(w->d + w->m, sizeof *value);
    size_t *taken = ivf_new(w->m, sizeof *taken);
    int rc = c == NULL || value == NULL || taken == NULL ? MPIVF_FAILED : MPIVF_OK;
    if (rc == MPIVF_OK) {
        covariance(w, rows, c);
        rc = ivf_eigenvectors((int)w->d, c, value);
    }
    if (rc == MPIVF_OK)
        allocate(w, c, value, value + w->d, taken);
    ivf_free(c);
    ivf_free(value);
    ivf_free(taken);
    return rc;
}
