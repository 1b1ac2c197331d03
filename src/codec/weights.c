/* Weights for integer products, and what rounding them leaves. */
#include "codec/weights.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/numbers.h"

static float largest_number(const ivf_codec_grid *grid)
{
    return (float)((1 << grid->bits) - 1);
}

/* The largest weight with which no sum of products leaves 32 bits. */
static float largest_weight(const ivf_codec_grid *grid)
{
    const int64_t numbers = ((int64_t)1 << grid->bits) - 1;
    return (float)ivf_min_i64(ivf_scan_weight_max(), INT32_MAX / (numbers * grid->d));
}

/* w[d], the sum of their magnitudes, and the constant without rounding; returns the largest magnitude. */
static float products_with_steps(const ivf_codec_grid *grid, float factor, const float *query, float *w,
                                 double *constant, double *size)
{
    float most = 0;
    *constant = 0;
    *size = 0;
    for (int j = 0; j < grid->d; j++) {
        float q = factor * query[j];
        float middle = grid->min[j] + grid->shift * grid->step[j];
        w[j] = q * grid->step[j];
        *constant += (double)q * (double)middle;
        *size += fabs((double)q) * fabs((double)middle) + fabs((double)w[j]) * (double)largest_number(grid);
        most = fmaxf(most, fabsf(w[j]));
    }
    return most;
}

void ivf_codec_weigh(const ivf_codec_grid *grid, ivf_metric metric, const float *query, ivf_probe *probe,
                     int8_t *weight, float *scratch)
{
    float *w = scratch;
    double constant = 0;
    double size = 0;
    double rest = 0;
    double squares = 0;
    float most = products_with_steps(grid, metric == IVF_L2 ? -2.0F : -1.0F, query, w, &constant, &size);
    memset(weight, 0, ivf_to_size(ivf_round_up(grid->d, IVF_SCAN_GROUP)));
    if (!(size < FLT_MAX)) {
        probe->constant = -INFINITY;
        return;
    }
    float scale = most / largest_weight(grid);
    float inverse = scale > FLT_MIN ? 1 / scale : 0;
    for (int j = 0; j < grid->d; j++) {
        float rounded = rintf(w[j] * inverse);
        double left = (double)w[j] - (double)scale * (double)rounded;
        weight[j] = (int8_t)rounded;
        rest += left;
        squares += left * left;
    }
    probe->scale = scale;
    probe->constant = (float)(constant + rest * (double)largest_number(grid) / 2);
    probe->slope = (float)(sqrt(squares) * (1 + 1e-6));
    probe->size = (float)size;
}
