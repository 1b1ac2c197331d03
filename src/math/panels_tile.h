/* The register tiles of packed vectors, written once for any vector width: included by panels_avx2.c and
 * panels_avx512.c, which first define what a vector is:
 *
 *   vec, ivec, mask                     floats, 32-bit integers, the outcome of comparing
 *   LANES                               of a vec
 *   COLS                                vecs to a panel row: a panel holds COLS * LANES packed vectors
 *   ROWS, TILE_SIZES(F)                 rows of the largest register tile, and F(rows) for every tile size, descending
 *   vec_load vec_store vec_set1 vec_fma vec_max vec_greater ivec_load ivec_store ivec_set1 ivec_select
 *   vec_lowest_of_largest               joins lanes: see join_lanes in panels_blocks.h
 *
 * The scores of a tile, `rows` rows against one panel, stay in registers for the whole of d: with 28 accumulators (AVX-
 * 512) each step needs 2 loads of the panel and 14 broadcasts of rows for 28 fused multiply-adds, so arithmetic is the
 * limit. Loops over a tile's rows and columns are unrolled whole, or gcc would keep `sum` in memory at both ends. The
 * best score and its number are kept for every lane of every row; lanes meet once, after the last panel. */
#ifndef IVF_MATH_PANELS_TILE_H
#define IVF_MATH_PANELS_TILE_H

#include <math.h>
#include <stdalign.h>
#include <stddef.h>

#include "math/kernels.h"

enum {
    WIDTH = COLS * LANES,
    LINE = 16,  /* floats in a cache line */
    AHEAD = 16, /* steps of d that are prefetched: a tile is too short for the CPU's own prefetcher */
};

#define INLINE static inline __attribute__((always_inline))

/* One tile's inputs. The sums start from start[row * start_stride + column]. */
typedef struct {
    const float *x;     /* [d][rows] */
    const float *panel; /* [d][WIDTH] */
    const float *start;
    ptrdiff_t start_stride; /* 0: the same for all rows */
    int d;
    ptrdiff_t ahead;   /* floats between what is used and what is fetched into the first-level cache */
    const float *next; /* where the next panel is fetched into the second-level cache, a line at each step */
} tile;

INLINE void tile_sum(const tile *t, const ptrdiff_t rows, vec sum[ROWS][COLS])
{
    const float *x = t->x;
    const float *panel = t->panel;
    const float *next = t->next;
#pragma GCC unroll 16
    for (ptrdiff_t r = 0; r < rows; r++) {
#pragma GCC unroll 16
        for (ptrdiff_t c = 0; c < COLS; c++)
            sum[r][c] = vec_load(t->start + r * t->start_stride + c * LANES);
    }
#pragma GCC unroll 2
    for (int i = t->d; i > 0; i--) {
        vec column[COLS];
#pragma GCC unroll 16
        for (ptrdiff_t c = 0; c < COLS; c++) {
            column[c] = vec_load(panel + c * LANES);
            if (c * LANES % LINE == 0)
                __builtin_prefetch(panel + t->ahead + c * LANES);
        }
        __builtin_prefetch(x + AHEAD * rows);
        __builtin_prefetch(next, 0, 2);
        next += LINE;
#pragma GCC unroll 16
        for (ptrdiff_t r = 0; r < rows; r++) {
            vec value = vec_set1(x[r]);
#pragma GCC unroll 16
            for (ptrdiff_t c = 0; c < COLS; c++)
                sum[r][c] = vec_fma(value, column[c], sum[r][c]);
        }
        x += rows;
        panel += WIDTH;
    }
}

INLINE void tile_store(const tile *t, const ptrdiff_t rows, float *to, ptrdiff_t to_stride)
{
    vec sum[ROWS][COLS];
    tile_sum(t, rows, sum);
#pragma GCC unroll 16
    for (ptrdiff_t r = 0; r < rows; r++) {
#pragma GCC unroll 16
        for (ptrdiff_t c = 0; c < COLS; c++)
            vec_store(to + r * to_stride + c * LANES, sum[r][c]);
    }
}

/* Updates the best score of each lane of each row, and the number of the vec that it stood in. */
INLINE void tile_best(const tile *t, const ptrdiff_t rows, int32_t number, float (*score)[LANES],
                      int32_t (*numbers)[LANES])
{
    vec sum[ROWS][COLS];
    tile_sum(t, rows, sum);
#pragma GCC unroll 16
    for (ptrdiff_t r = 0; r < rows; r++) {
        vec best = vec_load(score[r]);
        ivec where = ivec_load(numbers[r]);
#pragma GCC unroll 16
        for (int32_t c = 0; c < COLS; c++) {
            where = ivec_select(vec_greater(sum[r][c], best), ivec_set1(number + c), where);
            best = vec_max(sum[r][c], best);
        }
        vec_store(score[r], best);
        ivec_store(numbers[r], where);
    }
}

/* One function of each kind for every tile size, and the table of them. */
typedef void store_fn(const tile *t, float *to, ptrdiff_t to_stride);
typedef void best_fn(const tile *t, int32_t number, float (*score)[LANES], int32_t (*numbers)[LANES]);
typedef struct {
    int rows;
    store_fn *store;
    best_fn *best;
} tile_size;

#define DEFINE_TILE(rows)                                                                                              \
    static void store_##rows(const tile *t, float *to, ptrdiff_t to_stride)                                            \
    {                                                                                                                  \
        tile_store(t, rows, to, to_stride);                                                                            \
    }                                                                                                                  \
    static void best_##rows(const tile *t, int32_t number, float(*score)[LANES], int32_t(*numbers)[LANES])             \
    {                                                                                                                  \
        tile_best(t, rows, number, score, numbers);                                                                    \
    }
#define LIST_TILE(rows) {rows, store_##rows, best_##rows},

TILE_SIZES(DEFINE_TILE)
static const tile_size tile_sizes[] = {TILE_SIZES(LIST_TILE)};

/* The smallest tile that holds `rows` rows, or the largest. */
static const tile_size *tile_for(int rows)
{
    const tile_size *size = tile_sizes;
    for (size_t i = 1; i < sizeof tile_sizes / sizeof tile_sizes[0] && tile_sizes[i].rows >= rows; i++)
        size = &tile_sizes[i];
    return size;
}

#endif
