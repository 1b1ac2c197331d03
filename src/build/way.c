#include "build/way.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "cluster/tree_grow.h"
#include "comm/transfer.h"

static const int64_t WORK = (int64_t)1 << 33; /* multiply-adds that an exact comparison may take */
static const int64_t MOST_ROWS = (int64_t)16 * IVF_SHARE_BLOCK;

int64_t ivf_way_rows(int64_t sample, int32_t nlist, int d)
{
    int64_t affordable = WORK / ((int64_t)nlist * d);
    int64_t wanted = ivf_max_i64(IVF_SHARE_BLOCK, ivf_min_i64(MOST_ROWS, affordable));
    return ivf_min_i64(sample, wanted);
}

/* Rank 0: what every holder sent, each its rows of the prefix in ascending order, into the order of places. */
static void merge_prefix(const ivf_share *share, const ivf_gathered *parts, int64_t n, size_t row_bytes, float *x)
{
    for (int64_t place = 0; place < n; place++) {
        const uint8_t *part = parts->data + parts->offsets[ivf_share_owner(share, place)];
        memcpy((char *)x + (size_t)place * row_bytes, part + (size_t)ivf_share_row(share, place) * row_bytes,
               row_bytes);
    }
}

/* Collective. The first n rows of the sample, [n][d] on rank 0, NULL elsewhere. */
static int gather_prefix(const ivf_ctx *ctx, const ivf_build_state *build, int64_t n, float **x)
{
    size_t row_bytes = (size_t)build->model->d * sizeof **x;
    ivf_gathered parts = {0};
    *x = NULL;
    int rc = ivf_gather_bytes(ctx, build->sample, ivf_to_size(ivf_share_prefix(&build->share, n)) * row_bytes, &parts);
    if (rc == MPIVF_OK && ivf_ctx_is_root(ctx)) {
        *x = ivf_new(ivf_to_size(n), row_bytes);
        if (*x == NULL)
            rc = MPIVF_FAILED;
        else
            merge_prefix(&build->share, &parts, n, row_bytes, *x);
    }
    ivf_gathered_free(&parts);
    return ivf_agree(ctx, rc);
}

/* Collective. The grid, from the first n rows of the sample. */
static int fit_grid(const ivf_ctx *ctx, const ivf_build_state *build, int64_t n)
{
    ivf_model *model = build->model;
    float *x = NULL;
    int rc = gather_prefix(ctx, build, n, &x);
    if (rc == MPIVF_OK && ivf_ctx_is_root(ctx)) {
        ivf_grid_free(&model->grid);
        rc = ivf_grid_fit(&model->grid, x, n, model->d);
    }
    ivf_free(x);
    rc = ivf_agree(ctx, rc);
    if (rc != MPIVF_OK)
        return rc;
    ivf_bcast(ctx, model->grid.centre, (size_t)model->d * sizeof *model->grid.centre);
    ivf_bcast(ctx, &model->grid.step, sizeof model->grid.step);
    return MPIVF_OK;
}

/* The way that the configuration asks for. */
static ivf_nearest_way asked_for(const ivf_build_config *config, const ivf_tree *tree)
{
    ivf_nearest_way way = ivf_nearest_usual(tree, config->assign);
    for (int l = 1; l < tree->levels; l++)
        if (config->assign_probes[l] > 0)
            way.probes[l] = config->assign_probes[l] < tree->count[l] ? config->assign_probes[l] : tree->count[l];
    return way;
}

int ivf_way_fit(const ivf_ctx *ctx, ivf_build_state *build)
{
    ivf_model *model = build->model;
    ivf_nearest_lists lists = {.tree = &model->tree, .grid = &model->grid, .metric = model->metric};
    ivf_share tried = build->share;
    tried.total = ivf_way_rows(build->share.total, model->nlist, model->d);
    int rc = fit_grid(ctx, build, tried.total);
    if (rc != MPIVF_OK)
        return rc;
    if (build->config->assign == IVF_NEAREST_KINDS) {
        rc = ivf_nearest_fit(ctx, &lists, build->sample, &tried, &model->way, &model->agreement);
    } else {
        model->way = asked_for(build->config, &model->tree);
        rc = ivf_nearest_take(ctx, &lists, build->sample, &tried, &model->way, &model->agreement);
    }
    return rc;
}

bool ivf_way_may_broaden(const ivf_build_config *config, const ivf_tree *shape)
{
    return config->assign == IVF_NEAREST_KINDS && config->level_nodes[1] == 0 && ivf_tree_may_broaden(shape);
}

bool ivf_way_wants_broad(const ivf_build_state *build)
{
    const ivf_model *model = build->model;
    const ivf_nearest_way usual = ivf_nearest_usual(&model->tree, IVF_NEAREST_TREE);
    const bool is_short = model->way.kind == IVF_NEAREST_TREE && model->way.probes[1] <= usual.probes[1] / 2 * 3;
    return !is_short && !build->is_broad && ivf_way_may_broaden(build->config, &model->tree);
}

void ivf_way_tell(const ivf_model *model)
{
    ivf_info("train: rows will be assigned in the way \"%s\": %.2f %% of %" PRId64
             " rows in their nearest list, objective %+.3f %%",
             ivf_nearest_name(model->way.kind), 100 * (double)model->agreement.same / (double)model->agreement.rows,
             model->agreement.rows, 100 * model->agreement.excess);
}

int64_t ivf_way_memory(const ivf_build_config *config, const ivf_tree *shape, int64_t n, int threads,
                       ivf_nearest_way *way)
{
    const int64_t rows = n * shape->d * (int64_t)sizeof(float);
    int64_t trying = 0;
    if (config->assign == IVF_NEAREST_KINDS) {
        trying = ivf_nearest_fit_memory(shape, n, threads, way);
    } else {
        *way = asked_for(config, shape);
        trying = ivf_nearest_memory(shape, way) + ivf_nearest_compare_memory(shape, way, n, threads);
    }
    return ivf_max_i64(2 * rows, ivf_max_i64(rows + 8 * (n + shape->d), trying));
}
