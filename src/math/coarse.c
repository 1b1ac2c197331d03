/* Packing of centroids in 8 bits. Their step is their own, as fine as the centroid farthest from the grid's centre
 * allows: centroids are means, so they reach less far than rows.
 *
 * What rounding a centroid loses is known when it is packed. The part of it that all rows share, its product with the
 * mean row (for which the mean of the centroids stands), goes into the bias; so an error of a score has the size of
 * |row - mean| rather than that of |row - grid's centre|. */
#include "math/coarse.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "math/distance.h"
#include "math/kernels.h"

enum {
    QUAD = 4,
    LANES = IVF_COARSE_LANES,
    OFFSET = 128,        /* from i8 to u8 */
    PARTS = 8,           /* partial sums, for compilers to vectorise */
    BIAS_LIMIT = 1 << 30 /* with sums below 255 * 128 * IVF_COARSE_MAX_D < 2^30 no score overflows */
};

/* Slots that k centroids in so many groups may take. */
static int64_t slots_for(int64_t k, int32_t groups)
{
    return ivf_round_up(k + (int64_t)groups * (LANES - 1), LANES);
}

static bool allocate(ivf_coarse *coarse, int64_t k, int32_t groups)
{
    size_t stride = (size_t)coarse->quads * QUAD;
    size_t slots = ivf_to_size(slots_for(k, groups));
    coarse->f32_bias = ivf_new(ivf_to_size(k), sizeof *coarse->f32_bias);
    coarse->whole_bias = ivf_new(ivf_to_size(k), sizeof *coarse->whole_bias);
    coarse->codes = ivf_new_zero(ivf_to_size(k) + 1, stride);
    coarse->mean = ivf_new_zero(stride, 1);
    coarse->sums = ivf_new((size_t)coarse->d, sizeof *coarse->sums);
    coarse->start = ivf_new_zero((size_t)groups + 1, sizeof *coarse->start);
    coarse->packed = ivf_new(slots / LANES, coarse->tile_size);
    coarse->bias = ivf_new(slots, sizeof *coarse->bias);
    coarse->number = ivf_new(slots, sizeof *coarse->number);
    return coarse->f32_bias != NULL && coarse->whole_bias != NULL && coarse->codes != NULL && coarse->mean != NULL &&
           coarse->sums != NULL && coarse->start != NULL && coarse->packed != NULL && coarse->bias != NULL &&
           coarse->number != NULL;
}

ivf_coarse *ivf_coarse_new(int64_t k, int32_t groups, int d)
{
    if (k < 1 || k > INT32_MAX || groups < 1 || d < 1 || d > IVF_COARSE_MAX_D) {
        (void)ivf_fail(MPIVF_FAILED,
                       "internal error: %lld vectors of %d values in %d groups cannot be packed in 8 bits",
                       (long long)k, d, groups);
        return NULL;
    }
    ivf_coarse *coarse = ivf_new_zero(1, sizeof *coarse);
    if (coarse == NULL)
        return NULL;
    coarse->kernels = ivf_kernels_coarse();
    coarse->source = coarse;
    coarse->d = d;
    coarse->quads = (int)(ivf_grid_stride(d) / QUAD);
    coarse->tile_size = (size_t)ivf_ceil_div(d, coarse->kernels->values) * LANES * QUAD;
    coarse->blank = k;
    if (!allocate(coarse, k, groups)) {
        ivf_coarse_free(coarse);
        return NULL;
    }
    return coarse;
}

void ivf_coarse_free(ivf_coarse *coarse)
{
    if (coarse == NULL)
        return;
    ivf_free(coarse->f32_bias);
    ivf_free(coarse->whole_bias);
    ivf_free(coarse->codes);
    ivf_free(coarse->mean);
    ivf_free(coarse->sums);
    ivf_free(coarse->start);
    ivf_free(coarse->packed);
    ivf_free(coarse->bias);
    ivf_free(coarse->number);
    ivf_free(coarse);
}

/* A step with which no centroid is cut off. */
static float step_for(const ivf_grid *grid, const float *c, int64_t k)
{
    float reach = 0;
    for (int64_t i = 0; i < k; i++) {
        for (int j = 0; j < grid->d; j++) {
            float from = fabsf(c[i * grid->d + j] - grid->centre[j]);
            reach = from > reach ? from : reach;
        }
    }
    float step = reach / (float)INT8_MAX;
    return step >= FLT_MIN && step <= FLT_MAX ? step : 1;
}

/* The mean of the centroids, on the grid of the rows. */
static void set_mean(ivf_coarse *coarse, const ivf_grid *grid, const float *c, int64_t k)
{
    int d = coarse->d;
    memset(coarse->sums, 0, (size_t)d * sizeof *coarse->sums);
    for (int64_t i = 0; i < k; i++) {
        for (int j = 0; j < d; j++)
            coarse->sums[j] += (double)c[i * d + j];
    }
    for (int j = 0; j < d; j++) {
        double place = (coarse->sums[j] / (double)k - (double)grid->centre[j]) / (double)grid->step;
        coarse->mean[j] = (int8_t)lrint(fmax(INT8_MIN, fmin(INT8_MAX, place)));
    }
}

