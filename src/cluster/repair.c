/* Empty cells. A cell that lost all its rows is moved to where the error is: the cells are ranked by the sum of the
 * squared distances of their rows to the centroid, and the i-th empty cell takes the farthest row of the i-th of them.
 * Distances are taken anew as differences, because those that assignment derives from scores are not zero for rows that
 * equal their centroid. Costs 2 n d, and only when a cell is empty. Every rank proposes its farthest rows and adds up
 * its distances in fixed point; all then give the same rows away. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "cluster/internal.h"
#include "math/distance.h"

/* A row that may found a cell, so that the largest is the farthest; among those equally far, the one at the lowest
 * place. */
static int64_t proposal_of(float distance, int64_t place)
{
    return ivf_kmeans_bits(distance) * ((int64_t)1 << 32) + (UINT32_MAX - place);
}

typedef struct {
    ivf_kmeans_work *work;
    int64_t *farthest; /* [k]: proposals; 0: none */
    int64_t *sum;      /* [k]: of distances, in units that the farthest row decides */
} repair_job;

static double unit_of(const ivf_kmeans_work *w, int64_t proposal)
{
    return ldexp(1, ivf_kmeans_exponent((double)ivf_kmeans_value(proposal >> 32), w->share.total, 62));
}

/* Of a row's point to its centroid; 0 for a row that stands for none. */
static float distance_of(const ivf_kmeans_work *w, int32_t cell, int32_t row, int worker)
{
    float *point = w->direction + (size_t)worker * w->d;
    bool sound = ivf_kmeans_point(w, w->x + (size_t)row * w->d, point);
    return sound ? ivf_l2_sqr(point, w->centroids + (size_t)cell * w->d, w->params->d) : 0;
}

static int measure_cell(void *arg, int64_t number, int worker)
{
    const repair_job *job = arg;
    const ivf_kmeans_work *w = job->work;
    job->farthest[number] = 0;
    for (int64_t i = w->start[number]; i < w->start[number + 1]; i++) {
        int32_t row = w->order[i];
        float distance = distance_of(w, (int32_t)number, row, worker);
        if (distance > 0)
            job->farthest[number] =
                ivf_max_i64(job->farthest[number], proposal_of(distance, ivf_share_place(&w->share, row)));
    }
    return MPIVF_OK;
}

static int sum_cell(void *arg, int64_t number, int worker)
{
    const repair_job *job = arg;
    const ivf_kmeans_work *w = job->work;
    double unit = unit_of(w, job->farthest[number]);
    int64_t sum = 0;
    for (int64_t i = w->start[number]; i < w->start[number + 1]; i++)
        sum += llrint((double)distance_of(w, (int32_t)number, w->order[i], worker) * unit);
    job->sum[number] = sum;
    return MPIVF_OK;
}

static int by_objective(const void *left, const void *right)
{
    const ivf_kmeans_spread *a = left;
    const ivf_kmeans_spread *b = right;
    if (a->objective != b->objective)
        return a->objective > b->objective ? -1 : 1;
    return (a->cell > b->cell) - (a->cell < b->cell);
}

/* Cells that can give a row, the worst first. */
static size_t rank_donors(const repair_job *job, ivf_kmeans_spread *donors)
{
    const ivf_kmeans_work *w = job->work;
    size_t count = 0;
    for (int32_t c = 0; c < w->k; c++)
        if (w->size[c] > 1 && job->farthest[c] > 0)
            donors[count++] = (ivf_kmeans_spread){.objective = (double)job->sum[c] / unit_of(w, job->farthest[c]),
                                                  .cell = c,
                                                  .farthest = UINT32_MAX - (job->farthest[c] & UINT32_MAX)};
    qsort(donors, count, sizeof *donors, by_objective);
    return count;
}

static int64_t give(const repair_job *job, const ivf_kmeans_spread *donors, size_t count)
{
    ivf_kmeans_work *w = job->work;
    size_t given = 0;
    for (int32_t c = 0; c < w->k && given < count; c++) {
        if (w->size[c] > 0)
            continue;
        int64_t place = donors[given++].farthest;
        w->founded[c] = true;
        if (ivf_share_owner(&w->share, place) == w->share.rank)
            w->cell[ivf_share_row(&w->share, place)] = c;
    }
    return (int64_t)given;
}

static void measure(const ivf_ctx *ctx, repair_job *job)
{
    const ivf_kmeans_work *w = job->work;
    (void)ivf_team_run(w->k, measure_cell, job);
    ivf_kmeans_allmax(ctx, job->farthest, w->k);
    (void)ivf_team_run(w->k, sum_cell, job);
    ivf_kmeans_allsum(ctx, job->sum, w->k);
}

int ivf_kmeans_repair(const ivf_ctx *ctx, ivf_kmeans_work *w, int64_t *repaired)
{
    const size_t k = (size_t)w->k;
    repair_job job = {w, ivf_new(k, sizeof *job.farthest), ivf_new(k, sizeof *job.sum)};
    ivf_kmeans_spread *donors = ivf_new(k, sizeof *donors);
    bool made = job.farthest != NULL && job.sum != NULL && donors != NULL;
    int rc = ivf_kmeans_agree(ctx, made ? MPIVF_OK : MPIVF_FAILED);
    if (rc == MPIVF_OK && made) {
        measure(ctx, &job);
        *repaired = give(&job, donors, rank_donors(&job, donors));
        ivf_kmeans_sort(w);
        ivf_kmeans_tally(ctx, w);
    }
    ivf_free(job.farthest);
    ivf_free(job.sum);
    ivf_free(donors);
    return rc;
}

int64_t ivf_kmeans_repair_memory(const ivf_kmeans_extent *e)
{
    return e->params->k * (int64_t)(2 * sizeof(int64_t) + sizeof(ivf_kmeans_spread));
}
