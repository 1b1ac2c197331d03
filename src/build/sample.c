#include "build/sample.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "build/draw.h"
#include "build/given.h"
#include "comm/exchange.h"
#include "comm/transfer.h"
#include "math/rows.h"

/* Fewer multiply-adds in an iteration over lists and codewords than this are done by rank 0 before messages would
 * arrive. */
static const double WORTH_SHARING = 1e8;

typedef struct {
    ivf_build_state *build;
    ivf_pick *picks; /* what this rank reads, in the order of the files */
    int64_t count;
    uint64_t *bad;     /* [bad_words]: a bit for each place, 1: its row is unusable; of this rank and then of all */
    int64_t *before;   /* [bad_groups]: those of all before each group of words */
    int64_t bad_count; /* of this rank and then of all */
    ivf_share old;     /* places before gaps are closed */

    int64_t room;     /* rows of a piece, at most */
    int64_t n;        /* rows of the present one */
    int64_t *rows;    /* [room]: their numbers */
    int64_t *places;  /* [room]: -1: goes nowhere */
    float *x;         /* [room][d] */
    uint8_t *reasons; /* [room] */
    size_t item;      /* bytes of a row on its way: its place and its values */
    uint8_t *items;   /* [room] items, sorted by the rank that they go to */
    int64_t *offsets; /* [ranks + 1]: of those, bytes */
    int64_t *next;    /* [ranks] */
} sample_state;

enum { WORD_PLACES = 64, GROUP_WORDS = 8 };

static int64_t bad_words(const ivf_build_config *config, int64_t places)
{
    return config->skip_bad_rows ? ivf_ceil_div(places, WORD_PLACES) : 0;
}

static int64_t bad_groups(const ivf_build_config *config, int64_t places)
{
    return ivf_ceil_div(bad_words(config, places), GROUP_WORDS);
}

/* Local. Puts n rows from the first-th on, with their places, into the piece. */
typedef int piece_source(sample_state *s, int64_t first, int64_t n);

enum { TASK_ROWS = 256 };

static int check_task(void *arg, int64_t task, int worker)
{
    const sample_state *s = arg;
    const ivf_plan *plan = &s->build->plan;
    int64_t first = task * TASK_ROWS;
    float *x = s->x + first * plan->d;
    (void)worker;
    for (int64_t i = first; i < ivf_min_i64(s->n, first + TASK_ROWS); i++, x += plan->d)
        if (ivf_rows_check(x, 1, plan->d, plan->metric, plan->value_limit, s->reasons + i) == 0 &&
            plan->metric == IVF_COSINE)
            ivf_rows_normalise(x, 1, plan->d);
    return MPIVF_OK;
}

static int read_piece(sample_state *s, int64_t first, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        s->rows[i] = s->picks[first + i].row;
        s->places[i] = s->picks[first + i].place;
    }
    s->n = n;
    int rc = ivf_fault("sample") ? MPIVF_FAILED
                                 : ivf_dataset_read_rows(s->build->dataset, s->rows, n, IVF_DATASET_GAP, s->x);
    if (rc == MPIVF_OK)
        rc = ivf_team_run_stoppable(ivf_ceil_div(n, TASK_ROWS), check_task, s);
    for (int64_t i = 0; rc == MPIVF_OK && i < n; i++) {
        if (s->reasons[i] == IVF_ROW_OK)
            continue;
        if (!s->build->config->skip_bad_rows)
            return ivf_build_refuse_row(s->build->dataset, s->rows[i], s->reasons[i]);
        s->bad[s->places[i] / WORD_PLACES] |= (uint64_t)1 << s->places[i] % WORD_PLACES;
        s->bad_count++;
        s->places[i] = -1;
    }
    return rc;
}

