#include "build/sample.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "build/draw.h"
#include "comm/exchange.h"
#include "comm/transfer.h"
#include "math/rows.h"

/* Rows of a rank travel in pieces of this size. */
static const int64_t PIECE_BYTES = 64 << 20;

/* Fewer multiply-adds in an iteration of k-means than this are done by rank 0 before messages would arrive. */
static const double WORTH_SHARING = 1e8;

typedef struct {
    ivf_build_state *build;
    ivf_pick *picks; /* [count]: what this rank reads; unusable rows are taken out of them */
    int64_t count;
    float *x;     /* [count][d]: their values, in the same order */
    int64_t *bad; /* [bad_count]: places of unusable rows, of this rank and then of all, ascending */
    int64_t bad_count;
} sample_state;

static int refuse_row(const ivf_build_state *build, int64_t row, uint8_t reason)
{
    char name[IVF_PATH_BYTES + 64];
    ivf_build_name_row(build->dataset, row, name, sizeof name);
    return ivf_fail(MPIVF_BAD_INPUT, "%s cannot be indexed: %s; mend it, or pass over such rows with --on-bad-row skip",
                    name, ivf_row_reason_text((ivf_row_reason)reason));
}

static int read_rows(sample_state *s)
{
    size_t count = ivf_to_size(s->count);
    int64_t *rows = ivf_new(count, sizeof *rows);
    s->x = ivf_new(count, (size_t)s->build->plan.d * sizeof *s->x);
    int rc = rows == NULL || s->x == NULL ? MPIVF_FAILED : MPIVF_OK;
    for (int64_t i = 0; rc == MPIVF_OK && i < s->count; i++)
        rows[i] = s->picks[i].row;
    if (rc == MPIVF_OK)
        rc = ivf_dataset_read_rows(s->build->dataset, rows, s->count, s->x);
    ivf_free(rows);
    return rc;
}

/* Takes unusable rows out, and notes their places. */
static int sort_out(sample_state *s, const uint8_t *reasons)
{
    const ivf_build_state *build = s->build;
    size_t d = (size_t)build->plan.d;
    int64_t kept = 0;
    for (int64_t i = 0; i < s->count; i++) {
        if (reasons[i] != IVF_ROW_OK) {
            if (!build->config->skip_bad_rows)
                return refuse_row(build, s->picks[i].row, reasons[i]);
            s->bad[s->bad_count++] = s->picks[i].place;
            continue;
        }
        if (kept < i)
            memcpy(s->x + (size_t)kept * d, s->x + (size_t)i * d, d * sizeof *s->x);
        s->picks[kept++] = s->picks[i];
    }
    s->count = kept;
    return MPIVF_OK;
}

static int64_t count_bad(const uint8_t *reasons, int64_t n)
{
    int64_t bad = 0;
    for (int64_t i = 0; i < n; i++)
        bad += reasons[i] != IVF_ROW_OK;
    return bad;
}

enum { TASK_ROWS = 1024 };

typedef struct {
    const sample_state *sample;
    uint8_t *reasons;
} check_state;

static int check_task(void *arg, int64_t task, int worker)
{
    const check_state *c = arg;
    const ivf_plan *plan = &c->sample->build->plan;
    int64_t first = task * TASK_ROWS;
    int64_t n = ivf_min_i64(TASK_ROWS, c->sample->count - first);
    (void)worker;
    (void)ivf_rows_check(c->sample->x + first * plan->d, n, plan->d, plan->metric, plan->value_limit,
                         c->reasons + first);
    return MPIVF_OK;
}

static int normalise_task(void *arg, int64_t task, int worker)
{
    const sample_state *s = arg;
    int d = s->build->plan.d;
    int64_t first = task * TASK_ROWS;
    (void)worker;
    ivf_rows_normalise(s->x + first * d, ivf_min_i64(TASK_ROWS, s->count - first), d);
    return MPIVF_OK;
}

