#include "index/fragment_internal.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "io/h5.h"

static const int64_t FRAGMENT_GRAIN = 4096;
static const int64_t FRAGMENT_MOST_ROWS = 1 << 20;
static const int64_t FRAGMENT_MOST_BYTES = 256 << 20;

int64_t ivf_fragment_usual_rows(int64_t rows, int32_t nlist, size_t code_size)
{
    int64_t share = ivf_round_up(ivf_ceil_div(rows, 64), FRAGMENT_GRAIN);
    int64_t least = ivf_max_i64(FRAGMENT_GRAIN, 4 * (int64_t)nlist);
    int64_t fitting = FRAGMENT_MOST_BYTES / (int64_t)(code_size + sizeof(uint64_t)) / FRAGMENT_GRAIN * FRAGMENT_GRAIN;
    int64_t most = ivf_min_i64(FRAGMENT_MOST_ROWS, ivf_max_i64(fitting, FRAGMENT_GRAIN));
    return ivf_min_i64(ivf_max_i64(share, least), most);
}

int ivf_fragment_new(int32_t nlist, size_t code_size, int64_t postings, int64_t skipped, ivf_fragment **fragment)
{
    *fragment = NULL;
    ivf_fragment *made = ivf_new_zero(1, sizeof *made);
    if (made == NULL)
        return MPIVF_FAILED;
    size_t n = ivf_to_size(postings);
    size_t bad = ivf_to_size(skipped);
    made->nlist = nlist;
    made->code_size = code_size;
    made->postings = postings;
    made->skipped = skipped;
    made->offsets = ivf_new_zero((size_t)nlist + 1, sizeof *made->offsets);
    made->ids = ivf_new(n, sizeof *made->ids);
    made->codes = ivf_new(n, code_size);
    made->skipped_rows = ivf_new(bad, sizeof *made->skipped_rows);
    made->skipped_ids = ivf_new(bad, sizeof *made->skipped_ids);
    made->skipped_reasons = ivf_new(bad, sizeof *made->skipped_reasons);
    if (made->offsets == NULL || made->ids == NULL || made->codes == NULL || made->skipped_rows == NULL ||
        made->skipped_ids == NULL || made->skipped_reasons == NULL) {
        ivf_fragment_free(made);
        return MPIVF_FAILED;
    }
    *fragment = made;
    return MPIVF_OK;
}

int ivf_fragment_keep(ivf_fragment *fragment, ivf_keeping kept)
{
    fragment->kept = kept;
    fragment->vectors = ivf_new(ivf_to_size(fragment->postings), ivf_kept_bytes(kept));
    return fragment->vectors == NULL ? MPIVF_FAILED : MPIVF_OK;
}

void ivf_fragment_free(ivf_fragment *fragment)
{
    if (fragment == NULL)
        return;
    ivf_free(fragment->offsets);
    ivf_free(fragment->ids);
    ivf_free(fragment->codes);
    ivf_free(fragment->vectors);
    ivf_free(fragment->skipped_rows);
    ivf_free(fragment->skipped_ids);
    ivf_free(fragment->skipped_reasons);
    ivf_free(fragment);
}

int ivf_fragment_reuse(ivf_fragment *fragment, int64_t postings, int64_t skipped)
{
    size_t bad = ivf_to_size(skipped);
    fragment->postings = postings;
    fragment->skipped = skipped;
    memset(fragment->offsets, 0, ((size_t)fragment->nlist + 1) * sizeof *fragment->offsets);
    ivf_free(fragment->skipped_rows);
    ivf_free(fragment->skipped_ids);
    ivf_free(fragment->skipped_reasons);
    fragment->skipped_rows = ivf_new(bad, sizeof *fragment->skipped_rows);
    fragment->skipped_ids = ivf_new(bad, sizeof *fragment->skipped_ids);
    fragment->skipped_reasons = ivf_new(bad, sizeof *fragment->skipped_reasons);
    return fragment->skipped_rows == NULL || fragment->skipped_ids == NULL || fragment->skipped_reasons == NULL
               ? MPIVF_FAILED
               : MPIVF_OK;
}

