/* In a fragment a list is one run of each dataset, and neighbouring lists are neighbouring runs. A job goes fragment by
 * fragment and dataset by dataset: pieces that follow each other in the file are read in one go, scattered to where
 * they belong, so that nothing is copied in memory. Before the first read the system is told of all of them, and so has
 * many requests at the disk at once. */
#include "index/reader_internal.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "index/layout.h"

/* ---- opening ---- */

static ivf_keeping kept_of(const ivf_manifest *manifest, ivf_reader_use use)
{
    return use.vectors ? manifest->kept : (ivf_keeping){0};
}

/* Words of a fragment's tables for n lists. */
static int64_t table_words(int64_t n, int sums)
{
    return n * (1 + sums) + 1;
}

int64_t ivf_reader_memory(const ivf_manifest *manifest, int64_t from, int64_t to, int32_t span, ivf_reader_use use)
{
    const int sums = ivf_fragment_sums(kept_of(manifest, use));
    int64_t bytes = (int64_t)sizeof(ivf_reader) + IVF_READER_GAP + (to - from) * (int64_t)sizeof(void *) +
                    ivf_min_i64(to - from, IVF_READER_FILES) * (int64_t)sizeof(ivf_rawfile) + 8 * (int64_t)span;
    int32_t first = 0;
    int32_t lists = 0;
    for (int64_t f = from; use.held && f < to; f++) {
        ivf_manifest_lists_of(manifest, &manifest->fragments[f], &first, &lists);
        bytes += 8 * table_words(lists, sums);
    }
    return use.held ? bytes : bytes + 8 * table_words(span, sums);
}

int ivf_reader_internal_take(ivf_reader *r, int64_t f, ivf_rawfile *spare, ivf_rawfile **file)
{
    char path[IVF_PATH_BYTES];
    const int64_t place = f - r->from;
    *file = place < IVF_READER_FILES ? &r->files[place] : spare;
    if ((*file)->fd >= 0)
        return MPIVF_OK;
    int rc = ivf_layout_fragment(r->index, r->manifest->fragments[f].id, path);
    if (rc == MPIVF_OK)
        rc = ivf_rawfile_open(path, *file);
    (*file)->path = r->manifest->fragments[f].id;
    if (rc != MPIVF_OK)
        (*file)->fd = -1;
    return rc;
}

void ivf_reader_internal_give(ivf_rawfile *file, const ivf_rawfile *spare)
{
    if (file == spare && file->fd >= 0)
        ivf_rawfile_close(file);
}

int ivf_reader_internal_refuse_change(const ivf_reader *r, int64_t f)
{
    return ivf_fail(MPIVF_CORRUPT, "fragment %s has changed while it was read; see mpivf verify",
                    r->manifest->fragments[f].id);
}

/* Offsets and checksums of n lists, from a fragment's list `at` on, into offsets[n + 1] and checksums[sums][n]. They
 * were found sound before; a file that changes meanwhile must not lead astray. */
static int read_tables(const ivf_reader *r, int64_t f, const ivf_rawfile *file, int32_t at, int32_t n, uint64_t *into)
{
    const ivf_place *p = &r->places[f - r->from];
    int rc = ivf_rawfile_read(file, p->offsets + 8 * (int64_t)at, 8 * ((size_t)n + 1), into);
    for (int sums = 0; rc == MPIVF_OK && n > 0 && sums < r->sums; sums++)
        rc = ivf_rawfile_read(file, p->checksums[sums] + 8 * (int64_t)at, 8 * (size_t)n, into + table_words(n, sums));
    bool sound = rc != MPIVF_OK || into[n] <= (uint64_t)r->manifest->fragments[f].postings;
    for (int32_t l = 0; rc == MPIVF_OK && l < n; l++)
        sound = sound && into[l] <= into[l + 1];
    return sound ? rc : ivf_reader_internal_refuse_change(r, f);
}

