/* Distances in plain C, in the order of summation that math/kernels.h states: the oracle of the SIMD variants, and what
 * runs on CPUs that have none. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "math/convert.h"
#include "math/kernels.h"

typedef struct {
    float lane[IVF_ACCUMULATORS][IVF_LANES];
} sums;

static void load_f32(const void *row, int from, int count, float to[IVF_LANES])
{
    memcpy(to, (const float *)row + from, (size_t)count * sizeof *to);
}

static void load_f16(const void *row, int from, int count, float to[IVF_LANES])
{
    ivf_convert_reference.f16_to_f32((const uint16_t *)row + from, count, to);
}

typedef void load_fn(const void *row, int from, int count, float to[IVF_LANES]);

static float reduce(sums *s)
{
    for (int l = 0; l < IVF_LANES; l++)
        s->lane[0][l] = (s->lane[0][l] + s->lane[1][l]) + (s->lane[2][l] + s->lane[3][l]);
    for (int half = IVF_LANES / 2; half > 0; half /= 2) {
        for (int l = 0; l < half; l++)
            s->lane[0][l] += s->lane[0][l + half];
    }
    return s->lane[0][0];
}

static float sum_of(const float *query, const void *row, load_fn *load, int d, bool squares)
{
    sums s = {0};
    for (int from = 0; from < d; from += IVF_LANES) {
        int count = d - from < IVF_LANES ? d - from : IVF_LANES;
        float x[IVF_LANES] = {0};
        float y[IVF_LANES] = {0};
        load_f32(query, from, count, x);
        load(row, from, count, y);
        float *lane = s.lane[from / IVF_LANES % IVF_ACCUMULATORS];
        for (int l = 0; l < IVF_LANES; l++) {
            float a = squares ? x[l] - y[l] : x[l];
            lane[l] = fmaf(a, squares ? a : y[l], lane[l]);
        }
    }
    return reduce(&s);
}

static void l2_f32(const float *query, const float *rows, int64_t n, int d, float *keys)
{
    for (int64_t i = 0; i < n; i++)
        keys[i] = sum_of(query, rows + i * d, load_f32, d, true);
}

static void dot_f32(const float *query, const float *rows, int64_t n, int d, float *keys)
{
    for (int64_t i = 0; i < n; i++)
        keys[i] = 0.0F - sum_of(query, rows + i * d, load_f32, d, false);
}

static void l2_f16(const float *query, const uint16_t *rows, int64_t n, int d, float *keys)
{
    for (int64_t i = 0; i < n; i++)
        keys[i] = sum_of(query, rows + i * d, load_f16, d, true);
}

static void dot_f16(const float *query, const uint16_t *rows, int64_t n, int d, float *keys)
{
    for (int64_t i = 0; i < n; i++)
        keys[i] = 0.0F - sum_of(query, rows + i * d, load_f16, d, false);
}

const ivf_distance_kernels ivf_distance_reference = {l2_f32, dot_f32, l2_f16, dot_f16};
