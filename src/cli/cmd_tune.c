/* mpivf tune: recall and speed of many settings, for search --recall (search/tune.h). The outcome is a new version of
 * the index, which differs from the last one in its manifest alone. Memory: this rank's share of the index, the
 * queries, and on rank 0 their neighbours, found and true; while these are looked for, what search/exact.h says. All of
 * it is planned for before the index is opened, so that a limit is refused before hours of brute force. */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "cli/cmd.h"
#include "cli/load.h"
#include "cli/output.h"
#include "cli/probing.h"
#include "index/tuning.h"
#include "math/simd.h"
#include "search/indexed.h"
#include "search/known.h"
#include "search/tune.h"

enum { SEED = 1 };

typedef struct {
    const ivf_options *options;
    ivf_manifest *manifest; /* owned */
    ivf_searcher *searcher; /* of the same version */
    ivf_dataset *file;      /* of queries; NULL: none, or read */
    bool drawn;             /* queries are rows */
    int64_t rows;           /* queries, at most */
    ivf_dataset *dataset;   /* what was indexed; NULL where it is not needed */
    ivf_ids *ids;
    ivf_known known;
    ivf_search_params *tries; /* [try_count], owned */
    int try_count;
    int *reranks; /* [rerank_count], owned */
    int rerank_count;
    int k;
    ivf_tuning_setting *settings; /* [count], owned */
    int count;
    ivf_tuning_setting *front; /* [kept], owned */
    int kept;
    int64_t version; /* that was committed; 0: none */
} tune_job;

/* ---- queries and their neighbours ---- */

static int refuse_option(ivf_option_id id, const char *why)
{
    return ivf_fail(MPIVF_USAGE, "--%s has no effect %s", ivf_option_get(id)->name, why);
}

static int check_options(const ivf_options *options)
{
    const bool has_queries = ivf_options_text(options, IVF_OPTION_TUNE_QUERIES) != NULL;
    const bool has_truth = ivf_options_text(options, IVF_OPTION_TUNE_GROUNDTRUTH) != NULL;
    if (has_queries && ivf_options_differs(options, IVF_OPTION_TUNE_SAMPLE))
        return refuse_option(IVF_OPTION_TUNE_SAMPLE, "with --queries");
    if (!has_queries && ivf_options_differs(options, IVF_OPTION_QUERIES_DATASET))
        return refuse_option(IVF_OPTION_QUERIES_DATASET, "without --queries");
    if (has_truth && ivf_options_value(options, IVF_OPTION_REPAIR_INPUT)->count > 0)
        return refuse_option(IVF_OPTION_REPAIR_INPUT, "with --groundtruth");
    if (has_truth && ivf_options_text(options, IVF_OPTION_REPAIR_IDS) != NULL)
        return refuse_option(IVF_OPTION_REPAIR_IDS, "with --groundtruth");
    return MPIVF_OK;
}

static const char *recorded(const ivf_manifest *m, const char *option)
{
    return json_string_value(json_object_get(m->config, option));
}

static int open_input(const ivf_ctx *ctx, tune_job *job)
{
    static const char remedy[] = "give the files that were indexed with --input, or --queries and --groundtruth";
    const ivf_manifest *m = job->manifest;
    const ivf_option_value *given = ivf_options_value(job->options, IVF_OPTION_REPAIR_INPUT);
    const char *ids = ivf_options_text(job->options, IVF_OPTION_REPAIR_IDS);
    if (given->count == 0 && m->shard_count > 0 && strcmp(m->shards[0].format, "faiss") == 0)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "%s was imported, and its rows are not at hand; give --queries and "
                        "--groundtruth, or the rows in the order of their numbers with --input",
                        ivf_options_text(job->options, IVF_OPTION_INDEX));
    const char *const *paths = (const char *const *)given->texts;
    int rc = given->count > 0 ? ivf_indexed_open_moved(ctx, m, paths, given->count, remedy, &job->dataset)
                              : ivf_indexed_open(ctx, m, remedy, &job->dataset);
    if (rc == MPIVF_OK)
        rc = ivf_indexed_open_ids(ctx, m, ids != NULL ? ids : recorded(m, "ids"), remedy, &job->ids);
    return rc;
}

static bool has_truth(const tune_job *job)
{
    return ivf_options_text(job->options, IVF_OPTION_TUNE_GROUNDTRUTH) != NULL;
}

static void close_files(tune_job *job)
{
    ivf_ids_close(job->ids);
    ivf_dataset_close(job->dataset);
    ivf_dataset_close(job->file);
    job->ids = NULL;
    job->dataset = NULL;
    job->file = NULL;
}

