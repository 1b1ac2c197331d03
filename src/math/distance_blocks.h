/* Distances for any vector width, in the order of summation of math/kernels.h: included by distance_avx2.c and
 * distance_avx512.c, which first define a block of 16 floats:
 *
 *   block                                     16 lanes
 *   block_zero block_sub block_fma block_add
 *   block_load block_load_some                16 floats, or the first `count` < 16 and zeros
 *   block_load_half block_load_half_some      the same of halves
 *   block_join                                the lanes' sum: l + (l + 8), l + (l + 4), ...
 */
#ifndef IVF_MATH_DISTANCE_BLOCKS_H
#define IVF_MATH_DISTANCE_BLOCKS_H

#include <stdbool.h>

#include "math/kernels.h"

#define INLINE static inline __attribute__((always_inline))

/* Elements of a row from `at` on; `half`, `squares` and `count` == 16 are known when this is compiled. */
INLINE block load(const void *row, int at, int count, const bool half)
{
    if (half) {
        const uint16_t *from = (const uint16_t *)row + at;
        return count == IVF_LANES ? block_load_half(from) : block_load_half_some(from, count);
    }
    const float *from = (const float *)row + at;
    return count == IVF_LANES ? block_load(from) : block_load_some(from, count);
}

INLINE block accumulate(const float *query, const void *row, int at, int count, const bool half, const bool squares,
                        block sum)
{
    block x = load(query, at, count, false);
    block y = load(row, at, count, half);
    if (!squares)
        return block_fma(x, y, sum);
    block difference = block_sub(x, y);
    return block_fma(difference, difference, sum);
}

INLINE float sum_of(const float *query, const void *row, int d, const bool half, const bool squares)
{
    block sum[IVF_ACCUMULATORS] = {block_zero(), block_zero(), block_zero(), block_zero()};
    int at = 0;
    for (; at + IVF_ACCUMULATORS * IVF_LANES <= d; at += IVF_ACCUMULATORS * IVF_LANES) {
        for (int a = 0; a < IVF_ACCUMULATORS; a++)
            sum[a] = accumulate(query, row, at + a * IVF_LANES, IVF_LANES, half, squares, sum[a]);
    }
    for (int a = 0; a < IVF_ACCUMULATORS; a++, at += IVF_LANES) {
        int left = d - at;
        if (left >= IVF_LANES)
            sum[a] = accumulate(query, row, at, IVF_LANES, half, squares, sum[a]);
        else if (left > 0)
            sum[a] = accumulate(query, row, at, left, half, squares, sum[a]);
    }
    return block_join(block_add(block_add(sum[0], sum[1]), block_add(sum[2], sum[3])));
}

static void l2_f32(const float *query, const float *rows, int64_t n, int d, float *keys)
{
    for (int64_t i = 0; i < n; i++)
        keys[i] = sum_of(query, rows + i * d, d, false, true);
}

static void dot_f32(const float *query, const float *rows, int64_t n, int d, float *keys)
{
    for (int64_t i = 0; i < n; i++)
        keys[i] = 0.0F - sum_of(query, rows + i * d, d, false, false);
}

static void l2_f16(const float *query, const uint16_t *rows, int64_t n, int d, float *keys)
{
    for (int64_t i = 0; i < n; i++)
        keys[i] = sum_of(query, rows + i * d, d, true, true);
}

static void dot_f16(const float *query, const uint16_t *rows, int64_t n, int d, float *keys)
{
    for (int64_t i = 0; i < n; i++)
        keys[i] = 0.0F - sum_of(query, rows + i * d, d, true, false);
}

#endif
