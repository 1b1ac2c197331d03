/* A place counts the postings of the share, fragment after fragment. An id is found by reading the ids of its list in
 * each fragment; what is wanted of a fragment is read through a file that is opened for it, since it is wanted in order
 * and fragments may be more than files can be open. */
#include "search/kept.h"

#include <stdbool.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "index/kept.h"
#include "index/layout.h"
#include "io/rawfile.h"

enum {
    GAP_BYTES = 8 << 10,  /* between two pieces, that is read for the sake of one request */
    PIECE_IDS = 1 << 17,  /* of ids read at a time */
    SPAN_BYTES = 1 << 20, /* of vectors read at a time */
    ROWS_OF_TASK = 256,
};

typedef struct {
    uint64_t *offsets; /* [lists + 1], owned */
    int32_t first_list, lists;
    int64_t ids, vectors; /* where they lie in the file */
    int64_t base;         /* place of its first posting */
} fragment;

struct ivf_kept_share {
    const char *index;            /* borrowed */
    const ivf_manifest *manifest; /* borrowed */
    int64_t from, count;
    fragment *fragments; /* [count], owned */
};

/* ---- opening ---- */

static int locate(ivf_h5 *file, ivf_keeping kept, int64_t postings, fragment *f)
{
    ivf_array offsets = {"list_offsets", IVF_U64, 1, {(int64_t)f->lists + 1}, f->offsets};
    const ivf_array ids = {"ids", IVF_U64, 1, {postings}, NULL};
    int rc = ivf_h5_read(file, &offsets);
    if (rc == MPIVF_OK)
        rc = ivf_h5_locate(file, &ids, &f->ids);
    return rc == MPIVF_OK ? ivf_kept_locate(file, kept, postings, &f->vectors) : rc;
}

static int check_offsets(const fragment *f, int64_t postings, const char *path)
{
    bool sound = f->offsets[0] == 0 && f->offsets[f->lists] == (uint64_t)postings;
    for (int32_t l = 0; l < f->lists; l++)
        sound = sound && f->offsets[l] <= f->offsets[l + 1];
    return sound ? MPIVF_OK : ivf_fail(MPIVF_CORRUPT, "%s: its lists do not hold its postings; see mpivf verify", path);
}

static int open_fragment(const ivf_kept_share *s, int64_t number, fragment *f)
{
    char path[IVF_PATH_BYTES];
    ivf_h5 *file = NULL;
    const ivf_fragment_record *record = &s->manifest->fragments[number];
    ivf_manifest_lists_of(s->manifest, record, &f->first_list, &f->lists);
    f->offsets = ivf_new((size_t)f->lists + 1, sizeof *f->offsets);
    int rc = f->offsets == NULL ? MPIVF_FAILED : ivf_layout_fragment(s->index, record->id, path);
    if (rc == MPIVF_OK)
        rc = ivf_h5_open(path, &file);
    if (rc == MPIVF_BAD_INPUT)
        rc = ivf_fail(MPIVF_CORRUPT, "%s is missing, though the manifest names it", path);
    if (rc == MPIVF_OK)
        rc = locate(file, s->manifest->kept, record->postings, f);
    ivf_h5_release(file);
    return rc == MPIVF_OK ? check_offsets(f, record->postings, path) : rc;
}

ivf_kept_share *ivf_kept_share_open(const char *index, const ivf_manifest *manifest, int64_t from, int64_t to)
{
    int64_t base = 0;
    ivf_kept_share *s = ivf_new_zero(1, sizeof *s);
    if (s == NULL)
        return NULL;
    *s = (ivf_kept_share){.index = index, .manifest = manifest, .from = from, .count = to - from};
    s->fragments = ivf_new_zero(ivf_to_size(s->count), sizeof *s->fragments);
    int rc = s->fragments == NULL ? MPIVF_FAILED : MPIVF_OK;
    for (int64_t f = 0; rc == MPIVF_OK && f < s->count; f++) {
        s->fragments[f].base = base;
        base += manifest->fragments[from + f].postings;
        rc = open_fragment(s, from + f, &s->fragments[f]);
    }
    if (rc == MPIVF_OK)
        return s;
    ivf_kept_share_close(s);
    return NULL;
}

