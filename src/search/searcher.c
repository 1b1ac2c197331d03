/* Searching a committed index, for the search command and for recall checks.
 *
 * Every rank holds the model and the postings that search/spread.h gives it, or what there is room for of them. Queries
 * go through in rounds, each rank's part of one in batches whose size depends on memory, nprobe and k alone: the ranks
 * of a column rank the centroids of some of the batch each and exchange the lists (search/probe.h), every rank scans
 * those lists (search/scan.h), a tree over the column merges what they found (search/merge.h), and rank 0 gathers the
 * parts.
 *
 * Why the bytes cannot depend on the number of ranks or threads: lists are ranked in fixed blocks of queries, a
 * posting's key depends on the query, the model and its code alone, and of all (key, id) the k smallest win.
 *
 * Memory: fragments and model; the queries once more for IVF_COSINE; about 64 MiB for a batch, k neighbours of it twice
 * included, or the candidates that are re-ranked (search/rerank.h). Collectives of a search: an agreement; for each
 * round those of its three steps, an agreement and the gathering; two sums of 8 bytes. */
#include "search/searcher.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/text.h"
#include "comm/transfer.h"
#include "math/panels.h"
#include "search/descend.h"
#include "search/merge.h"
#include "search/probe.h"
#include "search/queries.h"
#include "search/rerank.h"
#include "search/scan.h"

struct ivf_searcher {
    ivf_manifest *manifest;
    ivf_model *model;
    ivf_panels *centroids;
    ivf_descent *descent; /* NULL: the lists have no tree */
    char *index;          /* its folder, owned */
    ivf_spreading spread;
    ivf_vectors *vectors; /* NULL: not asked for */
    bool is_limited;      /* its memory is */
    ivf_budget_words words;
};

/* The manifest is what a reader trusts: a model of another shape would be scanned past the ends of its arrays. */
static int check_model(const char *index, const ivf_manifest *manifest, const ivf_model *model)
{
    if (model->d_in == manifest->d && model->nlist == manifest->factory.nlist && model->metric == manifest->metric &&
        ivf_codec_code_size(model->codec) == manifest->code_size)
        return MPIVF_OK;
    return ivf_fail(MPIVF_CORRUPT,
                    "%s: model %s (d %d, %d lists, %s, codes of %zu bytes) is not what the manifest says (d %d, %d "
                    "lists, %s, codes of %zu bytes); build the index again",
                    index, model->id, model->d_in, model->nlist, ivf_metric_name(model->metric),
                    ivf_codec_code_size(model->codec), manifest->d, manifest->factory.nlist,
                    ivf_metric_name(manifest->metric), manifest->code_size);
}

/* What searches hold of their queries, and of candidates that are re-ranked. */
static int64_t search_bytes(const ivf_searcher *s, const ivf_searcher_options *options)
{
    const ivf_model *model = s->model;
    int64_t values = 0;
    if (model->metric == IVF_COSINE)
        values += model->d_in;
    if (model->rotation != NULL)
        values += model->d;
    if (s->vectors != NULL && model->rotation != NULL && model->metric == IVF_COSINE)
        values += model->d_in;
    return options->queries * values * (int64_t)sizeof(float);
}

/* Of a query in a batch. */
static int64_t query_bytes(const ivf_model *model, const ivf_search_params *params)
{
    const int64_t neighbors = ivf_max_i64(params->k, params->rerank) * 2 * (int64_t)sizeof(ivf_neighbor);
    return (int64_t)params->nprobe * 8 + neighbors + params->rerank * (int64_t)IVF_RERANK_BYTES +
           ivf_to_i64(ivf_scan_query_bytes(model, params->nprobe));
}