/* What sets a centroid's score apart from its product in 8 bits, as far as it does not depend on the row. */
static double exact_bias(const ivf_coarse *coarse, const ivf_grid *grid, float step, ivf_metric metric, const float *c,
                         const uint8_t *code)
{
    double own = 0;  /* of the metric: -|c - centre|^2 / 2, or the product of c and the centre */
    double lost = 0; /* in rounding */
    for (int j = 0; j < coarse->d; j++) {
        double from = (double)c[j] - (double)grid->centre[j];
        own += from * (metric == IVF_L2 ? -0.5 * from : (double)grid->centre[j]);
        lost += coarse->mean[j] * (from / (double)step - (code[j] - OFFSET));
    }
    return own / ((double)grid->step * (double)step) + lost;
}

/* Codes and biases by number. */
static void set_centroids(ivf_coarse *coarse, const ivf_grid *grid, ivf_metric metric, const float *c, int64_t k)
{
    int d = coarse->d;
    size_t stride = (size_t)coarse->quads * QUAD;
    ivf_grid own = {.d = d, .step = step_for(grid, c, k), .centre = grid->centre};
    (void)ivf_grid_round(&own, c, k, (int8_t *)coarse->codes, NULL);
    for (size_t i = 0; i < ivf_to_size(k) * stride; i++)
        coarse->codes[i] ^= OFFSET;
    double first = 0; /* taken from all: what matters are differences, and they are small where the centre is far off */
    for (int64_t i = 0; i < k; i++) {
        double bias = exact_bias(coarse, grid, own.step, metric, c + i * d, coarse->codes + ivf_to_size(i) * stride);
        if (i == 0)
            first = bias;
        coarse->whole_bias[i] = (int32_t)lrint(fmax(-BIAS_LIMIT, fmin(BIAS_LIMIT, bias - first)));
        coarse->f32_bias[i] = metric == IVF_L2 ? -0.5F * ivf_dot(c + i * d, c + i * d, d) : 0;
    }
}

/* Fills a tile with `count` centroids: numbers[0] and on, or, without numbers, `first` and on. */
static void set_tile(ivf_coarse *coarse, int32_t tile, const int32_t *numbers, int32_t first, int32_t count)
{
    const ivf_coarse *source = coarse->source;
    size_t stride = (size_t)coarse->quads * QUAD;
    int steps = (int)(coarse->tile_size / (LANES * QUAD));
    const uint8_t *lanes[LANES];
    int32_t *number = coarse->number + (ptrdiff_t)tile * LANES;
    int32_t *bias = coarse->bias + (ptrdiff_t)tile * LANES;
    for (int lane = 0; lane < LANES; lane++) {
        number[lane] = -1;
        bias[lane] = INT32_MIN;
        lanes[lane] = coarse->codes + ivf_to_size(coarse->blank) * stride;
        if (lane >= count)
            continue;
        number[lane] = numbers == NULL ? first + lane : numbers[lane];
        bias[lane] = source->whole_bias[number[lane]];
        lanes[lane] = source->codes + (size_t)number[lane] * stride;
    }
    coarse->kernels->pack(lanes, steps, coarse->packed + (size_t)tile * coarse->tile_size);
}

void ivf_coarse_pack(ivf_coarse *coarse, const ivf_grid *grid, ivf_metric metric, const float *c, int64_t k,
                     const int32_t *first, int32_t groups)
{
    const int32_t whole[2] = {0, (int32_t)k};
    coarse->source = coarse;
    coarse->c = c;
    coarse->groups = first == NULL ? 1 : groups;
    set_mean(coarse, grid, c, k);
    set_centroids(coarse, grid, metric, c, k);
    const int32_t *bounds = first == NULL ? whole : first;
    int32_t tile = 0;
    for (int32_t group = 0; group < coarse->groups; group++) {
        for (int32_t number = bounds[group]; number < bounds[group + 1]; number += LANES)
            set_tile(coarse, tile++, NULL, number, bounds[group + 1] - number);
        coarse->start[group + 1] = tile;
    }
}

void ivf_coarse_gather(ivf_coarse *coarse, const ivf_coarse *from, const int32_t *numbers, int32_t count)
{
    coarse->source = from->source;
    coarse->groups = 1;
    coarse->start[1] = (int32_t)ivf_ceil_div(count, LANES);
    for (int32_t tile = 0; tile < coarse->start[1]; tile++)
        set_tile(coarse, tile, numbers + (ptrdiff_t)tile * LANES, 0, count - tile * LANES);
}

ivf_tiles ivf_coarse_group(const ivf_coarse *coarse, int32_t group)
{
    return (ivf_tiles){coarse->start[group], coarse->start[group + 1]};
}

ivf_tiles ivf_coarse_all(const ivf_coarse *coarse)
{
    return (ivf_tiles){0, coarse->start[coarse->groups]};
}

int32_t ivf_coarse_number(const ivf_coarse *coarse, int64_t slot)
{
    return coarse->number[slot];
}
