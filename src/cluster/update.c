/* The means of the cells. Rows are summed in 64-bit fixed point, whose addition is associative: the result does not
 * depend on the order of the rows, nor on how they are spread over threads or ranks. The unit is chosen for each cell
 * from the largest norm and the number of its rows, so that no sum can overflow and a value keeps 51 bits (fewer, but
 * at least 30, beyond 2^11 rows) below that norm. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/team.h"
#include "cluster/internal.h"

enum {
    VALUE_BITS = 51, /* of a rounded value, so that adding ROUND does not lose any */
    SUM_BITS = 62,
};

/* Adding 1.5 * 2^52 to a smaller double leaves its nearest integer in the low bits; unlike a conversion, this is an
 * instruction that every vector unit has. */
static const double ROUND = 0x1.8p52;

/* Squared norms underflow for values below this; sums then use it as the bound. */
static const double SMALLEST_BOUND = 0x1p-62;

static int64_t double_bits(double value)
{
    int64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* Units for each 1.0: a power of two. */
static double cell_scale(const ivf_kmeans_work *w, int32_t cell)
{
    int64_t count = ivf_kmeans_size(w, cell);
    float largest = 0;
    for (int64_t i = w->start[cell]; i < w->start[cell + 1]; i++)
        largest = fmaxf(largest, w->norm[w->order[i]]);
    int count_bits = 0;
    while (count > (int64_t)1 << count_bits)
        count_bits++;
    int bits = SUM_BITS - count_bits < VALUE_BITS ? SUM_BITS - count_bits : VALUE_BITS;
    int exponent = 0;
    (void)frexp(fmax(sqrt((double)largest), SMALLEST_BOUND), &exponent);
    /* One bit more than the norm needs, because it was rounded itself, and one for the sign. */
    return ldexp(1, bits - exponent - 2);
}

static void sum_rows(const ivf_kmeans_work *w, int32_t cell, double scale, int64_t *restrict sums)
{
    const int64_t zero = double_bits(ROUND);
    const size_t d = w->d;
    memset(sums, 0, d * sizeof *sums);
    for (int64_t i = w->start[cell]; i < w->start[cell + 1]; i++) {
        const float *restrict x = w->x + (size_t)w->order[i] * d;
        for (size_t j = 0; j < d; j++)
            sums[j] += double_bits((double)x[j] * scale + ROUND) - zero;
    }
}

/* What a sum is divided by; 0 when there is no direction to take. */
static double divisor(const ivf_kmeans_work *w, const int64_t *sums, double scale, int64_t count)
{
    if (!w->spherical)
        return scale * (double)count;
    double squares = 0;
    for (size_t j = 0; j < w->d; j++)
        squares += (double)sums[j] * (double)sums[j];
    return sqrt(squares);
}

static int update_cell(void *arg, int64_t number, int worker)
{
    ivf_kmeans_work *w = arg;
    const int32_t cell = (int32_t)number;
    const int64_t count = ivf_kmeans_size(w, cell);
    if (count == 0)
        return MPIVF_OK;
    int64_t *sums = w->sums + (size_t)worker * w->d;
    double scale = cell_scale(w, cell);
    sum_rows(w, cell, scale, sums);
    double by = divisor(w, sums, scale, count);
    if (by == 0)
        return MPIVF_OK;
    float *centroid = w->centroids + (size_t)cell * w->d;
    bool moved = false;
    for (size_t j = 0; j < w->d; j++) {
        float mean = (float)((double)sums[j] / by);
        moved |= mean != centroid[j];
        centroid[j] = mean;
    }
    if (moved)
        atomic_store(&w->moved, true);
    return MPIVF_OK;
}

int ivf_kmeans_update(ivf_kmeans_work *w)
{
    atomic_store(&w->moved, false);
    return ivf_team_run(w->k, update_cell, w);
}
