/* Values in pairs of 16 bits, for CPUs that have no products of 8 bits: for coarse_blocks.h. */
#ifndef IVF_MATH_COARSE_PAIRS_H
#define IVF_MATH_COARSE_PAIRS_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "math/kernels.h"

enum { WIDEST = (IVF_COARSE_MAX_D + 3) / 4 * 4 };

typedef struct {
    _Alignas(64) int16_t row[6][WIDEST];
} widened;

static const uint8_t *widen(const int8_t *row, int quads, widened *room, int r)
{
    int16_t *to = room->row[r];
    for (ptrdiff_t i = 0; i < (ptrdiff_t)quads * 4; i++)
        to[i] = row[i];
    return (const uint8_t *)to;
}

/* quads * 2 steps, of which the last may be beyond the tile. */
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
