/* Rows rounded to 8 bits on a common grid: a quarter of the memory, and products at the speed of integers. */
#ifndef IVF_MATH_GRID_H
#define IVF_MATH_GRID_H

#include <stdint.h>

/* x is taken for centre + step * q, with q = (x - centre) / step rounded to nearest (ties to even) and held within
 * -128 to 127. */
typedef struct {
    int d;
    float step;    /* > 0 */
    float *centre; /* [d], owned */
} ivf_grid;

/* Bytes from one rounded row to the next; the bytes after d are zero. */
static inline int64_t ivf_grid_stride(int d)
{
    return ((int64_t)d + 3) / 4 * 4;
}

/* Local, one thread. A grid for rows like x[n][d], n >= 1, d >= 1, finite: their mean in the centre, and a step that
 * holds all values of 999 in 1000 of them. Wild rows, as long as they are fewer than 15 in 1000, cost the others
 * about one bit at most. Where all values are integers that u8 or i8 holds, as inputs of those types
 * are, the step is 1 and the centre integer, so that rounding loses nothing. Depends on the rows alone; some thousands
 * are enough. Memory while it runs: 4 n + 8 d bytes. */
int ivf_grid_fit(ivf_grid *grid, const float *x, int64_t n, int d);
void ivf_grid_free(ivf_grid *grid);

/* Local, one thread. x[n][d] to q[n][stride]. outside[n] (may be NULL): 1 for rows that hold a value beyond the grid or
 * NaN; nothing promises that their rounding resembles them. Returns how many those are. The same at every SIMD level.
 */
int64_t ivf_grid_round(const ivf_grid *grid, const float *x, int64_t n, int8_t *q, uint8_t *outside);

/* Local. The squared distance of two rounded rows, in steps. */
int64_t ivf_grid_distance(const int8_t *a, const int8_t *b, int d);

/* Local, one thread. Adds the rows list[n] of q[][stride] to sums[d]; n < 2^24, so that no sum overflows from zero. */
void ivf_grid_add(const int8_t *q, int d, const int32_t *list, int64_t n, int32_t *sums);

#endif
