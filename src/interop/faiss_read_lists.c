/* The lists of FAISS's indexes: in the same file, with the sizes of all or of those that are not empty before them, or
 * in a file of their own (faiss/invlists/InvertedListsIOHook.cpp, OnDiskInvertedLists.cpp). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "interop/faiss.h"
#include "interop/faiss_internal.h"

static int refuse(const ivf_cursor *c, const char *what)
{
    return ivf_fail(MPIVF_BAD_INPUT, "input %s is damaged before byte %" PRId64 ": %s", c->file->path, c->at, what);
}

static int64_t posting_bytes(const ivf_faiss_index *index)
{
    return index->code_size + (int64_t)sizeof(uint64_t);
}

static int make_arrays(ivf_faiss_index *index)
{
    const size_t nlist = (size_t)index->factory.nlist;
    index->sizes = ivf_new_zero(nlist, sizeof *index->sizes);
    index->codes_at = ivf_new_zero(nlist, sizeof *index->codes_at);
    index->ids_at = ivf_new_zero(nlist, sizeof *index->ids_at);
    return index->sizes == NULL || index->codes_at == NULL || index->ids_at == NULL ? MPIVF_FAILED : MPIVF_OK;
}

/* The numbers of an array that was passed over, through ivf_new; NULL with a failure recorded. */
static uint64_t *read_numbers(const ivf_cursor *c, int64_t count, int64_t at)
{
    uint64_t *numbers = ivf_new(ivf_to_size(count), sizeof *numbers);
    if (numbers == NULL)
        return NULL;
    if (ivf_rawfile_read(c->file, at, ivf_to_size(count) * sizeof *numbers, numbers) == MPIVF_OK)
        return numbers;
    ivf_free(numbers);
    return NULL;
}

/* ---- in the same file ---- */

/* Lists lie one after the other to the end of the file. */
static int place_lists(const ivf_cursor *c, ivf_faiss_index *index)
{
    int64_t at = c->at;
    int64_t rows = 0;
    for (int32_t l = 0; l < index->factory.nlist; l++) {
        if (index->sizes[l] < 0 || index->sizes[l] > (c->file->bytes - at) / posting_bytes(index))
            return ivf_fail(MPIVF_BAD_INPUT,
                            "input %s is damaged: list %d at byte %" PRId64 " should have %" PRIu64 " rows of %" PRId64
                            " bytes, and the file ends at %" PRId64,
                            c->file->path, l, at, (uint64_t)index->sizes[l], posting_bytes(index), c->file->bytes);
        index->codes_at[l] = at;
        index->ids_at[l] = at + index->sizes[l] * index->code_size;
        at += index->sizes[l] * posting_bytes(index);
        rows += index->sizes[l];
    }
    if (at != c->file->bytes)
        return ivf_fail(MPIVF_BAD_INPUT, "input %s is damaged: its lists end at byte %" PRId64 " of %" PRId64,
                        c->file->path, at, c->file->bytes);
    if (rows != index->rows)
        return ivf_fail(MPIVF_BAD_INPUT, "input %s is damaged: %" PRId64 " rows in its lists, %" PRId64 " in its head",
                        c->file->path, rows, index->rows);
    return MPIVF_OK;
}

static int take_all_sizes(const ivf_cursor *c, const uint64_t *numbers, int64_t count, ivf_faiss_index *index)
{
    if (count != index->factory.nlist)
        return refuse(c, "not as many sizes as lists");
    for (int64_t l = 0; l < count; l++)
        index->sizes[l] = numbers[l] <= INT64_MAX ? (int64_t)numbers[l] : -1;
    return MPIVF_OK;
}

/* Pairs of a list and its size, in ascending order. */
static int take_some_sizes(const ivf_cursor *c, const uint64_t *numbers, int64_t count, ivf_faiss_index *index)
{
    uint64_t next = 0;
    if (count % 2 != 0)
        return refuse(c, "sizes of some lists are no pairs");
    for (int64_t i = 0; i < count; i += 2) {
        if (numbers[i] < next || numbers[i] >= (uint64_t)index->factory.nlist)
            return refuse(c, "sizes of some lists name a list twice, or none that there is");
        next = numbers[i] + 1;
        index->sizes[numbers[i]] = numbers[i + 1] <= INT64_MAX ? (int64_t)numbers[i + 1] : -1;
    }
    return MPIVF_OK;
}

static int read_sizes(ivf_cursor *c, ivf_faiss_index *index)
{
    uint32_t form = 0;
    int64_t count = 0;
    int64_t at = 0;
    int rc = ivf_cursor_u32(c, &form);
    const bool full = form == IVF_FOURCC('f', 'u', 'l', 'l');
    if (rc == MPIVF_OK && !full && form != IVF_FOURCC('s', 'p', 'r', 's'))
        rc = refuse(c, "sizes of lists in an unknown form");
    if (rc == MPIVF_OK)
        rc = ivf_cursor_array(c, "the sizes of the lists", sizeof(uint64_t), &count, &at);
    if (rc != MPIVF_OK)
        return rc;
    uint64_t *numbers = read_numbers(c, count, at);
    if (numbers == NULL)
        return ivf_error_last()->code;
    rc = full ? take_all_sizes(c, numbers, count, index) : take_some_sizes(c, numbers, count, index);
    ivf_free(numbers);
    return rc == MPIVF_OK ? place_lists(c, index) : rc;
}

/* ---- in a file of their own ---- */

