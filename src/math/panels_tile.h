/* The kernels of packed vectors, written once for any vector width: included by panels_avx2.c and panels_avx512.c,
 * which first define what a vector is:
 *
 *   vec, ivec, mask                     floats, 32-bit integers, the outcome of comparing
 *   LANES                               of a vec
 *   COLS                                vecs to a panel row: a panel holds COLS * LANES packed vectors
 *   ROWS, TILE_SIZES(F)                 rows of the largest register tile, and F(rows) for every tile size, descending
 *   vec_load vec_store vec_set1 vec_fma vec_max vec_greater ivec_load ivec_store ivec_set1 ivec_select
 *   vec_lowest_of_largest               joins lanes: see join_lanes
 *
 * The scores of a tile, `rows` rows against one panel, stay in registers for the whole of d: with 28 accumulators (AVX-
 * 512) each step needs 2 loads of the panel and 14 broadcasts of rows for 28 fused multiply-adds, so arithmetic is the
 * limit. The best score and its number are kept for every lane of every row; lanes meet once, after the last panel.
 *
 * Rows are copied into tiles [d][rows] first, because rows a power of two apart would fall into the same cache sets.
 * A block of BLOCK_ROWS rows by CHUNK values stays in the second-level cache while panels stream past it; a longer d is
 * cut into chunks, and the sums so far of GROUP panels wait in `part` in between: still one chain in ascending order of
 * d. The method is that of Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (TOMS 2008), with
 * the search for the best in place of storing the product. */
#ifndef IVF_MATH_PANELS_TILE_H
#define IVF_MATH_PANELS_TILE_H

#include <math.h>
#include <stdalign.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/numbers.h"
#include "math/kernels.h"
#include "math/panels_pack.h"

enum {
    WIDTH = COLS * LANES,
    BLOCK_ROWS = 84 / ROWS * ROWS,
    CHUNK = 1024,
    GROUP = 24,
    LINE = 16,  /* floats in a cache line */
    AHEAD = 16, /* steps of d that are prefetched: a tile is too short for the CPU's own prefetcher */
};

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

/* One tile's inputs. The sums start from start[row * start_stride + column]. */
typedef struct {
    const float *x;     /* [d][rows] */
    const float *panel; /* [d][WIDTH] */
    const float *start;
    ptrdiff_t start_stride; /* 0: the same for all rows */
    const float *next;      /* where the next panel is fetched into the second-level cache, a line at each step */
    int d;
} tile;

INLINE void tile_sum(const tile *t, const ptrdiff_t rows, vec sum[ROWS][COLS])
{
    const float *x = t->x;
    const float *panel = t->panel;
    const float *next = t->next;
    UNROLL for (ptrdiff_t r = 0; r < rows; r++)
    {
        UNROLL for (ptrdiff_t c = 0; c < COLS; c++) sum[r][c] = vec_load(t->start + r * t->start_stride + c * LANES);
    }
    for (int i = t->d; i > 0; i--) {
        vec column[COLS];
        UNROLL for (ptrdiff_t c = 0; c < COLS; c++)
        {
            column[c] = vec_load(panel + c * LANES);
            if (c * LANES % LINE == 0)
                __builtin_prefetch(panel + (ptrdiff_t)AHEAD * WIDTH + c * LANES);
        }
        __builtin_prefetch(x + AHEAD * rows);
        __builtin_prefetch(next, 0, 2);
        next += LINE;
        UNROLL for (ptrdiff_t r = 0; r < rows; r++)
        {
            vec value = vec_set1(x[r]);
            UNROLL for (ptrdiff_t c = 0; c < COLS; c++) sum[r][c] = vec_fma(value, column[c], sum[r][c]);
        }
        x += rows;
        panel += WIDTH;
    }
}

