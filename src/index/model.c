/* The model in memory: its shape, its identity, its way to every rank. Its file is in model_file.c. */
#include "index/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "comm/transfer.h"

int ivf_model_new(const ivf_factory *factory, int d_in, ivf_metric metric, ivf_model **model)
{
    *model = NULL;
    ivf_model *made = ivf_new_zero(1, sizeof *made);
    if (made == NULL)
        return MPIVF_FAILED;
    made->d_in = d_in;
    made->d = ivf_factory_rotated(factory, d_in);
    made->nlist = factory->nlist;
    made->metric = metric;
    made->factory = *factory;
    int rc = ivf_codec_new(&factory->codec, made->d, &made->codec);
    if (rc == MPIVF_OK)
        rc = ivf_tree_make(&made->tree, 1, made->d, &made->nlist);
    if (rc == MPIVF_OK) {
        made->grid = (ivf_grid){.d = made->d, .step = 1};
        made->grid.centre = ivf_new_zero((size_t)made->d, sizeof *made->grid.centre);
        rc = made->grid.centre == NULL ? MPIVF_FAILED : MPIVF_OK;
    }
    if (rc == MPIVF_OK && factory->opq_m > 0) {
        made->rotation = ivf_new_zero((size_t)made->d * (size_t)d_in, sizeof *made->rotation);
        rc = made->rotation == NULL ? MPIVF_FAILED : MPIVF_OK;
    }
    if (rc != MPIVF_OK) {
        ivf_model_free(made);
        return rc;
    }
    *model = made;
    return MPIVF_OK;
}

/* What lies in the shared block is gone. */
static void leave_shared(ivf_model *model)
{
    if (model->shared == NULL)
        return;
    model->rotation = NULL;
    for (int l = 0; l < IVF_LEVELS; l++) {
        model->tree.centroids[l] = NULL;
        model->tree.first[l] = NULL;
    }
    ivf_shared_free(model->shared);
    model->shared = NULL;
}

void ivf_model_free(ivf_model *model)
{
    if (model == NULL)
        return;
    ivf_codec_free(model->codec);
    leave_shared(model);
    ivf_free(model->rotation);
    ivf_grid_free(&model->grid);
    ivf_tree_free(&model->tree);
    ivf_free(model->training.objective);
    ivf_free(model);
}

static void list_array(ivf_model_arrays *all, const char *group, ivf_array array)
{
    char *name = all->names[all->count];
    (void)snprintf(name, IVF_MODEL_NAME, "%s%s", group, array.name);
    array.name = name;
    all->arrays[all->count++] = array;
}

static void list_level(const ivf_tree *tree, int level, ivf_model_arrays *all)
{
    const char *const groups[IVF_LEVELS] = {"", "level1/", "level2/"};
    list_array(all, groups[level],
               (ivf_array){.name = "centroids",
                           .type = IVF_F32,
                           .rank = 2,
                           .dims = {tree->count[level], tree->d},
                           .data = tree->centroids[level]});
    if (level > 0)
        list_array(all, groups[level],
                   (ivf_array){.name = "first",
                               .type = IVF_I32,
                               .rank = 1,
                               .dims = {tree->count[level] + 1},
                               .data = tree->first[level]});
}

void ivf_model_list_arrays(ivf_model *model, ivf_model_arrays *all)
{
    ivf_array codec[IVF_CODEC_ARRAYS];
    int codec_count = ivf_codec_arrays(model->codec, codec);
    all->count = 0;
    if (model->rotation != NULL)
        list_array(all, "",
                   (ivf_array){.name = "rotation",
                               .type = IVF_F32,
                               .rank = 2,
                               .dims = {model->d, model->d_in},
                               .data = model->rotation});
    for (int l = 0; l < IVF_LEVELS && l < model->tree.levels; l++)
        list_level(&model->tree, l, all);
    list_array(
        all, "grid/",
        (ivf_array){.name = "centre", .type = IVF_F32, .rank = 1, .dims = {model->d}, .data = model->grid.centre});
    list_array(all, "grid/",
               (ivf_array){.name = "step", .type = IVF_F32, .rank = 1, .dims = {1}, .data = &model->grid.step});
    list_array(all, "",
               (ivf_array){.name = "objective",
                           .type = IVF_F64,
                           .rank = 1,
                           .dims = {model->training.iterations},
                           .data = model->training.objective});
    for (int i = 0; i < codec_count; i++)
        list_array(all, "codec/", codec[i]);
}