/* What ranking lists, and reading vectors, takes of a rank beside a batch. */
static int scratch_bytes(const ivf_searcher *s, const ivf_search_params *most, int64_t *bytes)
{
    const ivf_tree *tree = &s->model->tree;
    ivf_search_params params = *most;
    ivf_route route;
    *bytes = s->vectors != NULL ? ivf_vectors_memory(s->vectors) : 0;
    if (s->descent == NULL || most->nodes[1] == 0) {
        *bytes = ivf_max_i64(*bytes, ivf_probes_memory(s->centroids, NULL, NULL));
        return MPIVF_OK;
    }
    for (int l = 1; l < tree->levels; l++)
        params.nodes[l] = (int32_t)ivf_max_i64(1, ivf_min_i64(most->nodes[l], tree->count[l]));
    params.nprobe = (int)ivf_max_i64(1, ivf_min_i64(most->nprobe, s->model->nlist));
    int rc = ivf_descent_plan(s->descent, params.nodes, params.nprobe, &route);
    if (rc == MPIVF_OK)
        *bytes = ivf_max_i64(*bytes, ivf_probes_memory(s->centroids, s->descent, &route));
    return rc;
}

/* A model without rows has no files to go back to either. */
static int check_rows(const char *index, const ivf_manifest *m)
{
    if (m->rows > 0)
        return MPIVF_OK;
    return ivf_fail(MPIVF_USAGE, "%s holds a model and no rows; mpivf build --model makes an index with it", index);
}

/* Local. What this rank needs of its own. */
static int prepare(const char *index, ivf_searcher *s)
{
    int rc = check_model(index, s->manifest, s->model);
    if (rc != MPIVF_OK)
        return rc;
    s->centroids = ivf_panels_new(ivf_model_centroids(s->model), s->model->nlist, s->model->d, s->model->metric);
    if (s->centroids != NULL && s->model->tree.levels > 1)
        s->descent = ivf_descent_new(s->model, s->centroids);
    if (s->centroids == NULL || (s->model->tree.levels > 1 && s->descent == NULL))
        return MPIVF_FAILED;
    return MPIVF_OK;
}

/* Collective. */
static int load_lists(const ivf_ctx *ctx, const ivf_searcher_options *options, ivf_searcher *s)
{
    ivf_spread_input in = {.index = s->index, .kind = options->spread, .parts = options->parts};
    in.budget = (ivf_budget_input){.manifest = s->manifest,
                                   .model = s->model,
                                   .words = options->words,
                                   .memory = options->memory,
                                   .held = options->held,
                                   .beside = options->beside + search_bytes(s, options),
                                   .piece_least = s->vectors != NULL ? ivf_rerank_least_piece(s->model->d_in) : 0};
    ivf_search_params most = options->most;
    most.nprobe = (int)ivf_min_i64(most.nprobe, s->model->nlist);
    in.budget.batch_least = IVF_SPREAD_STEP * query_bytes(s->model, &most);
    s->is_limited = options->memory > 0;
    s->words = options->words;
    int rc = ivf_agree(ctx, scratch_bytes(s, &most, &in.budget.other_scratch));
    return rc == MPIVF_OK ? ivf_spread_open(ctx, &in, &s->spread) : rc;
}

int ivf_searcher_open(const ivf_ctx *ctx, const char *index, const ivf_searcher_options *options,
                      ivf_searcher **searcher)
{
    static const ivf_searcher_options no_limit = {0};
    ivf_searcher *s = ivf_new_zero(1, sizeof *s);
    *searcher = NULL;
    if (s != NULL)
        s->index = ivf_text_copy(index);
    int rc = ivf_agree(ctx, s == NULL || s->index == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc != MPIVF_OK || s == NULL) {
        ivf_searcher_close(s);
        return rc;
    }
    rc = ivf_manifest_open(ctx, index, &s->manifest);
    if (rc == MPIVF_OK)
        rc = check_rows(s->index, s->manifest);
    if (rc == MPIVF_OK)
        rc = ivf_model_open(ctx, index, s->manifest->model_id, &s->model);
    if (rc == MPIVF_OK && options != NULL && options->vectors)
        rc = ivf_vectors_open(ctx, s->index, s->manifest, options->words.by_library, &s->vectors);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, prepare(s->index, s));
    if (rc == MPIVF_OK)
        rc = load_lists(ctx, options == NULL ? &no_limit : options, s);
    if (rc == MPIVF_OK)
        *searcher = s;
    else
        ivf_searcher_close(s);
    return rc;
}

