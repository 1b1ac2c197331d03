/* The choice of a grid. Its centre is where rows are near, for the error of an 8-bit product grows with the norms of
 * what is multiplied; its step is as fine as the sample's rows allow, but for a few that are left to be told apart by
 * ivf_grid_round, because one wild value would otherwise cost all others their precision. Nor do wild rows move the
 * centre: it is the mean of those that are not far from the median, compared with the bulk of them. */
#include "math/grid.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "math/kernels.h"

enum {
    LOW = -128,
    HIGH = 127,
    BYTES = 256,      /* values of 8 bits */
    RANGE_MIN = 63,   /* integers in a smaller range are worth a finer step than 1 */
    KEPT_SHARE = 999, /* rows in 1000 that the step holds */
    BULK_SHARE = 985, /* unless they reach FAR times as far as so many do */
    FAR = 2,
    MEDIAN_ROWS = 255 /* that medians are taken of, at most */
};

/* Whether all values are integers; their range, as far as they are. */
static bool all_integers(const float *x, int64_t values, float *low, float *high)
{
    *low = x[0];
    *high = x[0];
    for (int64_t i = 0; i < values; i++) {
        if (x[i] != floorf(x[i]))
            return false;
        *low = fminf(*low, x[i]);
        *high = fmaxf(*high, x[i]);
    }
    return true;
}

static bool fit_integers(ivf_grid *grid, const float *x, int64_t values)
{
    float low = 0;
    float high = 0;
    if (!all_integers(x, values, &low, &high) || high - low < RANGE_MIN)
        return false;
    float centre = low >= 0 ? -(float)LOW : 0;
    if (low < centre + LOW || high > centre + HIGH)
        return false;
    for (int i = 0; i < grid->d; i++)
        grid->centre[i] = centre;
    grid->step = 1;
    return true;
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a;
    float y = *(const float *)b;
    return (x > y) - (x < y);
}

static void centre_on_median(ivf_grid *grid, const float *x, int64_t n)
{
    float values[MEDIAN_ROWS];
    size_t rows = ivf_to_size(ivf_min_i64(n, MEDIAN_ROWS));
    for (int i = 0; i < grid->d; i++) {
        for (size_t row = 0; row < rows; row++)
            values[row] = x[row * (size_t)grid->d + (size_t)i];
        qsort(values, rows, sizeof *values, compare_floats);
        grid->centre[i] = values[rows / 2];
    }
}

static float reach_of(const ivf_grid *grid, const float *x)
{
    float reach = 0;
    for (int i = 0; i < grid->d; i++)
        reach = fmaxf(reach, fabsf(x[i] - grid->centre[i]));
    return reach;
}

/* How far each row reaches from the centre, ascending. */
static void sort_reaches(const ivf_grid *grid, const float *x, int64_t n, float *reach)
{
    for (int64_t row = 0; row < n; row++)
        reach[row] = reach_of(grid, x + row * grid->d);
    qsort(reach, ivf_to_size(n), sizeof *reach, compare_floats);
}

/* How far rows may reach that are not wild. */
static float limit_of(const float *reach, int64_t n)
{
    float bulk = reach[(n - 1) * BULK_SHARE / 1000];
    return bulk > 0 ? FAR * bulk : INFINITY;
}

/* From the median to the mean of the rows that do not reach beyond `limit`. */
static void centre_on_mean(ivf_grid *grid, const float *x, int64_t n, float limit, double *sums)
{
    int64_t kept = 0;
    memset(sums, 0, (size_t)grid->d * sizeof *sums);
    for (int64_t row = 0; row < n; row++) {
        if (reach_of(grid, x + row * grid->d) > limit)
            continue;
        for (int i = 0; i < grid->d; i++)
            sums[i] += (double)x[row * grid->d + i];
        kept++;
    }
    for (int i = 0; i < grid->d; i++)
        grid->centre[i] = (float)(sums[i] / (double)kept);
}

/* The step with which the rows that shall fit reach the ends of the grid. */
static float step_of(const float *reach, int64_t n)
{
    float most = fminf(reach[(n - 1) * KEPT_SHARE / 1000], limit_of(reach, n));
    if (most == 0)
        most = reach[n - 1];
    float step = most / (float)HIGH;
    return step >= FLT_MIN && step <= FLT_MAX ? step : 1;
}

int ivf_grid_fit(ivf_grid *grid, const float *x, int64_t n, int d)
{
    grid->d = d;
    grid->centre = ivf_new((size_t)d, sizeof *grid->centre);
    double *sums = ivf_new((size_t)d, sizeof *sums);
    float *reach = ivf_new(ivf_to_size(n), sizeof *reach);
    bool enough = grid->centre != NULL && sums != NULL && reach != NULL;
    if (enough && !fit_integers(grid, x, n * d)) {
        centre_on_median(grid, x, n);
        sort_reaches(grid, x, n, reach);
        centre_on_mean(grid, x, n, limit_of(reach, n), sums);
        sort_reaches(grid, x, n, reach);
        grid->step = step_of(reach, n);
    }
    ivf_free(sums);
    ivf_free(reach);
    if (!enough)
        ivf_grid_free(grid);
    return enough ? MPIVF_OK : MPIVF_FAILED;
}

void ivf_grid_free(ivf_grid *grid)
{
    ivf_free(grid->centre);
    grid->centre = NULL;
}

int64_t ivf_grid_round(const ivf_grid *grid, const float *x, int64_t n, int8_t *q, uint8_t *outside)
{
    const ivf_grid_kernels *kernels = ivf_kernels_grid();
    int64_t stride = ivf_grid_stride(grid->d);
    float scale = (float)(1 / (double)grid->step);
    int64_t count = 0;
    for (int64_t row = 0; row < n; row++) {
        int8_t *to = q + row * stride;
        bool beyond = kernels->round(x + row * grid->d, grid->centre, scale, grid->d, to);
        memset(to + grid->d, 0, (size_t)(stride - grid->d));
        if (outside != NULL)
            outside[row] = beyond;
        count += beyond;
    }
    return count;
}

void ivf_grid_add(const int8_t *q, int d, const int32_t *list, int64_t n, int32_t *sums)
{
    ivf_kernels_grid()->add(q, d, list, n, sums);
}

int64_t ivf_grid_distance(const int8_t *a, const int8_t *b, int d)
{
    return ivf_kernels_coarse()->distance(a, b, (int)(ivf_grid_stride(d) / 4));
}
