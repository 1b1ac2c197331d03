/* mpivf eval: recall and speed for each number of lists, against known neighbours. The searches are those of
 * `mpivf search`; each setting is measured as search/measure.h says. Memory: this rank's share of the index, the
 * queries, and on rank 0 the largest k of neighbours and the ground truth. */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "cli/cmd.h"
#include "cli/found.h"
#include "cli/load.h"
#include "cli/output.h"
#include "cli/probing.h"
#include "io/groundtruth.h"
#include "search/measure.h"
#include "search/recall.h"
#include "search/searcher.h"

/* One line of the table. */
typedef struct {
    ivf_search_params params;
    char nprobe[IVF_PROBING_TEXT]; /* as it was given */
    ivf_measured measured;
    int64_t fewer;       /* queries with fewer neighbours than the largest depth; on rank 0 */
    ivf_recall *recalls; /* [depths], owned; on rank 0 */
} setting;

typedef struct {
    const ivf_options *options;
    ivf_searcher *searcher;
    ivf_load_matrix queries;
    ivf_groundtruth truth; /* on rank 0 */
    const int64_t *depths; /* [depth_count], borrowed from the options */
    int depth_count;
    int width;               /* the largest depth */
    ivf_neighbor *neighbors; /* [queries][width] on rank 0, owned */
    setting *settings;       /* [setting_count], owned */
    int setting_count;
} eval_job;

static int run_setting(const ivf_ctx *ctx, eval_job *job, setting *s)
{
    int rc = ivf_measure(ctx, job->searcher, job->queries.x, job->queries.n, &s->params, job->neighbors, &s->measured);
    if (rc != MPIVF_OK)
        return rc;
    for (int i = 0; ivf_ctx_is_root(ctx) && i < job->depth_count; i++)
        s->recalls[i] =
            ivf_recall_at(&job->truth, job->neighbors, job->queries.n, job->width, ivf_to_int(job->depths[i]));
    const ivf_found found = {.neighbors = job->neighbors, .queries = job->queries.n, .k = job->width};
    s->fewer = ivf_ctx_is_root(ctx) ? ivf_found_short(&found) : 0;
    return MPIVF_OK;
}

static double speed(const eval_job *job, const setting *s)
{
    return s->measured.seconds > 0 ? (double)job->queries.n / s->measured.seconds : 0;
}

static void print_setting(ivf_text *out, const eval_job *job, const setting *s)
{
    ivf_text_add(out, "%8s %12.1f", s->nprobe, (double)s->measured.postings_scanned / (double)job->queries.n);
    for (int i = 0; i < job->depth_count; i++) {
        ivf_text_add(out, " %12.4f", s->recalls[i].by_id);
        if (s->recalls[i].by_distance >= 0)
            ivf_text_add(out, " %12.4f", s->recalls[i].by_distance);
        else
            ivf_text_add(out, " %12s", "-");
    }
    ivf_text_add(out, " %12.0f\n", speed(job, s));
}

static void print_table(ivf_text *out, const eval_job *job)
{
    ivf_text_add(out, "%8s %12s", "nprobe", "rows/query");
    for (int i = 0; i < job->depth_count; i++)
        ivf_text_add(out, " %6s%-6" PRId64 " %12s", "recall@", job->depths[i], "by distance");
    ivf_text_add(out, " %12s\n", "queries/s");
    for (int i = 0; i < job->setting_count; i++)
        print_setting(out, job, &job->settings[i]);
    for (int i = 0; i < job->setting_count; i++)
        if (job->settings[i].fewer > 0)
            ivf_text_add(out, "with --nprobe %s %" PRId64 " of the %" PRId64 " queries have fewer than %d neighbours\n",
                         job->settings[i].nprobe, job->settings[i].fewer, job->queries.n, job->width);
}

