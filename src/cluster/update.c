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

/* Of a grid, that a value outside it can be off the centre. */
static const double MOST_STEPS = 0x1p30;

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

static void sum_exact(const ivf_kmeans_work *w, int32_t cell, int64_t *restrict sums)
{
    const int64_t zero = double_bits(ROUND);
    const size_t d = w->d;
    const double scale = cell_scale(w, cell);
    for (int64_t i = w->start[cell]; i < w->start[cell + 1]; i++) {
        const float *restrict x = w->x + (size_t)w->order[i] * d;
        for (size_t j = 0; j < d; j++)
            sums[j] += double_bits((double)x[j] * scale + ROUND) - zero;
    }
}

/* A row outside the grid counts as the steps from the centre that it is, not as those that it was clipped to. */
static void add_clipped(const ivf_kmeans_work *w, int32_t row, int64_t *sums)
{
    const ivf_grid *grid = &w->rounded->grid;
    const float *x = w->x + (size_t)row * w->d;
    const int8_t *q = w->rounded->q + (size_t)row * w->rounded->stride;
    for (size_t j = 0; j < w->d; j++) {
        double steps = ((double)x[j] - (double)grid->centre[j]) / (double)grid->step;
        sums[j] += llrint(fmin(fmax(steps, -MOST_STEPS), MOST_STEPS)) - q[j];
    }
}

static void sum_rounded(const ivf_kmeans_work *w, int32_t cell, int worker, int64_t *restrict sums)
{
    enum { ROWS = 1 << 23 }; /* whose sums fit 32 bits */
    const ivf_kmeans_rounded *r = w->rounded;
    const int64_t end = w->start[cell + 1];
    int32_t *part = r->parts + (size_t)worker * w->d;
    for (int64_t from = w->start[cell]; from < end; from += ROWS) {
        memset(part, 0, w->d * sizeof *part);
        ivf_grid_add(r->q, w->params->d, w->order + from, ivf_min_i64(ROWS, end - from), part);
        for (size_t j = 0; j < w->d; j++)
            sums[j] += part[j];
    }
    for (int64_t i = w->start[cell]; r->some_outside && i < end; i++)
        if (r->outside[w->order[i]])
            add_clipped(w, w->order[i], sums);
}

static int sum_cell(void *arg, int64_t task, int worker)
{
    const update_job *job = arg;
    const ivf_kmeans_work *w = job->work;
    const int32_t cell = job->first + (int32_t)task;
    int64_t *sums = w->sums + (size_t)task * w->d;
    memset(sums, 0, w->d * sizeof *sums);
    if (w->exact_sums)
        sum_exact(w, cell, sums);
    else
        sum_rounded(w, cell, worker, sums);
    return MPIVF_OK;
}

/* One of a cell's sums as a number. */
static double sum_at(const ivf_kmeans_work *w, const int64_t *sums, double scale, int32_t cell, size_t j)
{
    if (w->exact_sums)
        return (double)sums[j] / scale;
    const ivf_grid *grid = &w->rounded->grid;
    return (double)w->size[cell] * (double)grid->centre[j] + (double)grid->step * (double)sums[j];
}

/* What the cell adds to the objective. A row that has founded a cell is where its centroid will be. */
static void measure(const ivf_kmeans_work *w, const int64_t *sums, double scale, int32_t cell)
{
    const float *centroid = w->centroids + (size_t)cell * w->d;
    const double size = (double)w->size[cell];
    double product = 0;
    double square = 0;
    for (size_t j = 0; j < w->d; j++) {
        double sum = sum_at(w, sums, scale, cell, j);
        double at = w->founded[cell] ? sum / size : (double)centroid[j];
        product += at * sum;
        square += at * at;
    }
    w->spread[cell] = fmax(0, (double)w->size[w->k + cell] / w->norm_unit + size * square - 2 * product);
    w->share_of_objective[cell] = w->spherical ? -product : w->spread[cell];
}

/* What a sum is divided by; 0 when there is no direction to take. */
static double divisor(const ivf_kmeans_work *w, const int64_t *sums, double scale, int32_t cell)
{
    if (!w->spherical)
        return (double)w->size[cell];
    double squares = 0;
    for (size_t j = 0; j < w->d; j++) {
        double sum = sum_at(w, sums, scale, cell, j);
        squares += sum * sum;
    }
    return sqrt(squares);
}

static int move_cell(void *arg, int64_t task, int worker)
{
    (void)worker;
    update_job *job = arg;
    const ivf_kmeans_work *w = job->work;
    const int32_t cell = job->first + (int32_t)task;
    const int64_t *sums = w->sums + (size_t)task * w->d;
    w->share_of_objective[cell] = 0;
    w->spread[cell] = 0;
    w->scatter[cell] = 0;
    if (w->size[cell] == 0)
        return MPIVF_OK;
    double scale = w->exact_sums ? cell_scale(w, cell) : 1;
    double by = divisor(w, sums, scale, cell);
    measure(w, sums, scale, cell);
    if (by == 0)
        return MPIVF_OK;
    float *centroid = w->centroids + (size_t)cell * w->d;
    bool moved = false;
    double way = 0;
    for (size_t j = 0; j < w->d; j++) {
        float mean = (float)(sum_at(w, sums, scale, cell, j) / by);
        double step = (double)mean - (double)centroid[j];
        moved |= mean != centroid[j];
        way += step * step;
        centroid[j] = mean;
    }
    w->scatter[cell] = w->founded[cell] ? 0 : fmax(0, w->spread[cell] - (double)w->size[cell] * way);
    if (moved)
        atomic_store(&job->moved, true);
    return MPIVF_OK;
}

static double objective(const ivf_kmeans_work *w)
{
    double sum = 0;
    for (int32_t c = 0; c < w->k; c++)
        sum += w->share_of_objective[c];
    return sum;
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