int ivf_model_resize(ivf_model *model, const ivf_model_sizes *sizes)
{
    ivf_tree_free(&model->tree);
    ivf_free(model->training.objective);
    model->training.iterations = sizes->iterations;
    model->training.objective = ivf_new_zero((size_t)sizes->iterations, sizeof *model->training.objective);
    int rc = ivf_tree_make(&model->tree, sizes->levels, model->d, sizes->count);
    return model->training.objective == NULL ? MPIVF_FAILED : rc;
}

ivf_panels *ivf_model_pack_rotation(const ivf_model *model)
{
    return ivf_panels_new(model->rotation, model->d, model->d_in, IVF_IP);
}

ivf_panels *ivf_model_view_rotation(const ivf_model *model, void *block, bool packed)
{
    return packed ? ivf_panels_view(block, model->d, model->d_in)
                  : ivf_panels_pack(block, model->rotation, model->d, model->d_in, IVF_IP);
}

enum { ROTATED_ROWS = 256 }; /* of a task */

typedef struct {
    const ivf_model *model;
    const ivf_panels *rotation;
    const float *x;
    float *out;
    int64_t n;
} rotate_job;

static int rotate_task(void *arg, int64_t task, int worker)
{
    const rotate_job *job = arg;
    int64_t first = task * ROTATED_ROWS;
    (void)worker;
    ivf_panels_scores(job->rotation, job->x + first * job->model->d_in, ivf_min_i64(ROTATED_ROWS, job->n - first),
                      job->out + first * job->model->d);
    return MPIVF_OK;
}

int ivf_model_rotate(const ivf_model *model, const float *x, int64_t n, float *out)
{
    ivf_panels *rotation = ivf_model_pack_rotation(model);
    if (rotation == NULL)
        return MPIVF_FAILED;
    rotate_job job = {.model = model, .rotation = rotation, .x = x, .n = n};
    job.out = out;
    int rc = ivf_team_run_stoppable(ivf_ceil_div(n, ROTATED_ROWS), rotate_task, &job);
    ivf_panels_free(rotation);
    return rc;
}

/* Only where a codec is used otherwise than its kind usually is. */
static void hash_residual(const ivf_model *model, ivf_hasher *hasher)
{
    const uint8_t residual = ivf_codec_is_residual(model->codec);
    if ((residual != 0) != ivf_codec_is_usually_residual(model->codec))
        ivf_hasher_add(hasher, &residual, sizeof residual);
}

int ivf_model_seal(ivf_model *model)
{
    ivf_hasher *hasher = ivf_hasher_new();
    if (hasher == NULL)
        return MPIVF_FAILED;
    char head[256] = {0};
    char factory[64];
    ivf_model_arrays all;
    ivf_factory_text(&model->factory, factory);
    (void)snprintf(head, sizeof head, "%s %s %d %" PRId64 " %" PRIu64 " %d %" PRId64 " %s %d %d %" PRId64 " %" PRId64,
                   factory, ivf_metric_name(model->metric), model->d_in, model->training.sample_rows,
                   model->training.seed, model->training.iterations, model->training.repairs,
                   ivf_nearest_name(model->way.kind), model->way.probes[1], model->way.probes[2], model->agreement.rows,
                   model->agreement.same);
    ivf_hasher_add(hasher, head, sizeof head);
    hash_residual(model, hasher);
    ivf_model_list_arrays(model, &all);
    for (int i = 0; i < all.count; i++)
        ivf_hasher_add(hasher, all.arrays[i].data, ivf_array_bytes(&all.arrays[i]));
    ivf_hash_text(ivf_hasher_end(hasher), model->id);
    ivf_hasher_free(hasher);
    return MPIVF_OK;
}

static ivf_model_sizes sizes_of(const ivf_model *model)
{
    ivf_model_sizes sizes = {.levels = model->tree.levels, .iterations = model->training.iterations};
    memcpy(sizes.count, model->tree.count, sizeof sizes.count);
    return sizes;
}

static int bcast_sizes(const ivf_ctx *ctx, ivf_model *model)
{
    ivf_model_sizes sizes = sizes_of(model);
    ivf_bcast(ctx, &sizes, sizeof sizes);
    return ivf_agree(ctx, ivf_ctx_is_root(ctx) ? MPIVF_OK : ivf_model_resize(model, &sizes));
}

static void bcast_training(const ivf_ctx *ctx, ivf_training_record *training)
{
    double *objective = training->objective;
    ivf_bcast(ctx, training, sizeof *training);
    training->objective = objective; /* each rank's own */
}