void ivf_searcher_close(ivf_searcher *searcher)
{
    if (searcher == NULL)
        return;
    ivf_vectors_close(searcher->vectors);
    ivf_spread_close(&searcher->spread);
    ivf_descent_free(searcher->descent);
    ivf_panels_free(searcher->centroids);
    ivf_model_free(searcher->model);
    ivf_manifest_free(searcher->manifest);
    ivf_free(searcher->index);
    ivf_free(searcher);
}

int32_t ivf_searcher_lists_on_disk(const ivf_searcher *searcher)
{
    const ivf_postings *p = &searcher->spread.postings;
    int32_t lists = 0;
    for (int32_t l = 0; l < p->nlist; l++)
        lists += p->lists[l].n > 0 && p->lists[l].blocks == NULL;
    return lists;
}

int64_t ivf_searcher_queries(const ivf_searcher *searcher, const ivf_search_params *params)
{
    return searcher->is_limited ? ivf_max_i64(1, searcher->spread.batch_bytes / query_bytes(searcher->model, params))
                                : INT64_MAX;
}

const ivf_manifest *ivf_searcher_manifest(const ivf_searcher *searcher)
{
    return searcher->manifest;
}

const ivf_model *ivf_searcher_model(const ivf_searcher *searcher)
{
    return searcher->model;
}

ivf_vectors *ivf_searcher_vectors(const ivf_searcher *searcher)
{
    return searcher->vectors;
}

/* What a search needs from round to round. */
typedef struct {
    const ivf_searcher *searcher;
    const ivf_search_params *params;
    const float *queries; /* [nq][d_in], the caller's */
    int64_t nq;
    int width; /* neighbours that scans find: k, or candidates */
    float limit;
    ivf_probes probes;
    ivf_neighbor *found; /* [batch][width]; NULL on rank 0 without re-ranking: it finds into the caller's rows */
    int64_t batch;       /* queries of a rank, at most */
    int64_t rounds;
    int parts; /* of each round */
    ivf_scan_counts counts;
} search_run;

/* Neighbours that scans find: k, or candidates. */
static int run_width(const ivf_search_params *params)
{
    return params->rerank > 0 ? params->rerank : params->k;
}

static int refuse_batch(const ivf_searcher *s, const ivf_search_params *params, int64_t queries, int64_t bytes)
{
    const char *dashes = s->words.by_library ? "" : "--";
    char least[24];
    char allowed[24];
    return ivf_fail(MPIVF_USAGE,
                    "%d neighbours or candidates from %d lists take %s for %" PRId64
                    " queries, for which %smemory leaves %s; %s, or a smaller %sk, %srerank or %snprobe",
                    run_width(params), params->nprobe, ivf_text_bytes((double)bytes, least), queries, dashes,
                    ivf_text_bytes((double)s->spread.batch_bytes, allowed),
                    s->words.by_library ? "open the index with more" : "use a larger one", dashes, dashes, dashes);
}

static int choose_batch(const ivf_searcher *s, int64_t nq, const ivf_search_params *params, int64_t *batch)
{
    const int64_t bytes = query_bytes(s->model, params);
    const int64_t room = s->spread.batch_bytes;
    *batch = ivf_min_i64(nq, ivf_max_i64(1, room / bytes / IVF_SPREAD_STEP) * IVF_SPREAD_STEP);
    return !s->is_limited || *batch * bytes <= room ? MPIVF_OK : refuse_batch(s, params, *batch, *batch * bytes);
}

