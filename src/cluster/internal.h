/* What the parts of k-means share: its work space and its steps, in the order in which they run. */
#ifndef IVF_CLUSTER_INTERNAL_H
#define IVF_CLUSTER_INTERNAL_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "cluster/kmeans.h"

/* How far the rows of a cell are from its centroid. */
typedef struct {
    double objective;  /* sum of squared distances, each taken exactly as a distance, not from a score */
    int32_t cell;      /* -1: no row of it can found another cell */
    uint32_t farthest; /* row */
} ivf_kmeans_spread;

typedef struct {
    const ivf_kmeans_params *params;
    const float *x;   /* [n][d], borrowed */
    float *centroids; /* [k][d], borrowed */
    int64_t n;
    size_t d;
    int32_t k; /* cells in use: params->k, or the distinct rows when there are fewer and `spare` allows it */
    bool spherical;

    float *norm;               /* [n]: squared norms of the rows */
    float *loss;               /* [n]: score, then squared distance or minus the score, to the row's centroid */
    int32_t *cell;             /* [n]: the row's cell */
    uint32_t *order;           /* [n]: rows by cell, ascending inside one */
    int64_t *start;            /* [k + 2]: cell c has order[start[c]] to order[start[c + 1] - 1] */
    double *block_loss;        /* [blocks of rows] */
    ivf_kmeans_spread *spread; /* [k] */
    int64_t *sums;             /* [threads][d] */
    float *direction;          /* [threads][d] */
    atomic_bool moved;         /* the last update changed a centroid */
} ivf_kmeans_work;

/* Local. Rows of order that belong to a cell. */
static inline int64_t ivf_kmeans_size(const ivf_kmeans_work *w, int32_t cell)
{
    return w->start[cell + 1] - w->start[cell];
}

/* Local. The point that a row stands for as a centroid: itself, or its direction when spherical. Negative zeros become
 * positive, so that equal points have equal bits. False when the row has no direction. */
bool ivf_kmeans_point(const ivf_kmeans_work *w, int64_t row, float *point);

/* Local. Fills centroids with distinct points drawn with the seed, at most params->k; sets w->k to how many there are.
 */
int ivf_kmeans_seed(ivf_kmeans_work *w);

/* Local, uses the team. cell, loss, order and start from the centroids; the objective. */
int ivf_kmeans_assign(ivf_kmeans_work *w, double *objective);

/* Local. order and start from cell. */
void ivf_kmeans_sort(ivf_kmeans_work *w);

/* Local. Cells without rows. */
int64_t ivf_kmeans_empty(const ivf_kmeans_work *w);

/* Local, uses the team. Gives empty cells a row each, as far as there are rows to give, and sorts again; how many. */
int ivf_kmeans_repair(ivf_kmeans_work *w, int64_t *repaired);

/* Local, uses the team. The centroids from the rows of each cell; cells without rows keep theirs. */
int ivf_kmeans_update(ivf_kmeans_work *w);

#endif
