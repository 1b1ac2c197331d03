/* Queries that come to the ranks a batch at a time: read and broadcast while the batch before is searched for. */
#ifndef IVF_SEARCH_FEED_H
#define IVF_SEARCH_FEED_H

#include <stdint.h>

#include "comm/context.h"
#include "io/dataset.h"
#include "search/searcher.h"

/* Either of the two. */
typedef struct {
    int64_t count;        /* queries; the same on every rank */
    const float *array;   /* [count][d] on rank 0; borrowed */
    ivf_dataset *dataset; /* on every rank; rank 0 reads rows 0 to count - 1 */
} ivf_feed;

/* Collective. ivf_search for all of them, with the neighbours out[count][k] on rank 0 alone. The batches depend on d
 * alone, so results are those of one search for all. Memory: two batches, of 8 MiB each or 32 queries, and what is read
 * ahead of them: two more on rank 0; none when one rank searches for an array. stats->seconds includes the reading. */
int ivf_search_feed(const ivf_ctx *ctx, ivf_searcher *searcher, const ivf_feed *feed, const ivf_search_params *params,
                    ivf_neighbor *out, ivf_search_stats *stats);

/* Local. Queries of a batch, of `count` in all; and the bytes that they take on rank 0, where a dataset is read. */
int64_t ivf_feed_batch(int64_t count, int d);
int64_t ivf_feed_memory(int64_t count, int d);

#endif
