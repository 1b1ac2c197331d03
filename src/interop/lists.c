/* Where the lists lie in the fragments. Fragments' files are opened through HDF5 once, by one rank each, for their
 * tables and the places of their datasets. */
#include "interop/lists.h"

#include <inttypes.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "comm/transfer.h"
#include "index/layout.h"
#include "interop/lists_internal.h"
#include "io/h5.h"

/* ---- the fragments' tables ---- */

static int check_offsets(const ivf_fragment_record *record, const uint64_t *offsets, int32_t nlist, const char *path)
{
    bool sound = offsets[0] == 0 && offsets[nlist] == (uint64_t)record->postings;
    for (int32_t l = 0; l < nlist; l++)
        sound = sound && offsets[l] <= offsets[l + 1];
    return sound ? MPIVF_OK
                 : ivf_fail(MPIVF_CORRUPT, "%s: its lists do not hold the %" PRId64 " postings of the manifest", path,
                            record->postings);
}

/* Reads a whole dataset, whose checksum is looked at meanwhile; where it lies into *offset. */
/* NOLINTNEXTLINE(readability-non-const-parameter): read into, through a struct */
static int read_table(ivf_h5 *file, const char *name, int64_t n, uint64_t *table, int64_t *offset)
{
    const ivf_array array = {.name = name, .type = IVF_U64, .rank = 1, .dims = {n}, .data = table};
    int rc = ivf_h5_locate(file, &array, offset);
    return rc == MPIVF_OK ? ivf_h5_read(file, &array) : rc;
}

static int digest_skipped(ivf_h5 *file, int64_t skipped, uint64_t *digest)
{
    int64_t offset = 0;
    uint64_t *ids = ivf_new(ivf_to_size(skipped), sizeof *ids);
    int rc = ids == NULL ? MPIVF_FAILED : read_table(file, "skipped/ids", skipped, ids, &offset);
    if (rc == MPIVF_OK)
        *digest = ivf_digest_ids(ids, skipped);
    ivf_free(ids);
    return rc;
}

static int read_tables(const ivf_lists *lists, const ivf_fragment_record *record, ivf_h5 *file, const char *path,
                       int64_t *sizes, ivf_lists_place *found)
{
    const int32_t nlist = lists->manifest->factory.nlist;
    const ivf_array ids = {.name = "ids", .type = IVF_U64, .rank = 1, .dims = {record->postings}};
    const ivf_array codes = {
        .name = "codes", .type = IVF_U8, .rank = 2, .dims = {record->postings, (int64_t)lists->manifest->code_size}};
    uint64_t *table = ivf_new((size_t)nlist + 1, sizeof *table);
    int rc = table == NULL ? MPIVF_FAILED : ivf_fragment_check_format(file, path);
    if (rc == MPIVF_OK)
        rc = read_table(file, "list_offsets", (int64_t)nlist + 1, table, &found->offsets);
    if (rc == MPIVF_OK)
        rc = check_offsets(record, table, nlist, path);
    for (int32_t l = 0; rc == MPIVF_OK && l < nlist; l++)
        sizes[l] += (int64_t)(table[l + 1] - table[l]);
    if (rc == MPIVF_OK)
        rc = read_table(file, "list_checksums", nlist, table, &found->checksums);
    if (rc == MPIVF_OK)
        rc = ivf_h5_locate(file, &ids, &found->ids);
    if (rc == MPIVF_OK)
        rc = ivf_h5_locate(file, &codes, &found->codes);
    if (rc == MPIVF_OK)
        rc = digest_skipped(file, record->rows - record->postings, &found->skipped);
    ivf_free(table);
    return rc;
}

static int find_place(const ivf_lists *lists, int64_t f, int64_t *sizes, ivf_lists_place *found)
{
    char path[IVF_PATH_BYTES];
    ivf_h5 *file = NULL;
    int rc = ivf_layout_fragment(lists->index, lists->manifest->fragments[f].id, path);
    if (rc == MPIVF_OK)
        rc = ivf_h5_open(path, &file);
    if (rc == MPIVF_BAD_INPUT)
        rc = ivf_fail(MPIVF_CORRUPT, "%s is missing, though the manifest names it", path);
    if (rc == MPIVF_OK)
        rc = read_tables(lists, &lists->manifest->fragments[f], file, path, sizes, found);
    ivf_h5_release(file);
    return rc;
}

static int compare_sizes(const ivf_lists *lists, const int64_t *sizes)
{
    const ivf_manifest *m = lists->manifest;
    for (int32_t l = 0; l < m->factory.nlist; l++)
        if (sizes[l] != m->list_sizes[l])
            return ivf_fail(MPIVF_CORRUPT,
                            "%s: list %d has %" PRId64 " postings in the fragments, %" PRId64 " by the manifest",
                            lists->index, l, sizes[l], m->list_sizes[l]);
    return MPIVF_OK;
}

