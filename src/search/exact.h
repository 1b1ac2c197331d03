/* Brute force over the input itself: the ground truth. */
#ifndef IVF_SEARCH_EXACT_H
#define IVF_SEARCH_EXACT_H

#include <stdint.h>

#include "base/metric.h"
#include "comm/context.h"
#include "io/dataset.h"
#include "io/ids.h"
#include "math/topk.h"

/* Collective. The k nearest rows of the dataset to each of queries[nq][d] (same on every rank, d the dataset's; not
 * normalised yet for cosine), out[nq][k] on rank 0, sorted by (key, id); where there are fewer rows the rest has id
 * UINT64_MAX and key INFINITY. Rows that cannot be indexed (math/rows.h) are passed over and counted in *skipped; a
 * query that could not be indexed is MPIVF_BAD_INPUT. Nothing is read for nq = 0. Blocks of rows are drawn from
 * tickets; blocked products find the candidates, whose keys are then computed by math/distance.h, so that they equal
 * those of a Flat index bit by bit. rows * nq * d multiply-adds over all ranks. */
int ivf_exact(const ivf_ctx *ctx, ivf_dataset *dataset, ivf_ids *ids, ivf_metric metric, const float *queries,
              int64_t nq, int k, ivf_neighbor *out, int64_t *skipped);

/* Local. Bytes that it takes of a rank, among so many ranks, beside the caller's arrays. */
int64_t ivf_exact_memory(int ranks, const ivf_dataset *dataset, ivf_metric metric, int64_t nq, int k);

#endif
