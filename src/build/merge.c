/* Merging of lists, for compaction and for the repair of what it made. The reader puts each list together in its place
 * (index/reader.h); here is only what makes a fragment of it. */
#include "build/merge.h"

#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/numbers.h"

struct ivf_merger {
    const char *index;
    const ivf_manifest *manifest;
    ivf_reader *reader;
    ivf_column columns[IVF_ALL_COLUMNS];
    int column_count;
    int32_t *lists;                  /* [most], owned */
    uint8_t *(*to)[IVF_ALL_COLUMNS]; /* [most], owned */
};

/* All that there is of a posting. */
static const ivf_reader_use use = {.vectors = true};

ivf_merger *ivf_merger_open(const char *index, const ivf_manifest *manifest, const ivf_place *places, int32_t most)
{
    ivf_merger *m = ivf_new_zero(1, sizeof *m);
    if (m == NULL)
        return NULL;
    m->index = index;
    m->manifest = manifest;
    m->column_count = ivf_fragment_columns(manifest->code_size, manifest->kept, m->columns);
    m->lists = ivf_new((size_t)most, sizeof *m->lists);
    m->to = ivf_new((size_t)most, sizeof *m->to);
    m->reader = ivf_reader_open(index, manifest, places, 0, manifest->fragment_count, use);
    if (m->lists != NULL && m->to != NULL && m->reader != NULL)
        return m;
    ivf_merger_close(m);
    return NULL;
}

void ivf_merger_close(ivf_merger *merger)
{
    if (merger == NULL)
        return;
    ivf_reader_close(merger->reader);
    ivf_free(merger->lists);
    ivf_free((void *)merger->to);
    ivf_free(merger);
}

int64_t ivf_merger_memory(const ivf_manifest *manifest, int32_t most)
{
    const int64_t of_list = (int64_t)sizeof(int32_t) + IVF_ALL_COLUMNS * (int64_t)sizeof(uint8_t *);
    return ivf_reader_memory(manifest, 0, manifest->fragment_count, most, use) + most * of_list;
}

int64_t ivf_merger_skipped(const ivf_manifest *manifest)
{
    return manifest->rows - manifest->postings;
}

/* Of all fragments, in the order of the rows. */
static int copy_skipped(const ivf_merger *m, ivf_fragment *fragment)
{
    int64_t at = 0;
    int rc = MPIVF_OK;
    for (int64_t i = 0; rc == MPIVF_OK && i < m->manifest->fragment_count; i++) {
        const ivf_fragment_record *record = &m->manifest->fragments[i];
        ivf_fragment *from = NULL;
        int32_t first = 0;
        int32_t lists = 0;
        if (record->rows == record->postings)
            continue;
        ivf_manifest_lists_of(m->manifest, record, &first, &lists);
        rc = ivf_fragment_skim(m->index, record, lists, m->manifest->code_size, &from);
        if (rc == MPIVF_OK && from->skipped > fragment->skipped - at)
            rc = ivf_fail(MPIVF_CORRUPT, "fragment %s: more rows are skipped than the manifest says", record->id);
        if (rc == MPIVF_OK) {
            const size_t n = ivf_to_size(from->skipped);
            memcpy(fragment->skipped_rows + at, from->skipped_rows, n * sizeof *from->skipped_rows);
            memcpy(fragment->skipped_ids + at, from->skipped_ids, n * sizeof *from->skipped_ids);
            memcpy(fragment->skipped_reasons + at, from->skipped_reasons, n);
            at += from->skipped;
        }
        ivf_fragment_free(from);
    }
    return rc;
}

int ivf_merger_run(ivf_merger *merger, int32_t first, int32_t count, ivf_fragment *fragment,
                   ivf_fragment_record *record)
{
    const int64_t *sizes = merger->manifest->list_sizes + first;
    uint64_t at = 0;
    fragment->nlist = count;
    for (int32_t i = 0; i < count; i++) {
        merger->lists[i] = first + i;
        for (int c = 0; c < merger->column_count; c++)
            merger->to[i][c] = (uint8_t *)ivf_fragment_column(fragment, c) + at * merger->columns[c].bytes;
        fragment->offsets[i] = at;
        at += (uint64_t)sizes[i];
    }
    fragment->offsets[count] = at;
    const ivf_reader_job job = {.lists = merger->lists, .count = count, .sizes = sizes, .to = merger->to};
    int rc = ivf_reader_run(merger->reader, &job);
    if (rc == MPIVF_OK && fragment->skipped > 0)
        rc = copy_skipped(merger, fragment);
    record->first_list = first;
    record->lists = count;
    record->rows = fragment->postings + fragment->skipped;
    if (rc == MPIVF_OK)
        record->digest_in = ivf_digest_ids(fragment->ids, fragment->postings) +
                            ivf_digest_ids(fragment->skipped_ids, fragment->skipped);
    return rc;
}
