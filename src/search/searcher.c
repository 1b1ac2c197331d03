/* Searching a committed index, for the search command and for recall checks.
 *
 * Every rank holds the model and its share of the postings, or what there is room for of it (search/postings.h).
 * Queries go through in batches whose size depends on nprobe and k alone: the ranks rank the centroids of a part of the
 * batch each and exchange the lists (search/probe.h), every rank scans those lists in its own fragments
 * (search/scan.h), and a tree over the ranks merges what they found (search/merge.h).
 *
 * Why the bytes cannot depend on the number of ranks or threads: lists are ranked in fixed blocks of queries, a
 * posting's key depends on the query, the model and its code alone, and of all (key, id) the k smallest win.
 *
 * Memory: fragments and model; the queries once more for IVF_COSINE; about 64 MiB for a batch, k neighbours of it twice
 * included, or the candidates that are re-ranked (search/rerank.h). Collectives of a search: an agreement; for each
 * batch those of its three steps; two sums of 8 bytes. */
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
#include "search/budget.h"
#include "search/descend.h"
#include "search/merge.h"
#include "search/postings.h"
#include "search/probe.h"
#include "search/queries.h"
#include "search/rerank.h"
#include "search/scan.h"

enum { BATCH_STEP = 32 };

struct ivf_searcher {
    ivf_manifest *manifest;
    ivf_model *model;
    ivf_panels *centroids;
    ivf_descent *descent; /* NULL: the lists have no tree */
    char *index;          /* its folder, owned */
    ivf_postings postings;
    ivf_vectors *vectors; /* NULL: not asked for */
    bool is_limited;      /* its memory is */
    int64_t batch_bytes;  /* of a batch of queries; the same on every rank */
    int64_t piece_bytes;  /* of vectors that are read at once */
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

static void say_budget(const ivf_budget *budget, const ivf_postings_share *share)
{
    char needed[24];
    if (budget->room.resident < share->end)
        ivf_info(
            "%d of %d lists are held in memory, the others are read as they are probed; memory of a rank, at most: %s",
            budget->room.resident > share->first ? budget->room.resident - share->first : 0, share->end - share->first,
            ivf_text_bytes((double)budget->needed, needed));
    else
        ivf_debug("memory of a rank, at most: %s", ivf_text_bytes((double)budget->needed, needed));
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

static int load_lists(const ivf_ctx *ctx, const char *index, const ivf_searcher_options *options, ivf_searcher *s)
{
    ivf_budget budget;
    const ivf_postings_share share = ivf_postings_share_of(s->manifest, ivf_ctx_rank(ctx), ivf_ctx_size(ctx));
    int rc = ivf_postings_find(index, s->manifest, s->model, &share, &s->postings);
    if (rc != MPIVF_OK)
        return rc;
    ivf_memory_trim();
    ivf_budget_input in = {.manifest = s->manifest,
                           .model = s->model,
                           .share = &share,
                           .postings = &s->postings,
                           .memory = options->memory,
                           .held = options->held > 0 ? options->held : ivf_memory_resident(),
                           .beside = options->beside + search_bytes(s, options),
                           .piece_least = s->vectors != NULL ? ivf_rerank_least_piece(s->model->d_in) : 0,
                           .ranks = ivf_ctx_size(ctx)};
    ivf_search_params most = options->most;
    most.nprobe = (int)ivf_min_i64(most.nprobe, s->model->nlist);
    in.batch_least = BATCH_STEP * query_bytes(s->model, &most);
    rc = scratch_bytes(s, &most, &in.other_scratch);
    if (rc == MPIVF_OK)
        rc = ivf_budget_find(&in, &budget);
    if (rc != MPIVF_OK)
        return rc;
    s->is_limited = options->memory > 0;
    s->batch_bytes = budget.batch_bytes;
    s->piece_bytes = budget.piece_bytes;
    say_budget(&budget, &share);
    return ivf_postings_load(index, s->manifest, s->model, &share, &budget.room, &s->postings);
}

/* Local. What this rank needs of its own. */
static int load_share(const ivf_ctx *ctx, const char *index, const ivf_searcher_options *options, ivf_searcher *s)
{
    int rc = check_model(index, s->manifest, s->model);
    if (rc == MPIVF_OK && s->manifest->rows == 0)
        rc = ivf_fail(MPIVF_USAGE, "%s holds a model and no rows; mpivf build --model makes an index with it", index);
    if (rc != MPIVF_OK)
        return rc;
    s->centroids = ivf_panels_new(ivf_model_centroids(s->model), s->model->nlist, s->model->d, s->model->metric);
    if (s->centroids != NULL && s->model->tree.levels > 1)
        s->descent = ivf_descent_new(s->model, s->centroids);
    if (s->centroids == NULL || (s->model->tree.levels > 1 && s->descent == NULL))
        return MPIVF_FAILED;
    return load_lists(ctx, index, options, s);
}

/* Collective. Ranks may have room for batches of different sizes. */
static void agree_on_batches(const ivf_ctx *ctx, ivf_searcher *s)
{
    int64_t least = -s->batch_bytes;
    ivf_allmax_i64(ctx, &least, 1);
    s->batch_bytes = -least;
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
        rc = ivf_model_open(ctx, index, s->manifest->model_id, &s->model);
    if (rc == MPIVF_OK && options != NULL && options->vectors)
        rc = ivf_vectors_open(ctx, s->index, s->manifest, &s->vectors);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, load_share(ctx, s->index, options == NULL ? &no_limit : options, s));
    if (rc == MPIVF_OK)
        agree_on_batches(ctx, s);
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
    ivf_postings_free(&searcher->postings);
    ivf_descent_free(searcher->descent);
    ivf_panels_free(searcher->centroids);
    ivf_model_free(searcher->model);
    ivf_manifest_free(searcher->manifest);
    ivf_free(searcher->index);
    ivf_free(searcher);
}

int32_t ivf_searcher_lists_on_disk(const ivf_searcher *searcher)
{
    const ivf_postings *p = &searcher->postings;
    int32_t lists = 0;
    for (int32_t l = 0; l < p->nlist; l++)
        lists += p->lists[l].n > 0 && p->lists[l].blocks == NULL;
    return lists;
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

/* What a search needs from batch to batch. */
typedef struct {
    const ivf_searcher *searcher;
    const ivf_search_params *params;
    int width; /* neighbours that scans find: k, or candidates */
    float limit;
    ivf_queries queries;
    ivf_queries whole; /* as rows are read, for re-ranking; NULL: the same */
    ivf_probes probes;
    ivf_neighbor *found; /* [batch][width]; NULL on rank 0 without re-ranking: it finds into the caller's rows */
    int64_t batch;       /* queries, at most */
    ivf_scan_counts counts;
} search_run;

/* Neighbours that scans find: k, or candidates. */
static int run_width(const ivf_search_params *params)
{
    return params->rerank > 0 ? params->rerank : params->k;
}

static int choose_batch(const ivf_searcher *s, int64_t nq, const ivf_search_params *params, int64_t *batch)
{
    const int64_t bytes = query_bytes(s->model, params);
    const int64_t fitting = s->batch_bytes / bytes / BATCH_STEP * BATCH_STEP;
    char least[24];
    char room[24];
    *batch = ivf_min_i64(nq, ivf_max_i64(BATCH_STEP, fitting));
    if (!s->is_limited || *batch * bytes <= s->batch_bytes)
        return MPIVF_OK;
    return ivf_fail(MPIVF_USAGE,
                    "%d neighbours or candidates from %d lists take %s for %" PRId64
                    " queries, for which --memory leaves %s; use a larger one, or a smaller --k, --rerank or --nprobe",
                    run_width(params), params->nprobe, ivf_text_bytes((double)(*batch * bytes), least), *batch,
                    ivf_text_bytes((double)s->batch_bytes, room));
}

/* What the searcher was not opened for, or the index does not have. */
static int check_params(const ivf_searcher *searcher, const ivf_search_params *params)
{
    if (params->rerank > 0 && (searcher->vectors == NULL || params->rerank < params->k))
        return ivf_fail(
            MPIVF_USAGE,
            "re-ranking %d candidates for %d neighbours: there must be as many or more, and a searcher that "
            "was opened with vectors",
            params->rerank, params->k);
    if (params->nprobe < 1 || params->nprobe > searcher->model->nlist)
        return ivf_fail(MPIVF_USAGE, "%d lists to scan: the index has %d", params->nprobe, searcher->model->nlist);
    if (params->nodes[1] > 0 && searcher->descent == NULL)
        return ivf_fail(MPIVF_USAGE, "the lists of this index have no tree to descend");
    return MPIVF_OK;
}

static int run_prepare(const ivf_ctx *ctx, search_run *run, const float *queries, int64_t nq,
                       const ivf_search_params *params)
{
    const ivf_model *model = run->searcher->model;
    run->params = params;
    run->width = run_width(params);
    run->limit = params->limited ? ivf_metric_limit(model->metric, params->max_distance) : INFINITY;
    int rc = check_params(run->searcher, params);
    if (rc == MPIVF_OK)
        rc = choose_batch(run->searcher, nq, params, &run->batch);
    if (rc == MPIVF_OK)
        rc = ivf_queries_open(queries, params->first, nq, model->d_in, model->metric, &run->queries);
    run->whole.x = run->queries.x;
    if (rc == MPIVF_OK && params->rerank > 0 && model->rotation != NULL)
        rc = ivf_queries_open(queries, params->first, nq, model->d_in, model->metric, &run->whole);
    if (rc == MPIVF_OK && model->rotation != NULL)
        rc = ivf_queries_rotate(&run->queries, nq, model);
    if (rc == MPIVF_OK)
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

/* Collective. The candidates of a batch to its neighbours. */
static int rerank_batch(const ivf_ctx *ctx, const search_run *run, int64_t first, int64_t nq, ivf_neighbor *out)
{
    const ivf_model *model = run->searcher->model;
    const ivf_rerank job = {.vectors = run->searcher->vectors,
                            .metric = model->metric,
                            .queries = run->whole.x + first * model->d_in,
                            .nq = nq,
                            .d = model->d_in,
                            .width = run->width,
                            .k = run->params->k,
                            .limit = run->limit,
                            .piece = run->searcher->piece_bytes};
    return ivf_rerank_run(ctx, &job, run->found, out);
}

/* Collective. Queries first .. first + nq - 1 into out[nq][k] on rank 0. What candidates are known by before they are
 * compared exactly is no distance for the limit. */
static int search_batch(const ivf_ctx *ctx, search_run *run, int64_t first, int64_t nq, ivf_neighbor *out)
{
    const ivf_model *model = run->searcher->model;
    const bool reranks = run->params->rerank > 0;
    ivf_neighbor *found = run->found != NULL ? run->found : out;
    ivf_scan scan = {.model = model,
                     .postings = &run->searcher->postings,
                     .queries = run->queries.x + first * model->d,
                     .probes = &run->probes,
                     .nq = nq,
                     .k = run->width,
                     .limit = reranks ? INFINITY : run->limit,
                     .order = run->params->order};
    int rc = ivf_probes_rank(ctx, &run->probes, run->searcher->centroids, scan.queries, nq, model->d);
    if (rc == MPIVF_OK)
        rc = ivf_scan_run(ctx, &scan, found, &run->counts);
    if (rc == MPIVF_OK)
        rc = ivf_neighbors_merge(ctx, found, nq, run->width);
    if (rc == MPIVF_OK && reranks)
        rc = rerank_batch(ctx, run, first, nq, out);
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
    search_run run = {.searcher = searcher};
    int rc = ivf_agree(ctx, run_prepare(ctx, &run, queries, nq, params));
    for (int64_t first = 0; rc == MPIVF_OK && first < nq; first += run.batch)
        rc = search_batch(ctx, &run, first, ivf_min_i64(run.batch, nq - first),
                          ivf_ctx_is_root(ctx) ? out + first * params->k : NULL);
    ivf_free(run.found);
    ivf_probes_free(&run.probes);
    ivf_queries_close(&run.whole);
    ivf_queries_close(&run.queries);
    if (rc == MPIVF_OK)
        fill_stats(ctx, &run.counts, started, stats);
    return rc;
}
