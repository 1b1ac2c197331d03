/* Repair: fragments that are damaged or missing are made again from the input, with the model that is there, and
 * replaced when they come out as the manifest says. */
#ifndef IVF_BUILD_REPAIR_H
#define IVF_BUILD_REPAIR_H

#include <stdbool.h>
#include <stdint.h>

#include "comm/context.h"
#include "io/dataset.h"

typedef struct {
    const char *index;
    ivf_dataset_spec input; /* where the input is now; count 0: where the manifest says */
    const char *ids;        /* the same of the ids; NULL: where the manifest says */
    bool dry_run;           /* look at everything, change nothing */
} ivf_repair_config;

typedef struct {
    int64_t version;
    int64_t damaged;  /* fragments */
    int64_t repaired; /* of them; for a dry run, those that would be made again */
    int64_t bytes;    /* of those */
    char *text;       /* on rank 0: a line for each damaged file; owned, free with ivf_free; NULL when there is none */
} ivf_repair_report;

/* Collective. Verifies the newest version that can be read, then makes its damaged fragments again as a build's assign
 * phase does: drawn by ticket, read, encoded and written side by side; memory as there. A fragment is replaced
 * (durably, by a rename) only when its file has the manifest's bytes and checksum, so what was sound or comes out
 * otherwise stays as it is.
 *
 * Fragments of a compacted version are merged again from the version before (build/remerge.h), without the input.
 *
 * With the report filled: MPIVF_CORRUPT, what is damaged cannot be made again (model, manifest); MPIVF_CONFLICT,
 * another repair is at it; MPIVF_BAD_INPUT, the input is not what was indexed (sizes; or a fragment came out
 * otherwise). Without: MPIVF_BAD_INPUT, the input cannot be read. */
int ivf_repair(const ivf_ctx *ctx, const ivf_repair_config *config, ivf_repair_report *report);

#endif
