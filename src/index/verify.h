/* Verification of a committed index against its manifest. */
#ifndef IVF_INDEX_VERIFY_H
#define IVF_INDEX_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "comm/context.h"
#include "index/manifest.h"

typedef struct {
    int64_t version;  /* the newest that was verified */
    int64_t versions; /* verified */
    int64_t files;    /* looked at: manifests, models and fragments */
    int64_t bytes;
    int64_t postings;
    int64_t findings;
    int64_t model_findings; /* of them, about the model */
    char *text; /* on rank 0: the findings, one a line, sorted; owned, free with ivf_free; NULL when there is none */
} ivf_verify_report;

/* Collective. Reads every file of the newest version, or of all versions, and checks: the manifest's own rules and each
 * byte of its file (conservation included), the model's and each fragment's size and checksum, their structure, the
 * checksums of lists, ids accounted for (digest of ids in lists and skipped = digest of ids read), list sizes summed
 * over fragments = the manifest's. MPIVF_CORRUPT, with the report filled, when anything is wrong; reads on after a
 * finding. Fragments are drawn by ticket. Memory: as ivf_inspect_fragment, and 8 bytes a list. */
int ivf_verify(const ivf_ctx *ctx, const char *index, bool all_versions, ivf_verify_report *report);

/* Collective. The same of one version, whose manifest was read; damaged[fragment_count] gets 1, on every rank, for each
 * fragment that is damaged or missing. MPIVF_OK however much is found. */
int ivf_verify_version(const ivf_ctx *ctx, const char *index, const ivf_manifest *manifest, int64_t *damaged,
                       ivf_verify_report *report);

#endif
