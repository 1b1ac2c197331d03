/* The neighbours that the ranks found, folded into one list for each query. */
#ifndef IVF_SEARCH_MERGE_H
#define IVF_SEARCH_MERGE_H

#include <stdint.h>

#include "comm/context.h"
#include "math/topk.h"

/* Collective. Each rank's sorted rows found[nq][k] (same shape everywhere) are merged into rank 0's; elsewhere `found`
 * is left undefined. ceil(log2(ranks)) rounds of nq * k * 16 bytes, and that much memory beside `found`. The result
 * depends on the set of neighbours alone (they are ordered by key and id), not on which rank had them. */
int ivf_neighbors_merge(const ivf_ctx *ctx, ivf_neighbor *found, int64_t nq, int k);

#endif
