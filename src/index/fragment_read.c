/* Reading of fragments, with everything checked that a file can tell about itself. */
#include "index/fragment_internal.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"

int ivf_fragment_check_format(ivf_h5 *file, const char *path)
{
    char *format = NULL;
    int64_t version = 0;
    int rc = ivf_h5_read_text(file, "format", &format);
    if (rc == MPIVF_OK)
        rc = ivf_h5_read_i64(file, "format_version", &version);
    if (rc == MPIVF_OK && (strcmp(format, IVF_FRAGMENT_FORMAT) != 0 || version != IVF_FRAGMENT_VERSION))
        rc = ivf_fail(MPIVF_CORRUPT, "%s: format is \"%.40s\" %lld, not \"%s\" %lld", path, format, (long long)version,
                      IVF_FRAGMENT_FORMAT, (long long)IVF_FRAGMENT_VERSION);
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
    ivf_array arrays[IVF_FRAGMENT_ARRAYS];
    int rc = read_shape(file, path, nlist, code_size, &postings, &skipped);
    if (rc == MPIVF_OK)
        rc = ivf_fragment_new(nlist, code_size, whole ? postings : 0, skipped, fragment);
    if (rc != MPIVF_OK)
        return rc;
    (*fragment)->postings = postings;
    ivf_fragment_internal_arrays(*fragment, arrays);
    for (int i = 0; rc == MPIVF_OK && i < IVF_FRAGMENT_ARRAYS; i++)
        if (whole || i < IVF_FRAGMENT_COLUMNS_AT || i >= IVF_FRAGMENT_COLUMNS_AT + IVF_COLUMNS)
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

int ivf_fragment_check_size(const char *index, const ivf_fragment_record *record)
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
    int rc = ivf_fragment_check_size(index, record);
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
