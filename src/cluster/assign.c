/* Which cell each row is in: the full pass in single precision, rows sorted by cell, and what the ranks must know of
 * each other's cells. Assignment works in blocks of rows that are the same for every number of ranks and threads. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/numbers.h"
#include "base/team.h"
#include "cluster/internal.h"
#include "math/distance.h"
#include "math/panels.h"

enum { CELL_BLOCK = 64 }; /* cells of a task */

int64_t ivf_kmeans_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (int64_t)bits;
}

float ivf_kmeans_value(int64_t bits)
{
    float value;
    uint32_t low = (uint32_t)bits;
    memcpy(&value, &low, sizeof value);
    return value;
}

int ivf_kmeans_exponent(double largest, int64_t count, int bits)
{
    int count_bits = 0;
    int exponent = 0;
    while (count > (int64_t)1 << count_bits)
        count_bits++;
    (void)frexp(largest, &exponent);
    return bits - count_bits - exponent;
}

static int norms_of_block(void *arg, int64_t block, int worker)
{
    (void)worker;
    const ivf_kmeans_work *w = arg;
    int64_t end = ivf_min_i64(w->n, (block + 1) * IVF_SHARE_BLOCK);
    for (int64_t row = block * IVF_SHARE_BLOCK; row < end; row++) {
        const float *x = w->x + (size_t)row * w->d;
        w->norm[row] = ivf_dot(x, x, w->params->d);
    }
    return MPIVF_OK;
}

static int64_t row_blocks(const ivf_kmeans_work *w)
{
    return ivf_ceil_div(w->n, IVF_SHARE_BLOCK);
}

void ivf_kmeans_norms(ivf_kmeans_work *w)
{
    (void)ivf_team_run(row_blocks(w), norms_of_block, w);
}

typedef struct {
    const ivf_kmeans_work *work;
    const ivf_panels *panels;
} assign_job;

static int assign_block(void *arg, int64_t block, int worker)
{
    (void)worker;
    const assign_job *job = arg;
    const ivf_kmeans_work *w = job->work;
    int64_t first = block * IVF_SHARE_BLOCK;
    int64_t end = ivf_min_i64(w->n, first + IVF_SHARE_BLOCK);
    float score[IVF_SHARE_BLOCK];
    ivf_panels_best(job->panels, w->x + (size_t)first * w->d, end - first, w->cell + first, score);
    return MPIVF_OK;
}

int ivf_kmeans_assign(const ivf_kmeans_work *w)
{
    if (w->n == 0)
        return MPIVF_OK;
    ivf_panels *panels = ivf_panels_new(w->centroids, w->k, w->params->d, w->params->metric);
    if (panels == NULL)
        return MPIVF_FAILED;
    assign_job job = {w, panels};
    int rc = ivf_team_run(row_blocks(w), assign_block, &job);
    ivf_panels_free(panels);
    return rc;
}

void ivf_kmeans_sort(ivf_kmeans_work *w)
{
    int64_t *start = w->start;
    memset(start, 0, ((size_t)w->k + 2) * sizeof *start);
    for (int64_t row = 0; row < w->n; row++)
        start[w->cell[row] + 2]++;
    for (int32_t c = 0; c < w->k; c++)
        start[c + 2] += start[c + 1];
    for (int64_t row = 0; row < w->n; row++)
        w->order[start[w->cell[row] + 1]++] = (uint32_t)row;
}

static int largest_norms(void *arg, int64_t block, int worker)
{
    (void)worker;
    const ivf_kmeans_work *w = arg;
    int32_t end = (int32_t)ivf_min_i64(w->k, (block + 1) * CELL_BLOCK);
    for (int32_t c = (int32_t)(block * CELL_BLOCK); c < end; c++) {
        float largest = 0;
        for (int64_t i = w->start[c]; i < w->start[c + 1]; i++)
            largest = fmaxf(largest, w->norm[w->order[i]]);
        w->largest[c] = ivf_kmeans_bits(largest);
        w->size[c] = ivf_kmeans_rows_in(w, c);
    }
    return MPIVF_OK;
}

void ivf_kmeans_tally(const ivf_ctx *ctx, ivf_kmeans_work *w)
{
    (void)ivf_team_run(ivf_ceil_div(w->k, CELL_BLOCK), largest_norms, w);
    ivf_kmeans_allmax(ctx, w->largest, w->k);
    int64_t largest = 0;
    for (int32_t c = 0; c < w->k; c++)
        largest = ivf_max_i64(largest, w->largest[c]);
    double unit = ldexp(1, ivf_kmeans_exponent((double)ivf_kmeans_value(largest), w->share.total, 62));
    int64_t norms = 0;
    for (int64_t row = 0; row < w->n; row++)
        norms += llrint((double)w->norm[row] * unit);
    w->size[w->k] = norms;
    ivf_kmeans_allsum(ctx, w->size, (int64_t)w->k + 1);
    w->norms = (double)w->size[w->k] / unit;
}

int64_t ivf_kmeans_empty(const ivf_kmeans_work *w)
{
    int64_t empty = 0;
    for (int32_t c = 0; c < w->k; c++)
        empty += w->size[c] == 0;
    return empty;
}
