/* Which lists each query looks into. */
#ifndef IVF_SEARCH_PROBE_H
#define IVF_SEARCH_PROBE_H

#include <stdint.h>

#include "comm/context.h"
#include "math/panels.h"
#include "search/descend.h"

typedef struct {
    int nprobe;
    const ivf_descent *descent; /* the tree to descend, borrowed; NULL: all centroids are ranked */
    ivf_route route;            /* down that tree */
    int32_t *list;              /* [capacity][nprobe]: each query's lists, nearest first; owned */
    float *score;               /* [capacity][nprobe]: of the query and their centroids (math/panels.h); owned */
} ivf_probes;

/* Local. Room for `capacity` queries. */
int ivf_probes_new(ivf_probes *probes, int64_t capacity, int nprobe);
void ivf_probes_free(ivf_probes *probes);

/* Local. Bytes that a ranking takes of this rank at most, beside the lists: scratch of each thread. `route` NULL: all
 * centroids are ranked. */
int64_t ivf_probes_memory(const ivf_panels *centroids, const ivf_descent *descent, const ivf_route *route);

/* Collective. Ranks the centroids for each of queries[nq][d] (nq <= capacity, same on every rank): each rank does a
 * share, and every rank gets all. nq * nlist * d multiply-adds over all ranks, less down a tree; 8 bytes for each query
 * and probe travel to every rank. */
int ivf_probes_rank(const ivf_ctx *ctx, ivf_probes *probes, const ivf_panels *centroids, const float *queries,
                    int64_t nq, int d);

#endif
