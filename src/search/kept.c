/* A place counts the postings of the version, fragment after fragment. The ranks share out the postings rather than the
 * fragments, so that all read as much, of one fragment too. An id is found by reading the ids of its list in each
 * fragment; what is wanted of a fragment is read through a file that is opened for it, since it is wanted in order and
 * fragments may be more than files can be open.
 *
 * That a file is the fragment that the manifest names is checked when it is opened, by its size, format, rows and the
 * shapes and checksums of its tables; search/kept_read.c checks the vectors. */
#include "search/kept_internal.h"

#include <stdbool.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "index/kept.h"

/* ---- opening ---- */

/* NOLINTNEXTLINE(readability-non-const-parameter): read into, through a struct */
static int read_table(ivf_h5 *file, const char *name, int64_t n, uint64_t *table)
{
    const ivf_array array = {.name = name, .type = IVF_U64, .rank = 1, .dims = {n}, .data = table};
    return ivf_h5_read(file, &array);
}

static int read_tables(const ivf_manifest *m, const ivf_fragment_record *record, ivf_h5 *file, const char *path,
                       ivf_kept_fragment *f)
{
    const ivf_array ids = {"ids", IVF_U64, 1, {record->postings}, NULL};
    int rc = ivf_fragment_check_format(file, path);
    if (rc == MPIVF_OK)
        rc = ivf_fragment_check_range(file, path, record);
    if (rc == MPIVF_OK)
        rc = read_table(file, "list_offsets", (int64_t)f->lists + 1, f->offsets);
    if (rc == MPIVF_OK)
        rc = read_table(file, IVF_KEPT_CHECKSUMS, f->lists, f->sums);
    if (rc == MPIVF_OK)
        rc = ivf_h5_locate(file, &ids, &f->ids);
    return rc == MPIVF_OK ? ivf_kept_locate(file, m->kept, record->postings, &f->vectors) : rc;
}

static int check_offsets(const ivf_kept_fragment *f, int64_t postings, const char *path)
{
    bool sound = f->offsets[0] == 0 && f->offsets[f->lists] == (uint64_t)postings;
    for (int32_t l = 0; l < f->lists; l++)
        sound = sound && f->offsets[l] <= f->offsets[l + 1];
    return sound ? MPIVF_OK : ivf_fail(MPIVF_CORRUPT, "%s: its lists do not hold its postings; see mpivf verify", path);
}

static int open_fragment(const ivf_kept_share *s, int64_t number, ivf_kept_fragment *f)
{
    char path[IVF_PATH_BYTES];
    ivf_h5 *file = NULL;
    const ivf_fragment_record *record = &s->manifest->fragments[number];
    ivf_manifest_lists_of(s->manifest, record, &f->first_list, &f->lists);
    f->offsets = ivf_new((size_t)f->lists + 1, sizeof *f->offsets);
    f->sums = ivf_new((size_t)f->lists, sizeof *f->sums);
    int rc = f->offsets == NULL || f->sums == NULL ? MPIVF_FAILED : ivf_layout_fragment(s->index, record->id, path);
    if (rc == MPIVF_OK)
        rc = ivf_h5_open(path, &file);
    if (rc == MPIVF_BAD_INPUT)
        rc = ivf_fail(MPIVF_CORRUPT, "%s is missing, though the manifest names it", path);
    if (rc == MPIVF_OK)
        rc = ivf_fragment_check_size(s->index, record);
    if (rc == MPIVF_OK)
        rc = read_tables(s->manifest, record, file, path, f);
    ivf_h5_release(file);
    return rc == MPIVF_OK ? check_offsets(f, record->postings, path) : rc;
}

/* The first place of part number `part`. */
static int64_t part_first(const ivf_manifest *m, int part, int parts)
{
    return m->postings / parts * part + ivf_min_i64(part, m->postings % parts);
}

/* The fragments that hold places from .. to - 1, and the place of the first one's first posting. */
static int64_t choose_fragments(ivf_kept_share *s, int64_t from, int64_t to)
{
    const ivf_fragment_record *records = s->manifest->fragments;
    int64_t base = 0;
    int64_t after = 0;
    while (s->first < s->manifest->fragment_count && base + records[s->first].postings <= from)
        base += records[s->first++].postings;
    for (after = base; after < to; s->count++)
        after += records[s->first + s->count].postings;
    return base;
}

