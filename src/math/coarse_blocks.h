/* Integer products of rounded rows with tiles of centroids, written once for any vector width: included by
 * coarse_sse2.c, coarse_avx2.c, coarse_avx512.c and coarse_vnni.c, which first define what a vector is:
 *
 *   vec, mask                           of 32-bit integers, the outcome of comparing
 *   VECS                                vecs to a tile's lanes
 *   COLS                                tiles that are worked on at once, at most
 *   COL_SIZES(F)                        F(1) ... F(COLS)
 *   vec_load vec_store vec_set1 vec_set1_from vec_max vec_greater vec_select
 *   vec_dot                             adds, in each lane, the products of 4 bytes of a centroid and of a row
 *   widened, widen                      room for ROWS rows in the form that vec_dot takes, and their way to it
 *
 * The sums of ROWS rows and up to COLS tiles stay in registers for the whole of d. The centroids of a few tiles stay in
 * the first-level cache while rows stream past them and are read where they lie, 4 bytes broadcast at a time: so it
 * makes no difference which rows they are. The best score and its tile are kept for each lane of each row in memory. */
#ifndef IVF_MATH_COARSE_BLOCKS_H
#define IVF_MATH_COARSE_BLOCKS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/numbers.h"
#include "math/kernels.h"

enum { ROWS = 6, BLOCK = 120, LANES = IVF_COARSE_LANES, STEP = LANES * 4, QUAD = 4 };

#define INLINE static inline __attribute__((always_inline))

/* Rows and tiles that are worked on at once. */
typedef struct {
    const uint8_t *tiles; /* the first one */
    const uint8_t *next;  /* what is fetched into the second-level cache meanwhile, a line at each step */
    const int32_t *bias;
    ptrdiff_t tile_size;
    ptrdiff_t steps;
    int32_t number;                 /* of the first tile */
    const uint8_t *const *row;      /* [ROWS] */
    ivf_coarse_found *const *found; /* [ROWS] */
    int32_t *const *out;            /* [ROWS]: scores of the rows' first column */
    ptrdiff_t column;
} patch;

INLINE void patch_sum(const patch *p, const int rows, const int cols, vec sum[ROWS][COLS * VECS])
{
    const uint8_t *row[ROWS];
    const uint8_t *tile[COLS];
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
        row[r] = p->row[r];
#pragma GCC unroll 16
        for (int v = 0; v < cols * VECS; v++)
            sum[r][v] = vec_load(p->bias + (ptrdiff_t)v * (LANES / VECS));
    }
#pragma GCC unroll 16
    for (int c = 0; c < cols; c++)
        tile[c] = p->tiles + c * p->tile_size;
    ptrdiff_t steps = p->steps;
    const uint8_t *next = p->next;
#pragma GCC unroll 2
    for (ptrdiff_t i = 0; i < steps; i++) {
        vec column[COLS * VECS];
        __builtin_prefetch(next + i * STEP, 0, 2);
#pragma GCC unroll 16
        for (int v = 0; v < cols * VECS; v++)
            column[v] = vec_load(tile[v / VECS] + i * STEP + (ptrdiff_t)(v % VECS) * (STEP / VECS));
#pragma GCC unroll 16
        for (int r = 0; r < rows; r++) {
            vec values = vec_set1_from(row[r] + i * 4);
#pragma GCC unroll 16
            for (int v = 0; v < cols * VECS; v++)
                sum[r][v] = vec_dot(sum[r][v], column[v], values);
        }
    }
}

INLINE void patch_scan(const patch *p, const int rows, const int cols)
{
    vec sum[ROWS][COLS * VECS];
    patch_sum(p, rows, cols, sum);
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 16
        for (int half = 0; half < VECS; half++) {
            int32_t *score = p->found[r]->score + (ptrdiff_t)half * (LANES / VECS);
            int32_t *number = p->found[r]->tile + (ptrdiff_t)half * (LANES / VECS);
            vec best = vec_load(score);
            vec where = vec_load(number);
#pragma GCC unroll 16
            for (int c = 0; c < cols; c++) {
                vec other = sum[r][c * VECS + half];
                where = vec_select(vec_greater(other, best), vec_set1(p->number + c), where);
                best = vec_max(other, best);
            }
            vec_store(score, best);
            vec_store(number, where);
        }
    }
}

INLINE void patch_store(const patch *p, const int rows, const int cols)
{
    vec sum[ROWS][COLS * VECS];
    patch_sum(p, rows, cols, sum);
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 16
        for (int v = 0; v < cols * VECS; v++)
            vec_store(p->out[r] + p->column + (ptrdiff_t)v * (LANES / VECS), sum[r][v]);
    }
}

/* Functions for every size of patch. */
typedef void patch_fn(const patch *p);

