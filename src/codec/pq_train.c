/* Training of the product quantizer: one k-means (codebook.h) for each sub-vector. One sub-vector for each thread, or
 * one after the other with all threads in its k-means when there are fewer sub-vectors than threads. Real data have
 * sub-vectors with few distinct values (dimensions that are always 0); codewords left over repeat another one and, ties
 * going to the lowest number, are never used.
 *
 * Where several ranks hold the rows, sub-vector i belongs to rank i mod size: an all-to-all brings each rank its
 * sub-vectors of all rows, once, in rounds of bounded size, then k-means needs no communication, and an all-gather
 * brings every rank all codebooks. Rows lie in the order of their places, so that k-means sees the same rows in the
 * same order for any number of ranks. Memory and bytes are in codec.h. */
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "base/team.h"
#include "codec/codebook.h"
#include "codec/pq.h"
#include "comm/exchange.h"

enum { ROUND_BYTES = 16 << 20 }; /* that a rank sends in a round, unless one block has more */

/* The sub-vectors that one rank trains: first, first + step, ... */
typedef struct {
    const ivf_codec *codec;
    const ivf_codec_training *training;
    const float *x;      /* [n][d]; or NULL: */
    const float *slices; /* [count][n][dsub] */
    int64_t n;
    int first;
    int step;
    bool in_tasks; /* a sub-vector to each thread; else the team for each */
} train_job;

static int64_t count_of(int m, int first, int step)
{
    return first < m ? ivf_ceil_div(m - first, step) : 0;
}

static float *gather_slice(const train_job *job, int sub)
{
    const size_t d = (size_t)job->codec->d;
    const size_t dsub = d / (size_t)job->codec->spec.m;
    float *slice = ivf_new((size_t)job->n * dsub, sizeof *slice);
    for (size_t row = 0; slice != NULL && row < (size_t)job->n; row++)
        memcpy(slice + row * dsub, job->x + row * d + (size_t)sub * dsub, dsub * sizeof *slice);
    return slice;
}

static int train_words(const train_job *job, int sub, const float *slice)
{
    const ivf_pq_state *s = job->codec->state;
    const ivf_codebook_params params = {
        .in_task = job->in_tasks,
        .words = s->words,
        .dsub = s->dsub,
        .iterations = job->training->iterations,
        .seed = ivf_rng_bits(job->training->seed, IVF_RNG_PQ, (uint64_t)sub),
        .exact = job->training->exact,
    };
    return ivf_codebook_train(&params, slice, job->n, s->codebooks + (size_t)sub * (size_t)s->words * (size_t)s->dsub);
}

static int train_slice(void *arg, int64_t number, int worker)
{
    (void)worker;
    const train_job *job = arg;
    const int sub = job->first + (int)number * job->step;
    if (job->x == NULL)
        return train_words(
            job, sub, job->slices + (size_t)number * (size_t)job->n * (size_t)(job->codec->d / job->codec->spec.m));
    float *slice = gather_slice(job, sub);
    int rc = slice == NULL ? MPIVF_FAILED : train_words(job, sub, slice);
    ivf_free(slice);
    return rc;
}

static int train_slices(train_job *job)
{
    const int64_t count = count_of(job->codec->spec.m, job->first, job->step);
    job->in_tasks = count >= ivf_team_size();
    if (job->in_tasks)
        return ivf_team_run_stoppable(count, train_slice, job);
    int rc = MPIVF_OK;
    for (int64_t i = 0; i < count && rc == MPIVF_OK; i++)
        rc = train_slice(job, i, 0);
    return rc;
}

int ivf_pq_train(ivf_codec *codec, const float *x, int64_t n, const ivf_codec_training *training)
{
    train_job job = {.codec = codec, .training = training, .x = x, .n = n, .first = 0, .step = 1};
    return train_slices(&job);
}

/* Rows on their way to the ranks that train their sub-vectors. */
typedef struct {
    const ivf_ctx *ctx;
    const ivf_codec *codec;
    const ivf_share *share;
    const float *x;   /* this rank's rows */
    float *slices;    /* [this rank's sub-vectors][share->total][dsub] */
    char *out;        /* this rank's part of a round, rank after rank, sub-vector after sub-vector, row after row */
    int64_t *offsets; /* [ranks + 1] of out */
    int64_t places;   /* of a round */
} deal;

static size_t dsub_of(const deal *t)
{
    return (size_t)(t->codec->d / t->codec->spec.m);
}

static int64_t subs_of(const deal *t, int rank)
{
    return rank >= 0 && rank < t->share->size ? count_of(t->codec->spec.m, rank, t->share->size) : 0;
}

static int make_deal(deal *t)
{
    const int64_t block_bytes = (int64_t)IVF_SHARE_BLOCK * t->codec->d * (int64_t)sizeof(float);
    const int64_t blocks = ivf_max_i64(1, ROUND_BYTES / block_bytes);
    const int64_t most = ivf_min_i64(blocks * IVF_SHARE_BLOCK, ivf_share_count(t->share));
    t->places = blocks * IVF_SHARE_BLOCK * t->share->size;
    t->offsets = ivf_new((size_t)ivf_ctx_size(t->ctx) + 1, sizeof *t->offsets);
    t->out = ivf_new((size_t)most * (size_t)t->codec->d, sizeof(float));
    t->slices = ivf_new((size_t)subs_of(t, t->share->rank) * (size_t)t->share->total * dsub_of(t), sizeof(float));
    return t->offsets == NULL || t->out == NULL || t->slices == NULL ? MPIVF_FAILED : MPIVF_OK;
}

