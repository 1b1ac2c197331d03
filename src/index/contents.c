/* A fragment's contents, read once from end to end in pieces: ids and codes side by side, list by list, so that one
 * pass yields the checksums of these datasets and of every list. A changed byte then shows in one dataset and in one
 * list; a changed boundary or checksum shows in its own dataset and in the lists that it belongs to, whose ids and
 * codes are sound. Memory: 16 bytes a list, and a piece of each dataset of postings. */
#include "index/contents.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "io/h5.h"

enum { PIECE_BYTES = 1 << 20, NAMED_LISTS = 8 };

enum {
    LIST_OFFSETS,
    LIST_CHECKSUMS,
    COLUMNS, /* IVF_COLUMNS of them */
    SKIPPED_ROWS = COLUMNS + IVF_COLUMNS,
    SKIPPED_IDS,
    SKIPPED_REASONS,
    DATASETS
};

/* Where a dataset's bytes lie, and the checksum that they should have. */
typedef struct {
    ivf_array array;
    int64_t offset;
    uint64_t checksum;
} place;

/* A dataset on the way through it. */
typedef struct {
    ivf_h5 *file;    /* borrowed */
    int64_t at, end; /* bytes of the file that are not read yet */
    char *piece;     /* [PIECE_BYTES], owned */
    size_t filled, used;
    ivf_hasher *hasher; /* owned; of all that was read */
    uint64_t checksum;  /* that it should have */
    uint64_t digest;    /* of its elements, taken as ids */
    uint64_t largest;
} walk;

typedef struct {
    const char *path;
    const char *what;
    const ivf_fragment_record *record;
    ivf_findings *findings;
    ivf_h5 *file;
    ivf_keeping kept;
    int32_t first_list; /* of the fragment */
    int32_t nlist;      /* that it has */
    int64_t postings;
    ivf_column columns[IVF_ALL_COLUMNS];
    place places[DATASETS];
    uint64_t *offsets; /* [nlist + 1], owned */
    uint64_t *sums;    /* [nlist], owned */
    ivf_hasher *list;  /* owned */
    int32_t bad[NAMED_LISTS];
    int32_t bad_lists; /* whose checksum does not fit */
    uint64_t digest;   /* of all ids */
    int64_t reasons[256];
} inspection;

static int note(const inspection *s, int rc)
{
    return ivf_findings_take(s->findings, s->what, rc);
}

/* ---- walking through a dataset ---- */

/* A failure leaves what was opened to close_walk. */
static int open_walk(const inspection *s, int dataset, walk *w)
{
    const place *p = &s->places[dataset];
    *w = (walk){.file = s->file, .checksum = p->checksum, .at = p->offset};
    w->end = p->offset + (int64_t)ivf_array_bytes(&p->array);
    w->piece = ivf_new(PIECE_BYTES, 1);
    w->hasher = ivf_hasher_new();
    return w->piece == NULL || w->hasher == NULL ? MPIVF_FAILED : MPIVF_OK;
}

static int fill_piece(walk *w, bool ids)
{
    size_t n = (size_t)ivf_min_i64(PIECE_BYTES, w->end - w->at);
    int rc = ivf_h5_read_bytes(w->file, w->at, n, w->piece);
    if (rc != MPIVF_OK)
        return rc;
    ivf_hasher_add(w->hasher, w->piece, n);
    w->at += (int64_t)n;
    w->filled = n;
    w->used = 0;
    const uint64_t *values = (const uint64_t *)(const void *)w->piece;
    for (size_t i = 0; ids && i < n / sizeof *values; i++)
        w->largest = values[i] > w->largest ? values[i] : w->largest;
    if (ids)
        w->digest += ivf_digest_ids(values, (int64_t)(n / sizeof *values));
    return MPIVF_OK;
}

/* The next `bytes` bytes, which there are, into `list`, unless it is NULL. */
static int take(walk *w, int64_t bytes, bool ids, ivf_hasher *list)
{
    int rc = MPIVF_OK;
    while (rc == MPIVF_OK && bytes > 0) {
        if (w->used == w->filled)
            rc = fill_piece(w, ids);
        size_t n = rc == MPIVF_OK ? (size_t)ivf_min_i64(bytes, (int64_t)(w->filled - w->used)) : 0;
        if (list != NULL)
            ivf_hasher_add(list, w->piece + w->used, n);
        w->used += n;
        bytes -= (int64_t)n;
    }
    return rc;
}

