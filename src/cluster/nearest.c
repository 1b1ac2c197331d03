/* The ways of finding lists: what they keep, and how blocks of rows go through them. */
#include "cluster/nearest.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "cluster/nearest_work.h"

enum {
    WORTH_ROUNDING = 32768, /* nlist * d from which 8 bits pay for the rounding and checking of each row */
    WORTH_DESCENDING = 8192 /* lists from which a descent pays, and less of an agreement is to be had than without */
};

const char *ivf_nearest_name(ivf_nearest_kind kind)
{
    static const char *const names[IVF_NEAREST_KINDS] = {
        [IVF_NEAREST_EXACT] = "exact",
        [IVF_NEAREST_ROUNDED] = "rounded",
        [IVF_NEAREST_TREE] = "tree",
    };
    return names[kind];
}

/* One node in 32, which sees to an excess of some parts in 1000 where there are 1000 nodes, and more of few nodes; few
 * of those that have few lists each. */
static int32_t probes_of(const ivf_tree *tree, int level)
{
    enum { SHARE = 32, LEAST = 16 };
    const int32_t nodes = tree->count[level];
    int32_t probes = (nodes - 1) / SHARE + 1;
    if (probes < LEAST || ivf_tree_is_broad(tree))
        probes = LEAST;
    return probes < nodes ? probes : nodes;
}

ivf_nearest_way ivf_nearest_usual(const ivf_tree *tree, ivf_nearest_kind kind)
{
    ivf_nearest_way way = {.kind = kind};
    for (int level = 1; level < tree->levels && kind == IVF_NEAREST_TREE; level++)
        way.probes[level] = probes_of(tree, level);
    return way;
}

ivf_nearest_way ivf_nearest_choose(const ivf_tree *tree)
{
    if (tree->d > IVF_COARSE_MAX_D || (int64_t)tree->count[0] * tree->d < WORTH_ROUNDING)
        return ivf_nearest_usual(tree, IVF_NEAREST_EXACT);
    if (tree->levels == 1 || tree->count[0] < WORTH_DESCENDING)
        return ivf_nearest_usual(tree, IVF_NEAREST_ROUNDED);
    return ivf_nearest_usual(tree, IVF_NEAREST_TREE);
}

/* Where a way's parts are packed: one block for all, or (NULL) one for each. */
typedef struct {
    char *block;
    size_t used;
    bool packed; /* by somebody else */
} packing;

static void *take(packing *p, int64_t bytes)
{
    return ivf_memory_piece(p->block, &p->used, ivf_to_size(bytes));
}

static bool pack_level(ivf_nearest *nearest, int level, packing *p)
{
    const ivf_tree *tree = nearest->tree;
    bool top = level + 1 == tree->levels || nearest->way.kind != IVF_NEAREST_TREE;
    int32_t groups = top ? 1 : tree->count[level + 1];
    void *block = take(p, ivf_coarse_memory(tree->count[level], groups, tree->d));
    ivf_coarse *coarse = block != NULL ? ivf_coarse_view(block, tree->count[level], groups, tree->d)
                                       : ivf_coarse_new(tree->count[level], groups, tree->d);
    nearest->coarse[level] = coarse;
    if (coarse == NULL)
        return false;
    if (p->packed)
        ivf_coarse_adopt(coarse, nearest->metric, tree->centroids[level]);
    else
        ivf_coarse_pack(coarse, nearest->grid, nearest->metric, tree->centroids[level], tree->count[level],
                        top ? NULL : tree->first[level + 1], groups);
    return true;
}

static ivf_panels *pack_panels(const ivf_nearest *nearest, packing *p)
{
    const ivf_tree *tree = nearest->tree;
    const int level = nearest->way.kind == IVF_NEAREST_TREE ? 1 : 0;
    void *block = take(p, ivf_panels_memory(tree->count[level], tree->d));
    if (block == NULL)
        return ivf_panels_new(tree->centroids[level], tree->count[level], tree->d, nearest->metric);
    if (p->packed)
        return ivf_panels_view(block, tree->count[level], tree->d);
    return ivf_panels_pack(block, tree->centroids[level], tree->count[level], tree->d, nearest->metric);
}

static bool pack(ivf_nearest *nearest, packing *p)
{
    const bool descends = nearest->way.kind == IVF_NEAREST_TREE;
    nearest->panels = pack_panels(nearest, p);
    bool packed = nearest->panels != NULL;
    if (nearest->way.kind == IVF_NEAREST_EXACT)
        return packed;
    for (int level = 0; level < (descends ? nearest->tree->levels : 1) && packed; level++)
        packed = pack_level(nearest, level, p);
    return packed;
}

static bool is_possible(const ivf_tree *tree, const ivf_grid *grid, const ivf_nearest_way *way)
{
    bool possible = way->kind == IVF_NEAREST_EXACT || (grid != NULL && grid->d == tree->d);
    if (way->kind == IVF_NEAREST_TREE)
        possible = possible && tree->levels > 1;
    for (int level = 1; level < tree->levels && way->kind == IVF_NEAREST_TREE; level++)
        possible = possible && way->probes[level] >= 1 && way->probes[level] <= tree->count[level];
    return possible;
}

