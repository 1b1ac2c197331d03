/* The model: what training yields and every list is made with. Immutable; its id is a checksum of its contents. */
#ifndef IVF_INDEX_MODEL_H
#define IVF_INDEX_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/array.h"
#include "base/metric.h"
#include "cluster/kmeans.h"
#include "cluster/nearest.h"
#include "cluster/tree.h"
#include "codec/codec.h"
#include "codec/factory.h"
#include "comm/context.h"
#include "comm/shared.h"
#include "index/layout.h"
#include "math/grid.h"
#include "math/panels.h"

/* How training went; kept in the model. */
typedef struct {
    int64_t sample_rows; /* rows that training saw */
    uint64_t seed;
    int32_t iterations;
    int64_t repairs; /* empty cells given a row of another */
    double imbalance;
    char steps[IVF_KMEANS_STEPS + 1]; /* what each iteration was (cluster/kmeans.h), a letter each */
    char stopped[16];                 /* why: "iterations", "tolerance", "settled" */
    double *objective;                /* [iterations], owned */
} ivf_training_record;

typedef struct {
    char id[IVF_ID_BYTES];
    int d_in; /* values of a row or query as it comes */
    int d;    /* as centroids and codec see it, after the rotation */
    int32_t nlist;
    ivf_metric metric;
    ivf_factory factory;
    float *rotation;                 /* [d][d_in], owned; NULL: none, and d = d_in */
    ivf_tree tree;                   /* level 0: the lists' centroids */
    ivf_grid grid;                   /* on which rows are rounded while their lists are looked for */
    ivf_nearest_way way;             /* in which they are looked for */
    ivf_nearest_agreement agreement; /* of that way, on rows of the sample */
    ivf_codec *codec;                /* owned */
    ivf_training_record training;
    ivf_shared *shared; /* where rotation and tree lie once ranks share the model; NULL: they are blocks of their own */
} ivf_model;

/* Local. An empty model of that shape for rows of d_in values: one level of centroids, not set; codec untrained. */
int ivf_model_new(const ivf_factory *factory, int d_in, ivf_metric metric, ivf_model **model);
void ivf_model_free(ivf_model *model);

/* Local. The lists' centroids, [nlist][d]. */
static inline const float *ivf_model_centroids(const ivf_model *model)
{
    return model->tree.centroids[0];
}

/* Local, uses the team. x[n][d_in] to out[n][d] by the rotation, which there is. A row's outcome depends on the row
 * alone. n * d_in * d multiply-adds; packs the rotation for itself. */
int ivf_model_rotate(const ivf_model *model, const float *x, int64_t n, float *out);

/* Local. The rotation, packed: ivf_panels_scores of it rotates x[n][d_in] to out[n][d]. NULL with a failure recorded.
 */
ivf_panels *ivf_model_pack_rotation(const ivf_model *model);

/* Local. The same in a block of the caller's, packed there or by somebody else (math/panels.h). */
ivf_panels *ivf_model_view_rotation(const ivf_model *model, void *block, bool packed);

/* Local. All that the model holds beside plain numbers, as views named as in FORMAT.md, contents writable; returns how
 * many. `names` keeps those that are put together. */
enum { IVF_MODEL_ARRAYS = IVF_CODEC_ARRAYS + 2 * IVF_LEVELS + 3, IVF_MODEL_NAME = 32 };

typedef struct {
    ivf_array arrays[IVF_MODEL_ARRAYS];
    char names[IVF_MODEL_ARRAYS][IVF_MODEL_NAME];
    int count;
} ivf_model_arrays;

void ivf_model_list_arrays(ivf_model *model, ivf_model_arrays *all);

/* Local. The sizes of the arrays that factory and d do not settle. */
typedef struct {
    int32_t levels;
    int32_t count[IVF_LEVELS];
    int32_t iterations;
} ivf_model_sizes;

/* Local. Room for arrays of these sizes, to be filled by a reader or a broadcast. */
int ivf_model_resize(ivf_model *model, const ivf_model_sizes *sizes);

/* Local. Sets the id from the contents, once centroids and codec are trained. */
int ivf_model_seal(ivf_model *model);

/* Collective. Rank 0's sealed model reaches every rank; the others pass one of the same shape, whose contents do not
 * matter. Centroids and rotation are held once by the ranks of a node from then on (comm/shared.h), and only one of
 * them gets them sent. */
int ivf_model_bcast(const ivf_ctx *ctx, ivf_model *model);

/* Local. Publishes models/<id>.h5; reports its bytes and checksum. */
int ivf_model_write(ivf_model *model, const char *index, int64_t *bytes, uint64_t *checksum);

/* Local. Reads and checks models/<id>.h5 (shapes, finiteness, id). MPIVF_CORRUPT names what is wrong. */
int ivf_model_read(const char *index, const char *id, ivf_model **model);

/* Collective. Rank 0 reads, every rank gets it. */
int ivf_model_open(const ivf_ctx *ctx, const char *index, const char *id, ivf_model **model);

#endif
