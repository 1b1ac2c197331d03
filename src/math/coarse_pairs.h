/* Values in pairs of 16 bits, for CPUs that have no products of 8 bits: for coarse_blocks.h. */
#ifndef IVF_MATH_COARSE_PAIRS_H
#define IVF_MATH_COARSE_PAIRS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "math/kernels.h"

enum { MOST = 6, SIGN = 0x80, WIDEST = (IVF_COARSE_MAX_D + 3) / 4 * 4 };

typedef struct {
    _Alignas(64) int16_t values[MOST][WIDEST];
    const uint8_t *row[MOST];
} widened;

static const uint8_t *const *widen(const uint8_t *const *rows, int count, int quads, widened *room)
{
    for (int r = 0; r < count; r++) {
        const uint8_t *from = rows[r];
        int16_t *to = room->values[r];
        for (ptrdiff_t i = 0; i < (ptrdiff_t)quads * 4; i++)
            to[i] = (int16_t)((from[i] ^ SIGN) - SIGN); /* of an i8 */
        room->row[r] = (const uint8_t *)to;
    }
    return room->row;
}

static void pack(const uint8_t *const lanes[IVF_COARSE_LANES], int steps, uint8_t *tile)
{
    for (ptrdiff_t step = 0; step < steps; step++) {
        for (ptrdiff_t lane = 0; lane < IVF_COARSE_LANES; lane++) {
            int16_t pair[2] = {lanes[lane][step * 2], lanes[lane][step * 2 + 1]};
            memcpy(tile + (step * IVF_COARSE_LANES + lane) * 4, pair, sizeof pair);
        }
    }
}

#endif
