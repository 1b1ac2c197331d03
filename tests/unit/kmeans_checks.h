/* What the tests of k-means share. */
#ifndef TEST_KMEANS_CHECKS_H
#define TEST_KMEANS_CHECKS_H

#include <check.h>
#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "base/rng.h"
#include "cluster/kmeans.h"
#include "mpivf/error.h"

static ivf_kmeans_report report;

static inline ivf_kmeans_params params_of(int32_t k, int d)
{
    return (ivf_kmeans_params){
        .k = k, .d = d, .metric = IVF_L2, .iterations = 10, .seed = 42, .stream = IVF_RNG_KMEANS};
}

static inline float *normals(int64_t n, int d, uint64_t seed)
{
    float *x = ivf_new((size_t)n * (size_t)d, sizeof *x);
    for (int64_t i = 0; i < n * d; i++)
        x[i] = (float)ivf_rng_normal(seed, IVF_RNG_TEST, (uint64_t)i);
    return x;
}

static inline double distance(const float *x, const float *y, int d)
{
    double sum = 0;
    for (int j = 0; j < d; j++)
        sum += ((double)x[j] - (double)y[j]) * ((double)x[j] - (double)y[j]);
    return sum;
}

/* The nearest centroid, by the definition. */
static inline int32_t nearest(const float *x, const float *centroids, int32_t k, int d, double *least)
{
    int32_t best = 0;
    *least = INFINITY;
    for (int32_t c = 0; c < k; c++) {
        double now = distance(x, centroids + (size_t)c * (size_t)d, d);
        if (now < *least) {
            *least = now;
            best = c;
        }
    }
    return best;
}

static inline double objective_of(const float *x, int64_t n, const float *centroids, int32_t k, int d, int64_t *sizes)
{
    double sum = 0;
    memset(sizes, 0, (size_t)k * sizeof *sizes);
    for (int64_t row = 0; row < n; row++) {
        double least;
        sizes[nearest(x + row * d, centroids, k, d, &least)]++;
        sum += least;
    }
    return sum;
}

#endif
