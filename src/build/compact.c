/* Compaction, rank by rank: tickets for parts, each merged in memory (build/merge.h) and handed to the publisher, which
 * writes it and makes it durable while the next one is merged; then the records meet on rank 0, and the manifest is
 * committed as a build's is. Memory: build/compact_plan.c. Collectives: an all-gather of the places of fragments,
 * tickets and progress, a gather of records, agreements. */
#include "build/compact.h"

#include <inttypes.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/pulse.h"
#include "base/stop.h"
#include "base/text.h"
#include "build/compact_internal.h"
#include "build/publisher.h"
#include "comm/progress.h"
#include "comm/tickets.h"
#include "comm/transfer.h"
#include "index/folders.h"

/* ---- what there is ---- */

static bool is_done_already(const ivf_compact_state *s)
{
    const ivf_manifest *m = s->manifest;
    return m->layout == IVF_LAYOUT_LISTS && m->compacted.single_file == s->config->single_file &&
           m->compacted.fragment_bytes == s->config->fragment_bytes;
}

static void say_plan(const ivf_compact_state *s)
{
    char bytes[24];
    ivf_info("version %" PRId64 ": %" PRId64 " fragments of %" PRId64 " postings into %" PRId64
             "; memory of a rank, at most: %s",
             s->manifest->version, s->manifest->fragment_count, s->manifest->postings,
             s->config->single_file ? 1 : s->parts.count, ivf_text_bytes((double)s->planned, bytes));
}

static int open_source(const ivf_ctx *ctx, ivf_compact_state *s)
{
    int rc = ivf_manifest_open(ctx, s->config->index, &s->manifest);
    if (rc == MPIVF_OK && s->manifest->rows == 0)
        rc = ivf_fail(MPIVF_USAGE, "%s holds a model and no rows; there is nothing to merge", s->config->index);
    if (rc != MPIVF_OK || is_done_already(s))
        return rc;
    ivf_memory_trim();
    s->base = ivf_memory_resident();
    ivf_allmax_i64(ctx, &s->base, 1);
    rc = ivf_agree(ctx, ivf_compact_plan(s, ivf_ctx_size(ctx)));
    if (rc != MPIVF_OK)
        return rc;
    say_plan(s);
    s->places = ivf_new(ivf_to_size(s->manifest->fragment_count), sizeof *s->places);
    s->pending = ivf_new(ivf_to_size(s->parts.count), sizeof *s->pending);
    s->records = ivf_new_zero(ivf_to_size(s->parts.count), sizeof *s->records);
    rc = s->places == NULL || s->pending == NULL || s->records == NULL ? MPIVF_FAILED : MPIVF_OK;
    rc = ivf_agree(ctx, rc);
    return rc == MPIVF_OK ? ivf_place_find_all(ctx, s->config->index, s->manifest, s->places) : rc;
}

static int claim(const ivf_ctx *ctx, ivf_compact_state *s)
{
    int64_t numbers[2] = {0};
    int rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? ivf_compact_claim(s) : MPIVF_OK);
    if (rc != MPIVF_OK)
        return rc;
    numbers[0] = s->version;
    numbers[1] = s->pending_count;
    ivf_bcast(ctx, numbers, sizeof numbers);
    ivf_bcast(ctx, s->build_id, sizeof s->build_id);
    ivf_bcast(ctx, s->folder, sizeof s->folder);
    s->version = numbers[0];
    s->pending_count = numbers[1];
    ivf_bcast(ctx, s->pending, ivf_to_size(s->pending_count) * sizeof *s->pending);
    return MPIVF_OK;
}

/* ---- fragments ---- */

static int64_t postings_of(const ivf_compact_state *s, int64_t part)
{
    int64_t postings = 0;
    for (int32_t l = s->parts.starts[part]; l < s->parts.starts[part + 1]; l++)
        postings += s->manifest->list_sizes[l];
    return postings;
}

static int merge_part(ivf_compact_state *s, ivf_merger *merger, ivf_publisher *publisher, int64_t part)
{
    const int32_t first = s->parts.starts[part];
    const int64_t skipped = part == 0 ? ivf_merger_skipped(s->manifest) : 0;
    ivf_fragment *fragment = NULL;
    int rc = ivf_publisher_take(publisher, postings_of(s, part), skipped, &fragment);
    if (rc != MPIVF_OK)
        return rc;
    ivf_fragment_record *record = &s->records[s->record_count++];
    *record = (ivf_fragment_record){.number = part};
    ivf_compact_name(s, part, record->id);
    rc = ivf_merger_run(merger, first, s->parts.starts[part + 1] - first, fragment, record);
    return rc == MPIVF_OK ? ivf_publisher_put(publisher, fragment, record) : rc;
}

