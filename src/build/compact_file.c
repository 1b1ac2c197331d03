/* One file for all lists, written by all ranks. Rank 0 makes it, through HDF5, with room for every dataset at a place
 * that is then known; each rank merges parts, and a thread of its own writes one at its offsets with plain system calls
 * while the next is merged. The checksums of datasets and of the file are of all bytes in order, and come out of the
 * sums that were computed where the bytes were put (build/compact_sums.h), a dataset a rank. Rank 0 notes those of
 * datasets, closes the file and gives it its name. No two ranks ever have it open in HDF5, and each step's outcome is
 * agreed on. */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/stop.h"
#include "build/compact_internal.h"
#include "build/compact_sums.h"
#include "build/publisher.h"
#include "comm/progress.h"
#include "comm/tickets.h"
#include "comm/transfer.h"
#include "io/outfile.h"
#include "io/publish.h"

enum { DATASETS = IVF_ALL_COLUMNS + IVF_SUMS };

typedef struct {
    ivf_compact_state *s;
    ivf_merger *merger;
    ivf_column columns[IVF_ALL_COLUMNS];
    int column_count, sum_count;
    char path[IVF_PATH_BYTES], temp[IVF_PATH_BYTES];
    ivf_h5 *h5; /* on rank 0 */
    ivf_outfile *file;
    ivf_compact_sums *sums;
    ivf_place place;
    ivf_fragment_record record; /* of the whole */
    int64_t *before;            /* [nlist + 1], owned: postings of the lists before each */
    uint64_t *checksums;        /* [most lists of a part], owned; of the thread that writes */
} shared_file;

static int prepare(shared_file *f)
{
    const ivf_manifest *m = f->s->manifest;
    const int32_t nlist = m->factory.nlist;
    f->column_count = ivf_fragment_columns(m->code_size, m->kept, f->columns);
    f->sum_count = ivf_fragment_sums(m->kept);
    f->before = ivf_new((size_t)nlist + 1, sizeof *f->before);
    f->checksums = ivf_new((size_t)f->s->parts.most_lists, sizeof *f->checksums);
    f->merger = ivf_merger_open(f->s->config->index, m, f->s->places, f->s->parts.most_lists);
    if (f->before == NULL || f->checksums == NULL || f->merger == NULL)
        return MPIVF_FAILED;
    f->before[0] = 0;
    for (int32_t l = 0; l < nlist; l++)
        f->before[l + 1] = f->before[l] + m->list_sizes[l];
    f->record = (ivf_fragment_record){.rows = m->rows, .postings = m->postings, .lists = nlist};
    f->record.digest_in = m->digest_in;
    memcpy(f->record.skipped, m->skipped, sizeof m->skipped);
    ivf_compact_name(f->s, 0, f->record.id);
    return ivf_layout_fragment(f->s->config->index, f->record.id, f->path);
}

/* Rank 0: everything but postings. What was skipped is read by a merge of no list. */
static int create(shared_file *f)
{
    const ivf_manifest *m = f->s->manifest;
    ivf_fragment *whole = NULL;
    ivf_fragment_record skipped = {0};
    int rc = ivf_publish_name(f->path, f->temp);
    if (rc == MPIVF_OK)
        rc = ivf_fragment_new(m->factory.nlist, m->code_size, 0, ivf_merger_skipped(m), &whole);
    if (rc == MPIVF_OK)
        rc = ivf_merger_run(f->merger, 0, 0, whole, &skipped);
    if (rc == MPIVF_OK) {
        whole->nlist = m->factory.nlist;
        whole->postings = m->postings;
        whole->kept = m->kept;
        for (int32_t l = 0; l <= whole->nlist; l++)
            whole->offsets[l] = (uint64_t)f->before[l];
        rc = ivf_fragment_begin(whole, &f->record, f->temp, &f->h5, &f->place);
    }
    ivf_fragment_free(whole);
    return rc;
}

/* ---- datasets ---- */

/* One that ranks write. */
typedef struct {
    const char *name;
    int64_t at;   /* of the file */
    int64_t size; /* bytes of a posting or a list */
    bool of_lists;
} dataset;

/* All of them, columns first; returns how many. */
static int list_datasets(const shared_file *f, dataset datasets[DATASETS])
{
    int n = 0;
    for (int c = 0; c < f->column_count; c++)
        datasets[n++] = (dataset){f->columns[c].name, f->place.columns[c], (int64_t)f->columns[c].bytes, false};
    for (int sums = 0; sums < f->sum_count; sums++)
        datasets[n++] = (dataset){ivf_fragment_sums_name(sums), f->place.checksums[sums], sizeof(uint64_t), true};
    return n;
}

/* What a dataset has of lists first to end - 1. */
static ivf_compact_range range_of(const shared_file *f, const dataset *d, int32_t first, int32_t end)
{
    const int64_t from = d->of_lists ? first : f->before[first];
    const int64_t to = d->of_lists ? end : f->before[end];
    return (ivf_compact_range){d->at + from * d->size, (to - from) * d->size};
}

