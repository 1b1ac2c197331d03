#include "build/train.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "base/team.h"
#include "base/text.h"
#include "build/checkpoint.h"
#include "build/given.h"
#include "build/rotate.h"
#include "build/way.h"
#include "cluster/kmeans.h"
#include "cluster/tree_grow.h"
#include "comm/transfer.h"
#include "index/building.h"
#include "io/folder.h"
#include "math/rows.h"

static int keep_record(ivf_training_record *record, const ivf_kmeans_report *report)
{
    record->iterations = report->iterations;
    record->repairs = report->repairs;
    record->imbalance = report->imbalance;
    (void)snprintf(record->stopped, sizeof record->stopped, "%s", report->stopped);
    memcpy(record->steps, report->steps, sizeof record->steps);
    record->objective = ivf_new((size_t)report->iterations, sizeof *record->objective);
    if (record->objective == NULL)
        return MPIVF_FAILED;
    memcpy(record->objective, report->objective, (size_t)report->iterations * sizeof *record->objective);
    return MPIVF_OK;
}

static void tell_lists(const ivf_build_state *build, const ivf_kmeans_report *report, double seconds)
{
    char took[24];
    ivf_info("train: %d centroids from %" PRId64 " rows in %s: %d iterations, objective %.6g -> %.6g, imbalance %.2f, "
             "%" PRId64 " empty cells repaired",
             build->plan.factory.nlist, build->share.total, ivf_text_duration(seconds, took), report->iterations,
             report->objective[0], report->objective[report->iterations - 1], report->imbalance, report->repairs);
}

/* Collective. By the ranks that hold the sample, all or rank 0 alone; every rank gets the centroids. */
static int run_kmeans(const ivf_ctx *ctx, ivf_build_state *build, const ivf_kmeans_params *params,
                      ivf_kmeans_report *report)
{
    ivf_model *model = build->model;
    float *centroids = model->tree.centroids[0];
    int rc = MPIVF_OK;
    if (build->share.size > 1)
        return ivf_kmeans_all(ctx, params, build->sample, &build->share, centroids, report);
    if (ivf_ctx_is_root(ctx))
        rc = ivf_kmeans(params, build->sample, build->share.total, centroids, report);
    ivf_barrier(ctx);
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK)
        ivf_bcast(ctx, centroids, (size_t)model->nlist * (size_t)model->d * sizeof *centroids);
    return rc;
}

ivf_kmeans_params ivf_train_params(const ivf_build_config *config, const ivf_plan *plan)
{
    return (ivf_kmeans_params){.k = plan->factory.nlist,
                               .d = plan->d_rotated,
                               .metric = plan->metric,
                               .mode = config->train_exact ? IVF_KMEANS_EXACT : IVF_KMEANS_FAST,
                               .iterations = config->iterations,
                               .tolerance = config->tolerance,
                               .seed = config->seed,
                               .stream = IVF_RNG_KMEANS};
}

/* Collective. */
static int take_lists(const ivf_ctx *ctx, ivf_build_state *build)
{
    ivf_model *model = build->model;
    ivf_training_record *record = &model->training;
    (void)snprintf(record->stopped, sizeof record->stopped, "given");
    record->objective = ivf_new(0, sizeof *record->objective);
    int rc = ivf_agree(ctx, record->objective == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc == MPIVF_OK)
        ivf_given_take(ctx, build->config->given, IVF_GIVEN_CENTROIDS, model->tree.centroids[0]);
    return rc;
}

/* Collective. */
static int train_lists(const ivf_ctx *ctx, ivf_build_state *build)
{
    if (ivf_given_has(build->config->given, IVF_GIVEN_CENTROIDS))
        return take_lists(ctx, build);
    ivf_kmeans_params params = ivf_train_params(build->config, &build->plan);
    params.sum_bytes = build->needs.pieces.sum_bytes;
    params.keeper = build->keeper;
    params.kept_as = "lists";
    double started = ivf_clock();
    ivf_kmeans_report *report = ivf_new_zero(1, sizeof *report);
    int rc = ivf_agree(ctx, report == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc != MPIVF_OK || report == NULL) {
        ivf_free(report);
        return rc;
    }
    rc = run_kmeans(ctx, build, &params, report);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? keep_record(&build->model->training, report) : MPIVF_OK);
    if (rc == MPIVF_OK && ivf_ctx_is_root(ctx))
        tell_lists(build, report, ivf_clock() - started);
    ivf_free(report);
    return rc;
}

/* Collective. Puts the lists under the nodes that are given. */
static int take_top(const ivf_ctx *ctx, ivf_build_state *build)
{
    const ivf_given *given = build->config->given;
    const int64_t *dims = given->dims[IVF_GIVEN_TOP];
    float *top = ivf_new(ivf_to_size(dims[0] * dims[1]), sizeof *top);
    int rc = ivf_agree(ctx, top == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc == MPIVF_OK && top != NULL) {
        ivf_given_take(ctx, given, IVF_GIVEN_TOP, top);
        rc = ivf_tree_place(ctx, build->plan.metric, top, (int32_t)dims[0], &build->model->tree);
    }
    ivf_free(top);
    return rc;
}

