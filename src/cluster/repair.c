/* Empty cells. A cell that lost all its rows is moved to where the error is: the cells are ranked by the sum of the
 * squared distances of their rows to the centroid, and the i-th empty cell takes the farthest row of the i-th of them.
 * Distances are taken anew as differences, because those that assignment derives from scores are not zero for rows that
 * equal their centroid. Costs n * d, and only when a cell is empty. */
#include <stdlib.h>

#include "base/error.h"
#include "base/numbers.h"
#include "base/team.h"
#include "cluster/internal.h"
#include "math/distance.h"

static int spread_of_cell(void *arg, int64_t number, int worker)
{
    const ivf_kmeans_work *w = arg;
    const int32_t cell = (int32_t)number;
    const float *centroid = w->centroids + (size_t)cell * w->d;
    float *point = w->direction + (size_t)worker * w->d;
    ivf_kmeans_spread spread = {.cell = -1};
    float largest = 0;
    for (int64_t i = w->start[cell]; i < w->start[cell + 1]; i++) {
        uint32_t row = w->order[i];
        if (!ivf_kmeans_point(w, row, point))
            continue;
        float distance = ivf_l2_sqr(point, centroid, w->params->d);
        spread.objective += (double)distance;
        if (distance > largest) {
            largest = distance;
            spread.farthest = row;
            spread.cell = cell;
        }
    }
    if (ivf_kmeans_size(w, cell) < 2)
        spread.cell = -1;
    w->spread[cell] = spread;
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

int ivf_kmeans_repair(ivf_kmeans_work *w, int64_t *repaired)
{
    int rc = ivf_team_run(w->k, spread_of_cell, w);
    if (rc != MPIVF_OK)
        return rc;
    size_t donors = 0;
    for (int32_t c = 0; c < w->k; c++)
        if (w->spread[c].cell >= 0)
            w->spread[donors++] = w->spread[c];
    qsort(w->spread, donors, sizeof *w->spread, by_objective);
    size_t given = 0;
    for (int32_t c = 0; c < w->k && given < donors; c++)
        if (ivf_kmeans_size(w, c) == 0)
            w->cell[w->spread[given++].farthest] = c;
    ivf_kmeans_sort(w);
    *repaired = (int64_t)given;
    return MPIVF_OK;
}