int64_t ivf_fragment_memory(int32_t nlist, size_t code_size, ivf_keeping kept, int64_t postings)
{
    return ((int64_t)nlist + 1) * 8 + postings * (int64_t)(sizeof(uint64_t) + code_size + ivf_kept_bytes(kept));
}

int64_t ivf_fragment_skipped_memory(int64_t skipped)
{
    return skipped * (int64_t)(2 * sizeof(uint64_t) + 1);
}

int ivf_fragment_columns(size_t code_size, ivf_keeping kept, ivf_column columns[IVF_ALL_COLUMNS])
{
    columns[IVF_COLUMN_IDS] = (ivf_column){"ids", IVF_U64, 1, 1, sizeof(uint64_t), IVF_SUMS_LISTS};
    columns[IVF_COLUMN_CODES] = (ivf_column){"codes", IVF_U8, 2, (int64_t)code_size, code_size, IVF_SUMS_LISTS};
    columns[IVF_COLUMN_VECTORS] =
        (ivf_column){IVF_KEPT_VECTORS, kept.type, 2, kept.d, ivf_kept_bytes(kept), IVF_SUMS_VECTORS};
    return kept.d > 0 ? IVF_ALL_COLUMNS : IVF_COLUMNS;
}

const char *ivf_fragment_sums_name(int sums)
{
    return sums == IVF_SUMS_LISTS ? "list_checksums" : IVF_KEPT_CHECKSUMS;
}

int ivf_fragment_sums(ivf_keeping kept)
{
    return kept.d > 0 ? IVF_SUMS : 1;
}

void *ivf_fragment_column(const ivf_fragment *fragment, int column)
{
    if (column == IVF_COLUMN_VECTORS)
        return fragment->vectors;
    return column == IVF_COLUMN_IDS ? (void *)fragment->ids : (void *)fragment->codes;
}

static ivf_array array_of(const ivf_fragment *f, const ivf_column *column, void *data)
{
    return (ivf_array){column->name, column->type, column->rank, {f->postings, column->width}, data};
}

void ivf_fragment_internal_arrays(const ivf_fragment *f, ivf_array arrays[IVF_FRAGMENT_ARRAYS])
{
    ivf_column columns[IVF_ALL_COLUMNS];
    int n = 0;
    (void)ivf_fragment_columns(f->code_size, f->kept, columns);
    arrays[n++] = (ivf_array){"list_offsets", IVF_U64, 1, {(int64_t)f->nlist + 1}, f->offsets};
    for (int c = 0; c < IVF_COLUMNS; c++)
        arrays[n++] = array_of(f, &columns[c], ivf_fragment_column(f, c));
    arrays[n++] = (ivf_array){"skipped/rows", IVF_U64, 1, {f->skipped}, f->skipped_rows};
    arrays[n++] = (ivf_array){"skipped/ids", IVF_U64, 1, {f->skipped}, f->skipped_ids};
    arrays[n] = (ivf_array){"skipped/reasons", IVF_U8, 1, {f->skipped}, f->skipped_reasons};
}

/* Of each list, so that damage can be told to be of one. */
int ivf_fragment_hash_lists(const ivf_fragment *f, int sums, uint64_t *checksums)
{
    ivf_column columns[IVF_ALL_COLUMNS];
    ivf_hasher *hasher = ivf_hasher_new();
    if (hasher == NULL)
        return MPIVF_FAILED;
    const int count = ivf_fragment_columns(f->code_size, f->kept, columns);
    for (int32_t l = 0; l < f->nlist; l++) {
        size_t first = f->offsets[l];
        size_t n = f->offsets[l + 1] - first;
        ivf_hasher_reset(hasher);
        for (int c = 0; c < count; c++)
            if (columns[c].sums == sums)
                ivf_hasher_add(hasher, (const char *)ivf_fragment_column(f, c) + first * columns[c].bytes,
                               n * columns[c].bytes);
        checksums[l] = ivf_hasher_end(hasher);
    }
    ivf_hasher_free(hasher);
    return MPIVF_OK;
}