static int check_rows(sample_state *s)
{
    check_state c = {.sample = s, .reasons = ivf_new(ivf_to_size(s->count), 1)};
    if (c.reasons == NULL)
        return MPIVF_FAILED;
    (void)ivf_team_run(ivf_ceil_div(s->count, TASK_ROWS), check_task, &c);
    int64_t bad = count_bad(c.reasons, s->count);
    s->bad = ivf_new(ivf_to_size(bad), sizeof *s->bad);
    int rc = s->bad == NULL ? MPIVF_FAILED : MPIVF_OK;
    if (rc == MPIVF_OK && bad > 0)
        rc = sort_out(s, c.reasons);
    if (rc == MPIVF_OK && s->build->plan.metric == IVF_COSINE)
        rc = ivf_team_run(ivf_ceil_div(s->count, TASK_ROWS), normalise_task, s);
    ivf_free(c.reasons);
    return rc;
}

/* Local. What this rank reads, checked. */
static int read_mine(const ivf_ctx *ctx, sample_state *s)
{
    int rc = ivf_draw_picks(&s->build->plan, s->build->config->seed, ivf_ctx_rank(ctx), ivf_ctx_size(ctx), &s->picks,
                            &s->count);
    if (rc == MPIVF_OK)
        rc = read_rows(s);
    return rc == MPIVF_OK ? check_rows(s) : rc;
}

static int ascending(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Collective. The unusable places of all ranks reach every rank. */
static int share_bad(const ivf_ctx *ctx, sample_state *s)
{
    int size = ivf_ctx_size(ctx);
    int64_t *offsets = ivf_new_zero((size_t)size + 1, sizeof *offsets);
    int rc = ivf_agree(ctx, offsets == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc != MPIVF_OK || offsets == NULL) {
        ivf_free(offsets);
        return rc;
    }
    offsets[ivf_ctx_rank(ctx) + 1] = s->bad_count * (int64_t)sizeof *s->bad;
    ivf_allsum_i64(ctx, offsets, size + 1);
    for (int r = 0; r < size; r++)
        offsets[r + 1] += offsets[r];
    int64_t *all = ivf_new(ivf_to_size(offsets[size]), 1);
    rc = ivf_agree(ctx, all == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc == MPIVF_OK && all != NULL) {
        memcpy((char *)all + offsets[ivf_ctx_rank(ctx)], s->bad, (size_t)s->bad_count * sizeof *s->bad);
        rc = ivf_allgather_bytes(ctx, all, offsets);
        ivf_free(s->bad);
        s->bad = all;
        s->bad_count = offsets[size] / (int64_t)sizeof *all;
        qsort(s->bad, (size_t)s->bad_count, sizeof *s->bad, ascending);
    }
    ivf_free(offsets);
    return rc;
}

/* Where a usable row goes when those before it that are not have left. */
static int64_t close_gaps(const sample_state *s, int64_t place)
{
    int64_t low = 0;
    int64_t high = s->bad_count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if (s->bad[middle] < place)
            low = middle + 1;
        else
            high = middle;
    }
    return place - low;
}

/* Who holds the sample. */
static ivf_share choose_share(const ivf_ctx *ctx, const ivf_build_config *config, const ivf_plan *plan, int64_t total)
{
    double work = (double)total * plan->factory.nlist * plan->d;
    if (config->train_on == IVF_TRAIN_ON_ALL || (config->train_on == IVF_TRAIN_ON_AUTO && work >= WORTH_SHARING))
        return (ivf_share){.total = total, .rank = ivf_ctx_rank(ctx), .size = ivf_ctx_size(ctx)};
    return (ivf_share){.total = total, .rank = ivf_ctx_is_root(ctx) ? 0 : -1, .size = 1};
}

static int make_room(const ivf_ctx *ctx, sample_state *s)
{
    ivf_build_state *build = s->build;
    int64_t total = build->plan.sample_rows - s->bad_count;
    if (total < build->plan.factory.nlist)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "only %" PRId64 " of %" PRId64 " sampled rows can be used, fewer than the %d lists", total,
                        build->plan.sample_rows, build->plan.factory.nlist);
    build->share = choose_share(ctx, build->config, &build->plan, total);
    build->sample = ivf_new(ivf_to_size(ivf_share_count(&build->share)), (size_t)build->plan.d * sizeof *build->sample);
    return build->sample == NULL ? MPIVF_FAILED : MPIVF_OK;
}