/* Collective. The files that queries and their neighbours come from. A model without rows is the searcher's to refuse.
 */
static int open_files(const ivf_ctx *ctx, tune_job *job)
{
    int rc = MPIVF_OK;
    if (job->manifest->rows == 0)
        return MPIVF_OK;
    job->rows = ivf_min_i64(ivf_options_integer(job->options, IVF_OPTION_TUNE_SAMPLE), job->manifest->rows);
    if (!job->drawn) {
        rc = ivf_load_open(ctx, job->options, IVF_OPTION_TUNE_QUERIES, job->manifest->d, &job->file);
        job->rows = rc == MPIVF_OK ? ivf_dataset_rows(job->file) : 0;
    }
    return rc == MPIVF_OK && !has_truth(job) ? open_input(ctx, job) : rc;
}

static int load_queries(const ivf_ctx *ctx, tune_job *job)
{
    ivf_load_matrix rows = {0};
    int rc = ivf_load_rows(ctx, job->file, &rows);
    job->known = (ivf_known){.queries = rows.x, .nq = rows.n};
    return rc;
}

/* Rank 0. */
static int read_truth(tune_job *job)
{
    const char *path = ivf_options_text(job->options, IVF_OPTION_TUNE_GROUNDTRUTH);
    ivf_groundtruth *truth = &job->known.truth;
    int rc = ivf_groundtruth_read(path, truth);
    if (rc != MPIVF_OK)
        return rc;
    if (truth->queries != job->known.nq)
        return ivf_fail(MPIVF_BAD_INPUT, "%s: ground truth of %" PRId64 " queries, but there are %" PRId64, path,
                        truth->queries, job->known.nq);
    if (truth->k < job->k)
        return ivf_fail(MPIVF_USAGE, "--k %d is deeper than the %d neighbours of %s", job->k, truth->k, path);
    return MPIVF_OK;
}

static int find_known(const ivf_ctx *ctx, tune_job *job)
{
    const ivf_metric metric = job->manifest->metric;
    int rc = job->drawn ? ivf_known_draw(ctx, job->dataset, job->ids, metric, job->rows, SEED, &job->known)
                        : load_queries(ctx, job);
    if (rc == MPIVF_OK && has_truth(job))
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? read_truth(job) : MPIVF_OK);
    else if (rc == MPIVF_OK)
        rc = ivf_known_find(ctx, job->dataset, job->ids, metric, job->k, &job->known);
    close_files(job);
    ivf_memory_trim();
    return rc;
}

/* ---- settings ---- */

static int make_tries(tune_job *job)
{
    const ivf_option_value *given = ivf_options_value(job->options, IVF_OPTION_TUNE_NPROBE);
    int rc = MPIVF_OK;
    job->tries = ivf_new_zero((size_t)given->count, sizeof *job->tries);
    if (job->tries == NULL)
        return MPIVF_FAILED;
    for (int i = 0; rc == MPIVF_OK && i < given->count; i++)
        rc = ivf_probing_set_entry(given->texts[i], ivf_searcher_model(job->searcher), &job->tries[i]);
    job->try_count = given->count;
    return rc;
}

static int read_reranks(tune_job *job)
{
    const ivf_option_value *given = ivf_options_value(job->options, IVF_OPTION_TUNE_RERANK);
    job->reranks = ivf_new((size_t)given->count, sizeof *job->reranks);
    if (job->reranks == NULL)
        return MPIVF_FAILED;
    for (int i = 0; i < given->count; i++) {
        job->reranks[i] = ivf_to_int(given->integers[i]);
        if (job->reranks[i] > 0 && job->reranks[i] < job->k)
            return ivf_fail(MPIVF_USAGE, "--rerank %d is less than --k %d: no %d neighbours can come of %d candidates",
                            job->reranks[i], job->k, job->k, job->reranks[i]);
    }
    job->rerank_count = given->count;
    return MPIVF_OK;
}

/* Candidates, at most. */
static int most_candidates(const tune_job *job)
{
    int most = 0;
    for (int i = 0; i < job->rerank_count; i++)
        most = job->reranks[i] > most ? job->reranks[i] : most;
    return most;
}

/* What will be asked for at most; by itself tuning may try all lists, and all nodes of a tree. */
static ivf_search_params most_params(const tune_job *job)
{
    const ivf_option_value *given = ivf_options_value(job->options, IVF_OPTION_TUNE_NPROBE);
    const int more = job->drawn ? 1 : 0;
    const int candidates = most_candidates(job);
    int64_t numbers[IVF_ENTRY_LEVELS];
    ivf_search_params most = {.k = job->k + more, .rerank = candidates > 0 ? candidates + more : 0};
    for (int i = 0; i < given->count; i++)
        ivf_probing_widen(numbers, ivf_options_levels(given->texts[i], numbers), &most);
    if (given->count > 0)
        return most;
    most.nprobe = INT32_MAX;
    for (int l = 1; l < IVF_LEVELS; l++)
        most.nodes[l] = INT32_MAX;
    return most;
}

