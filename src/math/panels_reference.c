/* Scores in plain C: the oracle of the SIMD variants. Panels of one vector, so `packed` is c[k][d] as it was given. */
#include <math.h>

#include "math/kernels.h"

static float score_of(const ivf_panels *panels, const float *x, int64_t c)
{
    const float *centroid = panels->packed + c * panels->d;
    float score = panels->bias[c];
    for (int i = 0; i < panels->d; i++)
        score = fmaf(x[i], centroid[i], score);
    return score;
}

static void find_best(const ivf_panels *panels, const float *x, int64_t n, int32_t *best, float *score)
{
    for (int64_t row = 0; row < n; row++) {
        best[row] = 0;
        score[row] = -INFINITY;
        for (int64_t c = 0; c < panels->k; c++) {
            float other = score_of(panels, x + row * panels->d, c);
            if (other > score[row]) {
                score[row] = other;
                best[row] = (int32_t)c;
            }
        }
    }
}

static void find_scores(const ivf_panels *panels, const float *x, int64_t n, float *out)
{
    for (int64_t row = 0; row < n; row++) {
        for (int64_t c = 0; c < panels->k; c++)
            out[row * panels->k + c] = score_of(panels, x + row * panels->d, c);
    }
}

const ivf_panels_kernels ivf_panels_reference = {.width = 1, .rows = 1, .best = find_best, .scores = find_scores};
