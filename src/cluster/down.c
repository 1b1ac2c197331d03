/* Passes down a tree over many centroids (upper.c). Rows that had no cell before descend in blocks; of the others those
 * that are marked, because their nearest centroid may lie elsewhere than around where their cell was. These go in the
 * order of their cells, so that a block's rows meet under the same nodes. Which rows are in a block makes no difference
 * to any of them. Memory for each thread: that of a descent, and a block of rows. */
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "cluster/internal.h"
#include "math/distance.h"

enum {
    ROWS = IVF_NEAREST_TASK,
    SPAN = 4 * ROWS, /* rows among which those that are marked make a task */
};

typedef struct {
    const ivf_kmeans_work *work;
    const ivf_nearest *nearest;
    int64_t near;  /* rows that had a cell */
    int64_t spans; /* tasks over them */
    size_t scratch_bytes;
    char *scratch; /* [threads][scratch_bytes]: the rows of a block, and a descent's */
} descent;

static int64_t rows_bytes(int64_t d)
{
    return ivf_round_up(ROWS * d * (int64_t)sizeof(float), 64);
}

static float key_of(const ivf_kmeans_work *w, const float *x, int32_t cell)
{
    float key = 0;
    ivf_keys_f32(w->spherical ? IVF_IP : IVF_L2, x, w->centroids + (size_t)cell * w->d, 1, w->params->d, &key);
    return key;
}

static void descend_marked(const descent *job, const int32_t *rows, int64_t count, char *scratch)
{
    const ivf_kmeans_work *w = job->work;
    float *x = (float *)(void *)scratch;
    int32_t best[ROWS];
    for (int64_t i = 0; i < count; i++)
        memcpy(x + (size_t)i * w->d, w->x + (size_t)rows[i] * w->d, w->d * sizeof *x);
    ivf_nearest_best(job->nearest, x, count, best, NULL, scratch + rows_bytes((int64_t)w->d));
    for (int64_t i = 0; i < count; i++) {
        const float *row = x + (size_t)i * w->d;
        const int32_t near = ~w->cell[rows[i]];
        w->cell[rows[i]] = key_of(w, row, best[i]) < key_of(w, row, near) ? best[i] : near;
    }
}

static void descend_span(const descent *job, int64_t span, char *scratch)
{
    const ivf_kmeans_work *w = job->work;
    const int64_t end = ivf_min_i64(job->near, (span + 1) * SPAN);
    int32_t rows[ROWS];
    int64_t count = 0;
    for (int64_t i = span * SPAN; i < end; i++) {
        if (w->cell[w->order[i]] < 0)
            rows[count++] = w->order[i];
        if (count == ROWS || i + 1 == end) {
            descend_marked(job, rows, count, scratch);
            count = 0;
        }
    }
}

static int descend(void *arg, int64_t task, int worker)
{
    const descent *job = arg;
    const ivf_kmeans_work *w = job->work;
    char *scratch = job->scratch + (size_t)worker * job->scratch_bytes;
    if (task < job->spans) {
        descend_span(job, task, scratch);
        return MPIVF_OK;
    }
    const int64_t first = job->near + (task - job->spans) * ROWS;
    ivf_nearest_best(job->nearest, w->x + (size_t)first * w->d, ivf_min_i64(ROWS, w->n - first), w->cell + first, NULL,
                     scratch + rows_bytes((int64_t)w->d));
    return MPIVF_OK;
}

int ivf_kmeans_assign_down(const ivf_kmeans_work *w, const ivf_kmeans_step *step)
{
    const ivf_nearest *nearest = step->upper->nearest;
    descent job = {.work = w, .nearest = nearest, .near = step->near, .spans = ivf_ceil_div(step->near, SPAN)};
    job.scratch_bytes =
        (size_t)(rows_bytes((int64_t)w->d) + ivf_round_up(ivf_to_i64(ivf_nearest_scratch(nearest)), 64));
    job.scratch = ivf_new((size_t)ivf_team_size(), job.scratch_bytes);
    const int64_t tasks = job.spans + ivf_ceil_div(w->n - job.near, ROWS);
    int rc = job.scratch == NULL ? MPIVF_FAILED : ivf_team_run_stoppable(tasks, descend, &job);
    ivf_free(job.scratch);
    return rc;
}

int64_t ivf_kmeans_down_memory(const ivf_kmeans_extent *e, const ivf_tree *shape, const ivf_nearest_way *way)
{
    return e->threads * (ivf_nearest_scratch_memory(shape, way) + 64 + rows_bytes(e->d));
}
