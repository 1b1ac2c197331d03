/* Where k-means starts: rows in the order of a seeded permutation of their places, skipping those whose point was taken
 * already, so that no two centroids are equal and no cell starts empty because of copies. The ranks send the candidates
 * that they hold to rank 0, in rounds of as many as are missing; it keeps those that are new, by a hash table of the
 * points taken: one round for ordinary data, more when the rows hardly differ. Memory: 8 to 16 bytes for each centroid,
 * and a round's candidates (at most 32 MiB or one row), twice on rank 0. */
#include <float.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "cluster/internal.h"
#include "math/distance.h"
#include "math/rows.h"

enum { ROUND_LEAST = 256, ROUND_BYTES = 32 << 20 };

bool ivf_kmeans_point(const ivf_kmeans_work *w, const float *x, float *point)
{
    if (w->spherical && ivf_dot(x, x, w->params->d) < FLT_MIN)
        return false;
    for (size_t j = 0; j < w->d; j++)
        point[j] = x[j] + 0.0F;
    if (w->spherical)
        ivf_rows_normalise(point, 1, w->params->d);
    return true;
}

/* An open-addressed set of the centroids taken so far: slots hold their number plus 1. */
typedef struct {
    const float *points; /* [][d] */
    size_t d;
    uint32_t *slots;
    uint64_t mask;
} point_set;

static int set_make(point_set *set, int32_t capacity, const float *points, size_t d)
{
    uint64_t slots = 4;
    while (slots < 2 * (uint64_t)capacity)
        slots *= 2;
    *set = (point_set){.points = points, .d = d, .slots = ivf_new_zero(slots, sizeof *set->slots), .mask = slots - 1};
    return set->slots == NULL ? MPIVF_FAILED : MPIVF_OK;
}

/* Whether points[number] is new; it is then a member. */
static bool set_add(point_set *set, uint32_t number)
{
    const size_t bytes = set->d * sizeof(float);
    const float *point = set->points + number * set->d;
    uint64_t slot = ivf_hash64(point, bytes) & set->mask;
    for (; set->slots[slot] != 0; slot = (slot + 1) & set->mask)
        if (memcmp(set->points + (set->slots[slot] - 1) * set->d, point, bytes) == 0)
            return false;
    set->slots[slot] = number + 1;
    return true;
}

/* A round looks at the rows whose places are the images of first to first + count - 1. A candidate travels as its index
 * in the round followed by its values. */
typedef struct {
    ivf_permutation shuffle;
    int64_t first;
    int64_t count;
    int64_t most;    /* of count */
    size_t record;   /* bytes */
    char *mine;      /* [most] records */
    size_t bytes;    /* of them in use */
    const char **at; /* [most]: rank 0's records by index */
} seed_round;

static int round_make(const ivf_kmeans_work *w, seed_round *round)
{
    *round = (seed_round){
        .shuffle = ivf_permutation_make((uint64_t)w->share.total, w->params->seed, w->params->stream),
        .record = sizeof(uint32_t) + w->d * sizeof(float),
    };
    round->most = ivf_max_i64(
        1, ivf_min_i64(ivf_max_i64(w->params->k, ROUND_LEAST), (int64_t)((size_t)ROUND_BYTES / round->record)));
    round->most = ivf_min_i64(round->most, w->share.total);
    round->mine = ivf_new((size_t)round->most, round->record);
    round->at = ivf_new((size_t)round->most, sizeof *round->at);
    return round->mine == NULL || round->at == NULL ? MPIVF_FAILED : MPIVF_OK;
}

static void round_drop(seed_round *round)
{
    ivf_free(round->mine);
    ivf_free(round->at);
}

static void round_fill(const ivf_kmeans_work *w, seed_round *round)
{
    int64_t missing = ivf_max_i64(w->params->k - w->k, ROUND_LEAST);
    round->count = ivf_min_i64(ivf_min_i64(round->most, missing), w->share.total - round->first);
    round->bytes = 0;
    for (uint32_t i = 0; i < round->count; i++) {
        int64_t place = ivf_to_i64(ivf_permutation_at(&round->shuffle, (uint64_t)round->first + i));
        if (ivf_share_owner(&w->share, place) != w->share.rank)
            continue;
        char *to = round->mine + round->bytes;
        memcpy(to, &i, sizeof i);
        memcpy(to + sizeof i, w->x + (size_t)ivf_share_row(&w->share, place) * w->d, w->d * sizeof(float));
        round->bytes += round->record;
    }
}

/* Rank 0's part. */
static void take_new(ivf_kmeans_work *w, seed_round *round, point_set *set, const char *records)
{
    for (int64_t i = 0; i < round->count; i++) {
        uint32_t index;
        const char *record = records + (size_t)i * round->record;
        memcpy(&index, record, sizeof index);
        round->at[index] = record + sizeof index;
    }
    for (int64_t i = 0; i < round->count && w->k < w->params->k; i++)
        if (ivf_kmeans_point(w, (const float *)(const void *)round->at[i], w->centroids + (size_t)w->k * w->d) &&
            set_add(set, (uint32_t)w->k))
            w->k++;
}

static int run_round(const ivf_ctx *ctx, ivf_kmeans_work *w, seed_round *round, point_set *set)
{
    ivf_gathered gathered = {0};
    round_fill(w, round);
    if (ctx == NULL) {
        take_new(w, round, set, round->mine);
    } else {
        int rc = ivf_gather_bytes(ctx, round->mine, round->bytes, &gathered);
        if (rc != MPIVF_OK)
            return rc;
        if (ivf_ctx_is_root(ctx))
            take_new(w, round, set, (const char *)gathered.data);
        ivf_gathered_free(&gathered);
        int64_t taken = w->k;
        ivf_bcast(ctx, &taken, sizeof taken);
        w->k = (int32_t)taken;
    }
    round->first += round->count;
    return MPIVF_OK;
}

int ivf_kmeans_seed(const ivf_ctx *ctx, ivf_kmeans_work *w)
{
    point_set set = {0};
    seed_round round = {0};
    int rc = round_make(w, &round);
    if (rc == MPIVF_OK)
        rc = set_make(&set, w->params->k, w->centroids, w->d);
    rc = ivf_kmeans_agree(ctx, rc);
    w->k = 0;
    while (rc == MPIVF_OK && set.slots != NULL && w->k < w->params->k && round.first < w->share.total)
        rc = run_round(ctx, w, &round, &set);
    if (rc == MPIVF_OK && ctx != NULL)
        ivf_bcast(ctx, w->centroids, (size_t)w->k * w->d * sizeof(float));
    ivf_free(set.slots);
    round_drop(&round);
    return rc;
}
