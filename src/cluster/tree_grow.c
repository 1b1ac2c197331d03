/* Trees over centroids, grown from the lists upwards: k-means over the nodes of a level gives the nodes of the next;
 * each node goes under the nearest, by math/panels.h. When all parents are known, nodes are put in the order of their
 * parents, from the top down. */
#include "cluster/tree_grow.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "base/team.h"
#include "cluster/internal.h"
#include "cluster/kmeans.h"
#include "math/panels.h"

enum {
    TWO_LEVELS = 8192,
    THREE_LEVELS = 1 << 19,
    BROAD = 32768,   /* lists from which a broad tree takes less than half the time of comparing with all */
    BROAD_SHARE = 8, /* lists to a node of it */
    ITERATIONS = 10,
    BLOCK = 256, /* nodes of an assignment task */
};

/* The nodes above a level while the tree grows. */
typedef struct {
    int32_t count;
    float *centroids; /* [count][d], owned */
    int32_t *parent;  /* [count of the level below], owned: which node each is under */
} growing;

int ivf_tree_levels(int32_t lists)
{
    return lists >= THREE_LEVELS ? 3 : lists >= TWO_LEVELS ? 2 : 1;
}

static int32_t nodes_of(const ivf_tree_growth *growth, int32_t lists, int levels, int level)
{
    if (growth->nodes[level] > 0)
        return growth->nodes[level];
    if (growth->broad && levels == 2)
        return lists / BROAD_SHARE;
    double nodes = 4 * pow((double)lists, (double)(levels - level) / levels);
    return (int32_t)ivf_max_i64(1, ivf_min_i64((int64_t)nodes, lists));
}

bool ivf_tree_may_broaden(const ivf_tree *shape)
{
    return shape->levels == 2 && shape->count[0] >= BROAD && !ivf_tree_is_broad(shape);
}

void ivf_tree_cut(ivf_tree *tree)
{
    for (int l = 1; l < tree->levels; l++) {
        ivf_free(tree->centroids[l]);
        ivf_free(tree->first[l]);
        tree->centroids[l] = NULL;
        tree->first[l] = NULL;
        tree->count[l] = 0;
    }
    tree->levels = 1;
}

void ivf_tree_shape(const ivf_tree_growth *growth, int32_t lists, ivf_tree *shape)
{
    shape->levels = growth->levels == 0 ? ivf_tree_levels(lists) : growth->levels;
    shape->count[0] = lists;
    for (int l = 1; l < IVF_LEVELS; l++)
        shape->count[l] = l < shape->levels
                              ? (int32_t)ivf_min_i64(nodes_of(growth, lists, shape->levels, l), shape->count[l - 1])
                              : 0;
}

/* The rows below[count] that share gives this rank. */
static float *deal(const float *below, int d, const ivf_share *share)
{
    int64_t n = ivf_share_count(share);
    float *mine = ivf_new((size_t)n, (size_t)d * sizeof *mine);
    for (int64_t row = 0; row < n && mine != NULL; row += IVF_SHARE_BLOCK)
        memcpy(mine + row * d, below + ivf_share_place(share, row) * d,
               (size_t)(ivf_min_i64(IVF_SHARE_BLOCK, n - row) * d) * sizeof *mine);
    return mine;
}

static ivf_kmeans_params params_of(const ivf_tree_growth *growth, int32_t nodes, int d)
{
    return (ivf_kmeans_params){.k = nodes,
                               .d = d,
                               .metric = growth->metric,
                               .mode = IVF_KMEANS_FAST,
                               .iterations = growth->iterations > 0 ? growth->iterations : ITERATIONS,
                               .seed = growth->seed,
                               .stream = IVF_RNG_TREE,
                               .spare = true};
}

static int train(const ivf_ctx *ctx, const ivf_tree_growth *growth, int level, const float *below, int32_t count, int d,
                 growing *nodes)
{
    char name[IVF_KEEPER_NAME];
    (void)snprintf(name, sizeof name, "%s-%d", growth->broad ? "broad" : "tree", level);
    ivf_kmeans_params params = params_of(growth, nodes->count, d);
    params.keeper = growth->keeper;
    params.kept_as = name;
    const ivf_share share = {.total = count, .rank = ivf_kmeans_rank(ctx), .size = ivf_kmeans_ranks(ctx)};
    ivf_kmeans_report *report = ivf_new(1, sizeof *report);
    float *mine = deal(below, d, &share);
    int rc = ivf_kmeans_agree(ctx, report == NULL || mine == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc == MPIVF_OK)
        rc = ctx == NULL ? ivf_kmeans(&params, mine, count, nodes->centroids, report)
                         : ivf_kmeans_all(ctx, &params, mine, &share, nodes->centroids, report);
    ivf_free(report);
    ivf_free(mine);
    return rc;
}

typedef struct {
    const ivf_panels *panels;
    const float *below;
    int d;
    int64_t first, end; /* this rank's */
    int32_t *parent;
} parent_job;

