#include "build/checkpoint.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/numbers.h"
#include "cluster/tree_grow.h"
#include "comm/transfer.h"

static const char TREE[] = "tree";
static const char WAY[] = "way";

static int make_keeper(ivf_build_state *build)
{
    char folder[IVF_PATH_BYTES];
    int length = snprintf(folder, sizeof folder, "%s/train", build->folder);
    if (length < 0 || length >= IVF_PATH_BYTES)
        return ivf_fail(MPIVF_USAGE, "%.64s...: the index's path is too long", build->folder);
    build->checkpoints = ivf_checkpoints_new(folder, build->config->checkpoint_interval);
    if (build->checkpoints == NULL)
        return MPIVF_FAILED;
    build->keeper = ivf_checkpoints_keeper(build->checkpoints);
    return MPIVF_OK;
}

int ivf_checkpoint_begin(const ivf_ctx *ctx, ivf_build_state *build)
{
    if (build->folder[0] == '\0')
        return MPIVF_OK;
    int rc = ivf_agree(ctx, make_keeper(build));
    if (rc == MPIVF_OK && ivf_ctx_is_root(ctx) && ivf_checkpoints_clean(build->checkpoints) > 0)
        ivf_info("train: goes on from the checkpoints of an earlier run");
    return rc;
}

void ivf_checkpoint_end(ivf_build_state *build)
{
    const ivf_checkpoints_cost spent =
        build->checkpoints != NULL ? ivf_checkpoints_spent(build->checkpoints) : (ivf_checkpoints_cost){0};
    if (spent.files > 0)
        ivf_info("train: %lld checkpoints, %.1f MB, in %.2f s", (long long)spent.files, (double)spent.bytes / 1e6,
                 spent.seconds);
    ivf_checkpoints_free(build->checkpoints);
    build->checkpoints = NULL;
    build->keeper = NULL;
}

typedef struct {
    int64_t levels, d;
    int32_t count[IVF_LEVELS];
    int32_t broad;
} tree_head;

enum { TREE_PARTS = 2 * IVF_LEVELS };

static int parts_of_tree(const ivf_tree *tree, tree_head *head, ivf_keeper_part parts[TREE_PARTS])
{
    int count = 0;
    parts[count++] = (ivf_keeper_part){head, sizeof *head};
    for (int l = 0; l < tree->levels; l++) {
        const size_t nodes = (size_t)tree->count[l];
        parts[count++] = (ivf_keeper_part){tree->centroids[l], nodes * (size_t)tree->d * sizeof(float)};
        if (l > 0)
            parts[count++] = (ivf_keeper_part){tree->first[l], (nodes + 1) * sizeof(int32_t)};
    }
    return count;
}

static bool is_due(const ivf_build_state *build, const ivf_keeper_part *parts, int count)
{
    size_t bytes = 0;
    for (int i = 0; i < count; i++)
        bytes += parts[i].bytes;
    return build->keeper->due(build->keeper->arg, bytes);
}

int ivf_checkpoint_keep_tree(const ivf_ctx *ctx, const ivf_build_state *build)
{
    const ivf_tree *tree = &build->model->tree;
    ivf_keeper_part parts[TREE_PARTS];
    tree_head head = {.levels = tree->levels, .d = tree->d, .broad = build->is_broad};
    int rc = MPIVF_OK;
    if (build->keeper == NULL || tree->levels == 1)
        return MPIVF_OK;
    memcpy(head.count, tree->count, sizeof head.count);
    int count = parts_of_tree(tree, &head, parts);
    if (ivf_ctx_is_root(ctx) && is_due(build, parts, count))
        rc = ivf_keeper_put(build->keeper, TREE, parts, count);
    return ivf_agree(ctx, rc);
}

static bool can_be(const tree_head *head, const ivf_build_state *build)
{
    const ivf_model *model = build->model;
    const int levels = build->plan.levels == 0 ? ivf_tree_levels(model->nlist) : build->plan.levels;
    bool fits = head->levels == levels && levels > 1 && head->d == model->tree.d && head->count[0] == model->nlist;
    for (int l = 1; l < levels && fits; l++)
        fits = head->count[l] >= 1 && head->count[l] <= head->count[l - 1];
    return fits;
}

/* Rank 0: the tree that was kept. */
static int read_tree(const ivf_build_state *build, tree_head *head, ivf_tree *tree, bool *found)
{
    const ivf_keeper *keeper = build->keeper;
    ivf_keeper_part parts[TREE_PARTS];
    size_t bytes = 0;
    ivf_kept *kept = keeper->open(keeper->arg, TREE, &bytes);
    if (kept == NULL)
        return MPIVF_OK;
    bool whole = keeper->take(kept, head, sizeof *head) && can_be(head, build);
    keeper->close(kept);
    int rc = whole ? ivf_tree_make(tree, (int)head->levels, (int)head->d, head->count) : MPIVF_OK;
    if (rc != MPIVF_OK)
        return rc;
    whole = whole && ivf_keeper_get(keeper, TREE, parts, parts_of_tree(tree, head, parts)) &&
            ivf_tree_check(tree, TREE) == MPIVF_OK;
    for (int l = 0; l < tree->levels && whole; l++)
        whole = ivf_keeper_finite(tree->centroids[l], (size_t)tree->count[l] * (size_t)tree->d);
    if (!whole)
        ivf_keeper_refuse(TREE);
    *found = whole;
    return MPIVF_OK;
}