/* One list's entry; `left` is what the entries before have left of the file. */
static int place_disk_list(const ivf_cursor *c, int32_t l, const ivf_faiss_disk_list *entry, int64_t *left,
                           ivf_faiss_index *index)
{
    const uint64_t most = (uint64_t)(*left / posting_bytes(index));
    if (entry->size > entry->capacity || entry->capacity > most)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "input %s is damaged: list %d has %" PRIu64 " rows in room for %" PRIu64
                        ", more than the file of the lists holds",
                        c->file->path, l, entry->size, entry->capacity);
    const int64_t room = (int64_t)entry->capacity * posting_bytes(index);
    *left -= room;
    index->sizes[l] = (int64_t)entry->size;
    index->codes_at[l] = (int64_t)entry->offset;
    if (entry->size == 0)
        return MPIVF_OK;
    index->ids_at[l] = index->codes_at[l] + (int64_t)entry->capacity * index->code_size;
    return MPIVF_OK;
}

static int place_disk_lists(const ivf_cursor *c, const ivf_faiss_disk_list *entries, int64_t bytes,
                            ivf_faiss_index *index)
{
    int64_t left = bytes;
    int64_t rows = 0;
    for (int32_t l = 0; l < index->factory.nlist; l++) {
        const ivf_faiss_disk_list *e = &entries[l];
        if (e->size > 0 && e->offset > (uint64_t)bytes)
            return refuse(c, "a list begins beyond the end of the file of the lists");
        int rc = place_disk_list(c, l, e, &left, index);
        if (rc != MPIVF_OK)
            return rc;
        if (e->size > 0 && (int64_t)e->capacity * posting_bytes(index) > bytes - (int64_t)e->offset)
            return refuse(c, "a list ends beyond the end of the file of the lists");
        rows += index->sizes[l];
    }
    return rows == index->rows ? MPIVF_OK : refuse(c, "the lists do not hold as many rows as the head says");
}

/* The name as FAISS wrote it; else, as its IO_FLAG_ONDISK_SAME_DIR has it, beside the index. */
static int find_data(const ivf_cursor *c, int64_t at, int64_t length, ivf_faiss_index *index)
{
    if (length < 1 || length >= IVF_PATH_BYTES)
        return refuse(c, "the name of the file of the lists is of no possible length");
    int rc = ivf_rawfile_read(c->file, at, ivf_to_size(length), index->data);
    index->data[length] = '\0';
    if (rc != MPIVF_OK || access(index->data, F_OK) == 0)
        return rc;
    char beside[IVF_PATH_BYTES];
    const char *slash = strrchr(c->file->path, '/');
    const char *name = strrchr(index->data, '/');
    int written = snprintf(beside, sizeof beside, "%.*s%s", slash != NULL ? (int)(slash + 1 - c->file->path) : 0,
                           c->file->path, name != NULL ? name + 1 : index->data);
    if (written > 0 && (size_t)written < sizeof beside && access(beside, F_OK) == 0)
        memcpy(index->data, beside, (size_t)written + 1);
    return MPIVF_OK;
}

static int read_disk_entries(const ivf_cursor *c, int64_t at, int64_t count, ivf_faiss_index *index)
{
    ivf_rawfile data;
    ivf_faiss_disk_list *entries = ivf_new(ivf_to_size(count), sizeof *entries);
    int rc =
        entries == NULL ? MPIVF_FAILED : ivf_rawfile_read(c->file, at, ivf_to_size(count) * sizeof *entries, entries);
    if (rc == MPIVF_OK)
        rc = ivf_rawfile_open(index->data, &data);
    if (rc == MPIVF_OK) {
        rc = place_disk_lists(c, entries, data.bytes, index);
        ivf_rawfile_close(&data);
    }
    ivf_free(entries);
    return rc;
}

static int read_disk(ivf_cursor *c, ivf_faiss_index *index)
{
    int64_t entries_at = 0;
    int64_t slots = 0;
    int64_t at = 0;
    int64_t length = 0;
    uint64_t total = 0;
    int rc = ivf_cursor_exact(c, "the lists on disk", sizeof(ivf_faiss_disk_list), index->factory.nlist, &entries_at);
    if (rc == MPIVF_OK)
        rc = ivf_cursor_array(c, "the free places on disk", 2 * sizeof(uint64_t), &slots, &at);
    if (rc == MPIVF_OK)
        rc = ivf_cursor_array(c, "the name of the file of the lists", 1, &length, &at);
    if (rc == MPIVF_OK)
        rc = ivf_cursor_u64(c, &total);
    if (rc == MPIVF_OK && c->at != c->file->bytes)
        rc = refuse(c, "the file goes on after its lists");
    if (rc == MPIVF_OK)
        rc = find_data(c, at, length, index);
    return rc == MPIVF_OK ? read_disk_entries(c, entries_at, index->factory.nlist, index) : rc;
}

int ivf_faiss_read_lists(ivf_cursor *c, bool on_disk, ivf_faiss_index *index)
{
    uint64_t nlist = 0;
    uint64_t code_size = 0;
    int rc = ivf_cursor_u64(c, &nlist);
    if (rc == MPIVF_OK)
        rc = ivf_cursor_u64(c, &code_size);
    if (rc == MPIVF_OK && (nlist != (uint64_t)index->factory.nlist || code_size != (uint64_t)index->code_size))
        rc = refuse(c, "the lists do not fit the index");
    /* Each list has at least 8 bytes of the file where all sizes stand there; where only some do, a hostile number of
     * lists is bounded by the centroids. */
    if (rc == MPIVF_OK)
        rc = make_arrays(index);
    index->on_disk = on_disk;
    if (rc == MPIVF_OK)
        rc = on_disk ? read_disk(c, index) : read_sizes(c, index);
    return rc;
}
