/* One file for all lists, written by all ranks. Rank 0 makes it, through HDF5, with room for every dataset at a place
 * that is then known; each rank merges parts and writes them at their offsets with plain system calls. The checksums of
 * datasets are of all their bytes in order: a rank that is alone has them in order as it writes, several ranks read the
 * datasets back, a dataset each. Rank 0 notes these, closes the file and gives it its name. No two ranks ever have it
 * open in HDF5, and each step's outcome is agreed on. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/stop.h"
#include "build/compact_internal.h"
#include "comm/progress.h"
#include "comm/tickets.h"
#include "comm/transfer.h"
#include "io/outfile.h"
#include "io/publish.h"

enum { PIECE_BYTES = 1 << 20, DATASETS = IVF_ALL_COLUMNS + IVF_SUMS };

typedef struct {
    ivf_compact_state *s;
    ivf_merger *merger;
    ivf_column columns[IVF_ALL_COLUMNS];
    int column_count, sums;
    char path[IVF_PATH_BYTES], temp[IVF_PATH_BYTES];
    ivf_h5 *h5; /* on rank 0 */
    ivf_outfile *file;
    ivf_place place;
    ivf_fragment_record record;        /* of the whole */
    int64_t *before;                   /* [nlist + 1], owned: postings of the lists before each */
    ivf_fragment *part;                /* that is merged, owned */
    uint64_t *checksums;               /* [most lists of a part], owned */
    ivf_hasher *sums_so_far[DATASETS]; /* of a rank that is alone, in the order of list_datasets; owned */
} shared_file;

static int prepare(shared_file *f)
{
    const ivf_manifest *m = f->s->manifest;
    const int32_t nlist = m->factory.nlist;
    f->column_count = ivf_fragment_columns(m->code_size, m->kept, f->columns);
    f->sums = ivf_fragment_sums(m->kept);
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
    int rc = ivf_layout_fragment(f->s->config->index, f->record.id, f->path);
    if (rc == MPIVF_OK)
        rc = ivf_fragment_new(f->s->parts.most_lists, m->code_size, f->s->parts.most_postings, 0, &f->part);
    if (rc == MPIVF_OK && m->kept.d > 0)
        rc = ivf_fragment_keep(f->part, m->kept);
    return rc;
}