/* Collective. The unusable places of all ranks reach every rank: each was read by one of them. */
static void share_bad(const ivf_ctx *ctx, sample_state *s)
{
    ivf_allsum_i64(ctx, &s->bad_count, 1);
    if (s->bad_count == 0)
        return;
    const int64_t words = bad_words(s->build->config, s->build->plan.sample_rows);
    int64_t before = 0;
    ivf_allsum_u64(ctx, s->bad, words);
    for (int64_t w = 0; w < words; w++) {
        if (w % GROUP_WORDS == 0)
            s->before[w / GROUP_WORDS] = before;
        before += __builtin_popcountll(s->bad[w]);
    }
}

/* How many of the unusable places come before `place`. */
static int64_t gaps_before(const sample_state *s, int64_t place)
{
    const int64_t word = place / WORD_PLACES;
    const int64_t group = word / GROUP_WORDS;
    int64_t gaps = s->before[group];
    for (int64_t w = group * GROUP_WORDS; w < word; w++)
        gaps += __builtin_popcountll(s->bad[w]);
    return gaps + __builtin_popcountll(s->bad[word] & (((uint64_t)1 << place % WORD_PLACES) - 1));
}

static bool is_bad(const sample_state *s, int64_t place)
{
    return (s->bad[place / WORD_PLACES] >> place % WORD_PLACES & 1) != 0;
}

/* Rows that were dealt out move up to where those before them are missing. Pieces are of whole blocks of places, the
 * same on every rank: so what a round overwrites was read in that round or before. */
static int move_piece(sample_state *s, int64_t first, int64_t n)
{
    size_t d = (size_t)s->build->plan.d;
    for (int64_t i = 0; i < n; i++) {
        int64_t place = ivf_share_place(&s->old, first + i);
        s->places[i] = is_bad(s, place) ? -1 : place - gaps_before(s, place);
    }
    memcpy(s->x, s->build->sample + (size_t)first * d, (size_t)n * d * sizeof *s->x);
    return MPIVF_OK;
}

static void keep(const ivf_build_state *build, int64_t place, const void *x)
{
    size_t d = (size_t)build->plan.d;
    memcpy(build->sample + (size_t)ivf_share_row(&build->share, place) * d, x, d * sizeof *build->sample);
}