static int write_list_checksums(ivf_h5 *file, const ivf_fragment *fragment, int sums)
{
    ivf_array array = {ivf_fragment_sums_name(sums), IVF_U64, 1, {fragment->nlist}, NULL};
    uint64_t *checksums = ivf_new((size_t)fragment->nlist, sizeof *checksums);
    int rc = checksums == NULL ? MPIVF_FAILED : ivf_fragment_hash_lists(fragment, sums, checksums);
    array.data = checksums;
    if (rc == MPIVF_OK)
        rc = ivf_h5_write(file, &array);
    ivf_free(checksums);
    return rc;
}

static int write_range(ivf_h5 *file, const ivf_fragment_record *record)
{
    int rc = MPIVF_OK;
    if (record->lists > 0)
        rc = ivf_h5_write_i64(file, "first_list", record->first_list);
    if (rc == MPIVF_OK && record->lists > 0)
        rc = ivf_h5_write_i64(file, "lists", record->lists);
    if (rc == MPIVF_OK && record->lists == 0)
        rc = ivf_h5_write_i64(file, "first_row", record->first_row);
    return rc == MPIVF_OK ? ivf_h5_write_i64(file, "rows", record->rows) : rc;
}

static int write_head(ivf_h5 *file, const ivf_fragment_record *record)
{
    int rc = ivf_h5_write_text(file, "format", IVF_FRAGMENT_FORMAT);
    if (rc == MPIVF_OK)
        rc = ivf_h5_write_i64(file, "format_version", IVF_FRAGMENT_VERSION);
    return rc == MPIVF_OK ? write_range(file, record) : rc;
}

/* Of a file that was written, what is still in memory: all but the checksums of lists. */
typedef struct {
    ivf_extent extents[IVF_FRAGMENT_ARRAYS + 1];
    int count;
} written;

static int write_array(ivf_h5 *file, const ivf_array *array, written *w)
{
    int64_t offset = -1;
    const int rc = ivf_h5_write_told(file, array, &offset);
    if (rc == MPIVF_OK && offset >= 0)
        w->extents[w->count++] = (ivf_extent){offset, ivf_array_bytes(array), array->data};
    return rc;
}

static int write_contents(ivf_h5 *file, const ivf_fragment *fragment, const ivf_fragment_record *record, written *w)
{
    ivf_array arrays[IVF_FRAGMENT_ARRAYS];
    ivf_column columns[IVF_ALL_COLUMNS];
    const int count = ivf_fragment_columns(fragment->code_size, fragment->kept, columns);
    ivf_fragment_internal_arrays(fragment, arrays);
    int rc = write_head(file, record);
    for (int i = 0; rc == MPIVF_OK && i < IVF_FRAGMENT_ARRAYS; i++)
        rc = write_array(file, &arrays[i], w);
    if (rc == MPIVF_OK)
        rc = write_list_checksums(file, fragment, IVF_SUMS_LISTS);
    for (int c = IVF_COLUMNS; rc == MPIVF_OK && c < count; c++) {
        const ivf_array kept = array_of(fragment, &columns[c], ivf_fragment_column(fragment, c));
        rc = write_array(file, &kept, w);
        if (rc == MPIVF_OK)
            rc = write_list_checksums(file, fragment, columns[c].sums);
    }
    return rc;
}

static int reserve_sums(ivf_h5 *file, const ivf_fragment *fragment, int sums, ivf_place *place)
{
    const ivf_array array = {ivf_fragment_sums_name(sums), IVF_U64, 1, {fragment->nlist}, NULL};
    return ivf_h5_reserve(file, &array, &place->checksums[sums]);
}

/* Behind what skipped rows have, in the order of write_contents. */
static int reserve_rest(ivf_h5 *file, const ivf_fragment *fragment, ivf_place *place)
{
    ivf_column columns[IVF_ALL_COLUMNS];
    const int count = ivf_fragment_columns(fragment->code_size, fragment->kept, columns);
    int rc = reserve_sums(file, fragment, IVF_SUMS_LISTS, place);
    for (int c = IVF_COLUMNS; rc == MPIVF_OK && c < count; c++) {
        const ivf_array kept = array_of(fragment, &columns[c], NULL);
        rc = ivf_h5_reserve(file, &kept, &place->columns[c]);
        if (rc == MPIVF_OK)
            rc = reserve_sums(file, fragment, columns[c].sums, place);
    }
    return rc;
}