/* Ranks take ranges of fragments. */
static int find_places(const ivf_ctx *ctx, const ivf_lists *lists, int64_t *sizes, int64_t *shares)
{
    const int64_t count = lists->manifest->fragment_count;
    const int64_t size = ivf_ctx_size(ctx);
    const int64_t rank = ivf_ctx_rank(ctx);
    int rc = MPIVF_OK;
    for (int64_t r = 0; r <= size; r++)
        shares[r] = count * r / size * (int64_t)sizeof(ivf_lists_place);
    for (int64_t f = count * rank / size; rc == MPIVF_OK && f < count * (rank + 1) / size; f++)
        rc = find_place(lists, f, sizes, &lists->places[f]);
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK)
        rc = ivf_allgather_bytes(ctx, lists->places, shares);
    if (rc != MPIVF_OK)
        return rc;
    ivf_allsum_i64(ctx, sizes, lists->manifest->factory.nlist);
    return ivf_agree(ctx, compare_sizes(lists, sizes));
}

static int lay_out(ivf_lists *lists)
{
    const ivf_manifest *m = lists->manifest;
    int64_t bytes = 0;
    for (int32_t l = 0; l < m->factory.nlist; l++) {
        int64_t own = 0;
        lists->starts[l] = bytes;
        if (__builtin_mul_overflow(m->list_sizes[l], lists->posting_bytes, &own) ||
            __builtin_add_overflow(bytes, own, &bytes))
            return ivf_fail(MPIVF_BAD_INPUT, "%s: its lists exceed what a file can hold", lists->index);
    }
    lists->starts[m->factory.nlist] = bytes;
    return MPIVF_OK;
}

static ivf_lists *make(const char *index, const ivf_manifest *manifest)
{
    ivf_lists *lists = ivf_new_zero(1, sizeof *lists);
    if (lists == NULL)
        return NULL;
    lists->index = index;
    lists->manifest = manifest;
    lists->posting_bytes = (int64_t)manifest->code_size + (int64_t)sizeof(uint64_t);
    lists->places = ivf_new_zero(ivf_to_size(manifest->fragment_count), sizeof *lists->places);
    lists->starts = ivf_new_zero((size_t)manifest->factory.nlist + 1, sizeof *lists->starts);
    lists->files = ivf_new_zero(IVF_LISTS_HELD, sizeof *lists->files);
    lists->hasher = ivf_hasher_new();
    for (int i = 0; lists->files != NULL && i < IVF_LISTS_HELD; i++)
        lists->files[i].fd = -1;
    if (lists->places != NULL && lists->starts != NULL && lists->files != NULL && lists->hasher != NULL)
        return lists;
    ivf_lists_close(lists);
    return NULL;
}

ivf_lists *ivf_lists_open(const ivf_ctx *ctx, const char *index, const ivf_manifest *manifest)
{
    ivf_lists *lists = make(index, manifest);
    int64_t *sizes = ivf_new_zero((size_t)manifest->factory.nlist, sizeof *sizes);
    int64_t *shares = ivf_new((size_t)ivf_ctx_size(ctx) + 1, sizeof *shares);
    int rc = lists != NULL && sizes != NULL && shares != NULL ? lay_out(lists) : MPIVF_FAILED;
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK)
        rc = find_places(ctx, lists, sizes, shares);
    ivf_free(shares);
    ivf_free(sizes);
    if (rc == MPIVF_OK)
        return lists;
    ivf_lists_close(lists);
    return NULL;
}

void ivf_lists_close(ivf_lists *lists)
{
    if (lists == NULL)
        return;
    for (int i = 0; lists->files != NULL && i < IVF_LISTS_HELD; i++)
        if (lists->files[i].fd >= 0)
            ivf_rawfile_close(&lists->files[i]);
    ivf_free(lists->places);
    ivf_free(lists->starts);
    ivf_free(lists->files);
    ivf_free(lists->group);
    ivf_free(lists->run);
    ivf_free(lists->offsets);
    ivf_free(lists->checksums);
    ivf_free(lists->filled);
    ivf_hasher_free(lists->hasher);
    ivf_free(lists);
}

int64_t ivf_lists_bytes(const ivf_lists *lists)
{
    return lists->starts[lists->manifest->factory.nlist];
}

int64_t ivf_lists_offset(const ivf_lists *lists, int32_t l)
{
    return lists->starts[l];
}