static int merge_drawn(ivf_compact_state *s, ivf_tickets *tickets, ivf_progress *progress)
{
    const ivf_publisher_room room = {.nlist = s->parts.most_lists,
                                     .code_size = s->manifest->code_size,
                                     .kept = s->manifest->kept,
                                     .most = s->parts.most_postings};
    ivf_publisher_times times;
    ivf_merger *merger = ivf_merger_open(s->config->index, s->manifest, s->places, s->parts.most_lists);
    ivf_publisher *publisher = ivf_publisher_open(s->config->index, s->folder, NULL, &room);
    int rc = merger == NULL || publisher == NULL ? MPIVF_FAILED : MPIVF_OK;
    for (int64_t t = rc != MPIVF_OK ? -1 : ivf_tickets_draw(tickets); t >= 0; t = ivf_tickets_draw(tickets)) {
        rc = ivf_stop_point();
        if (rc == MPIVF_OK)
            rc = merge_part(s, merger, publisher, s->pending[t]);
        if (rc != MPIVF_OK)
            break;
        ivf_progress_add(progress, postings_of(s, s->pending[t]));
    }
    if (rc != MPIVF_OK)
        ivf_tickets_withdraw(tickets);
    ivf_error failure = *ivf_error_last();
    const int published = ivf_publisher_close(publisher, &times);
    ivf_merger_close(merger);
    if (rc != MPIVF_OK)
        ivf_error_set(&failure);
    return rc != MPIVF_OK ? rc : published;
}

static int merge_all(const ivf_ctx *ctx, ivf_compact_state *s)
{
    int64_t pending = 0;
    for (int64_t i = 0; i < s->pending_count; i++)
        pending += postings_of(s, s->pending[i]);
    ivf_tickets *tickets = ivf_tickets_open(ctx, s->pending_count);
    if (tickets == NULL)
        return ivf_error_last()->code;
    ivf_progress *progress = ivf_progress_open(ctx, "compact", "rows", pending);
    int rc = progress == NULL ? ivf_error_last()->code : merge_drawn(s, tickets, progress);
    ivf_progress_close(ctx, progress);
    ivf_tickets_close(ctx, tickets);
    return ivf_agree(ctx, rc);
}

/* ---- the new version ---- */

/* Rank 0: every part's record once, in the order of the lists. */
static int place_records(const ivf_compact_state *s, const ivf_gathered *gathered, int64_t bytes,
                         ivf_fragment_record *all, int64_t made)
{
    const int64_t count = bytes / (int64_t)sizeof *all;
    const ivf_fragment_record *records = (const ivf_fragment_record *)(const void *)gathered->data;
    if (count != made || ivf_fault("gather"))
        return ivf_fail(MPIVF_FAILED, "%s: %" PRId64 " fragments were made of %" PRId64 "; nothing is committed",
                        s->config->index, count, made);
    for (int64_t i = 0; i < count; i++) {
        if (all[records[i].number].lists != 0)
            return ivf_fail(MPIVF_FAILED, "fragment %" PRId64 " was made twice; nothing is committed",
                            records[i].number);
        all[records[i].number] = records[i];
    }
    return MPIVF_OK;
}

/* What was read is what the version had: the rest of conservation is checked with every manifest. */
static int compare_totals(const ivf_compact_state *s, const ivf_manifest *made)
{
    const ivf_manifest *m = s->manifest;
    if (made->digest_in == m->digest_in && made->postings == m->postings &&
        memcmp(made->skipped, m->skipped, sizeof m->skipped) == 0)
        return MPIVF_OK;
    return ivf_fail(MPIVF_CORRUPT,
                    "%s: the ids that were merged are not those of version %" PRId64
                    "; nothing is committed, see mpivf verify",
                    s->config->index, m->version);
}

