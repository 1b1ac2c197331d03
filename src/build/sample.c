#include "build/sample.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "base/team.h"
#include "comm/transfer.h"
#include "math/rows.h"

/* A sampled row and its place in the sample. */
typedef struct {
    int64_t row;
    int64_t place;
} pick;

/* Drawing: tasks of DRAW_ROWS permutation values each, counted first and then stored, so that they share no state. */
enum { DRAW_ROWS = 1 << 16 };

typedef struct {
    ivf_permutation permutation;
    int64_t total;
    int64_t first; /* rows of this rank: [first, end) */
    int64_t end;
    int64_t *offsets; /* [tasks + 1] */
    pick *picks;      /* NULL while counting */
} draw_state;

static int draw_task(void *arg, int64_t task, int worker)
{
    draw_state *s = arg;
    int64_t end = ivf_min_i64((task + 1) * DRAW_ROWS, s->total);
    int64_t found = 0;
    (void)worker;
    for (int64_t place = task * DRAW_ROWS; place < end; place++) {
        int64_t row = (int64_t)ivf_permutation_at(&s->permutation, (uint64_t)place);
        if (row < s->first || row >= s->end)
            continue;
        if (s->picks != NULL)
            s->picks[s->offsets[task] + found] = (pick){row, place};
        found++;
    }
    if (s->picks == NULL)
        s->offsets[task + 1] = found;
    return MPIVF_OK;
}

static int by_row(const void *a, const void *b)
{
    int64_t x = ((const pick *)a)->row;
    int64_t y = ((const pick *)b)->row;
    return (x > y) - (x < y);
}

/* This rank's rows of the sample, in the order of the files. */
static int draw_mine(const ivf_ctx *ctx, const ivf_build_state *build, pick **picks, int64_t *count)
{
    int64_t share = ivf_ceil_div(build->plan.rows, ivf_ctx_size(ctx));
    draw_state s = {.permutation =
                        ivf_permutation_make((uint64_t)build->plan.rows, build->config->seed, IVF_RNG_SAMPLE),
                    .total = build->plan.sample_rows,
                    .first = share * ivf_ctx_rank(ctx),
                    .end = share * (ivf_ctx_rank(ctx) + 1)};
    int64_t tasks = ivf_ceil_div(s.total, DRAW_ROWS);
    s.offsets = ivf_new_zero(ivf_to_size(tasks) + 1, sizeof *s.offsets);
    if (s.offsets == NULL)
        return MPIVF_FAILED;
    (void)ivf_team_run(tasks, draw_task, &s);
    for (int64_t t = 0; t < tasks; t++)
        s.offsets[t + 1] += s.offsets[t];
    *count = s.offsets[tasks];
    s.picks = ivf_new(ivf_to_size(*count), sizeof *s.picks);
    if (s.picks != NULL) {
        (void)ivf_team_run(tasks, draw_task, &s);
        qsort(s.picks, (size_t)*count, sizeof *s.picks, by_row);
    }
    ivf_free(s.offsets);
    *picks = s.picks;
    return s.picks == NULL ? MPIVF_FAILED : MPIVF_OK;
}

/* Sending and receiving: a message is a run of items, each the place (-1: the row cannot be used) and the row's values.
 */
typedef struct {
    ivf_build_state *build;
    pick *picks;
    int64_t next;     /* of picks */
    size_t item;      /* bytes */
    int64_t *rows;    /* [items of a piece] */
    float *x;         /* [items of a piece][d] */
    uint8_t *reasons; /* [items of a piece] */
    uint8_t *filled;  /* on rank 0: [sample_rows] */
} transfer_state;

static int refuse_row(const ivf_build_state *build, int64_t row, uint8_t reason)
{
    char name[IVF_PATH_BYTES + 64];
    ivf_build_name_row(build->dataset, row, name, sizeof name);
    return ivf_fail(MPIVF_BAD_INPUT, "%s cannot be indexed: %s; mend it, or pass over such rows with --on-bad-row skip",
                    name, ivf_row_reason_text((ivf_row_reason)reason));
}

static int read_items(transfer_state *t, int64_t n)
{
    ivf_build_state *build = t->build;
    int d = build->plan.d;
    for (int64_t i = 0; i < n; i++)
        t->rows[i] = t->picks[t->next + i].row;
    int rc = ivf_dataset_read_rows(build->dataset, t->rows, n, t->x);
    if (rc != MPIVF_OK)
        return rc;
    int64_t bad = ivf_rows_check(t->x, n, d, build->plan.metric, build->plan.value_limit, t->reasons);
    for (int64_t i = 0; bad > 0 && !build->config->skip_bad_rows && i < n; i++)
        if (t->reasons[i] != IVF_ROW_OK)
            return refuse_row(build, t->rows[i], t->reasons[i]);
    return MPIVF_OK;
}