static int take_rest(walk *w, bool ids)
{
    return take(w, w->end - w->at + (int64_t)(w->filled - w->used), ids, NULL);
}

/* After the last byte. */
static bool is_whole(const walk *w)
{
    return ivf_hasher_end(w->hasher) == w->checksum;
}

static void close_walk(walk *w)
{
    ivf_hasher_free(w->hasher);
    ivf_free(w->piece);
}

/* ---- what is held in memory ---- */

/* A dataset as it is, whatever its checksum. */
static int load(const inspection *s, int dataset, void *to, bool *whole)
{
    const place *p = &s->places[dataset];
    size_t bytes = ivf_array_bytes(&p->array);
    int rc = ivf_h5_read_bytes(s->file, p->offset, bytes, to);
    *whole = rc == MPIVF_OK && ivf_hash64(to, bytes) == p->checksum;
    return rc;
}

/* The first list whose boundaries cannot be; nlist when all can. */
static int32_t find_broken_list(const inspection *s)
{
    int32_t l = 0;
    if (s->offsets[0] != 0)
        return 0;
    while (l < s->nlist && s->offsets[l] <= s->offsets[l + 1] && s->offsets[l + 1] <= (uint64_t)s->postings)
        l++;
    if (l == s->nlist && s->offsets[l] != (uint64_t)s->postings)
        return s->nlist - 1;
    return l;
}

/* ---- lists ---- */

static int walk_lists(inspection *s, walk walks[IVF_COLUMNS])
{
    int rc = MPIVF_OK;
    for (int32_t l = 0; rc == MPIVF_OK && l < s->nlist; l++) {
        int64_t n = (int64_t)(s->offsets[l + 1] - s->offsets[l]);
        ivf_hasher_reset(s->list);
        for (int c = 0; rc == MPIVF_OK && c < IVF_COLUMNS; c++)
            rc = take(&walks[c], n * (int64_t)s->columns[c].bytes, c == IVF_COLUMN_IDS, s->list);
        if (rc != MPIVF_OK || ivf_hasher_end(s->list) == s->sums[l])
            continue;
        if (s->bad_lists < NAMED_LISTS)
            s->bad[s->bad_lists] = s->first_list + l;
        s->bad_lists++;
    }
    return rc;
}

/* " of list 17", " of lists 3, 17 and 40 more" */
static const char *name_lists(const inspection *s, char *text, size_t bytes)
{
    int used = snprintf(text, bytes, "%s", s->bad_lists == 0 ? "" : s->bad_lists == 1 ? " of list " : " of lists ");
    for (int i = 0; i < s->bad_lists && i < NAMED_LISTS; i++)
        used += snprintf(text + used, bytes - (size_t)used, "%s%d", i > 0 ? ", " : "", s->bad[i]);
    if (s->bad_lists > NAMED_LISTS)
        (void)snprintf(text + used, bytes - (size_t)used, " and %d more", s->bad_lists - NAMED_LISTS);
    return text;
}

static int say_changed(const inspection *s, const char *name, const char *where)
{
    return note(s, ivf_fail(MPIVF_CORRUPT, "%s: %s%s were changed", s->path, name, where));
}

/* Which datasets are as they were written. */
typedef struct {
    bool offsets, sums, columns[IVF_COLUMNS];
} wholeness;

/* "ids", "ids and codes": those that are whole, or those that are not. */
static const char *name_columns(const inspection *s, const wholeness *whole, bool which, char *text, size_t bytes)
{
    int used = 0;
    text[0] = '\0';
    for (int c = 0; c < IVF_COLUMNS; c++)
        if (whole->columns[c] == which)
            used += snprintf(text + used, bytes - (size_t)used, "%s%s", used > 0 ? " and " : "", s->columns[c].name);
    return text;
}

