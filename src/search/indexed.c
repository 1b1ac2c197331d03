/* Collectives: those of io/stamps.h and of opening a dataset, agreements, and for ids a sum of 8 bytes. */
#include "search/indexed.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "comm/transfer.h"
#include "io/stamps.h"
#include "math/rows.h"

enum { PIECE_IDS = 1 << 16, CHECKED_ROWS = 256 };

static const char *option(const ivf_manifest *m, const char *name)
{
    return json_string_value(json_object_get(m->config, name));
}

/* ---- shards ---- */

/* Collective. The shards, or `moved`, as the manifest stamped them. */
static int compare_stamps(const ivf_ctx *ctx, const ivf_manifest *m, const ivf_dataset *moved, const char *remedy)
{
    ivf_stamp *stamps = ivf_new((size_t)m->shard_count, sizeof *stamps);
    int rc = ivf_agree(ctx, stamps == NULL ? MPIVF_FAILED : MPIVF_OK);
    for (int i = 0; rc == MPIVF_OK && stamps != NULL && i < m->shard_count; i++) {
        const ivf_manifest_shard *s = &m->shards[i];
        stamps[i] = (ivf_stamp){.path = s->path, .bytes = s->bytes, .mtime_ns = s->mtime_ns, .checksum = s->checksum};
        if (moved != NULL) {
            stamps[i].path = ivf_dataset_shard(moved, i).path;
            stamps[i].mtime_ns = ivf_dataset_shard(moved, i).mtime_ns;
        }
    }
    if (rc == MPIVF_OK)
        rc = ivf_stamps_compare(ctx, stamps, m->shard_count, "since it was indexed", remedy);
    ivf_free(stamps);
    return rc;
}

/* Files of the size and time that they had have the rows that they had; what else there may be wrong is the manifest's.
 */
static int check_shape(const ivf_manifest *m, const ivf_dataset *dataset, int code, const char *remedy)
{
    if (ivf_dataset_rows(dataset) == m->rows && ivf_dataset_d(dataset) == m->d)
        return MPIVF_OK;
    return ivf_fail(
        code, "the input has %" PRId64 " rows of %d values, version %" PRId64 " was made of %" PRId64 " of %d; %s",
        ivf_dataset_rows(dataset), ivf_dataset_d(dataset), m->version, m->rows, m->d, remedy);
}

static int check_moved(const ivf_ctx *ctx, const ivf_manifest *m, const ivf_dataset *dataset, const char *remedy)
{
    const int count = ivf_dataset_shards(dataset);
    int rc = check_shape(m, dataset, MPIVF_BAD_INPUT, remedy);
    if (rc != MPIVF_OK || m->shard_count == 0 || strcmp(m->shards[0].format, "faiss") == 0)
        return rc;
    if (count != m->shard_count)
        return ivf_fail(MPIVF_BAD_INPUT, "the input has %d files, version %" PRId64 " was made of %d; %s", count,
                        m->version, m->shard_count, remedy);
    return compare_stamps(ctx, m, dataset, remedy);
}

static int open_files(const ivf_ctx *ctx, const ivf_manifest *m, const char *const *paths, int count,
                      ivf_dataset **dataset)
{
    const ivf_dataset_spec spec = {.inputs = paths, .count = count, .h5_path = option(m, "dataset")};
    return ivf_dataset_open(ctx, &spec, dataset);
}

static int close_unless(int rc, ivf_dataset **dataset)
{
    if (rc != MPIVF_OK) {
        ivf_dataset_close(*dataset);
        *dataset = NULL;
    }
    return rc;
}

int ivf_indexed_open(const ivf_ctx *ctx, const ivf_manifest *manifest, const char *remedy, ivf_dataset **dataset)
{
    const ivf_manifest *m = manifest;
    const char **paths = ivf_new((size_t)m->shard_count, sizeof *paths);
    *dataset = NULL;
    int rc = ivf_agree(ctx, paths == NULL ? MPIVF_FAILED : MPIVF_OK);
    for (int i = 0; rc == MPIVF_OK && paths != NULL && i < m->shard_count; i++)
        paths[i] = m->shards[i].path;
    if (rc == MPIVF_OK)
        rc = compare_stamps(ctx, m, NULL, remedy);
    if (rc == MPIVF_OK)
        rc = open_files(ctx, m, paths, m->shard_count, dataset);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, check_shape(m, *dataset, MPIVF_CORRUPT, remedy));
    ivf_free((void *)paths);
    return close_unless(rc, dataset);
}

