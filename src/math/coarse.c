/* Packing of centroids in 8 bits. Their step is their own, as fine as the centroid farthest from the grid's centre
 * allows: centroids are means, so they reach less far than rows.
 *
 * What rounding a centroid loses is known when it is packed. The part of it that all rows share, its product with the
 * mean row (for which the mean of the centroids stands), goes into the bias; so an error of a score has the size of
 * |row - mean| rather than that of |row - grid's centre|.
 *
 * For L2 a centroid of wild rows costs no other its precision: it is cut off where codes end, beyond the grid, and its
 * distance to a row of the grid is then taken for the least that it can be, its own to where it is cut off and from
 * there to the row (the angle at the projection on a convex body is never acute). So its cell loses no rows, and an
 * exact comparison puts right what it wins too many. */
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
    OFFSET = 128, /* from i8 to u8 */
    PARTS = 8,    /* partial sums, for compilers to vectorise */
    TILE_STEP = LANES * QUAD,
    FAR = 2,             /* times as far from the centre as the grid, and centroids are wild */
    BIAS_LIMIT = 1 << 30 /* with sums below 255 * 128 * IVF_COARSE_MAX_D < 2^30 no score overflows */
};

/* Slots that k centroids in so many groups may take. */
static int64_t slots_for(int64_t k, int32_t groups)
{
    return ivf_round_up(k + (int64_t)groups * (LANES - 1), LANES);
}

/* Where the pieces are in a block, which may be NULL; returns the bytes that they take. */
static size_t place(ivf_coarse *coarse, int32_t groups, void *block)
{
    size_t used = 0;
    size_t k = ivf_to_size(coarse->blank);
    size_t d = (size_t)coarse->d;
    size_t stride = (size_t)coarse->quads * QUAD;
    size_t slots = ivf_to_size(slots_for(coarse->blank, groups));
    coarse->head = ivf_memory_piece(block, &used, sizeof *coarse->head);
    coarse->centre = ivf_memory_piece(block, &used, d * sizeof *coarse->centre);
    coarse->mean = ivf_memory_piece(block, &used, stride);
    coarse->sums = ivf_memory_piece(block, &used, d * sizeof *coarse->sums);
    coarse->start = ivf_memory_piece(block, &used, ((size_t)groups + 1) * sizeof *coarse->start);
    coarse->f32_bias = ivf_memory_piece(block, &used, k * sizeof *coarse->f32_bias);
    coarse->whole_bias = ivf_memory_piece(block, &used, k * sizeof *coarse->whole_bias);
    coarse->codes = ivf_memory_piece(block, &used, (k + 1) * stride);
    coarse->packed = ivf_memory_piece(block, &used, slots / LANES * coarse->tile_size);
    coarse->bias = ivf_memory_piece(block, &used, slots * sizeof *coarse->bias);
    coarse->number = ivf_memory_piece(block, &used, slots * sizeof *coarse->number);
    return used;
}

static ivf_coarse shape_of(int64_t k, int d)
{
    const ivf_coarse_kernels *kernels = ivf_kernels_coarse();
    return (ivf_coarse){.kernels = kernels,
                        .d = d,
                        .quads = (int)(ivf_grid_stride(d) / QUAD),
                        .tile_size = (size_t)ivf_ceil_div(d, kernels->values) * TILE_STEP,
                        .blank = k};
}

int64_t ivf_coarse_memory(int64_t k, int32_t groups, int d)
{
    ivf_coarse shape = shape_of(k, d);
    return ivf_to_i64(place(&shape, groups, NULL));
}

ivf_coarse *ivf_coarse_view(void *block, int64_t k, int32_t groups, int d)
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
    *coarse = shape_of(k, d);
    coarse->source = coarse;
    (void)place(coarse, groups, block);
    return coarse;
}

ivf_coarse *ivf_coarse_new(int64_t k, int32_t groups, int d)
{
    ivf_coarse *coarse = ivf_coarse_view(NULL, k, groups, d);
    if (coarse == NULL)
        return NULL;
    coarse->block = ivf_new(place(coarse, groups, NULL), 1);
    if (coarse->block == NULL) {
        ivf_coarse_free(coarse);
        return NULL;
    }
    (void)place(coarse, groups, coarse->block);
    memset(coarse->block, 0, (size_t)((char *)coarse->f32_bias - (char *)coarse->block));
    memset(coarse->codes + ivf_to_size(k) * (size_t)coarse->quads * QUAD, 0, (size_t)coarse->quads * QUAD);
    return coarse;
}

void ivf_coarse_adopt(ivf_coarse *coarse, ivf_metric metric, const float *c)
{
    coarse->metric = metric;
    coarse->c = c;
    coarse->step = coarse->head->step;
    coarse->scale = coarse->head->scale;
    coarse->ends = coarse->head->ends;
    coarse->groups = coarse->head->groups;
}

