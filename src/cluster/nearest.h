/* The list of each row: the nearest of the centroids in a tree, in one of three ways. Which one is a matter of the
 * tree's shape, and of an agreement with the exact way that is measured on rows, never of the time that anything took:
 * the list of a row depends on the row, the tree, the grid and the way alone. */
#ifndef IVF_CLUSTER_NEAREST_H
#define IVF_CLUSTER_NEAREST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/metric.h"
#include "base/share.h"
#include "cluster/tree.h"
#include "comm/context.h"
#include "math/grid.h"

typedef enum {
    IVF_NEAREST_EXACT,   /* all lists in f32: ivf_panels_best */
    IVF_NEAREST_ROUNDED, /* all lists in 8 bits, near winners checked in f32: ivf_coarse_best */
    IVF_NEAREST_TREE,    /* the lists under the best nodes of each level, as before */
    IVF_NEAREST_KINDS
} ivf_nearest_kind;

typedef struct {
    ivf_nearest_kind kind;
    int32_t probes[IVF_LEVELS]; /* of level l > 0, for trees: nodes whose children are looked at; else 0 */
} ivf_nearest_way;

/* How the lists of some rows differ from those of the exact way. */
typedef struct {
    int64_t rows;
    int64_t same;  /* rows in the same list */
    double excess; /* share by which the sum of squared distances to the lists' centroids is larger; for inner products,
                      by which the sum of these is smaller */
} ivf_nearest_agreement;

typedef struct ivf_nearest ivf_nearest;

/* Local. "exact", "rounded", "tree". */
const char *ivf_nearest_name(ivf_nearest_kind kind);

/* Local. That way through a tree, whose levels must allow it, with the usual number of probes. */
ivf_nearest_way ivf_nearest_usual(const ivf_tree *tree, ivf_nearest_kind kind);

/* Local. The way for a tree of that shape, by rules that were measured (bench/coarse.c, bench/nearest.c). */
ivf_nearest_way ivf_nearest_choose(const ivf_tree *tree);

/* Local. Whether a way through a tree takes less time than comparing with all lists in 8 bits, by what both were
 * measured to take (bench/nearest.c). */
bool ivf_nearest_pays(const ivf_tree *tree, const ivf_nearest_way *way);

/* What ways lead to, and what they need. */
typedef struct {
    const ivf_tree *tree;
    const ivf_grid *grid; /* not for the exact way */
    ivf_metric metric;
} ivf_nearest_lists;

/* Collective, uses the team; without a context local, with a share of one rank. x holds this rank's rows of the share
 * (some rows, the same wherever this is asked), lists are the same on every rank; every rank gets the same bits, those
 * of one rank with all rows.
 *
 * ivf_nearest_take: how a way agrees with the exact one. ivf_nearest_fit: chooses a way, unless rows agree too little
 * with it: then more probes, as long as the tree pays, then without it, then exact, the first that at least 99.5 of 100
 * rows (trees: 97 of 100, with an excess of at most 0.0025) stay in their lists with. The agreement is that of the way
 * it yields.
 *
 * Costs rows * lists * d multiply-adds for each way that is tried, shared out in blocks of IVF_SHARE_BLOCK rows, and
 * of each rank 24 bytes for each block in an all-reduce and an agreement. */
int ivf_nearest_take(const ivf_ctx *ctx, const ivf_nearest_lists *lists, const float *x, const ivf_share *share,
                     const ivf_nearest_way *way, ivf_nearest_agreement *agreement);
int ivf_nearest_fit(const ivf_ctx *ctx, const ivf_nearest_lists *lists, const float *x, const ivf_share *share,
                    ivf_nearest_way *way, ivf_nearest_agreement *agreement);

/* Local. Packs the tree's centroids; tree and grid stay borrowed (grid: not for the exact way). NULL with a failure
 * recorded. Memory: for each list 4 d bytes (exact), 6 d (rounded), 2 d + 24 (tree). */
ivf_nearest *ivf_nearest_new(const ivf_tree *tree, ivf_metric metric, const ivf_grid *grid, const ivf_nearest_way *way);
void ivf_nearest_free(ivf_nearest *nearest);

/* Local. The same in a block of ivf_nearest_memory bytes for that tree, aligned to 64, zero, and the caller's: packs
 * it, or looks at what another of the same SIMD level has packed there. */
ivf_nearest *ivf_nearest_view(void *block, bool packed, const ivf_tree *tree, ivf_metric metric, const ivf_grid *grid,
                              const ivf_nearest_way *way);

/* Local. Bytes that ivf_nearest_new takes for a tree of that shape (levels, d, count), and those of a call's scratch,
 * at most. */
int64_t ivf_nearest_memory(const ivf_tree *shape, const ivf_nearest_way *way);
int64_t ivf_nearest_scratch_memory(const ivf_tree *shape, const ivf_nearest_way *way);

/* Local. Bytes of ivf_nearest_compare for n rows beside what it compares; of ivf_nearest_fit with all ways that it may
 * try, of which *way is then the one that takes most. */
int64_t ivf_nearest_compare_memory(const ivf_tree *shape, const ivf_nearest_way *way, int64_t n, int threads);
int64_t ivf_nearest_fit_memory(const ivf_tree *shape, int64_t n, int threads, ivf_nearest_way *way);

/* Rows of a task over many, at most. */
enum { IVF_NEAREST_TASK = 1024 };

/* Local. Rows that a call should have to be efficient, more make no difference; and the bytes, aligned to 64, that one
 * call takes for its work. */
int64_t ivf_nearest_rows(const ivf_nearest *nearest);
int64_t ivf_nearest_way_rows(const ivf_nearest_way *way); /* the same */
size_t ivf_nearest_scratch(const ivf_nearest *nearest);

/* Local, one thread. The list of each x[n][d] and its score in f32, with the bits of ivf_panels_best; `score` may be
 * NULL, which saves some time. Rows that do not fit the grid are looked at in f32 only. */
void ivf_nearest_best(const ivf_nearest *nearest, const float *x, int64_t n, int32_t *best, float *score,
                      void *scratch);

/* Local, one thread. Nearly the `count` nearest lists of rounded rows q[n][stride] of the grid: of those under the
 * nodes that a row probes the best by integer score (ties: the lowest), best[n][count] in ascending order; -1 at the
 * end where there are fewer. For trees of two levels. `scratch` has ivf_nearest_several_scratch bytes, aligned to 64,
 * by estimate ivf_nearest_several_memory. */
void ivf_nearest_several(const ivf_nearest *nearest, const int8_t *q, int64_t n, int32_t count, int32_t *best,
                         void *scratch);
size_t ivf_nearest_several_scratch(const ivf_nearest *nearest);
int64_t ivf_nearest_several_memory(const ivf_tree *shape, const ivf_nearest_way *way);

/* Local. Other lists c[lists][d] in place of the tree's, under the same nodes: for a tree whose lists move. They stay
 * borrowed. */
void ivf_nearest_repack(ivf_nearest *nearest, const float *c);

/* Local, uses the team. Compares with the exact way on x[n][d]: n * lists * d multiply-adds. */
int ivf_nearest_compare(const ivf_nearest *nearest, const float *x, int64_t n, ivf_nearest_agreement *agreement);

#endif