void ivf_kept_share_close(ivf_kept_share *share)
{
    if (share == NULL)
        return;
    for (int64_t f = 0; share->fragments != NULL && f < share->count; f++)
        ivf_free(share->fragments[f].offsets);
    ivf_free(share->fragments);
    ivf_free(share);
}

int64_t ivf_kept_share_memory(const ivf_manifest *manifest)
{
    const int64_t vector = (int64_t)ivf_kept_bytes(manifest->kept);
    const int64_t of_thread = ivf_max_i64(PIECE_IDS * (int64_t)sizeof(uint64_t), SPAN_BYTES + vector);
    return ivf_team_size() * of_thread + manifest->factory.nlist * (int64_t)(sizeof(int32_t) + 1);
}

/* A fragment that was there when the share was opened. */
static int open_file(const ivf_kept_share *s, int64_t f, char *path, ivf_rawfile *file)
{
    int rc = ivf_layout_fragment(s->index, s->manifest->fragments[s->from + f].id, path);
    return rc == MPIVF_OK ? ivf_rawfile_open(path, file) : rc;
}

/* ---- finding ---- */

typedef struct {
    const ivf_kept_share *share;
    const ivf_idmap *map;
    int32_t *lists; /* [count], ascending, distinct; owned */
    int64_t count;  /* -1: all */
    int64_t *places;
} search;

/* Postings first to end - 1 of a fragment. An id is in one fragment, so no two tasks write to one place. */
static int find_in(const search *s, const fragment *f, const ivf_rawfile *file, uint64_t first, uint64_t end,
                   uint64_t *ids)
{
    int rc = MPIVF_OK;
    for (uint64_t at = first; rc == MPIVF_OK && at < end; at += PIECE_IDS) {
        const size_t n = (size_t)ivf_min_i64(PIECE_IDS, (int64_t)(end - at));
        rc = ivf_rawfile_read(file, f->ids + (int64_t)(at * sizeof *ids), n * sizeof *ids, ids);
        for (size_t i = 0; rc == MPIVF_OK && i < n; i++) {
            const int64_t number = ivf_idmap_find(s->map, ids[i]);
            if (number >= 0)
                s->places[number] = f->base + (int64_t)(at + i);
        }
    }
    return rc;
}

/* The wanted lists of a fragment; what lies between two that are near is read with them. */
static int find_in_lists(const search *s, const fragment *f, const ivf_rawfile *file, uint64_t *ids)
{
    uint64_t first = 0;
    uint64_t end = 0;
    int rc = MPIVF_OK;
    for (int64_t i = 0; rc == MPIVF_OK && i < s->count; i++) {
        const int32_t l = s->lists[i] - f->first_list;
        if (l < 0 || l >= f->lists || f->offsets[l] == f->offsets[l + 1])
            continue;
        if (end == 0 || (f->offsets[l] - end) * sizeof *ids > GAP_BYTES) {
            rc = find_in(s, f, file, first, end, ids);
            first = f->offsets[l];
        }
        end = f->offsets[l + 1];
    }
    return rc == MPIVF_OK ? find_in(s, f, file, first, end, ids) : rc;
}

static int find_in_fragment(void *arg, int64_t number, int worker)
{
    const search *s = arg;
    const fragment *f = &s->share->fragments[number];
    char path[IVF_PATH_BYTES];
    ivf_rawfile file = {.fd = -1};
    uint64_t *ids = ivf_new(PIECE_IDS, sizeof *ids);
    (void)worker;
    int rc = ids == NULL ? MPIVF_FAILED : open_file(s->share, number, path, &file);
    if (rc == MPIVF_OK) {
        rc = s->count < 0 ? find_in(s, f, &file, 0, f->offsets[f->lists], ids) : find_in_lists(s, f, &file, ids);
        ivf_rawfile_close(&file);
    }
    ivf_free(ids);
    return rc;
}

/* The distinct lists, ascending; all when one is not known. */
static int choose_lists(search *s, const int32_t *lists)
{
    const int32_t nlist = s->share->manifest->factory.nlist;
    uint8_t *wanted = ivf_new_zero((size_t)nlist, 1);
    s->lists = ivf_new((size_t)ivf_min_i64(nlist, s->map->count), sizeof *s->lists);
    int rc = wanted == NULL || s->lists == NULL ? MPIVF_FAILED : MPIVF_OK;
    for (int64_t i = 0; rc == MPIVF_OK && i < s->map->count; i++) {
        if (lists[i] < 0 || lists[i] >= nlist)
            s->count = -1;
        else
            wanted[lists[i]] = 1;
    }
    for (int32_t l = 0; rc == MPIVF_OK && s->count >= 0 && l < nlist; l++)
        if (wanted[l])
            s->lists[s->count++] = l;
    ivf_free(wanted);
    return rc;
}

