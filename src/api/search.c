/* mpivf_search: the caller's numbers are checked, the searcher's neighbours become ids and distances. All that a call
 * needs is its own, so calls may run at once on one handle. Memory: 16 bytes for each neighbour, and a search's own. */
#include <inttypes.h>
#include <stddef.h>

#include "api/internal.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/metric.h"
#include "base/numbers.h"
#include "comm/transfer.h"
#include "search/feed.h"

enum { USUAL_NPROBE = 8, LARGEST_K = 65536 };

/* What rank 0 wants, for all ranks. */
typedef struct {
    int64_t count;
    int32_t k;
    int32_t nprobe;
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

static int choose_nprobe(const mpivf_index *index, const mpivf_search_options *options, int32_t *nprobe)
{
    if (options->nprobe < 0)
        return ivf_fail(MPIVF_USAGE, "nprobe = %d: 1 or more lists, or 0 for %d", options->nprobe, USUAL_NPROBE);
    int wanted = options->nprobe > 0 ? options->nprobe : USUAL_NPROBE;
    *nprobe = wanted < mpivf_lists(index) ? wanted : mpivf_lists(index);
    return MPIVF_OK;
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
    request wanted = {.count = count, .k = k};
    ivf_neighbor *found = NULL;
    ivf_search_stats stats;
    int rc = is_root ? ivf_api_options(options, "mpivf_search_options", &chosen, sizeof chosen) : MPIVF_OK;
    if (is_root && rc == MPIVF_OK)
        rc = check(index, queries, count, k, ids, distances);
    if (is_root && rc == MPIVF_OK)
        rc = choose_nprobe(index, &chosen, &wanted.nprobe);
    if (is_root && rc == MPIVF_OK) {
        found = ivf_new(ivf_to_size(count) * (size_t)k, sizeof *found);
        rc = found == NULL ? MPIVF_FAILED : MPIVF_OK;
    }
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK) {
        ivf_bcast(ctx, &wanted, sizeof wanted);
        const ivf_feed feed = {.count = wanted.count, .array = is_root ? queries : NULL};
        const ivf_search_params params = {.k = wanted.k, .nprobe = wanted.nprobe};
        rc = ivf_search_feed(ctx, index->searcher, &feed, &params, found, &stats);
    }
    if (rc == MPIVF_OK && is_root)
        hand_over(found, ivf_to_size(count) * (size_t)k, ivf_searcher_manifest(index->searcher)->metric, ids,
                  distances);
    ivf_free(found);
    return rc;
}
