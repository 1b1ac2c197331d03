/* Descending the tree of centroids, for the ranking of lists (search/probe.c).
 *
 * Level by level the pairs of queries and nodes are sorted by node, so that the children of a node, which follow each
 * other in what the level below has packed, are compared with all queries of the block that descend into it at once.
 * Scores have the bits that comparing with all centroids gives (math/panels.h): descending into all nodes of every
 * level yields the lists of a search without a tree.
 *
 * Memory: upper levels packed, about a root of the centroids' size; the scratch of a block. No collectives. */
#include "search/descend.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "math/topk.h"

/* What is compared at once: so many queries with so many children. */
enum { GROUP = 64, CHILDREN = 256 };

struct ivf_descent {
    const ivf_tree *tree;                 /* borrowed */
    const ivf_panels *levels[IVF_LEVELS]; /* [0] borrowed, the others owned */
};

ivf_descent *ivf_descent_new(const ivf_model *model, const ivf_panels *lists)
{
    ivf_descent *made = ivf_new_zero(1, sizeof *made);
    if (made == NULL)
        return NULL;
    made->tree = &model->tree;
    made->levels[0] = lists;
    for (int l = 1; l < model->tree.levels; l++) {
        made->levels[l] = ivf_panels_new(model->tree.centroids[l], model->tree.count[l], model->d, model->metric);
        if (made->levels[l] == NULL) {
            ivf_descent_free(made);
            return NULL;
        }
    }
    return made;
}

void ivf_descent_free(ivf_descent *descent)
{
    if (descent == NULL)
        return;
    for (int l = 1; l < IVF_LEVELS; l++)
        ivf_panels_free((ivf_panels *)descent->levels[l]);
    ivf_free(descent);
}

/* Nodes of the upper level that has most. */
static size_t most_nodes(const ivf_tree *tree)
{
    int32_t most = 0;
    for (int l = 1; l < tree->levels; l++)
        most = tree->count[l] > most ? tree->count[l] : most;
    return (size_t)most;
}

/* ---- how many nodes are ranked ---- */

static int32_t children_of(const ivf_tree *tree, int level, int32_t node)
{
    return tree->first[level][node + 1] - tree->first[level][node];
}

