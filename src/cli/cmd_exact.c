/* mpivf exact: the nearest input rows of each query by brute force. Memory: the queries, k neighbours of each on every
 * rank, and blocks of rows (search/exact.h). */
#include <inttypes.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "cli/cmd.h"
#include "cli/found.h"
#include "cli/load.h"
#include "cli/output.h"
#include "cli/targets.h"
#include "io/ids.h"
#include "io/results.h"
#include "search/exact.h"

typedef struct {
    const ivf_options *options;
    ivf_dataset *dataset;
    ivf_ids *ids;
    ivf_load_matrix queries;
    ivf_neighbor *neighbors; /* [queries][k] on rank 0, owned */
    ivf_metric metric;
    int k;
    int64_t skipped;
    double seconds;
} exact_job;

static int print_job(const exact_job *job)
{
    const char *output = ivf_options_text(job->options, IVF_OPTION_RESULTS_REQUIRED);
    int64_t rows = ivf_dataset_rows(job->dataset);
    if (ivf_options_flag(job->options, IVF_OPTION_JSON))
        return ivf_output_json(json_pack("{s:s, s:I, s:I, s:I, s:i, s:s, s:f}", "output", output, "rows",
                                         (json_int_t)rows, "skipped", (json_int_t)job->skipped, "queries",
                                         (json_int_t)job->queries.n, "k", job->k, "metric",
                                         ivf_metric_name(job->metric), "seconds", job->seconds));
    ivf_text out = {0};
    ivf_text_add(&out, "%" PRId64 " queries, %d neighbours each, among %" PRId64 " rows: %.3f s, to %s\n",
                 job->queries.n, job->k, rows - job->skipped, job->seconds, output);
    return ivf_output_text(&out);
}

static int deliver(const exact_job *job)
{
    const ivf_found found = {
        .neighbors = job->neighbors, .queries = job->queries.n, .k = job->k, .metric = job->metric};
    if (job->skipped > 0)
        ivf_warn("%" PRId64 " of %" PRId64 " rows are no vectors that could be indexed; they were passed over",
                 job->skipped, ivf_dataset_rows(job->dataset));
    int rc = ivf_found_write(&found, ivf_options_text(job->options, IVF_OPTION_RESULTS_REQUIRED));
    return rc == MPIVF_OK ? print_job(job) : rc;
}

static int find(const ivf_ctx *ctx, exact_job *job)
{
    double started = ivf_clock();
    int rc = MPIVF_OK;
    if (ivf_ctx_is_root(ctx)) {
        job->neighbors = ivf_new(ivf_to_size(job->queries.n) * (size_t)job->k, sizeof *job->neighbors);
        rc = job->neighbors == NULL ? MPIVF_FAILED : MPIVF_OK;
    }
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK)
        rc = ivf_exact(ctx, job->dataset, job->ids, job->metric, job->queries.x, job->queries.n, job->k, job->neighbors,
                       &job->skipped);
    job->seconds = ivf_clock() - started;
    return rc;
}

static int open_inputs(const ivf_ctx *ctx, exact_job *job)
{
    ivf_dataset_spec spec;
    int rc = ivf_load_input(job->options, &spec);
    if (rc == MPIVF_OK)
        rc = ivf_dataset_open(ctx, &spec, &job->dataset);
    if (rc == MPIVF_OK)
        rc = ivf_ids_open(ctx, ivf_options_text(job->options, IVF_OPTION_IDS),
                          ivf_options_text(job->options, IVF_OPTION_IDS_DATASET), ivf_dataset_rows(job->dataset),
                          &job->ids);
    if (rc == MPIVF_OK)
        rc = ivf_load_queries(ctx, job->options, ivf_dataset_d(job->dataset), &job->queries);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_results_check_numbers(ivf_options_text(job->options, IVF_OPTION_RESULTS_REQUIRED),
                                                      job->queries.n, ivf_ids_largest(job->ids)));
    return rc;
}

int ivf_cmd_exact(const ivf_ctx *ctx, const ivf_options *options)
{
    exact_job job = {.options = options, .k = ivf_to_int(ivf_options_integer(options, IVF_OPTION_K))};
    (void)ivf_metric_parse(ivf_options_text(options, IVF_OPTION_METRIC), &job.metric);
    int rc = ivf_load_check_ids(options);
    if (rc == MPIVF_OK)
        rc = ivf_targets_check_results(ctx, options, ivf_options_text(options, IVF_OPTION_RESULTS_REQUIRED));
    if (rc == MPIVF_OK)
        rc = open_inputs(ctx, &job);
    if (rc == MPIVF_OK)
        rc = find(ctx, &job);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? deliver(&job) : MPIVF_OK);
    ivf_free(job.neighbors);
    ivf_load_free(&job.queries);
    ivf_ids_close(job.ids);
    ivf_dataset_close(job.dataset);
    return rc;
}
