/* Fast k-means with many centroids: a tree over them stands in for comparing with all. Full passes descend it, and the
 * neighbours of a centroid are looked for under the nodes next to its own. The tree is grown anew for each full pass,
 * which renumbers the centroids; between these its nodes stay where they are while centroids move, for neighbours are
 * looked for widely enough. */
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "cluster/internal.h"
#include "cluster/tree_grow.h"
#include "math/panels.h"

enum {
    PROBES = 32,      /* nodes that a row looks under */
    NEXT = 12,        /* nodes that a centroid's neighbours are looked for under */
    BLOCK_ROWS = 256, /* rows of a task, at least */
};

void ivf_kmeans_upper_free(ivf_kmeans_upper *upper)
{
    for (int t = 0; upper->parts != NULL && t < upper->threads; t++)
        ivf_coarse_free(upper->parts[t]);
    ivf_free(upper->parts);
    ivf_free(upper->next);
    ivf_tree_free(&upper->tree);
    *upper = (ivf_kmeans_upper){0};
}

/* next, and the most lists that are under the nodes of one row of it. */
static int find_next(const ivf_kmeans_work *w, ivf_kmeans_upper *upper)
{
    const int32_t nodes = upper->tree.count[1];
    const int32_t *first = upper->tree.first[1];
    int rc = MPIVF_FAILED;
    upper->width = ivf_min_i64(NEXT, nodes);
    ivf_panels *panels = ivf_panels_new(upper->tree.centroids[1], nodes, w->params->d, w->params->metric);
    void *scratch = panels == NULL ? NULL : ivf_new(ivf_panels_top_scratch(panels), 1);
    float *score = ivf_new((size_t)(nodes * upper->width), sizeof *score);
    upper->next = ivf_new((size_t)(nodes * upper->width), sizeof *upper->next);
    if (scratch != NULL && score != NULL && upper->next != NULL) {
        rc = MPIVF_OK;
        ivf_panels_top(panels, upper->tree.centroids[1], nodes, (int)upper->width, upper->next, score, scratch);
        for (int32_t i = 0; i < nodes; i++) {
            int64_t lists = 0;
            for (int64_t j = 0; j < upper->width; j++) {
                int32_t node = upper->next[i * upper->width + j];
                lists += first[node + 1] - first[node];
            }
            upper->most = ivf_max_i64(upper->most, lists);
        }
    }
    ivf_panels_free(panels);
    ivf_free(scratch);
    ivf_free(score);
    return rc;
}

static int make_parts(const ivf_kmeans_work *w, ivf_kmeans_upper *upper)
{
    upper->threads = ivf_team_size();
    upper->parts = ivf_new_zero((size_t)upper->threads, sizeof(ivf_coarse *));
    for (int t = 0; upper->parts != NULL && t < upper->threads; t++) {
        upper->parts[t] = ivf_coarse_new(upper->most, 1, w->params->d);
        if (upper->parts[t] == NULL)
            return MPIVF_FAILED;
    }
    return upper->parts == NULL ? MPIVF_FAILED : MPIVF_OK;
}

static int look_around(const ivf_ctx *ctx, const ivf_kmeans_work *w, ivf_kmeans_upper *upper)
{
    int rc = find_next(w, upper);
    return ivf_kmeans_agree(ctx, rc == MPIVF_OK ? make_parts(w, upper) : rc);
}

int ivf_kmeans_grow_upper(const ivf_ctx *ctx, ivf_kmeans_work *w, ivf_kmeans_upper *upper)
{
    const ivf_tree_growth growth = {.levels = 2, .metric = w->params->metric, .seed = w->params->seed};
    const size_t bytes = (size_t)w->k * w->d * sizeof(float);
    ivf_kmeans_upper_free(upper);
    int rc = ivf_kmeans_agree(ctx, ivf_tree_make(&upper->tree, 1, w->params->d, &w->k));
    if (rc != MPIVF_OK)
        return rc;
    memcpy(upper->tree.centroids[0], w->centroids, bytes);
    rc = ivf_tree_grow(ctx, &growth, &upper->tree);
    if (rc != MPIVF_OK)
        return rc;
    memcpy(w->centroids, upper->tree.centroids[0], bytes);
    return look_around(ctx, w, upper);
}

