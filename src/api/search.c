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

int mpivf_search(const mpivf_index *index, const float *queries, int64_t count, int k,
                 const mpivf_search_options *options, int64_t *ids, float *distances)
{
    ivf_error_clear();
    if (index == NULL)
        return ivf_fail(MPIVF_USAGE, "no index");
    const ivf_ctx *ctx = index->ctx;
    const bool is_root = ivf_ctx_is_root(ctx);
    mpivf_search_options chosen;
    request wanted = {.count = count, .params = {.k = k}};
    ivf_neighbor *found = NULL;
    ivf_search_stats stats;
    int rc = is_root ? ivf_api_options(options, "mpivf_search_options", &chosen, sizeof chosen) : MPIVF_OK;
    if (is_root && rc == MPIVF_OK)
        rc = check(index, queries, count, k, ids, distances);
    if (is_root && rc == MPIVF_OK)
        rc = choose(index, &chosen, &wanted.params);
    if (is_root && rc == MPIVF_OK) {
        found = ivf_new(ivf_to_size(count) * (size_t)k, sizeof *found);
        rc = found == NULL ? MPIVF_FAILED : MPIVF_OK;
    }
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK) {
        ivf_bcast(ctx, &wanted, sizeof wanted);
        const ivf_feed feed = {.count = wanted.count, .array = is_root ? queries : NULL};
        rc = ivf_search_feed(ctx, index->searcher, &feed, &wanted.params, found, &stats);
    }
    if (rc == MPIVF_OK && found != NULL)
        hand_over(found, ivf_to_size(count) * (size_t)k, ivf_searcher_manifest(index->searcher)->metric, ids,
                  distances);
    ivf_free(found);
    return rc;
}