/* Rounds of equal length. With re-ranking every rank deals with the candidates of all parts. */
static void cut_rounds(search_run *run)
{
    const bool reranks = run->params->rerank > 0;
    run->parts = ivf_spread_parts(&run->searcher->spread, reranks ? run->batch : run->nq);
    run->rounds = run->nq == 0 ? 0 : ivf_ceil_div(run->nq, reranks ? run->batch : run->batch * run->parts);
}

/* The first query of a round. */
static int64_t first_of(const search_run *run, int64_t round)
{
    return ivf_min_i64(run->nq, ivf_ceil_div(run->nq, IVF_SPREAD_STEP) * round / run->rounds * IVF_SPREAD_STEP);
}

/* What the searcher was not opened for, or the index does not have. */
static int check_params(const ivf_searcher *searcher, const ivf_search_params *params)
{
    if (params->rerank > 0 && searcher->vectors == NULL)
        return ivf_fail(MPIVF_USAGE, "re-ranking %d candidates: the index was not opened with vectors", params->rerank);
    if (params->rerank > 0 && params->rerank < params->k)
        return ivf_fail(MPIVF_USAGE, "re-ranking %d candidates for %d neighbours: there must be as many or more",
                        params->rerank, params->k);
    if (params->nprobe < 1 || params->nprobe > searcher->model->nlist)
        return ivf_fail(MPIVF_USAGE, "%d lists to scan: the index has %d", params->nprobe, searcher->model->nlist);
    if (params->nodes[1] > 0 && searcher->descent == NULL)
        return ivf_fail(MPIVF_USAGE, "the lists of this index have no tree to descend");
    return MPIVF_OK;
}

static int run_prepare(const ivf_ctx *ctx, search_run *run)
{
    const ivf_search_params *params = run->params;
    int rc = check_params(run->searcher, params);
    if (rc == MPIVF_OK)
        rc = choose_batch(run->searcher, run->nq, params, &run->batch);
    if (rc != MPIVF_OK)
        return rc;
    run->width = run_width(params);
    run->limit =
        params->limited ? ivf_metric_limit(run->searcher->model->metric, params->max_distance) : (float)INFINITY;
    cut_rounds(run);
    rc = ivf_probes_new(&run->probes, run->batch, params->nprobe);
    if (rc == MPIVF_OK && params->nodes[1] > 0) {
        run->probes.descent = run->searcher->descent;
        rc = ivf_descent_plan(run->searcher->descent, params->nodes, params->nprobe, &run->probes.route);
    }
    if (rc == MPIVF_OK && (!ivf_ctx_is_root(ctx) || params->rerank > 0)) {
        run->found = ivf_new(ivf_to_size(run->batch) * (size_t)run->width, sizeof *run->found);
        rc = run->found == NULL ? MPIVF_FAILED : MPIVF_OK;
    }
    return rc;
}

/* Local. Queries from number `first` of the search on, as they are compared. */
static int prepare_queries(const search_run *run, int64_t first, int64_t nq, bool rotated, ivf_queries *queries)
{
    const ivf_model *model = run->searcher->model;
    int rc = ivf_queries_open(run->queries + first * model->d_in, run->params->first + first, nq, model->d_in,
                              model->metric, queries);
    return rc == MPIVF_OK && rotated && model->rotation != NULL ? ivf_queries_rotate(queries, nq, model) : rc;
}

/* Collective over the part's column. found[n][width] on its first rank. What candidates are known by before they are
 * compared exactly is no distance for the limit. */