static int commit(const ivf_ctx *ctx, ivf_compact_state *s, ivf_fragment_record *records, int64_t count)
{
    ivf_manifest m = *s->manifest; /* the input, its lists and its model stay as they were */
    m.version = s->version;
    m.layout = IVF_LAYOUT_LISTS;
    m.compacted = (ivf_manifest_origin){.version = s->manifest->version,
                                        .fragment_bytes = s->config->fragment_bytes,
                                        .single_file = s->config->single_file};
    memcpy(m.compacted.build_id, s->manifest->build_id, sizeof m.compacted.build_id);
    memcpy(m.build_id, s->build_id, sizeof m.build_id);
    m.fragments = records;
    m.fragment_count = count;
    m.postings = 0;
    m.digest_in = m.digest_out = 0;
    memset(m.skipped, 0, sizeof m.skipped);
    m.build = ivf_manifest_describe_run(ctx, s->started);
    ivf_manifest_add_totals(&m);
    int rc = m.build == NULL ? MPIVF_FAILED : compare_totals(s, &m);
    if (rc == MPIVF_OK)
        rc = ivf_fault("commit") ? MPIVF_FAILED : ivf_manifest_check(&m, s->config->index);
    if (rc == MPIVF_OK)
        rc = ivf_manifest_commit(&m, s->config->index);
    s->committed = rc == MPIVF_OK;
    json_decref(m.build);
    return rc;
}

static int commit_gathered(const ivf_ctx *ctx, ivf_compact_state *s, const ivf_gathered *gathered,
                           ivf_compact_result *result)
{
    const int64_t made = s->config->single_file ? 1 : s->parts.count;
    ivf_fragment_record *all = ivf_new_zero(ivf_to_size(made), sizeof *all);
    int rc = all == NULL ? MPIVF_FAILED : place_records(s, gathered, gathered->offsets[ivf_ctx_size(ctx)], all, made);
    if (rc == MPIVF_OK)
        rc = ivf_folders_sync(s->config->index);
    if (rc == MPIVF_OK)
        rc = commit(ctx, s, all, made);
    for (int64_t i = 0; rc == MPIVF_OK && i < made; i++)
        result->bytes += all[i].bytes;
    result->fragments = made;
    ivf_free(all);
    return rc;
}

static int commit_all(const ivf_ctx *ctx, ivf_compact_state *s, ivf_compact_result *result)
{
    ivf_gathered gathered;
    int rc = ivf_gather_bytes(ctx, s->records, ivf_to_size(s->record_count) * sizeof *s->records, &gathered);
    if (rc != MPIVF_OK)
        return rc;
    rc = ivf_agree(ctx, MPIVF_OK); /* the last place where a stop is heeded */
    ivf_stop_forbid();
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? commit_gathered(ctx, s, &gathered, result) : MPIVF_OK);
    ivf_gathered_free(&gathered);
    return rc;
}

/* ---- all of it ---- */

static int compact(const ivf_ctx *ctx, ivf_compact_state *s, ivf_compact_result *result)
{
    int rc = open_source(ctx, s);
    if (rc != MPIVF_OK)
        return rc;
    result->already = is_done_already(s);
    result->version = s->manifest->version;
    result->from = result->already ? s->manifest->compacted.version : s->manifest->version;
    result->postings = s->manifest->postings;
    if (result->already)
        return MPIVF_OK;
    rc = claim(ctx, s);
    if (rc == MPIVF_OK)
        rc = s->config->single_file ? ivf_compact_file(ctx, s) : merge_all(ctx, s);
    if (rc == MPIVF_OK)
        rc = commit_all(ctx, s, result);
    if (rc == MPIVF_OK)
        result->version = s->version;
    return rc;
}

static void end(const ivf_ctx *ctx, ivf_compact_state *s)
{
    ivf_error failure = *ivf_error_last();
    ivf_barrier(ctx); /* nobody writes any more */
    if (ivf_ctx_is_root(ctx))
        ivf_compact_release(s);
    ivf_free(s->records);
    ivf_free(s->pending);
    ivf_free(s->parts.starts);
    ivf_free(s->places);
    ivf_manifest_free(s->manifest);
    ivf_error_set(&failure);
}

int ivf_compact(const ivf_ctx *ctx, const ivf_compact_config *config, ivf_compact_result *result)
{
    ivf_compact_state s = {.config = config, .started = ivf_clock()};
    *result = (ivf_compact_result){0};
    ivf_pulse_enter("compact");
    int rc = compact(ctx, &s, result);
    result->kept = s.kept;
    result->planned = s.planned;
    end(ctx, &s);
    result->peak = ivf_memory_resident_peak();
    ivf_allmax_i64(ctx, &result->peak, 1);
    result->seconds = ivf_clock() - s.started;
    return rc;
}
