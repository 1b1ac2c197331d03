/* Distances: the public functions over the kernels of the level in use. */
#include "math/distance.h"

#include "math/kernels.h"

float ivf_l2_sqr(const float *x, const float *y, int d)
{
    float key = 0;
    ivf_kernels_distance()->l2_f32(x, y, 1, d, &key);
    return key;
}

float ivf_dot(const float *x, const float *y, int d)
{
    float key = 0;
    ivf_kernels_distance()->dot_f32(x, y, 1, d, &key);
    return 0.0F - key;
}

void ivf_keys_f32(ivf_metric metric, const float *query, const float *rows, int64_t n, int d, float *keys)
{
    const ivf_distance_kernels *kernels = ivf_kernels_distance();
    (metric == IVF_L2 ? kernels->l2_f32 : kernels->dot_f32)(query, rows, n, d, keys);
}

void ivf_keys_f16(ivf_metric metric, const float *query, const uint16_t *rows, int64_t n, int d, float *keys)
{
    const ivf_distance_kernels *kernels = ivf_kernels_distance();
    (metric == IVF_L2 ? kernels->l2_f16 : kernels->dot_f16)(query, rows, n, d, keys);
}
