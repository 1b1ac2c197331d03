/* Checks and transforms of rows. Squared norms are ivf_dot's, so that a row gets the same verdict and the same scaled
 * values at every SIMD level. */
#include "math/rows.h"

#include <float.h>
#include <math.h>
#include <stdbool.h>

#include "math/distance.h"

static const char *const texts[IVF_ROW_REASONS] = {
    [IVF_ROW_OK] = "ok",
    [IVF_ROW_NOT_FINITE] = "not finite",
    [IVF_ROW_NORM_OVERFLOW] = "norm overflow",
    [IVF_ROW_ZERO_NORM] = "zero norm",
    [IVF_ROW_OUT_OF_RANGE] = "out of range",
};

static const char *const keys[IVF_ROW_REASONS] = {
    [IVF_ROW_OK] = "ok",
    [IVF_ROW_NOT_FINITE] = "not_finite",
    [IVF_ROW_NORM_OVERFLOW] = "norm_overflow",
    [IVF_ROW_ZERO_NORM] = "zero_norm",
    [IVF_ROW_OUT_OF_RANGE] = "out_of_range",
};

const char *ivf_row_reason_text(ivf_row_reason reason)
{
    return texts[reason];
}

const char *ivf_row_reason_key(ivf_row_reason reason)
{
    return keys[reason];
}

/* False for NaN as well. */
static bool all_within(const float *x, int d, float limit)
{
    int outside = 0;
    for (int i = 0; i < d; i++)
        outside |= !(fabsf(x[i]) <= limit);
    return outside == 0;
}

static ivf_row_reason judge(const float *x, int d, ivf_metric metric, float limit)
{
    float norm = ivf_dot(x, x, d);
    if (!(norm <= FLT_MAX)) /* a finite sum of squares has finite terms only */
        return all_within(x, d, FLT_MAX) ? IVF_ROW_NORM_OVERFLOW : IVF_ROW_NOT_FINITE;
    if (metric == IVF_COSINE && norm < FLT_MIN)
        return IVF_ROW_ZERO_NORM;
    return limit <= FLT_MAX && !all_within(x, d, limit) ? IVF_ROW_OUT_OF_RANGE : IVF_ROW_OK;
}

int64_t ivf_rows_check(const float *x, int64_t n, int d, ivf_metric metric, float limit, uint8_t *reason)
{
    int64_t refused = 0;
    for (int64_t i = 0; i < n; i++) {
        reason[i] = (uint8_t)judge(x + i * d, d, metric, limit);
        refused += reason[i] != IVF_ROW_OK;
    }
    return refused;
}

void ivf_rows_normalise(float *x, int64_t n, int d)
{
    for (int64_t i = 0; i < n; i++) {
        float *row = x + i * d;
        float norm = sqrtf(ivf_dot(row, row, d));
        for (int j = 0; j < d; j++)
            row[j] /= norm;
    }
}

void ivf_rows_residual(const float *x, int64_t n, int d, const float *centroids, const int32_t *list, float *out)
{
    for (int64_t i = 0; i < n; i++) {
        const float *row = x + i * d;
        const float *centroid = centroids + (int64_t)list[i] * d;
        float *to = out + i * d;
        for (int j = 0; j < d; j++)
            to[j] = row[j] - centroid[j];
    }
}
