#include "index/place.h"

#include <inttypes.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "comm/transfer.h"
#include "index/layout.h"
#include "io/h5.h"

static int check_offsets(const ivf_fragment_record *record, const uint64_t *offsets, int32_t lists, const char *path)
{
    bool sound = offsets[0] == 0 && offsets[lists] == (uint64_t)record->postings;
    for (int32_t l = 0; l < lists; l++)
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

static int locate_columns(ivf_h5 *file, const ivf_manifest *m, int64_t postings, ivf_place *place)
{
    ivf_column columns[IVF_ALL_COLUMNS];
    int rc = MPIVF_OK;
    const int count = ivf_fragment_columns(m->code_size, m->kept, columns);
    for (int c = 0; rc == MPIVF_OK && c < count; c++) {
        const ivf_array array = {.name = columns[c].name,
                                 .type = columns[c].type,
                                 .rank = columns[c].rank,
                                 .dims = {postings, columns[c].width}};
        rc = ivf_h5_locate(file, &array, &place->columns[c]);
    }
    return rc;
}

/* Whether they are sound shows when vectors are held against them: searches need neither. */
static int locate_kept_sums(ivf_h5 *file, ivf_keeping kept, int32_t lists, ivf_place *place)
{
    int rc = MPIVF_OK;
    for (int sums = IVF_SUMS_VECTORS; rc == MPIVF_OK && sums < ivf_fragment_sums(kept); sums++) {
        const ivf_array array = {.name = ivf_fragment_sums_name(sums), .type = IVF_U64, .rank = 1, .dims = {lists}};
        rc = ivf_h5_locate(file, &array, &place->checksums[sums]);
    }
    return rc;
}

static int read_tables(const ivf_manifest *m, const ivf_fragment_record *record, ivf_h5 *file, const char *path,
                       ivf_place *place, int64_t *sizes)
{
    int32_t first = 0;
    int32_t lists = 0;
    ivf_manifest_lists_of(m, record, &first, &lists);
    uint64_t *table = ivf_new((size_t)lists + 1, sizeof *table);
    int rc = table == NULL ? MPIVF_FAILED : ivf_fragment_check_format(file, path);
    if (rc == MPIVF_OK)
        rc = ivf_fragment_check_range(file, path, record);
    if (rc == MPIVF_OK)
        rc = read_table(file, "list_offsets", (int64_t)lists + 1, table, &place->offsets);
    if (rc == MPIVF_OK)
        rc = check_offsets(record, table, lists, path);
    for (int32_t l = 0; rc == MPIVF_OK && l < lists; l++)
        sizes[first + l] += (int64_t)(table[l + 1] - table[l]);
    if (rc == MPIVF_OK)
        rc = read_table(file, ivf_fragment_sums_name(IVF_SUMS_LISTS), lists, table, &place->checksums[IVF_SUMS_LISTS]);
    if (rc == MPIVF_OK)
        rc = locate_kept_sums(file, m->kept, lists, place);
    if (rc == MPIVF_OK)
        rc = locate_columns(file, m, record->postings, place);
    if (rc == MPIVF_OK)
        rc = digest_skipped(file, record->rows - record->postings, &place->skipped);
    ivf_free(table);
    return rc;
}

int ivf_place_find(const char *index, const ivf_manifest *manifest, int64_t f, ivf_place *place, int64_t *sizes)
{
    char path[IVF_PATH_BYTES];
    ivf_h5 *file = NULL;
    const ivf_fragment_record *record = &manifest->fragments[f];
    int rc = ivf_layout_fragment(index, record->id, path);
    if (rc == MPIVF_OK)
        rc = ivf_h5_open(path, &file);
    *place = (ivf_place){0};
    if (rc == MPIVF_BAD_INPUT)
        rc = ivf_fail(MPIVF_CORRUPT, "%s is missing, though the manifest names it", path);
    if (rc == MPIVF_OK)
        rc = ivf_fragment_check_size(index, record);
    if (rc == MPIVF_OK)
        rc = read_tables(manifest, record, file, path, place, sizes);
    ivf_h5_release(file);
    return rc;
}

static int compare_sizes(const char *index, const ivf_manifest *m, const int64_t *sizes)
{
    for (int32_t l = 0; l < m->factory.nlist; l++)
        if (sizes[l] != m->list_sizes[l])
            return ivf_fail(MPIVF_CORRUPT,
                            "%s: list %d has %" PRId64 " postings in the fragments, %" PRId64 " by the manifest", index,
                            l, sizes[l], m->list_sizes[l]);
    return MPIVF_OK;
}

/* Ranks take ranges of fragments. */
static int find_share(const ivf_ctx *ctx, const char *index, const ivf_manifest *m, ivf_place *places, int64_t *sizes,
                      int64_t *shares)
{
    const int64_t size = ivf_ctx_size(ctx);
    const int64_t rank = ivf_ctx_rank(ctx);
    const int64_t end = m->fragment_count * (rank + 1) / size;
    int rc = MPIVF_OK;
    for (int64_t r = 0; r <= size; r++)
        shares[r] = m->fragment_count * r / size * (int64_t)sizeof *places;
    for (int64_t f = m->fragment_count * rank / size; rc == MPIVF_OK && f < end; f++)
        rc = ivf_place_find(index, m, f, &places[f], sizes);
    return rc;
}

int ivf_place_find_all(const ivf_ctx *ctx, const char *index, const ivf_manifest *manifest, ivf_place *places)
{
    const int32_t nlist = manifest->factory.nlist;
    int64_t *sizes = ivf_new_zero((size_t)nlist, sizeof *sizes);
    int64_t *shares = ivf_new((size_t)ivf_ctx_size(ctx) + 1, sizeof *shares);
    int rc = sizes == NULL || shares == NULL ? MPIVF_FAILED : MPIVF_OK;
    if (rc == MPIVF_OK)
        rc = find_share(ctx, index, manifest, places, sizes, shares);
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK)
        rc = ivf_allgather_bytes(ctx, places, shares);
    if (rc == MPIVF_OK) {
        ivf_allsum_i64(ctx, sizes, nlist);
        rc = ivf_agree(ctx, compare_sizes(index, manifest, sizes));
    }
    ivf_free(shares);
    ivf_free(sizes);
    return rc;
}
