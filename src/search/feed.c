/* Batches of queries on their way to all ranks, for the search command and the library.
 *
 * While a batch is searched for, the next one is broadcast (comm/ahead.h) and the one after it is read by a thread of
 * rank 0 (io/stream.h). So a search waits for neither, unless reading takes longer than searching, and no rank holds
 * more than two batches of a file of any size. Collectives: two agreements for each batch, beside the search's own. */
#include "search/feed.h"

#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "comm/ahead.h"
#include "comm/transfer.h"
#include "io/stream.h"

enum { BATCH_BYTES = 8 << 20, BATCH_STEP = 32, BATCH_MOST = 1 << 14, BATCHES = 2 };

typedef struct {
    const ivf_feed *feed;
    int d;
    int64_t batch;         /* queries */
    float *rooms[BATCHES]; /* [batch][d] each, owned */
    ivf_stream *stream;    /* of rank 0, where it reads */
    ivf_ahead *ahead;
} feed_run;

static int64_t choose_batch(int d)
{
    int64_t fitting = BATCH_BYTES / ((int64_t)sizeof(float) * d) / BATCH_STEP * BATCH_STEP;
    return ivf_max_i64(BATCH_STEP, ivf_min_i64(BATCH_MOST, fitting));
}

int64_t ivf_feed_batch(int64_t count, int d)
{
    return ivf_min_i64(count, choose_batch(d));
}

int64_t ivf_feed_memory(int64_t count, int d)
{
    const int64_t batch = ivf_feed_batch(count, d);
    const int64_t rooms = count > batch ? BATCHES : 1; /* what is not used takes nothing */
    return 2 * rooms * batch * d * (int64_t)sizeof(float);
}

/* Local. */
static int prepare(const ivf_ctx *ctx, feed_run *run)
{
    for (int i = 0; i < BATCHES; i++) {
        run->rooms[i] = ivf_new(ivf_to_size(run->batch) * (size_t)run->d, sizeof(float));
        if (run->rooms[i] == NULL)
            return MPIVF_FAILED;
    }
    if (run->feed->dataset == NULL || !ivf_ctx_is_root(ctx))
        return MPIVF_OK;
    run->stream = ivf_stream_open(run->feed->dataset, run->batch, 2);
    return run->stream == NULL ? MPIVF_FAILED : ivf_stream_push(run->stream, 0, run->feed->count);
}

static void release(const ivf_ctx *ctx, feed_run *run)
{
    ivf_ahead_close(ctx, run->ahead);
    ivf_stream_close(run->stream);
    for (int i = 0; i < BATCHES; i++)
        ivf_free(run->rooms[i]);
}

static int64_t size_of(const feed_run *run, int64_t first)
{
    return ivf_max_i64(0, ivf_min_i64(run->batch, run->feed->count - first));
}

static float *room_of(const feed_run *run, int64_t first)
{
    return run->rooms[first / run->batch % BATCHES];
}

/* Rank 0: the queries from `first` on into their room. */
static int fetch(const feed_run *run, int64_t first)
{
    size_t bytes = ivf_to_size(size_of(run, first)) * (size_t)run->d * sizeof(float);
    ivf_stream_block block = {0};
    if (bytes == 0)
        return MPIVF_OK;
    if (run->stream == NULL) {
        memcpy(room_of(run, first), run->feed->array + first * run->d, bytes);
        return MPIVF_OK;
    }
    int rc = ivf_stream_next(run->stream, &block);
    if (rc == MPIVF_OK)
        memcpy(room_of(run, first), block.x, bytes);
    return rc;
}

/* Collective. The batch from `first` on, if there is one, is on its way. */
static int send_ahead(const ivf_ctx *ctx, feed_run *run, int64_t first)
{
    int rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? fetch(run, first) : MPIVF_OK);
    if (rc == MPIVF_OK)
        ivf_ahead_bcast(ctx, run->ahead, room_of(run, first),
                        ivf_to_size(size_of(run, first)) * (size_t)run->d * sizeof(float));
    return rc;
}

static int search_all(const ivf_ctx *ctx, feed_run *run, ivf_searcher *searcher, ivf_search_params params,
                      ivf_neighbor *out, ivf_search_stats *sum)
{
    const int64_t number = params.first;
    int rc = send_ahead(ctx, run, 0);
    for (int64_t first = 0; rc == MPIVF_OK && first < run->feed->count; first += run->batch) {
        ivf_search_stats stats;
        ivf_ahead_wait(ctx, run->ahead);
        rc = send_ahead(ctx, run, first + run->batch);
        params.first = number + first;
        if (rc == MPIVF_OK)
            rc = ivf_search(ctx, searcher, room_of(run, first), size_of(run, first), &params,
                            ivf_ctx_is_root(ctx) ? out + first * params.k : NULL, &stats);
        if (rc != MPIVF_OK)
            break;
        sum->postings_scanned += stats.postings_scanned;
        sum->bytes_read += stats.bytes_read;
    }
    return rc;
}

static int search_streamed(const ivf_ctx *ctx, ivf_searcher *searcher, const ivf_feed *feed,
                           const ivf_search_params *params, ivf_neighbor *out, ivf_search_stats *stats)
{
    const double started = ivf_clock();
    feed_run run = {.feed = feed, .d = ivf_searcher_manifest(searcher)->d};
    *stats = (ivf_search_stats){0};
    run.batch = choose_batch(run.d);
    int rc = ivf_agree(ctx, prepare(ctx, &run));
    if (rc == MPIVF_OK)
        rc = ivf_ahead_open(ctx, &run.ahead);
    if (rc == MPIVF_OK)
        rc = search_all(ctx, &run, searcher, *params, out, stats);
    release(ctx, &run);
    if (rc != MPIVF_OK)
        return rc;
    int64_t nanoseconds = (int64_t)((ivf_clock() - started) * 1e9);
    ivf_allmax_i64(ctx, &nanoseconds, 1);
    stats->seconds = (double)nanoseconds * 1e-9;
    return MPIVF_OK;
}

int ivf_search_feed(const ivf_ctx *ctx, ivf_searcher *searcher, const ivf_feed *feed, const ivf_search_params *params,
                    ivf_neighbor *out, ivf_search_stats *stats)
{
    if (ivf_ctx_size(ctx) == 1 && feed->dataset == NULL)
        return ivf_search(ctx, searcher, feed->array, feed->count, params, out, stats);
    return search_streamed(ctx, searcher, feed, params, out, stats);
}
