#include "index/fragment.h"

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

static const char FORMAT[] = "mpivf fragment";
static const int64_t FORMAT_VERSION = 1;

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

void ivf_fragment_free(ivf_fragment *fragment)
{
    if (fragment == NULL)
        return;
    ivf_free(fragment->offsets);
    ivf_free(fragment->ids);
    ivf_free(fragment->codes);
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

int64_t ivf_fragment_memory(int32_t nlist, size_t code_size, int64_t postings)
{
    return ((int64_t)nlist + 1) * 8 + postings * (8 + (int64_t)code_size);
}

void ivf_fragment_columns(size_t code_size, ivf_column columns[IVF_COLUMNS])
{
    columns[IVF_COLUMN_IDS] = (ivf_column){"ids", IVF_U64, 1, 1, sizeof(uint64_t)};
    columns[IVF_COLUMN_CODES] = (ivf_column){"codes", IVF_U8, 2, (int64_t)code_size, code_size};
}

void *ivf_fragment_column(const ivf_fragment *fragment, int column)
{
    return column == IVF_COLUMN_IDS ? (void *)fragment->ids : (void *)fragment->codes;
}

/* The datasets of the file: those of postings come second. */
enum { FIRST_COLUMN = 1, FRAGMENT_ARRAYS = IVF_COLUMNS + 4 };

static void collect_arrays(const ivf_fragment *f, ivf_array arrays[FRAGMENT_ARRAYS])
{
    ivf_column columns[IVF_COLUMNS];
    int n = 0;
    ivf_fragment_columns(f->code_size, columns);
    arrays[n++] = (ivf_array){"list_offsets", IVF_U64, 1, {(int64_t)f->nlist + 1}, f->offsets};
    for (int c = 0; c < IVF_COLUMNS; c++)
        arrays[n++] = (ivf_array){columns[c].name,
                                  columns[c].type,
                                  columns[c].rank,
                                  {f->postings, columns[c].width},
                                  ivf_fragment_column(f, c)};
    arrays[n++] = (ivf_array){"skipped/rows", IVF_U64, 1, {f->skipped}, f->skipped_rows};
    arrays[n++] = (ivf_array){"skipped/ids", IVF_U64, 1, {f->skipped}, f->skipped_ids};
    arrays[n] = (ivf_array){"skipped/reasons", IVF_U8, 1, {f->skipped}, f->skipped_reasons};
}

/* Of each list: XXH3-64 of its ids and then its codes, so that damage can be told to be of one list. */
static int hash_lists(const ivf_fragment *f, uint64_t *checksums)
{
    ivf_column columns[IVF_COLUMNS];
    ivf_hasher *hasher = ivf_hasher_new();
    if (hasher == NULL)
        return MPIVF_FAILED;
    ivf_fragment_columns(f->code_size, columns);
    for (int32_t l = 0; l < f->nlist; l++) {
        size_t first = f->offsets[l];
        size_t n = f->offsets[l + 1] - first;
        ivf_hasher_reset(hasher);
        for (int c = 0; c < IVF_COLUMNS; c++)
            ivf_hasher_add(hasher, (const char *)ivf_fragment_column(f, c) + first * columns[c].bytes,
                           n * columns[c].bytes);
        checksums[l] = ivf_hasher_end(hasher);
    }
    ivf_hasher_free(hasher);
    return MPIVF_OK;
}

static int write_list_checksums(ivf_h5 *file, const ivf_fragment *fragment)
{
    ivf_array array = {"list_checksums", IVF_U64, 1, {fragment->nlist}, NULL};
    uint64_t *checksums = ivf_new((size_t)fragment->nlist, sizeof *checksums);
    int rc = checksums == NULL ? MPIVF_FAILED : hash_lists(fragment, checksums);
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

static int write_contents(ivf_h5 *file, const ivf_fragment *fragment, const ivf_fragment_record *record)
{
    ivf_array arrays[FRAGMENT_ARRAYS];
    collect_arrays(fragment, arrays);
    int rc = ivf_h5_write_text(file, "format", FORMAT);
    if (rc == MPIVF_OK)
        rc = ivf_h5_write_i64(file, "format_version", FORMAT_VERSION);
    if (rc == MPIVF_OK)
        rc = write_range(file, record);
    for (int i = 0; rc == MPIVF_OK && i < FRAGMENT_ARRAYS; i++)
        rc = ivf_h5_write(file, &arrays[i]);
    return rc == MPIVF_OK ? write_list_checksums(file, fragment) : rc;
}

static int write_file(const ivf_fragment *fragment, const ivf_fragment_record *record, const char *path)
{
    ivf_h5 *file = NULL;
    int rc = ivf_h5_create(path, &file);
    if (rc != MPIVF_OK)
        return rc;
    rc = write_contents(file, fragment, record);
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
                           char *temp)
{
    int rc = ivf_layout_fragment(index, record->id, path);
    if (rc == MPIVF_OK)
        rc = ivf_publish_name(path, temp);
    if (rc != MPIVF_OK)
        return rc;
    ivf_fragment_account(fragment, record);
    rc = write_file(fragment, record, temp);
    if (rc != MPIVF_OK)
        (void)unlink(temp);
    return rc;
}

int ivf_fragment_write(const ivf_fragment *fragment, const char *index, ivf_fragment_record *record)
{
    char path[IVF_PATH_BYTES];
    char temp[IVF_PATH_BYTES];
    int rc = write_temporary(fragment, index, record, path, temp);
    return rc == MPIVF_OK ? ivf_publish_rename(temp, path, &record->bytes, &record->checksum) : rc;
}

int ivf_fragment_rewrite(const ivf_fragment *fragment, const char *index, const ivf_fragment_record *expected,
                         ivf_fragment_record *record)
{
    char path[IVF_PATH_BYTES];
    char temp[IVF_PATH_BYTES];
    int rc = write_temporary(fragment, index, record, path, temp);
    if (rc != MPIVF_OK)
        return rc;
    rc = ivf_file_checksum(temp, &record->bytes, &record->checksum);
    if (rc == MPIVF_OK && record->bytes == expected->bytes && record->checksum == expected->checksum)
        return ivf_publish_rename(temp, path, NULL, NULL);
    ivf_publish_discard(temp, -1);
    return rc;
}

int ivf_fragment_check_format(ivf_h5 *file, const char *path)
{
    char *format = NULL;
    int64_t version = 0;
    int rc = ivf_h5_read_text(file, "format", &format);
    if (rc == MPIVF_OK)
        rc = ivf_h5_read_i64(file, "format_version", &version);
    if (rc == MPIVF_OK && (strcmp(format, FORMAT) != 0 || version != FORMAT_VERSION))
        rc = ivf_fail(MPIVF_CORRUPT, "%s: format is \"%.40s\" %lld, not \"%s\" %lld", path, format, (long long)version,
                      FORMAT, (long long)FORMAT_VERSION);
    ivf_free(format);
    return rc;
}

int ivf_fragment_check_range(ivf_h5 *file, const char *path, const ivf_fragment_record *record)
{
    const bool by_lists = record->lists > 0;
    int64_t first = -1;
    int64_t lists = 0;
    int64_t rows = -1;
    int rc = ivf_h5_read_i64(file, by_lists ? "first_list" : "first_row", &first);
    if (rc == MPIVF_OK && by_lists)
        rc = ivf_h5_read_i64(file, "lists", &lists);
    if (rc == MPIVF_OK)
        rc = ivf_h5_read_i64(file, "rows", &rows);
    if (rc == MPIVF_OK && (first != (by_lists ? record->first_list : record->first_row) || lists != record->lists ||
                           rows != record->rows))
        rc = ivf_fail(MPIVF_CORRUPT, "%s: holds %lld rows from %s %lld, the manifest says %lld from %lld", path,
                      (long long)rows, by_lists ? "list" : "row", (long long)first, (long long)record->rows,
                      (long long)(by_lists ? record->first_list : record->first_row));
    return rc;
}

/* Number of elements of a dataset, which must be there with that type and rank. */
static int dimension(ivf_h5 *file, const char *path, const char *name, ivf_element type, int rank, int64_t dims[2])
{
    ivf_array found;
    int64_t offset = 0;
    int rc = ivf_h5_describe(file, name, &found, &offset);
    if (rc != MPIVF_OK)
        return rc;
    if (found.type != type || found.rank != rank)
        return ivf_fail(MPIVF_CORRUPT, "%s: dataset %s is %s of rank %d, not %s of rank %d", path, name,
                        ivf_element_name(found.type), found.rank, ivf_element_name(type), rank);
    memcpy(dims, found.dims, (size_t)rank * sizeof *dims);
    return MPIVF_OK;
}

static int read_shape(ivf_h5 *file, const char *path, int32_t nlist, size_t code_size, int64_t *postings,
                      int64_t *skipped)
{
    int64_t lists[2] = {0};
    int64_t codes[2] = {0};
    int64_t bad[2] = {0};
    int rc = dimension(file, path, "list_offsets", IVF_U64, 1, lists);
    if (rc == MPIVF_OK)
        rc = dimension(file, path, "codes", IVF_U8, 2, codes);
    if (rc == MPIVF_OK)
        rc = dimension(file, path, "skipped/ids", IVF_U64, 1, bad);
    if (rc != MPIVF_OK)
        return rc;
    if (lists[0] != (int64_t)nlist + 1)
        return ivf_fail(MPIVF_CORRUPT, "%s: list_offsets has %lld entries, the model's %d lists need %lld", path,
                        (long long)lists[0], nlist, (long long)nlist + 1);
    if (codes[1] != (int64_t)code_size)
        return ivf_fail(MPIVF_CORRUPT, "%s: codes are of %lld bytes, the model's of %zu", path, (long long)codes[1],
                        code_size);
    *postings = codes[0];
    *skipped = bad[0];
    return MPIVF_OK;
}

static int check_offsets(const ivf_fragment *f, const char *path)
{
    if (f->offsets[0] != 0)
        return ivf_fail(MPIVF_CORRUPT, "%s: list 0 starts at %llu, not 0", path, (unsigned long long)f->offsets[0]);
    for (int32_t l = 0; l < f->nlist; l++)
        if (f->offsets[l + 1] < f->offsets[l])
            return ivf_fail(MPIVF_CORRUPT, "%s: list %d ends at %llu, before its start %llu", path, l,
                            (unsigned long long)f->offsets[l + 1], (unsigned long long)f->offsets[l]);
    if (f->offsets[f->nlist] != (uint64_t)f->postings)
        return ivf_fail(MPIVF_CORRUPT, "%s: lists end at %llu of %lld postings", path,
                        (unsigned long long)f->offsets[f->nlist], (long long)f->postings);
    return MPIVF_OK;
}

static int check_ids(const ivf_fragment *f, const char *path)
{
    for (int64_t i = 0; i < f->postings; i++)
        if (f->ids[i] > INT64_MAX)
            return ivf_fail(MPIVF_CORRUPT, "%s: posting %lld has the id %llu; the largest is 2^63 - 1", path,
                            (long long)i, (unsigned long long)f->ids[i]);
    return MPIVF_OK;
}

static int check_skipped(const ivf_fragment *f, const char *path)
{
    for (int64_t i = 0; i < f->skipped; i++)
        if (f->skipped_reasons[i] == IVF_ROW_OK || f->skipped_reasons[i] >= IVF_ROW_REASONS)
            return ivf_fail(MPIVF_CORRUPT, "%s: skipped row %lld has the unknown reason %d", path, (long long)i,
                            f->skipped_reasons[i]);
    return MPIVF_OK;
}

/* Without postings there is no room for them either, though their number is known. */
static int read_arrays(ivf_h5 *file, const char *path, int32_t nlist, size_t code_size, bool whole,
                       ivf_fragment **fragment)
{
    int64_t postings = 0;
    int64_t skipped = 0;
    ivf_array arrays[FRAGMENT_ARRAYS];
    int rc = read_shape(file, path, nlist, code_size, &postings, &skipped);
    if (rc == MPIVF_OK)
        rc = ivf_fragment_new(nlist, code_size, whole ? postings : 0, skipped, fragment);
    if (rc != MPIVF_OK)
        return rc;
    (*fragment)->postings = postings;
    collect_arrays(*fragment, arrays);
    for (int i = 0; rc == MPIVF_OK && i < FRAGMENT_ARRAYS; i++)
        if (whole || i < FIRST_COLUMN || i >= FIRST_COLUMN + IVF_COLUMNS)
            rc = ivf_h5_read(file, &arrays[i]);
    return rc;
}

static int read_fragment(const char *index, const char *id, int32_t nlist, size_t code_size, bool whole,
                         ivf_fragment **fragment)
{
    char path[IVF_PATH_BYTES];
    ivf_h5 *file = NULL;
    *fragment = NULL;
    int rc = ivf_layout_fragment(index, id, path);
    if (rc == MPIVF_OK)
        rc = ivf_h5_open(path, &file);
    if (rc == MPIVF_BAD_INPUT)
        rc = ivf_fail(MPIVF_CORRUPT, "%s is missing, though the manifest names it", path);
    if (rc != MPIVF_OK)
        return rc;
    rc = ivf_fragment_check_format(file, path);
    if (rc == MPIVF_OK)
        rc = read_arrays(file, path, nlist, code_size, whole, fragment);
    ivf_h5_release(file);
    if (rc == MPIVF_OK)
        rc = check_offsets(*fragment, path);
    if (rc == MPIVF_OK && whole)
        rc = check_ids(*fragment, path);
    if (rc == MPIVF_OK)
        rc = check_skipped(*fragment, path);
    if (rc != MPIVF_OK) {
        ivf_fragment_free(*fragment);
        *fragment = NULL;
    }
    return rc;
}

int ivf_fragment_read(const char *index, const char *id, int32_t nlist, size_t code_size, ivf_fragment **fragment)
{
    return read_fragment(index, id, nlist, code_size, true, fragment);
}

static int check_size(const char *index, const ivf_fragment_record *record)
{
    char path[IVF_PATH_BYTES];
    struct stat info;
    int rc = ivf_layout_fragment(index, record->id, path);
    if (rc != MPIVF_OK)
        return rc;
    if (stat(path, &info) != 0)
        return errno == ENOENT ? ivf_fail(MPIVF_CORRUPT, "%s is missing", path) : ivf_fail_errno(errno, "%s", path);
    if (info.st_size != record->bytes)
        return ivf_fail(MPIVF_CORRUPT, "%s has %lld bytes, not %lld", path, (long long)info.st_size,
                        (long long)record->bytes);
    return MPIVF_OK;
}

int ivf_fragment_skim(const char *index, const ivf_fragment_record *record, int32_t nlist, size_t code_size,
                      ivf_fragment **fragment)
{
    *fragment = NULL;
    int rc = check_size(index, record);
    if (rc == MPIVF_OK)
        rc = read_fragment(index, record->id, nlist, code_size, false, fragment);
    if (rc == MPIVF_OK &&
        ((*fragment)->postings != record->postings || (*fragment)->skipped != record->rows - record->postings)) {
        rc = ivf_fail(MPIVF_CORRUPT, "fragment %s: %lld postings and %lld skipped rows, not %lld of %lld rows",
                      record->id, (long long)(*fragment)->postings, (long long)(*fragment)->skipped,
                      (long long)record->postings, (long long)record->rows);
        ivf_fragment_free(*fragment);
        *fragment = NULL;
    }
    return rc;
}

static int compare_record(const ivf_fragment *fragment, const ivf_fragment_record *record)
{
    ivf_fragment_record found = {0};
    ivf_fragment_account(fragment, &found);
    if (found.postings != record->postings || memcmp(found.skipped, record->skipped, sizeof found.skipped) != 0)
        return ivf_fail(MPIVF_CORRUPT,
                        "fragment %s: %lld postings and %lld skipped rows, the manifest says %lld of %lld rows",
                        record->id, (long long)found.postings, (long long)fragment->skipped,
                        (long long)record->postings, (long long)record->rows);
    if (found.digest_out != record->digest_in)
        return ivf_fail(MPIVF_CORRUPT, "fragment %s: its ids are not those that were read", record->id);
    return MPIVF_OK;
}

int ivf_fragment_open(const char *index, const ivf_fragment_record *record, int32_t nlist, size_t code_size,
                      ivf_fragment **fragment)
{
    int rc = ivf_fragment_read(index, record->id, nlist, code_size, fragment);
    if (rc == MPIVF_OK)
        rc = compare_record(*fragment, record);
    if (rc != MPIVF_OK) {
        ivf_fragment_free(*fragment);
        *fragment = NULL;
    }
    return rc;
}
