/* How tiles follow each other: included by panels_avx2.c and panels_avx512.c after what panels_tile.h asks for.
 *
 * Rows are copied into tiles [d][rows] first, because rows a power of two apart would fall into the same cache sets.
 * A block of BLOCK_ROWS rows by CHUNK values stays in the second-level cache while panels stream past it; a longer d is
 * cut into chunks, and the sums so far of GROUP panels wait in `part` in between: still one chain in ascending order of
 * d. The method is that of Goto and van de Geijn, "Anatomy of high-performance matrix multiplication" (TOMS 2008), with
 * the search for the best in place of storing the product. A call takes about 600 KiB of stack. */
#ifndef IVF_MATH_PANELS_BLOCKS_H
#define IVF_MATH_PANELS_BLOCKS_H

#include <math.h>
#include <stdalign.h>
#include <stdbool.h>
#include <string.h>

#include "base/numbers.h"
#include "math/panels_narrow.h"
#include "math/panels_pack.h"
#include "math/panels_tile.h"

enum { BLOCK_ROWS = 84 / ROWS * ROWS, CHUNK = 1024, GROUP = 24 };

typedef struct {
    alignas(64) float x[BLOCK_ROWS * CHUNK + IVF_PACK_SLACK]; /* tiles of [size of chunk][rows of tile] */
    alignas(64) float part[GROUP][BLOCK_ROWS * WIDTH];        /* [row][WIDTH] */
    alignas(64) float score[BLOCK_ROWS][LANES];               /* best so far */
    alignas(64) int32_t number[BLOCK_ROWS][LANES];            /* of the vec that it stood in */
} workspace;

/* A block of rows against everything. */
typedef struct {
    const ivf_panels *panels;
    const float *x; /* [rows][d] */
    int rows;
    float *out; /* scores [rows][k]; NULL: the best, in the workspace */
    workspace *w;
} block;

/* A range of d against a range of panels. */
typedef struct {
    int from;
    int size;
    int64_t first; /* panel */
    int64_t end;
} step;

static const tile_size *tile_at(const block *b, ptrdiff_t first_row)
{
    return tile_for(b->rows - (int)first_row);
}

static void pack_rows(const block *b, const step *s)
{
    float *to = b->w->x;
    for (ptrdiff_t first = 0; first < b->rows; first += ROWS) {
        int tile_rows = tile_at(b, first)->rows;
        int rows = b->rows - (int)first < tile_rows ? b->rows - (int)first : tile_rows;
        ivf_panels_pack_avx2(b->x + first * b->panels->d + s->from, rows, b->panels->d, tile_rows, s->size, to);
        to += (ptrdiff_t)tile_rows * s->size;
    }
}

/* Scores of a tile's rows from first_row on, of `count` packed vectors from `column` on, to the block's output: at once
 * if the tile is whole, else by way of `part`, because a tile writes all of its rows and columns. */
static void output_tile(const block *b, const tile *t, ptrdiff_t first_row, int64_t column, float *part)
{
    int64_t k = b->panels->k;
    int64_t count = ivf_min_i64(WIDTH, k - column);
    int64_t rows = ivf_min_i64(ROWS, b->rows - first_row);
    const tile_size *size = tile_at(b, first_row);
    float *to = b->out + first_row * k + column;
    if (count == WIDTH && rows == size->rows) {
        size->store(t, to, k);
        return;
    }
    size->store(t, part, WIDTH);
    for (int64_t r = 0; r < rows; r++)
        memcpy(to + r * k, part + r * WIDTH, (size_t)count * sizeof *to);
}

static void run_panel(const block *b, const step *s, int64_t p)
{
    const ivf_panels *panels = b->panels;
    workspace *w = b->w;
    ptrdiff_t panel_size = (ptrdiff_t)panels->d * WIDTH;
    bool more = p + 1 < panels->count;
    tile t = {.x = w->x, .panel = panels->packed + p * panel_size + s->from * (ptrdiff_t)WIDTH, .d = s->size};
    t.ahead = more ? ivf_min_i64(AHEAD, panels->d) * WIDTH : 0;
    const float *next = more ? t.panel + panel_size : t.panel;
    for (ptrdiff_t first = 0; first < b->rows; first += ROWS) {
        const tile_size *size = tile_at(b, first);
        float *part = w->part[p - s->first] + first * WIDTH;
        t.next = next + first / ROWS % (WIDTH / LINE) * s->size * LINE;
        t.start = s->from == 0 ? panels->bias + p * WIDTH : part;
        t.start_stride = s->from == 0 ? 0 : WIDTH;
        if (s->from + s->size < panels->d)
            size->store(&t, part, WIDTH);
        else if (b->out != NULL)
            output_tile(b, &t, first, p * WIDTH, part);
        else
            size->best(&t, (int32_t)p * COLS, w->score + first, w->number + first);
        t.x += (ptrdiff_t)size->rows * s->size;
    }
}

static void run_block(const block *b)
{
    int d = b->panels->d;
    int chunks = (d - 1) / CHUNK + 1;
    int chunk = (d - 1) / chunks + 1;
    step s = {0};
    for (s.first = 0; s.first < b->panels->count; s.first = s.end) {
        s.end = ivf_min_i64(s.first + GROUP, b->panels->count);
        for (s.from = 0; s.from < d; s.from += s.size) {
            s.size = d - s.from < chunk ? d - s.from : chunk;
            if (chunks > 1 || s.first == 0)
                pack_rows(b, &s);
            for (int64_t p = s.first; p < s.end; p++)
                run_panel(b, &s, p);
        }
    }
}

static void clear_lanes(workspace *w)
{
    for (int r = 0; r < BLOCK_ROWS; r++) {
        vec_store(w->score[r], vec_set1(-INFINITY));
        ivec_store(w->number[r], ivec_set1(0));
    }
}

/* The best of a row's lanes; equal scores (of either sign of zero) go to the lowest number. */
static void join_lanes(const workspace *w, int row, int32_t *best, float *score)
{
    *best = vec_lowest_of_largest(vec_load(w->score[row]), ivec_load(w->number[row]));
    *score = w->score[row][*best % LANES];
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

static void find_best_wide(const ivf_panels *panels, const float *x, int64_t n, int32_t *best, float *score)
{
    workspace w;
    block b = {.panels = panels, .w = &w};
    for (int64_t from = 0; from < n; from += b.rows) {
        b.x = x + from * panels->d;
        b.rows = block_rows(n - from);
        clear_lanes(&w);
        run_block(&b);
        for (int r = 0; r < b.rows; r++)
            join_lanes(&w, r, best + from + r, score + from + r);
    }
}

/* Rows take the lanes where vectors are short, unless most lanes would stay empty. */
static void find_best(const ivf_panels *panels, const float *x, int64_t n, int32_t *best, float *score)
{
    bool narrow = panels->d <= NARROW_D && n >= LANES;
    (narrow ? find_best_narrow : find_best_wide)(panels, x, n, best, score);
}

static void find_scores(const ivf_panels *panels, const float *x, int64_t n, float *out)
{
    workspace w;
    block b = {.panels = panels, .w = &w};
    for (int64_t from = 0; from < n; from += b.rows) {
        b.x = x + from * panels->d;
        b.rows = block_rows(n - from);
        b.out = out + from * panels->k;
        run_block(&b);
    }
}

#endif