static int list_ranges(const shared_file *f, ivf_compact_range ranges[DATASETS])
{
    dataset datasets[DATASETS];
    const int count = list_datasets(f, datasets);
    for (int i = 0; i < count; i++)
        ranges[i] = range_of(f, &datasets[i], 0, f->record.lists);
    return count;
}

/* ---- parts ---- */

static int put(const shared_file *f, const void *data, ivf_compact_range range)
{
    const int rc = ivf_compact_sums_put(f->sums, data, range.bytes, range.at);
    if (rc == MPIVF_OK && range.bytes > 0)
        ivf_outfile_hurry(f->file, range.at, range.bytes);
    return rc;
}

/* The publisher's step. */
static int put_part(void *arg, const ivf_fragment *part, ivf_fragment_record *record)
{
    const shared_file *f = arg;
    const int32_t first = record->first_list;
    const int32_t end = first + part->nlist;
    dataset datasets[DATASETS];
    int rc = MPIVF_OK;
    (void)list_datasets(f, datasets);
    for (int sums = 0; rc == MPIVF_OK && sums < f->sum_count; sums++) {
        rc = ivf_fragment_hash_lists(part, sums, f->checksums);
        if (rc == MPIVF_OK)
            rc = put(f, f->checksums, range_of(f, &datasets[f->column_count + sums], first, end));
    }
    for (int c = 0; rc == MPIVF_OK && c < f->column_count; c++)
        rc = put(f, ivf_fragment_column(part, c), range_of(f, &datasets[c], first, end));
    return rc;
}

static int merge_part(shared_file *f, ivf_publisher *publisher, int64_t number, ivf_fragment_record *record)
{
    const int32_t first = f->s->parts.starts[number];
    const int32_t end = f->s->parts.starts[number + 1];
    ivf_fragment *part = NULL;
    int rc = ivf_publisher_take(publisher, f->before[end] - f->before[first], 0, &part);
    if (rc != MPIVF_OK)
        return rc;
    *record = (ivf_fragment_record){0};
    rc = ivf_merger_run(f->merger, first, end - first, part, record);
    f->record.digest_out += record->digest_in; /* on rank 0, in the end, of all ranks */
    return rc == MPIVF_OK ? ivf_publisher_put(publisher, part, record) : rc;
}

static int merge_drawn(shared_file *f, ivf_tickets *tickets, ivf_progress *progress)
{
    const ivf_compact_state *s = f->s;
    const ivf_publisher_room room = {.nlist = s->parts.most_lists,
                                     .code_size = s->manifest->code_size,
                                     .kept = s->manifest->kept,
                                     .most = s->parts.most_postings};
    ivf_fragment_record records[IVF_PUBLISHER_HELD]; /* of parts that are on their way: as many, in turn */
    ivf_publisher_times times;
    int64_t made = 0;
    ivf_publisher *publisher = ivf_publisher_open_step(put_part, f, s->held, &room);
    int rc = publisher == NULL ? MPIVF_FAILED : MPIVF_OK;
    for (int64_t t = rc != MPIVF_OK ? -1 : ivf_tickets_draw(tickets); t >= 0; t = ivf_tickets_draw(tickets)) {
        rc = ivf_stop_check();
        if (rc == MPIVF_OK)
            rc = merge_part(f, publisher, t, &records[made++ % s->held]);
        if (rc != MPIVF_OK)
            break;
        ivf_progress_add(progress, f->before[s->parts.starts[t + 1]] - f->before[s->parts.starts[t]]);
    }
    if (rc != MPIVF_OK)
        ivf_tickets_withdraw(tickets);
    ivf_error failure = *ivf_error_last();
    const int written = ivf_publisher_close(publisher, &times);
    if (rc != MPIVF_OK)
        ivf_error_set(&failure);
    return rc != MPIVF_OK ? rc : written;
}

static int merge_parts(const ivf_ctx *ctx, shared_file *f)
{
    ivf_tickets *tickets = ivf_tickets_open(ctx, f->s->parts.count);
    if (tickets == NULL)
        return ivf_error_last()->code;
    ivf_progress *progress = ivf_progress_open(ctx, "compact", "rows", f->s->manifest->postings);
    int rc = progress == NULL ? ivf_error_last()->code : merge_drawn(f, tickets, progress);
    ivf_progress_close(ctx, progress);
    ivf_tickets_close(ctx, tickets);
    return ivf_agree(ctx, rc);
}

/* ---- checksums ---- */

/* Blocks that have bytes of two parts; the parts in turn. */
static int mend_borders(const ivf_ctx *ctx, const shared_file *f)
{
    const ivf_compact_parts *parts = &f->s->parts;
    const int32_t nlist = f->record.lists;
    dataset datasets[DATASETS];
    const int count = list_datasets(f, datasets);
    int rc = MPIVF_OK;
    for (int64_t p = 1 + ivf_ctx_rank(ctx); rc == MPIVF_OK && p < parts->count; p += ivf_ctx_size(ctx)) {
        rc = ivf_stop_check();
        for (int i = 0; rc == MPIVF_OK && i < count; i++)
            rc = ivf_compact_sums_mend(f->sums, range_of(f, &datasets[i], 0, nlist),
                                       range_of(f, &datasets[i], parts->starts[p], nlist).at);
    }
    return ivf_agree(ctx, rc);
}

