/* Scanning of lists, for the searcher: one task a query; where the queries are too few for the threads, the probes of a
 * query are dealt out to several tasks, each with a heap of its own, merged in the end. The k smallest (key, id) of a
 * set do not depend on how it was cut.
 *
 * What the codec prepares depends on the list only for L2 and residual codes: |q - (c + r)|^2 = |(q - c) - r|^2 wants a
 * table for q - c. For inner products <q, c + r> = <q, c> + <q, r>: one table a query, and the list's part is the score
 * that ranked it. */
#include "search/scan.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "math/rows.h"

enum { BLOCK_POSTINGS = 1024, TASKS_PER_WORKER = 4 };

/* A worker's scratch. */
typedef struct {
    void *table;     /* of the codec */
    float *residual; /* [d]: query minus centroid */
    float *keys;     /* [BLOCK_POSTINGS] */
    int64_t scanned;
} scan_worker;

typedef struct {
    const ivf_scan *scan;
    bool residual;       /* codes are relative to their centroid */
    bool table_per_list; /* else one a query */
    int parts;           /* tasks of a query: part p has probes p, p + parts, ... */
    ivf_neighbor *found; /* [nq][parts][k] */
    scan_worker *workers;
    ivf_neighbor *merge_scratch; /* [k] */
} scan_run;

static void prepare_for_list(const scan_run *run, const scan_worker *worker, const float *query, int32_t list)
{
    const ivf_model *model = run->scan->model;
    ivf_rows_residual(query, 1, model->d, ivf_model_centroids(model), &list, worker->residual);
    ivf_codec_prepare(model->codec, model->metric, worker->residual, worker->table);
}

static void scan_segment(const scan_run *run, scan_worker *worker, const ivf_segment *segment, float list_key,
                         ivf_topk *top)
{
    const ivf_model *model = run->scan->model;
    size_t code_size = ivf_codec_code_size(model->codec);
    for (int64_t first = 0; first < segment->n; first += BLOCK_POSTINGS) {
        int64_t n = ivf_min_i64(BLOCK_POSTINGS, segment->n - first);
        ivf_codec_scan(model->codec, model->metric, worker->table, segment->codes + (size_t)first * code_size, n,
                       worker->keys);
        if (run->residual && !run->table_per_list)
            for (int64_t i = 0; i < n; i++)
                worker->keys[i] += list_key;
        ivf_topk_offer(top, worker->keys, segment->ids + first, n);
    }
    worker->scanned += segment->n;
}

static void scan_list(const scan_run *run, scan_worker *worker, int64_t query, int64_t probe, ivf_topk *top)
{
    const ivf_scan *s = run->scan;
    int32_t list = s->probes->list[query * s->probes->nprobe + probe];
    float list_key = -s->probes->score[query * s->probes->nprobe + probe];
    int64_t first = s->postings->first[list];
    int64_t end = s->postings->first[list + 1];
    if (first < end && run->table_per_list)
        prepare_for_list(run, worker, s->queries + query * s->model->d, list);
    for (int64_t i = first; i < end; i++)
        scan_segment(run, worker, &s->postings->segments[i], list_key, top);
}

static int scan_part(void *arg, int64_t task, int worker)
{
    const scan_run *run = arg;
    const ivf_scan *s = run->scan;
    scan_worker *mine = &run->workers[worker];
    int64_t query = task / run->parts;
    ivf_topk top = ivf_topk_start(run->found + task * s->k, s->k);
    if (!run->table_per_list)
        ivf_codec_prepare(s->model->codec, s->model->metric, s->queries + query * s->model->d, mine->table);
    for (int64_t probe = task % run->parts; probe < s->probes->nprobe; probe += run->parts)
        scan_list(run, mine, query, probe, &top);
    ivf_topk_finish(&top);
    return MPIVF_OK;
}

static void merge_parts(const scan_run *run, ivf_neighbor *out)
{
    int k = run->scan->k;
    for (int64_t q = 0; q < run->scan->nq; q++) {
        const ivf_neighbor *parts = run->found + q * run->parts * k;
        ivf_neighbor *row = out + q * k;
        for (int i = 0; i < k; i++)
            row[i] = parts[i];
        for (int p = 1; p < run->parts; p++)
            ivf_topk_merge(row, parts + (int64_t)p * k, 1, k, run->merge_scratch);
    }
}

static void workers_free(scan_run *run)
{
    for (int w = 0; run->workers != NULL && w < ivf_team_size(); w++) {
        ivf_free(run->workers[w].table);
        ivf_free(run->workers[w].residual);
        ivf_free(run->workers[w].keys);
    }
    ivf_free(run->workers);
}

static int workers_new(scan_run *run)
{
    const ivf_model *model = run->scan->model;
    run->workers = ivf_new_zero((size_t)ivf_team_size(), sizeof *run->workers);
    for (int w = 0; run->workers != NULL && w < ivf_team_size(); w++) {
        scan_worker *worker = &run->workers[w];
        worker->table = ivf_new(ivf_codec_table_size(model->codec), 1);
        worker->residual = ivf_new((size_t)model->d, sizeof *worker->residual);
        worker->keys = ivf_new(BLOCK_POSTINGS, sizeof *worker->keys);
        if (worker->table == NULL || worker->residual == NULL || worker->keys == NULL)
            return MPIVF_FAILED;
    }
    return run->workers == NULL ? MPIVF_FAILED : MPIVF_OK;
}

/* Parts of a query, so that every worker has a few tasks. */
static int choose_parts(const ivf_scan *scan)
{
    int64_t tasks = (int64_t)TASKS_PER_WORKER * ivf_team_size();
    if (ivf_team_size() == 1 || scan->nq >= tasks)
        return 1;
    return (int)ivf_min_i64(scan->probes->nprobe, ivf_ceil_div(tasks, scan->nq));
}

int ivf_scan_run(const ivf_scan *scan, ivf_neighbor *out, int64_t *scanned)
{
    if (scan->nq == 0)
        return MPIVF_OK;
    scan_run run = {.scan = scan, .residual = ivf_codec_is_residual(scan->model->codec), .parts = choose_parts(scan)};
    run.table_per_list = run.residual && scan->model->metric == IVF_L2;
    size_t rows = ivf_to_size(scan->nq * run.parts);
    run.found = run.parts == 1 ? out : ivf_new(rows, (size_t)scan->k * sizeof *out);
    run.merge_scratch = ivf_new((size_t)scan->k, sizeof *run.merge_scratch);
    int rc = run.found == NULL || run.merge_scratch == NULL ? MPIVF_FAILED : workers_new(&run);
    if (rc == MPIVF_OK)
        rc = ivf_team_run(scan->nq * run.parts, scan_part, &run);
    for (int w = 0; rc == MPIVF_OK && w < ivf_team_size(); w++)
        *scanned += run.workers[w].scanned;
    if (run.parts > 1) {
        if (rc == MPIVF_OK)
            merge_parts(&run, out);
        ivf_free(run.found);
    }
    workers_free(&run);
    ivf_free(run.merge_scratch);
    return rc;
}
