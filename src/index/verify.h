/* Verification of a committed index against its manifest. */
#ifndef IVF_INDEX_VERIFY_H
#define IVF_INDEX_VERIFY_H

#include <stdint.h>

#include "comm/context.h"

typedef struct {
    int64_t version;
    int64_t files; /* looked at: model and fragments */
    int64_t bytes;
    int64_t postings;
    int64_t findings;
    char *text; /* on rank 0: the findings, one a line, sorted; owned, free with ivf_free; NULL when there is none */
} ivf_verify_report;

/* Collective. Reads every file of the newest version (fragments are drawn by ticket) and checks: the manifest's own
 * rules and checksum (conservation included), the model's and each fragment's size and checksum, their structure, ids
 * finite in number and accounted for (digest of ids in lists and skipped = digest of ids read), list sizes summed over
 * fragments = the manifest's. MPIVF_CORRUPT, with the report filled, when anything is wrong; reads on after a finding.
 * Memory: one fragment. */
int ivf_verify(const ivf_ctx *ctx, const char *index, ivf_verify_report *report);

#endif
