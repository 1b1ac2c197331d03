/* The best of many centroids for rows that are rounded to 8 bits (math/grid.h): several times faster than math/panels.h
 * and, because the winners are checked in f32, nearly always the same. All arithmetic on rounded values is in integers,
 * so every SIMD level gives the same bits.
 *
 * score = sum of q_row * q_centroid + bias, in units of step * step of the centroids, where the bias makes the nearest
 * centroid the largest, as in math/panels.h. Scores of a row compare with each other, within one packing; those of
 * different rows do not.
 *
 * Centroids lie in tiles of IVF_COARSE_LANES slots. They may be packed in groups, each of which begins with a tile of
 * its own, so that a range of tiles is a set of groups; slots left over never win. */
#ifndef IVF_MATH_COARSE_H
#define IVF_MATH_COARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/metric.h"
#include "math/grid.h"

enum {
    IVF_COARSE_LANES = 16,
    IVF_COARSE_MAX_D = 32767, /* beyond it sums could overflow */
};

typedef struct ivf_coarse ivf_coarse;

typedef struct {
    int32_t first;
    int32_t end;
} ivf_tiles;

/* Rows to be scanned: all of q[n][stride of d], or those that are listed. */
typedef struct {
    const int8_t *q;
    const int32_t *list; /* [n], NULL: 0 to n - 1 */
    int64_t n;
} ivf_coarse_rows;

/* What scans have found for a row: for each lane of the tiles the best score and the tile that it stood in. */
typedef struct {
    int32_t score[IVF_COARSE_LANES];
    int32_t tile[IVF_COARSE_LANES];
} ivf_coarse_found;

/* Local. Room for k centroids of d values (1 <= d <= IVF_COARSE_MAX_D) in up to `groups` groups, to be packed as often
 * as is wanted. Memory: about k (2 d + 16) and 15 groups (d + 8) bytes. NULL with a failure recorded. */
ivf_coarse *ivf_coarse_new(int64_t k, int32_t groups, int d);
void ivf_coarse_free(ivf_coarse *coarse);

/* Local. Bytes that ivf_coarse_new takes. */
int64_t ivf_coarse_memory(int64_t k, int32_t groups, int d);

/* Local. The same in a block of ivf_coarse_memory bytes, aligned to 64, zero, and the caller's. One packs it; then
 * others of the same SIMD level may look at it, who adopt what it found instead of packing. */
ivf_coarse *ivf_coarse_view(void *block, int64_t k, int32_t groups, int d);
void ivf_coarse_adopt(ivf_coarse *coarse, ivf_metric metric, const float *c);

/* Local, one thread. Packs c[k][d], which stays borrowed for ivf_coarse_finish. Group g holds centroids first[g] to
 * first[g + 1] - 1 (first[0] = 0, first[groups] = k); first NULL: one group of all. Finite values. */
void ivf_coarse_pack(ivf_coarse *coarse, const ivf_grid *grid, ivf_metric metric, const float *c, int64_t k,
                     const int32_t *first, int32_t groups);

/* Local. The same in two steps, the second of which several threads may do for tiles of their own; the grid stays
 * borrowed in between. */
void ivf_coarse_pack_begin(ivf_coarse *coarse, const ivf_grid *grid, ivf_metric metric, const float *c, int64_t k,
                           const int32_t *first, int32_t groups);
void ivf_coarse_pack_tiles(ivf_coarse *coarse, ivf_tiles tiles);

/* Local, one thread. Packs `count` centroids of another packing, by number, as one group: they keep their numbers and
 * scores. Costs a copy of their 8-bit values. */
void ivf_coarse_gather(ivf_coarse *coarse, const ivf_coarse *from, const int32_t *numbers, int32_t count);

/* Local. The tiles of a group, and of all. */
ivf_tiles ivf_coarse_group(const ivf_coarse *coarse, int32_t group);
ivf_tiles ivf_coarse_all(const ivf_coarse *coarse);

