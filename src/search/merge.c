/* Merging of sorted neighbour rows over the ranks, for the searcher and for exact search: a tree, so that no rank ever
 * receives more than log2(ranks) times the answer. */
#include "search/merge.h"

#include "base/error.h"
#include "base/memory.h"
#include "comm/transfer.h"

typedef struct {
    int k;
    ivf_neighbor *scratch; /* [k] */
} merge_shape;

static void merge_rows(void *arg, void *into, const void *from, int64_t count)
{
    const merge_shape *shape = arg;
    ivf_topk_merge(into, from, count, shape->k, shape->scratch);
}

int ivf_neighbors_merge(const ivf_ctx *ctx, ivf_neighbor *found, int64_t nq, int k)
{
    merge_shape shape = {.k = k, .scratch = ivf_new((size_t)k, sizeof *shape.scratch)};
    int rc = ivf_agree(ctx, shape.scratch == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc == MPIVF_OK)
        rc = ivf_merge_to_root(ctx, found, nq, (size_t)k * sizeof *found, merge_rows, &shape);
    ivf_free(shape.scratch);
    return rc;
}
