/* Exact distances for the candidates of a batch.
 *
 * All ranks learn all candidates; each reads the vectors that it can (search/vectors.h), sorted by where they lie and
 * each of them once, however many queries want it, a piece at a time, and computes the keys of the pairs that it has
 * vectors for. A tree over the ranks joins the keys. */
#include "search/rerank.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "comm/transfer.h"
#include "math/distance.h"
#include "math/rows.h"

enum { PAIRS_OF_TASK = 256, DIGIT_BITS = 11, DIGITS = 1 << DIGIT_BITS };

/* A candidate whose vector this rank reads. */
typedef struct {
    int64_t place;
    int64_t candidate;
} pair;

typedef struct {
    const ivf_rerank *job;
    int64_t n;       /* candidates */
    int64_t *places; /* [n] */
    pair *pairs;     /* [count]: sorted by place */
    pair *spare;
    int64_t count;
    float *keys; /* [n]: INFINITY where another rank has it */
    /* The present piece. */
    int64_t *rows; /* [piece]: places */
    float *x;      /* [piece][d] */
    int64_t piece; /* most */
    int64_t first; /* pair */
    int64_t end;
    int64_t *row_of; /* [n]: of pairs first .. end - 1, in x */
} rerank_run;

/* Of a vector in a piece: itself, its place, and where a request begins. */
static int64_t row_bytes(int d)
{
    return d * (int64_t)sizeof(float) + 2 * (int64_t)sizeof(int64_t);
}

int64_t ivf_rerank_least_piece(int d)
{
    return row_bytes(d);
}

static int make_rooms(const ivf_ctx *ctx, rerank_run *r)
{
    const size_t n = ivf_to_size(r->n);
    r->piece = ivf_max_i64(1, ivf_min_i64(r->n, r->job->piece / row_bytes(r->job->d)));
    r->places = ivf_new(n, sizeof *r->places);
    r->pairs = ivf_new(n, sizeof *r->pairs);
    r->spare = ivf_new(n, sizeof *r->spare);
    r->keys = ivf_new(n, sizeof *r->keys);
    r->rows = ivf_new(ivf_to_size(r->piece), sizeof *r->rows);
    r->x = ivf_new(ivf_to_size(r->piece) * (size_t)r->job->d, sizeof *r->x);
    const bool failed =
        r->places == NULL || r->pairs == NULL || r->spare == NULL || r->keys == NULL || r->rows == NULL || r->x == NULL;
    return ivf_agree(ctx, failed ? MPIVF_FAILED : MPIVF_OK);
}

static void free_rooms(rerank_run *r)
{
    ivf_free(r->x);
    ivf_free(r->rows);
    ivf_free(r->keys);
    ivf_free(r->spare);
    ivf_free(r->pairs);
    ivf_free(r->places);
}

/* ---- sorting ---- */

static void sort_by_digit(const pair *from, int64_t n, int shift, pair *to)
{
    int64_t start[DIGITS] = {0};
    int64_t before = 0;
    for (int64_t i = 0; i < n; i++)
        start[from[i].place >> shift & (DIGITS - 1)]++;
    for (int digit = 0; digit < DIGITS; digit++) {
        int64_t count = start[digit];
        start[digit] = before;
        before += count;
    }
    for (int64_t i = 0; i < n; i++)
        to[start[from[i].place >> shift & (DIGITS - 1)]++] = from[i];
}

/* The candidates that are this rank's, by place. */
static void sort_pairs(rerank_run *r)
{
    int64_t most = 0;
    for (int64_t i = 0; i < r->n; i++) {
        if (r->places[i] < 0)
            continue;
        r->pairs[r->count++] = (pair){.place = r->places[i], .candidate = i};
        most = ivf_max_i64(most, r->places[i]);
    }
    for (int shift = 0; shift < 63 && most >> shift > 0; shift += DIGIT_BITS) {
        pair *sorted = r->spare;
        sort_by_digit(r->pairs, r->count, shift, sorted);
        r->spare = r->pairs;
        r->pairs = sorted;
    }
}

