/* Scores through BLAS, for CPUs without a variant of their own: blocks of products that stay in the cache, each
 * followed by a scan for the best. Panels of one vector, so `packed` is c[k][d] as it was given. A block takes 256 KiB
 * of stack. */
#include <math.h>
#include <stdbool.h>

#include "base/numbers.h"
#include "math/gemm.h"
#include "math/kernels.h"

enum { BLOCK_ROWS = 256, BLOCK_VECTORS = 256, SCAN = 64 };

/* Whether any of `count` products reaches beyond `score`: a loop without branches, which compilers vectorise. */
static bool any_better(const float *product, const float *bias, int64_t count, float score)
{
    int better = 0;
    for (int64_t c = 0; c < count; c++)
        better |= product[c] + bias[c] > score;
    return better != 0;
}

static void best_of_block(const float *product, const float *bias, int64_t first, int64_t count, int32_t *best,
                          float *score)
{
    for (int64_t start = 0; start < count; start += SCAN) {
        int64_t end = ivf_min_i64(start + SCAN, count);
        if (!any_better(product + start, bias + first + start, end - start, *score))
            continue;
        for (int64_t c = start; c < end; c++) {
            float other = product[c] + bias[first + c];
            if (other > *score) {
                *score = other;
                *best = (int32_t)(first + c);
            }
        }
    }
}

static void best_of_rows(const ivf_panels *panels, const float *x, int64_t rows, int32_t *best, float *score)
{
    float product[BLOCK_ROWS * BLOCK_VECTORS];
    for (int64_t row = 0; row < rows; row++) {
        best[row] = 0;
        score[row] = -INFINITY;
    }
    for (int64_t first = 0; first < panels->k; first += BLOCK_VECTORS) {
        int64_t count = ivf_min_i64(BLOCK_VECTORS, panels->k - first);
        ivf_gemm_nt(rows, count, panels->d, x, panels->packed + first * panels->d, product, BLOCK_VECTORS);
        for (int64_t row = 0; row < rows; row++)
            best_of_block(product + row * BLOCK_VECTORS, panels->bias, first, count, best + row, score + row);
    }
}

static void find_best(const ivf_panels *panels, const float *x, int64_t n, int32_t *best, float *score)
{
    for (int64_t row = 0; row < n; row += BLOCK_ROWS) {
        int64_t rows = ivf_min_i64(BLOCK_ROWS, n - row);
        best_of_rows(panels, x + row * panels->d, rows, best + row, score + row);
    }
}

static void find_scores(const ivf_panels *panels, const float *x, int64_t n, float *out)
{
    for (int64_t row = 0; row < n; row += BLOCK_ROWS) {
        int64_t rows = ivf_min_i64(BLOCK_ROWS, n - row);
        float *to = out + row * panels->k;
        ivf_gemm_nt(rows, panels->k, panels->d, x + row * panels->d, panels->packed, to, panels->k);
        for (int64_t i = 0; i < rows; i++) {
            for (int64_t c = 0; c < panels->k; c++)
                to[i * panels->k + c] += panels->bias[c];
        }
    }
}

const ivf_panels_kernels ivf_panels_blas = {.width = 1, .rows = 32, .best = find_best, .scores = find_scores};
