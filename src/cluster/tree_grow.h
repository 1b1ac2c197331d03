/* From the lists' centroids to a tree over them. */
#ifndef IVF_CLUSTER_TREE_GROW_H
#define IVF_CLUSTER_TREE_GROW_H

#include "base/keeper.h"
#include "cluster/tree.h"
#include "comm/context.h"

typedef struct {
    int levels;                /* 1 to IVF_LEVELS; 0: by the number of lists */
    int32_t nodes[IVF_LEVELS]; /* of each upper level, at most; 0: as many as usual */
    int iterations;            /* of the k-means of each level, at most; 0: as many as usual */
    bool broad;                /* with two levels, a node for 8 lists in place of as many as usual */
    ivf_metric metric;
    uint64_t seed;
    const ivf_keeper
        *keeper; /* of the k-means of each level, as "tree-1" and on, or "broad-1"; NULL: none, on all ranks alike */
} ivf_tree_growth;

/* Local. The levels that `lists` lists get when it is left open: 1, 2 from 8192 on, 3 from 2^19 on. */
int ivf_tree_levels(int32_t lists);

/* Local. Whether a broad tree may be worth growing where descents of the usual one are long. */
bool ivf_tree_may_broaden(const ivf_tree *shape);

/* Collective, uses the team. Grows `tree` (1 level: the lists' centroids, the same on every rank) to the levels that
 * are wanted: the nodes of each level are the centres of k-means over the level below, about 4 sqrt(lists) of them with
 * two levels (a broad tree: lists / 8), 4 lists^(2/3) and 4 lists^(1/3) with three. Nodes that are nearest to nothing
 * are left out. The lists are renumbered, so that children follow each other. Ranks share the work; all get the same
 * bytes, whatever their number. After a failure the tree has one level, its lists numbered as they were. Memory: 4 d
 * bytes for each list, while it runs; communication: that of ivf_kmeans_all for each level above the lists, and 4 bytes
 * a node. */
int ivf_tree_grow(const ivf_ctx *ctx, const ivf_tree_growth *growth, ivf_tree *tree);

/* Local. Back to one level: the lists, numbered as they are. */
void ivf_tree_cut(ivf_tree *tree);

/* Collective, uses the team. Puts `tree` (1 level, as above) under the nodes of a level that was made elsewhere,
 * top[count][d], the same on every rank: each list under the nearest. Nodes stay as they are, with or without children;
 * lists are renumbered, unless they are in the order of their parents already. Memory: 8 d bytes for each list and
 * node. */
int ivf_tree_place(const ivf_ctx *ctx, ivf_metric metric, const float *top, int32_t count, ivf_tree *tree);

/* Local. Fills levels and count of a tree over so many lists, before nodes without children are left out: all that its
 * memory follows from. Of `growth` levels and nodes count. */
void ivf_tree_shape(const ivf_tree_growth *growth, int32_t lists, ivf_tree *shape);

/* Local. Bytes that growing takes on a rank beside the centroids of the lists, those of the new tree included. */
int64_t ivf_tree_grow_memory(const ivf_tree_growth *growth, int32_t lists, int d, int ranks, int threads);

#endif
