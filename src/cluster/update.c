/* The means of the cells. Rows are summed in 64-bit fixed point, whose addition is associative: the result does not
 * depend on the order of the rows, nor on how they are spread over threads or ranks. The unit is chosen for each cell
 * from the largest norm and the number of its rows, so that no sum can overflow and a value keeps 51 bits (fewer, but
 * at least 30, beyond 2^11 rows) below that norm. Cells are taken a slice at a time, so that the sums of many large
 * ones need no more memory than those of a few.
 *
 * The objective follows from the same sums, without another look at the rows: that of a cell with n rows of sum S is
 * sum |x|^2 - 2 <c, S> + n |c|^2. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/error.h"
#include "base/numbers.h"
#include "base/team.h"
#include "cluster/internal.h"

enum {
    VALUE_BITS = 51, /* of a rounded value, so that adding ROUND does not lose any */
    SUM_BITS = 62,
};

/* Adding 1.5 * 2^52 to a smaller double leaves its nearest integer in the low bits; unlike a conversion, this is an
 * instruction that every vector unit has. */
static const double ROUND = 0x1.8p52;

/* Squared norms underflow for values below this; sums then use it as the bound. */
static const double SMALLEST_BOUND = 0x1p-62;

typedef struct {
    ivf_kmeans_work *work;
    int32_t first; /* cell of the slice */
    atomic_bool moved;
} update_job;

static int64_t double_bits(double value)
{
    int64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Units for each 1.0: a power of two. */
static double cell_scale(const ivf_kmeans_work *w, int32_t cell)
{
    double bound = fmax(sqrt((double)ivf_kmeans_value(w->largest[cell])), SMALLEST_BOUND);
    int sum_fits = ivf_kmeans_exponent(bound, w->size[cell], SUM_BITS);
    int value_fits = ivf_kmeans_exponent(bound, 1, VALUE_BITS);
    /* One bit more than the norm needs, because it was rounded itself, and one for the sign. */
    return ldexp(1, (sum_fits < value_fits ? sum_fits : value_fits) - 2);
}

static int sum_cell(void *arg, int64_t task, int worker)
{
    (void)worker;
    const update_job *job = arg;
    const ivf_kmeans_work *w = job->work;
    const int64_t zero = double_bits(ROUND);
    const size_t d = w->d;
    const int32_t cell = job->first + (int32_t)task;
    const double scale = cell_scale(w, cell);
    int64_t *restrict sums = w->sums + (size_t)task * d;
    memset(sums, 0, d * sizeof *sums);
    for (int64_t i = w->start[cell]; i < w->start[cell + 1]; i++) {
        const float *restrict x = w->x + (size_t)w->order[i] * d;
        for (size_t j = 0; j < d; j++)
            sums[j] += double_bits((double)x[j] * scale + ROUND) - zero;
    }
    return MPIVF_OK;
}

/* What a sum is divided by; 0 when there is no direction to take. */
static double divisor(const ivf_kmeans_work *w, const int64_t *sums, int32_t cell)
{
    if (!w->spherical)
        return cell_scale(w, cell) * (double)w->size[cell];
    double squares = 0;
    for (size_t j = 0; j < w->d; j++)
        squares += (double)sums[j] * (double)sums[j];
    return sqrt(squares);
}

/* What the cell adds to the objective but for the norms of its rows. A row that has founded a cell is where its
 * centroid will be. */
static double objective_of(const ivf_kmeans_work *w, const int64_t *sums, int32_t cell)
{
    const float *centroid = w->centroids + (size_t)cell * w->d;
    const double scale = cell_scale(w, cell);
    const double size = (double)w->size[cell];
    double product = 0;
    double square = 0;
    for (size_t j = 0; j < w->d; j++) {
        double sum = (double)sums[j] / scale;
        double at = w->founded[cell] ? sum / size : (double)centroid[j];
        product += at * sum;
        square += at * at;
    }
    return w->spherical ? -product : size * square - 2 * product;
}

static int move_cell(void *arg, int64_t task, int worker)
{
    (void)worker;
    update_job *job = arg;
    const ivf_kmeans_work *w = job->work;
    const int32_t cell = job->first + (int32_t)task;
    const int64_t *sums = w->sums + (size_t)task * w->d;
    w->share_of_objective[cell] = 0;
    if (w->size[cell] == 0)
        return MPIVF_OK;
    double by = divisor(w, sums, cell);
    w->share_of_objective[cell] = objective_of(w, sums, cell);
    if (by == 0)
        return MPIVF_OK;
    float *centroid = w->centroids + (size_t)cell * w->d;
    bool moved = false;
    for (size_t j = 0; j < w->d; j++) {
        float mean = (float)((double)sums[j] / by);
        moved |= mean != centroid[j];
        centroid[j] = mean;
    }
    if (moved)
        atomic_store(&job->moved, true);
    return MPIVF_OK;
}

static double objective(const ivf_kmeans_work *w)
{
    double sum = w->spherical ? 0 : w->norms;
    for (int32_t c = 0; c < w->k; c++)
        sum += w->share_of_objective[c];
    return w->spherical ? sum : fmax(0, sum);
}

void ivf_kmeans_update(const ivf_ctx *ctx, ivf_kmeans_work *w)
{
    update_job job = {.work = w};
    for (; job.first < w->k; job.first += w->slice) {
        int32_t cells = (int32_t)ivf_min_i64(w->slice, w->k - job.first);
        (void)ivf_team_run(cells, sum_cell, &job);
        ivf_kmeans_allsum(ctx, w->sums, cells * (int64_t)w->d);
        (void)ivf_team_run(cells, move_cell, &job);
        if (cells == w->k - job.first)
            break;
    }
    w->moved = atomic_load(&job.moved);
    w->objective = objective(w);
    memset(w->founded, 0, (size_t)w->k * sizeof *w->founded);
}
