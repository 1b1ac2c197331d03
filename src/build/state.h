/* What the phases of one build hand to each other. */
#ifndef IVF_BUILD_STATE_H
#define IVF_BUILD_STATE_H

#include <jansson.h>
#include <stdint.h>

#include "base/share.h"
#include "build/build.h"
#include "build/needs.h"
#include "build/plan.h"
#include "comm/account.h"
#include "index/fragment.h"
#include "index/model.h"
#include "io/checkpoint.h"
#include "io/dataset.h"
#include "io/ids.h"
#include "io/lock.h"
#include "io/stamps.h"

/* A row that was not indexed, for the listing. */
typedef struct {
    int64_t row;
    int64_t reason; /* ivf_row_reason */
} ivf_skipped_row;

enum { IVF_LISTED_ROWS = 10 }; /* skipped rows that the log names; fragments hold them all */

typedef struct {
    const ivf_build_config *config; /* borrowed */
    ivf_dataset *dataset;
    ivf_ids *ids;
    ivf_stamp *stamps; /* of the shards, and of the file of ids if there is one; on every rank */
    int64_t stamp_count;
    json_t *identity;            /* what is built, from what; on rank 0, until it is claimed */
    ivf_lock *lock;              /* on rank 0: nobody else runs this build now */
    char folder[IVF_PATH_BYTES]; /* of this unfinished build, from the claim to the end, on every rank; else "" */
    ivf_plan plan;
    ivf_needs_input needs_input;
    ivf_needs needs;

    ivf_share share; /* of the usable rows of the sample, in the order of the permutation */
    float *sample;   /* while training: [this rank's rows of the share][d] */
    ivf_model *model;
    int64_t model_bytes; /* of its file; on rank 0 */
    uint64_t model_checksum;
    ivf_checkpoints *checkpoints; /* while training */
    const ivf_keeper *keeper;     /* theirs; NULL: nothing is kept */

    int64_t *pending; /* numbers of the fragments that are to be made, ascending, [pending_count]; on every rank */
    int64_t pending_count;
    int64_t pending_rows;
    const ivf_fragment_record *expected; /* what they must come out as, [plan.fragments], borrowed; NULL: as they do */

    ivf_fragment_record *records; /* fragments that this rank kept or published, [record_count] */
    int64_t record_count;
    int64_t kept_count;  /* of them, those that an earlier run had published */
    int64_t *list_sizes; /* [nlist]: postings of this rank's fragments; after the gather, of all */
    ivf_skipped_row listed[IVF_LISTED_ROWS];
    int listed_count;

    bool is_broad;                      /* the tree was grown broad, whatever came of it */
    bool index_is_new;                  /* its folder was not there before; on rank 0 */
    bool input_changed;                 /* since the stamps were taken */
    bool model_is_new;                  /* its file was not there before; on rank 0 */
    bool committed;                     /* the version exists */
    char committed_model[IVF_ID_BYTES]; /* the model of a version that an earlier run has committed; on rank 0 */

    ivf_fragment_record *all_records; /* on rank 0 after the gather: [plan.fragments], in row order */
    ivf_account account;
    double started;
} ivf_build_state;

/* Local. "row 17 of FILE" for a global row, into text[size]. */
void ivf_build_name_row(const ivf_dataset *dataset, int64_t row, char *text, size_t size);

/* Local. Lists a skipped row, unless as many that come before it are listed already. */
void ivf_build_list_skipped(ivf_build_state *build, int64_t row, uint8_t reason);

/* Local. MPIVF_BAD_INPUT: the row cannot be indexed, why, and what to do. */
int ivf_build_refuse_row(const ivf_dataset *dataset, int64_t row, uint8_t reason);

#endif
