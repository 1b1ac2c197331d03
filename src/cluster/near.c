/* Restricted passes: rows that are grouped, by their cell or by a coarser one, against the candidates of their group
 * alone. A group's candidates are packed once and stay in the first-level cache while its rows stream past (Agustsson,
 * Timofte, Van Gool, "k2-means for fast and accurate large scale clustering", 2016). */
#include <float.h>
#include <string.h>

#include "base/error.h"
#include "base/numbers.h"
#include "base/team.h"
#include "cluster/internal.h"
#include "math/distance.h"

typedef struct {
    const ivf_kmeans_work *work;
    const ivf_kmeans_step *step;
} near_job;

int32_t ivf_kmeans_nearest(const ivf_kmeans_work *w, int64_t row, const float *c, int32_t count)
{
    enum { CHUNK = 128 };
    float keys[CHUNK];
    float least = FLT_MAX;
    int32_t best = 0;
    for (int32_t from = 0; from < count; from += CHUNK) {
        int64_t size = ivf_min_i64(CHUNK, count - from);
        ivf_keys_f32(w->spherical ? IVF_IP : IVF_L2, w->x + (size_t)row * w->d, c + (size_t)from * w->d, size,
                     w->params->d, keys);
        for (int32_t i = 0; i < size; i++) {
            if (keys[i] >= least)
                continue;
            least = keys[i];
            best = from + i;
        }
    }
    return best;
}

/* The candidates' centroids, side by side. */
static const float *pick(const ivf_kmeans_work *w, const int32_t *numbers, int32_t width, int worker)
{
    float *picked = w->picked + (size_t)worker * (size_t)width * w->d;
    for (int32_t i = 0; i < width; i++)
        memcpy(picked + (size_t)i * w->d, w->centroids + (size_t)numbers[i] * w->d, w->d * sizeof *picked);
    return picked;
}

static void assign_rounded(const ivf_kmeans_work *w, const ivf_coarse *near, const int32_t *list, int64_t count)
{
    enum { ROWS = 256 };
    const ivf_kmeans_rounded *r = w->rounded;
    int32_t best[ROWS];
    for (int64_t from = 0; from < count; from += ROWS) {
        const ivf_coarse_rows rows = {.q = r->q, .list = list + from, .n = ivf_min_i64(ROWS, count - from)};
        ivf_coarse_nearest(near, ivf_coarse_all(near), &rows, best);
        for (int64_t i = 0; i < rows.n; i++)
            w->cell[rows.list[i]] = best[i];
    }
}

/* Rows far from where their cell was: their nearest centroid may be anywhere. */
static void mark_far(const ivf_kmeans_work *w, const ivf_kmeans_rounded *r, const ivf_kmeans_step *step, int64_t group)
{
    const int8_t *anchor = step->upper->anchors + (size_t)group * r->stride;
    for (int64_t i = w->start[group]; i < w->start[group + 1]; i++) {
        const size_t row = (size_t)w->order[i];
        if (r->outside[row] || ivf_grid_distance(r->q + row * r->stride, anchor, w->params->d) > step->reach)
            w->cell[row] = ~w->cell[row];
    }
}

static int assign_group(void *arg, int64_t group, int worker)
{
    const near_job *job = arg;
    const ivf_kmeans_work *w = job->work;
    const ivf_kmeans_rounded *r = w->rounded;
    const ivf_kmeans_lists *lists = job->step->lists;
    const bool wide = lists->wide[group];
    const int32_t width = wide ? w->k : lists->width;
    const int32_t *numbers = lists->numbers + (size_t)group * (size_t)lists->width;
    const int32_t *list = w->order + w->start[group];
    const int64_t count = w->start[group + 1] - w->start[group];
    const float *picked = wide ? w->centroids : NULL;
    if (count > 0 && r != NULL && !wide)
        ivf_coarse_gather(r->near[worker], r->all, numbers, width);
    if (r != NULL)
        assign_rounded(w, wide ? r->all : r->near[worker], list, count);
    for (int64_t i = 0; i < count; i++) {
        if (r != NULL && !r->outside[list[i]])
            continue;
        if (picked == NULL)
            picked = pick(w, numbers, width, worker);
        int32_t best = ivf_kmeans_nearest(w, list[i], picked, width);
        w->cell[list[i]] = wide ? best : numbers[best];
    }
    if (r != NULL && job->step->upper != NULL)
        mark_far(w, r, job->step, group);
    return MPIVF_OK;
}

int ivf_kmeans_assign_near(const ivf_kmeans_work *w, const ivf_kmeans_step *step)
{
    near_job job = {w, step};
    return ivf_team_run_stoppable(step->lists->groups, assign_group, &job);
}