void ivf_coarse_free(ivf_coarse *coarse)
{
    if (coarse == NULL)
        return;
    ivf_free(coarse->block);
    ivf_free(coarse);
}

/* The largest distance of a value from the centre. */
static float reach_of(const ivf_coarse *coarse, const float *values)
{
    float reach[PARTS] = {0};
    int whole = coarse->d / PARTS * PARTS;
    const float *centre = coarse->centre;
    for (int j = 0; j < whole; j += PARTS) {
        for (int part = 0; part < PARTS; part++) {
            float from = fabsf(values[j + part] - centre[j + part]);
            reach[part] = from > reach[part] ? from : reach[part];
        }
    }
    for (int j = whole; j < coarse->d; j++)
        reach[0] = fmaxf(reach[0], fabsf(values[j] - centre[j]));
    for (int part = 1; part < PARTS; part++)
        reach[0] = fmaxf(reach[0], reach[part]);
    return reach[0];
}

/* A step with which no centroid is cut off but wild ones, for L2, and then codes that reach as far as any row of the
 * grid. */
static float step_for(const ivf_coarse *coarse, int64_t k)
{
    float rows = coarse->grid.step * (float)(INT8_MAX + 1);
    float most = 0;
    for (int64_t i = 0; i < k; i++) {
        float reach = reach_of(coarse, coarse->c + i * coarse->d);
        if (coarse->metric == IVF_L2 && reach > FAR * rows)
            reach = rows;
        most = fmaxf(most, reach);
    }
    float step = most / (float)INT8_MAX;
    return step >= FLT_MIN && step <= FLT_MAX ? step : 1;
}

/* A value as far as the grid goes, for means that wild centroids do not move far. */
static double within_grid(const ivf_coarse *coarse, float value, int j)
{
    double low = (double)coarse->grid.centre[j] + INT8_MIN * (double)coarse->grid.step;
    double high = (double)coarse->grid.centre[j] + INT8_MAX * (double)coarse->grid.step;
    double above = (double)value > low ? (double)value : low;
    return above < high ? above : high;
}

/* The mean of the centroids: as the point that they are rounded from, or on the grid of the rows. */
static void set_mean(ivf_coarse *coarse, const float *c, int64_t k)
{
    int d = coarse->d;
    bool l2 = coarse->metric == IVF_L2;
    double *restrict sums = coarse->sums;
    memset(sums, 0, (size_t)d * sizeof *sums);
    for (int64_t i = 0; i < k; i++) {
        for (int j = 0; j < d; j++)
            sums[j] += l2 ? within_grid(coarse, c[i * d + j], j) : (double)c[i * d + j];
    }
    memset(coarse->mean, 0, (size_t)coarse->quads * QUAD);
    for (int j = 0; j < d; j++) {
        double centre = (double)coarse->grid.centre[j];
        double mean = sums[j] / (double)k;
        coarse->centre[j] = l2 ? coarse->grid.centre[j] : (float)mean;
        if (l2)
            coarse->mean[j] =
                (int8_t)lrint(fmax(INT8_MIN, fmin(INT8_MAX, (mean - centre) / (double)coarse->grid.step)));
    }
}

/* Terms of a bias, for values from j on: the metric's own (-|c - centre|^2 / 2, or the product of c and the centre),
 * and what rounding loses. */
typedef struct {
    double own[PARTS];
    double lost[PARTS];
} bias_terms;

static inline void add_terms(const ivf_coarse *coarse, const float *c, const uint8_t *code, int j, int part,
                             bias_terms *terms)
{
    double from = (double)c[j] - (double)coarse->centre[j];
    terms->own[part] += from * (coarse->metric == IVF_L2 ? -0.5 * from : (double)coarse->grid.centre[j]);
    double value = code[j] - OFFSET;
    double lost = from * coarse->scale - value;
    bool cut = coarse->metric == IVF_L2 && fabs(lost) > 1;
    terms->lost[part] += (cut ? value * coarse->ends : (double)coarse->mean[j]) * lost;
}

/* What sets a centroid's score apart from its product in 8 bits, as far as it does not depend on the row. */
static double exact_bias(const ivf_coarse *coarse, const float *c, const uint8_t *code)
{
    bias_terms terms = {{0}, {0}};
    int whole = coarse->d / PARTS * PARTS;
    for (int j = 0; j < whole; j += PARTS) {
        for (int part = 0; part < PARTS; part++)
            add_terms(coarse, c, code, j + part, part, &terms);
    }
    for (int j = whole; j < coarse->d; j++)
        add_terms(coarse, c, code, j, j - whole, &terms);
    double own = 0;
    double lost = 0;
    for (int part = 0; part < PARTS; part++) {
        own += terms.own[part];
        lost += terms.lost[part];
    }
    return own * coarse->scale / (double)coarse->grid.step + lost;
}

