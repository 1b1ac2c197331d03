/* Trained parts that were made elsewhere, and are used as they are, bit by bit: the model of another index, or
 * centroids, a level above them, a rotation and codebooks out of .npy files. What is not given is trained as usual.
 *
 * Rank 0 reads and checks them before anything else is done and holds them until training takes them over; the other
 * ranks know their shapes. */
#ifndef IVF_BUILD_GIVEN_H
#define IVF_BUILD_GIVEN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/array.h"
#include "build/build.h"
#include "build/plan.h"
#include "comm/context.h"
#include "index/model.h"

typedef enum {
    IVF_GIVEN_CENTROIDS, /* [nlist][d]: as lists see rows, after the rotation */
    IVF_GIVEN_TOP,       /* [nodes][d]: each list goes under the nearest */
    IVF_GIVEN_CODEBOOKS, /* [m][2^bits][d / m] */
    IVF_GIVEN_ROTATION,  /* [d][values of a row] */
    IVF_GIVEN_PARTS
} ivf_given_part;

/* What the user names; NULL: nothing. A model excludes the others. */
typedef struct {
    const char *model; /* an index, whose newest version's model is meant */
    const char *parts[IVF_GIVEN_PARTS];
    bool any_factory; /* with a model: its factory is taken, whatever the configuration's is; and its metric */
    bool any_metric;
} ivf_given_files;

typedef struct ivf_given {
    ivf_given_files files;
    /* the model's */
    char model_id[IVF_ID_BYTES];
    ivf_factory factory;
    ivf_metric metric;
    int d_in;
    bool residual;  /* codes are of what centroids leave of rows */
    ivf_tree shape; /* counts alone */
    ivf_nearest_way way;
    ivf_model *model; /* on rank 0, until training takes it; owned */
    /* the parts' */
    int64_t dims[IVF_GIVEN_PARTS][IVF_ARRAY_RANK];
    uint64_t checksum[IVF_GIVEN_PARTS]; /* of their values */
    float *values[IVF_GIVEN_PARTS];     /* on rank 0, until the end; owned */
} ivf_given;

/* Collective. Reads what is named, and settles in the configuration what follows from it: factory and metric, levels
 * and their nodes. *given is NULL when nothing is named. MPIVF_BAD_INPUT: a file cannot be used; MPIVF_USAGE: it
 * contradicts the configuration. Memory of rank 0: what is given. */
int ivf_given_open(const ivf_ctx *ctx, const ivf_given_files *files, ivf_build_config *config, ivf_given **given);
void ivf_given_free(ivf_given *given);

/* Local. NULL stands for nothing. */
static inline bool ivf_given_has_model(const ivf_given *given)
{
    return given != NULL && given->files.model != NULL;
}

static inline bool ivf_given_has(const ivf_given *given, ivf_given_part part)
{
    return given != NULL && given->files.parts[part] != NULL;
}

/* Local. Whether it goes with a plan whose codec and d are decided: shapes, and on rank 0 the values: centroids for
 * cosine have norm 1, and a rotation keeps lengths. MPIVF_BAD_INPUT, MPIVF_USAGE. */
int ivf_given_check(const ivf_given *given, const ivf_plan *plan);

/* Collective. A part's values to every rank. */
void ivf_given_take(const ivf_ctx *ctx, const ivf_given *given, ivf_given_part part, float *values);

/* Local. Adds to a build's identity what is given, by its contents. */
int ivf_given_describe(const ivf_given *given, json_t *identity);

#endif
