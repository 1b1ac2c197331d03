/* Rounding of a row in plain C: included by grid_reference.c, and by grid_avx2.c for what is left of a row. */
#ifndef IVF_MATH_GRID_ROUND_H
#define IVF_MATH_GRID_ROUND_H

#include <stdbool.h>
#include <stdint.h>

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

#endif
