#include "interop/import.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/stop.h"
#include "base/text.h"
#include "comm/progress.h"
#include "comm/tickets.h"
#include "comm/transfer.h"
#include "index/folders.h"
#include "index/manifest.h"
#include "interop/import_internal.h"
#include "io/distinct.h"

static const int64_t MOST_FRAGMENTS = 1000000; /* a record of each is in the manifest */

/* ---- what the file holds ---- */

/* A file under its absolute name. */
static int open_file(const char *path, char absolute[IVF_PATH_BYTES], ivf_rawfile *file)
{
    _Static_assert(IVF_PATH_BYTES >= PATH_MAX, "realpath writes so much");
    int rc = realpath(path, absolute) == NULL ? ivf_rawfile_refuse(errno, path) : MPIVF_OK;
    return rc == MPIVF_OK ? ivf_rawfile_open(absolute, file) : rc;
}

static int share_numbers(const ivf_ctx *ctx, int64_t **numbers, int32_t n)
{
    if (!ivf_ctx_is_root(ctx))
        *numbers = ivf_new((size_t)n, sizeof **numbers);
    int rc = ivf_agree(ctx, *numbers == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc == MPIVF_OK)
        ivf_bcast(ctx, *numbers, (size_t)n * sizeof **numbers);
    return rc;
}

/* Rank 0 reads, every rank gets it. */
static int share_head(const ivf_ctx *ctx, ivf_import_state *s)
{
    ivf_faiss_index *f = &s->faiss;
    int rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? ivf_faiss_read(&s->file, f) : MPIVF_OK);
    if (rc != MPIVF_OK)
        return rc;
    ivf_faiss_index plain = *f;
    ivf_bcast(ctx, &plain, sizeof plain);
    if (!ivf_ctx_is_root(ctx)) {
        *f = plain;
        f->sizes = f->codes_at = f->ids_at = NULL;
    }
    rc = share_numbers(ctx, &f->sizes, f->factory.nlist);
    if (rc == MPIVF_OK)
        rc = share_numbers(ctx, &f->codes_at, f->factory.nlist);
    return rc == MPIVF_OK ? share_numbers(ctx, &f->ids_at, f->factory.nlist) : rc;
}

static int open_lists(ivf_import_state *s)
{
    const ivf_faiss_index *f = &s->faiss;
    s->stamps[s->stamp_count++] =
        (ivf_stamp){.path = s->file.path, .bytes = s->file.bytes, .mtime_ns = s->file.mtime_ns};
    if (!f->on_disk) {
        s->lists = s->file;
        return MPIVF_OK;
    }
    int rc = open_file(f->data, s->lists_path, &s->lists);
    if (rc == MPIVF_OK)
        s->stamps[s->stamp_count++] =
            (ivf_stamp){.path = s->lists.path, .bytes = s->lists.bytes, .mtime_ns = s->lists.mtime_ns};
    return rc;
}

static int plan(ivf_import_state *s)
{
    const ivf_faiss_index *f = &s->faiss;
    const bool full = f->factory.codec.kind == IVF_CODEC_FLAT || f->factory.codec.kind == IVF_CODEC_FLAT16;
    int rc = full ? ivf_codec_new(&f->factory.codec, f->d, &s->codec) : MPIVF_OK;
    s->starts = ivf_new((size_t)f->factory.nlist + 1, sizeof *s->starts);
    if (rc != MPIVF_OK || s->starts == NULL)
        return MPIVF_FAILED;
    s->starts[0] = 0;
    for (int32_t l = 0; l < f->factory.nlist; l++)
        s->starts[l + 1] = s->starts[l] + f->sizes[l];
    s->fragment_rows = s->config->fragment_rows > 0
                           ? s->config->fragment_rows
                           : ivf_fragment_usual_rows(f->rows, f->factory.nlist, (size_t)f->code_size);
    s->fragments = ivf_ceil_div(f->rows, s->fragment_rows);
    if (f->rows == 0)
        return ivf_fail(MPIVF_BAD_INPUT, "input %s holds no rows", s->file.path);
    if (s->fragments > MOST_FRAGMENTS)
        return ivf_fail(MPIVF_USAGE,
                        "fragments of %" PRId64 " rows would be %" PRId64 ", at most %" PRId64
                        " are possible; use --fragment-rows %" PRId64 " or more",
                        s->fragment_rows, s->fragments, MOST_FRAGMENTS, ivf_ceil_div(f->rows, MOST_FRAGMENTS));
    return MPIVF_OK;
}

