#include "io/ids.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/text.h"
#include "comm/transfer.h"
#include "io/distinct.h"
#include "io/inputs.h"
#include "io/source.h"

struct ivf_ids {
    int64_t rows;
    int64_t largest; /* of a file that was checked */
    char *path;      /* absolute where it is shared; owned, as h5_path; both may be NULL */
    char *h5_path;
    ivf_layout layout;
    ivf_source *source; /* NULL: ids are row numbers */
};

/* The rows that this rank checks. */
typedef struct {
    int64_t first;
    int64_t n;
} slice;

static slice own_slice(const ivf_ctx *ctx, int64_t rows)
{
    const int64_t share = rows / ivf_ctx_size(ctx);
    const int64_t more = rows % ivf_ctx_size(ctx);
    const int64_t rank = ivf_ctx_rank(ctx);
    return (slice){.first = rank * share + ivf_min_i64(rank, more), .n = share + (rank < more)};
}

static int copy_names(ivf_ids *ids, const char *path, const char *h5_path)
{
    if (path != NULL && (ids->path = ivf_text_copy(path)) == NULL)
        return MPIVF_FAILED;
    if (h5_path != NULL && (ids->h5_path = ivf_text_copy(h5_path)) == NULL)
        return MPIVF_FAILED;
    return MPIVF_OK;
}

/* Rank 0. */
static int look_at_file(ivf_ids *ids)
{
    ivf_rawfile file;
    int rc = ivf_source_probe(ids->path, ids->h5_path, IVF_ID_LIST, &ids->layout, &file);
    if (rc == MPIVF_OK && ids->layout.rows != ids->rows)
        rc = ivf_fail(MPIVF_BAD_INPUT,
                      "ids %s has %" PRId64 " ids, the input has %" PRId64 " rows: one for each is needed", ids->path,
                      ids->layout.rows, ids->rows);
    return rc;
}

static int check_values(const ivf_ids *ids, int64_t first, int64_t n, const uint64_t *values)
{
    const bool is_signed = ids->layout.type == IVF_I64;
    for (int64_t i = 0; i < n; i++) {
        if (values[i] <= INT64_MAX)
            continue;
        if (is_signed)
            return ivf_fail(MPIVF_BAD_INPUT, "ids %s: row %" PRId64 " has id %" PRId64 "; ids are 0 or more", ids->path,
                            first + i, (int64_t)values[i]);
        return ivf_fail(MPIVF_BAD_INPUT, "ids %s: row %" PRId64 " has id %" PRIu64 "; the largest is 2^63 - 1",
                        ids->path, first + i, values[i]);
    }
    return MPIVF_OK;
}

static int read_slice(ivf_ids *ids, slice s, uint64_t **values)
{
    *values = ivf_new((size_t)s.n, sizeof **values);
    if (*values == NULL)
        return MPIVF_FAILED;
    int rc = ivf_ids_read(ids, s.first, s.n, *values);
    if (rc == MPIVF_OK)
        rc = check_values(ids, s.first, s.n, *values);
    for (int64_t i = 0; i < s.n && rc == MPIVF_OK; i++)
        ids->largest = ivf_max_i64(ids->largest, (int64_t)(*values)[i]);
    if (rc == MPIVF_OK)
        return rc;
    ivf_free(*values);
    *values = NULL;
    return rc;
}

/* The first two rows of the slice with an id; INT64_MAX for those there are not. */
static int find_rows(ivf_ids *ids, slice s, uint64_t id, int64_t rows[2])
{
    enum { PIECE = 1 << 16 };
    uint64_t *values = ivf_new(PIECE, sizeof *values);
    int rc = values == NULL ? MPIVF_FAILED : MPIVF_OK;
    int found = 0;
    rows[0] = rows[1] = INT64_MAX;
    for (int64_t done = 0; rc == MPIVF_OK && done < s.n && found < 2; done += PIECE) {
        const int64_t n = ivf_min_i64(PIECE, s.n - done);
        rc = ivf_ids_read(ids, s.first + done, n, values);
        for (int64_t i = 0; rc == MPIVF_OK && i < n && found < 2; i++)
            if (values[i] == id)
                rows[found++] = s.first + done + i;
    }
    ivf_free(values);
    return rc;
}

static int64_t smallest(const ivf_ctx *ctx, int64_t value)
{
    value = -value;
    ivf_allmax_i64(ctx, &value, 1);
    return -value;
}

static int refuse_twice(const ivf_ctx *ctx, ivf_ids *ids, uint64_t id)
{
    int64_t rows[2];
    int rc = ivf_agree(ctx, find_rows(ids, own_slice(ctx, ids->rows), id, rows));
    if (rc != MPIVF_OK)
        return rc;
    const int64_t first = smallest(ctx, rows[0]);
    const int64_t second = smallest(ctx, rows[0] == first ? rows[1] : rows[0]);
    return ivf_fail(MPIVF_BAD_INPUT,
                    "ids %s: rows %" PRId64 " and %" PRId64 " both have id %" PRIu64 "; every row needs its own",
                    ids->path, first, second, id);
}

int ivf_ids_check(const ivf_ctx *ctx, ivf_ids *ids)
{
    uint64_t *values = NULL;
    uint64_t twice = UINT64_MAX;
    const slice s = own_slice(ctx, ids->rows);
    if (ids->path == NULL)
        return MPIVF_OK;
    int rc = ivf_agree(ctx, read_slice(ids, s, &values));
    if (rc != MPIVF_OK) {
        ivf_free(values);
        return rc;
    }
    ivf_allmax_i64(ctx, &ids->largest, 1);
    rc = ivf_distinct_check(ctx, values, s.n, &twice);
    return rc == MPIVF_OK && twice != UINT64_MAX ? refuse_twice(ctx, ids, twice) : rc;
}