/* Collective. Rank 0's tree to every rank's `tree`. */
static int spread_tree(const ivf_ctx *ctx, tree_head *head, ivf_tree *tree)
{
    ivf_keeper_part parts[TREE_PARTS];
    ivf_bcast(ctx, head, sizeof *head);
    int rc = MPIVF_OK;
    if (!ivf_ctx_is_root(ctx))
        rc = ivf_tree_make(tree, (int)head->levels, (int)head->d, head->count);
    rc = ivf_agree(ctx, rc);
    if (rc != MPIVF_OK)
        return rc;
    int count = parts_of_tree(tree, head, parts);
    for (int i = 1; i < count; i++)
        ivf_bcast(ctx, parts[i].data, parts[i].bytes);
    return MPIVF_OK;
}

int ivf_checkpoint_recall_tree(const ivf_ctx *ctx, ivf_build_state *build, bool *recalled)
{
    ivf_tree tree = {0};
    tree_head head = {0};
    *recalled = false;
    if (build->keeper == NULL)
        return MPIVF_OK;
    int rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? read_tree(build, &head, &tree, recalled) : MPIVF_OK);
    if (rc == MPIVF_OK)
        ivf_bcast(ctx, recalled, sizeof *recalled);
    if (rc == MPIVF_OK && *recalled)
        rc = spread_tree(ctx, &head, &tree);
    if (rc != MPIVF_OK || !*recalled) {
        ivf_tree_free(&tree);
        return rc;
    }
    ivf_tree_free(&build->model->tree);
    build->model->tree = tree;
    build->is_broad = head.broad != 0;
    return MPIVF_OK;
}

typedef struct {
    int64_t kind;
    int64_t nodes; /* right above the lists: there may have been another tree before */
    int64_t probes[IVF_LEVELS];
    int64_t rows, same;
    double excess;
    double step;
} way_head;

enum { WAY_PARTS = 2 };

static void parts_of_way(const ivf_model *model, way_head *head, ivf_keeper_part parts[WAY_PARTS])
{
    parts[0] = (ivf_keeper_part){head, sizeof *head};
    parts[1] = (ivf_keeper_part){model->grid.centre, (size_t)model->grid.d * sizeof(float)};
}

int ivf_checkpoint_keep_way(const ivf_ctx *ctx, const ivf_build_state *build)
{
    const ivf_model *model = build->model;
    int rc = MPIVF_OK;
    if (build->keeper == NULL)
        return MPIVF_OK;
    ivf_keeper_part parts[WAY_PARTS];
    way_head head = {.kind = model->way.kind,
                     .nodes = model->tree.count[1],
                     .rows = model->agreement.rows,
                     .same = model->agreement.same,
                     .excess = model->agreement.excess,
                     .step = (double)model->grid.step};
    for (int l = 0; l < IVF_LEVELS; l++)
        head.probes[l] = model->way.probes[l];
    parts_of_way(model, &head, parts);
    if (ivf_ctx_is_root(ctx) && is_due(build, parts, WAY_PARTS))
        rc = ivf_keeper_put(build->keeper, WAY, parts, WAY_PARTS);
    return ivf_agree(ctx, rc);
}

static bool is_possible(const way_head *head, const ivf_tree *tree)
{
    bool possible = head->kind >= 0 && head->kind < IVF_NEAREST_KINDS &&
                    (head->kind != IVF_NEAREST_TREE || tree->levels > 1) && head->rows >= 0 && head->same >= 0 &&
                    head->same <= head->rows && isfinite(head->excess) && head->step > 0 && isfinite(head->step);
    for (int l = 0; l < IVF_LEVELS; l++) {
        const bool used = head->kind == IVF_NEAREST_TREE && l > 0 && l < tree->levels;
        possible = possible && head->probes[l] >= (used ? 1 : 0) && head->probes[l] <= (used ? tree->count[l] : 0);
    }
    return possible;
}

/* Rank 0's part. */
static bool read_way(const ivf_build_state *build, const ivf_keeper_part *parts, const way_head *head)
{
    if (!ivf_keeper_get(build->keeper, WAY, parts, WAY_PARTS))
        return false;
    const ivf_model *model = build->model;
    if (head->nodes != model->tree.count[1])
        return false;
    bool fits = is_possible(head, &model->tree) && ivf_keeper_finite(model->grid.centre, (size_t)model->grid.d);
    if (!fits)
        ivf_keeper_refuse(WAY);
    return fits;
}

int ivf_checkpoint_recall_way(const ivf_ctx *ctx, ivf_build_state *build, bool *recalled)
{
    ivf_model *model = build->model;
    ivf_keeper_part parts[WAY_PARTS];
    way_head head = {0};
    *recalled = false;
    if (build->keeper == NULL)
        return MPIVF_OK;
    parts_of_way(model, &head, parts);
    if (ivf_ctx_is_root(ctx))
        *recalled = read_way(build, parts, &head);
    ivf_bcast(ctx, recalled, sizeof *recalled);
    if (!*recalled)
        return MPIVF_OK;
    for (int i = 0; i < WAY_PARTS; i++)
        ivf_bcast(ctx, parts[i].data, parts[i].bytes);
    model->way.kind = (ivf_nearest_kind)head.kind;
    for (int l = 0; l < IVF_LEVELS; l++)
        model->way.probes[l] = (int32_t)head.probes[l];
    model->agreement = (ivf_nearest_agreement){.rows = head.rows, .same = head.same, .excess = head.excess};
    model->grid.step = (float)head.step;
    return MPIVF_OK;
}