/* ---- keys ---- */

static int compute_keys(void *arg, int64_t task, int worker)
{
    const rerank_run *r = arg;
    const ivf_rerank *job = r->job;
    const int64_t first = r->first + task * PAIRS_OF_TASK;
    const int64_t end = ivf_min_i64(r->end, first + PAIRS_OF_TASK);
    (void)worker;
    for (int64_t i = first; i < end; i++) {
        const pair *p = &r->pairs[i];
        const float *query = job->queries + p->candidate / job->width * job->d;
        ivf_keys_f32(job->metric, query, r->x + r->row_of[i - r->first] * job->d, 1, job->d, &r->keys[p->candidate]);
    }
    return MPIVF_OK;
}

/* The pairs from `first` on whose vectors fit in a piece; returns how many vectors that are. */
static int64_t take_piece(rerank_run *r)
{
    int64_t rows = 0;
    r->end = r->first;
    for (; r->end < r->count; r->end++) {
        const int64_t place = r->pairs[r->end].place;
        if (rows == 0 || r->rows[rows - 1] != place) {
            if (rows == r->piece)
                break;
            r->rows[rows++] = place;
        }
        r->row_of[r->end - r->first] = rows - 1;
    }
    return rows;
}

/* Local, uses the team. */
static int score(rerank_run *r)
{
    int rc = MPIVF_OK;
    r->row_of = r->places; /* which are in the pairs now */
    for (; rc == MPIVF_OK && r->first < r->count; r->first = r->end) {
        const int64_t rows = take_piece(r);
        rc = ivf_vectors_read(r->job->vectors, r->rows, rows, r->x);
        if (rc == MPIVF_OK && r->job->metric == IVF_COSINE)
            ivf_rows_normalise(r->x, rows, r->job->d);
        if (rc == MPIVF_OK)
            rc = ivf_team_run_stoppable(ivf_ceil_div(r->end - r->first, PAIRS_OF_TASK), compute_keys, r);
    }
    return rc;
}

static void take_smaller(void *arg, void *into, const void *from, int64_t count)
{
    float *a = into;
    const float *b = from;
    (void)arg;
    for (int64_t i = 0; i < count; i++)
        a[i] = b[i] < a[i] ? b[i] : a[i];
}

/* ---- the best ---- */

static void choose(const rerank_run *r, const ivf_neighbor *found, ivf_neighbor *out)
{
    const ivf_rerank *job = r->job;
    for (int64_t q = 0; q < job->nq; q++) {
        ivf_topk top = ivf_topk_start(out + q * job->k, job->k, job->limit);
        for (int64_t i = q * job->width; i < (q + 1) * job->width && found[i].id != UINT64_MAX; i++) {
            top.list = found[i].list;
            ivf_topk_offer(&top, &r->keys[i], &found[i].id, 1);
        }
        ivf_topk_finish(&top);
    }
}

static int run(const ivf_ctx *ctx, rerank_run *r, ivf_neighbor *found)
{
    ivf_bcast(ctx, found, ivf_to_size(r->n) * sizeof *found);
    int rc = ivf_vectors_locate(ctx, r->job->vectors, found, r->n, r->places);
    if (rc != MPIVF_OK)
        return rc;
    for (int64_t i = 0; i < r->n; i++)
        r->keys[i] = INFINITY;
    sort_pairs(r);
    rc = ivf_agree(ctx, score(r));
    return rc == MPIVF_OK ? ivf_merge_to_root(ctx, r->keys, r->n, sizeof *r->keys, take_smaller, NULL) : rc;
}

int ivf_rerank_run(const ivf_ctx *ctx, const ivf_rerank *job, ivf_neighbor *found, ivf_neighbor *out)
{
    rerank_run r = {.job = job, .n = job->nq * job->width};
    int rc = make_rooms(ctx, &r);
    if (rc == MPIVF_OK)
        rc = run(ctx, &r, found);
    if (rc == MPIVF_OK && ivf_ctx_is_root(ctx))
        choose(&r, found, out);
    free_rooms(&r);
    return rc;
}
