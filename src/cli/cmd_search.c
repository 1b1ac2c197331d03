/* mpivf search: the nearest rows of each query, to a file or, the first ones, to the screen. Memory: this rank's share
 * of the index, some batches of queries (search/feed.h), and on rank 0 the neighbours (28 bytes each while they are
 * written). */
#include <inttypes.h>
#include <stdio.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "cli/byid.h"
#include "cli/cmd.h"
#include "cli/found.h"
#include "cli/load.h"
#include "cli/output.h"
#include "cli/probing.h"
#include "cli/targets.h"
#include "search/feed.h"
#include "search/searcher.h"

/* One run of the command. */
typedef struct {
    const ivf_options *options;
    ivf_searcher *searcher;
    ivf_byid rows;     /* that are the queries, with --ids */
    ivf_dataset *file; /* of the queries, without */
    int64_t queries;
    ivf_search_params params;
    ivf_search_stats stats;
    ivf_neighbor *neighbors; /* [queries][k] on rank 0, owned */
} search_job;

static json_t *job_to_json(const search_job *job, const ivf_found *found, const char *output)
{
    const ivf_manifest *m = ivf_searcher_manifest(job->searcher);
    json_t *json = json_pack(
        "{s:s, s:I, s:s, s:I, s:i, s:i, s:o, s:i, s:o, s:f, s:I, s:I, s:I}", "index",
        ivf_options_text(job->options, IVF_OPTION_INDEX), "version", (json_int_t)m->version, "metric",
        ivf_metric_name(m->metric), "queries", (json_int_t)job->queries, "k", job->params.k, "nprobe",
        job->params.nprobe, "nprobe_nodes", ivf_probing_nodes_json(&job->params), "rerank", job->params.rerank,
        "max_distance", job->params.limited ? json_real(job->params.max_distance) : json_null(), "seconds",
        job->stats.seconds, "postings_scanned", (json_int_t)job->stats.postings_scanned, "bytes_read",
        (json_int_t)job->stats.bytes_read, "queries_with_fewer", (json_int_t)ivf_found_short(found));
    int failed = output != NULL ? json_object_set_new(json, "output", json_string(output))
                                : json_object_set_new(json, "first_results", ivf_found_to_json(found));
    if (failed == 0)
        return json;
    json_decref(json);
    return NULL;
}

static int print_job(const search_job *job, const ivf_found *found, const char *output)
{
    if (ivf_options_flag(job->options, IVF_OPTION_JSON))
        return ivf_output_json(job_to_json(job, found, output));
    ivf_text out = {0};
    char within[48] = "";
    char reranked[48] = "";
    if (output == NULL)
        ivf_found_print(found, &out);
    if (job->params.rerank > 0)
        (void)snprintf(reranked, sizeof reranked, ", %d candidates re-ranked", job->params.rerank);
    ivf_text_add(&out, "%" PRId64 " queries, %d neighbours each, %d lists probed%s: %.3f s%s%s\n", job->queries,
                 job->params.k, job->params.nprobe, reranked, job->stats.seconds, output != NULL ? ", to " : "",
                 output != NULL ? output : "");
    if (job->params.limited)
        (void)snprintf(within, sizeof within, " within --max-distance %g", job->params.max_distance);
    if (ivf_found_short(found) > 0)
        ivf_text_add(&out, "%" PRId64 " of them have fewer than %d: there are no more rows%s in the lists probed\n",
                     ivf_found_short(found), job->params.k, within);
    return ivf_output_text(&out);
}

static int deliver(const search_job *job)
{
    const char *output = ivf_options_text(job->options, IVF_OPTION_RESULTS);
    const ivf_found found = {.neighbors = job->neighbors,
                             .ids = job->rows.ids,
                             .queries = job->queries,
                             .k = job->params.k,
                             .metric = ivf_searcher_manifest(job->searcher)->metric};
    int rc = output != NULL ? ivf_found_write(&found, output) : MPIVF_OK;
    return rc == MPIVF_OK ? print_job(job, &found, output) : rc;
}

/* One more is looked for than is wanted: the row itself. */
static void leave_out(const ivf_ctx *ctx, search_job *job)
{
    job->params.k--;
    job->params.rerank -= job->params.rerank > 0;
    if (ivf_ctx_is_root(ctx))
        ivf_byid_leave_out(&job->rows, job->neighbors, job->params.k);
}

