/* Training of the product quantizer: one k-means (codebook.h) for each sub-vector. One sub-vector for each thread, or
 * one after the other with all threads in its k-means when there are fewer sub-vectors than threads. Real data have
 * sub-vectors with few distinct values (dimensions that are always 0); codewords left over repeat another one and, ties
 * going to the lowest number, are never used.
 *
 * Where several ranks hold the rows, sub-vector i belongs to rank i mod size: an all-to-all brings each rank its
 * sub-vectors of all rows, once, in rounds of bounded size, then k-means needs no communication, and an all-gather
 * brings every rank all codebooks. Rows lie in the order of their places, so that k-means sees the same rows in the
 * same order for any number of ranks. Memory and bytes are in codec.h.
 *
 * With a keeper the codebooks are kept one by one, as "pq-0" and on, each by the rank that trained it; rank 0 reads
 * those that are there, and the ranks share what is left. */
#include <stdatomic.h>
#include <stdio.h>
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

/* Sub-vectors without a codebook. */
typedef struct {
    int count;
    int *subs; /* [m], owned: the first `count`, ascending */
} todo;

enum { UNTRAINED, TRAINED, KEPT };

/* Those of `left` that one rank trains: first, first + step, ... */
typedef struct {
    const ivf_codec *codec;
    const ivf_codec_training *training;
    const float *x;      /* [n][d]; or NULL: */
    const float *slices; /* [count][n][dsub] */
    int64_t n;
    const todo *left;
    int first;
    int step;
    int64_t count;
    atomic_int *state; /* [count] */
    bool in_tasks;     /* a sub-vector to each thread; else the team for each */
} train_job;

static int64_t count_of(const todo *left, int first, int step)
{
    return first < left->count ? ivf_ceil_div(left->count - first, step) : 0;
}

static int sub_of(const train_job *job, int64_t number)
{
    return job->left->subs[job->first + (int)number * job->step];
}

static ivf_keeper_part book_of(const ivf_codec *codec, int sub)
{
    const ivf_pq_state *s = codec->state;
    const size_t values = (size_t)s->words * (size_t)s->dsub;
    return (ivf_keeper_part){s->codebooks + (size_t)sub * values, values * sizeof(float)};
}

static void name_book(int sub, char name[IVF_KEEPER_NAME])
{
    (void)snprintf(name, IVF_KEEPER_NAME, "pq-%d", sub);
}

/* Keeps the codebooks that are trained and were not kept, if it is time; by whichever thread has trained one. */
static int keep_books(const train_job *job)
{
    const ivf_keeper *keeper = job->training->keeper;
    int rc = MPIVF_OK;
    if (keeper == NULL || !keeper->due(keeper->arg, book_of(job->codec, 0).bytes))
        return MPIVF_OK;
    for (int64_t i = 0; i < job->count && rc == MPIVF_OK; i++) {
        int expected = TRAINED;
        if (!atomic_compare_exchange_strong(&job->state[i], &expected, KEPT))
            continue;
        const ivf_keeper_part book = book_of(job->codec, sub_of(job, i));
        char name[IVF_KEEPER_NAME];
        name_book(sub_of(job, i), name);
        rc = ivf_keeper_put(keeper, name, &book, 1);
    }
    return rc;
}

/* Local. The codebooks that were kept, into the codec; had[m]: which. */
static void take_books(const ivf_codec *codec, const ivf_keeper *keeper, uint8_t *had)
{
    for (int sub = 0; sub < codec->spec.m; sub++) {
        const ivf_keeper_part book = book_of(codec, sub);
        char name[IVF_KEEPER_NAME];
        name_book(sub, name);
        if (!ivf_keeper_get(keeper, name, &book, 1))
            continue;
        had[sub] = ivf_keeper_finite(book.data, book.bytes / sizeof(float));
        if (!had[sub])
            ivf_keeper_refuse(name);
    }
}

