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

enum { ROUND_LEAST = 256 };

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

/* A round looks at the rows whose places are the images of first to first + count - 1. */
typedef struct {
    ivf_permutation shuffle;
    int64_t first;
    int64_t count;
    int64_t most;    /* of count */
    int64_t *places; /* [most] */
    float *rows;     /* [most][d], rank 0's */
} seed_round;

static int round_make(const ivf_kmeans_work *w, seed_round *round)
{
    int64_t most = ivf_min_i64(ivf_max_i64(w->params->k, ROUND_LEAST), ivf_kmeans_fetch_most(w));
    *round = (seed_round){
        .shuffle = ivf_permutation_make((uint64_t)w->share.total, w->params->seed, w->params->stream),
        .most = ivf_min_i64(most, w->share.total),
    };
    round->places = ivf_new((size_t)round->most, sizeof *round->places);
    round->rows = ivf_new((size_t)round->most, w->d * sizeof *round->rows);
    return round->places == NULL || round->rows == NULL ? MPIVF_FAILED : MPIVF_OK;
}

static void round_drop(seed_round *round)
{
    ivf_free(round->places);
    ivf_free(round->rows);
}

/* Rank 0's part. */
static void take_new(ivf_kmeans_work *w, const seed_round *round, point_set *set)
{
    for (int64_t i = 0; i < round->count && w->k < w->params->k; i++)
        if (ivf_kmeans_point(w, round->rows + (size_t)i * w->d, w->centroids + (size_t)w->k * w->d) &&
            set_add(set, (uint32_t)w->k))
            w->k++;
}

static int run_round(const ivf_ctx *ctx, ivf_kmeans_work *w, seed_round *round, point_set *set)
{
    int64_t missing = ivf_max_i64(w->params->k - w->k, ROUND_LEAST);
    round->count = ivf_min_i64(ivf_min_i64(round->most, missing), w->share.total - round->first);
    for (int64_t i = 0; i < round->count; i++)
        round->places[i] = ivf_to_i64(ivf_permutation_at(&round->shuffle, (uint64_t)(round->first + i)));
    round->first += round->count;
    int rc = ivf_kmeans_fetch(ctx, w, round->places, round->count, round->rows);
    if (rc != MPIVF_OK)
        return rc;
    int64_t taken = w->k;
    if (ctx == NULL || ivf_ctx_is_root(ctx)) {
        take_new(w, round, set);
        taken = w->k;
    }
    ivf_kmeans_bcast(ctx, &taken, sizeof taken);
    w->k = (int32_t)taken;
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
    if (rc == MPIVF_OK)
        ivf_kmeans_bcast(ctx, w->centroids, (size_t)w->k * w->d * sizeof(float));
    ivf_free(set.slots);
    round_drop(&round);
    return rc;
}

int64_t ivf_kmeans_seed_memory(const ivf_kmeans_extent *e)
{
    const int64_t k = e->params->k;
    const int64_t most = ivf_min_i64(ivf_max_i64(k, ROUND_LEAST), e->total);
    return (int64_t)4 * 4 * ivf_max_i64(k, 1) + most * (8 + 4 * (int64_t)e->d) + ivf_kmeans_fetch_memory(e, most);
}
