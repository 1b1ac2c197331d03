/* The plan: every number that shapes the result, decided from the dataset and the configuration alone before any work
 * is done, and so the same on every rank and for every number of ranks. */
#ifndef IVF_BUILD_PLAN_H
#define IVF_BUILD_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "build/build.h"
#include "index/kept.h"
#include "index/layout.h"

enum { IVF_PLAN_MOST_FRAGMENTS = 1000000 }; /* a record of each is held by every rank, and by the manifest */

typedef struct {
    int64_t version;             /* of the manifest to commit */
    char build_id[IVF_ID_BYTES]; /* names the fragments (build/identity.h); settled by the claim */
    ivf_factory factory;         /* nlist decided */
    ivf_metric metric;
    int d;         /* of a row as it is read */
    int d_rotated; /* as lists and codec see it */
    int levels;    /* of the tree of centroids */
    int64_t rows;
    int64_t sample_rows;
    int64_t fragment_rows;
    int64_t fragments;
    size_t code_size;
    ivf_keeping kept;   /* vectors beside the codes */
    bool residual;      /* codes are of what the lists' centroids leave of rows */
    int64_t codec_rows; /* of the sample, that the codec trains on at most */
    float value_limit;  /* of the codec, for rows as they are read; none for cosine, which codes them at norm 1 */
} ivf_plan;

/* Local. nlist for n rows when the factory string gives none: the power of two nearest to 4 sqrt(n) (the FAISS wiki,
 * "Guidelines to choose an index", advises 4 to 16 sqrt(n)), but at least 39 rows a list (FAISS's
 * min_points_per_centroid) and at most 2^20 lists. */
int32_t ivf_plan_nlist(int64_t rows);

/* Local. Decides everything for one dataset and `version`. MPIVF_BAD_INPUT: fewer rows than lists, a codec that d does
 * not fit. MPIVF_USAGE: a sample smaller than nlist or beyond 2^32 - 1 rows, more than a million fragments. */
int ivf_plan_make(const ivf_build_config *config, const ivf_dataset *dataset, int64_t version, ivf_plan *plan);

/* Local. The largest |value| of a row as it is read that codec and kept vectors can hold. */
float ivf_plan_value_limit(ivf_metric metric, const ivf_codec *codec, ivf_keeping kept);

/* Local. Rows of fragment `number`. */
int64_t ivf_plan_fragment_first(const ivf_plan *plan, int64_t number);
int64_t ivf_plan_fragment_count(const ivf_plan *plan, int64_t number);

/* Local. The id of fragment `number`: build id and number. */
void ivf_plan_fragment_id(const ivf_plan *plan, int64_t number, char id[IVF_ID_BYTES]);

/* Local. Logs the plan in a few lines. */
void ivf_plan_print(const ivf_plan *plan, const ivf_dataset *dataset);

#endif