/* Collective. The path as rank 0 understands it, as those of shards are: what is kept of it means the same file to who
 * reads it in another folder. */
static int share_path(const ivf_ctx *ctx, const char *path, ivf_ids *ids)
{
    const bool is_root = ivf_ctx_is_root(ctx);
    int rc = ivf_agree(ctx, is_root ? ivf_inputs_absolute(path, &ids->path) : MPIVF_OK);
    if (rc != MPIVF_OK)
        return rc;
    int64_t bytes = is_root ? (int64_t)strlen(ids->path) + 1 : 0;
    ivf_bcast(ctx, &bytes, sizeof bytes);
    if (!is_root)
        ids->path = ivf_new_zero(ivf_to_size(bytes), 1);
    rc = ivf_agree(ctx, ids->path == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc == MPIVF_OK)
        ivf_bcast(ctx, ids->path, ivf_to_size(bytes));
    return rc;
}

static int open_file(const ivf_ctx *ctx, ivf_ids *ids)
{
    int rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? look_at_file(ids) : MPIVF_OK);
    if (rc != MPIVF_OK)
        return rc;
    ivf_bcast(ctx, &ids->layout, sizeof ids->layout);
    return ivf_agree(ctx, ivf_source_open(ids->path, ids->h5_path, &ids->layout, &ids->source));
}

int ivf_ids_reopen(const ivf_ctx *ctx, const char *path, const char *h5_path, int64_t rows, ivf_ids **ids)
{
    ivf_ids *made = ivf_new_zero(1, sizeof *made);
    *ids = NULL;
    int rc = made == NULL ? MPIVF_FAILED : copy_names(made, NULL, h5_path);
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK && made != NULL) {
        made->rows = rows;
        if (path != NULL)
            rc = share_path(ctx, path, made);
        if (rc == MPIVF_OK && path != NULL)
            rc = open_file(ctx, made);
    }
    if (rc == MPIVF_OK)
        *ids = made;
    else
        ivf_ids_close(made);
    return rc;
}

int ivf_ids_open(const ivf_ctx *ctx, const char *path, const char *h5_path, int64_t rows, ivf_ids **ids)
{
    int rc = ivf_ids_reopen(ctx, path, h5_path, rows, ids);
    if (rc == MPIVF_OK && *ids != NULL)
        rc = ivf_ids_check(ctx, *ids);
    if (rc != MPIVF_OK) {
        ivf_ids_close(*ids);
        *ids = NULL;
    }
    return rc;
}

void ivf_ids_close(ivf_ids *ids)
{
    if (ids == NULL)
        return;
    ivf_source_close(ids->source);
    ivf_free(ids->path);
    ivf_free(ids->h5_path);
    ivf_free(ids);
}

int ivf_ids_load(const char *path, const char *h5_path, uint64_t **values, int64_t *n)
{
    ivf_ids ids = {0};
    ivf_rawfile file;
    *values = NULL;
    int rc = copy_names(&ids, path, h5_path);
    if (rc == MPIVF_OK)
        rc = ivf_source_probe(ids.path, ids.h5_path, IVF_ID_LIST, &ids.layout, &file);
    if (rc == MPIVF_OK)
        rc = ivf_source_open(ids.path, ids.h5_path, &ids.layout, &ids.source);
    *n = ids.rows = ids.layout.rows;
    if (rc == MPIVF_OK)
        rc = read_slice(&ids, (slice){.first = 0, .n = ids.rows}, values);
    ivf_source_close(ids.source);
    ivf_free(ids.path);
    ivf_free(ids.h5_path);
    return rc;
}

int64_t ivf_ids_largest(const ivf_ids *ids)
{
    return ids->path == NULL ? ids->rows - 1 : ids->largest;
}

const char *ivf_ids_path(const ivf_ids *ids)
{
    return ids->path;
}

bool ivf_ids_stamp(const ivf_ids *ids, ivf_stamp *stamp)
{
    if (ids->path == NULL)
        return false;
    *stamp = (ivf_stamp){.path = ids->path, .bytes = ids->layout.bytes, .mtime_ns = ids->layout.mtime_ns};
    return true;
}

int ivf_ids_read(ivf_ids *ids, int64_t first, int64_t n, uint64_t *out)
{
    if (first < 0 || n < 0 || first > ids->rows || n > ids->rows - first)
        return ivf_fail(MPIVF_FAILED, "ids of %" PRId64 " rows from %" PRId64 " were asked of an input of %" PRId64, n,
                        first, ids->rows);
    if (ivf_fault("ids"))
        return MPIVF_FAILED;
    if (ids->source != NULL)
        return ivf_source_fetch(ids->source, first, n, out);
    for (int64_t i = 0; i < n; i++)
        out[i] = (uint64_t)(first + i);
    return MPIVF_OK;
}

int64_t ivf_ids_memory(int64_t rows, int ranks)
{
    int64_t share = ivf_ceil_div(rows, ranks);
    return 16 * (share + (ranks > 1 ? share / 64 : 0)); /* what other ranks send is never quite even */
}

int64_t ivf_ids_caches(const ivf_ids *ids)
{
    return ids->source == NULL ? 0 : ivf_source_passing(&ids->layout) + ivf_source_kept(&ids->layout);
}
