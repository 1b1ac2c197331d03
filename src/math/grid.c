/* The choice of a grid. Its centre is where rows are near, for the error of an 8-bit product grows with the norms of
 * what is multiplied; its step is as fine as the sample's rows allow, but for a few that are left to be told apart by
 * ivf_grid_round, because one wild value would otherwise cost all others their precision. */
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
    BYTES = 256,     /* values of 8 bits */
    RANGE_MIN = 63,  /* integers in a smaller range are worth a finer step than 1 */
    KEPT_SHARE = 999 /* rows in 1000 that the step holds */
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

static void centre_on_mean(ivf_grid *grid, const float *x, int64_t n, double *sums)
{
    memset(sums, 0, (size_t)grid->d * sizeof *sums);
    for (int64_t row = 0; row < n; row++) {
        for (int i = 0; i < grid->d; i++)
            sums[i] += (double)x[row * grid->d + i];
    }
    for (int i = 0; i < grid->d; i++)
        grid->centre[i] = (float)(sums[i] / (double)n);
}

static int compare_floats(const void *a, const void *b)
{
    float x = *(const float *)a;
    float y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The step with which the rows' largest values, as far as they shall fit, reach the ends of the grid. */
static float step_of(const ivf_grid *grid, const float *x, int64_t n, float *largest)
{
    for (int64_t row = 0; row < n; row++) {
        largest[row] = 0;
        for (int i = 0; i < grid->d; i++)
            largest[row] = fmaxf(largest[row], fabsf(x[row * grid->d + i] - grid->centre[i]));
    }
    qsort(largest, ivf_to_size(n), sizeof *largest, compare_floats);
    float reach = largest[(n - 1) * KEPT_SHARE / 1000];
    if (reach == 0)
        reach = largest[n - 1];
    float step = reach / (float)HIGH;
    return step >= FLT_MIN && step <= FLT_MAX ? step : 1;
}

int ivf_grid_fit(ivf_grid *grid, const float *x, int64_t n, int d)
{
    grid->d = d;
    grid->centre = ivf_new((size_t)d, sizeof *grid->centre);
    double *sums = ivf_new((size_t)d, sizeof *sums);
    float *largest = ivf_new(ivf_to_size(n), sizeof *largest);
    bool enough = grid->centre != NULL && sums != NULL && largest != NULL;
    if (enough && !fit_integers(grid, x, n * d)) {
        centre_on_mean(grid, x, n, sums);
        grid->step = step_of(grid, x, n, largest);
    }
    ivf_free(sums);
    ivf_free(largest);
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