static json_t *recalls_to_json(const eval_job *job, const setting *s)
{
    json_t *list = json_array();
    for (int i = 0; i < job->depth_count; i++) {
        json_t *by_distance = s->recalls[i].by_distance >= 0 ? json_real(s->recalls[i].by_distance) : json_null();
        json_t *entry = json_pack("{s:I, s:f, s:o}", "k", (json_int_t)job->depths[i], "by_id", s->recalls[i].by_id,
                                  "by_distance", by_distance);
        ivf_output_append(&list, entry);
    }
    return list;
}

static json_t *job_to_json(const eval_job *job)
{
    json_t *list = json_array();
    for (int i = 0; i < job->setting_count; i++) {
        const setting *s = &job->settings[i];
        json_t *entry =
            json_pack("{s:i, s:o, s:o, s:f, s:f, s:i, s:I, s:I}", "nprobe", s->params.nprobe, "nprobe_nodes",
                      ivf_probing_nodes_json(&s->params), "recall", recalls_to_json(job, s), "queries_per_second",
                      speed(job, s), "seconds", s->measured.seconds, "runs", s->measured.runs, "postings_scanned",
                      (json_int_t)s->measured.postings_scanned, "queries_with_fewer", (json_int_t)s->fewer);
        ivf_output_append(&list, entry);
    }
    const ivf_manifest *m = ivf_searcher_manifest(job->searcher);
    const ivf_search_params *first = &job->settings[0].params;
    return json_pack("{s:s, s:I, s:s, s:I, s:i, s:o, s:o}", "index", ivf_options_text(job->options, IVF_OPTION_INDEX),
                     "version", (json_int_t)m->version, "metric", ivf_metric_name(m->metric), "queries",
                     (json_int_t)job->queries.n, "rerank", first->rerank, "max_distance",
                     first->limited ? json_real(first->max_distance) : json_null(), "settings", list);
}

static int print_job(const eval_job *job)
{
    if (ivf_options_flag(job->options, IVF_OPTION_JSON))
        return ivf_output_json(job_to_json(job));
    ivf_text out = {0};
    print_table(&out, job);
    return ivf_output_text(&out);
}

/* Rank 0: what the recalls are measured against. */
static int open_truth(eval_job *job)
{
    const char *path = ivf_options_text(job->options, IVF_OPTION_GROUNDTRUTH);
    int rc = ivf_groundtruth_read(path, &job->truth);
    if (rc != MPIVF_OK)
        return rc;
    if (job->truth.queries != job->queries.n)
        return ivf_fail(MPIVF_BAD_INPUT, "%s: ground truth of %" PRId64 " queries, but there are %" PRId64, path,
                        job->truth.queries, job->queries.n);
    if (job->truth.k < job->width)
        return ivf_fail(MPIVF_USAGE, "--k %d is deeper than the %d neighbours of %s", job->width, job->truth.k, path);
    job->neighbors = ivf_new(ivf_to_size(job->queries.n) * (size_t)job->width, sizeof *job->neighbors);
    return job->neighbors == NULL ? MPIVF_FAILED : MPIVF_OK;
}

static bool is_new(const eval_job *job, const ivf_search_params *params)
{
    for (int i = 0; i < job->setting_count; i++)
        if (job->settings[i].params.nprobe == params->nprobe &&
            memcmp(job->settings[i].params.nodes, params->nodes, sizeof params->nodes) == 0)
            return false;
    return true;
}

static int add_setting(eval_job *job, const char *entry)
{
    ivf_search_params params = {.k = job->width};
    int rc = ivf_probing_set_entry(entry, ivf_searcher_model(job->searcher), &params);
    if (rc != MPIVF_OK || !is_new(job, &params))
        return rc;
    rc = ivf_probing_refine(job->options, &params);
    if (rc != MPIVF_OK)
        return rc;
    setting *s = &job->settings[job->setting_count++];
    *s = (setting){.params = params, .recalls = ivf_new((size_t)job->depth_count, sizeof *s->recalls)};
    ivf_probing_text(&params, s->nprobe);
    return s->recalls == NULL ? MPIVF_FAILED : MPIVF_OK;
}