static int find_parents_of_block(void *arg, int64_t task, int worker)
{
    (void)worker;
    const parent_job *job = arg;
    int64_t first = job->first + task * BLOCK;
    float score[BLOCK];
    ivf_panels_best(job->panels, job->below + first * job->d, ivf_min_i64(BLOCK, job->end - first), job->parent + first,
                    score);
    return MPIVF_OK;
}

static int find_parents(const ivf_ctx *ctx, ivf_metric metric, const float *below, int32_t count, int d,
                        const growing *nodes)
{
    parent_job job = {.below = below,
                      .d = d,
                      .first = ivf_kmeans_first_of(count, ivf_kmeans_rank(ctx), ivf_kmeans_ranks(ctx)),
                      .end = ivf_kmeans_first_of(count, ivf_kmeans_rank(ctx) + 1, ivf_kmeans_ranks(ctx)),
                      .parent = nodes->parent};
    ivf_panels *panels = ivf_panels_new(nodes->centroids, nodes->count, d, metric);
    int rc = panels == NULL ? MPIVF_FAILED : MPIVF_OK;
    job.panels = panels;
    if (rc == MPIVF_OK)
        rc = ivf_team_run_stoppable(ivf_ceil_div(job.end - job.first, BLOCK), find_parents_of_block, &job);
    ivf_panels_free(panels);
    rc = ivf_kmeans_agree(ctx, rc);
    return rc == MPIVF_OK ? ivf_kmeans_share(ctx, nodes->parent, count, sizeof *nodes->parent) : rc;
}

/* Leaves out nodes without children. */
static int prune(growing *nodes, int32_t below, int d)
{
    int32_t *renumbered = ivf_new_zero((size_t)nodes->count, sizeof *renumbered);
    if (renumbered == NULL)
        return MPIVF_FAILED;
    for (int32_t i = 0; i < below; i++)
        renumbered[nodes->parent[i]] = 1;
    int32_t kept = 0;
    for (int32_t i = 0; i < nodes->count; i++) {
        if (renumbered[i] == 0)
            continue;
        memmove(nodes->centroids + (ptrdiff_t)kept * d, nodes->centroids + (ptrdiff_t)i * d, (size_t)d * sizeof(float));
        renumbered[i] = kept++;
    }
    for (int32_t i = 0; i < below; i++)
        nodes->parent[i] = renumbered[nodes->parent[i]];
    nodes->count = kept;
    ivf_free(renumbered);
    return MPIVF_OK;
}

static int grow_level(const ivf_ctx *ctx, const ivf_tree_growth *growth, int level, const float *below, int32_t count,
                      int d, growing *nodes)
{
    nodes->centroids = ivf_new((size_t)nodes->count, (size_t)d * sizeof *nodes->centroids);
    nodes->parent = ivf_new((size_t)count, sizeof *nodes->parent);
    int rc = ivf_kmeans_agree(ctx, nodes->centroids == NULL || nodes->parent == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc == MPIVF_OK)
        rc = train(ctx, growth, level, below, count, d, nodes);
    if (rc == MPIVF_OK)
        rc = find_parents(ctx, growth->metric, below, count, d, nodes);
    return ivf_kmeans_agree(ctx, rc == MPIVF_OK ? prune(nodes, count, d) : rc);
}

/* order[count]: the nodes below in the order of the new places of their parents; place[i]: where node i comes;
 * first[nodes + 1]: where the children of each begin. parent_place NULL: parents stay where they are. */
static void place_children(const growing *nodes, int32_t count, const int32_t *parent_place, int32_t *first,
                           int32_t *place)
{
    memset(first, 0, ((size_t)nodes->count + 1) * sizeof *first);
    for (int32_t i = 0; i < count; i++) {
        int32_t parent = nodes->parent[i];
        place[i] = parent_place == NULL ? parent : parent_place[parent];
        first[place[i] + 1]++;
    }
    for (int32_t i = 0; i < nodes->count; i++)
        first[i + 1] += first[i];
    for (int32_t i = 0; i < count; i++)
        place[i] = first[place[i]]++;
    memmove(first + 1, first, (size_t)nodes->count * sizeof *first);
    first[0] = 0;
}

static float *permuted(const float *rows, const int32_t *place, int32_t count, int d)
{
    float *out = ivf_new((size_t)count, (size_t)d * sizeof *out);
    for (int32_t i = 0; i < count && out != NULL; i++)
        memcpy(out + (ptrdiff_t)place[i] * d, rows + (ptrdiff_t)i * d, (size_t)d * sizeof *out);
    return out;
}