/* Where rotation and tree lie in a block, NULL to count alone; returns what they take. */
static size_t place_large(const ivf_model *model, void *block, ivf_tree *tree, float **rotation)
{
    size_t used = 0;
    const size_t row = (size_t)model->d * sizeof(float);
    *tree = model->tree;
    *rotation = model->rotation == NULL ? NULL : ivf_memory_piece(block, &used, row * (size_t)model->d_in);
    for (int l = 0; l < tree->levels; l++) {
        const size_t nodes = (size_t)tree->count[l];
        tree->centroids[l] = ivf_memory_piece(block, &used, nodes * row);
        if (l > 0)
            tree->first[l] = ivf_memory_piece(block, &used, (nodes + 1) * sizeof(int32_t));
    }
    return used;
}

static void copy_large(const ivf_model *model, const ivf_tree *tree, float *rotation)
{
    const size_t row = (size_t)model->d * sizeof(float);
    if (rotation != NULL)
        memcpy(rotation, model->rotation, row * (size_t)model->d_in);
    for (int l = 0; l < tree->levels; l++) {
        memcpy(tree->centroids[l], model->tree.centroids[l], (size_t)tree->count[l] * row);
        if (l > 0)
            memcpy(tree->first[l], model->tree.first[l], ((size_t)tree->count[l] + 1) * sizeof(int32_t));
    }
}

/* Collective. Rank 0's rotation and tree move into a block of each node. */
static int share_large(const ivf_ctx *ctx, ivf_model *model)
{
    ivf_tree tree;
    float *rotation = NULL;
    ivf_shared *shared = NULL;
    const size_t bytes = place_large(model, NULL, &tree, &rotation);
    int rc = ivf_shared_new(ctx, bytes, 0, &shared);
    if (rc != MPIVF_OK)
        return rc;
    (void)place_large(model, ivf_shared_data(shared), &tree, &rotation);
    if (ivf_ctx_is_root(ctx))
        copy_large(model, &tree, rotation);
    ivf_shared_bcast(ctx, shared, 0, bytes);
    ivf_shared_finish(ctx, shared);
    ivf_free(model->rotation);
    ivf_tree_free(&model->tree);
    model->rotation = rotation;
    model->tree = tree;
    model->shared = shared;
    return MPIVF_OK;
}

int ivf_model_bcast(const ivf_ctx *ctx, ivf_model *model)
{
    ivf_model_arrays all;
    int rc = bcast_sizes(ctx, model);
    if (rc == MPIVF_OK)
        rc = share_large(ctx, model);
    if (rc != MPIVF_OK)
        return rc;
    ivf_bcast(ctx, model->id, sizeof model->id);
    uint8_t residual = ivf_codec_is_residual(model->codec);
    ivf_bcast(ctx, &residual, sizeof residual);
    ivf_codec_set_residual(model->codec, residual != 0);
    bcast_training(ctx, &model->training);
    ivf_bcast(ctx, &model->way, sizeof model->way);
    ivf_bcast(ctx, &model->agreement, sizeof model->agreement);
    ivf_model_list_arrays(model, &all);
    for (int i = 0; i < all.count; i++)
        if (!ivf_shared_holds(model->shared, all.arrays[i].data))
            ivf_bcast(ctx, all.arrays[i].data, ivf_array_bytes(&all.arrays[i]));
    return ivf_agree(ctx, ivf_ctx_is_root(ctx) ? MPIVF_OK : ivf_codec_ready(model->codec));
}

/* What the other ranks must know to make an empty model. */
typedef struct {
    ivf_factory factory;
    ivf_metric metric;
    int d_in;
} model_shape;

int ivf_model_open(const ivf_ctx *ctx, const char *index, const char *id, ivf_model **model)
{
    *model = NULL;
    model_shape shape = {0};
    int rc = ivf_ctx_is_root(ctx) ? ivf_model_read(index, id, model) : MPIVF_OK;
    if (*model != NULL)
        shape = (model_shape){(*model)->factory, (*model)->metric, (*model)->d_in};
    rc = ivf_agree(ctx, rc);
    if (rc != MPIVF_OK)
        return rc;
    ivf_bcast(ctx, &shape, sizeof shape);
    if (!ivf_ctx_is_root(ctx))
        rc = ivf_model_new(&shape.factory, shape.d_in, shape.metric, model);
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK && *model != NULL)
        rc = ivf_model_bcast(ctx, *model);
    if (rc != MPIVF_OK) {
        ivf_model_free(*model);
        *model = NULL;
    }
    return rc;
}