static int read_head(const ivf_ctx *ctx, ivf_import_state *s)
{
    int rc = ivf_agree(ctx, open_file(s->config->file, s->file_path, &s->file));
    if (rc == MPIVF_OK)
        rc = share_head(ctx, s);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, open_lists(s));
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, plan(s));
    return rc == MPIVF_OK ? ivf_stamps_take(ctx, s->stamps, s->stamp_count) : rc;
}

/* Each rank looks at its share of the ids, before any work is done. */
static int check_ids(const ivf_ctx *ctx, ivf_import_state *s)
{
    const int64_t first = s->faiss.rows / ivf_ctx_size(ctx) * ivf_ctx_rank(ctx);
    const bool is_last = ivf_ctx_rank(ctx) == ivf_ctx_size(ctx) - 1;
    const int64_t n = is_last ? s->faiss.rows - first : s->faiss.rows / ivf_ctx_size(ctx);
    uint64_t twice = 0;
    uint64_t *ids = ivf_new(ivf_to_size(n), sizeof *ids);
    int rc = ivf_agree(ctx, ids == NULL ? MPIVF_FAILED : ivf_import_read_ids(s, first, n, ids));
    if (rc != MPIVF_OK || ids == NULL) {
        ivf_free(ids);
        return rc;
    }
    s->digest = ivf_digest_ids(ids, n);
    ivf_allsum_u64(ctx, &s->digest, 1);
    rc = ivf_distinct_check(ctx, ids, n, &twice);
    if (rc == MPIVF_OK && twice != UINT64_MAX)
        rc = ivf_fail(MPIVF_BAD_INPUT, "input %s: the id %" PRIu64 " occurs more than once; ids must be distinct",
                      s->file.path, twice);
    return rc;
}

/* ---- fragments ---- */

static int claim(const ivf_ctx *ctx, ivf_import_state *s)
{
    int rc = MPIVF_OK;
    if (ivf_ctx_is_root(ctx)) {
        rc = ivf_import_read_model(s, &s->model);
        if (rc == MPIVF_OK)
            rc = ivf_import_claim(s);
    }
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK)
        ivf_bcast(ctx, s->build_id, sizeof s->build_id);
    return rc;
}

static int add_record(ivf_import_state *s, ivf_fragment_record **record)
{
    if (s->record_count == s->record_room) {
        const int64_t room = 2 * s->record_room + 16;
        ivf_fragment_record *grown = ivf_resize(s->records, ivf_to_size(room), sizeof *grown);
        if (grown == NULL)
            return MPIVF_FAILED;
        s->records = grown;
        s->record_room = room;
    }
    *record = &s->records[s->record_count++];
    return MPIVF_OK;
}

static int import_fragment(ivf_import_state *s, int64_t number)
{
    const int64_t first = number * s->fragment_rows;
    const int64_t n = ivf_min_i64(s->fragment_rows, s->faiss.rows - first);
    ivf_fragment *fragment = NULL;
    ivf_fragment_record *record = NULL;
    int rc = add_record(s, &record);
    if (rc == MPIVF_OK)
        rc = ivf_fragment_new(s->faiss.factory.nlist, (size_t)s->faiss.code_size, n, 0, &fragment);
    if (rc == MPIVF_OK)
        rc = ivf_import_read_rows(s, first, n, fragment);
    if (rc == MPIVF_OK) {
        *record = (ivf_fragment_record){.number = number, .first_row = first, .rows = n};
        (void)snprintf(record->id, sizeof record->id, "%.16s-%06" PRId64, s->build_id, number);
        record->digest_in = ivf_digest_ids(fragment->ids, n);
        rc = ivf_fragment_write(fragment, s->config->index, record);
    }
    ivf_fragment_free(fragment);
    return rc;
}

