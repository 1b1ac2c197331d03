/* What is done once for each row, in loops that compilers vectorise: included by coarse_reference.c and coarse_avx2.c,
 * which compile it for their instructions. */
#ifndef IVF_MATH_COARSE_ROW_H
#define IVF_MATH_COARSE_ROW_H

#include <math.h>
#include <stdint.h>

#include "math/kernels.h"

/* Within +-2^22 the sum with 1.5 * 2^23 has no bits for a fraction, so adding it rounds to nearest, ties to even. */
static bool round_row(const float *x, const float *centre, float scale, int d, int8_t *restrict q)
{
    const float shift = 12582912.0F;
    int within = 1;
    for (int i = 0; i < d; i++) {
        float value = (x[i] - centre[i]) * scale;
        within &= (value >= -128.5F) & (value <= 127.5F);
        float known = value == value ? value : 0.0F;
        float above = known > -128.0F ? known : -128.0F;
        float held = above < 127.0F ? above : 127.0F;
        q[i] = (int8_t)(int)((held + shift) - shift);
    }
    return within == 0;
}

static int64_t square_distance(const int8_t *restrict q, const int8_t *restrict mean, int quads)
{
    enum { PART = 16384 }; /* so many squares below 2^16 stay within 2^31 */
    int64_t squares = 0;
    for (int from = 0; from < 4 * quads; from += PART) {
        int end = 4 * quads - from < PART ? 4 * quads : from + PART;
        int32_t part = 0;
        for (int i = from; i < end; i++)
            part += (q[i] - mean[i]) * (q[i] - mean[i]);
        squares += part;
    }
    return squares;
}

#endif
