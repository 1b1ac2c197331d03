/* The nearest of the postings that this rank holds, in the lists that the queries look into. */
#ifndef IVF_SEARCH_SCAN_H
#define IVF_SEARCH_SCAN_H

#include <stdint.h>

#include "index/model.h"
#include "math/topk.h"
#include "search/postings.h"
#include "search/probe.h"

typedef struct {
    const ivf_model *model;
    const ivf_postings *postings;
    const float *queries; /* [nq][d], normalised for IVF_COSINE */
    const ivf_probes *probes;
    int64_t nq;
    int k;
} ivf_scan;

/* Local, uses the team. out[nq][k], each row sorted by (key, id); *scanned grows by the postings compared. Takes a
 * thread's table of the codec, and when there are fewer than four queries a thread, four times k neighbours a thread.
 * A posting's key depends on the query, the model and its code alone. */
int ivf_scan_run(const ivf_scan *scan, ivf_neighbor *out, int64_t *scanned);

#endif