/* Rows of the piece that stay go where they belong at once. */
static void pack(sample_state *s, int64_t n, int ranks)
{
    const ivf_share *share = &s->build->share;
    size_t d = (size_t)s->build->plan.d;
    memset(s->offsets, 0, ((size_t)ranks + 1) * sizeof *s->offsets);
    for (int64_t i = 0; i < n; i++)
        if (s->places[i] >= 0 && ivf_share_owner(share, s->places[i]) != share->rank)
            s->offsets[ivf_share_owner(share, s->places[i]) + 1] += (int64_t)s->item;
    for (int r = 0; r < ranks; r++) {
        s->offsets[r + 1] += s->offsets[r];
        s->next[r] = s->offsets[r];
    }
    for (int64_t i = 0; i < n; i++) {
        const float *x = s->x + (size_t)i * d;
        if (s->places[i] < 0)
            continue;
        int owner = ivf_share_owner(share, s->places[i]);
        if (owner == share->rank) {
            keep(s->build, s->places[i], x);
            continue;
        }
        uint8_t *to = s->items + s->next[owner];
        memcpy(to, &s->places[i], sizeof *s->places);
        memcpy(to + sizeof *s->places, x, d * sizeof *x);
        s->next[owner] += (int64_t)s->item;
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

/* Collective. `count` rows of this rank to where their places are held, in as many rounds as the rank with the most
 * rows needs. */
static int deal_out(const ivf_ctx *ctx, sample_state *s, int64_t count, piece_source *source)
{
    int rc = MPIVF_OK;
    int ranks = ivf_ctx_size(ctx);
    int64_t rounds = ivf_ceil_div(count, s->room);
    ivf_allmax_i64(ctx, &rounds, 1);
    for (int64_t round = 0; rc == MPIVF_OK && round < rounds; round++) {
        ivf_gathered in;
        int64_t first = ivf_min_i64(round * s->room, count);
        int64_t n = ivf_min_i64(s->room, count - first);
        rc = ivf_agree(ctx, source(s, first, n));
        if (rc != MPIVF_OK)
            break;
        pack(s, n, ranks);
        rc = ivf_exchange(ctx, s->items, s->offsets, &in);
        if (rc == MPIVF_OK)
            unpack(s->build, &in, ranks, s->item);
        ivf_gathered_free(&in);
    }
    return rc;
}

bool ivf_sample_is_shared(const ivf_build_config *config, const ivf_plan *plan)
{
    bool has_words = ivf_codec_has_words(&plan->factory.codec);
    double centroids = plan->factory.nlist + (has_words ? ldexp(1, plan->factory.codec.bits) : 0);
    bool worth = (double)plan->sample_rows * centroids * plan->d >= WORTH_SHARING;
    return config->train_on == IVF_TRAIN_ON_ALL || (config->train_on == IVF_TRAIN_ON_AUTO && worth);
}

/* Who holds the sample. */
static ivf_share choose_share(const ivf_ctx *ctx, const ivf_build_config *config, const ivf_plan *plan)
{
    if (ivf_sample_is_shared(config, plan))
        return (ivf_share){.total = plan->sample_rows, .rank = ivf_ctx_rank(ctx), .size = ivf_ctx_size(ctx)};
    return (ivf_share){.total = plan->sample_rows, .rank = ivf_ctx_is_root(ctx) ? 0 : -1, .size = 1};
}

static int hold(ivf_build_state *build)
{
    build->sample = ivf_new(ivf_to_size(ivf_share_count(&build->share)), (size_t)build->plan.d * sizeof *build->sample);
    return build->sample == NULL ? MPIVF_FAILED : MPIVF_OK;
}

static size_t item_of(const ivf_plan *plan)
{
    return sizeof(int64_t) + (size_t)plan->d * sizeof(float);
}

/* Rows of a piece. Where one rank gets what all read, its pieces come from all at once. */
static int64_t room_of(const ivf_plan *plan, bool shared, int ranks, int64_t piece_bytes)
{
    int64_t rows = piece_bytes / (int64_t)item_of(plan) / (shared ? 1 : ranks);
    return ivf_max_i64(1, rows > IVF_SHARE_BLOCK ? rows / IVF_SHARE_BLOCK * IVF_SHARE_BLOCK : rows);
}

static void drop_piece(sample_state *s)
{
    ivf_free(s->items);
    ivf_free(s->reasons);
    ivf_free(s->x);
    ivf_free(s->places);
    ivf_free(s->rows);
    s->items = NULL;
    s->reasons = NULL;
    s->x = NULL;
    s->places = NULL;
    s->rows = NULL;
}

static int make_piece(sample_state *s, int64_t rows)
{
    size_t room = ivf_to_size(rows);
    s->room = rows;
    s->rows = ivf_new(room, sizeof *s->rows);
    s->places = ivf_new(room, sizeof *s->places);
    s->x = ivf_new(room, (size_t)s->build->plan.d * sizeof *s->x);
    s->reasons = ivf_new(room, 1);
    s->items = ivf_new(room, s->item);
    return s->rows == NULL || s->places == NULL || s->x == NULL || s->reasons == NULL || s->items == NULL ? MPIVF_FAILED
                                                                                                          : MPIVF_OK;
}

/* Local. Draws, and makes room for a piece and for what this rank will hold. */
static int prepare(const ivf_ctx *ctx, sample_state *s)
{
    ivf_build_state *build = s->build;
    const ivf_plan *plan = &build->plan;
    int ranks = ivf_ctx_size(ctx);
    s->item = item_of(plan);
    int rc = ivf_draw_picks(plan, build->config->seed, ivf_ctx_rank(ctx), ranks, &s->picks, &s->count);
    if (rc != MPIVF_OK)
        return rc;
    build->share = choose_share(ctx, build->config, plan);
    s->bad = ivf_new_zero(ivf_to_size(bad_words(build->config, build->plan.sample_rows)), sizeof *s->bad);
    s->before = ivf_new(ivf_to_size(bad_groups(build->config, build->plan.sample_rows)), sizeof *s->before);
    s->offsets = ivf_new((size_t)ranks + 1, sizeof *s->offsets);
    s->next = ivf_new((size_t)ranks, sizeof *s->next);
    if (s->bad == NULL || s->before == NULL || s->offsets == NULL || s->next == NULL)
        return MPIVF_FAILED;
    rc = make_piece(s, room_of(plan, build->share.size > 1, ranks, build->needs.pieces.piece_bytes));
    return rc == MPIVF_OK ? hold(build) : rc;
}

/* Collective. Unusable rows were found: the others move up. */
static int close_gaps(const ivf_ctx *ctx, sample_state *s)
{
    ivf_build_state *build = s->build;
    int64_t usable = build->share.total - s->bad_count;
    const bool trains_lists = !ivf_given_has(build->config->given, IVF_GIVEN_CENTROIDS);
    if (trains_lists && usable < build->plan.factory.nlist)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "only %" PRId64 " of %" PRId64 " sampled rows can be used, fewer than the %d lists", usable,
                        build->share.total, build->plan.factory.nlist);
    if (usable == 0)
        return ivf_fail(MPIVF_BAD_INPUT, "none of %" PRId64 " sampled rows can be used", build->share.total);
    drop_piece(s);
    int rc = ivf_agree(ctx, make_piece(s, ivf_round_up(s->room, IVF_SHARE_BLOCK)));
    s->old = build->share;
    build->share.total = usable;
    return rc == MPIVF_OK ? deal_out(ctx, s, ivf_share_count(&s->old), move_piece) : rc;
}

/* Of a piece one row in `ranks` stays; what comes is as much as what goes, or, where one rank gets all, the pieces of
 * the others. It has gone again before the next piece is read. */
int64_t ivf_sample_memory(const ivf_build_config *config, const ivf_plan *plan, int ranks, int64_t piece_bytes,
                          int64_t reading)
{
    const bool shared = ivf_sample_is_shared(config, plan);
    const double mean = (double)plan->sample_rows / ranks;
    const int64_t drawn = ivf_min_i64(plan->sample_rows, (int64_t)(mean + 6 * sqrt(mean)) + 1);
    const int64_t bad = 8 * (bad_words(config, plan->sample_rows) + bad_groups(config, plan->sample_rows));
    const int64_t item = (int64_t)item_of(plan);
    int64_t room = room_of(plan, shared, ranks, piece_bytes);
    if (config->skip_bad_rows)
        room = ivf_round_up(room, IVF_SHARE_BLOCK);
    room = ivf_min_i64(room, drawn);
    const int64_t sent = shared ? room - room / ranks : 0;
    const int64_t received = shared ? sent : room * (ranks - 1);
    return drawn * (int64_t)sizeof(ivf_pick) + bad + room * (17 + item) + sent * item +
           ivf_max_i64(received * item, reading);
}

int ivf_sample_draw(const ivf_ctx *ctx, ivf_build_state *build)
{
    sample_state s = {.build = build};
    int rc = ivf_agree(ctx, prepare(ctx, &s));
    if (rc == MPIVF_OK)
        rc = deal_out(ctx, &s, s.count, read_piece);
    if (rc == MPIVF_OK)
        share_bad(ctx, &s);
    if (rc == MPIVF_OK && s.bad_count > 0)
        rc = close_gaps(ctx, &s);
    drop_piece(&s);
    ivf_free(s.next);
    ivf_free(s.offsets);
    ivf_free(s.before);
    ivf_free(s.bad);
    ivf_free(s.picks);
    return rc;
}