static int hold_tables(ivf_reader *r)
{
    int rc = MPIVF_OK;
    for (int64_t f = r->from; rc == MPIVF_OK && f < r->to; f++) {
        ivf_rawfile spare = {.fd = -1};
        ivf_rawfile *file = NULL;
        int32_t first = 0;
        int32_t lists = 0;
        ivf_manifest_lists_of(r->manifest, &r->manifest->fragments[f], &first, &lists);
        uint64_t *table = ivf_new(ivf_to_size(table_words(lists, r->sums)), sizeof *table);
        r->held[f - r->from] = table;
        rc = table == NULL ? MPIVF_FAILED : ivf_reader_internal_take(r, f, &spare, &file);
        if (rc == MPIVF_OK)
            rc = read_tables(r, f, file, 0, lists, table);
        ivf_reader_internal_give(file, &spare);
    }
    return rc;
}

static int prepare(ivf_reader *r, ivf_reader_use use)
{
    const ivf_keeping kept = kept_of(r->manifest, use);
    const size_t count = ivf_to_size(r->to - r->from);
    const size_t files = (size_t)ivf_min_i64(r->to - r->from, IVF_READER_FILES);
    r->column_count = ivf_fragment_columns(r->manifest->code_size, kept, r->columns);
    r->sums = ivf_fragment_sums(kept);
    r->files = ivf_new_zero(files, sizeof *r->files);
    for (size_t i = 0; r->files != NULL && i < files; i++)
        r->files[i].fd = -1;
    r->gap = ivf_new(IVF_READER_GAP, 1);
    r->hasher = ivf_hasher_new();
    r->again = ivf_hasher_new();
    r->held = use.held ? ivf_new_zero(count, sizeof *r->held) : NULL;
    if (r->files == NULL || r->gap == NULL || r->hasher == NULL || r->again == NULL || (use.held && r->held == NULL))
        return MPIVF_FAILED;
    return use.held ? hold_tables(r) : MPIVF_OK;
}