/* The datasets in turn, from the last rank down: rank 0 has the whole file to sum in the end. */
static int sum_datasets(const ivf_ctx *ctx, const shared_file *f, uint64_t sums[DATASETS])
{
    ivf_compact_range ranges[DATASETS];
    const int count = list_ranges(f, ranges);
    const int size = ivf_ctx_size(ctx);
    int rc = mend_borders(ctx, f);
    if (rc != MPIVF_OK)
        return rc;
    memset(sums, 0, DATASETS * sizeof *sums);
    for (int i = 0; rc == MPIVF_OK && i < count; i++)
        if (ivf_ctx_rank(ctx) == size - 1 - i % size)
            rc = ivf_compact_sums_range(f->sums, ranges[i], &sums[i]);
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK)
        ivf_allsum_u64(ctx, sums, count);
    return rc;
}

/* Rank 0: the file as it will stay, and its checksum. */
static int finish(shared_file *f, const uint64_t sums[DATASETS])
{
    dataset datasets[DATASETS];
    const int count = list_datasets(f, datasets);
    int rc = MPIVF_OK;
    for (int i = 0; rc == MPIVF_OK && i < count; i++)
        rc = ivf_h5_seal(f->h5, datasets[i].name, sums[i]);
    if (rc != MPIVF_OK)
        return rc;
    rc = ivf_h5_close(f->h5);
    f->h5 = NULL;
    if (rc != MPIVF_OK)
        return rc;
    ivf_compact_range ranges[DATASETS];
    return ivf_compact_sums_whole(f->sums, ranges, list_ranges(f, ranges), &f->record.bytes, &f->record.checksum);
}

/* ---- all of it ---- */

static int64_t end_of_datasets(const shared_file *f)
{
    ivf_compact_range ranges[DATASETS];
    const int count = list_ranges(f, ranges);
    int64_t end = 0;
    for (int i = 0; i < count; i++)
        end = ivf_max_i64(end, ranges[i].at + ranges[i].bytes);
    return end;
}

static int begin(const ivf_ctx *ctx, shared_file *f)
{
    int rc = ivf_agree(ctx, prepare(f));
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? create(f) : MPIVF_OK);
    if (rc != MPIVF_OK)
        return rc;
    ivf_bcast(ctx, &f->place, sizeof f->place);
    rc = ivf_outfile_adopt(ctx, f->path, f->temp, end_of_datasets(f), &f->file);
    return rc == MPIVF_OK ? ivf_compact_sums_open(ctx, f->path, f->file, end_of_datasets(f), &f->sums) : rc;
}

/* Collective. */
static int publish(const ivf_ctx *ctx, shared_file *f, int rc)
{
    const ivf_fragment_record *expected = f->s->expected;
    bool differs = rc == MPIVF_OK && expected != NULL && ivf_ctx_is_root(ctx) &&
                   (f->record.bytes != expected->bytes || f->record.checksum != expected->checksum);
    if (rc == MPIVF_OK)
        ivf_bcast(ctx, &differs, sizeof differs);
    if (!differs)
        return ivf_outfile_close(ctx, f->file, rc);
    ivf_outfile_drop(ctx, f->file);
    return MPIVF_OK;
}

static int write_all(const ivf_ctx *ctx, shared_file *f)
{
    uint64_t sums[DATASETS] = {0};
    uint64_t digest = 0;
    int rc = begin(ctx, f);
    if (rc == MPIVF_OK)
        rc = merge_parts(ctx, f);
    if (rc == MPIVF_OK)
        rc = sum_datasets(ctx, f, sums);
    if (rc == MPIVF_OK) {
        digest = f->record.digest_out;
        ivf_allsum_u64(ctx, &digest, 1);
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? finish(f, sums) : MPIVF_OK);
    }
    f->record.digest_out = digest;
    ivf_compact_sums_close(ctx, f->sums);
    rc = publish(ctx, f, rc);
    ivf_h5_abandon(f->h5);
    return rc;
}

/* The ids that were merged, and those that are in no list, are all that the version had. */
static int keep_record(shared_file *f)
{
    const ivf_compact_state *s = f->s;
    for (int64_t i = 0; i < s->manifest->fragment_count; i++)
        f->record.digest_out += s->places[i].skipped;
    if (f->record.digest_out != f->record.digest_in)
        return ivf_fail(MPIVF_CORRUPT,
                        "%s: the ids that were merged are not those of version %" PRId64
                        "; nothing is committed, see mpivf verify",
                        s->config->index, s->manifest->version);
    f->s->records[0] = f->record;
    f->s->record_count = 1;
    return MPIVF_OK;
}

int ivf_compact_file(const ivf_ctx *ctx, ivf_compact_state *s)
{
    shared_file f = {.s = s};
    int rc = write_all(ctx, &f);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? keep_record(&f) : MPIVF_OK);
    ivf_merger_close(f.merger);
    ivf_free(f.checksums);
    ivf_free(f.before);
    return rc;
}
