/* The search for the best when vectors are short (the slices of product quantisation): rows take the lanes, so that
 * their best stay in registers for the whole search and no lanes have to meet. Included by panels_avx2.c and
 * panels_avx512.c after what panels_tile.h asks for, and NARROW_VECTORS.
 *
 * NARROW_ROWS rows are copied to [d][NARROW_ROWS]; NARROW_VECTORS packed vectors at a time are broadcast against them.
 * The chains of multiply-adds are the same as in panels_tile.h, so are their bits; numbers ascend, so a strictly
 * greater score is needed to replace an equal one. */
#ifndef IVF_MATH_PANELS_NARROW_H
#define IVF_MATH_PANELS_NARROW_H

#include <math.h>
#include <stdalign.h>
#include <string.h>

#include "math/panels_pack.h"
#include "math/panels_tile.h"

enum { NARROW_COLS = 2, NARROW_ROWS = NARROW_COLS * LANES, NARROW_D = 32 };

typedef struct {
    vec score[NARROW_COLS];
    ivec number[NARROW_COLS];
} narrow_best;

/* Packed vectors from .. from + NARROW_VECTORS of a panel, of which the first has `number`. */
INLINE void narrow_step(const float *x, const float *panel, const float *bias, int d, int32_t number, narrow_best *best)
{
    vec sum[NARROW_VECTORS][NARROW_COLS];
#pragma GCC unroll 16
    for (int v = 0; v < NARROW_VECTORS; v++) {
#pragma GCC unroll 16
        for (int c = 0; c < NARROW_COLS; c++)
            sum[v][c] = vec_set1(bias[v]);
    }
    for (ptrdiff_t i = 0; i < d; i++) {
        vec row[NARROW_COLS];
#pragma GCC unroll 16
        for (ptrdiff_t c = 0; c < NARROW_COLS; c++)
            row[c] = vec_load(x + i * NARROW_ROWS + c * LANES);
#pragma GCC unroll 16
        for (ptrdiff_t v = 0; v < NARROW_VECTORS; v++) {
            vec value = vec_set1(panel[i * WIDTH + v]);
#pragma GCC unroll 16
            for (int c = 0; c < NARROW_COLS; c++)
                sum[v][c] = vec_fma(row[c], value, sum[v][c]);
        }
    }
#pragma GCC unroll 16
    for (int v = 0; v < NARROW_VECTORS; v++) {
        ivec here = ivec_set1(number + v);
#pragma GCC unroll 16
        for (int c = 0; c < NARROW_COLS; c++) {
            best->number[c] = ivec_select(vec_greater(sum[v][c], best->score[c]), here, best->number[c]);
            best->score[c] = vec_max(sum[v][c], best->score[c]);
        }
    }
}

/* NARROW_ROWS rows against everything. */
static void narrow_block(const ivf_panels *panels, const float *x, int32_t *best, float *score)
{
    narrow_best top;
#pragma GCC unroll 16
    for (int c = 0; c < NARROW_COLS; c++) {
        top.score[c] = vec_set1(-INFINITY);
        top.number[c] = ivec_set1(0);
    }
    for (int64_t number = 0; number < panels->k; number += NARROW_VECTORS) {
        int64_t column = number % WIDTH;
        const float *panel = panels->packed + (number - column) * panels->d + column;
        narrow_step(x, panel, panels->bias + number, panels->d, (int32_t)number, &top);
    }
#pragma GCC unroll 16
    for (ptrdiff_t c = 0; c < NARROW_COLS; c++) {
        vec_store(score + c * LANES, top.score[c]);
        ivec_store(best + c * LANES, top.number[c]);
    }
}

static void find_best_narrow(const ivf_panels *panels, const float *x, int64_t n, int32_t *best, float *score)
{
    alignas(64) float packed[NARROW_ROWS * NARROW_D + IVF_PACK_SLACK];
    int64_t from = 0;
    for (; from + NARROW_ROWS <= n; from += NARROW_ROWS) {
        ivf_panels_pack_avx2(x + from * panels->d, NARROW_ROWS, panels->d, NARROW_ROWS, panels->d, packed);
        narrow_block(panels, packed, best + from, score + from);
    }
    if (from < n) {
        int32_t last_best[NARROW_ROWS];
        float last_score[NARROW_ROWS];
        ivf_panels_pack_avx2(x + from * panels->d, (int)(n - from), panels->d, NARROW_ROWS, panels->d, packed);
        narrow_block(panels, packed, last_best, last_score);
        memcpy(best + from, last_best, (size_t)(n - from) * sizeof *best);
        memcpy(score + from, last_score, (size_t)(n - from) * sizeof *score);
    }
}

#endif
