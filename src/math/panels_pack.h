/* Rows transposed into register tiles. Private to math/panels_*. */
#ifndef IVF_MATH_PANELS_PACK_H
#define IVF_MATH_PANELS_PACK_H

#include <stddef.h>
#include <stdint.h>

enum { IVF_PACK_SLACK = 8 };

/* Local. x[rows][d], its first `size` columns, to to[size][tile_rows]; the last row stands in for those from `rows` on
 * (rows <= tile_rows). Up to IVF_PACK_SLACK floats after the tile are overwritten with anything. */
void ivf_panels_pack_avx2(const float *x, int rows, int64_t d, int tile_rows, int size, float *to);

#endif
