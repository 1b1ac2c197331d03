/* The model in memory: its shape, its identity, its way to every rank. Its file is in model_file.c. */
#include "index/model.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "comm/transfer.h"

int ivf_model_new(const ivf_factory *factory, int d, ivf_metric metric, ivf_model **model)
{
    *model = NULL;
    ivf_model *made = ivf_new_zero(1, sizeof *made);
    if (made == NULL)
        return MPIVF_FAILED;
    made->d = d;
    made->nlist = factory->nlist;
    made->metric = metric;
    made->factory = *factory;
    int rc = ivf_codec_new(&factory->codec, d, &made->codec);
    if (rc == MPIVF_OK) {
        made->centroids = ivf_new_zero((size_t)factory->nlist * (size_t)d, sizeof *made->centroids);
        rc = made->centroids == NULL ? MPIVF_FAILED : MPIVF_OK;
    }
    if (rc != MPIVF_OK) {
        ivf_model_free(made);
        return rc;
    }
    *model = made;
    return MPIVF_OK;
}

void ivf_model_free(ivf_model *model)
{
    if (model == NULL)
        return;
    ivf_codec_free(model->codec);
    ivf_free(model->centroids);
    ivf_free(model->training.objective);
    ivf_free(model);
}

static size_t centroid_bytes(const ivf_model *model)
{
    return (size_t)model->nlist * (size_t)model->d * sizeof(float);
}

int ivf_model_seal(ivf_model *model)
{
    ivf_hasher *hasher = ivf_hasher_new();
    if (hasher == NULL)
        return MPIVF_FAILED;
    char head[192] = {0};
    char factory[64];
    ivf_array arrays[IVF_CODEC_ARRAYS];
    ivf_factory_text(&model->factory, factory);
    (void)snprintf(head, sizeof head, "%s %s %d %" PRId64 " %" PRIu64 " %d %" PRId64, factory,
                   ivf_metric_name(model->metric), model->d, model->training.sample_rows, model->training.seed,
                   model->training.iterations, model->training.repairs);
    ivf_hasher_add(hasher, head, sizeof head);
    ivf_hasher_add(hasher, model->training.objective, (size_t)model->training.iterations * sizeof(double));
    ivf_hasher_add(hasher, model->centroids, centroid_bytes(model));
    int count = ivf_codec_arrays(model->codec, arrays);
    for (int i = 0; i < count; i++)
        ivf_hasher_add(hasher, arrays[i].data, ivf_array_bytes(&arrays[i]));
    ivf_hash_text(ivf_hasher_end(hasher), model->id);
    ivf_hasher_free(hasher);
    return MPIVF_OK;
}

/* The training record's array is the only part whose size the other ranks do not know. */
static int bcast_training(const ivf_ctx *ctx, ivf_model *model)
{
    double *objective = model->training.objective;
    ivf_bcast(ctx, &model->training, sizeof model->training);
    size_t count = (size_t)model->training.iterations;
    if (!ivf_ctx_is_root(ctx))
        objective = ivf_resize(objective, count, sizeof *objective);
    model->training.objective = objective;
    int rc = ivf_agree(ctx, objective == NULL && count > 0 ? MPIVF_FAILED : MPIVF_OK);
    if (rc == MPIVF_OK)
        ivf_bcast(ctx, objective, count * sizeof *objective);
    return rc;
}

int ivf_model_bcast(const ivf_ctx *ctx, ivf_model *model)
{
    ivf_array arrays[IVF_CODEC_ARRAYS];
    ivf_bcast(ctx, model->id, sizeof model->id);
    ivf_bcast(ctx, model->centroids, centroid_bytes(model));
    int count = ivf_codec_arrays(model->codec, arrays);
    for (int i = 0; i < count; i++)
        ivf_bcast(ctx, arrays[i].data, ivf_array_bytes(&arrays[i]));
    int rc = bcast_training(ctx, model);
    if (rc != MPIVF_OK)
        return rc;
    return ivf_agree(ctx, ivf_ctx_is_root(ctx) ? MPIVF_OK : ivf_codec_ready(model->codec));
}

/* What the other ranks must know to make an empty model. */
typedef struct {
    ivf_factory factory;
    ivf_metric metric;
    int d;
} model_shape;

int ivf_model_open(const ivf_ctx *ctx, const char *index, const char *id, ivf_model **model)
{
    *model = NULL;
    model_shape shape = {0};
    int rc = ivf_ctx_is_root(ctx) ? ivf_model_read(index, id, model) : MPIVF_OK;
    if (*model != NULL)
        shape = (model_shape){(*model)->factory, (*model)->metric, (*model)->d};
    rc = ivf_agree(ctx, rc);
    if (rc != MPIVF_OK)
        return rc;
    ivf_bcast(ctx, &shape, sizeof shape);
    if (!ivf_ctx_is_root(ctx))
        rc = ivf_model_new(&shape.factory, shape.d, shape.metric, model);
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK && *model != NULL)
        rc = ivf_model_bcast(ctx, *model);
    if (rc != MPIVF_OK) {
        ivf_model_free(*model);
        *model = NULL;
    }
    return rc;
}