/* Local, one thread. A search in steps, for tiles that differ from row to row: start once, scan any tiles (row i of q
 * has found[i], listed or not), then finish. found[n] is aligned to 64 bytes. Ties of score within a lane go to what
 * was scanned first. */
void ivf_coarse_start(ivf_coarse_found *found, int64_t n);
void ivf_coarse_scan(const ivf_coarse *coarse, ivf_tiles tiles, const ivf_coarse_rows *rows, ivf_coarse_found *found);

/* Local, one thread. The best of what was found for each row, by the scores of math/panels.h: all lanes' winners whose
 * integer score is within the error of rounding of the best are scored in f32 with the very bits of ivf_panels_best
 * (ties: the lowest number). x[n][d], q[n][stride], found[n], best[n], score[n]; -1 where nothing was scanned. `score`
 * may be NULL: then rows with one such winner need none. Returns how many scores it took. */
int64_t ivf_coarse_finish(const ivf_coarse *coarse, const float *x, const int8_t *q, const ivf_coarse_found *found,
                          int64_t n, int32_t *best, float *score);

/* Local, one thread. The whole search: start, scan of all tiles, finish. Memory: 20 KiB of stack (without VNNI 400). */
int64_t ivf_coarse_best(const ivf_coarse *coarse, const float *x, const int8_t *q, int64_t n, int32_t *best,
                        float *score);

/* Local, one thread. The best by integer score alone: best[i] of the i-th row (ties: the lowest number); -1
 * where no tile has any. */
void ivf_coarse_nearest(const ivf_coarse *coarse, ivf_tiles tiles, const ivf_coarse_rows *rows, int32_t *best);

/* Local, one thread. Scores of x[d] in f32 against centroids first to end - 1, by number: a better one (ties: the lower
 * number) takes the place of *best (-1: none yet) and *score. */
void ivf_coarse_exact(const ivf_coarse *coarse, const float *x, int32_t first, int32_t end, int32_t *best,
                      float *score);

/* Local, one thread. The p best by integer score (ties: the lowest slots) in ascending order of slots: best[n][p] of
 * the i-th row; where there are fewer than p, -1 at the end. `scratch` holds ivf_coarse_top_scratch bytes, aligned to
 * 64. */
void ivf_coarse_top(const ivf_coarse *coarse, ivf_tiles tiles, const ivf_coarse_rows *rows, int p, int32_t *best,
                    void *scratch);
size_t ivf_coarse_top_scratch(ivf_tiles tiles);

/* Local, one thread. Nearly the p best, in any order, for little more than the products: of each lane of p shares of
 * the tiles the best, and of these the p best. So the k-th best is missed where a better one has its lane and share, by
 * one row in 16 p / (k - 1). Where there are fewer than 4 p tiles: as ivf_coarse_top, which else it is like. */
void ivf_coarse_pick(const ivf_coarse *coarse, ivf_tiles tiles, const ivf_coarse_rows *rows, int p, int32_t *best,
                     void *scratch);
size_t ivf_coarse_pick_scratch(ivf_tiles tiles, int p);

/* Local. Scores that this chooses among for a row. */
int64_t ivf_coarse_picked_among(ivf_tiles tiles, int p);

/* Local, one thread. The same in two steps, for slots of several ranges of tiles: the i-th row's integer scores of all
 * slots to out[i] (INT32_MIN in those left over), and the slots of the p best of scores[slots]; slots a multiple of
 * IVF_COARSE_LANES. ivf_coarse_number: the centroid of a slot, counted from the first tile of the packing. */
void ivf_coarse_scores(const ivf_coarse *coarse, ivf_tiles tiles, const ivf_coarse_rows *rows, int32_t *const *out);
void ivf_coarse_choose(const int32_t *scores, int64_t slots, int p, int32_t *best, void *scratch);
size_t ivf_coarse_choose_scratch(int64_t slots);
int32_t ivf_coarse_number(const ivf_coarse *coarse, int64_t slot);

#endif