/* Local. The lines of the table; numbers of lists that clamping has made equal are one line. */
static int make_settings(eval_job *job)
{
    const ivf_option_value *nprobes = ivf_options_value(job->options, IVF_OPTION_NPROBE_LIST);
    const ivf_option_value *depths = ivf_options_value(job->options, IVF_OPTION_K_LIST);
    job->depths = depths->integers;
    job->depth_count = depths->count;
    for (int i = 0; i < depths->count; i++)
        job->width = ivf_to_int(ivf_max_i64(job->width, depths->integers[i]));
    job->settings = ivf_new_zero((size_t)nprobes->count, sizeof *job->settings);
    int rc = job->settings == NULL ? MPIVF_FAILED : MPIVF_OK;
    for (int i = 0; rc == MPIVF_OK && i < nprobes->count; i++)
        rc = add_setting(job, nprobes->texts[i]);
    return rc;
}

static int evaluate(const ivf_ctx *ctx, eval_job *job)
{
    int rc = ivf_agree(ctx, make_settings(job));
    if (rc == MPIVF_OK)
        rc = ivf_load_queries(ctx, job->options, ivf_searcher_manifest(job->searcher)->d, &job->queries);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? open_truth(job) : MPIVF_OK);
    for (int i = 0; rc == MPIVF_OK && i < job->setting_count; i++)
        rc = run_setting(ctx, job, &job->settings[i]);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? print_job(job) : MPIVF_OK);
    return rc;
}

/* What this command holds beside the searcher: queries, and on rank 0 what is found and the ground truth. */
static int plan_memory(const ivf_ctx *ctx, const ivf_options *options, ivf_searcher_options *searcher)
{
    const ivf_option_value *depths = ivf_options_value(options, IVF_OPTION_K_LIST);
    const ivf_option_value *nprobes = ivf_options_value(options, IVF_OPTION_NPROBE_LIST);
    int64_t numbers[IVF_ENTRY_LEVELS];
    int64_t n = 0;
    int64_t k = 0;
    int d = 0;
    searcher->memory = ivf_options_integer(options, IVF_OPTION_SEARCH_MEMORY);
    if (searcher->memory == 0)
        return MPIVF_OK;
    for (int i = 0; i < depths->count; i++)
        k = ivf_max_i64(k, depths->integers[i]);
    int rc = ivf_load_count_queries(ctx, options, &n, &d);
    if (rc != MPIVF_OK)
        return rc;
    searcher->queries = n;
    searcher->most.k = ivf_to_int(k);
    searcher->most.rerank = ivf_to_int(ivf_options_integer(options, IVF_OPTION_RERANK));
    for (int i = 0; i < nprobes->count; i++)
        ivf_probing_widen(numbers, ivf_options_levels(nprobes->texts[i], numbers), &searcher->most);
    searcher->beside = n * (d * (int64_t)sizeof(float) + k * (int64_t)sizeof(ivf_neighbor)) +
                       ivf_load_truth_memory(ctx, ivf_options_text(options, IVF_OPTION_GROUNDTRUTH));
    return MPIVF_OK;
}

int ivf_cmd_eval(const ivf_ctx *ctx, const ivf_options *options)
{
    eval_job job = {.options = options};
    ivf_searcher_options searcher = {.vectors = ivf_options_integer(options, IVF_OPTION_RERANK) > 0,
                                     .spread = ivf_probing_spread(options)};
    int rc = plan_memory(ctx, options, &searcher);
    if (rc == MPIVF_OK)
        rc = ivf_searcher_open(ctx, ivf_options_text(options, IVF_OPTION_INDEX), &searcher, &job.searcher);
    if (rc == MPIVF_OK)
        rc = evaluate(ctx, &job);
    for (int i = 0; i < job.setting_count; i++)
        ivf_free(job.settings[i].recalls);
    ivf_free(job.settings);
    ivf_free(job.neighbors);
    ivf_groundtruth_free(&job.truth);
    ivf_load_free(&job.queries);
    ivf_searcher_close(job.searcher);
    return rc;
}