static int import_fragments(const ivf_ctx *ctx, ivf_import_state *s)
{
    ivf_tickets *tickets = ivf_tickets_open(ctx, s->fragments);
    if (tickets == NULL)
        return MPIVF_FAILED;
    ivf_progress *progress = ivf_progress_open(ctx, "import", "rows", s->faiss.rows);
    int rc = progress == NULL ? MPIVF_FAILED : MPIVF_OK;
    for (int64_t t = rc != MPIVF_OK ? -1 : ivf_tickets_draw(tickets); t >= 0; t = ivf_tickets_draw(tickets)) {
        if (rc == MPIVF_OK)
            rc = ivf_stop_check();
        if (rc == MPIVF_OK)
            rc = import_fragment(s, t);
        if (rc != MPIVF_OK)
            ivf_tickets_withdraw(tickets);
        ivf_progress_add(progress, ivf_min_i64(s->fragment_rows, s->faiss.rows - t * s->fragment_rows));
    }
    ivf_progress_close(ctx, progress);
    ivf_tickets_close(ctx, tickets);
    return ivf_agree(ctx, rc);
}

/* ---- the commit ---- */

/* Rank 0: the ranks' records in the order of their rows. */
static int order_records(const ivf_import_state *s, const ivf_gathered *gathered, ivf_fragment_record **ordered)
{
    const ivf_fragment_record *records = (const ivf_fragment_record *)(const void *)gathered->data;
    uint64_t digest = 0;
    *ordered = ivf_new(ivf_to_size(s->fragments), sizeof **ordered);
    if (*ordered == NULL)
        return MPIVF_FAILED;
    for (int64_t i = 0; i < s->fragments; i++) {
        (*ordered)[records[i].number] = records[i];
        digest += records[i].digest_in;
    }
    return digest == s->digest
               ? MPIVF_OK
               : ivf_fail(MPIVF_BAD_INPUT, "input %s: its ids have changed while they were read", s->file.path);
}

static int write_model(ivf_import_state *s)
{
    char path[IVF_PATH_BYTES];
    int rc = ivf_layout_model(s->config->index, s->model->id, path);
    s->model_is_new = rc == MPIVF_OK && access(path, F_OK) != 0;
    return rc == MPIVF_OK ? ivf_model_write(s->model, s->config->index, &s->model_bytes, &s->model_checksum) : rc;
}

static ivf_manifest_shard describe_shard(const ivf_stamp *stamp, int64_t first_row, int64_t rows)
{
    return (ivf_manifest_shard){.path = (char *)stamp->path,
                                .format = "faiss",
                                .rows = rows,
                                .first_row = first_row,
                                .bytes = stamp->bytes,
                                .mtime_ns = stamp->mtime_ns,
                                .checksum = stamp->checksum};
}

static int commit(const ivf_ctx *ctx, ivf_import_state *s, ivf_fragment_record *records)
{
    ivf_manifest_shard shards[2];
    /* The rows come from the file of the lists, which is the last one. */
    for (int i = 0; i < s->stamp_count; i++)
        shards[i] = describe_shard(&s->stamps[i], 0, i == s->stamp_count - 1 ? s->faiss.rows : 0);
    ivf_manifest m = {.version = s->version,
                      .model_bytes = s->model_bytes,
                      .model_checksum = s->model_checksum,
                      .d = s->faiss.d_in,
                      .metric = s->faiss.metric,
                      .factory = s->faiss.factory,
                      .code_size = (size_t)s->faiss.code_size,
                      .rows = s->faiss.rows,
                      .list_sizes = s->faiss.sizes,
                      .fragment_count = s->fragments,
                      .fragments = records,
                      .shard_count = s->stamp_count,
                      .shards = shards,
                      .config = s->config->config,
                      .build = ivf_manifest_describe_run(ctx, s->started)};
    memcpy(m.build_id, s->build_id, sizeof m.build_id);
    memcpy(m.model_id, s->model->id, sizeof m.model_id);
    ivf_manifest_add_totals(&m);
    int rc = m.build == NULL ? MPIVF_FAILED : ivf_manifest_check(&m, s->config->index);
    if (rc == MPIVF_OK)
        rc = ivf_manifest_commit(&m, s->config->index);
    s->committed = rc == MPIVF_OK;
    json_decref(m.build);
    return rc;
}

