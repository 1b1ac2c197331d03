/* The build: shards in, one committed index version out. */
#ifndef IVF_BUILD_BUILD_H
#define IVF_BUILD_BUILD_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/metric.h"
#include "cluster/nearest.h"
#include "codec/factory.h"
#include "comm/account.h"
#include "comm/context.h"
#include "index/layout.h"
#include "io/dataset.h"

/* Which ranks train: rank 0 alone, all, or all when the work is worth the messages. */
typedef enum { IVF_TRAIN_ON_ROOT, IVF_TRAIN_ON_ALL, IVF_TRAIN_ON_AUTO } ivf_train_on;

typedef struct {
    const char *index;
    ivf_dataset_spec input;
    const char *ids;    /* path of an id array, or NULL */
    const char *ids_h5; /* dataset inside it, if it is HDF5 */
    ivf_factory factory;
    ivf_metric metric;
    uint64_t seed;
    int64_t sample_rows;   /* 0: chosen from nlist and codec */
    int64_t fragment_rows; /* 0: chosen from rows and codec */
    ivf_train_on train_on; /* changes no byte of the result */
    bool train_exact;      /* plain passes in single precision over the whole sample */
    int iterations;        /* of k-means */
    int pq_iterations;
    int levels;                        /* of the tree of centroids; 0: chosen from nlist */
    int32_t level_nodes[IVF_LEVELS];   /* of each upper level; 0: chosen from nlist */
    ivf_nearest_kind assign;           /* IVF_NEAREST_KINDS: chosen, and checked on rows of the sample */
    int assign_numbers;                /* of probes that were given: one for each upper level, or none */
    int32_t assign_probes[IVF_LEVELS]; /* of each upper level, for IVF_NEAREST_TREE; 0: the usual */
    double tolerance;
    double checkpoint_interval; /* seconds between checkpoints of training, at least; 0: after every step */
    bool keeps_vectors;         /* beside the codes, as keep_type: IVF_F32 or IVF_F16 */
    ivf_element keep_type;
    bool skip_bad_rows;      /* else the first one fails the build */
    bool replace;            /* an index that exists gets a new version */
    bool restart;            /* unfinished builds of the index are thrown away */
    int64_t memory;          /* bytes that a rank may take; 0: no limit. Changes no byte of the result */
    bool train_only;         /* the version is a model, without rows */
    struct ivf_given *given; /* what was trained elsewhere (build/given.h); borrowed, its model is taken; or NULL */
    const json_t *config;    /* the effective options, for the manifest; borrowed; same on every rank */
} ivf_build_config;

typedef struct {
    int64_t version;
    int64_t rows, postings, skipped, fragments, bytes;
    int32_t nlist;
    int levels;
    char model_id[IVF_ID_BYTES];
    double seconds;
    ivf_phase_summary phases[IVF_ACCOUNT_PHASES]; /* on rank 0 */
    int64_t planned[IVF_ACCOUNT_PHASES];          /* bytes of memory that a rank was expected to take at most */
    int phase_count;
} ivf_build_result;

/* Collective. Builds and commits, or continues a build of the same that was left unfinished. On failure every rank
 * returns the same code, readers see nothing of it, and what a later run can use is kept in the index's folder. */
int ivf_build(const ivf_ctx *ctx, const ivf_build_config *config, ivf_build_result *result);

#endif
