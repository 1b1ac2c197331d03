/* A ring of blocks between one reader thread and one caller. The reader fills blocks in the order in which ranges were
 * pushed; the caller takes them in that order. Memory: depth blocks, plus the reader's scratch piece. */
#include "io/stream.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/pulse.h"
#include "base/stop.h"

typedef struct {
    int64_t first;
    int64_t n;
} range;

struct ivf_stream {
    ivf_dataset *dataset; /* borrowed */
    int64_t block_rows;
    int depth;
    ivf_stream_block *blocks; /* [depth], x owned */
    pthread_t reader;
    pthread_mutex_t lock; /* guards all below */
    pthread_cond_t changed;
    range *ranges; /* [capacity], a ring; owned */
    int64_t capacity, head, waiting;
    int64_t filled; /* blocks that the reader has finished, and the caller has taken and given back, so far */
    int64_t taken;
    int64_t given;
    bool reading; /* a block is being filled */
    bool closing;
    bool ended; /* the reader is about to */
    ivf_stream_times times;
    ivf_error failure; /* of the reader, which has ended then */
};

/* Under the lock. Takes the next block's rows off the first waiting range. */
static void claim(ivf_stream *s, ivf_stream_block *block)
{
    range *first = &s->ranges[s->head];
    block->first = first->first;
    block->n = ivf_min_i64(first->n, s->block_rows);
    block->last_of_range = block->n == first->n;
    first->first += block->n;
    first->n -= block->n;
    if (first->n == 0) {
        s->head = (s->head + 1) % s->capacity;
        s->waiting--;
    }
}

static void *read_blocks(void *arg)
{
    ivf_stream *s = arg;
    (void)pthread_mutex_lock(&s->lock);
    while (!s->closing && s->failure.code == MPIVF_OK) {
        if (s->waiting == 0 || s->filled - s->given == s->depth) {
            (void)pthread_cond_wait(&s->changed, &s->lock);
            continue;
        }
        ivf_stream_block *block = &s->blocks[s->filled % s->depth];
        claim(s, block);
        s->reading = true;
        (void)pthread_mutex_unlock(&s->lock);
        double started = ivf_clock();
        int rc = ivf_dataset_read(s->dataset, block->first, block->n, block->x);
        double ended = ivf_clock();
        (void)pthread_mutex_lock(&s->lock);
        s->times.reading += ended - started;
        s->reading = false;
        if (rc == MPIVF_OK)
            s->filled++;
        else
            s->failure = *ivf_error_last();
        (void)pthread_cond_broadcast(&s->changed);
    }
    s->ended = true;
    (void)pthread_cond_broadcast(&s->changed);
    (void)pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* Signals are the main thread's business. */
static int start_reader(ivf_stream *s)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    int error = ivf_fault("reader-thread") ? EAGAIN : pthread_create(&s->reader, NULL, read_blocks, s);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error == 0 ? MPIVF_OK : ivf_fail_errno(error, "a thread that reads ahead cannot be started");
}

static void release(ivf_stream *s)
{
    for (int i = 0; s->blocks != NULL && i < s->depth; i++)
        ivf_free(s->blocks[i].x);
    (void)pthread_cond_destroy(&s->changed);
    (void)pthread_mutex_destroy(&s->lock);
    ivf_free(s->blocks);
    ivf_free(s->ranges);
    ivf_free(s);
}

static int reserve(ivf_stream *s)
{
    s->blocks = ivf_new_zero((size_t)s->depth, sizeof *s->blocks);
    for (int i = 0; s->blocks != NULL && i < s->depth; i++) {
        s->blocks[i].x = ivf_new(ivf_to_size(s->block_rows), (size_t)ivf_dataset_d(s->dataset) * sizeof(float));
        if (s->blocks[i].x == NULL)
            return MPIVF_FAILED;
    }
    return s->blocks == NULL ? MPIVF_FAILED : MPIVF_OK;
}

