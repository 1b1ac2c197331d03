#include "build/assign.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "build/encode.h"
#include "build/publisher.h"
#include "comm/progress.h"
#include "comm/shared.h"
#include "comm/tickets.h"
#include "io/stream.h"
#include "math/simd.h"

enum { BLOCK_ROWS = 1024 };

/* What one rank's loop works with. */
typedef struct {
    ivf_build_state *build;
    ivf_tickets *tickets;
    ivf_progress *progress;
    ivf_shared *packed; /* centroids as the encoder wants them, once for the ranks of a node */
    ivf_encoder *encoder;
    int depth;          /* blocks of the input that are held */
    int64_t block_rows; /* of each; where blocks end does not change what becomes of a row */
    ivf_stream *stream;
    ivf_publisher *publisher;
    /* The fragment under way, in the order of its rows. */
    int32_t *list;    /* [fragment_rows] */
    uint64_t *ids;    /* [fragment_rows] */
    uint8_t *reasons; /* [fragment_rows] */
    uint8_t *codes;   /* [fragment_rows][code_size] */
    uint8_t *vectors; /* [fragment_rows][bytes of a kept one] */
} assign_state;

static int open_work(assign_state *s)
{
    const ivf_plan *plan = &s->build->plan;
    size_t rows = ivf_to_size(ivf_min_i64(plan->fragment_rows, plan->rows));
    s->list = ivf_new(rows, sizeof *s->list);
    s->ids = ivf_new(rows, sizeof *s->ids);
    s->reasons = ivf_new(rows, 1);
    s->codes = ivf_new(rows, plan->code_size);
    s->vectors = ivf_new(rows, ivf_kept_bytes(plan->kept));
    if (s->list == NULL || s->ids == NULL || s->reasons == NULL || s->codes == NULL || s->vectors == NULL)
        return MPIVF_FAILED;
    const ivf_needs_pieces *planned = &s->build->needs.pieces;
    s->block_rows = planned->block_rows;
    s->depth = planned->depth;
    if (s->block_rows == 0) {
        s->block_rows = ivf_assign_block_rows(plan, &s->build->model->way, ivf_team_size());
        s->depth = IVF_ASSIGN_DEPTH;
    }
    s->stream = ivf_stream_open(s->build->dataset, s->block_rows, s->depth);
    if (s->stream == NULL)
        return ivf_error_last()->code;
    s->publisher =
        ivf_publisher_open(s->build->config->index, s->build->folder, s->build->expected,
                           &(ivf_publisher_room){plan->factory.nlist, plan->code_size, plan->kept, (int64_t)rows});
    return s->publisher == NULL ? MPIVF_FAILED : MPIVF_OK;
}

/* Collective. One rank of a node packs the centroids, the others look at them. */
static int open_encoder(const ivf_ctx *ctx, assign_state *s)
{
    const ivf_model *model = s->build->model;
    const ivf_plan *plan = &s->build->plan;
    const int64_t bytes = ivf_encoder_shared_memory(plan, &model->tree, &model->way);
    int rc = ivf_shared_new(ctx, ivf_to_size(bytes), (int64_t)ivf_simd_level(), &s->packed);
    if (rc != MPIVF_OK)
        return rc;
    void *block = ivf_shared_data(s->packed);
    if (ivf_shared_fills(s->packed))
        s->encoder = ivf_encoder_new(model, plan, block, false);
    rc = ivf_shared_fills(s->packed) && s->encoder == NULL ? MPIVF_FAILED : MPIVF_OK;
    ivf_shared_finish(ctx, s->packed);
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK && s->encoder == NULL)
        s->encoder = ivf_encoder_new(model, plan, block, true);
    return ivf_agree(ctx, rc == MPIVF_OK && s->encoder == NULL ? MPIVF_FAILED : rc);
}

/* `worked`: seconds from the first ticket to the last fragment handed over, some of them waited. */
static void account_for(const assign_state *s, double worked, const ivf_publisher_times *output)
{
    ivf_account *account = &s->build->account;
    ivf_stream_times input = s->stream != NULL ? ivf_stream_took(s->stream) : (ivf_stream_times){0};
    ivf_account_part(account, IVF_PART_COMPUTING, worked - input.waiting - output->waiting);
    ivf_account_part(account, IVF_PART_READING, input.reading);
    ivf_account_part(account, IVF_PART_WRITING, output->writing);
    ivf_account_part(account, IVF_PART_WAITING_INPUT, input.waiting);
    ivf_account_part(account, IVF_PART_WAITING_OUTPUT, output->waiting + output->closing);
}

