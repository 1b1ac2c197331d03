/* Rows sorted by cell, and what the ranks must know of each other's cells. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/numbers.h"
#include "base/team.h"
#include "cluster/internal.h"
#include "math/distance.h"

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

void ivf_kmeans_use(ivf_kmeans_work *w, int64_t places)
{
    w->places = places;
    w->n = ivf_share_prefix(&w->share, places);
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
    int64_t end = ivf_min_i64(w->rows, (block + 1) * IVF_SHARE_BLOCK);
    for (int64_t row = block * IVF_SHARE_BLOCK; row < end; row++) {
        const float *x = w->x + (size_t)row * w->d;
        w->norm[row] = ivf_dot(x, x, w->params->d);
    }
    return MPIVF_OK;
}

void ivf_kmeans_norms(ivf_kmeans_work *w)
{
    (void)ivf_team_run(ivf_ceil_div(w->rows, IVF_SHARE_BLOCK), norms_of_block, w);
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
        w->order[start[w->cell[row] + 1]++] = (int32_t)row;
}

static int largest_of_block(void *arg, int64_t block, int worker)
{
    (void)worker;
    const ivf_kmeans_work *w = arg;
    int32_t end = (int32_t)ivf_min_i64(w->k, (block + 1) * CELL_BLOCK);
    for (int32_t c = (int32_t)(block * CELL_BLOCK); c < end; c++) {
        float largest = 0;
        for (int64_t i = w->start[c]; i < w->start[c + 1]; i++)
            largest = fmaxf(largest, w->norm[w->order[i]]);
        w->largest[c] = ivf_kmeans_bits(largest);
    }
    return MPIVF_OK;
}

static int sizes_of_block(void *arg, int64_t block, int worker)
{
    (void)worker;
    const ivf_kmeans_work *w = arg;
    int32_t end = (int32_t)ivf_min_i64(w->k, (block + 1) * CELL_BLOCK);
    for (int32_t c = (int32_t)(block * CELL_BLOCK); c < end; c++) {
        int64_t norms = 0;
        for (int64_t i = w->start[c]; i < w->start[c + 1]; i++)
            norms += llrint((double)w->norm[w->order[i]] * w->norm_unit);
        w->size[c] = ivf_kmeans_rows_in(w, c);
        w->size[w->k + c] = norms;
    }
    return MPIVF_OK;
}

void ivf_kmeans_tally(const ivf_ctx *ctx, ivf_kmeans_work *w)
{
    const int64_t blocks = ivf_ceil_div(w->k, CELL_BLOCK);
    (void)ivf_team_run(blocks, largest_of_block, w);
    ivf_kmeans_allmax(ctx, w->largest, w->k);
    int64_t largest = 0;
    for (int32_t c = 0; c < w->k; c++)
        largest = ivf_max_i64(largest, w->largest[c]);
    w->norm_unit = ldexp(1, ivf_kmeans_exponent((double)ivf_kmeans_value(largest), w->share.total, 62));
    (void)ivf_team_run(blocks, sizes_of_block, w);
    w->size[2 * (int64_t)w->k] = ivf_kmeans_rank(ctx) == 0 && ivf_kmeans_keep_due(w);
    ivf_kmeans_allsum(ctx, w->size, 2 * (int64_t)w->k + (w->params->keeper != NULL));
}

int64_t ivf_kmeans_empty(const ivf_kmeans_work *w)
{
    int64_t empty = 0;
    for (int32_t c = 0; c < w->k; c++)
        empty += w->size[c] == 0;
    return empty;
}
