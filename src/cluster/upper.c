/* Fast k-means with many centroids: a tree over them stands in for comparing with all. It has many nodes, all of which
 * a row is compared with, and few of which it descends (bench/README.md). The neighbours of a centroid are looked for
 * in the same way. The tree is grown anew for each pass that descends it, which renumbers the centroids; between these
 * its nodes stay where they are while centroids move.
 *
 * The rows of a cell are known to be near where its centroid was before centroids were moved and renumbered: its
 * anchor. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "cluster/internal.h"
#include "cluster/tree_grow.h"
#include "math/topk.h"

enum {
    PROBES = 24,       /* nodes that a row looks under, */
    FEWER_PROBES = 16, /* where there are */
    MANY_NODES = 4096,
    NODE_LISTS = 16,   /* centroids to a node, */
    MOST_NODES = 8192, /* but no more of them than that, or than are usual */
    ITERATIONS = 2,    /* of the k-means of the nodes */
};

void ivf_kmeans_upper_free(ivf_kmeans_upper *upper)
{
    ivf_nearest_free(upper->nearest);
    ivf_free(upper->anchors);
    ivf_tree_free(&upper->tree);
    *upper = (ivf_kmeans_upper){0};
}

static ivf_tree_growth growth_of(const ivf_kmeans_params *params, int32_t k)
{
    const int64_t usual = (int64_t)(4 * sqrt((double)k));
    const int64_t nodes = ivf_max_i64(usual, ivf_min_i64(k / NODE_LISTS, MOST_NODES));
    return (ivf_tree_growth){.levels = 2,
                             .nodes = {0, (int32_t)ivf_min_i64(k, nodes)},
                             .iterations = ITERATIONS,
                             .metric = params->metric,
                             .seed = params->seed};
}

static ivf_nearest_way way_of(const ivf_tree *tree)
{
    const int32_t nodes = tree->count[1];
    const int32_t probes = tree->count[0] / NODE_LISTS >= MANY_NODES ? FEWER_PROBES : PROBES;
    return (ivf_nearest_way){.kind = IVF_NEAREST_TREE, .probes = {0, probes < nodes ? probes : nodes}};
}

/* Collective. All but the tree itself. */
static int complete(const ivf_ctx *ctx, const ivf_kmeans_work *w, ivf_kmeans_upper *upper)
{
    const ivf_nearest_way way = way_of(&upper->tree);
    upper->nearest = ivf_nearest_new(&upper->tree, w->params->metric, &w->rounded->grid, &way);
    if (upper->anchors == NULL)
        upper->anchors = ivf_new((size_t)w->k, w->rounded->stride);
    return ivf_kmeans_agree(ctx, upper->nearest == NULL || upper->anchors == NULL ? MPIVF_FAILED : MPIVF_OK);
}

void ivf_kmeans_set_anchors(const ivf_kmeans_work *w, ivf_kmeans_upper *upper)
{
    (void)ivf_grid_round(&w->rounded->grid, w->centroids, w->k, upper->anchors, NULL);
}

int ivf_kmeans_grow_upper(const ivf_ctx *ctx, ivf_kmeans_work *w, ivf_kmeans_upper *upper)
{
    const ivf_tree_growth growth = growth_of(w->params, w->k);
    const size_t bytes = (size_t)w->k * w->d * sizeof(float);
    int8_t *anchors = upper->anchors;
    upper->anchors = NULL;
    ivf_kmeans_upper_free(upper);
    upper->anchors = anchors;
    int rc = ivf_kmeans_agree(ctx, ivf_tree_make(&upper->tree, 1, w->params->d, &w->k));
    if (rc != MPIVF_OK)
        return rc;
    memcpy(upper->tree.centroids[0], w->centroids, bytes);
    rc = ivf_tree_grow(ctx, &growth, &upper->tree);
    if (rc != MPIVF_OK)
        return rc;
    memcpy(w->centroids, upper->tree.centroids[0], bytes);
    return complete(ctx, w, upper);
}

int ivf_kmeans_recall_upper(const ivf_ctx *ctx, const ivf_kmeans_work *w, ivf_tree *tree, ivf_kmeans_upper *upper)
{
    ivf_kmeans_upper_free(upper);
    upper->tree = *tree;
    *tree = (ivf_tree){0};
    return complete(ctx, w, upper);
}

int64_t ivf_kmeans_upper_memory(const ivf_kmeans_extent *e, int64_t width)
{
    const int d = e->params->d;
    const int32_t k = e->params->k;
    const ivf_tree_growth growth = growth_of(e->params, k);
    ivf_tree shape = {.d = d};
    ivf_tree_shape(&growth, k, &shape);
    const ivf_nearest_way way = way_of(&shape);
    const int64_t anchors = k * ivf_grid_stride(d);
    const int64_t kept = ((int64_t)k + shape.count[1]) * 4 * d + (int64_t)shape.count[1] * 4;
    const int64_t growing = (int64_t)k * 4 * d + ivf_tree_grow_memory(&growth, k, d, e->ranks, e->threads);
    const int64_t looking =
        e->threads * (ivf_nearest_several_memory(&shape, &way) + width * (int64_t)sizeof(ivf_neighbor) + 128);
    const int64_t step = ivf_max_i64(looking, ivf_kmeans_down_memory(e, &shape, &way));
    return anchors + ivf_max_i64(growing, kept + ivf_nearest_memory(&shape, &way) + step);
}