INLINE void tile_store(const tile *t, const ptrdiff_t rows, float *to)
{
    vec sum[ROWS][COLS];
    tile_sum(t, rows, sum);
    UNROLL for (ptrdiff_t r = 0; r < rows; r++)
    {
        UNROLL for (ptrdiff_t c = 0; c < COLS; c++) vec_store(to + r * WIDTH + c * LANES, sum[r][c]);
    }
}

/* The best so far of each lane of each row, and the number of the vec that it stood in. */
typedef struct {
    alignas(64) float score[BLOCK_ROWS][LANES];
    alignas(64) int32_t number[BLOCK_ROWS][LANES];
} lanes;

INLINE void tile_best(const tile *t, const ptrdiff_t rows, int32_t number, float (*score)[LANES],
                      int32_t (*numbers)[LANES])
{
    vec sum[ROWS][COLS];
    tile_sum(t, rows, sum);
    UNROLL for (ptrdiff_t r = 0; r < rows; r++)
    {
        vec best = vec_load(score[r]);
        ivec where = ivec_load(numbers[r]);
        UNROLL for (int32_t c = 0; c < COLS; c++)
        {
            where = ivec_select(vec_greater(sum[r][c], best), ivec_set1(number + c), where);
            best = vec_max(sum[r][c], best);
        }
        vec_store(score[r], best);
        ivec_store(numbers[r], where);
    }
}

/* One function of each kind for every tile size, and the table of them. */
typedef void store_fn(const tile *t, float *to);
typedef void best_fn(const tile *t, int32_t number, float (*score)[LANES], int32_t (*numbers)[LANES]);
typedef struct {
    int rows;
    store_fn *store;
    best_fn *best;
} tile_size;