static int search_part(const ivf_spread_part *part, search_run *run, int64_t first, ivf_neighbor *found)
{
    const ivf_model *model = run->searcher->model;
    ivf_queries queries = {0};
    if (part->n == 0)
        return MPIVF_OK;
    int rc = ivf_agree(part->column, prepare_queries(run, first + part->first, part->n, true, &queries));
    const ivf_scan scan = {.model = model,
                           .postings = part->postings,
                           .queries = queries.x,
                           .probes = &run->probes,
                           .nq = part->n,
                           .k = run->width,
                           .limit = run->params->rerank > 0 ? (float)INFINITY : run->limit,
                           .order = run->params->order};
    if (rc == MPIVF_OK)
        rc = ivf_probes_rank(part->column, &run->probes, run->searcher->centroids, scan.queries, part->n, model->d);
    if (rc == MPIVF_OK)
        rc = ivf_scan_run(part->column, &scan, found, &run->counts);
    if (rc == MPIVF_OK)
        rc = ivf_neighbors_merge(part->column, found, part->n, run->width);
    ivf_queries_close(&queries);
    return rc;
}

/* Collective. The candidates of a round to its neighbours. */
static int rerank(const ivf_ctx *ctx, const search_run *run, int64_t first, int64_t nq, ivf_neighbor *out)
{
    const ivf_model *model = run->searcher->model;
    ivf_queries whole = {0}; /* as rows are read */
    int rc = ivf_agree(ctx, prepare_queries(run, first, nq, false, &whole));
    const ivf_rerank job = {.vectors = run->searcher->vectors,
                            .metric = model->metric,
                            .queries = whole.x,
                            .nq = nq,
                            .d = model->d_in,
                            .width = run->width,
                            .k = run->params->k,
                            .limit = run->limit,
                            .piece = run->searcher->spread.piece_bytes};
    if (rc == MPIVF_OK)
        rc = ivf_rerank_run(ctx, &job, run->found, out);
    ivf_queries_close(&whole);
    return rc;
}

/* Collective. Queries first .. first + nq - 1 into out[nq][k] on rank 0. */
static int search_round(const ivf_ctx *ctx, search_run *run, int64_t first, int64_t nq, ivf_neighbor *out)
{
    const ivf_spreading *spread = &run->searcher->spread;
    const ivf_spread_part part = ivf_spread_part_of(ctx, spread, run->parts, nq);
    ivf_neighbor *found = run->found != NULL ? run->found : out;
    int rc = ivf_agree(ctx, search_part(&part, run, first, found));
    if (rc == MPIVF_OK)
        ivf_spread_gather(ctx, spread, run->parts, nq, (size_t)run->width * sizeof *found, found, found);
    if (rc == MPIVF_OK && run->params->rerank > 0)
        rc = rerank(ctx, run, first, nq, out);
    return rc;
}

static void fill_stats(const ivf_ctx *ctx, const ivf_scan_counts *counts, double started, ivf_search_stats *stats)
{
    int64_t nanoseconds = (int64_t)((ivf_clock() - started) * 1e9);
    int64_t sums[2] = {counts->postings, counts->bytes_read};
    ivf_allsum_i64(ctx, sums, 2);
    ivf_allmax_i64(ctx, &nanoseconds, 1);
    *stats =
        (ivf_search_stats){.seconds = (double)nanoseconds * 1e-9, .postings_scanned = sums[0], .bytes_read = sums[1]};
}

int ivf_search(const ivf_ctx *ctx, ivf_searcher *searcher, const float *queries, int64_t nq,
               const ivf_search_params *params, ivf_neighbor *out, ivf_search_stats *stats)
{
    double started = ivf_clock();
    search_run run = {.searcher = searcher, .params = params, .queries = queries, .nq = nq};
    int rc = ivf_agree(ctx, run_prepare(ctx, &run));
    for (int64_t round = 0; rc == MPIVF_OK && round < run.rounds; round++) {
        const int64_t first = first_of(&run, round);
        rc = search_round(ctx, &run, first, first_of(&run, round + 1) - first,
                          ivf_ctx_is_root(ctx) ? out + first * params->k : NULL);
    }
    ivf_free(run.found);
    ivf_probes_free(&run.probes);
    if (rc == MPIVF_OK)
        fill_stats(ctx, &run.counts, started, stats);
    return rc;
}