static int search(const ivf_ctx *ctx, search_job *job)
{
    const ivf_model *model = ivf_searcher_model(job->searcher);
    int rc = MPIVF_OK;
    if (!ivf_probing_is_tuned(job->options))
        rc = ivf_agree(ctx, ivf_probing_set(ivf_options_value(job->options, IVF_OPTION_NPROBE), model, &job->params));
    if (rc == MPIVF_OK && job->rows.n > 0)
        rc = ivf_byid_fetch(ctx, job->searcher, &job->rows);
    else if (rc == MPIVF_OK)
        rc = ivf_load_open(ctx, job->options, IVF_OPTION_QUERIES, model->d_in, &job->file);
    if (rc != MPIVF_OK)
        return rc;
    job->queries = job->rows.n > 0 ? job->rows.n : ivf_dataset_rows(job->file);
    if (ivf_ctx_is_root(ctx)) {
        job->neighbors = ivf_new(ivf_to_size(job->queries) * (size_t)job->params.k, sizeof *job->neighbors);
        rc = job->neighbors == NULL ? MPIVF_FAILED : MPIVF_OK;
    }
    rc = ivf_agree(ctx, rc);
    const ivf_feed feed = {.count = job->queries, .array = job->rows.x, .dataset = job->file};
    if (rc == MPIVF_OK)
        rc = ivf_search_feed(ctx, job->searcher, &feed, &job->params, job->neighbors, &job->stats);
    if (rc == MPIVF_OK && job->rows.n > 0)
        leave_out(ctx, job);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? deliver(job) : MPIVF_OK);
    ivf_free(job->neighbors);
    ivf_dataset_close(job->file);
    return rc;
}

/* How many queries there are, and of how many values. */
static int count_queries(const ivf_ctx *ctx, const search_job *job, int64_t *n, int *d)
{
    ivf_manifest *manifest = NULL;
    if (job->rows.n == 0)
        return ivf_load_count_queries(ctx, job->options, n, d);
    int rc = ivf_manifest_open(ctx, ivf_options_text(job->options, IVF_OPTION_INDEX), &manifest);
    if (rc == MPIVF_OK) {
        *n = job->rows.n;
        *d = manifest->d;
    }
    ivf_manifest_free(manifest);
    return rc;
}

/* What this command holds beside the searcher: batches of queries, and on rank 0 what is found, twice while it is
 * written. By id all queries, and before that what finds them. */
static int plan_memory(const ivf_ctx *ctx, const search_job *job, ivf_searcher_options *searcher)
{
    enum { WRITTEN = 12 }; /* bytes of a neighbour on its way to a file */
    const ivf_option_value *nprobe = ivf_options_value(job->options, IVF_OPTION_NPROBE);
    int64_t n = 0;
    int d = 0;
    searcher->memory = ivf_options_integer(job->options, IVF_OPTION_SEARCH_MEMORY);
    if (searcher->memory == 0)
        return MPIVF_OK;
    int rc = count_queries(ctx, job, &n, &d);
    if (rc != MPIVF_OK)
        return rc;
    searcher->most = job->params;
    if (!ivf_probing_is_tuned(job->options))
        ivf_probing_widen(nprobe->integers, nprobe->count, &searcher->most);
    const int64_t vector = d * (int64_t)sizeof(float);
    const int64_t found = n * job->params.k * ((int64_t)sizeof(ivf_neighbor) + WRITTEN);
    const bool at_once = job->rows.n > 0 && ivf_ctx_size(ctx) == 1;
    searcher->queries = at_once ? n : ivf_feed_batch(n, d);
    searcher->beside = found + ivf_feed_memory(n, d);
    if (job->rows.n > 0) { /* which are in memory already: none are read ahead */
        const int64_t searching = found + (at_once ? 0 : ivf_feed_memory(n, d) / 2);
        searcher->beside = n * vector + ivf_max_i64(searching, n * (IVF_VECTORS_ID_BYTES + vector));
    }
    return MPIVF_OK;
}

int ivf_cmd_search(const ivf_ctx *ctx, const ivf_options *options)
{
    const char *output = ivf_options_text(options, IVF_OPTION_RESULTS);
    search_job job = {.options = options};
    job.params.k = ivf_to_int(ivf_options_integer(options, IVF_OPTION_K));
    int rc = ivf_targets_check_results(ctx, options, output);
    if (rc == MPIVF_OK)
        rc = ivf_probing_refine(options, &job.params);
    if (rc == MPIVF_OK && ivf_probing_is_tuned(options))
        rc = ivf_probing_tune(ctx, options, &job.params);
    if (rc == MPIVF_OK && ivf_byid_is_asked(options))
        rc = ivf_byid_read(ctx, options, &job.rows);
    job.params.k += job.rows.n > 0;
    job.params.rerank += job.rows.n > 0 && job.params.rerank > 0;
    ivf_searcher_options searcher = {.vectors = job.params.rerank > 0 || job.rows.n > 0,
                                     .spread = ivf_probing_spread(options)};
    if (rc == MPIVF_OK)
        rc = plan_memory(ctx, &job, &searcher);
    if (rc == MPIVF_OK)
        rc = ivf_searcher_open(ctx, ivf_options_text(options, IVF_OPTION_INDEX), &searcher, &job.searcher);
    if (rc == MPIVF_OK)
        rc = search(ctx, &job);
    ivf_searcher_close(job.searcher);
    ivf_byid_free(&job.rows);
    return rc;
}