#define DEFINE_PATCH(rows, cols)                                                                                       \
    static void scan_##rows##_##cols(const patch *p)                                                                   \
    {                                                                                                                  \
        patch_scan(p, rows, cols);                                                                                     \
    }                                                                                                                  \
    static void store_##rows##_##cols(const patch *p)                                                                  \
    {                                                                                                                  \
        patch_store(p, rows, cols);                                                                                    \
    }
#define DEFINE_PATCHES(cols) DEFINE_PATCH(2, cols) DEFINE_PATCH(4, cols) DEFINE_PATCH(6, cols)
#define LIST_SCANS(cols) {scan_2_##cols, scan_4_##cols, scan_6_##cols},
#define LIST_STORES(cols) {store_2_##cols, store_4_##cols, store_6_##cols},

COL_SIZES(DEFINE_PATCHES)
static patch_fn *const scans[COLS][ROWS / 2] = {COL_SIZES(LIST_SCANS)};
static patch_fn *const stores[COLS][ROWS / 2] = {COL_SIZES(LIST_STORES)};

/* What is done to rows and a range of tiles: the best to `found` or, without, scores to `out`. */
typedef struct {
    const ivf_coarse *coarse;
    const ivf_coarse_rows *rows;
    ivf_tiles tiles;
    const int32_t *place;
    ivf_coarse_found *found;
    int32_t *const *out; /* [n] */
} job;

/* Some of the rows, where they are and where their outcome goes. Patches have an even number of rows: an odd one has
 * the last row twice, and the same outcome written twice, or once more where nobody looks. */
typedef struct {
    int n;
    const uint8_t *row[BLOCK];
    ivf_coarse_found *found[BLOCK];
    int32_t *out[BLOCK];
    ivf_coarse_found nobody;
    widened wide;
} block;

static void set_rows(const job *j, int64_t first, block *b)
{
    const ivf_coarse_rows *rows = j->rows;
    int64_t stride = (int64_t)j->coarse->quads * QUAD;
    b->n = (int)ivf_min_i64(BLOCK, rows->n - first);
    for (int r = 0; r < b->n; r++) {
        int64_t i = first + r;
        b->row[r] = (const uint8_t *)rows->q + (rows->list == NULL ? i : rows->list[i]) * stride;
        if (j->found != NULL)
            b->found[r] = j->found + (j->place == NULL ? i : j->place[i]);
        else
            b->out[r] = j->out[i];
    }
    if (b->n % 2 == 0)
        return;
    b->row[b->n] = b->row[b->n - 1];
    b->out[b->n] = b->out[b->n - 1];
    b->found[b->n] = &b->nobody;
    b->n++;
}

static void run_columns(const job *j, block *b, patch *p, int cols)
{
    patch_fn *const *sizes = j->found != NULL ? scans[cols - 1] : stores[cols - 1];
    for (int from = 0; from < b->n; from += ROWS) {
        int rows = b->n - from < ROWS ? b->n - from : ROWS;
        p->next = p->tiles + (cols + from / ROWS % cols) * p->tile_size;
        p->row = widen(b->row + from, rows, j->coarse->quads, &b->wide);
        p->found = b->found + from;
        p->out = b->out + from;
        sizes[rows / 2 - 1](p);
    }
}

static void run_block(const job *j, block *b)
{
    const ivf_coarse *coarse = j->coarse;
    patch p = {.tile_size = (ptrdiff_t)coarse->tile_size, .steps = (ptrdiff_t)(coarse->tile_size / STEP)};
    int cols = 0;
    for (p.number = j->tiles.first; p.number < j->tiles.end; p.number += cols) {
        int left = j->tiles.end - p.number;
        cols = left > COLS ? COLS : left;
        if (left == COLS + 1 && COLS > 1) /* one tile alone would have too few sums to keep the processor busy */
            cols = COLS - 1;
        p.tiles = coarse->packed + (size_t)p.number * coarse->tile_size;
        p.bias = coarse->bias + (ptrdiff_t)p.number * LANES;
        p.column = (ptrdiff_t)(p.number - j->tiles.first) * LANES;
        run_columns(j, b, &p, cols);
    }
}

static void run(const job *j)
{
    block b;
    memset(&b.nobody, 0, sizeof b.nobody);
    for (int64_t first = 0; first < j->rows->n; first += BLOCK) {
        set_rows(j, first, &b);
        run_block(j, &b);
    }
}

static void scan(const ivf_coarse *coarse, ivf_tiles tiles, const ivf_coarse_rows *rows, const int32_t *place,
                 ivf_coarse_found *found)
{
    run(&(job){.coarse = coarse, .rows = rows, .tiles = tiles, .place = place, .found = found});
}

static void scores(const ivf_coarse *coarse, ivf_tiles tiles, const ivf_coarse_rows *rows, int32_t *const *out)
{
    run(&(job){.coarse = coarse, .rows = rows, .tiles = tiles, .out = out});
}

#endif
