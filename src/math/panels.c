/* Packing; the products are the level's (panels_*.c). */
#include "math/panels.h"

#include <math.h>
#include <stdbool.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "math/distance.h"
#include "math/kernels.h"

static void pack(ivf_panels *panels, const float *c, ivf_metric metric)
{
    int width = panels->kernels->width;
    int d = panels->d;
    for (int64_t i = 0; i < panels->count * width; i++) {
        float *to = panels->packed + i / width * width * d + i % width;
        bool padding = i >= panels->k;
        const float *from = padding ? NULL : c + i * d;
        for (int j = 0; j < d; j++)
            to[(int64_t)j * width] = padding ? 0.0F : from[j];
        if (padding)
            panels->bias[i] = -INFINITY;
        else
            panels->bias[i] = metric == IVF_L2 ? -0.5F * ivf_dot(from, from, d) : 0.0F;
    }
}

ivf_panels *ivf_panels_new(const float *c, int64_t k, int d, ivf_metric metric)
{
    if (k < 1 || k > INT32_MAX || d < 1) {
        (void)ivf_fail(MPIVF_FAILED, "internal error: %lld vectors of %d values cannot be packed", (long long)k, d);
        return NULL;
    }
    ivf_panels *panels = ivf_new_zero(1, sizeof *panels);
    if (panels == NULL)
        return NULL;
    panels->kernels = ivf_kernels_panels();
    panels->k = k;
    panels->d = d;
    panels->count = ivf_ceil_div(k, panels->kernels->width);
    size_t vectors = ivf_to_size(panels->count * panels->kernels->width);
    panels->packed = ivf_new(vectors, (size_t)d * sizeof *panels->packed);
    panels->bias = ivf_new(vectors, sizeof *panels->bias);
    if (panels->packed == NULL || panels->bias == NULL) {
        ivf_panels_free(panels);
        return NULL;
    }
    pack(panels, c, metric);
    return panels;
}

int64_t ivf_panels_memory(int64_t k, int d)
{
    return ivf_round_up(k, ivf_kernels_panels()->width) * ((int64_t)d + 1) * (int64_t)sizeof(float);
}

void ivf_panels_free(ivf_panels *panels)
{
    if (panels == NULL)
        return;
    ivf_free(panels->packed);
    ivf_free(panels->bias);
    ivf_free(panels);
}

void ivf_panels_best(const ivf_panels *panels, const float *x, int64_t n, int32_t *best, float *score)
{
    panels->kernels->best(panels, x, n, best, score);
}

void ivf_panels_scores(const ivf_panels *panels, const float *x, int64_t n, float *out)
{
    panels->kernels->scores(panels, x, n, out);
}
