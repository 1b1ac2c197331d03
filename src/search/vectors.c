/* Where vectors come from: search/kept.h, or the shards that were indexed.
 *
 * Kept vectors are read by the rank whose share they are in; their places are found by their ids in the lists that the
 * candidates were found in. Of shards: without a file of ids an id is a row's number. With one, the distinct ids of a
 * batch are put into a hash, and the ranks read the file through once, a share each; what it holds is compared with the
 * digest of the ids that were indexed. Rows are dealt to the ranks in blocks, so that each rank reads what lies
 * together and all read as much.
 *
 * Memory: the list of shards; for a batch 16 bytes a candidate and what vectors.h says. Collectives: agreements; with a
 * file of ids, 8 bytes for each distinct id are reduced. */
#include "search/vectors_internal.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "comm/transfer.h"
#include "search/indexed.h"

enum {
    PIECE_IDS = 1 << 16, /* of the file of ids, that are read at a time */
    GAP_BYTES = 8 << 10, /* between two rows, that is read for the sake of one request */
};

/* Where there are no vectors, or not those that were indexed. */
#define WITHOUT_LIBRARY "open the index without vectors"
#define WITHOUT_OPTIONS "search without --rerank and --ids"

static const char *remedy(const ivf_vectors *v)
{
    return v->by_library ? WITHOUT_LIBRARY ", or put back what was indexed"
                         : WITHOUT_OPTIONS ", or put back what was indexed";
}

/* ---- opening ---- */

static const char *option(const ivf_manifest *m, const char *name)
{
    return json_string_value(json_object_get(m->config, name));
}

static int refuse_import(const ivf_manifest *m, bool by_library)
{
    for (int i = 0; i < m->shard_count; i++)
        if (strcmp(m->shards[i].format, "faiss") == 0)
            return ivf_fail(MPIVF_USAGE,
                            "version %" PRId64 " was imported from %s, which holds codes and no vectors; %s",
                            m->version, m->shards[i].path, by_library ? WITHOUT_LIBRARY : WITHOUT_OPTIONS);
    return MPIVF_OK;
}

static int open_shards(const ivf_ctx *ctx, ivf_vectors *v)
{
    const ivf_manifest *m = v->manifest;
    int rc = ivf_indexed_open(ctx, m, remedy(v), &v->dataset);
    if (rc == MPIVF_OK && option(m, "ids") != NULL)
        rc = ivf_ids_reopen(ctx, option(m, "ids"), option(m, "ids-dataset"), m->rows, &v->ids);
    return rc;
}

static int open_kept(const ivf_ctx *ctx, const char *index, ivf_vectors *v)
{
    v->kept = ivf_kept_share_open(index, v->manifest, ivf_ctx_rank(ctx), ivf_ctx_size(ctx));
    return ivf_agree(ctx, v->kept == NULL ? ivf_error_last()->code : MPIVF_OK);
}

int ivf_vectors_open(const ivf_ctx *ctx, const char *index, const ivf_manifest *manifest, bool by_library,
                     ivf_vectors **vectors)
{
    ivf_vectors *v = ivf_new_zero(1, sizeof *v);
    *vectors = NULL;
    int rc = ivf_agree(ctx, v == NULL ? MPIVF_FAILED : refuse_import(manifest, by_library));
    if (rc != MPIVF_OK || v == NULL) {
        ivf_free(v);
        return rc;
    }
    v->index = index;
    v->manifest = manifest;
    v->by_library = by_library;
    rc = manifest->kept.d > 0 ? open_kept(ctx, index, v) : open_shards(ctx, v);
    if (rc == MPIVF_OK)
        *vectors = v;
    else
        ivf_vectors_close(v);
    return rc;
}

void ivf_vectors_close(ivf_vectors *vectors)
{
    if (vectors == NULL)
        return;
    ivf_kept_share_close(vectors->kept);
    ivf_ids_close(vectors->ids);
    ivf_dataset_close(vectors->dataset);
    ivf_free(vectors);
}

int64_t ivf_vectors_memory(const ivf_vectors *vectors)
{
    if (vectors->kept != NULL)
        return ivf_kept_share_memory(vectors->manifest);
    const int64_t reading =
        ivf_team_size() * ivf_dataset_rows_memory(vectors->dataset) + ivf_dataset_caches_of(vectors->dataset).usual;
    return ivf_max_i64(reading, PIECE_IDS * (int64_t)(2 * sizeof(uint64_t)));
}

/* ---- where they are ---- */

int64_t ivf_vectors_internal_reader(const ivf_ctx *ctx, int64_t row)
{
    enum { BLOCK_ROWS = 1024 };
    return row / BLOCK_ROWS % ivf_ctx_size(ctx);
}

/* Local. This rank's share of the file: the rows of the ids in the map, by number, and the digest of the share. */
static int look_up(const ivf_ctx *ctx, ivf_vectors *v, const ivf_idmap *map, int64_t *rows, uint64_t *digest)
{
    const int64_t all = v->manifest->rows;
    const int64_t pieces = ivf_ceil_div(all, PIECE_IDS);
    const int64_t size = ivf_ctx_size(ctx);
    const int64_t end = ivf_min_i64(all, pieces * (ivf_ctx_rank(ctx) + 1) / size * PIECE_IDS);
    uint64_t *ids = ivf_new(PIECE_IDS, sizeof *ids);
    int rc = ids == NULL ? MPIVF_FAILED : MPIVF_OK;
    for (int64_t first = pieces * ivf_ctx_rank(ctx) / size * PIECE_IDS; rc == MPIVF_OK && first < end;
         first += PIECE_IDS) {
        const int64_t n = ivf_min_i64(PIECE_IDS, end - first);
        rc = ivf_ids_read(v->ids, first, n, ids);
        for (int64_t i = 0; rc == MPIVF_OK && i < n; i++) {
            const int64_t number = ivf_idmap_find(map, ids[i]);
            if (number >= 0)
                rows[number] = first + i;
        }
        if (rc == MPIVF_OK)
            *digest += ivf_digest_ids(ids, n);
    }
    ivf_free(ids);
    return rc;
}