/* Collective. The levels above the lists, which are renumbered. */
static int grow_levels(const ivf_ctx *ctx, ivf_build_state *build, bool broad)
{
    ivf_tree_growth growth = {.levels = build->plan.levels,
                              .broad = broad,
                              .metric = build->plan.metric,
                              .seed = build->config->seed,
                              .keeper = build->keeper};
    memcpy(growth.nodes, build->config->level_nodes, sizeof growth.nodes);
    ivf_tree *tree = &build->model->tree;
    char took[24];
    const double started = ivf_clock();
    ivf_tree_cut(tree);
    build->is_broad = broad;
    int rc = ivf_tree_grow(ctx, &growth, tree);
    if (rc == MPIVF_OK)
        rc = ivf_checkpoint_keep_tree(ctx, build);
    if (rc == MPIVF_OK && tree->levels > 1)
        ivf_info("train: a tree of %d levels, %d nodes right above the lists, in %s", tree->levels, tree->count[1],
                 ivf_text_duration(ivf_clock() - started, took));
    return rc;
}

/* Collective. */
static int grow_tree(const ivf_ctx *ctx, ivf_build_state *build)
{
    bool recalled = false;
    if (ivf_given_has(build->config->given, IVF_GIVEN_TOP))
        return take_top(ctx, build);
    int rc = ivf_checkpoint_recall_tree(ctx, build, &recalled);
    return rc != MPIVF_OK || recalled ? rc : grow_levels(ctx, build, false);
}

/* Collective. The way, and another tree if that of the usual one is long. */
static int fit_way(const ivf_ctx *ctx, ivf_build_state *build)
{
    int rc = ivf_way_fit(ctx, build);
    if (rc != MPIVF_OK || !ivf_way_wants_broad(build))
        return rc;
    rc = grow_levels(ctx, build, true);
    return rc == MPIVF_OK ? ivf_way_fit(ctx, build) : rc;
}

/* Collective. */
static int find_way(const ivf_ctx *ctx, ivf_build_state *build)
{
    bool recalled = false;
    int rc = ivf_checkpoint_recall_way(ctx, build, &recalled);
    if (rc != MPIVF_OK || recalled)
        return rc;
    rc = fit_way(ctx, build);
    if (rc != MPIVF_OK)
        return rc;
    ivf_way_tell(build->model);
    return ivf_checkpoint_keep_way(ctx, build);
}

/* Residuals of this rank's first rows of the sample. */
enum { RESIDUAL_ROWS = 1024 };

typedef struct {
    const ivf_nearest *nearest;
    const ivf_build_state *build;
    size_t scratch_bytes;
    uint8_t *scratch; /* [workers] */
    float *out;
    int64_t n;
} residual_state;

static int residual_task(void *arg, int64_t task, int worker)
{
    residual_state *s = arg;
    int d = s->build->plan.d_rotated;
    int64_t first = task * RESIDUAL_ROWS;
    int64_t n = ivf_min_i64(RESIDUAL_ROWS, s->n - first);
    int32_t list[RESIDUAL_ROWS];
    float score[RESIDUAL_ROWS];
    const float *x = s->build->sample + first * d;
    ivf_nearest_best(s->nearest, x, n, list, score, s->scratch + (size_t)worker * s->scratch_bytes);
    ivf_rows_residual(x, n, d, ivf_model_centroids(s->build->model), list, s->out + first * d);
    return MPIVF_OK;
}

static int make_residuals(const ivf_build_state *build, int64_t n, float *out)
{
    const ivf_model *model = build->model;
    ivf_nearest *nearest = ivf_nearest_new(&model->tree, model->metric, &model->grid, &model->way);
    if (nearest == NULL)
        return MPIVF_FAILED;
    residual_state s = {.nearest = nearest, .build = build, .n = n};
    s.scratch_bytes = (size_t)ivf_round_up((int64_t)ivf_nearest_scratch(nearest), 64);
    s.scratch = ivf_new((size_t)ivf_team_size(), s.scratch_bytes);
    s.out = out;
    int rc =
        s.scratch == NULL ? MPIVF_FAILED : ivf_team_run_stoppable(ivf_ceil_div(n, RESIDUAL_ROWS), residual_task, &s);
    ivf_free(s.scratch);
    ivf_nearest_free(nearest);
    return rc;
}

/* Collective. */
static int take_codebooks(const ivf_ctx *ctx, const ivf_build_state *build)
{
    ivf_codec *codec = build->model->codec;
    ivf_array arrays[IVF_CODEC_ARRAYS];
    (void)ivf_codec_arrays(codec, arrays);
    ivf_given_take(ctx, build->config->given, IVF_GIVEN_CODEBOOKS, arrays[0].data);
    return ivf_agree(ctx, ivf_codec_ready(codec));
}