static int fill_piece(void *arg, void *buffer, size_t bytes)
{
    transfer_state *t = arg;
    int d = t->build->plan.d;
    int64_t n = (int64_t)(bytes / t->item);
    int rc = read_items(t, n);
    for (int64_t i = 0; rc == MPIVF_OK && i < n; i++) {
        char *item = (char *)buffer + (size_t)i * t->item;
        float *x = t->x + i * d;
        int64_t place = t->reasons[i] == IVF_ROW_OK ? t->picks[t->next + i].place : -1;
        if (place >= 0 && t->build->plan.metric == IVF_COSINE)
            ivf_rows_normalise(x, 1, d);
        memcpy(item, &place, sizeof place);
        memcpy(item + sizeof place, x, (size_t)d * sizeof *x);
    }
    t->next += n;
    return rc;
}

static void take_piece(void *arg, int rank, const void *data, size_t bytes)
{
    transfer_state *t = arg;
    size_t row_bytes = t->item - sizeof(int64_t);
    (void)rank;
    for (size_t at = 0; at < bytes; at += t->item) {
        int64_t place = 0;
        memcpy(&place, (const char *)data + at, sizeof place);
        if (place < 0)
            continue;
        memcpy(t->build->sample + place * t->build->plan.d, (const char *)data + at + sizeof place, row_bytes);
        t->filled[place] = 1;
    }
}

/* Rank 0: closes the gaps that unusable rows left, keeping the order. */
static int close_gaps(ivf_build_state *build, const uint8_t *filled)
{
    size_t d = (size_t)build->plan.d;
    int64_t kept = 0;
    for (int64_t i = 0; i < build->plan.sample_rows; i++) {
        if (!filled[i])
            continue;
        if (kept < i)
            memcpy(build->sample + (size_t)kept * d, build->sample + (size_t)i * d, d * sizeof *build->sample);
        kept++;
    }
    build->sample_rows = kept;
    if (kept < build->plan.factory.nlist)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "only %" PRId64 " of %" PRId64 " sampled rows can be used, fewer than the %d lists", kept,
                        build->plan.sample_rows, build->plan.factory.nlist);
    return MPIVF_OK;
}

static int make_rooms(const ivf_ctx *ctx, ivf_build_state *build, transfer_state *t, int64_t items)
{
    t->rows = ivf_new((size_t)items, sizeof *t->rows);
    t->x = ivf_new((size_t)items * (size_t)build->plan.d, sizeof *t->x);
    t->reasons = ivf_new((size_t)items, 1);
    int rc = t->rows == NULL || t->x == NULL || t->reasons == NULL ? MPIVF_FAILED : MPIVF_OK;
    if (rc == MPIVF_OK && ivf_ctx_is_root(ctx)) {
        size_t rows = ivf_to_size(build->plan.sample_rows);
        build->sample = ivf_new(rows, (size_t)build->plan.d * sizeof *build->sample);
        t->filled = ivf_new_zero(rows, 1);
        rc = build->sample == NULL || t->filled == NULL ? MPIVF_FAILED : MPIVF_OK;
    }
    return rc;
}

enum { PIECE_BYTES = 4 << 20 };

int ivf_sample_draw(const ivf_ctx *ctx, ivf_build_state *build)
{
    transfer_state t = {.build = build, .item = sizeof(int64_t) + (size_t)build->plan.d * sizeof(float)};
    int64_t items = ivf_max_i64(1, PIECE_BYTES / (int64_t)t.item);
    int64_t count = 0;
    int rc = draw_mine(ctx, build, &t.picks, &count);
    if (rc == MPIVF_OK)
        rc = make_rooms(ctx, build, &t, items);
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK)
        rc = ivf_stream_to_root(ctx, count * (int64_t)t.item, (size_t)items * t.item, fill_piece, take_piece, &t);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? close_gaps(build, t.filled) : MPIVF_OK);
    ivf_free(t.filled);
    ivf_free(t.reasons);
    ivf_free(t.x);
    ivf_free(t.rows);
    ivf_free(t.picks);
    return rc;
}
