/* Vectors by id, for searches for the neighbours of rows that are in the index: found as those of candidates are
 * (search/vectors.c), but in which lists they are is not known, and ids may be wrong. Collectives: agreements, a
 * reduction of 8 bytes for each distinct id, and one of the vectors. */
#include "search/vectors_internal.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/text.h"
#include "comm/transfer.h"

/* The distinct ids that are asked for. */
typedef struct {
    ivf_idmap map;
    int64_t *places; /* [count]: that this rank reads; -1: another does */
    int64_t *known;  /* [count]: 1 where a row in the index has the id */
    int32_t *lists;  /* [count]: -1, not known */
    float *x;        /* [count][d] and one more */
} asked;

static int asked_new(asked *a, int64_t n, int d)
{
    *a = (asked){0};
    int rc = ivf_idmap_new(&a->map, n);
    a->places = ivf_new(ivf_to_size(n), sizeof *a->places);
    a->known = ivf_new_zero(ivf_to_size(n), sizeof *a->known);
    a->lists = ivf_new(ivf_to_size(n), sizeof *a->lists);
    a->x = ivf_new_zero(ivf_to_size(n) * (size_t)d + 1, sizeof *a->x);
    if (a->places == NULL || a->known == NULL || a->lists == NULL || a->x == NULL)
        return MPIVF_FAILED;
    for (int64_t i = 0; i < n; i++)
        a->lists[i] = -1;
    return rc;
}

static void asked_free(asked *a)
{
    ivf_idmap_free(&a->map);
    ivf_free(a->places);
    ivf_free(a->known);
    ivf_free(a->lists);
    ivf_free(a->x);
}

/* Local. Rows that were skipped are not in the index: this rank's share of the fragments. */
static int forget_skipped(const ivf_ctx *ctx, const ivf_vectors *v, asked *a)
{
    const ivf_manifest *m = v->manifest;
    int rc = MPIVF_OK;
    for (int64_t f = ivf_ctx_rank(ctx); rc == MPIVF_OK && f < m->fragment_count; f += ivf_ctx_size(ctx)) {
        ivf_fragment *fragment = NULL;
        int32_t first = 0;
        int32_t lists = 0;
        if (m->fragments[f].rows == m->fragments[f].postings)
            continue;
        ivf_manifest_lists_of(m, &m->fragments[f], &first, &lists);
        rc = ivf_fragment_skim(v->index, &m->fragments[f], lists, m->code_size, &fragment);
        for (int64_t i = 0; rc == MPIVF_OK && i < fragment->skipped; i++) {
            const int64_t number = ivf_idmap_find(&a->map, fragment->skipped_ids[i]);
            if (number >= 0)
                a->known[number] = 1;
        }
        ivf_fragment_free(fragment);
    }
    return rc;
}

/* Collective. Of shards: whose rows they are, and whether they are in the index. */
static int find_indexed(const ivf_ctx *ctx, ivf_vectors *v, asked *a)
{
    int rc = ivf_vectors_internal_rows(ctx, v, &a->map, a->places);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, forget_skipped(ctx, v, a));
    if (rc != MPIVF_OK)
        return rc;
    ivf_allmax_i64(ctx, a->known, a->map.count);
    for (int64_t i = 0; i < a->map.count; i++) {
        a->known[i] = a->known[i] == 0 && a->places[i] >= 0;
        if (ivf_vectors_internal_reader(ctx, a->places[i]) != ivf_ctx_rank(ctx))
            a->places[i] = -1;
    }
    return MPIVF_OK;
}

static int find_asked(const ivf_ctx *ctx, ivf_vectors *v, asked *a)
{
    if (v->kept == NULL)
        return find_indexed(ctx, v, a);
    memset(a->places, 0xff, ivf_to_size(a->map.count) * sizeof *a->places);
    int rc = ivf_agree(ctx, ivf_kept_share_find(v->kept, &a->map, a->lists, a->places));
    for (int64_t i = 0; i < a->map.count; i++)
        a->known[i] = a->places[i] >= 0;
    if (rc == MPIVF_OK)
        ivf_allmax_i64(ctx, a->known, a->map.count);
    return rc;
}

static int check_known(const ivf_vectors *v, const asked *a)
{
    enum { NAMED = 8 };
    int64_t unknown = 0;
    ivf_text names = {0};
    for (int64_t i = 0; i < a->map.count; i++)
        if (a->known[i] == 0 && unknown++ < NAMED)
            ivf_text_add(&names, "%s%" PRIu64, unknown > 1 ? ", " : "", a->map.ids[i]);
    int rc = unknown == 0 ? MPIVF_OK
                          : ivf_fail(MPIVF_BAD_INPUT, "%" PRId64 " of the ids asked for %s no row of %s: %s%s", unknown,
                                     unknown == 1 ? "is" : "are", v->index, names.failed ? "" : names.text,
                                     unknown > NAMED ? ", ..." : "");
    ivf_text_free(&names);
    return rc;
}

/* Local. One at a time: they are few, and asked for by hand. */
static int read_asked(ivf_vectors *v, const asked *a)
{
    int rc = MPIVF_OK;
    for (int64_t i = 0; rc == MPIVF_OK && i < a->map.count; i++)
        if (a->places[i] >= 0)
            rc = ivf_vectors_read(v, &a->places[i], 1, a->x + i * v->manifest->d);
    return rc;
}

int ivf_vectors_of_ids(const ivf_ctx *ctx, ivf_vectors *vectors, const uint64_t *ids, int64_t n, float *x)
{
    const int d = vectors->manifest->d;
    asked a;
    int rc = ivf_agree(ctx, asked_new(&a, n, d));
    for (int64_t i = 0; rc == MPIVF_OK && i < n; i++)
        (void)ivf_idmap_add(&a.map, ids[i]);
    if (rc == MPIVF_OK)
        rc = find_asked(ctx, vectors, &a);
    if (rc == MPIVF_OK)
        rc = check_known(vectors, &a);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, read_asked(vectors, &a));
    if (rc == MPIVF_OK) {
        /* Each has one reader, the others have zeros: sums of the bits are exact. */
        ivf_allsum_u64(ctx, (uint64_t *)(void *)a.x, (a.map.count * d + 1) / 2);
        for (int64_t i = 0; i < n; i++)
            memcpy(x + i * d, a.x + ivf_idmap_find(&a.map, ids[i]) * d, (size_t)d * sizeof *x);
    }
    asked_free(&a);
    return rc;
}
