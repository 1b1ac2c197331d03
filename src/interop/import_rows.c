/* Rows out of FAISS's lists. A fragment is a range of them, and so of lists, each of which is one run of codes and one
 * of ids in the file. */
#include <inttypes.h>
#include <math.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "interop/import_internal.h"

enum { CHECKED_ROWS = 256 };

/* The list that holds a row: the last one that begins at or before it and is not empty. */
static int32_t list_of(const ivf_import_state *s, int64_t row)
{
    int32_t low = 0;
    int32_t high = s->faiss.factory.nlist;
    while (high - low > 1) {
        const int32_t middle = low + (high - low) / 2;
        if (s->starts[middle] <= row)
            low = middle;
        else
            high = middle;
    }
    return low;
}

typedef int take_run(const ivf_import_state *s, int32_t list, int64_t from, int64_t n, int64_t at, void *arg);

/* Calls `take` for each list's run among rows first to first + n - 1: rows `from` on of the list, `at` of those asked
 * for. */
static int for_each_run(const ivf_import_state *s, int64_t first, int64_t n, take_run *take, void *arg)
{
    int rc = MPIVF_OK;
    int64_t at = 0;
    for (int32_t l = n > 0 ? list_of(s, first) : 0; rc == MPIVF_OK && at < n; l++) {
        const int64_t from = first + at - s->starts[l];
        const int64_t count = ivf_min_i64(s->starts[l + 1] - s->starts[l] - from, n - at);
        if (count > 0)
            rc = take(s, l, from, count, at, arg);
        at += count;
    }
    return rc;
}

static int take_ids(const ivf_import_state *s, int32_t list, int64_t from, int64_t n, int64_t at, void *arg)
{
    uint64_t *ids = (uint64_t *)arg + at;
    int rc = ivf_rawfile_read(&s->lists, s->faiss.ids_at[list] + from * (int64_t)sizeof *ids,
                              ivf_to_size(n) * sizeof *ids, ids);
    for (int64_t i = 0; rc == MPIVF_OK && i < n; i++)
        if (ids[i] > INT64_MAX)
            rc = ivf_fail(MPIVF_BAD_INPUT,
                          "input %s: row %" PRId64 " of list %d has the id %" PRId64 "; ids are not negative",
                          s->lists.path, from + i, list, (int64_t)ids[i]);
    return rc;
}

int ivf_import_read_ids(const ivf_import_state *s, int64_t first, int64_t n, uint64_t *ids)
{
    return for_each_run(s, first, n, take_ids, ids);
}

static int take_codes(const ivf_import_state *s, int32_t list, int64_t from, int64_t n, int64_t at, void *arg)
{
    const int64_t size = s->faiss.code_size;
    uint8_t *codes = (uint8_t *)arg + at * size;
    return ivf_rawfile_read(&s->lists, s->faiss.codes_at[list] + from * size, ivf_to_size(n * size), codes);
}

/* Full rows may hold any values. */
static int check_values(const ivf_import_state *s, const ivf_fragment *fragment, int64_t first)
{
    uint8_t reasons[CHECKED_ROWS];
    if (s->codec == NULL)
        return MPIVF_OK;
    float *x = ivf_new((size_t)CHECKED_ROWS * (size_t)s->faiss.d, sizeof *x);
    int rc = x == NULL ? MPIVF_FAILED : MPIVF_OK;
    for (int64_t at = 0; rc == MPIVF_OK && at < fragment->postings; at += CHECKED_ROWS) {
        const int64_t n = ivf_min_i64(CHECKED_ROWS, fragment->postings - at);
        ivf_codec_decode(s->codec, fragment->codes + at * s->faiss.code_size, n, x);
        (void)ivf_rows_check(x, n, s->faiss.d, s->faiss.metric, INFINITY, reasons);
        for (int64_t i = 0; rc == MPIVF_OK && i < n; i++)
            if (reasons[i] != IVF_ROW_OK)
                rc = ivf_fail(MPIVF_BAD_INPUT,
                              "input %s: the row with the id %" PRIu64 " in list %d cannot be indexed: %s",
                              s->lists.path, fragment->ids[at + i], list_of(s, first + at + i),
                              ivf_row_reason_text((ivf_row_reason)reasons[i]));
    }
    ivf_free(x);
    return rc;
}

int ivf_import_read_rows(const ivf_import_state *s, int64_t first, int64_t n, ivf_fragment *fragment)
{
    for (int32_t l = 0; l <= s->faiss.factory.nlist; l++)
        fragment->offsets[l] = (uint64_t)ivf_max_i64(0, ivf_min_i64(n, s->starts[l] - first));
    int rc = for_each_run(s, first, n, take_ids, fragment->ids);
    if (rc == MPIVF_OK)
        rc = for_each_run(s, first, n, take_codes, fragment->codes);
    return rc == MPIVF_OK ? check_values(s, fragment, first) : rc;
}