/* `broken`: as find_broken_list says. */
static int judge_lists(const inspection *s, const wholeness *whole, int32_t broken)
{
    char lists[160];
    char where[32];
    char names[64];
    int rc = MPIVF_OK;
    bool postings_whole = true;
    for (int c = 0; c < IVF_COLUMNS; c++)
        postings_whole = postings_whole && whole->columns[c];
    name_lists(s, lists, sizeof lists);
    name_columns(s, whole, postings_whole, names, sizeof names);
    (void)snprintf(where, sizeof where, " of list %d", s->first_list + broken);
    if (!whole->offsets)
        rc = say_changed(s, "list_offsets", broken < s->nlist ? where : lists);
    else if (broken < s->nlist)
        rc = note(s, ivf_fail(MPIVF_CORRUPT, "%s: list_offsets cannot be: list %d is not within %" PRId64 " postings",
                              s->path, s->first_list + broken, s->postings));
    if (rc == MPIVF_OK && !whole->sums)
        rc = say_changed(s, "list_checksums", postings_whole && whole->offsets ? lists : "");
    if (rc == MPIVF_OK && !postings_whole)
        rc = say_changed(s, names, whole->offsets && whole->sums ? lists : "");
    if (rc == MPIVF_OK && s->bad_lists > 0 && whole->offsets && whole->sums && postings_whole)
        rc = note(s, ivf_fail(MPIVF_CORRUPT, "%s: %s%s do not fit list_checksums", s->path, names, lists));
    return rc;
}

static int walk_postings(inspection *s, walk walks[IVF_COLUMNS], int32_t broken)
{
    const walk *ids = &walks[IVF_COLUMN_IDS];
    int rc = broken == s->nlist ? walk_lists(s, walks) : MPIVF_OK;
    for (int c = 0; rc == MPIVF_OK && c < IVF_COLUMNS; c++)
        rc = take_rest(&walks[c], c == IVF_COLUMN_IDS);
    s->digest += ids->digest;
    if (rc == MPIVF_OK && ids->largest > INT64_MAX && is_whole(ids))
        rc = ivf_fail(MPIVF_CORRUPT, "%s: there is the id %" PRIu64 "; the largest is 2^63 - 1", s->path, ids->largest);
    return rc;
}

static int inspect_lists(inspection *s)
{
    wholeness whole = {0};
    walk walks[IVF_COLUMNS] = {0};
    int rc = load(s, LIST_OFFSETS, s->offsets, &whole.offsets);
    if (rc == MPIVF_OK)
        rc = load(s, LIST_CHECKSUMS, s->sums, &whole.sums);
    for (int c = 0; rc == MPIVF_OK && c < IVF_COLUMNS; c++)
        rc = open_walk(s, COLUMNS + c, &walks[c]);
    int32_t broken = rc == MPIVF_OK ? find_broken_list(s) : 0;
    if (rc == MPIVF_OK)
        rc = walk_postings(s, walks, broken);
    for (int c = 0; rc == MPIVF_OK && c < IVF_COLUMNS; c++)
        whole.columns[c] = is_whole(&walks[c]);
    if (rc == MPIVF_OK)
        rc = judge_lists(s, &whole, broken);
    for (int c = 0; c < IVF_COLUMNS; c++)
        close_walk(&walks[c]);
    return note(s, rc);
}

/* ---- the rest ---- */

static void count_reasons(inspection *s, const walk *w)
{
    for (size_t i = 0; i < w->filled; i++)
        s->reasons[(uint8_t)w->piece[i]]++;
}

static int walk_skipped(inspection *s, int dataset)
{
    walk w;
    int rc = open_walk(s, dataset, &w);
    while (rc == MPIVF_OK && w.at < w.end) {
        rc = fill_piece(&w, dataset == SKIPPED_IDS);
        if (rc == MPIVF_OK && dataset == SKIPPED_REASONS)
            count_reasons(s, &w);
    }
    s->digest += w.digest;
    if (rc == MPIVF_OK && !is_whole(&w))
        rc = ivf_fail(MPIVF_CORRUPT, "%s: %s were changed", s->path, s->places[dataset].array.name);
    close_walk(&w);
    return note(s, rc);
}

static int inspect_skipped(inspection *s)
{
    int rc = walk_skipped(s, SKIPPED_ROWS);
    if (rc == MPIVF_OK)
        rc = walk_skipped(s, SKIPPED_IDS);
    return rc == MPIVF_OK ? walk_skipped(s, SKIPPED_REASONS) : rc;
}