static int commit_gathered(const ivf_ctx *ctx, ivf_import_state *s, const ivf_gathered *gathered)
{
    ivf_fragment_record *records = NULL;
    int rc = order_records(s, gathered, &records);
    if (rc == MPIVF_OK)
        rc = write_model(s);
    if (rc == MPIVF_OK)
        rc = ivf_folders_sync(s->config->index);
    if (rc == MPIVF_OK)
        rc = commit(ctx, s, records);
    ivf_free(records);
    return rc;
}

static int commit_all(const ivf_ctx *ctx, ivf_import_state *s)
{
    ivf_gathered gathered;
    bool changed = false;
    int rc = ivf_stamps_check(ctx, s->stamps, s->stamp_count, &changed);
    if (rc == MPIVF_OK)
        rc = ivf_gather_bytes(ctx, s->records, (size_t)s->record_count * sizeof *s->records, &gathered);
    if (rc != MPIVF_OK)
        return rc;
    ivf_stop_forbid();
    rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? commit_gathered(ctx, s, &gathered) : MPIVF_OK);
    ivf_gathered_free(&gathered);
    return rc;
}

static void end(const ivf_ctx *ctx, ivf_import_state *s)
{
    ivf_error failure = *ivf_error_last();
    ivf_barrier(ctx); /* nobody writes any more */
    if (ivf_ctx_is_root(ctx))
        ivf_import_release(s);
    if (s->lists.fd >= 0 && s->lists.fd != s->file.fd)
        ivf_rawfile_close(&s->lists);
    if (s->file.fd >= 0)
        ivf_rawfile_close(&s->file);
    ivf_model_free(s->model);
    ivf_codec_free(s->codec);
    ivf_faiss_free(&s->faiss);
    ivf_free(s->starts);
    ivf_free(s->records);
    ivf_error_set(&failure);
}

static void report_on(const ivf_import_state *s, ivf_import_report *report)
{
    *report = (ivf_import_report){.version = s->version,
                                  .rows = s->faiss.rows,
                                  .fragments = s->fragments,
                                  .d = s->faiss.d_in,
                                  .metric = s->faiss.metric,
                                  .factory = s->faiss.factory,
                                  .nprobe = s->faiss.nprobe,
                                  .has_graph = s->faiss.has_graph};
}

int ivf_import(const ivf_ctx *ctx, const ivf_import_config *config, ivf_import_report *report)
{
    ivf_import_state *s = ivf_new_zero(1, sizeof *s);
    int rc = ivf_agree(ctx, s == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc != MPIVF_OK || s == NULL) {
        ivf_free(s);
        return rc;
    }
    s->config = config;
    s->started = ivf_clock();
    s->file.fd = s->lists.fd = -1;
    rc = read_head(ctx, s);
    if (rc == MPIVF_OK)
        rc = check_ids(ctx, s);
    if (rc == MPIVF_OK)
        rc = claim(ctx, s);
    if (rc == MPIVF_OK)
        rc = import_fragments(ctx, s);
    if (rc == MPIVF_OK)
        rc = commit_all(ctx, s);
    end(ctx, s);
    report_on(s, report);
    ivf_free(s);
    return rc;
}
