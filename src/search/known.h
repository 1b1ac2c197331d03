/* Queries whose true neighbours are known, because they are looked for by brute force in the rows that were indexed. */
#ifndef IVF_SEARCH_KNOWN_H
#define IVF_SEARCH_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/metric.h"
#include "comm/context.h"
#include "io/dataset.h"
#include "io/groundtruth.h"
#include "io/ids.h"
#include "math/topk.h"

typedef struct {
    float *queries; /* [nq][d], the same on every rank; owned */
    int64_t nq;
    uint64_t *own; /* [nq] on rank 0: the id of the row that a query is, which does not count; NULL: none; owned */
    ivf_groundtruth truth; /* [nq][k] on rank 0, without distances */
} ivf_known;

/* Collective. Draws up to `rows` rows at random to serve as queries; those that cannot be indexed are passed over.
 * MPIVF_BAD_INPUT: no row can be indexed. `seed` and the number of rows decide which they are. */
int ivf_known_draw(const ivf_ctx *ctx, ivf_dataset *dataset, ivf_ids *ids, ivf_metric metric, int64_t rows,
                   uint64_t seed, ivf_known *known);

/* Collective. Fills known->truth with the k nearest rows of known->queries, their own ones left out (search/exact.h).
 */
int ivf_known_find(const ivf_ctx *ctx, ivf_dataset *dataset, ivf_ids *ids, ivf_metric metric, int k, ivf_known *known);

/* Local. Bytes that `rows` queries that are drawn, or else given, and their k neighbours take of a rank from then on;
 * and while they are looked for, beside that. */
int64_t ivf_known_memory(int64_t rows, int d, bool drawn, int k);
int64_t ivf_known_finding_memory(int ranks, const ivf_dataset *dataset, ivf_metric metric, int64_t rows, bool drawn,
                                 int k);

/* Local. Takes each query's own row out of found[nq][k + 1], so that k neighbours are left in front. */
void ivf_known_leave_out(const uint64_t *own, ivf_neighbor *found, int64_t nq, int k);

void ivf_known_free(ivf_known *known);

#endif
