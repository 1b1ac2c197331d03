/* mpivf_search: the caller's numbers are checked, the searcher's neighbours become ids and distances. All that a call
 * needs is its own, so calls may run at once on one handle. Memory: 16 bytes for each neighbour, and a search's own. */
#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "api/internal.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/metric.h"
#include "base/numbers.h"
#include "comm/transfer.h"
#include "index/tuning.h"
#include "search/feed.h"

enum { USUAL_NPROBE = 8, LARGEST_K = 65536 };

/* What rank 0 wants, for all ranks. */
typedef struct {
    int64_t count;
    ivf_search_params params;
} request;

static int check(const mpivf_index *index, const float *queries, int64_t count, int k, const int64_t *ids,
                 const float *distances)
{
    size_t bytes = 0;
    if (k < 1 || k > LARGEST_K)
        return ivf_fail(MPIVF_USAGE, "k = %d: 1 to %d neighbours can be found", k, LARGEST_K);
    if (count < 0)
        return ivf_fail(MPIVF_USAGE, "%" PRId64 " queries", count);
    if (count > 0 && (queries == NULL || ids == NULL || distances == NULL))
        return ivf_fail(MPIVF_USAGE, "no queries, or no place for ids or distances");
    if (__builtin_mul_overflow((size_t)count, (size_t)k * sizeof(ivf_neighbor), &bytes) ||
        __builtin_mul_overflow((size_t)count, (size_t)mpivf_dimension(index) * sizeof *queries, &bytes))
        return ivf_fail(MPIVF_USAGE, "%" PRId64 " queries exceed the address space", count);
    return MPIVF_OK;
}

static int choose_tuned(const mpivf_index *index, const mpivf_search_options *options, ivf_search_params *params)
{
    ivf_tuning_setting tuned;
    if (!(options->recall > 0 && options->recall <= 1) || options->nprobe > 0 || options->rerank > 0)
        return ivf_fail(MPIVF_USAGE, "recall = %g, nprobe = %d, rerank = %d: a recall of at most 1, or the others",
                        options->recall, options->nprobe, options->rerank);
    int rc = ivf_tuning_pick(ivf_searcher_manifest(index->searcher), params->k, options->recall, &tuned);
    if (rc != MPIVF_OK)
        return rc;
    params->nprobe = tuned.nprobe;
    params->rerank = tuned.rerank;
    memcpy(params->nodes, tuned.nodes, sizeof params->nodes);
    return MPIVF_OK;
}

static int choose(const mpivf_index *index, const mpivf_search_options *options, ivf_search_params *params)
{
    const int nlist = mpivf_lists(index);
    if (options->nprobe < 0 || options->rerank < 0 || options->rerank > LARGEST_K)
        return ivf_fail(MPIVF_USAGE, "nprobe = %d, rerank = %d: 0 (usual) or more, and at most %d candidates",
                        options->nprobe, options->rerank, LARGEST_K);
    params->nprobe = options->nprobe > 0 ? options->nprobe : USUAL_NPROBE;
    params->nprobe = params->nprobe < nlist ? params->nprobe : nlist;
    params->rerank = options->rerank;
    return options->recall == 0 ? MPIVF_OK : choose_tuned(index, options, params);
}

static void hand_over(const ivf_neighbor *found, size_t n, ivf_metric metric, int64_t *ids, float *distances)
{
    for (size_t i = 0; i < n; i++) {
        ids[i] = found[i].id == UINT64_MAX ? -1 : (int64_t)found[i].id;
        distances[i] = ivf_metric_distance(metric, found[i].key);
    }
}

/* Local. Queries that are searched for at a time; the same on every rank. */
static int64_t choose_step(const mpivf_index *index, const request *wanted)
{
    const int64_t of_query = wanted->params.k * (int64_t)sizeof(ivf_neighbor);
    const int64_t fitting = ivf_min_i64(index->queries, ivf_searcher_queries(index->searcher, &wanted->params));
    return ivf_max_i64(1, ivf_min_i64(wanted->count, ivf_min_i64(fitting, index->found / of_query)));
}

/* Collective. The queries and the places for what is found are rank 0's. */
static int run(const mpivf_index *index, request *wanted, const float *queries, int64_t *ids, float *distances)
{
    const ivf_ctx *ctx = index->ctx;
    const bool is_root = ivf_ctx_is_root(ctx);
    const ivf_manifest *manifest = ivf_searcher_manifest(index->searcher);
    const int k = wanted->params.k;
    const int64_t step = choose_step(index, wanted);
    ivf_search_stats stats;
    ivf_neighbor *found = is_root ? ivf_new(ivf_to_size(step) * (size_t)k, sizeof *found) : NULL;
    int rc = ivf_agree(ctx, is_root && found == NULL ? MPIVF_FAILED : MPIVF_OK);
    int64_t first = 0;
    while (rc == MPIVF_OK && (first < wanted->count || first == 0)) { /* none, too, are searched for */
        const int64_t n = ivf_min_i64(step, wanted->count - first);
        const ivf_feed feed = {.count = n, .array = is_root ? queries + first * manifest->d : NULL};
        wanted->params.first = first;
        rc = ivf_search_feed(ctx, index->searcher, &feed, &wanted->params, found, &stats);
        if (rc == MPIVF_OK && found != NULL)
            hand_over(found, ivf_to_size(n) * (size_t)k, manifest->metric, ids + first * k, distances + first * k);
        first += step;
    }
    ivf_free(found);
    return rc;
}

int mpivf_search(const mpivf_index *index, const float *queries, int64_t count, int k,
                 const mpivf_search_options *options, int64_t *ids, float *distances)
{
    ivf_error_clear();
    if (index == NULL)
        return ivf_fail(MPIVF_USAGE, "no index");
    const bool is_root = ivf_ctx_is_root(index->ctx);
    mpivf_search_options chosen;
    request wanted = {.count = count, .params = {.k = k}};
    int rc = is_root ? ivf_api_options(options, "mpivf_search_options", &chosen, sizeof chosen) : MPIVF_OK;
    if (is_root && rc == MPIVF_OK)
        rc = check(index, queries, count, k, ids, distances);
    if (is_root && rc == MPIVF_OK)
        rc = choose(index, &chosen, &wanted.params);
    rc = ivf_agree(index->ctx, rc);
    if (rc != MPIVF_OK)
        return rc;
    ivf_bcast(index->ctx, &wanted, sizeof wanted);
    return run(index, &wanted, queries, ids, distances);
}