ivf_stream *ivf_stream_open(ivf_dataset *dataset, int64_t block_rows, int depth)
{
    if (block_rows < 1 || depth < 2) {
        (void)ivf_fail(MPIVF_FAILED, "a stream of %d blocks of %" PRId64 " rows: it takes 2 of 1 at least", depth,
                       block_rows);
        return NULL;
    }
    ivf_stream *s = ivf_new_zero(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->dataset = dataset;
    s->block_rows = block_rows;
    s->depth = depth;
    (void)pthread_mutex_init(&s->lock, NULL);
    ivf_pulse_cond(&s->changed);
    if (reserve(s) == MPIVF_OK && start_reader(s) == MPIVF_OK)
        return s;
    release(s);
    return NULL;
}

int64_t ivf_stream_memory(int64_t block_rows, int depth, int d)
{
    return depth * block_rows * d * (int64_t)sizeof(float);
}

/* Under the lock. */
static int grow_ranges(ivf_stream *s)
{
    int64_t capacity = s->capacity == 0 ? 16 : 2 * s->capacity;
    range *grown = ivf_new((size_t)capacity, sizeof *grown);
    if (grown == NULL)
        return MPIVF_FAILED;
    for (int64_t i = 0; i < s->waiting; i++)
        grown[i] = s->ranges[(s->head + i) % s->capacity];
    ivf_free(s->ranges);
    s->ranges = grown;
    s->capacity = capacity;
    s->head = 0;
    return MPIVF_OK;
}

int ivf_stream_push(ivf_stream *stream, int64_t first, int64_t n)
{
    const int64_t rows = ivf_dataset_rows(stream->dataset);
    if (first < 0 || n < 0 || first > rows || n > rows - first)
        return ivf_fail(MPIVF_FAILED, "%" PRId64 " rows from %" PRId64 " were asked of an input of %" PRId64, n, first,
                        rows);
    if (n == 0)
        return MPIVF_OK;
    (void)pthread_mutex_lock(&stream->lock);
    int rc = ivf_fault("queue-of-rows") ? MPIVF_FAILED : MPIVF_OK;
    if (rc == MPIVF_OK && stream->waiting == stream->capacity)
        rc = grow_ranges(stream);
    if (rc == MPIVF_OK) {
        stream->ranges[(stream->head + stream->waiting) % stream->capacity] = (range){first, n};
        stream->waiting++;
        (void)pthread_cond_broadcast(&stream->changed);
    }
    (void)pthread_mutex_unlock(&stream->lock);
    return rc;
}

/* Under the lock. Blocks that were filled before a failure come first. */
static int take(ivf_stream *s, ivf_stream_block *block)
{
    while (s->taken == s->filled) {
        if (s->failure.code != MPIVF_OK) {
            ivf_error_set(&s->failure);
            return s->failure.code;
        }
        if (s->waiting == 0 && !s->reading)
            return ivf_fail(MPIVF_FAILED, "a block was asked of a stream that no range waits for");
        int rc = ivf_stop_check();
        if (rc != MPIVF_OK)
            return rc;
        ivf_pulse_wait(&s->changed, &s->lock);
    }
    *block = s->blocks[s->taken % s->depth];
    s->taken++;
    return MPIVF_OK;
}

int ivf_stream_next(ivf_stream *stream, ivf_stream_block *block)
{
    (void)pthread_mutex_lock(&stream->lock);
    stream->given = stream->taken;
    (void)pthread_cond_broadcast(&stream->changed);
    double started = ivf_clock();
    int rc = take(stream, block);
    stream->times.waiting += ivf_clock() - started;
    (void)pthread_mutex_unlock(&stream->lock);
    return rc;
}

ivf_stream_times ivf_stream_took(ivf_stream *stream)
{
    (void)pthread_mutex_lock(&stream->lock);
    ivf_stream_times times = stream->times;
    (void)pthread_mutex_unlock(&stream->lock);
    return times;
}

void ivf_stream_close(ivf_stream *stream)
{
    if (stream == NULL)
        return;
    (void)pthread_mutex_lock(&stream->lock);
    stream->closing = true;
    (void)pthread_cond_broadcast(&stream->changed);
    while (!stream->ended)
        ivf_pulse_wait(&stream->changed, &stream->lock);
    (void)pthread_mutex_unlock(&stream->lock);
    (void)pthread_join(stream->reader, NULL);
    release(stream);
}