/* Collective if ctx is not NULL. Every rank has the codebooks that were kept, and knows what is left. */
static int look_what_is_left(const ivf_ctx *ctx, const ivf_codec *codec, const ivf_codec_training *training, todo *left)
{
    const size_t m = (size_t)codec->spec.m;
    uint8_t *had = ivf_new_zero(m, 1);
    *left = (todo){.subs = ivf_new(m, sizeof *left->subs)};
    int rc = had == NULL || left->subs == NULL ? MPIVF_FAILED : MPIVF_OK;
    if (ctx != NULL)
        rc = ivf_agree(ctx, rc);
    if (rc != MPIVF_OK || had == NULL || left->subs == NULL) {
        ivf_free(had);
        return rc;
    }
    if (training->keeper != NULL && (ctx == NULL || ivf_ctx_is_root(ctx)))
        take_books(codec, training->keeper, had);
    if (training->keeper != NULL && ctx != NULL)
        ivf_bcast(ctx, had, m);
    for (int sub = 0; sub < codec->spec.m; sub++)
        if (!had[sub])
            left->subs[left->count++] = sub;
        else if (ctx != NULL)
            ivf_bcast(ctx, book_of(codec, sub).data, book_of(codec, sub).bytes);
    ivf_free(had);
    return MPIVF_OK;
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

static ivf_codebook_params params_of(const ivf_codec_spec *spec, int d, const ivf_codec_training *training, int sub)
{
    return (ivf_codebook_params){
        .words = 1 << spec->bits,
        .dsub = d / spec->m,
        .iterations = training->iterations,
        .seed = ivf_rng_bits(training->seed, IVF_RNG_PQ, (uint64_t)sub),
        .exact = training->exact,
    };
}

static int train_words(const train_job *job, int sub, const float *slice)
{
    const ivf_pq_state *s = job->codec->state;
    ivf_codebook_params params = params_of(&job->codec->spec, job->codec->d, job->training, sub);
    params.in_task = job->in_tasks;
    return ivf_codebook_train(&params, slice, job->n, s->codebooks + (size_t)sub * (size_t)s->words * (size_t)s->dsub);
}

static int train_slice(void *arg, int64_t number, int worker)
{
    (void)worker;
    const train_job *job = arg;
    const int sub = sub_of(job, number);
    const size_t values = (size_t)job->n * (size_t)(job->codec->d / job->codec->spec.m);
    float *own = job->x != NULL ? gather_slice(job, sub) : NULL;
    if (job->x != NULL && own == NULL)
        return MPIVF_FAILED;
    int rc = train_words(job, sub, own != NULL ? own : job->slices + (size_t)number * values);
    ivf_free(own);
    if (rc != MPIVF_OK)
        return rc;
    atomic_store(&job->state[number], TRAINED);
    return keep_books(job);
}

static int train_slices(train_job *job)
{
    int rc = MPIVF_OK;
    job->count = count_of(job->left, job->first, job->step);
    job->state = ivf_new_zero((size_t)job->count, sizeof *job->state);
    if (job->state == NULL)
        return MPIVF_FAILED;
    job->in_tasks = job->count >= ivf_team_size();
    if (job->in_tasks)
        rc = ivf_team_run_stoppable(job->count, train_slice, job);
    for (int64_t i = 0; i < job->count && rc == MPIVF_OK && !job->in_tasks; i++)
        rc = train_slice(job, i, 0);
    ivf_free(job->state);
    return rc;
}

int ivf_pq_train(ivf_codec *codec, const float *x, int64_t n, const ivf_codec_training *training)
{
    todo left;
    int rc = look_what_is_left(NULL, codec, training, &left);
    train_job job = {.codec = codec, .training = training, .x = x, .n = n, .left = &left, .first = 0, .step = 1};
    if (rc == MPIVF_OK)
        rc = train_slices(&job);
    ivf_free(left.subs);
    return rc;
}

/* Rows on their way to the ranks that train their sub-vectors. */
typedef struct {
    const ivf_ctx *ctx;
    const ivf_codec *codec;
    const ivf_share *share;
    const todo *left;
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
    return rank >= 0 && rank < t->share->size ? count_of(t->left, rank, t->share->size) : 0;
}

/* Which sub-vector is a rank's i-th. */
static size_t sub_at(const deal *t, int rank, int64_t i)
{
    return (size_t)t->left->subs[rank + (int)i * t->share->size];
}

/* Of the rows of a round that one rank holds. */
static int64_t round_blocks(int d)
{
    const int64_t block_bytes = (int64_t)IVF_SHARE_BLOCK * d * (int64_t)sizeof(float);
    return ivf_max_i64(1, ROUND_BYTES / block_bytes);
}

static int make_deal(deal *t)
{
    const int64_t blocks = round_blocks(t->codec->d);
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
            const size_t sub = sub_at(t, rank, i);
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
            char *own = (char *)s->codebooks + sub_at(t, rank, i) * book;
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

static int train_left(deal *t, const ivf_codec_training *training)
{
    int rc = ivf_agree(t->ctx, make_deal(t));
    if (rc == MPIVF_OK)
        rc = deal_out(t);
    if (rc == MPIVF_OK) {
        train_job job = {.codec = t->codec,
                         .training = training,
                         .slices = t->slices,
                         .n = t->share->total,
                         .left = t->left,
                         .first = t->share->rank < 0 ? t->left->count : t->share->rank,
                         .step = t->share->size};
        rc = ivf_agree(t->ctx, train_slices(&job));
    }
    if (rc == MPIVF_OK)
        rc = gather_books(t);
    drop_deal(t);
    return rc;
}

int ivf_pq_train_dealt(const ivf_ctx *ctx, ivf_codec *codec, const float *x, const ivf_share *share,
                       const ivf_codec_training *training)
{
    todo left;
    deal t = {.ctx = ctx, .codec = codec, .share = share, .left = &left, .x = x};
    int rc = look_what_is_left(ctx, codec, training, &left);
    if (rc == MPIVF_OK && left.count > 0)
        rc = train_left(&t, training);
    ivf_free(left.subs);
    return rc;
}

/* Sub-vectors of all rows, and while they are trained the codebooks' work; or, before, a round on its way. */
int64_t ivf_pq_train_memory(const ivf_codec_spec *spec, int d, const ivf_codec_training *training, int64_t total,
                            int holders, int threads)
{
    const ivf_codebook_params params = params_of(spec, d, training, 0);
    const int64_t subs = ivf_ceil_div(spec->m, holders);
    const int64_t slice = total * params.dsub * (int64_t)sizeof(float);
    const bool in_tasks = subs >= threads;
    const int64_t at_once = in_tasks ? threads : 1;
    const int64_t work = at_once * ivf_codebook_memory(&params, total, in_tasks ? 1 : threads);
    if (holders == 1)
        return work + at_once * slice;
    const ivf_share share = {.total = total, .rank = 0, .size = holders};
    const int64_t rows = round_blocks(d) * IVF_SHARE_BLOCK;
    const int64_t sent = ivf_min_i64(rows, ivf_share_count(&share)) * d * (int64_t)sizeof(float);
    const int64_t received = ivf_min_i64(rows * holders, total) * subs * params.dsub * (int64_t)sizeof(float);
    return subs * slice + sent + ivf_max_i64(received, work);
}