static int check_header(const inspection *s)
{
    int rc = ivf_fragment_check_format(s->file, s->path);
    return rc == MPIVF_OK ? ivf_fragment_check_range(s->file, s->path, s->record) : rc;
}

/* Without all of its datasets in place there is nothing more to be said of a file. */
static int find_places(inspection *s)
{
    int64_t lists = s->nlist;
    int64_t skipped = s->record->rows - s->postings;
    ivf_array arrays[DATASETS] = {
        [LIST_OFFSETS] = {"list_offsets", IVF_U64, 1, {lists + 1}, NULL},
        [LIST_CHECKSUMS] = {"list_checksums", IVF_U64, 1, {lists}, NULL},
        [SKIPPED_ROWS] = {"skipped/rows", IVF_U64, 1, {skipped}, NULL},
        [SKIPPED_IDS] = {"skipped/ids", IVF_U64, 1, {skipped}, NULL},
        [SKIPPED_REASONS] = {"skipped/reasons", IVF_U8, 1, {skipped}, NULL},
    };
    int rc = MPIVF_OK;
    for (int c = 0; c < IVF_COLUMNS; c++)
        arrays[COLUMNS + c] = (ivf_array){
            s->columns[c].name, s->columns[c].type, s->columns[c].rank, {s->postings, s->columns[c].width}, NULL};
    for (int i = 0; rc == MPIVF_OK && i < DATASETS; i++) {
        place *p = &s->places[i];
        p->array = arrays[i];
        rc = ivf_h5_locate(s->file, &p->array, &p->offset);
        if (rc == MPIVF_OK)
            rc = ivf_h5_read_checksum(s->file, p->array.name, &p->checksum);
    }
    return rc;
}

/* What sound datasets may still contradict. */
static int inspect_account(const inspection *s)
{
    bool fits = s->digest == s->record->digest_in;
    for (int r = 0; r < 256; r++)
        fits = fits && s->reasons[r] == (r < IVF_ROW_REASONS ? s->record->skipped[r] : 0);
    if (fits)
        return MPIVF_OK;
    return note(s, ivf_fail(MPIVF_CORRUPT, "%s: its ids, or its skipped rows, are not those of the manifest", s->path));
}

static int inspect_datasets(inspection *s, int64_t *list_sizes)
{
    int64_t before = s->findings->count;
    s->offsets = ivf_new((size_t)s->nlist + 1, sizeof *s->offsets);
    s->sums = ivf_new((size_t)s->nlist, sizeof *s->sums);
    s->list = ivf_hasher_new();
    if (s->offsets == NULL || s->sums == NULL || s->list == NULL)
        return MPIVF_FAILED;
    int rc = inspect_lists(s);
    if (rc == MPIVF_OK && s->kept.d > 0 && s->findings->count == before)
        rc = note(s, ivf_kept_inspect(s->file, s->path, s->kept, s->offsets, s->first_list, s->nlist));
    if (rc == MPIVF_OK)
        rc = inspect_skipped(s);
    if (rc != MPIVF_OK || s->findings->count > before)
        return rc;
    for (int32_t l = 0; l < s->nlist; l++)
        list_sizes[s->first_list + l] += (int64_t)(s->offsets[l + 1] - s->offsets[l]);
    return inspect_account(s);
}

int ivf_contents_inspect(const char *path, const char *what, const ivf_manifest *manifest,
                         const ivf_fragment_record *record, int64_t *list_sizes, ivf_findings *findings)
{
    inspection s = {.path = path, .what = what, .record = record, .findings = findings};
    ivf_manifest_lists_of(manifest, record, &s.first_list, &s.nlist);
    s.postings = record->postings;
    s.kept = manifest->kept;
    (void)ivf_fragment_columns(manifest->code_size, manifest->kept, s.columns);
    int rc = ivf_h5_open(path, &s.file);
    if (rc == MPIVF_OK)
        rc = check_header(&s);
    if (rc == MPIVF_OK)
        rc = find_places(&s);
    rc = rc == MPIVF_OK ? inspect_datasets(&s, list_sizes) : note(&s, rc);
    ivf_hasher_free(s.list);
    ivf_free(s.sums);
    ivf_free(s.offsets);
    ivf_h5_release(s.file);
    return rc;
}