static ivf_nearest *make(const ivf_tree *tree, ivf_metric metric, const ivf_grid *grid, const ivf_nearest_way *way,
                         packing *p)
{
    if (!is_possible(tree, grid, way)) {
        (void)ivf_fail(MPIVF_FAILED,
                       "internal error: a tree of %d levels does not allow the way \"%s\" with %d and %d probes",
                       tree->levels, ivf_nearest_name(way->kind), way->probes[1], way->probes[2]);
        return NULL;
    }
    ivf_nearest *nearest = ivf_new_zero(1, sizeof *nearest);
    if (nearest == NULL)
        return NULL;
    *nearest = (ivf_nearest){.tree = tree, .grid = grid, .metric = metric, .way = *way};
    if (pack(nearest, p))
        return nearest;
    ivf_nearest_free(nearest);
    return NULL;
}

ivf_nearest *ivf_nearest_new(const ivf_tree *tree, ivf_metric metric, const ivf_grid *grid, const ivf_nearest_way *way)
{
    packing p = {0};
    return make(tree, metric, grid, way, &p);
}

ivf_nearest *ivf_nearest_view(void *block, bool packed, const ivf_tree *tree, ivf_metric metric, const ivf_grid *grid,
                              const ivf_nearest_way *way)
{
    packing p = {.block = block, .packed = packed};
    return make(tree, metric, grid, way, &p);
}

void ivf_nearest_repack(ivf_nearest *nearest, const float *c)
{
    const ivf_tree *tree = nearest->tree;
    ivf_coarse_pack(nearest->coarse[0], nearest->grid, nearest->metric, c, tree->count[0], tree->first[1],
                    tree->count[1]);
}

void ivf_nearest_free(ivf_nearest *nearest)
{
    if (nearest == NULL)
        return;
    ivf_panels_free(nearest->panels);
    for (int level = 0; level < IVF_LEVELS; level++)
        ivf_coarse_free(nearest->coarse[level]);
    ivf_free(nearest);
}

int64_t ivf_nearest_way_rows(const ivf_nearest_way *way)
{
    enum { FEW = 256 };
    return way->kind == IVF_NEAREST_TREE ? IVF_NEAREST_ROWS : FEW;
}

int64_t ivf_nearest_rows(const ivf_nearest *nearest)
{
    return ivf_nearest_way_rows(&nearest->way);
}

size_t ivf_nearest_scratch(const ivf_nearest *nearest)
{
    return ivf_nearest_work_in(nearest, NULL).bytes;
}

/* All lists in 8 bits; in f32 for rows outside, in runs. */
static void find_rounded(const ivf_nearest *nearest, const float *x, int64_t n, const ivf_nearest_work *w,
                         int32_t *best, float *score)
{
    int d = nearest->tree->d;
    (void)ivf_coarse_best(nearest->coarse[0], x, w->q, n, best, score);
    for (int64_t row = 0; row < n; row++) {
        int64_t end = row;
        while (end < n && w->outside[end])
            end++;
        if (end > row)
            ivf_panels_best(nearest->panels, x + row * d, end - row, best + row, score + row);
        row = end;
    }
}

static void find_block(const ivf_nearest *nearest, const float *x, int64_t n, ivf_nearest_work *w, int32_t *best,
                       float *score)
{
    if (nearest->way.kind == IVF_NEAREST_EXACT) {
        ivf_panels_best(nearest->panels, x, n, best, score);
        return;
    }
    (void)ivf_grid_round(nearest->grid, x, n, w->q, w->outside);
    if (nearest->way.kind == IVF_NEAREST_TREE)
        ivf_nearest_descend(nearest, x, n, w, best, score);
    else
        find_rounded(nearest, x, n, w, best, score);
}

void ivf_nearest_best(const ivf_nearest *nearest, const float *x, int64_t n, int32_t *best, float *score, void *scratch)
{
    float unwanted[IVF_NEAREST_ROWS];
    ivf_nearest_work w = ivf_nearest_work_in(nearest, scratch);
    w.scored = score != NULL;
    for (int64_t from = 0; from < n; from += IVF_NEAREST_ROWS) {
        int64_t rows = ivf_min_i64(IVF_NEAREST_ROWS, n - from);
        find_block(nearest, x + from * nearest->tree->d, rows, &w, best + from, w.scored ? score + from : unwanted);
    }
}

int64_t ivf_nearest_memory(const ivf_tree *shape, const ivf_nearest_way *way)
{
    const bool descends = way->kind == IVF_NEAREST_TREE;
    packing p = {0};
    (void)take(&p, ivf_panels_memory(shape->count[descends ? 1 : 0], shape->d));
    for (int level = 0; level < (descends ? shape->levels : 1) && way->kind != IVF_NEAREST_EXACT; level++) {
        const bool top = level + 1 == shape->levels || !descends;
        (void)take(&p, ivf_coarse_memory(shape->count[level], top ? 1 : shape->count[level + 1], shape->d));
    }
    return ivf_to_i64(p.used);
}