static int open_fragments(ivf_kept_share *s, int64_t from, int64_t to)
{
    int64_t base = choose_fragments(s, from, to);
    int rc = MPIVF_OK;
    s->fragments = ivf_new_zero(ivf_to_size(s->count), sizeof *s->fragments);
    if (s->fragments == NULL)
        return MPIVF_FAILED;
    for (int64_t i = 0; rc == MPIVF_OK && i < s->count; i++) {
        ivf_kept_fragment *f = &s->fragments[i];
        const int64_t postings = s->manifest->fragments[s->first + i].postings;
        f->base = base;
        f->from = (uint64_t)ivf_max_i64(0, from - base);
        f->to = (uint64_t)ivf_min_i64(postings, to - base);
        base += postings;
        rc = open_fragment(s, s->first + i, f);
    }
    return rc;
}

ivf_kept_share *ivf_kept_share_open(const char *index, const ivf_manifest *manifest, int part, int parts)
{
    ivf_kept_share *s = ivf_new_zero(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->index = index;
    s->manifest = manifest;
    if (open_fragments(s, part_first(manifest, part, parts), part_first(manifest, part + 1, parts)) == MPIVF_OK)
        return s;
    ivf_kept_share_close(s);
    return NULL;
}

void ivf_kept_share_close(ivf_kept_share *share)
{
    if (share == NULL)
        return;
    for (int64_t f = 0; share->fragments != NULL && f < share->count; f++) {
        ivf_free(share->fragments[f].offsets);
        ivf_free(share->fragments[f].sums);
    }
    ivf_free(share->fragments);
    ivf_free(share);
}

int64_t ivf_kept_share_memory(const ivf_manifest *manifest)
{
    const int64_t vector = (int64_t)ivf_kept_bytes(manifest->kept);
    const int64_t of_thread = ivf_max_i64(IVF_KEPT_PIECE * (int64_t)sizeof(uint64_t), IVF_KEPT_SPAN + vector);
    return ivf_team_size() * of_thread + manifest->factory.nlist * (int64_t)(sizeof(int32_t) + 1);
}

int ivf_kept_internal_open(const ivf_kept_share *share, int64_t fragment, char path[IVF_PATH_BYTES], ivf_rawfile *file)
{
    int rc = ivf_layout_fragment(share->index, share->manifest->fragments[share->first + fragment].id, path);
    return rc == MPIVF_OK ? ivf_rawfile_open(path, file) : rc;
}

int ivf_kept_internal_refuse(int rc, const char *path)
{
    return rc != MPIVF_BAD_INPUT
               ? rc
               : ivf_fail(MPIVF_CORRUPT,
                          "%s was removed or changed while the index was open; open it again, and see mpivf verify",
                          path);
}

/* ---- finding ---- */

typedef struct {
    const ivf_kept_share *share;
    const ivf_idmap *map;
    int32_t *lists; /* [count], ascending, distinct; owned */
    int64_t count;  /* -1: all */
    int64_t *places;
} search;

/* Of postings first to end - 1 of a fragment those that are the share's. An id is in one fragment, so no two tasks
 * write to one place. */
static int find_in(const search *s, const ivf_kept_fragment *f, const ivf_rawfile *file, uint64_t first, uint64_t end,
                   uint64_t *ids)
{
    int rc = MPIVF_OK;
    first = first > f->from ? first : f->from;
    end = end < f->to ? end : f->to;
    for (uint64_t at = first; rc == MPIVF_OK && at < end; at += IVF_KEPT_PIECE) {
        const size_t n = (size_t)ivf_min_i64(IVF_KEPT_PIECE, (int64_t)(end - at));
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
static int find_in_lists(const search *s, const ivf_kept_fragment *f, const ivf_rawfile *file, uint64_t *ids)
{
    uint64_t first = 0;
    uint64_t end = 0;
    int rc = MPIVF_OK;
    for (int64_t i = 0; rc == MPIVF_OK && i < s->count; i++) {
        const int32_t l = s->lists[i] - f->first_list;
        if (l < 0 || l >= f->lists || f->offsets[l] == f->offsets[l + 1])
            continue;
        if (end == 0 || (f->offsets[l] - end) * sizeof *ids > IVF_KEPT_GAP) {
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
    const ivf_kept_fragment *f = &s->share->fragments[number];
    char path[IVF_PATH_BYTES];
    ivf_rawfile file = {.fd = -1};
    uint64_t *ids = ivf_new(IVF_KEPT_PIECE, sizeof *ids);
    (void)worker;
    int rc = ids == NULL ? MPIVF_FAILED : ivf_kept_internal_open(s->share, number, path, &file);
    if (rc == MPIVF_OK) {
        rc = s->count < 0 ? find_in(s, f, &file, 0, f->offsets[f->lists], ids) : find_in_lists(s, f, &file, ids);
        ivf_rawfile_close(&file);
    }
    ivf_free(ids);
    return ivf_kept_internal_refuse(rc, path);
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