/* What this command holds beside the searcher. */
static void plan_memory(const ivf_ctx *ctx, const tune_job *job, ivf_searcher_options *searcher)
{
    const char *truth_path = ivf_options_text(job->options, IVF_OPTION_TUNE_GROUNDTRUTH);
    searcher->memory = ivf_options_integer(job->options, IVF_OPTION_SEARCH_MEMORY);
    if (searcher->memory == 0 || job->manifest->rows == 0)
        return;
    const int64_t finding = truth_path != NULL
                                ? ivf_load_truth_memory(ctx, truth_path)
                                : ivf_known_finding_memory(ivf_ctx_size(ctx), job->dataset, job->manifest->metric,
                                                           job->rows, job->drawn, job->k);
    searcher->queries = job->rows;
    searcher->most = most_params(job);
    searcher->beside = ivf_known_memory(job->rows, job->manifest->d, job->drawn, job->k) +
                       ivf_max_i64(finding, ivf_tune_memory(job->rows, job->drawn, job->k));
}

static int find_front(tune_job *job)
{
    const size_t bytes = (size_t)job->count * sizeof *job->front;
    job->front = ivf_new((size_t)job->count, sizeof *job->front);
    if (job->front == NULL)
        return MPIVF_FAILED;
    memcpy(job->front, job->settings, bytes);
    job->kept = ivf_tuning_front(job->front, job->count);
    return MPIVF_OK;
}

/* ---- the new version ---- */

/* Rank 0. Whatever somebody else commits meanwhile is not lost: this version then has no name to take. */
static int commit(const ivf_ctx *ctx, tune_job *job)
{
    const char *index = ivf_options_text(job->options, IVF_OPTION_INDEX);
    const ivf_tuning tuning = {.k = job->k,
                               .queries = job->known.nq,
                               .ranks = ivf_ctx_size(ctx),
                               .threads = ivf_team_size(),
                               .simd = ivf_simd_name(ivf_simd_level()),
                               .host = ivf_ctx_host(ctx),
                               .settings = job->front,
                               .count = job->kept};
    ivf_manifest *m = NULL;
    int rc = ivf_manifest_read_next(index, job->manifest->version, &m);
    if (rc == MPIVF_OK)
        rc = ivf_tuning_put(m, &tuning);
    if (rc == MPIVF_OK)
        rc = ivf_manifest_commit(m, index);
    if (rc == MPIVF_OK)
        job->version = m->version;
    ivf_manifest_free(m);
    return rc;
}

/* ---- the result ---- */

/* No two settings of a front have the same recall. */
static bool is_kept(const tune_job *job, const ivf_tuning_setting *s)
{
    for (int i = 0; i < job->kept; i++)
        if (job->front[i].recall == s->recall && job->front[i].queries_per_second == s->queries_per_second)
            return true;
    return false;
}

static ivf_search_params params_of(const ivf_tuning_setting *s)
{
    ivf_search_params params = {.nprobe = s->nprobe, .rerank = s->rerank};
    memcpy(params.nodes, s->nodes, sizeof params.nodes);
    return params;
}

static json_t *job_to_json(const tune_job *job)
{
    json_t *list = json_array();
    for (int i = 0; i < job->count; i++) {
        const ivf_tuning_setting *s = &job->settings[i];
        const ivf_search_params params = params_of(s);
        ivf_output_append(&list, json_pack("{s:i, s:o, s:i, s:f, s:f, s:b}", "nprobe", s->nprobe, "nprobe_nodes",
                                           ivf_probing_nodes_json(&params), "rerank", s->rerank, "recall", s->recall,
                                           "queries_per_second", s->queries_per_second, "kept", is_kept(job, s)));
    }
    return json_pack("{s:s, s:I, s:o, s:i, s:I, s:o}", "index", ivf_options_text(job->options, IVF_OPTION_INDEX),
                     "version", (json_int_t)job->manifest->version, "tuned_version",
                     job->version > 0 ? json_integer((json_int_t)job->version) : json_null(), "k", job->k, "queries",
                     (json_int_t)job->known.nq, "settings", list);
}

