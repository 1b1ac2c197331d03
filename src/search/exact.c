/* Brute force over the input itself, for ground truth and for recall without a file of it.
 *
 * Ranks draw blocks of rows from tickets, one ahead, so that the next block is read (io/stream.h) while the present one
 * is compared; search/sieve.h does the comparing, some rows at a time. Each rank keeps k neighbours of every
 * query, which are merged in the end. The result is the k smallest (key, id) of all rows, so neither the size of the
 * blocks nor who drew them can show; blocks may therefore suit the number of ranks.
 *
 * Memory: queries packed and, for IVF_COSINE, copied (2 nq d 4 bytes), nq k 16 bytes of neighbours (twice while they
 * are merged), two blocks of at most 16 MiB or 256 rows. Collectives: agreements, tickets and progress (one-sided), one
 * merge, one sum. */
#include "search/exact.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "comm/progress.h"
#include "comm/tickets.h"
#include "comm/transfer.h"
#include "io/stream.h"
#include "math/distance.h"
#include "math/rows.h"
#include "search/merge.h"
#include "search/queries.h"
#include "search/sieve.h"

/* A chunk is what one thread checks and measures at a time. */
enum { CHUNK_ROWS = 256, BLOCK_CHUNKS = 16, BLOCK_BYTES = 16 << 20, BLOCKS_PER_RANK = 8 };

/* Multiply-adds of a thread between two looks at the progress: a few milliseconds. */
static const int64_t STEP_WORK = (int64_t)1 << 27;

typedef struct {
    ivf_dataset *dataset;
    ivf_ids *ids;
    ivf_metric metric;
    int d;
    int64_t rows; /* of the dataset */
    int64_t step; /* rows compared in one go */
    int64_t skipped;
    ivf_neighbor *found; /* [nq][k]; rank 0: the caller's */
    ivf_sieve *sieve;
    ivf_stream *stream;
    ivf_tickets *tickets;
    ivf_progress *progress;
    /* The present block. */
    int64_t block_rows; /* largest */
    ivf_stream_block block;
    uint64_t *block_ids; /* [block_rows] */
    float *norm;         /* [block_rows] */
    uint8_t *reason;     /* [block_rows] */
} exact_run;

/* Whole chunks; few enough rows that each rank gets several blocks and that a block stays below its bytes. */
static int64_t choose_block_rows(int ranks, int64_t rows, int d)
{
    int64_t chunks = rows / (CHUNK_ROWS * (int64_t)BLOCKS_PER_RANK * ranks);
    int64_t fitting = BLOCK_BYTES / (CHUNK_ROWS * (int64_t)sizeof(float) * d);
    return CHUNK_ROWS * ivf_max_i64(1, ivf_min_i64(BLOCK_CHUNKS, ivf_min_i64(chunks, fitting)));
}

static int64_t choose_step(int64_t nq, int d)
{
    return ivf_max_i64(CHUNK_ROWS, STEP_WORK * ivf_team_size() / d / nq);
}

static int run_prepare(const ivf_ctx *ctx, exact_run *run, const float *queries, int64_t nq, int k, ivf_neighbor *out)
{
    run->found = ivf_ctx_is_root(ctx) ? out : ivf_new(ivf_to_size(nq) * (size_t)k, sizeof *run->found);
    run->block_ids = ivf_new(ivf_to_size(run->block_rows), sizeof *run->block_ids);
    run->norm = ivf_new(ivf_to_size(run->block_rows), sizeof *run->norm);
    run->reason = ivf_new(ivf_to_size(run->block_rows), sizeof *run->reason);
    if (run->found == NULL || run->block_ids == NULL || run->norm == NULL || run->reason == NULL)
        return MPIVF_FAILED;
    run->sieve = ivf_sieve_new(run->metric, queries, nq, run->d, run->found, k);
    if (run->sieve == NULL)
        return MPIVF_FAILED;
    run->stream = ivf_stream_open(run->dataset, run->block_rows, 2);
    return run->stream == NULL ? MPIVF_FAILED : MPIVF_OK;
}

static void run_free(const ivf_ctx *ctx, exact_run *run)
{
    ivf_stream_close(run->stream);
    ivf_sieve_free(run->sieve);
    ivf_free(run->reason);
    ivf_free(run->norm);
    ivf_free(run->block_ids);
    if (!ivf_ctx_is_root(ctx))
        ivf_free(run->found);
}

static int check_chunk(void *arg, int64_t chunk, int worker)
{
    exact_run *run = arg;
    int64_t first = chunk * CHUNK_ROWS;
    int64_t n = ivf_min_i64(CHUNK_ROWS, run->block.n - first);
    (void)worker;
    (void)ivf_rows_check(run->block.x + first * run->d, n, run->d, run->metric, INFINITY, run->reason + first);
    return MPIVF_OK;
}

/* Closes the gaps that rows which cannot be indexed leave in the block. */
static void drop_bad_rows(exact_run *run)
{
    size_t row_bytes = (size_t)run->d * sizeof(float);
    int64_t kept = 0;
    for (int64_t i = 0; i < run->block.n; i++) {
        if (run->reason[i] != IVF_ROW_OK)
            continue;
        if (kept < i) {
            memcpy(run->block.x + kept * run->d, run->block.x + i * run->d, row_bytes);
            run->block_ids[kept] = run->block_ids[i];
        }
        kept++;
    }
    run->skipped += run->block.n - kept;
    run->block.n = kept;
}