/* Collective. The codec from the sample's first rows. */
static int train_codec(const ivf_ctx *ctx, const ivf_build_state *build)
{
    ivf_codec *codec = build->model->codec;
    const ivf_codec_training training = {.seed = build->config->seed,
                                         .iterations = build->config->pq_iterations,
                                         .exact = build->config->train_exact,
                                         .keeper = build->keeper};
    if (ivf_given_has(build->config->given, IVF_GIVEN_CODEBOOKS))
        return take_codebooks(ctx, build);
    ivf_share share = build->share;
    char took[24];
    double started = ivf_clock();
    share.total = ivf_min_i64(ivf_codec_training_rows(codec), share.total);
    if (share.total == 0 || !ivf_codec_is_residual(codec))
        return ivf_codec_train(ctx, codec, build->sample, &share, &training);
    int64_t n = ivf_share_count(&share);
    float *residuals = ivf_new(ivf_to_size(n), (size_t)build->plan.d_rotated * sizeof *residuals);
    int rc = residuals == NULL ? MPIVF_FAILED : make_residuals(build, n, residuals);
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK)
        rc = ivf_codec_train(ctx, codec, residuals, &share, &training);
    ivf_free(residuals);
    if (rc == MPIVF_OK)
        ivf_info("train: codec from %" PRId64 " rows in %s", share.total,
                 ivf_text_duration(ivf_clock() - started, took));
    return rc;
}

/* A sound model of the same contents may stand there already, for an older version of the index: then its file, whose
 * checksum that version's manifest holds, is used as it is. */
static int publish_model(ivf_build_state *build)
{
    const char *index = build->config->index;
    char path[IVF_PATH_BYTES];
    ivf_model *known = NULL;
    int rc = ivf_layout_model(index, build->model->id, path);
    if (rc != MPIVF_OK)
        return rc;
    if (ivf_model_read(index, build->model->id, &known) == MPIVF_OK) {
        ivf_model_free(known);
        return ivf_publish_again(path, &build->model_bytes, &build->model_checksum);
    }
    build->model_is_new = access(path, F_OK) != 0;
    return ivf_model_write(build->model, index, &build->model_bytes, &build->model_checksum);
}

/* From here on a later run finds the model, and checkpoints are of no use. Nobody else removes a model as long as the
 * lock of all builds is held. */
static int record_model(ivf_build_state *build)
{
    const char *index = build->config->index;
    const char *id = build->plan.build_id;
    char path[IVF_PATH_BYTES];
    ivf_lock *all = NULL;
    int rc = ivf_building_enter(index, &all);
    if (rc != MPIVF_OK)
        return rc;
    rc = publish_model(build);
    if (rc == MPIVF_OK) {
        ivf_building_model model = {.bytes = build->model_bytes, .checksum = build->model_checksum};
        memcpy(model.id, build->model->id, sizeof model.id);
        rc = ivf_building_write_model(index, id, &model);
    }
    ivf_building_leave(index, all);
    if (rc == MPIVF_OK)
        rc = ivf_layout_build_file(index, id, "train", path);
    return rc == MPIVF_OK ? ivf_folder_remove(path) : rc;
}

/* Rank 0's part: the model belongs to it, whoever helped. */
static int own_model(ivf_build_state *build)
{
    build->model->training.sample_rows = build->share.total;
    build->model->training.seed = build->config->seed;
    int rc = ivf_fault("model") ? MPIVF_FAILED : ivf_model_seal(build->model);
    return rc == MPIVF_OK ? record_model(build) : rc;
}

/* Collective. The whole model is given: rank 0's, which is sealed. */
static int take_model(const ivf_ctx *ctx, ivf_build_state *build)
{
    ivf_given *given = build->config->given;
    int rc = MPIVF_OK;
    if (ivf_ctx_is_root(ctx)) {
        build->model = given->model;
        given->model = NULL;
        rc = record_model(build);
    } else {
        rc = ivf_model_new(&build->plan.factory, build->plan.d, build->plan.metric, &build->model);
    }
    rc = ivf_agree(ctx, rc);
    return rc == MPIVF_OK ? ivf_model_bcast(ctx, build->model) : rc;
}

int ivf_train_model(const ivf_ctx *ctx, ivf_build_state *build)
{
    const ivf_plan *plan = &build->plan;
    if (ivf_given_has_model(build->config->given))
        return take_model(ctx, build);
    int rc = ivf_agree(ctx, ivf_model_new(&plan->factory, plan->d, plan->metric, &build->model));
    if (rc == MPIVF_OK)
        rc = ivf_checkpoint_begin(ctx, build);
    if (rc == MPIVF_OK)
        rc = ivf_rotate_train(ctx, build);
    if (rc == MPIVF_OK)
        rc = train_lists(ctx, build);
    if (rc == MPIVF_OK)
        rc = grow_tree(ctx, build);
    if (rc == MPIVF_OK)
        rc = find_way(ctx, build);
    if (rc == MPIVF_OK)
        rc = train_codec(ctx, build);
    ivf_checkpoint_end(build);
    ivf_free(build->sample);
    build->sample = NULL;
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? own_model(build) : MPIVF_OK);
    return rc == MPIVF_OK ? ivf_model_bcast(ctx, build->model) : rc;
}