#define DEFINE_TILE(rows)                                                                                              \
    static void store_##rows(const tile *t, float *to)                                                                 \
    {                                                                                                                  \
        tile_store(t, rows, to);                                                                                       \
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

/* What a call works with, on its stack: about half a MiB for AVX-512. */
typedef struct {
    alignas(64) float x[BLOCK_ROWS * CHUNK + IVF_PACK_SLACK]; /* tiles of [size of chunk][rows of tile] */
    alignas(64) float part[GROUP][BLOCK_ROWS * WIDTH];        /* [row][WIDTH] */
    lanes best;
} workspace;

/* A range of d against a range of panels, for a block of rows[count]. */
typedef struct {
    int from;
    int size;
    int64_t first; /* panel */
    int64_t end;
} step;

/* x[rows][d], the columns of a step, into tiles. */
static void pack_rows(const float *x, int rows, int64_t d, const step *s, float *to)
{
    for (int first = 0; first < rows; first += ROWS) {
        int tile_rows = tile_for(rows - first)->rows;
        int count = rows - first < tile_rows ? rows - first : tile_rows;
        ivf_panels_pack_avx2(x + first * d + s->from, count, d, tile_rows, s->size, to);
        to += (ptrdiff_t)tile_rows * s->size;
    }
}

/* All tiles of a block against the panels of a step; after the last chunk the best are updated if `choose`. */
static void run_step(const ivf_panels *panels, workspace *w, int rows, const step *s, bool choose)
{
    bool last = s->from + s->size == panels->d;
    for (int64_t p = s->first; p < s->end; p++) {
        float *part = w->part[p - s->first];
        tile t = {.x = w->x, .panel = panels->packed + (p * panels->d + s->from) * WIDTH, .d = s->size};
        const float *next = t.panel + (ptrdiff_t)panels->d * WIDTH;
        for (ptrdiff_t first = 0; first < rows; first += ROWS) {
            const tile_size *size = tile_for(rows - (int)first);
            t.next = next + first / ROWS % (WIDTH / LINE) * s->size * LINE;
            t.start = s->from == 0 ? panels->bias + p * WIDTH : part + first * WIDTH;
            t.start_stride = s->from == 0 ? 0 : WIDTH;
            if (last && choose)
                size->best(&t, (int32_t)p * COLS, w->best.score + first, w->best.number + first);
            else
                size->store(&t, part + first * WIDTH);
            t.x += (ptrdiff_t)size->rows * s->size;
        }
    }
}

/* The scores of a step's panels to out[rows][k]. */
static void emit_scores(const ivf_panels *panels, const workspace *w, int rows, const step *s, float *out)
{
    for (int64_t p = s->first; p < s->end; p++) {
        int64_t count = ivf_min_i64(WIDTH, panels->k - p * WIDTH);
        for (ptrdiff_t r = 0; r < rows; r++) {
            float *to = out + r * panels->k + p * WIDTH;
            const float *from = w->part[p - s->first] + r * WIDTH;
            if (count == WIDTH)
                memcpy(to, from, WIDTH * sizeof *to);
            else
                memcpy(to, from, (size_t)count * sizeof *to);
        }
    }
}

/* A block of rows against everything: scores to `out`, or the best to w->best where `out` is NULL. */
static void run_block(const ivf_panels *panels, workspace *w, const float *x, int rows, float *out)
{
    int chunks = (panels->d - 1) / CHUNK + 1;
    int chunk = (panels->d - 1) / chunks + 1;
    step s = {0};
    for (s.first = 0; s.first < panels->count; s.first = s.end) {
        s.end = ivf_min_i64(s.first + GROUP, panels->count);
        for (s.from = 0; s.from < panels->d; s.from += s.size) {
            s.size = panels->d - s.from < chunk ? panels->d - s.from : chunk;
            if (chunks > 1 || s.first == 0)
                pack_rows(x, rows, panels->d, &s, w->x);
            run_step(panels, w, rows, &s, out == NULL);
        }
        if (out != NULL)
            emit_scores(panels, w, rows, &s, out);
    }
}

static void clear_lanes(lanes *l)
{
    for (int r = 0; r < BLOCK_ROWS; r++) {
        vec_store(l->score[r], vec_set1(-INFINITY));
        ivec_store(l->number[r], ivec_set1(0));
    }
}

/* The best of a row's lanes; equal scores (of either sign of zero) go to the lowest number. */
static void join_lanes(const lanes *l, int row, int32_t *best, float *score)
{
    *best = vec_lowest_of_largest(vec_load(l->score[row]), ivec_load(l->number[row]));
    *score = l->score[row][*best % LANES];
}

/* Rows of the next block: all blocks have nearly the same number of tiles, for a short last one would have to stream
 * all panels as well. */
static int block_rows(int64_t left)
{
    enum { TILES = BLOCK_ROWS / ROWS };
    int64_t tiles = ivf_ceil_div(left, ROWS);
    int64_t blocks = ivf_ceil_div(tiles, TILES);
    return (int)ivf_min_i64(ivf_ceil_div(tiles, blocks) * ROWS, left);
}

#include "math/panels_narrow.h"

static void find_best_wide(const ivf_panels *panels, const float *x, int64_t n, int32_t *best, float *score)
{
    workspace w;
    int rows = 0;
    for (int64_t from = 0; from < n; from += rows) {
        rows = block_rows(n - from);
        clear_lanes(&w.best);
        run_block(panels, &w, x + from * panels->d, rows, NULL);
        for (int r = 0; r < rows; r++)
            join_lanes(&w.best, r, best + from + r, score + from + r);
    }
}

static void find_best(const ivf_panels *panels, const float *x, int64_t n, int32_t *best, float *score)
{
    bool narrow = panels->d <= NARROW_D && n >= LANES;
    (narrow ? find_best_narrow : find_best_wide)(panels, x, n, best, score);
}

static void find_scores(const ivf_panels *panels, const float *x, int64_t n, float *out)
{
    workspace w;
    int rows = 0;
    for (int64_t from = 0; from < n; from += rows) {
        rows = block_rows(n - from);
        run_block(panels, &w, x + from * panels->d, rows, out + from * panels->k);
    }
}

#endif