static int measure_chunk(void *arg, int64_t chunk, int worker)
{
    exact_run *run = arg;
    int64_t first = chunk * CHUNK_ROWS;
    int64_t n = ivf_min_i64(CHUNK_ROWS, run->block.n - first);
    float *x = run->block.x + first * run->d;
    (void)worker;
    if (run->metric == IVF_COSINE)
        ivf_rows_normalise(x, n, run->d);
    for (int64_t i = 0; i < n; i++)
        run->norm[first + i] = ivf_dot(x + i * run->d, x + i * run->d, run->d);
    return MPIVF_OK;
}

static int prepare_block(exact_run *run)
{
    int rc = ivf_ids_read(run->ids, run->block.first, run->block.n, run->block_ids);
    if (rc == MPIVF_OK)
        rc = ivf_team_run(ivf_ceil_div(run->block.n, CHUNK_ROWS), check_chunk, run);
    if (rc != MPIVF_OK)
        return rc;
    drop_bad_rows(run);
    return ivf_team_run(ivf_ceil_div(run->block.n, CHUNK_ROWS), measure_chunk, run);
}

static int compare_block(exact_run *run)
{
    int64_t read = run->block.n;
    int rc = prepare_block(run);
    for (int64_t first = 0; rc == MPIVF_OK && first < run->block.n; first += run->step) {
        int64_t n = ivf_min_i64(run->step, run->block.n - first);
        rc = ivf_sieve_offer(run->sieve, run->block.x + first * run->d, run->norm + first, run->block_ids + first, n);
        ivf_progress_add(run->progress, n);
    }
    ivf_progress_add(run->progress, read - run->block.n);
    return rc;
}

/* Draws a ticket and has its rows read; *waiting counts the blocks on their way. */
static int draw_block(exact_run *run, int *waiting)
{
    int64_t ticket = ivf_tickets_draw(run->tickets);
    if (ticket < 0)
        return MPIVF_OK;
    int64_t first = ticket * run->block_rows;
    ++*waiting;
    return ivf_stream_push(run->stream, first, ivf_min_i64(run->block_rows, run->rows - first));
}

static int compare_all(exact_run *run)
{
    int waiting = 0;
    int rc = draw_block(run, &waiting);
    while (rc == MPIVF_OK && waiting > 0) {
        rc = draw_block(run, &waiting);
        if (rc == MPIVF_OK)
            rc = ivf_stream_next(run->stream, &run->block);
        if (rc == MPIVF_OK)
            rc = compare_block(run);
        waiting--;
    }
    if (rc != MPIVF_OK)
        ivf_tickets_withdraw(run->tickets);
    return rc;
}

/* Collective. All blocks compared by somebody, or the failure of the lowest rank that had one. Who is done first waits
 * in the progress, where rank 0 goes on reporting. */
static int run_all(const ivf_ctx *ctx, exact_run *run)
{
    int rc = MPIVF_FAILED;
    run->tickets = ivf_tickets_open(ctx, ivf_ceil_div(run->rows, run->block_rows));
    if (run->tickets != NULL)
        run->progress = ivf_progress_open(ctx, "exact", "rows", run->rows);
    if (run->progress != NULL)
        rc = compare_all(run);
    ivf_progress_close(ctx, run->progress);
    ivf_tickets_close(ctx, run->tickets);
    return ivf_agree(ctx, rc);
}

int ivf_exact(const ivf_ctx *ctx, ivf_dataset *dataset, ivf_ids *ids, ivf_metric metric, const float *queries,
              int64_t nq, int k, ivf_neighbor *out, int64_t *skipped)
{
    *skipped = 0;
    if (nq == 0)
        return MPIVF_OK;
    exact_run run = {.dataset = dataset,
                     .ids = ids,
                     .metric = metric,
                     .d = ivf_dataset_d(dataset),
                     .rows = ivf_dataset_rows(dataset)};
    ivf_queries prepared = {0};
    run.step = choose_step(nq, run.d);
    run.block_rows = choose_block_rows(ivf_ctx_size(ctx), run.rows, run.d);
    int rc = ivf_queries_open(queries, 0, nq, run.d, metric, &prepared);
    if (rc == MPIVF_OK)
        rc = run_prepare(ctx, &run, prepared.x, nq, k, out);
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK)
        rc = run_all(ctx, &run);
    if (rc == MPIVF_OK) {
        ivf_sieve_finish(run.sieve);
        rc = ivf_neighbors_merge(ctx, run.found, nq, k);
    }
    if (rc == MPIVF_OK) {
        ivf_allsum_i64(ctx, &run.skipped, 1);
        *skipped = run.skipped;
    }
    run_free(ctx, &run);
    ivf_queries_close(&prepared);
    return rc;
}

int64_t ivf_exact_memory(int ranks, const ivf_dataset *dataset, ivf_metric metric, int64_t nq, int k)
{
    const int d = ivf_dataset_d(dataset);
    const int64_t block = choose_block_rows(ranks, ivf_dataset_rows(dataset), d);
    const int64_t of_row = (int64_t)(sizeof(uint64_t) + sizeof(float) + sizeof(uint8_t));
    const int64_t copied = metric == IVF_COSINE ? nq * d * (int64_t)sizeof(float) : 0;
    const int64_t found = ranks > 1 ? 2 * nq * k * (int64_t)sizeof(ivf_neighbor) : 0;
    return copied + found + ivf_sieve_memory(nq, d) + block * of_row + ivf_stream_memory(block, 2, d) +
           ivf_dataset_read_memory(dataset) + ivf_dataset_caches_of(dataset).usual;
}