int ivf_kept_share_find(const ivf_kept_share *share, const ivf_idmap *map, const int32_t *lists, int64_t *places)
{
    search s = {.share = share, .map = map};
    s.places = places;
    int rc = choose_lists(&s, lists);
    if (rc == MPIVF_OK)
        rc = ivf_team_run_stoppable(s.count == 0 ? 0 : share->count, find_in_fragment, &s);
    ivf_free(s.lists);
    return rc;
}

/* ---- reading ---- */

typedef struct {
    const ivf_kept_share *share;
    const int64_t *places;
    int64_t n;
    float *x;
} reading;

static int64_t fragment_of(const ivf_kept_share *s, int64_t place)
{
    int64_t low = 0;
    int64_t high = s->count;
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        if (s->fragments[middle].base <= place)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Vectors from .. to - 1, one request. */
static int read_span(const reading *r, const fragment *f, const ivf_rawfile *file, int64_t from, int64_t to,
                     uint8_t *span)
{
    const ivf_keeping kept = r->share->manifest->kept;
    const int64_t size = (int64_t)ivf_kept_bytes(kept);
    const int64_t first = r->places[from] - f->base;
    const int64_t count = r->places[to - 1] - r->places[from] + 1;
    int rc = ivf_rawfile_read(file, f->vectors + first * size, ivf_to_size(count * size), span);
    for (int64_t i = from; rc == MPIVF_OK && i < to; i++)
        ivf_kept_get(kept, span + (r->places[i] - r->places[from]) * size, 1, r->x + i * kept.d);
    return rc;
}

/* Where the span that begins with vector i ends; `end` is the fragment's. */
static int64_t span_end(const reading *r, int64_t i, int64_t end)
{
    const int64_t size = (int64_t)ivf_kept_bytes(r->share->manifest->kept);
    const int64_t most = ivf_max_i64(1, SPAN_BYTES / size);
    int64_t to = i + 1;
    while (to < end && r->places[to] - r->places[i] < most && r->places[to] - r->places[to - 1] - 1 <= GAP_BYTES / size)
        to++;
    return to;
}

/* Vectors from .. to - 1, which one fragment has. */
static int read_fragment(const reading *r, int64_t number, int64_t from, int64_t to, uint8_t *span)
{
    char path[IVF_PATH_BYTES];
    ivf_rawfile file;
    int rc = open_file(r->share, number, path, &file);
    if (rc != MPIVF_OK)
        return rc;
    for (int64_t end = from; rc == MPIVF_OK && from < to; from = end) {
        end = span_end(r, from, to);
        rc = read_span(r, &r->share->fragments[number], &file, from, end, span);
    }
    ivf_rawfile_close(&file);
    return rc;
}

static int read_rows(void *arg, int64_t task, int worker)
{
    const reading *r = arg;
    const size_t size = ivf_kept_bytes(r->share->manifest->kept);
    const int64_t last = ivf_min_i64(r->n, (task + 1) * ROWS_OF_TASK);
    uint8_t *span = ivf_new(SPAN_BYTES / size + 1, size);
    int rc = span == NULL ? MPIVF_FAILED : MPIVF_OK;
    (void)worker;
    for (int64_t from = task * ROWS_OF_TASK; rc == MPIVF_OK && from < last;) {
        const int64_t number = fragment_of(r->share, r->places[from]);
        const int64_t beyond = number + 1 < r->share->count ? r->share->fragments[number + 1].base : INT64_MAX;
        int64_t to = from + 1;
        while (to < last && r->places[to] < beyond)
            to++;
        rc = read_fragment(r, number, from, to, span);
        from = to;
    }
    ivf_free(span);
    return rc;
}

int ivf_kept_share_read(const ivf_kept_share *share, const int64_t *places, int64_t n, float *x)
{
    reading r = {.share = share, .places = places, .n = n};
    r.x = x;
    return ivf_team_run_stoppable(ivf_ceil_div(n, ROWS_OF_TASK), read_rows, &r);
}