/* Waits for the publisher, and so returns its failure. */
static int close_work(assign_state *s, int rc, double worked)
{
    ivf_error failure = *ivf_error_last();
    ivf_publisher_times output;
    int published = ivf_publisher_close(s->publisher, &output);
    if (rc != MPIVF_OK)
        ivf_error_set(&failure);
    account_for(s, worked, &output);
    ivf_stream_close(s->stream);
    ivf_encoder_free(s->encoder);
    ivf_shared_free(s->packed);
    ivf_free(s->vectors);
    ivf_free(s->codes);
    ivf_free(s->reasons);
    ivf_free(s->ids);
    ivf_free(s->list);
    return rc != MPIVF_OK ? rc : published;
}

/* The next fragment's ticket, its rows queued for reading; -1 when none is left. */
static int draw_next(assign_state *s, int64_t *number)
{
    const ivf_plan *plan = &s->build->plan;
    int64_t ticket = ivf_tickets_draw(s->tickets);
    *number = ticket < 0 ? -1 : s->build->pending[ticket];
    if (ticket < 0)
        return MPIVF_OK;
    return ivf_stream_push(s->stream, ivf_plan_fragment_first(plan, *number), ivf_plan_fragment_count(plan, *number));
}

static int judge_rows(assign_state *s, int64_t first_row, const uint8_t *reasons, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (reasons[i] == IVF_ROW_OK)
            continue;
        if (!s->build->config->skip_bad_rows)
            return ivf_build_refuse_row(s->build->dataset, first_row + i, reasons[i]);
        ivf_build_list_skipped(s->build, first_row + i, reasons[i]);
    }
    return MPIVF_OK;
}

static int take_block(assign_state *s, const ivf_stream_block *block, int64_t at)
{
    size_t code_size = s->build->plan.code_size;
    const ivf_keeping kept = s->build->plan.kept;
    int rc = ivf_ids_read(s->build->ids, block->first, block->n, s->ids + at);
    if (rc == MPIVF_OK && kept.d > 0) /* before the encoder changes them */
        ivf_kept_put(kept, s->build->plan.metric, block->x, block->n, s->vectors + (size_t)at * ivf_kept_bytes(kept));
    if (rc == MPIVF_OK)
        rc = ivf_encoder_run(s->encoder, block->x, block->n, s->list + at, s->reasons + at,
                             s->codes + (size_t)at * code_size);
    if (rc == MPIVF_OK)
        rc = judge_rows(s, block->first, s->reasons + at, block->n);
    if (rc == MPIVF_OK)
        ivf_progress_add(s->progress, block->n);
    return rc;
}

/* Reads and encodes the present fragment; draws the next one while the reader still has blocks ahead, so that it never
 * idles. */
static int take_rows(assign_state *s, int64_t rows, int64_t *next)
{
    ivf_stream_block block = {0};
    bool drawn = false;
    int rc = MPIVF_OK;
    for (int64_t at = 0; rc == MPIVF_OK && at < rows; at += block.n) {
        rc = ivf_stream_next(s->stream, &block);
        if (rc == MPIVF_OK && !drawn && rows - at - block.n <= s->depth * s->block_rows) {
            rc = draw_next(s, next);
            drawn = true;
        }
        if (rc == MPIVF_OK)
            rc = take_block(s, &block, at);
    }
    return rc;
}

static int64_t count_skipped(const assign_state *s, int64_t rows)
{
    int64_t count = 0;
    for (int64_t i = 0; i < rows; i++)
        count += s->list[i] < 0;
    return count;
}

/* A counting sort: offsets from counts, then each posting to its place; within a list the order of the rows stays. */
static void sort_into_lists(const assign_state *s, int64_t first_row, int64_t rows, ivf_fragment *f)
{
    const size_t size = ivf_kept_bytes(f->kept);
    int64_t skipped = 0;
    for (int64_t i = 0; i < rows; i++)
        if (s->list[i] >= 0)
            f->offsets[s->list[i] + 1]++;
    for (int32_t l = 0; l < f->nlist; l++) {
        s->build->list_sizes[l] += (int64_t)f->offsets[l + 1];
        f->offsets[l + 1] += f->offsets[l];
    }
    for (int64_t i = 0; i < rows; i++) {
        if (s->list[i] < 0) {
            f->skipped_rows[skipped] = (uint64_t)(first_row + i);
            f->skipped_ids[skipped] = s->ids[i];
            f->skipped_reasons[skipped++] = s->reasons[i];
            continue;
        }
        uint64_t at = f->offsets[s->list[i]]++;
        f->ids[at] = s->ids[i];
        memcpy(f->codes + at * f->code_size, s->codes + (size_t)i * f->code_size, f->code_size);
        if (size > 0)
            memcpy(f->vectors + at * size, s->vectors + (size_t)i * size, size);
    }
    /* Each offset has moved to its list's end, which is where the next list starts. */
    memmove(f->offsets + 1, f->offsets, (size_t)f->nlist * sizeof *f->offsets);
    f->offsets[0] = 0;
}