int ivf_vectors_internal_rows(const ivf_ctx *ctx, ivf_vectors *v, const ivf_idmap *map, int64_t *rows)
{
    uint64_t digest = 0;
    memset(rows, 0xff, ivf_to_size(map->count) * sizeof *rows);
    if (v->ids == NULL) {
        for (int64_t i = 0; i < map->count; i++)
            rows[i] = map->ids[i] < (uint64_t)v->manifest->rows ? (int64_t)map->ids[i] : -1;
        return MPIVF_OK;
    }
    int rc = ivf_agree(ctx, look_up(ctx, v, map, rows, &digest));
    if (rc != MPIVF_OK)
        return rc;
    ivf_allmax_i64(ctx, rows, map->count);
    ivf_allsum_u64(ctx, &digest, 1);
    if (digest == v->manifest->digest_in)
        return MPIVF_OK;
    return ivf_indexed_refuse_ids(option(v->manifest, "ids"), remedy(v));
}

/* Collective. Kept vectors: places of ids by number, -1 for those of other ranks; every id has one. */
static int find_kept(const ivf_ctx *ctx, const ivf_vectors *v, const ivf_idmap *map, const int32_t *lists,
                     int64_t *places)
{
    int64_t found = 0;
    memset(places, 0xff, ivf_to_size(map->count) * sizeof *places);
    int rc = ivf_agree(ctx, ivf_kept_share_find(v->kept, map, lists, places));
    if (rc != MPIVF_OK)
        return rc;
    for (int64_t i = 0; i < map->count; i++)
        found += places[i] >= 0;
    ivf_allsum_i64(ctx, &found, 1);
    if (found == map->count)
        return MPIVF_OK;
    return ivf_fail(MPIVF_CORRUPT,
                    "version %" PRId64 ": of %" PRId64 " candidates %" PRId64 " have vectors; see mpivf verify",
                    v->manifest->version, map->count, found);
}

static int refuse_unknown(const ivf_vectors *v, uint64_t id)
{
    return ivf_fail(MPIVF_CORRUPT,
                    "version %" PRId64 " has a posting of id %" PRIu64 ", which is no row's of its input; see mpivf "
                    "verify",
                    v->manifest->version, id);
}

static void place_kept(const ivf_neighbor *found, int64_t n, const ivf_idmap *map, const int64_t *by_number,
                       int64_t *places)
{
    for (int64_t i = 0; i < n; i++)
        places[i] = found[i].id == UINT64_MAX ? -1 : by_number[ivf_idmap_find(map, found[i].id)];
}

static int deal_out(const ivf_ctx *ctx, const ivf_vectors *v, const ivf_neighbor *found, int64_t n,
                    const ivf_idmap *map, const int64_t *rows, int64_t *places)
{
    for (int64_t i = 0; i < n; i++) {
        places[i] = -1;
        if (found[i].id == UINT64_MAX)
            continue;
        const int64_t row = rows[ivf_idmap_find(map, found[i].id)];
        if (row < 0)
            return refuse_unknown(v, found[i].id);
        if (ivf_vectors_internal_reader(ctx, row) == ivf_ctx_rank(ctx))
            places[i] = row;
    }
    return MPIVF_OK;
}

int ivf_vectors_locate(const ivf_ctx *ctx, ivf_vectors *vectors, const ivf_neighbor *found, int64_t n, int64_t *places)
{
    ivf_idmap map;
    int64_t *by_number = ivf_new(ivf_to_size(n), sizeof *by_number); /* of the map: rows, or places */
    int32_t *lists = ivf_new(ivf_to_size(n), sizeof *lists);
    int rc = ivf_idmap_new(&map, n);
    rc = ivf_agree(ctx, by_number == NULL || lists == NULL ? MPIVF_FAILED : rc);
    if (rc == MPIVF_OK && by_number != NULL && lists != NULL) {
        for (int64_t i = 0; i < n; i++)
            if (found[i].id != UINT64_MAX)
                lists[ivf_idmap_add(&map, found[i].id)] = found[i].list;
        rc = vectors->kept != NULL ? find_kept(ctx, vectors, &map, lists, by_number)
                                   : ivf_vectors_internal_rows(ctx, vectors, &map, by_number);
        if (rc == MPIVF_OK && vectors->kept != NULL)
            place_kept(found, n, &map, by_number, places);
        else if (rc == MPIVF_OK)
            rc = ivf_agree(ctx, deal_out(ctx, vectors, found, n, &map, by_number, places));
    }
    ivf_idmap_free(&map);
    ivf_free(lists);
    ivf_free(by_number);
    return rc;
}

int ivf_vectors_read(ivf_vectors *vectors, const int64_t *places, int64_t n, float *x)
{
    if (vectors->kept != NULL)
        return ivf_kept_share_read(vectors->kept, places, n, x);
    int rc = ivf_dataset_read_rows(vectors->dataset, places, n, GAP_BYTES, x);
    return rc == MPIVF_OK ? ivf_indexed_check_rows(vectors->manifest, vectors->dataset, places, n, x, remedy(vectors))
                          : rc;
}