/* A centroid's code and its bias. */
static double round_centroid(ivf_coarse *coarse, int64_t number)
{
    size_t stride = (size_t)coarse->quads * QUAD;
    uint8_t *code = coarse->codes + ivf_to_size(number) * stride;
    const float *c = coarse->c + number * coarse->d;
    ivf_grid own = {.d = coarse->d, .step = coarse->step, .centre = coarse->centre};
    (void)ivf_grid_round(&own, c, 1, (int8_t *)code, NULL);
    for (size_t i = 0; i < stride; i++)
        code[i] ^= OFFSET;
    return exact_bias(coarse, c, code);
}

static void set_centroid(ivf_coarse *coarse, int64_t number)
{
    double bias = round_centroid(coarse, number);
    const float *c = coarse->c + number * coarse->d;
    coarse->whole_bias[number] = (int32_t)lrint(fmax(-BIAS_LIMIT, fmin(BIAS_LIMIT, bias)));
    coarse->f32_bias[number] = coarse->metric == IVF_L2 ? -0.5F * ivf_dot(c, c, coarse->d) : 0;
}

/* Biases and values of a tile whose numbers are set. */
static void set_tile(ivf_coarse *coarse, int32_t tile)
{
    const ivf_coarse *source = coarse->source;
    size_t stride = (size_t)coarse->quads * QUAD;
    int steps = (int)(coarse->tile_size / TILE_STEP);
    const uint8_t *lanes[LANES];
    const int32_t *number = coarse->number + (ptrdiff_t)tile * LANES;
    int32_t *bias = coarse->bias + (ptrdiff_t)tile * LANES;
    for (int lane = 0; lane < LANES; lane++) {
        bool blank = number[lane] < 0;
        bias[lane] = blank ? INT32_MIN : source->whole_bias[number[lane]];
        lanes[lane] =
            blank ? coarse->codes + ivf_to_size(coarse->blank) * stride : source->codes + (size_t)number[lane] * stride;
    }
    coarse->kernels->pack(lanes, steps, coarse->packed + (size_t)tile * coarse->tile_size);
}

/* The next tiles: numbers from `first` to `end` - 1. Returns the tile after them. */
static int32_t set_numbers(ivf_coarse *coarse, int32_t tile, int32_t first, int32_t end)
{
    for (; first < end; first += LANES, tile++) {
        for (int lane = 0; lane < LANES; lane++)
            coarse->number[(ptrdiff_t)tile * LANES + lane] = lane < end - first ? first + lane : -1;
    }
    return tile;
}

void ivf_coarse_pack_begin(ivf_coarse *coarse, const ivf_grid *grid, ivf_metric metric, const float *c, int64_t k,
                           const int32_t *first, int32_t groups)
{
    coarse->source = coarse;
    coarse->grid = *grid;
    coarse->metric = metric;
    coarse->c = c;
    set_mean(coarse, c, k);
    coarse->step = step_for(coarse, k);
    coarse->scale = 1 / (double)coarse->step;
    coarse->ends = (double)coarse->step / (double)grid->step;
    coarse->groups = first == NULL ? 1 : groups;
    for (int32_t group = 0; group < coarse->groups; group++) {
        int32_t from = first == NULL ? 0 : first[group];
        int32_t end = first == NULL ? (int32_t)k : first[group + 1];
        coarse->start[group + 1] = set_numbers(coarse, coarse->start[group], from, end);
    }
    *coarse->head =
        (ivf_coarse_head){.step = coarse->step, .groups = coarse->groups, .scale = coarse->scale, .ends = coarse->ends};
}

void ivf_coarse_pack_tiles(ivf_coarse *coarse, ivf_tiles tiles)
{
    for (int32_t tile = tiles.first; tile < tiles.end; tile++) {
        for (int lane = 0; lane < LANES; lane++) {
            int32_t number = coarse->number[(ptrdiff_t)tile * LANES + lane];
            if (number >= 0)
                set_centroid(coarse, number);
        }
        set_tile(coarse, tile);
    }
}

void ivf_coarse_pack(ivf_coarse *coarse, const ivf_grid *grid, ivf_metric metric, const float *c, int64_t k,
                     const int32_t *first, int32_t groups)
{
    ivf_coarse_pack_begin(coarse, grid, metric, c, k, first, groups);
    ivf_coarse_pack_tiles(coarse, ivf_coarse_all(coarse));
}

void ivf_coarse_gather(ivf_coarse *coarse, const ivf_coarse *from, const int32_t *numbers, int32_t count)
{
    coarse->source = from->source;
    coarse->groups = 1;
    coarse->start[1] = (int32_t)ivf_ceil_div(count, LANES);
    for (int32_t slot = 0; slot < coarse->start[1] * LANES; slot++)
        coarse->number[slot] = slot < count ? numbers[slot] : -1;
    for (int32_t tile = 0; tile < coarse->start[1]; tile++)
        set_tile(coarse, tile);
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
