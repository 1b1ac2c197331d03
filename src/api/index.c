/* The library's handles (include/mpivf/search.h): a searcher and the context that it lives in. */
#include <inttypes.h>
#include <string.h>

#include "api/internal.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "codec/factory.h"
#include "comm/transfer.h"
#include "mpivf/version.h"
#include "search/feed.h"

/* Where memory is limited a call takes queries some at a time: 32 at least, as search/spread.h wants them, and
 * neighbours of the largest k for one of them. That does not follow from the limit: a refusal tells one that does. */
enum { LEAST_QUERIES = 32, CALL_BYTES = 1 << 20 };

/* Collective. What rank 0 wants. */
static int read_options(const ivf_ctx *ctx, const mpivf_open_options *given, mpivf_open_options *chosen)
{
    int rc = MPIVF_OK;
    if (ivf_ctx_is_root(ctx))
        rc = ivf_api_options(given, "mpivf_open_options", chosen, sizeof *chosen);
    if (rc == MPIVF_OK && chosen->memory < 0)
        rc = ivf_fail(MPIVF_USAGE, "memory = %" PRId64 ": bytes, or 0 for no limit", chosen->memory);
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK)
        ivf_bcast(ctx, chosen, sizeof *chosen);
    return rc;
}

/* Room for calls; and the limit as the searcher takes it, all of a process's memory included. */
static void limit_memory(int64_t memory, int d, mpivf_index *made, ivf_searcher_options *options)
{
    const int64_t query = d * (int64_t)sizeof(float);
    const int64_t base = ivf_memory_resident();
    made->queries = ivf_max_i64(LEAST_QUERIES, ivf_min_i64(ivf_feed_batch(INT64_MAX, d), CALL_BYTES / query));
    made->found = CALL_BYTES;
    options->words.base = base;
    options->queries = made->queries;
    options->beside = made->found;
    if (ivf_ctx_size(made->ctx) > 1)
        options->beside += made->queries * query;
    if (__builtin_add_overflow(memory, base, &options->memory))
        options->memory = INT64_MAX;
}

/* Collective. */
static int open_searcher(const char *path, const mpivf_open_options *given, mpivf_index *made)
{
    mpivf_open_options chosen = {0};
    ivf_searcher_options options = {.words = {.by_library = true}};
    ivf_manifest *manifest = NULL;
    made->queries = INT64_MAX;
    made->found = INT64_MAX;
    int rc = ivf_agree(made->ctx, path == NULL ? ivf_fail(MPIVF_USAGE, "no path of an index") : MPIVF_OK);
    if (rc == MPIVF_OK)
        rc = read_options(made->ctx, given, &chosen);
    if (rc == MPIVF_OK && chosen.memory > 0)
        rc = ivf_manifest_open(made->ctx, path, &manifest);
    options.vectors = chosen.vectors != 0;
    if (rc == MPIVF_OK && manifest != NULL)
        limit_memory(chosen.memory, manifest->d, made, &options);
    ivf_manifest_free(manifest);
    if (rc == MPIVF_OK)
        rc = ivf_searcher_open(made->ctx, path, &options, &made->searcher);
    if (rc == MPIVF_OK)
        ivf_factory_text(&ivf_searcher_manifest(made->searcher)->factory, made->factory);
    return rc;
}

static const size_t LARGEST_OPTIONS = 4096;

int ivf_api_options(const void *given, const char *type, void *options, size_t size)
{
    size_t known = 0;
    memset(options, 0, size);
    if (given == NULL)
        return MPIVF_OK;
    memcpy(&known, given, sizeof known);
    if (known < sizeof known || known > LARGEST_OPTIONS)
        return ivf_fail(MPIVF_USAGE, "%s of %zu bytes: set their size to sizeof(%s)", type, known, type);
    for (size_t at = size; at < known; at++)
        if (((const char *)given)[at] != 0)
            return ivf_fail(MPIVF_USAGE, "%s hold a field that version %s of the library does not know", type,
                            mpivf_version());
    memcpy(options, given, known < size ? known : size);
    return MPIVF_OK;
}

int ivf_api_open(ivf_ctx *ctx, const char *path, const mpivf_open_options *options, mpivf_index **index)
{
    mpivf_index *made = ctx != NULL ? ivf_new_zero(1, sizeof *made) : NULL;
    int rc = ctx != NULL ? ivf_agree(ctx, made == NULL ? MPIVF_FAILED : MPIVF_OK) : MPIVF_FAILED;
    if (made != NULL)
        made->ctx = ctx;
    if (rc == MPIVF_OK && made != NULL)
        rc = open_searcher(path, options, made);
    if (rc == MPIVF_OK) {
        ivf_error_clear(); /* of newer versions that were passed over */
        *index = made;
        return MPIVF_OK;
    }
    ivf_error failure = *ivf_error_last();
    if (made == NULL)
        ivf_ctx_close(ctx);
    mpivf_close(made);
    ivf_error_set(&failure);
    return rc;
}

int mpivf_open(const char *path, const mpivf_open_options *options, mpivf_index **index)
{
    ivf_error_clear();
    if (index == NULL)
        return ivf_fail(MPIVF_USAGE, "no place for the handle of an index");
    *index = NULL;
    return ivf_api_open(ivf_ctx_open_self(), path, options, index);
}

void mpivf_close(mpivf_index *index)
{
    if (index == NULL)
        return;
    ivf_searcher_close(index->searcher);
    ivf_ctx_close(index->ctx);
    ivf_free(index);
}

int mpivf_dimension(const mpivf_index *index)
{
    return ivf_searcher_manifest(index->searcher)->d;
}

int64_t mpivf_rows(const mpivf_index *index)
{
    return ivf_searcher_manifest(index->searcher)->postings;
}

int mpivf_lists(const mpivf_index *index)
{
    return ivf_searcher_manifest(index->searcher)->factory.nlist;
}

int64_t mpivf_index_version(const mpivf_index *index)
{
    return ivf_searcher_manifest(index->searcher)->version;
}

const char *mpivf_metric(const mpivf_index *index)
{
    return ivf_metric_name(ivf_searcher_manifest(index->searcher)->metric);
}

const char *mpivf_factory(const mpivf_index *index)
{
    return index->factory;
}

int mpivf_set_threads(int threads)
{
    ivf_error_clear();
    if (threads < 0)
        return ivf_fail(MPIVF_USAGE, "%d threads: 0 (one for each processor) or more are wanted", threads);
    ivf_team_resize(threads);
    return MPIVF_OK;
}
