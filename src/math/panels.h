/* Vectors packed for products with many others: centroids against rows, queries against rows. The heart of assignment.
 *
 * score(x, c) = <x, c> - |c|^2 / 2 for L2, <x, c> for inner product and cosine: the nearest c has the largest score,
 * and the squared distance is |x|^2 - 2 score. Each score is one chain of fused multiply-adds over d in ascending
 * order, starting from the bias; so it does not depend on the rows around it, on blocking or threads, and is the same
 * for every SIMD level but IVF_SIMD_BLAS. */
#ifndef IVF_MATH_PANELS_H
#define IVF_MATH_PANELS_H

#include <stddef.h>
#include <stdint.h>

#include "base/metric.h"

typedef struct ivf_panels ivf_panels;

/* Local. Packs c[k][d] (not kept); k >= 1, d >= 1. Takes about k * (d + 1) * 4 bytes. NULL with a failure recorded. */
ivf_panels *ivf_panels_new(const float *c, int64_t k, int d, ivf_metric metric);
void ivf_panels_free(ivf_panels *panels);

/* Local. Bytes that ivf_panels_new takes. */
int64_t ivf_panels_memory(int64_t k, int d);

/* Local. The same in a block of ivf_panels_memory bytes, aligned to 64 and the caller's, which others may look at after
 * one has packed it: those of the same SIMD level. */
ivf_panels *ivf_panels_pack(void *block, const float *c, int64_t k, int d, ivf_metric metric);
ivf_panels *ivf_panels_view(void *block, int64_t k, int d);

/* Local, one thread. The best c of each x[n][d]: its number (ties: the lowest) and its score. n * k * d multiply-adds;
 * distances are never stored. Rows with NaN get an unspecified valid number. */
void ivf_panels_best(const ivf_panels *panels, const float *x, int64_t n, int32_t *best, float *score);

/* Local, one thread. All scores, out[n][k]. */
void ivf_panels_scores(const ivf_panels *panels, const float *x, int64_t n, float *out);

/* Local, one thread. The scores of some of them, with the same bits: begin .. end - 1, where `begin`, which is
 * returned, is the first one's panel's beginning: first - begin < IVF_PANEL_MOST. out[n][end - begin]; first < end <=
 * k. */
enum { IVF_PANEL_MOST = 64 };
int64_t ivf_panels_scores_of(const ivf_panels *panels, int64_t first, int64_t end, const float *x, int64_t n,
                             float *out);

/* Local, one thread. The p best of each x[n][d] in descending order of score (ties: the lower number first):
 * best[n][p], score[n][p]; p <= k. `scratch` holds at least ivf_panels_top_scratch(panels) bytes. */
void ivf_panels_top(const ivf_panels *panels, const float *x, int64_t n, int p, int32_t *best, float *score,
                    void *scratch);
size_t ivf_panels_top_scratch(const ivf_panels *panels);
size_t ivf_panels_top_memory(int64_t k); /* the same, of k vectors */

#endif
