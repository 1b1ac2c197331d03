/* Rows on a grid in plain C: the oracle of the SIMD variants. */
#include "math/grid_round.h"
#include "math/kernels.h"

static void add_rows(const int8_t *q, int d, const int32_t *list, int64_t n, int32_t *sums)
{
    int64_t stride = ivf_grid_stride(d);
    for (int64_t i = 0; i < n; i++) {
        for (int j = 0; j < d; j++)
            sums[j] += q[list[i] * stride + j];
    }
}

const ivf_grid_kernels ivf_grid_reference = {.round = round_row, .add = add_rows};
