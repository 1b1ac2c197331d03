/* The lists' centroids as a tree of 1 to 3 levels, so that the nearest of many is found by descending: a few nodes of
 * the top, then only their children. */
#ifndef IVF_CLUSTER_TREE_H
#define IVF_CLUSTER_TREE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/metric.h"

enum { IVF_LEVELS = 3 };

/* Level 0 is the lists' centroids. The children of node i of level l > 0 are nodes first[l][i] to first[l][i + 1] - 1
 * of level l - 1: first[l] ascends from 0 to count[l - 1]. A node may have no children. Each node of level l - 1 is
 * under the node of level l that is nearest to it (math/panels.h; ties: the lowest). */
typedef struct {
    int levels; /* 1: the lists alone */
    int d;
    int32_t count[IVF_LEVELS];    /* nodes of each level; 0 for those that are not there */
    float *centroids[IVF_LEVELS]; /* [count][d], owned */
    int32_t *first[IVF_LEVELS];   /* [count + 1], owned; NULL for level 0 */
} ivf_tree;

/* Local. Room for count[levels] nodes, all zero; counts are at least 1. Nothing to free after a failure. */
int ivf_tree_make(ivf_tree *tree, int levels, int d, const int32_t *count);
void ivf_tree_free(ivf_tree *tree);

/* Local. Whether `first` is as above (not whether parents are the nearest). MPIVF_CORRUPT with `where` (a file) and
 * what is wrong. */
int ivf_tree_check(const ivf_tree *tree, const char *where);

/* Local. Whether there are so many nodes right above the lists that a row probes few and compares with all of them. */
bool ivf_tree_is_broad(const ivf_tree *tree);

#endif
