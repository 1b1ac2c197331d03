/* How fast a search is. */
#ifndef IVF_SEARCH_MEASURE_H
#define IVF_SEARCH_MEASURE_H

#include <stdint.h>

#include "comm/context.h"
#include "search/searcher.h"

typedef struct {
    double seconds; /* median of the runs, slowest rank */
    int runs;
    int64_t postings_scanned;
} ivf_measured;

/* Collective. ivf_search, repeated until three runs are done or half a second has passed; *measured is the same on
 * every rank. */
int ivf_measure(const ivf_ctx *ctx, ivf_searcher *searcher, const float *queries, int64_t nq,
                const ivf_search_params *params, ivf_neighbor *out, ivf_measured *measured);

#endif
