/* The parts of the word kernels that compilers vectorise by themselves, compiled once for each SIMD level. */
#ifndef IVF_MATH_WORDS_PLAIN_H
#define IVF_MATH_WORDS_PLAIN_H

#include <string.h>

#include "math/words_kernels.h"

/* Values are held within this before they are rounded: beyond every limit, and exact as floats. */
static const float ROUND_MOST = 40000;

static inline int32_t float_bits(float value)
{
    int32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Adding 1.5 * 2^23 leaves the nearest integer in a float's low bits: an operation of every vector unit, unlike a
 * conversion that rounds. Comparisons are such that NaN counts as far below. */
static inline bool round_plain(const float *x, const float *centre, const float *scale, float limit, int count,
                               int16_t *q)
{
    const float magic = 0x1.8p23F;
    const int32_t zero = float_bits(magic);
    const int32_t most = (int32_t)limit;
    int32_t beyond = 0;
    for (int j = 0; j < count; j++) {
        float t = (x[j] - centre[j]) * scale[j];
        t = t > -ROUND_MOST ? t : -ROUND_MOST;
        t = t < ROUND_MOST ? t : ROUND_MOST;
        const int32_t rounded = float_bits(t + magic) - zero;
        const int32_t far = -(int32_t)(rounded > most) | -(int32_t)(rounded < -most);
        beyond |= far;
        q[j] = (int16_t)((rounded & ~far) | (INT16_MIN & far));
    }
    return beyond != 0;
}

static inline __attribute__((always_inline)) void add_rows_of(const int16_t *q, const uint8_t *best, int64_t n,
                                                              const int width, int64_t *sums, int64_t *counts)
{
    for (int64_t i = 0; i < n; i++) {
        int64_t *sum = sums + best[i] * (ptrdiff_t)width;
        counts[best[i]]++;
        for (int j = 0; j < width; j++)
            sum[j] += q[i * width + j];
    }
}

/* The usual widths are compiled by themselves, so that a row is one load and one addition. */
static void add_rows(const int16_t *q, const uint8_t *best, int64_t n, int width, int64_t *sums, int64_t *counts)
{
    if (width == 2)
        add_rows_of(q, best, n, 2, sums, counts);
    else if (width == 4)
        add_rows_of(q, best, n, 4, sums, counts);
    else if (width == 8)
        add_rows_of(q, best, n, 8, sums, counts);
    else
        add_rows_of(q, best, n, width, sums, counts);
}

/* The word that a joined score names. */
static inline uint8_t number_of(int32_t key, int shift)
{
    const int32_t low = ~key;
    return (uint8_t)((low >> 4 & 15) << shift | (low & 15));
}

#endif