static int ascending(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a;
    int32_t y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

/* The nodes that have `wanted` children together, even if they are those with the fewest. */
static int32_t count_enough(const ivf_tree *tree, int level, int32_t wanted, int32_t *sizes)
{
    const int32_t count = tree->count[level];
    int32_t nodes = 0;
    for (int32_t i = 0; i < count; i++)
        sizes[i] = children_of(tree, level, i);
    qsort(sizes, (size_t)count, sizeof *sizes, ascending);
    for (int64_t sum = 0; nodes < count && sum < wanted; nodes++)
        sum += sizes[nodes];
    return nodes;
}

int ivf_descent_plan(const ivf_descent *descent, const int32_t *nodes, int nprobe, ivf_route *route)
{
    const ivf_tree *tree = descent->tree;
    int32_t *sizes = ivf_new(most_nodes(tree), sizeof *sizes);
    if (sizes == NULL)
        return MPIVF_FAILED;
    *route = (ivf_route){.take = {nprobe}, .ranked = {nprobe}};
    for (int l = 1; l < tree->levels; l++) {
        route->take[l] = (int32_t)ivf_min_i64(nodes[l], tree->count[l]);
        route->ranked[l] = (int32_t)ivf_max_i64(route->take[l], count_enough(tree, l, route->ranked[l - 1], sizes));
    }
    ivf_free(sizes);
    return MPIVF_OK;
}

/* ---- descending ---- */

/* A block of queries on its way down. */
typedef struct {
    const ivf_descent *descent;
    const ivf_route *route;
    const float *x;
    int64_t n;
    int d;
    void *ranking;      /* scratch of ivf_panels_top */
    int32_t *node;      /* [n][ranked]: of the present level, best first */
    float *node_score;  /* [n][ranked] */
    int32_t *start;     /* [count + 1] of the present level */
    int32_t *pairs;     /* [n * ranked]: queries, by the node that they descend into */
    ivf_neighbor *heap; /* [n][ranked of the level below]: keys are minus scores */
    float *rows;        /* [GROUP][d] */
    float *scores;      /* [GROUP][CHILDREN + IVF_PANEL_MOST] */
    uint64_t *numbers;  /* [CHILDREN] */
} descending;

static size_t place(const ivf_descent *descent, const ivf_route *route, int64_t n, void *block, descending *to)
{
    const ivf_tree *tree = descent->tree;
    const size_t queries = ivf_to_size(n);
    size_t most = 0;
    size_t used = 0;
    for (int l = 0; l < tree->levels; l++)
        most = (size_t)route->ranked[l] > most ? (size_t)route->ranked[l] : most;
    to->ranking = ivf_memory_piece(block, &used, ivf_panels_top_scratch(descent->levels[tree->levels - 1]));
    to->node = ivf_memory_piece(block, &used, queries * most * sizeof *to->node);
    to->node_score = ivf_memory_piece(block, &used, queries * most * sizeof *to->node_score);
    to->start = ivf_memory_piece(block, &used, (most_nodes(tree) + 1) * sizeof *to->start);
    to->pairs = ivf_memory_piece(block, &used, queries * most * sizeof *to->pairs);
    to->heap = ivf_memory_piece(block, &used, queries * most * sizeof *to->heap);
    to->rows = ivf_memory_piece(block, &used, (size_t)GROUP * (size_t)tree->d * sizeof *to->rows);
    to->scores = ivf_memory_piece(block, &used, (size_t)GROUP * (CHILDREN + IVF_PANEL_MOST) * sizeof *to->scores);
    to->numbers = ivf_memory_piece(block, &used, CHILDREN * sizeof *to->numbers);
    return used;
}

size_t ivf_descent_scratch(const ivf_descent *descent, const ivf_route *route, int64_t n)
{
    descending unused = {0};
    return place(descent, route, n, NULL, &unused);
}

/* How many of its nodes a query descends into. */
static int32_t count_taken(const descending *s, int level, int64_t query)
{
    const int32_t *node = s->node + query * s->route->ranked[level];
    int64_t children = 0;
    int32_t taken = 0;
    for (; taken < s->route->ranked[level]; taken++) {
        if (taken >= s->route->take[level] && children >= s->route->ranked[level - 1])
            break;
        children += children_of(s->descent->tree, level, node[taken]);
    }
    return taken;
}

/* The pairs of queries and nodes, sorted by node, within a node by query. */
static void sort_pairs(const descending *s, int level)
{
    const int32_t count = s->descent->tree->count[level];
    const int64_t ranked = s->route->ranked[level];
    int32_t *start = s->start;
    memset(start, 0, ((size_t)count + 1) * sizeof *start);
    for (int64_t q = 0; q < s->n; q++) {
        const int32_t taken = count_taken(s, level, q);
        for (int32_t i = 0; i < taken; i++)
            start[s->node[q * ranked + i] + 1]++;
    }
    for (int32_t i = 0; i < count; i++)
        start[i + 1] += start[i];
    for (int64_t q = 0; q < s->n; q++) {
        const int32_t taken = count_taken(s, level, q);
        for (int32_t i = 0; i < taken; i++)
            s->pairs[start[s->node[q * ranked + i]]++] = (int32_t)q;
    }
    memmove(start + 1, start, (size_t)count * sizeof *start);
    start[0] = 0;
}

/* Children first to end - 1 of a node with some of the queries that descend into it. */
static void compare(const descending *s, int below, const int32_t *queries, int64_t count, int32_t first, int32_t end)
{
    const int width = s->route->ranked[below];
    const int64_t begin = ivf_panels_scores_of(s->descent->levels[below], first, end, s->rows, count, s->scores);
    const int64_t stride = end - begin;
    for (int32_t c = first; c < end; c++)
        s->numbers[c - first] = (uint64_t)c;
    for (int64_t i = 0; i < count; i++) {
        float *keys = s->scores + i * stride + (first - begin);
        ivf_topk top = {.heap = s->heap + (int64_t)queries[i] * width, .k = width};
        for (int32_t c = 0; c < end - first; c++)
            keys[c] = keys[c] > -INFINITY ? -keys[c] : INFINITY; /* NaN: nothing is farther */
        ivf_topk_offer(&top, keys, s->numbers, end - first);
    }
}

static void descend_into(const descending *s, int level, int32_t node)
{
    const int32_t *first = s->descent->tree->first[level];
    for (int64_t from = s->start[node]; from < s->start[node + 1]; from += GROUP) {
        const int64_t count = ivf_min_i64(GROUP, s->start[node + 1] - from);
        for (int64_t i = 0; i < count; i++)
            memcpy(s->rows + i * s->d, s->x + (int64_t)s->pairs[from + i] * s->d, (size_t)s->d * sizeof *s->rows);
        for (int32_t child = first[node]; child < first[node + 1]; child += CHILDREN)
            compare(s, level - 1, s->pairs + from, count, child,
                    (int32_t)ivf_min_i64((int64_t)child + CHILDREN, first[node + 1]));
    }
}

/* From the nodes of a level to those of the level below, into node[n][ranked] and node_score. */
static void descend(const descending *s, int level, int32_t *node, float *node_score)
{
    const int width = s->route->ranked[level - 1];
    sort_pairs(s, level);
    for (int64_t q = 0; q < s->n; q++)
        (void)ivf_topk_start(s->heap + q * width, width, INFINITY);
    for (int32_t i = 0; i < s->descent->tree->count[level]; i++)
        descend_into(s, level, i);
    for (int64_t q = 0; q < s->n; q++) {
        ivf_topk top = {.heap = s->heap + q * width, .k = width};
        ivf_topk_finish(&top);
    }
    for (int64_t i = 0; i < s->n * width; i++) {
        node[i] = (int32_t)s->heap[i].id;
        node_score[i] = -s->heap[i].key;
    }
}

void ivf_descent_run(const ivf_descent *descent, const ivf_route *route, const float *x, int64_t n, int32_t *list,
                     float *score, void *scratch)
{
    const int top = descent->tree->levels - 1;
    descending s = {.descent = descent, .route = route, .n = n, .d = descent->tree->d};
    s.x = x;
    (void)place(descent, route, n, scratch, &s);
    ivf_panels_top(descent->levels[top], x, n, route->ranked[top], s.node, s.node_score, s.ranking);
    for (int l = top; l > 1; l--)
        descend(&s, l, s.node, s.node_score);
    descend(&s, 1, list, score);
}