/* One piece on its way: items of a place and the row's values, sorted by the rank that they go to. */
typedef struct {
    size_t item; /* bytes */
    uint8_t *items;
    int64_t *offsets; /* [ranks + 1], bytes */
    int64_t *next;    /* [ranks] */
} parcel;

static void keep(const ivf_build_state *build, int64_t place, const void *x)
{
    size_t d = (size_t)build->plan.d;
    memcpy(build->sample + (size_t)ivf_share_row(&build->share, place) * d, x, d * sizeof *build->sample);
}

/* Rows that stay go where they belong at once. */
static void pack(const sample_state *s, int64_t first, int64_t n, int ranks, parcel *p)
{
    const ivf_share *share = &s->build->share;
    size_t d = (size_t)s->build->plan.d;
    memset(p->offsets, 0, ((size_t)ranks + 1) * sizeof *p->offsets);
    for (int64_t i = first; i < first + n; i++) {
        int64_t place = close_gaps(s, s->picks[i].place);
        int owner = ivf_share_owner(share, place);
        if (owner == share->rank)
            keep(s->build, place, s->x + (size_t)i * d);
        else
            p->offsets[owner + 1] += (int64_t)p->item;
    }
    for (int r = 0; r < ranks; r++) {
        p->offsets[r + 1] += p->offsets[r];
        p->next[r] = p->offsets[r];
    }
    for (int64_t i = first; i < first + n; i++) {
        int64_t place = close_gaps(s, s->picks[i].place);
        int owner = ivf_share_owner(share, place);
        if (owner == share->rank)
            continue;
        uint8_t *to = p->items + p->next[owner];
        memcpy(to, &place, sizeof place);
        memcpy(to + sizeof place, s->x + (size_t)i * d, d * sizeof *s->x);
        p->next[owner] += (int64_t)p->item;
    }
}

static void unpack(const ivf_build_state *build, const ivf_gathered *in, int ranks, size_t item)
{
    for (int64_t at = 0; at < in->offsets[ranks]; at += (int64_t)item) {
        int64_t place = 0;
        memcpy(&place, in->data + at, sizeof place);
        keep(build, place, in->data + at + sizeof place);
    }
}

/* Collective. Rows to where their places are held, in as many rounds as the rank with the most rows needs. */
static int deal_out(const ivf_ctx *ctx, sample_state *s)
{
    int ranks = ivf_ctx_size(ctx);
    parcel p = {.item = sizeof(int64_t) + (size_t)s->build->plan.d * sizeof(float)};
    int64_t room = ivf_min_i64(s->count, ivf_max_i64(1, PIECE_BYTES / (int64_t)p.item));
    int64_t rounds = room == 0 ? 0 : ivf_ceil_div(s->count, room);
    p.items = ivf_new(ivf_to_size(room), p.item);
    p.offsets = ivf_new((size_t)ranks + 1, sizeof *p.offsets);
    p.next = ivf_new((size_t)ranks, sizeof *p.next);
    int rc = ivf_agree(ctx, p.items == NULL || p.offsets == NULL || p.next == NULL ? MPIVF_FAILED : MPIVF_OK);
    ivf_allmax_i64(ctx, &rounds, 1);
    for (int64_t round = 0; rc == MPIVF_OK && round < rounds; round++) {
        ivf_gathered in;
        int64_t first = ivf_min_i64(round * room, s->count);
        pack(s, first, ivf_min_i64(room, s->count - first), ranks, &p);
        rc = ivf_exchange(ctx, p.items, p.offsets, &in);
        if (rc == MPIVF_OK)
            unpack(s->build, &in, ranks, p.item);
        ivf_gathered_free(&in);
    }
    ivf_free(p.next);
    ivf_free(p.offsets);
    ivf_free(p.items);
    return rc;
}

int ivf_sample_draw(const ivf_ctx *ctx, ivf_build_state *build)
{
    sample_state s = {.build = build};
    int rc = ivf_agree(ctx, read_mine(ctx, &s));
    if (rc == MPIVF_OK)
        rc = share_bad(ctx, &s);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, make_room(ctx, &s));
    if (rc == MPIVF_OK)
        rc = deal_out(ctx, &s);
    ivf_free(s.bad);
    ivf_free(s.x);
    ivf_free(s.picks);
    return rc;
}