static int print_job(const tune_job *job)
{
    if (ivf_options_flag(job->options, IVF_OPTION_JSON))
        return ivf_output_json(job_to_json(job));
    ivf_text out = {0};
    ivf_text_add(&out, "%12s %8s  recall@%-5d %12s\n", "nprobe", "rerank", job->k, "queries/s");
    for (int i = 0; i < job->count; i++) {
        char nprobe[IVF_PROBING_TEXT];
        const ivf_search_params params = params_of(&job->settings[i]);
        ivf_probing_text(&params, nprobe);
        ivf_text_add(&out, "%12s %8d %13.4f %12.0f%s\n", nprobe, job->settings[i].rerank, job->settings[i].recall,
                     job->settings[i].queries_per_second, is_kept(job, &job->settings[i]) ? "  kept" : "");
    }
    if (job->version > 0)
        ivf_text_add(&out, "%d of %d settings are in version %" PRId64 "\n", job->kept, job->count, job->version);
    else
        ivf_text_add(&out, "%d of %d settings would be kept\n", job->kept, job->count);
    return ivf_output_text(&out);
}

/* Rank 0. What was measured is told even where it cannot be kept. */
static int deliver(const ivf_ctx *ctx, tune_job *job)
{
    const int kept = ivf_options_flag(job->options, IVF_OPTION_DRY_RUN) ? MPIVF_OK : commit(ctx, job);
    ivf_error failure = *ivf_error_last();
    const int printed = print_job(job);
    if (kept != MPIVF_OK)
        ivf_error_set(&failure);
    return kept != MPIVF_OK ? kept : printed;
}

static int tune(const ivf_ctx *ctx, tune_job *job)
{
    int rc = ivf_agree(ctx, make_tries(job));
    if (rc == MPIVF_OK)
        rc = find_known(ctx, job);
    if (rc != MPIVF_OK)
        return rc;
    const ivf_tune_config config = {.known = &job->known,
                                    .k = job->k,
                                    .tries = job->tries,
                                    .count = job->try_count,
                                    .reranks = job->reranks,
                                    .rerank_count = job->rerank_count};
    rc = ivf_tune(ctx, job->searcher, &config, &job->settings, &job->count);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, find_front(job));
    return rc == MPIVF_OK ? ivf_agree(ctx, ivf_ctx_is_root(ctx) ? deliver(ctx, job) : MPIVF_OK) : rc;
}

/* Collective. The searcher of the version whose files are open. */
static int open_searcher(const ivf_ctx *ctx, tune_job *job)
{
    const char *index = ivf_options_text(job->options, IVF_OPTION_INDEX);
    ivf_searcher_options how = {.vectors = most_candidates(job) > 0, .spread = ivf_probing_spread(job->options)};
    plan_memory(ctx, job, &how);
    int rc = ivf_searcher_open(ctx, index, &how, &job->searcher);
    if (rc != MPIVF_OK || ivf_searcher_manifest(job->searcher)->version == job->manifest->version)
        return rc;
    return ivf_fail(MPIVF_CONFLICT, "%s: version %" PRId64 " was committed meanwhile; run again", index,
                    ivf_searcher_manifest(job->searcher)->version);
}

/* Collective. What is done with an index that can be tuned. */
static int run(const ivf_ctx *ctx, tune_job *job)
{
    int rc = open_files(ctx, job);
    if (rc == MPIVF_OK)
        rc = open_searcher(ctx, job);
    return rc == MPIVF_OK ? tune(ctx, job) : rc;
}

int ivf_cmd_tune(const ivf_ctx *ctx, const ivf_options *options)
{
    tune_job job = {.options = options, .k = ivf_to_int(ivf_options_integer(options, IVF_OPTION_K))};
    job.drawn = ivf_options_text(options, IVF_OPTION_TUNE_QUERIES) == NULL;
    int rc = check_options(options);
    if (rc == MPIVF_OK)
        rc = read_reranks(&job);
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK)
        rc = ivf_manifest_open(ctx, ivf_options_text(options, IVF_OPTION_INDEX), &job.manifest);
    if (rc == MPIVF_OK && ivf_ctx_is_root(ctx) && !ivf_options_flag(options, IVF_OPTION_DRY_RUN))
        rc = ivf_manifest_can_commit(ivf_options_text(options, IVF_OPTION_INDEX));
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK && job.manifest != NULL)
        rc = run(ctx, &job);
    ivf_free(job.front);
    ivf_free(job.settings);
    ivf_free(job.tries);
    ivf_free(job.reranks);
    ivf_known_free(&job.known);
    close_files(&job);
    ivf_searcher_close(job.searcher);
    ivf_manifest_free(job.manifest);
    return rc;
}
