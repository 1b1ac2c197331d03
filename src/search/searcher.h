/* Searching a committed index, whose lists and queries are spread over the ranks. */
#ifndef IVF_SEARCH_SEARCHER_H
#define IVF_SEARCH_SEARCHER_H

#include <stdbool.h>
#include <stdint.h>

#include "comm/context.h"
#include "index/manifest.h"
#include "index/model.h"
#include "math/topk.h"
#include "search/scan.h"
#include "search/spread.h"
#include "search/vectors.h"

typedef struct ivf_searcher ivf_searcher;

typedef struct {
    int k;
    int nprobe;                /* lists; clamped to nlist by the caller */
    int32_t nodes[IVF_LEVELS]; /* of each upper level of the tree (levels - 1 the top), that a query descends into;
                                  nodes[1] = 0: the tree is left alone, and all lists are ranked */
    ivf_scan_order order;
    int rerank;   /* candidates of each query that are compared exactly, by their vectors; 0: none, else k or more */
    bool limited; /* only neighbours within max_distance are wanted (ivf_metric_limit) */
    double max_distance;
    int64_t first; /* number of the first query, for messages */
} ivf_search_params;

typedef struct {
    double seconds;           /* of this call, slowest rank */
    int64_t postings_scanned; /* over all ranks */
    int64_t bytes_read;       /* of lists that are not in memory, over all ranks */
} ivf_search_stats;

typedef struct {
    int64_t memory;         /* bytes that a rank may take, all of the process included; 0: no limit */
    int64_t beside;         /* of them, what the caller will hold: queries, neighbours */
    int64_t queries;        /* of one call of ivf_search, at most: they are copied for the cosine and for rotations */
    int64_t held;           /* of them, what the process holds before lists are read; 0: measured */
    bool vectors;           /* searches will ask for re-ranking */
    ivf_search_params most; /* what they will ask for at most: k, nprobe, which may be more than there are lists, and
                               rerank; 0: not known, and what does not fit is refused by ivf_search */
    ivf_budget_words words; /* for a limit that does not do */
    ivf_spread_kind spread;
    int parts; /* that queries are shared out in, at most (search/spread.h); 0: as many as are worth while */
} ivf_searcher_options;

/* Collective. Opens the newest version and loads what this rank has at hand of it (search/spread.h); with a limit as
 * much as it allows (search/budget.h), the rest is read as it is probed, from files that must stay. NULL options: no
 * limit.
 * MPIVF_USAGE, with what would fit, when the limit is less than what is needed; MPIVF_BAD_INPUT when vectors are wanted
 * and their files are not what was indexed (search/vectors.h). */
int ivf_searcher_open(const ivf_ctx *ctx, const char *index, const ivf_searcher_options *options,
                      ivf_searcher **searcher);

/* Collective. NULL is allowed. */
void ivf_searcher_close(ivf_searcher *searcher);

/* Local. Lists of this rank's share that are read when they are probed. */
int32_t ivf_searcher_lists_on_disk(const ivf_searcher *searcher);

/* Local. Queries that one call of ivf_search has room for with these parameters, at least 1: where there is no limit,
 * all. */
int64_t ivf_searcher_queries(const ivf_searcher *searcher, const ivf_search_params *params);

/* Local. Borrowed from the searcher; the vectors NULL unless they were asked for. */
ivf_vectors *ivf_searcher_vectors(const ivf_searcher *searcher);
const ivf_manifest *ivf_searcher_manifest(const ivf_searcher *searcher);
const ivf_model *ivf_searcher_model(const ivf_searcher *searcher);

/* Collective. The k nearest of each of queries[nq][d] (same on every rank; not normalised yet for cosine) into
 * out[nq][k] on rank 0, sorted by (key, id); where fewer are found the rest has id UINT64_MAX and key INFINITY. Each
 * query's centroids are ranked once, by one rank. With params->rerank so many are found first, and of these the k
 * nearest by their vectors are what is found. A query that could not be indexed (math/rows.h) is MPIVF_BAD_INPUT; out
 * and *stats are then undefined. Results are the same bytes for every number of ranks and threads. */
int ivf_search(const ivf_ctx *ctx, ivf_searcher *searcher, const float *queries, int64_t nq,
               const ivf_search_params *params, ivf_neighbor *out, ivf_search_stats *stats);

#endif