static void drop_deal(deal *t)
{
    ivf_free(t->offsets);
    ivf_free(t->out);
    ivf_free(t->slices);
}

/* Rows [first, end) of this rank into out. */
static void pack(const deal *t, int64_t first, int64_t end)
{
    const size_t d = (size_t)t->codec->d;
    const size_t bytes = dsub_of(t) * sizeof(float);
    char *out = t->out;
    t->offsets[0] = 0;
    for (int rank = 0; rank < ivf_ctx_size(t->ctx); rank++) {
        for (int64_t i = 0; i < subs_of(t, rank); i++) {
            const size_t sub = (size_t)rank + (size_t)i * (size_t)t->share->size;
            for (int64_t row = first; row < end; row++, out += bytes)
                memcpy(out, t->x + (size_t)row * d + sub * dsub_of(t), bytes);
        }
        t->offsets[rank + 1] = out - t->out;
    }
}

/* Rows [first, end) of `from`, one sub-vector of them, to their places. Returns what follows them. */
static const uint8_t *place_rows(const deal *t, const ivf_share *from, int64_t first, int64_t end, const uint8_t *in,
                                 float *slice)
{
    for (int64_t row = first; row < end;) {
        const int64_t run = ivf_min_i64(end, (row / IVF_SHARE_BLOCK + 1) * IVF_SHARE_BLOCK) - row;
        const size_t bytes = (size_t)run * dsub_of(t) * sizeof(float);
        memcpy(slice + (size_t)ivf_share_place(from, row) * dsub_of(t), in, bytes);
        in += bytes;
        row += run;
    }
    return in;
}

static void unpack(const deal *t, int64_t begin, int64_t end, const ivf_gathered *in)
{
    ivf_share from = *t->share;
    for (from.rank = 0; from.rank < from.size; from.rank++) {
        const uint8_t *data = in->data + in->offsets[from.rank];
        for (int64_t i = 0; i < subs_of(t, t->share->rank); i++)
            data = place_rows(t, &from, ivf_share_prefix(&from, begin), ivf_share_prefix(&from, end), data,
                              t->slices + (size_t)i * (size_t)t->share->total * dsub_of(t));
    }
}

static int deal_out(const deal *t)
{
    int rc = MPIVF_OK;
    for (int64_t begin = 0; begin < t->share->total && rc == MPIVF_OK; begin += t->places) {
        ivf_gathered in;
        const int64_t end = ivf_min_i64(begin + t->places, t->share->total);
        pack(t, ivf_share_prefix(t->share, begin), ivf_share_prefix(t->share, end));
        rc = ivf_exchange(t->ctx, t->out, t->offsets, &in);
        if (rc == MPIVF_OK)
            unpack(t, begin, end, &in);
        ivf_gathered_free(&in);
    }
    return rc;
}

/* Moves the codebooks between their order in the codec and one by rank, as they are gathered. */
static void order_books(const deal *t, char *by_rank, bool back)
{
    const ivf_pq_state *s = t->codec->state;
    const size_t book = (size_t)s->words * (size_t)s->dsub * sizeof(float);
    for (int rank = 0; rank < t->share->size; rank++)
        for (int64_t i = 0; i < subs_of(t, rank); i++, by_rank += book) {
            char *own = (char *)s->codebooks + ((size_t)rank + (size_t)i * (size_t)t->share->size) * book;
            memcpy(back ? own : by_rank, back ? by_rank : own, book);
        }
}

static int gather_books(const deal *t)
{
    const ivf_pq_state *s = t->codec->state;
    const int64_t book = (int64_t)s->words * s->dsub * (int64_t)sizeof(float);
    char *by_rank = ivf_new((size_t)t->codec->spec.m, ivf_to_size(book));
    int rc = ivf_agree(t->ctx, by_rank == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc == MPIVF_OK && by_rank != NULL) {
        t->offsets[0] = 0;
        for (int rank = 0; rank < ivf_ctx_size(t->ctx); rank++)
            t->offsets[rank + 1] = t->offsets[rank] + subs_of(t, rank) * book;
        order_books(t, by_rank, false);
        rc = ivf_allgather_bytes(t->ctx, by_rank, t->offsets);
    }
    if (rc == MPIVF_OK && by_rank != NULL)
        order_books(t, by_rank, true);
    ivf_free(by_rank);
    return rc;
}

int ivf_pq_train_dealt(const ivf_ctx *ctx, ivf_codec *codec, const float *x, const ivf_share *share,
                       const ivf_codec_training *training)
{
    deal t = {.ctx = ctx, .codec = codec, .share = share, .x = x};
    int rc = ivf_agree(ctx, make_deal(&t));
    if (rc == MPIVF_OK)
        rc = deal_out(&t);
    if (rc == MPIVF_OK) {
        train_job job = {.codec = codec,
                         .training = training,
                         .slices = t.slices,
                         .n = share->total,
                         .first = share->rank < 0 ? codec->spec.m : share->rank,
                         .step = share->size};
        rc = ivf_agree(ctx, train_slices(&job));
    }
    if (rc == MPIVF_OK)
        rc = gather_books(&t);
    drop_deal(&t);
    return rc;
}