ivf_reader *ivf_reader_open(const char *index, const ivf_manifest *manifest, const ivf_place *places, int64_t from,
                            int64_t to, ivf_reader_use use)
{
    ivf_reader *r = ivf_new_zero(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->index = index;
    r->manifest = manifest;
    r->places = places;
    r->from = from;
    r->to = to;
    if (prepare(r, use) == MPIVF_OK)
        return r;
    ivf_reader_close(r);
    return NULL;
}

void ivf_reader_close(ivf_reader *reader)
{
    if (reader == NULL)
        return;
    for (int64_t i = 0; reader->files != NULL && i < ivf_min_i64(reader->to - reader->from, IVF_READER_FILES); i++)
        if (reader->files[i].fd >= 0)
            ivf_rawfile_close(&reader->files[i]);
    for (int64_t f = 0; reader->held != NULL && f < reader->to - reader->from; f++)
        ivf_free(reader->held[f]);
    ivf_free((void *)reader->held);
    ivf_free(reader->files);
    ivf_free(reader->scratch);
    ivf_free(reader->filled);
    ivf_free(reader->gap);
    ivf_hasher_free(reader->again);
    ivf_hasher_free(reader->hasher);
    ivf_free(reader);
}

/* ---- a job ---- */

static int make_room(ivf_reader *r, const ivf_reader_job *job)
{
    const int64_t span = (int64_t)job->lists[job->count - 1] - job->lists[0] + 1;
    if (job->count > r->filled_lists) {
        ivf_free(r->filled);
        r->filled_lists = 0;
        r->filled = ivf_new((size_t)job->count, sizeof *r->filled);
        if (r->filled == NULL)
            return MPIVF_FAILED;
        r->filled_lists = job->count;
    }
    memset(r->filled, 0, (size_t)job->count * sizeof *r->filled);
    if (r->held == NULL && span > r->scratch_lists) {
        ivf_free(r->scratch);
        r->scratch_lists = 0;
        r->scratch = ivf_new(ivf_to_size(table_words(span, r->sums)), sizeof *r->scratch);
        if (r->scratch == NULL)
            return MPIVF_FAILED;
        r->scratch_lists = span;
    }
    return MPIVF_OK;
}

int ivf_reader_internal_tables(const ivf_reader *r, const ivf_reader_job *job, int64_t f, const ivf_rawfile *file,
                               ivf_reader_tables *t)
{
    int32_t first = 0;
    int32_t lists = 0;
    ivf_manifest_lists_of(r->manifest, &r->manifest->fragments[f], &first, &lists);
    const int32_t from = job->lists[0] > first ? job->lists[0] : first;
    const int32_t last = (int32_t)ivf_min_i64(job->lists[job->count - 1], (int64_t)first + lists - 1);
    *t = (ivf_reader_tables){.first = from, .n = last >= from ? last - from + 1 : 0};
    if (t->n == 0)
        return MPIVF_OK;
    /* Held are the tables of all its lists. */
    const int32_t skipped = r->held != NULL ? from - first : 0;
    const int32_t n = r->held != NULL ? lists : t->n;
    uint64_t *table = r->held != NULL ? r->held[f - r->from] : r->scratch;
    t->offsets = table + skipped;
    for (int sums = 0; sums < r->sums; sums++)
        t->checksums[sums] = table + table_words(n, sums) + skipped;
    return r->held != NULL ? MPIVF_OK : read_tables(r, f, file, from - first, t->n, table);
}

/* Postings of the job's list i in the fragment. */
static int64_t size_in(const ivf_reader_job *job, const ivf_reader_tables *t, int32_t i)
{
    const int32_t l = job->lists[i] - t->first;
    return l < 0 || l >= t->n ? 0 : (int64_t)(t->offsets[l + 1] - t->offsets[l]);
}

static int check_room(const ivf_reader *r, const ivf_reader_job *job, int64_t f, const ivf_reader_tables *t)
{
    for (int32_t i = 0; i < job->count; i++)
        if (size_in(job, t, i) > job->sizes[i] - r->filled[i])
            return ivf_reader_internal_refuse_change(r, f);
    return MPIVF_OK;
}

/* One read that is being put together. */
typedef struct {
    ivf_reader *r;
    const ivf_rawfile *file;
    bool announces; /* only tells the system */
    int64_t at;     /* of the file */
    int64_t bytes;
    int count;
} run;

static int finish_run(run *u)
{
    int rc = MPIVF_OK;
    if (u->announces)
        ivf_rawfile_expect(u->file, u->at, u->bytes);
    else if (u->count > 0)
        rc = ivf_rawfile_scatter(u->file, u->at, u->r->pieces, u->count);
    u->at += u->bytes;
    u->bytes = 0;
    u->count = 0;
    return rc;
}

static int add_piece(run *u, void *to, int64_t bytes)
{
    int rc = MPIVF_OK;
    while (rc == MPIVF_OK && bytes > 0) {
        const int64_t n = ivf_min_i64(bytes, IVF_READER_BYTES - u->bytes);
        if (!u->announces)
            u->r->pieces[u->count++] = (struct iovec){.iov_base = to, .iov_len = (size_t)n};
        u->bytes += n;
        bytes -= n;
        to = (char *)to + n;
        if (u->bytes == IVF_READER_BYTES || u->count == IVF_READER_PIECES)
            rc = finish_run(u);
    }
    return rc;
}

int ivf_reader_internal_read(ivf_reader *r, const ivf_rawfile *file, int64_t at, void *to, int64_t bytes)
{
    run u = {.r = r, .file = file, .at = at};
    int rc = add_piece(&u, to, bytes);
    return rc == MPIVF_OK ? finish_run(&u) : rc;
}

/* All of the job's lists in one dataset of one fragment. */
static int read_column(ivf_reader *r, const ivf_reader_job *job, int64_t f, const ivf_reader_tables *t, int column,
                       run u)
{
    const int64_t base = r->places[f - r->from].columns[column];
    const int64_t size = (int64_t)r->columns[column].bytes;
    int rc = MPIVF_OK;
    for (int32_t i = 0; rc == MPIVF_OK && i < job->count; i++) {
        const int64_t n = size_in(job, t, i);
        if (n == 0)
            continue;
        const int64_t at = base + (int64_t)t->offsets[job->lists[i] - t->first] * size;
        const int64_t gap = at - u.at - u.bytes;
        if (u.bytes > 0 && gap > 0 && gap <= IVF_READER_GAP)
            rc = add_piece(&u, r->gap, gap);
        else if (gap != 0)
            rc = finish_run(&u);
        if (u.bytes == 0)
            u.at = at;
        if (rc == MPIVF_OK)
            rc = add_piece(&u, job->to[i][column] + r->filled[i] * size, n * size);
    }
    return rc == MPIVF_OK ? finish_run(&u) : rc;
}

int ivf_reader_internal_check_ids(const ivf_reader *r, int64_t f, int32_t list, const uint8_t *ids, int64_t n)
{
    uint64_t any = 0;
    for (int64_t i = 0; i < n; i++) {
        uint64_t id; /* which need not be aligned */
        memcpy(&id, ids + i * (int64_t)sizeof id, sizeof id);
        any |= id;
    }
    return any <= INT64_MAX ? MPIVF_OK
                            : ivf_fail(MPIVF_CORRUPT, "fragment %s: list %d has an id above 2^63 - 1",
                                       r->manifest->fragments[f].id, list);
}

int ivf_reader_internal_refuse(const ivf_reader *r, int64_t f, int32_t list, int sums)
{
    return ivf_fail(MPIVF_CORRUPT, "fragment %s: list %d does not have its checksum%s; see mpivf verify",
                    r->manifest->fragments[f].id, list, sums == IVF_SUMS_VECTORS ? " of vectors" : "");
}

/* The n postings that were read last of the job's list i. */
static uint64_t hash_list(ivf_reader *r, const ivf_reader_job *job, int32_t i, int64_t n, int sums)
{
    ivf_hasher_reset(r->hasher);
    for (int c = 0; c < r->column_count; c++)
        if (r->columns[c].sums == sums)
            ivf_hasher_add(r->hasher, job->to[i][c] + ivf_to_size(r->filled[i]) * r->columns[c].bytes,
                           ivf_to_size(n) * r->columns[c].bytes);
    return ivf_hasher_end(r->hasher);
}

static int check_lists(ivf_reader *r, const ivf_reader_job *job, int64_t f, const ivf_reader_tables *t)
{
    for (int32_t i = 0; i < job->count; i++) {
        const int64_t n = size_in(job, t, i);
        if (n == 0)
            continue;
        for (int sums = 0; sums < r->sums; sums++)
            if (hash_list(r, job, i, n, sums) != t->checksums[sums][job->lists[i] - t->first])
                return ivf_reader_internal_refuse(r, f, job->lists[i], sums);
        const uint8_t *ids = job->to[i][IVF_COLUMN_IDS] + ivf_to_size(r->filled[i]) * sizeof(uint64_t);
        const int rc = ivf_reader_internal_check_ids(r, f, job->lists[i], ids, n);
        if (rc != MPIVF_OK)
            return rc;
        r->filled[i] += n;
    }
    return MPIVF_OK;
}

static int read_fragment(ivf_reader *r, const ivf_reader_job *job, int64_t f, bool announces)
{
    ivf_rawfile spare = {.fd = -1};
    ivf_rawfile *file = NULL;
    ivf_reader_tables t = {0};
    int rc = ivf_reader_internal_take(r, f, &spare, &file);
    if (rc == MPIVF_OK)
        rc = ivf_reader_internal_tables(r, job, f, file, &t);
    if (rc == MPIVF_OK)
        rc = check_room(r, job, f, &t);
    for (int c = 0; rc == MPIVF_OK && t.n > 0 && c < r->column_count; c++)
        rc = read_column(r, job, f, &t, c, (run){.r = r, .file = file, .announces = announces});
    if (rc == MPIVF_OK && t.n > 0 && !announces)
        rc = check_lists(r, job, f, &t);
    ivf_reader_internal_give(file, &spare);
    return rc == MPIVF_BAD_INPUT ? ivf_reader_internal_refuse_change(r, f)
                                 : rc; /* the file has become shorter, or is gone */
}

int ivf_reader_run(ivf_reader *reader, const ivf_reader_job *job)
{
    int rc = job->count == 0 ? MPIVF_OK : make_room(reader, job);
    if (rc == MPIVF_OK && job->whole > 0)
        return ivf_reader_internal_piece(reader, job);
    for (int announces = 1; rc == MPIVF_OK && job->count > 0 && announces >= 0; announces--)
        for (int64_t f = reader->from; rc == MPIVF_OK && f < reader->to; f++)
            if (reader->manifest->fragments[f].postings > 0)
                rc = read_fragment(reader, job, f, announces != 0);
    for (int32_t i = 0; rc == MPIVF_OK && i < job->count; i++)
        if (reader->filled[i] != job->sizes[i])
            rc = ivf_fail(MPIVF_CORRUPT, "%s: list %d has changed while it was read; see mpivf verify", reader->index,
                          job->lists[i]);
    return rc;
}
