/* Full passes: each row against all centroids. Rows go in blocks that are the same for every number of ranks and
 * threads. Exact ones are in single precision; the others compare rounded rows with rounded centroids, whose winner may
 * be slightly farther than the nearest: in iterations that is as good, since means are taken of whatever rows a cell
 * has, and it is several times faster than single precision. */
#include <string.h>

#include "base/error.h"
#include "base/numbers.h"
#include "base/team.h"
#include "cluster/internal.h"
#include "math/panels.h"

typedef struct {
    const ivf_kmeans_work *work;
    const ivf_kmeans_step *step;
    const ivf_panels *panels;
} pass_job;

/* Rows from *from on that are the task's. */
static int64_t block_of(const pass_job *job, int64_t task, int64_t *from)
{
    int64_t block = job->step->near / IVF_SHARE_BLOCK + task;
    *from = ivf_max_i64(job->step->near, block * IVF_SHARE_BLOCK);
    return ivf_min_i64(job->work->n, (block + 1) * IVF_SHARE_BLOCK) - *from;
}

static bool listed(const ivf_kmeans_lists *lists, int32_t group, int32_t number)
{
    const int32_t *at = lists->numbers + (size_t)group * (size_t)lists->width;
    int32_t low = 0;
    for (int32_t size = lists->width; size > 1;) {
        int32_t half = size / 2;
        low = at[low + half] <= number ? low + half : low;
        size -= half;
    }
    return at[low] == number;
}

static void take(const pass_job *job, int64_t from, int64_t count, const int32_t *best)
{
    const ivf_kmeans_work *w = job->work;
    const ivf_kmeans_lists *lists = job->step->lists;
    int64_t known = !job->step->judge ? 0 : ivf_min_i64(count, job->step->known - from);
    for (int64_t i = 0; i < known; i++) {
        int32_t before = w->cell[from + i];
        if (best[i] != before && !listed(lists, before, best[i]))
            atomic_fetch_add(&lists->missed[before], 1);
    }
    memcpy(w->cell + from, best, (size_t)count * sizeof *best);
}

static int assign_exact(void *arg, int64_t task, int worker)
{
    (void)worker;
    const pass_job *job = arg;
    const ivf_kmeans_work *w = job->work;
    float score[IVF_SHARE_BLOCK];
    int64_t from;
    int64_t count = block_of(job, task, &from);
    int32_t best[IVF_SHARE_BLOCK] = {0};
    ivf_panels_best(job->panels, w->x + (size_t)from * w->d, count, best, score);
    take(job, from, count, best);
    return MPIVF_OK;
}

static int assign_rounded(void *arg, int64_t task, int worker)
{
    (void)worker;
    const pass_job *job = arg;
    const ivf_kmeans_work *w = job->work;
    const ivf_kmeans_rounded *r = w->rounded;
    int64_t from;
    int64_t count = block_of(job, task, &from);
    const ivf_coarse_rows rows = {.q = r->q + (size_t)from * r->stride, .n = count};
    int32_t best[IVF_SHARE_BLOCK] = {0};
    ivf_coarse_nearest(r->all, ivf_coarse_all(r->all), &rows, best);
    for (int64_t i = 0; i < count; i++)
        if (r->outside[from + i])
            best[i] = ivf_kmeans_nearest(w, from + i, w->centroids, w->k);
    take(job, from, count, best);
    return MPIVF_OK;
}

int ivf_kmeans_assign_full(const ivf_kmeans_work *w, const ivf_kmeans_step *step)
{
    pass_job job = {.work = w, .step = step};
    if (step->near >= w->n)
        return MPIVF_OK;
    int64_t tasks = ivf_ceil_div(w->n, IVF_SHARE_BLOCK) - step->near / IVF_SHARE_BLOCK;
    if (w->rounded != NULL)
        return ivf_team_run_stoppable(tasks, assign_rounded, &job);
    ivf_panels *panels = ivf_panels_new(w->centroids, w->k, w->params->d, w->params->metric);
    if (panels == NULL)
        return MPIVF_FAILED;
    job.panels = panels;
    int rc = ivf_team_run_stoppable(tasks, assign_exact, &job);
    ivf_panels_free(panels);
    return rc;
}