int ivf_fragment_begin(const ivf_fragment *fragment, const ivf_fragment_record *record, const char *path, ivf_h5 **file,
                       ivf_place *place)
{
    ivf_array arrays[IVF_FRAGMENT_ARRAYS];
    ivf_fragment_internal_arrays(fragment, arrays);
    int rc = ivf_h5_create(path, file);
    if (rc != MPIVF_OK)
        return rc;
    rc = write_head(*file, record);
    for (int i = 0; rc == MPIVF_OK && i < IVF_FRAGMENT_ARRAYS; i++) {
        const int column = i - IVF_FRAGMENT_COLUMNS_AT;
        if (column >= 0 && column < IVF_COLUMNS)
            rc = ivf_h5_reserve(*file, &arrays[i], &place->columns[column]);
        else
            rc = ivf_h5_write(*file, &arrays[i]);
    }
    if (rc == MPIVF_OK)
        rc = reserve_rest(*file, fragment, place);
    if (rc == MPIVF_OK)
        return rc;
    ivf_h5_abandon(*file);
    *file = NULL;
    return rc;
}

static int write_file(const ivf_fragment *fragment, const ivf_fragment_record *record, const char *path, written *w)
{
    ivf_h5 *file = NULL;
    int rc = ivf_h5_create(path, &file);
    if (rc != MPIVF_OK)
        return rc;
    rc = write_contents(file, fragment, record, w);
    if (rc == MPIVF_OK)
        return ivf_h5_close(file);
    ivf_h5_abandon(file);
    return rc;
}

void ivf_fragment_account(const ivf_fragment *fragment, ivf_fragment_record *record)
{
    record->postings = fragment->postings;
    memset(record->skipped, 0, sizeof record->skipped);
    for (int64_t i = 0; i < fragment->skipped; i++)
        record->skipped[fragment->skipped_reasons[i]]++;
    record->digest_out =
        ivf_digest_ids(fragment->ids, fragment->postings) + ivf_digest_ids(fragment->skipped_ids, fragment->skipped);
}

/* Under a temporary name beside `path`, which it will have; both [IVF_PATH_BYTES]. */
static int write_temporary(const ivf_fragment *fragment, const char *index, ivf_fragment_record *record, char *path,
                           char *temp, written *w)
{
    w->count = 0;
    int rc = ivf_layout_fragment(index, record->id, path);
    if (rc == MPIVF_OK)
        rc = ivf_publish_name(path, temp);
    if (rc != MPIVF_OK)
        return rc;
    ivf_fragment_account(fragment, record);
    rc = write_file(fragment, record, temp, w);
    if (rc != MPIVF_OK)
        (void)unlink(temp);
    return rc;
}

int ivf_fragment_write(const ivf_fragment *fragment, const char *index, ivf_fragment_record *record)
{
    char path[IVF_PATH_BYTES];
    char temp[IVF_PATH_BYTES];
    written w;
    int rc = write_temporary(fragment, index, record, path, temp, &w);
    return rc == MPIVF_OK ? ivf_publish_rename_known(temp, path, w.extents, w.count, &record->bytes, &record->checksum)
                          : rc;
}

int ivf_fragment_rewrite(const ivf_fragment *fragment, const char *index, const ivf_fragment_record *expected,
                         ivf_fragment_record *record)
{
    char path[IVF_PATH_BYTES];
    char temp[IVF_PATH_BYTES];
    written w;
    int rc = write_temporary(fragment, index, record, path, temp, &w);
    if (rc != MPIVF_OK)
        return rc;
    rc = ivf_file_checksum(temp, &record->bytes, &record->checksum);
    if (rc == MPIVF_OK && record->bytes == expected->bytes && record->checksum == expected->checksum)
        return ivf_publish_rename(temp, path, NULL, NULL);
    ivf_publish_discard(temp, -1);
    return rc;
}
