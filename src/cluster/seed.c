/* Where k-means starts: rows in the order of a seeded permutation, skipping those whose point was taken already, so
 * that no two centroids are equal and no cell starts empty because of copies. A hash table of the points taken makes
 * each step one look-up: k of them for ordinary data, n when the rows hardly differ. Memory: 8 to 16 bytes for each
 * centroid. */
#include <float.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "base/team.h"
#include "cluster/internal.h"
#include "math/distance.h"
#include "math/rows.h"

enum { NORM_BLOCK = 4096 }; /* rows of a task */

static int norms_of_block(void *arg, int64_t block, int worker)
{
    (void)worker;
    const ivf_kmeans_work *w = arg;
    int64_t end = ivf_min_i64(w->n, (block + 1) * NORM_BLOCK);
    for (int64_t row = block * NORM_BLOCK; row < end; row++) {
        const float *x = w->x + (size_t)row * w->d;
        w->norm[row] = ivf_dot(x, x, w->params->d);
    }
    return MPIVF_OK;
}

bool ivf_kmeans_point(const ivf_kmeans_work *w, int64_t row, float *point)
{
    const float *x = w->x + (size_t)row * w->d;
    if (w->spherical && w->norm[row] < FLT_MIN)
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

int ivf_kmeans_seed(ivf_kmeans_work *w)
{
    point_set set;
    int rc = set_make(&set, w->params->k, w->centroids, w->d);
    if (rc == MPIVF_OK)
        rc = ivf_team_run(ivf_ceil_div(w->n, NORM_BLOCK), norms_of_block, w);
    if (rc == MPIVF_OK) {
        ivf_permutation shuffle = ivf_permutation_make((uint64_t)w->n, w->params->seed, w->params->stream);
        w->k = 0;
        for (int64_t i = 0; i < w->n && w->k < w->params->k; i++) {
            int64_t row = ivf_to_i64(ivf_permutation_at(&shuffle, (uint64_t)i));
            if (ivf_kmeans_point(w, row, w->centroids + (size_t)w->k * w->d) && set_add(&set, (uint32_t)w->k))
                w->k++;
        }
    }
    ivf_free(set.slots);
    return rc;
}
