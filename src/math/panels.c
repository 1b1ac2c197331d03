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

/* Where the pieces are in a block, which may be NULL; returns the bytes that they take. */
static size_t place(ivf_panels *panels, void *block)
{
    size_t used = 0;
    size_t vectors = ivf_to_size(panels->count * panels->kernels->width);
    panels->packed = ivf_memory_piece(block, &used, vectors * (size_t)panels->d * sizeof *panels->packed);
    panels->bias = ivf_memory_piece(block, &used, vectors * sizeof *panels->bias);
    return used;
}

static ivf_panels shape_of(int64_t k, int d)
{
    const ivf_panels_kernels *kernels = ivf_kernels_panels();
    return (ivf_panels){.kernels = kernels, .k = k, .d = d, .count = ivf_ceil_div(k, kernels->width)};
}

int64_t ivf_panels_memory(int64_t k, int d)
{
    ivf_panels shape = shape_of(k, d);
    return ivf_to_i64(place(&shape, NULL));
}

ivf_panels *ivf_panels_view(void *block, int64_t k, int d)
{
    if (k < 1 || k > INT32_MAX || d < 1) {
        (void)ivf_fail(MPIVF_FAILED, "internal error: %lld vectors of %d values cannot be packed", (long long)k, d);
        return NULL;
    }
    ivf_panels *panels = ivf_new_zero(1, sizeof *panels);
    if (panels == NULL)
        return NULL;
    *panels = shape_of(k, d);
    (void)place(panels, block);
    return panels;
}

ivf_panels *ivf_panels_pack(void *block, const float *c, int64_t k, int d, ivf_metric metric)
{
    ivf_panels *panels = ivf_panels_view(block, k, d);
    if (panels != NULL)
        pack(panels, c, metric);
    return panels;
}

ivf_panels *ivf_panels_new(const float *c, int64_t k, int d, ivf_metric metric)
{
    ivf_panels *panels = ivf_panels_view(NULL, k, d);
    if (panels == NULL)
        return NULL;
    panels->block = ivf_new(place(panels, NULL), 1);
    if (panels->block == NULL) {
        ivf_panels_free(panels);
        return NULL;
    }
    (void)place(panels, panels->block);
    pack(panels, c, metric);
    return panels;
}

void ivf_panels_free(ivf_panels *panels)
{
    if (panels == NULL)
        return;
    ivf_free(panels->block);
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

int64_t ivf_panels_scores_of(const ivf_panels *panels, int64_t first, int64_t end, const float *x, int64_t n,
                             float *out)
{
    const int width = panels->kernels->width;
    const int64_t begin = first / width * width;
    ivf_panels part = *panels;
    part.packed += begin * panels->d;
    part.bias += begin;
    part.k = end - begin;
    part.count = ivf_ceil_div(part.k, width);
    part.kernels->scores(&part, x, n, out);
    return begin;
}