static int publish_fragment(assign_state *s, int64_t number)
{
    ivf_build_state *build = s->build;
    int64_t first_row = ivf_plan_fragment_first(&build->plan, number);
    int64_t rows = ivf_plan_fragment_count(&build->plan, number);
    int64_t skipped = count_skipped(s, rows);
    ivf_fragment *fragment = NULL;
    int rc = ivf_publisher_take(s->publisher, rows - skipped, skipped, &fragment);
    if (rc != MPIVF_OK)
        return rc;
    sort_into_lists(s, first_row, rows, fragment);
    ivf_fragment_record *record = &build->records[build->record_count++];
    *record = (ivf_fragment_record){
        .number = number, .first_row = first_row, .rows = rows, .digest_in = ivf_digest_ids(s->ids, rows)};
    ivf_plan_fragment_id(&build->plan, number, record->id);
    return ivf_publisher_put(s->publisher, fragment, record);
}

static int work(assign_state *s)
{
    int64_t number = -1;
    int64_t next = -1;
    int rc = draw_next(s, &number);
    for (; rc == MPIVF_OK && number >= 0; number = next) {
        next = -1;
        rc = take_rows(s, ivf_plan_fragment_count(&s->build->plan, number), &next);
        if (rc == MPIVF_OK)
            rc = publish_fragment(s, number);
    }
    return rc;
}

int64_t ivf_assign_block_rows(const ivf_plan *plan, const ivf_nearest_way *way, int threads)
{
    int64_t rows = ivf_max_i64(BLOCK_ROWS, 2 * ivf_nearest_way_rows(way) * threads);
    return ivf_min_i64(rows, ivf_min_i64(plan->fragment_rows, plan->rows));
}

int64_t ivf_assign_memory(const ivf_build_config *config, const ivf_plan *plan, int64_t rows)
{
    const int64_t kept = rows * (int64_t)ivf_kept_bytes(plan->kept);
    const int64_t staged = rows * (int64_t)(sizeof(int32_t) + sizeof(uint64_t) + 1 + plan->code_size) + kept;
    const int64_t records = plan->fragments * (int64_t)sizeof(ivf_fragment_record);
    const int64_t fragment = ivf_fragment_memory(plan->factory.nlist, plan->code_size, plan->kept, rows) +
                             (config->skip_bad_rows ? ivf_fragment_skipped_memory(rows) : 0);
    return staged + IVF_PUBLISHER_HELD * fragment + records + 8 * (int64_t)plan->factory.nlist;
}

int ivf_assign_fragments(const ivf_ctx *ctx, ivf_build_state *build)
{
    assign_state s = {.build = build};
    double worked = 0;
    int rc = ivf_agree(ctx, open_work(&s));
    if (rc == MPIVF_OK)
        rc = open_encoder(ctx, &s);
    if (rc == MPIVF_OK) {
        s.tickets = ivf_tickets_open(ctx, build->pending_count);
        rc = s.tickets == NULL ? ivf_error_last()->code : MPIVF_OK;
    }
    if (rc == MPIVF_OK) {
        s.progress = ivf_progress_open(ctx, "assign", "rows", build->pending_rows);
        rc = s.progress == NULL ? ivf_error_last()->code : MPIVF_OK;
    }
    if (rc == MPIVF_OK) {
        double started = ivf_clock();
        rc = work(&s);
        worked = ivf_clock() - started;
        if (rc != MPIVF_OK)
            ivf_tickets_withdraw(s.tickets);
    }
    rc = close_work(&s, rc, worked);
    double finished = ivf_clock();
    ivf_progress_close(ctx, s.progress);
    ivf_tickets_close(ctx, s.tickets);
    ivf_account_part(&build->account, IVF_PART_WAITING_RANKS, ivf_clock() - finished);
    return ivf_agree(ctx, rc);
}