int ivf_indexed_open_moved(const ivf_ctx *ctx, const ivf_manifest *manifest, const char *const *paths, int count,
                           const char *remedy, ivf_dataset **dataset)
{
    int rc = open_files(ctx, manifest, paths, count, dataset);
    if (rc == MPIVF_OK)
        rc = check_moved(ctx, manifest, *dataset, remedy);
    return close_unless(rc, dataset);
}

/* ---- ids ---- */

int ivf_indexed_refuse_ids(const char *path, const char *remedy)
{
    return ivf_fail(MPIVF_BAD_INPUT, "the file of ids %s changed since it was indexed: it holds other ids; %s", path,
                    remedy);
}

/* Local. Of this rank's share of the rows. */
static int digest_share(const ivf_ctx *ctx, ivf_ids *ids, int64_t rows, uint64_t *digest)
{
    const int64_t pieces = ivf_ceil_div(rows, PIECE_IDS);
    uint64_t *piece = ivf_new(PIECE_IDS, sizeof *piece);
    int rc = piece == NULL ? MPIVF_FAILED : MPIVF_OK;
    *digest = 0;
    for (int64_t p = ivf_ctx_rank(ctx); rc == MPIVF_OK && p < pieces; p += ivf_ctx_size(ctx)) {
        const int64_t n = ivf_min_i64(PIECE_IDS, rows - p * PIECE_IDS);
        rc = ivf_ids_read(ids, p * PIECE_IDS, n, piece);
        if (rc == MPIVF_OK)
            *digest += ivf_digest_ids(piece, n);
    }
    ivf_free(piece);
    return rc;
}

int ivf_indexed_open_ids(const ivf_ctx *ctx, const ivf_manifest *manifest, const char *path, const char *remedy,
                         ivf_ids **ids)
{
    uint64_t digest = 0;
    int rc = ivf_ids_reopen(ctx, path, option(manifest, "ids-dataset"), manifest->rows, ids);
    if (rc != MPIVF_OK || path == NULL)
        return rc;
    rc = ivf_agree(ctx, digest_share(ctx, *ids, manifest->rows, &digest));
    if (rc == MPIVF_OK) {
        ivf_allsum_u64(ctx, &digest, 1);
        rc = digest == manifest->digest_in ? MPIVF_OK : ivf_indexed_refuse_ids(path, remedy);
    }
    if (rc != MPIVF_OK) {
        ivf_ids_close(*ids);
        *ids = NULL;
    }
    return rc;
}

/* ---- rows ---- */

typedef struct {
    const ivf_manifest *manifest;
    const ivf_dataset *dataset;
    const int64_t *rows;
    int64_t n;
    const float *x;
    const char *remedy;
} checking;

static int refuse_row(const checking *c, int64_t row, uint8_t reason)
{
    const ivf_shard shard = ivf_dataset_shard(c->dataset, ivf_dataset_shard_of(c->dataset, row));
    return ivf_fail(MPIVF_BAD_INPUT,
                    "input %s changed since it was indexed: row %" PRId64 " of it is in the index, "
                    "but cannot be (%s); %s",
                    shard.path, row - shard.first_row, ivf_row_reason_text((ivf_row_reason)reason), c->remedy);
}

static int check_some(void *arg, int64_t task, int worker)
{
    const checking *c = arg;
    uint8_t reason[CHECKED_ROWS];
    const int64_t first = task * CHECKED_ROWS;
    const int64_t n = ivf_min_i64(CHECKED_ROWS, c->n - first);
    const int d = c->manifest->d;
    (void)worker;
    if (ivf_rows_check(c->x + first * d, n, d, c->manifest->metric, INFINITY, reason) == 0)
        return MPIVF_OK;
    int64_t i = 0;
    while (reason[i] == IVF_ROW_OK)
        i++;
    return refuse_row(c, c->rows[first + i], reason[i]);
}

int ivf_indexed_check_rows(const ivf_manifest *manifest, const ivf_dataset *dataset, const int64_t *rows, int64_t n,
                           const float *x, const char *remedy)
{
    checking c = {manifest, dataset, rows, n, x, remedy};
    return ivf_team_run(ivf_ceil_div(n, CHECKED_ROWS), check_some, &c);
}