/* Tickets of one rank come in order, and so do its parts. */
static int watch_order(const ivf_ctx *ctx, shared_file *f)
{
    const int count = ivf_ctx_size(ctx) == 1 ? f->column_count + f->sums : 0;
    for (int i = 0; i < count; i++) {
        f->sums_so_far[i] = ivf_hasher_new();
        if (f->sums_so_far[i] == NULL)
            return MPIVF_FAILED;
    }
    return MPIVF_OK;
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

/* ---- parts ---- */

/* What lies in a dataset behind what was put there before. */
static int put(const shared_file *f, int dataset, const void *data, size_t bytes, int64_t at)
{
    if (f->sums_so_far[dataset] != NULL)
        ivf_hasher_add(f->sums_so_far[dataset], data, bytes);
    return ivf_outfile_put(f->file, data, bytes, at);
}

static int put_part(const shared_file *f, int32_t first, const ivf_fragment *part)
{
    int rc = MPIVF_OK;
    for (int sums = 0; rc == MPIVF_OK && sums < f->sums; sums++) {
        const int64_t at = f->place.checksums[sums] + 8 * (int64_t)first;
        rc = ivf_fragment_hash_lists(part, sums, f->checksums);
        if (rc == MPIVF_OK)
            rc = put(f, f->column_count + sums, f->checksums, (size_t)part->nlist * 8, at);
    }
    for (int c = 0; rc == MPIVF_OK && c < f->column_count && part->postings > 0; c++) {
        const int64_t size = (int64_t)f->columns[c].bytes;
        const int64_t at = f->place.columns[c] + f->before[first] * size;
        rc = put(f, c, ivf_fragment_column(part, c), ivf_to_size(part->postings * size), at);
        ivf_outfile_hurry(f->file, at, part->postings * size);
    }
    return rc;
}

static int merge_part(shared_file *f, int64_t number)
{
    const int32_t first = f->s->parts.starts[number];
    const int32_t end = f->s->parts.starts[number + 1];
    ivf_fragment_record record = {0};
    f->part->nlist = end - first;
    f->part->postings = f->before[end] - f->before[first];
    int rc = ivf_merger_run(f->merger, first, end - first, f->part, &record);
    f->record.digest_out += record.digest_in; /* on rank 0, in the end, of all ranks */
    return rc == MPIVF_OK ? put_part(f, first, f->part) : rc;
}

static int merge_parts(const ivf_ctx *ctx, shared_file *f)
{
    const ivf_compact_state *s = f->s;
    ivf_tickets *tickets = ivf_tickets_open(ctx, s->parts.count);
    if (tickets == NULL)
        return ivf_error_last()->code;
    ivf_progress *progress = ivf_progress_open(ctx, "compact", "rows", s->manifest->postings);
    int rc = progress == NULL ? ivf_error_last()->code : MPIVF_OK;
    for (int64_t t = rc != MPIVF_OK ? -1 : ivf_tickets_draw(tickets); t >= 0; t = ivf_tickets_draw(tickets)) {
        rc = ivf_stop_check();
        if (rc == MPIVF_OK)
            rc = merge_part(f, t);
        if (rc != MPIVF_OK)
            break;
        ivf_progress_add(progress, f->before[s->parts.starts[t + 1]] - f->before[s->parts.starts[t]]);
    }
    if (rc != MPIVF_OK)
        ivf_tickets_withdraw(tickets);
    ivf_progress_close(ctx, progress);
    ivf_tickets_close(ctx, tickets);
    return ivf_agree(ctx, rc);
}

/* ---- checksums ---- */

/* One that ranks write. */
typedef struct {
    const char *name;
    int64_t at, bytes; /* of the file */
} dataset;

/* All of them; returns how many. */
static int list_datasets(const shared_file *f, dataset datasets[DATASETS])
{
    int n = 0;
    for (int c = 0; c < f->column_count; c++)
        datasets[n++] =
            (dataset){f->columns[c].name, f->place.columns[c], f->record.postings * (int64_t)f->columns[c].bytes};
    for (int sums = 0; sums < f->sums; sums++)
        datasets[n++] = (dataset){ivf_fragment_sums_name(sums), f->place.checksums[sums], 8 * (int64_t)f->record.lists};
    return n;
}

static int sum_range(const shared_file *f, int64_t at, int64_t bytes, uint64_t *sum)
{
    void *piece = ivf_new(PIECE_BYTES, 1);
    ivf_hasher *hasher = ivf_hasher_new();
    int rc = piece == NULL || hasher == NULL ? MPIVF_FAILED : MPIVF_OK;
    for (int64_t done = 0; rc == MPIVF_OK && done < bytes;) {
        const int64_t n = ivf_min_i64(PIECE_BYTES, bytes - done);
        rc = ivf_stop_check();
        if (rc == MPIVF_OK)
            rc = ivf_outfile_get(f->file, piece, ivf_to_size(n), at + done);
        if (rc == MPIVF_OK)
            ivf_hasher_add(hasher, piece, ivf_to_size(n));
        done += n;
    }
    if (rc == MPIVF_OK)
        *sum = ivf_hasher_end(hasher);
    ivf_hasher_free(hasher);
    ivf_free(piece);
    return rc;
}

/* The datasets in turn, from the last rank down: rank 0 has the whole file to read in the end. */
static int sum_datasets(const ivf_ctx *ctx, const shared_file *f, uint64_t sums[DATASETS])
{
    dataset datasets[DATASETS];
    const int count = list_datasets(f, datasets);
    const int size = ivf_ctx_size(ctx);
    int rc = MPIVF_OK;
    memset(sums, 0, DATASETS * sizeof *sums);
    for (int i = 0; rc == MPIVF_OK && i < count; i++)
        if (f->sums_so_far[i] != NULL)
            sums[i] = ivf_hasher_end(f->sums_so_far[i]);
        else if (ivf_ctx_rank(ctx) == size - 1 - i % size)
            rc = sum_range(f, datasets[i].at, datasets[i].bytes, &sums[i]);
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK)
        ivf_allsum_u64(ctx, sums, count);
    return rc;
}

/* Rank 0. */
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
    return rc;
}

/* ---- all of it ---- */

static int64_t end_of_datasets(const shared_file *f)
{
    dataset datasets[DATASETS];
    const int count = list_datasets(f, datasets);
    int64_t end = 0;
    for (int i = 0; i < count; i++)
        end = ivf_max_i64(end, datasets[i].at + datasets[i].bytes);
    return end;
}

static int begin(const ivf_ctx *ctx, shared_file *f)
{
    int rc = prepare(f);
    rc = ivf_agree(ctx, rc == MPIVF_OK ? watch_order(ctx, f) : rc);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? create(f) : MPIVF_OK);
    if (rc != MPIVF_OK)
        return rc;
    ivf_bcast(ctx, &f->place, sizeof f->place);
    return ivf_outfile_adopt(ctx, f->path, f->temp, end_of_datasets(f), &f->file);
}

/* Rank 0. Looks at the file before it gets its name. */
static int compare_expected(shared_file *f, bool *differs)
{
    const ivf_fragment_record *expected = f->s->expected;
    if (expected == NULL)
        return MPIVF_OK;
    int rc = ivf_file_checksum(f->temp, &f->record.bytes, &f->record.checksum);
    *differs = f->record.bytes != expected->bytes || f->record.checksum != expected->checksum;
    return rc;
}

/* Collective. */
static int publish(const ivf_ctx *ctx, shared_file *f, int rc)
{
    bool differs = false;
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? compare_expected(f, &differs) : MPIVF_OK);
    if (rc == MPIVF_OK)
        ivf_bcast(ctx, &differs, sizeof differs);
    if (!differs)
        return ivf_outfile_close_summed(ctx, f->file, rc, &f->record.bytes, &f->record.checksum);
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
    for (int i = 0; i < DATASETS; i++)
        ivf_hasher_free(f.sums_so_far[i]);
    ivf_merger_close(f.merger);
    ivf_fragment_free(f.part);
    ivf_free(f.checksums);
    ivf_free(f.before);
    return rc;
}
