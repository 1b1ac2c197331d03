/* Packing, and the choice of the p best; products are the level's (panels_*.c). */
#include "math/panels.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "math/distance.h"
#include "math/kernels.h"

/* Rows whose scores are held at once while the best are chosen: a register tile of the widest kernel. */
enum { TOP_ROWS = 12 };

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

/* One number for (score, c) that is smaller for the better: descending scores, then ascending c. Both zeros are one
 * score, and NaN counts as -INFINITY. */
static uint64_t rank_of(float score, int64_t c)
{
    float plain = score > -INFINITY ? score + 0.0F : -INFINITY;
    uint32_t bits = 0;
    memcpy(&bits, &plain, sizeof bits);
    uint32_t descending = (bits & 0x80000000) != 0 ? bits : ~bits & 0x7fffffff;
    return (uint64_t)descending << 32 | (uint32_t)c;
}

/* Puts `entry` where `heap[n]` has a hole at `hole`, letting larger children rise. */
static void sift_down(uint64_t *heap, int n, int hole, uint64_t entry)
{
    for (;;) {
        int child = 2 * hole + 1;
        if (child >= n)
            break;
        child += child + 1 < n && heap[child + 1] > heap[child];
        if (heap[child] <= entry)
            break;
        heap[hole] = heap[child];
        hole = child;
    }
    heap[hole] = entry;
}

/* The p smallest ranks of scores[k] into heap[p], ascending. */
static void choose(const float *scores, int64_t k, int p, uint64_t *heap)
{
    for (int c = 0; c < p; c++)
        heap[c] = rank_of(scores[c], c);
    for (int hole = p / 2 - 1; hole >= 0; hole--)
        sift_down(heap, p, hole, heap[hole]);
    for (int64_t c = p; c < k; c++) {
        uint64_t rank = rank_of(scores[c], c);
        if (rank < heap[0])
            sift_down(heap, p, 0, rank);
    }
    for (int n = p - 1; n > 0; n--) {
        uint64_t last = heap[n];
        heap[n] = heap[0];
        sift_down(heap, n, 0, last);
    }
}

size_t ivf_panels_top_scratch(const ivf_panels *panels)
{
    return (size_t)panels->k * (sizeof(uint64_t) + TOP_ROWS * sizeof(float));
}

void ivf_panels_top(const ivf_panels *panels, const float *x, int64_t n, int p, int32_t *best, float *score,
                    void *scratch)
{
    uint64_t *ranks = scratch;
    float *scores = (float *)(ranks + panels->k);
    for (int64_t row = 0; row < n; row += TOP_ROWS) {
        int64_t rows = ivf_min_i64(TOP_ROWS, n - row);
        ivf_panels_scores(panels, x + row * panels->d, rows, scores);
        for (int64_t i = 0; i < rows; i++) {
            const float *from = scores + i * panels->k;
            choose(from, panels->k, p, ranks);
            for (int j = 0; j < p; j++) {
                int32_t c = (int32_t)(uint32_t)ranks[j];
                best[(row + i) * p + j] = c;
                score[(row + i) * p + j] = from[c];
            }
        }
    }
}
