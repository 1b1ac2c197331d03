/* What the parts of k-means share: its work space and its steps, in the order in which they run. Functions that take a
 * context are collective over it; NULL stands for this rank alone. */
#ifndef IVF_CLUSTER_INTERNAL_H
#define IVF_CLUSTER_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "cluster/kmeans.h"
#include "comm/transfer.h"

/* How far the rows of a cell are from its centroid, over all ranks. */
typedef struct {
    double objective; /* sum of squared distances, each taken exactly as a distance, not from a score */
    int32_t cell;     /* -1: no row of it can found another cell */
    int64_t farthest; /* place */
} ivf_kmeans_spread;

typedef struct {
    const ivf_kmeans_params *params;
    ivf_share share;
    const float *x;   /* [n][d], borrowed: this rank's rows */
    float *centroids; /* [k][d], borrowed */
    int64_t n;        /* this rank's rows */
    size_t d;
    int32_t k; /* cells in use: params->k, or the distinct rows when there are fewer and `spare` allows it */
    bool spherical;

    float *norm;      /* [n]: squared norms of the rows */
    int32_t *cell;    /* [n]: the row's cell */
    uint32_t *order;  /* [n]: rows by cell, ascending inside one */
    int64_t *start;   /* [k + 2]: cell c has order[start[c]] to order[start[c + 1] - 1] */
    float *direction; /* [threads][d] */
    int64_t *sums;    /* [slice][d] of the cells whose means are taken at once */
    int32_t slice;    /* cells, at least 1 */

    /* Over all ranks, the same on each. */
    bool *founded;              /* [k]: the cell was empty and has been given a row */
    double *share_of_objective; /* [k] */
    int64_t *largest;           /* [k]: bits of the largest squared norm in each cell */
    int64_t *size;              /* [k + 1]: rows of each cell; then the squared norms in fixed point */
    double norms;               /* sum of squared norms */
    double objective; /* sum of squared distances to the centroids before the last update, or of minus the scores */
    bool moved;       /* the last update changed a centroid */
} ivf_kmeans_work;

/* Collective. Sums and maxima over the ranks. */
static inline void ivf_kmeans_allsum(const ivf_ctx *ctx, int64_t *values, int64_t n)
{
    if (ctx != NULL)
        ivf_allsum_i64(ctx, values, n);
}

static inline void ivf_kmeans_allmax(const ivf_ctx *ctx, int64_t *values, int64_t n)
{
    if (ctx != NULL)
        ivf_allmax_i64(ctx, values, n);
}

static inline int ivf_kmeans_agree(const ivf_ctx *ctx, int code)
{
    return ctx != NULL ? ivf_agree(ctx, code) : code;
}

/* Local. This rank's rows of a cell. */
static inline int64_t ivf_kmeans_rows_in(const ivf_kmeans_work *w, int32_t cell)
{
    return w->start[cell + 1] - w->start[cell];
}

/* Local. The exponent e for which any `count` numbers below `largest`, times 2^e, add up to less than 2^bits. */
int ivf_kmeans_exponent(double largest, int64_t count, int bits);

/* Local. Floats that are not negative compare as their bits do. */
int64_t ivf_kmeans_bits(float value);
float ivf_kmeans_value(int64_t bits);

/* Local. The point that x[d] stands for as a centroid: itself, or its direction when spherical. Negative zeros become
 * positive, so that equal points have equal bits. False when it has no direction. */
bool ivf_kmeans_point(const ivf_kmeans_work *w, const float *x, float *point);

/* Collective. Fills centroids with distinct points drawn with the seed, at most params->k; sets w->k to how many there
 * are. */
int ivf_kmeans_seed(const ivf_ctx *ctx, ivf_kmeans_work *w);

/* Local, uses the team. norm. */
void ivf_kmeans_norms(ivf_kmeans_work *w);

/* Local, uses the team. cell from the centroids, in single precision. */
int ivf_kmeans_assign(const ivf_kmeans_work *w);

/* Local. order and start from cell. */
void ivf_kmeans_sort(ivf_kmeans_work *w);

/* Collective, uses the team. largest, size and norms. */
void ivf_kmeans_tally(const ivf_ctx *ctx, ivf_kmeans_work *w);

/* Local. Cells without rows. */
int64_t ivf_kmeans_empty(const ivf_kmeans_work *w);

/* Collective, uses the team. Gives empty cells a row each, as far as there are rows to give, and sorts and counts
 * again; *repaired: how many. */
int ivf_kmeans_repair(const ivf_ctx *ctx, ivf_kmeans_work *w, int64_t *repaired);

/* Collective, uses the team. The centroids from the rows of each cell; cells without rows keep theirs. objective,
 * moved. */
void ivf_kmeans_update(const ivf_ctx *ctx, ivf_kmeans_work *w);

#endif