/* Fills `grown` (its centroids are copies in the new order). */
static int put_in_order(const ivf_tree *tree, const growing *nodes, int levels, ivf_tree *grown)
{
    int32_t *place[IVF_LEVELS] = {NULL};
    int rc = MPIVF_OK;
    *grown = (ivf_tree){.levels = levels, .d = tree->d};
    for (int l = levels - 1; l >= 0 && rc == MPIVF_OK; l--) {
        const float *centroids = l == 0 ? tree->centroids[0] : nodes[l].centroids;
        grown->count[l] = l == 0 ? tree->count[0] : nodes[l].count;
        place[l] = ivf_new((size_t)grown->count[l], sizeof *place[l]);
        if (l > 0)
            grown->first[l] = ivf_new((size_t)grown->count[l] + 1, sizeof(int32_t));
        if (place[l] == NULL || (l > 0 && grown->first[l] == NULL)) {
            rc = MPIVF_FAILED;
            break;
        }
        for (int32_t i = 0; l == levels - 1 && i < grown->count[l]; i++)
            place[l][i] = i;
        if (l < levels - 1)
            place_children(&nodes[l + 1], grown->count[l], place[l + 1], grown->first[l + 1], place[l]);
        grown->centroids[l] = permuted(centroids, place[l], grown->count[l], tree->d);
        if (grown->centroids[l] == NULL)
            rc = MPIVF_FAILED;
    }
    for (int l = 0; l < levels; l++)
        ivf_free(place[l]);
    return rc;
}

int ivf_tree_grow(const ivf_ctx *ctx, const ivf_tree_growth *growth, ivf_tree *tree)
{
    const int32_t lists = tree->count[0];
    const int levels = growth->levels == 0 ? ivf_tree_levels(lists) : growth->levels;
    growing nodes[IVF_LEVELS] = {{0}};
    ivf_tree grown = {0};
    int rc = MPIVF_OK;
    if (levels < 1 || levels > IVF_LEVELS || tree->levels != 1)
        rc = ivf_fail(MPIVF_USAGE, "a tree of %d levels is to grow from one of %d; 1 to %d can grow from 1", levels,
                      tree->levels, IVF_LEVELS);
    if (rc != MPIVF_OK || levels == 1)
        return rc;
    for (int l = 1; l < levels && rc == MPIVF_OK; l++) {
        const float *below = l == 1 ? tree->centroids[0] : nodes[l - 1].centroids;
        int32_t count = l == 1 ? lists : nodes[l - 1].count;
        nodes[l].count = (int32_t)ivf_min_i64(nodes_of(growth, lists, levels, l), count);
        rc = grow_level(ctx, growth, l, below, count, tree->d, &nodes[l]);
    }
    if (rc == MPIVF_OK)
        rc = ivf_kmeans_agree(ctx, put_in_order(tree, nodes, levels, &grown));
    for (int l = 1; l < levels; l++) {
        ivf_free(nodes[l].centroids);
        ivf_free(nodes[l].parent);
    }
    if (rc != MPIVF_OK) {
        ivf_tree_free(&grown);
        return rc;
    }
    ivf_tree_free(tree);
    *tree = grown;
    return MPIVF_OK;
}

int ivf_tree_place(const ivf_ctx *ctx, ivf_metric metric, const float *top, int32_t count, ivf_tree *tree)
{
    const size_t bytes = (size_t)count * (size_t)tree->d * sizeof(float);
    growing nodes[IVF_LEVELS] = {[1] = {.count = count}};
    ivf_tree grown = {0};
    nodes[1].centroids = ivf_new(bytes, 1);
    nodes[1].parent = ivf_new((size_t)tree->count[0], sizeof *nodes[1].parent);
    int rc = ivf_kmeans_agree(ctx, nodes[1].centroids == NULL || nodes[1].parent == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc == MPIVF_OK && nodes[1].centroids != NULL) {
        memcpy(nodes[1].centroids, top, bytes);
        rc = find_parents(ctx, metric, tree->centroids[0], tree->count[0], tree->d, &nodes[1]);
    }
    if (rc == MPIVF_OK)
        rc = ivf_kmeans_agree(ctx, put_in_order(tree, nodes, 2, &grown));
    ivf_free(nodes[1].centroids);
    ivf_free(nodes[1].parent);
    if (rc != MPIVF_OK) {
        ivf_tree_free(&grown);
        return rc;
    }
    ivf_tree_free(tree);
    *tree = grown;
    return MPIVF_OK;
}

int64_t ivf_tree_grow_memory(const ivf_tree_growth *growth, int32_t lists, int d, int ranks, int threads)
{
    ivf_tree shape = {0};
    ivf_tree_shape(growth, lists, &shape);
    const int64_t row = 4 * (int64_t)d;
    int64_t kept = 0;
    int64_t most = 0;
    int64_t copied = lists * (row + 4);
    for (int l = 1; l < shape.levels; l++) {
        const ivf_kmeans_params params = params_of(growth, shape.count[l], d);
        const ivf_share share = {.total = shape.count[l - 1], .rank = 0, .size = ranks};
        const int64_t training = ivf_share_count(&share) * row + (int64_t)sizeof(ivf_kmeans_report) +
                                 ivf_kmeans_memory(&params, share.total, ranks, threads);
        kept += shape.count[l] * row + share.total * 4;
        copied += shape.count[l] * (row + 8);
        most = ivf_max_i64(most, kept + ivf_max_i64(training, ivf_panels_memory(shape.count[l], d)));
    }
    return shape.levels > 1 ? ivf_max_i64(most, kept + copied) : 0;
}