int ivf_kmeans_recall_upper(const ivf_ctx *ctx, const ivf_kmeans_work *w, ivf_tree *tree, ivf_kmeans_upper *upper)
{
    ivf_kmeans_upper_free(upper);
    upper->tree = *tree;
    *tree = (ivf_tree){0};
    return look_around(ctx, w, upper);
}

typedef struct {
    const ivf_kmeans_work *work;
    const ivf_nearest *nearest;
    int64_t rows; /* of a task */
    size_t scratch_bytes;
    char *scratch; /* [threads][scratch_bytes] */
} descent;

static int descend_block(void *arg, int64_t task, int worker)
{
    const descent *job = arg;
    const ivf_kmeans_work *w = job->work;
    const int64_t first = task * job->rows;
    const int64_t count = ivf_min_i64(job->rows, w->n - first);
    char *scratch = job->scratch + (size_t)worker * job->scratch_bytes;
    float *score = (float *)(void *)scratch;
    ivf_nearest_best(job->nearest, w->x + (size_t)first * w->d, count, w->cell + first, score,
                     scratch + (size_t)job->rows * sizeof *score);
    return MPIVF_OK;
}

int ivf_kmeans_assign_down(const ivf_kmeans_work *w, const ivf_kmeans_upper *upper)
{
    const int32_t nodes = upper->tree.count[1];
    const ivf_nearest_way way = {.kind = IVF_NEAREST_TREE, .probes = {0, PROBES < nodes ? PROBES : nodes}};
    ivf_nearest *nearest = ivf_nearest_new(&upper->tree, w->params->metric, &w->rounded->grid, &way);
    if (nearest == NULL)
        return MPIVF_FAILED;
    descent job = {.work = w, .nearest = nearest};
    job.rows = ivf_round_up(ivf_max_i64(BLOCK_ROWS, ivf_nearest_rows(nearest)), 64);
    job.scratch_bytes =
        (size_t)ivf_round_up(ivf_to_i64(ivf_nearest_scratch(nearest) + (size_t)job.rows * sizeof(float)), 64);
    job.scratch = ivf_new((size_t)ivf_team_size(), job.scratch_bytes);
    int rc =
        job.scratch == NULL ? MPIVF_FAILED : ivf_team_run_stoppable(ivf_ceil_div(w->n, job.rows), descend_block, &job);
    ivf_nearest_free(nearest);
    ivf_free(job.scratch);
    return rc;
}

int64_t ivf_kmeans_upper_memory(const ivf_kmeans_extent *e, int64_t width)
{
    enum { UNEVEN = 3 }; /* times the mean that the nodes next to one may hold */
    const int d = e->params->d;
    const int32_t k = e->params->k;
    const ivf_tree_growth growth = {.levels = 2, .metric = e->params->metric, .seed = e->params->seed};
    ivf_tree shape = {.d = d};
    ivf_tree_shape(&growth, k, &shape);
    const int32_t nodes = shape.count[1];
    const ivf_nearest_way way = {.kind = IVF_NEAREST_TREE, .probes = {0, PROBES < nodes ? PROBES : nodes}};
    const int64_t most = ivf_min_i64(k, ivf_ceil_div((int64_t)k * NEXT * UNEVEN, nodes));
    const int64_t kept = ((int64_t)k + nodes) * 4 * d + (int64_t)nodes * 4 * (NEXT + 1);
    const int64_t parts = e->threads * ivf_coarse_memory(most, 1, d);
    const int64_t growing = (int64_t)k * 4 * d + ivf_tree_grow_memory(&growth, k, d, e->ranks, e->threads);
    const int64_t descending = ivf_nearest_memory(&shape, &way) +
                               e->threads * (ivf_nearest_scratch_memory(&shape, &way) + (int64_t)IVF_NEAREST_TASK * 4);
    const int64_t looking = (int64_t)e->threads * 4 * most + ivf_kmeans_neighbours_memory(e, width, most);
    return ivf_max_i64(growing, kept + parts + ivf_max_i64(descending, looking));
}
