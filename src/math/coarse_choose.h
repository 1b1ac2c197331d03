/* The p best of integer scores, in loops that compilers vectorise: included by coarse_reference.c, coarse_avx2.c and
 * coarse_avx512.c, which compile it for their instructions and first say how scores are collected:
 *
 *   collect(scores, slots, low, slot, kept)    slots, ascending, and scores of those that are at least `low`; how many.
 *                                              `slots` is a multiple of the lanes; slot and kept have room for them
 *
 * The p-th largest is found by halving the range of values, which needs only counts: of at most a few scores, because a
 * bound that p scores surely reach, the p-th largest of the best of groups, leaves few candidates. */
#ifndef IVF_MATH_COARSE_CHOOSE_H
#define IVF_MATH_COARSE_CHOOSE_H

#include <stdint.h>
#include <string.h>

#include "base/numbers.h"
#include "math/kernels.h"

static int64_t count_reaching(const int32_t *scores, int64_t n, int32_t bound)
{
    int32_t count = 0;
    for (int64_t i = 0; i < n; i++)
        count += scores[i] >= bound;
    return count;
}

/* The p-th largest of scores[n]: the largest value that p scores reach. */
static int32_t nth_largest(const int32_t *scores, int64_t n, int64_t p)
{
    int32_t least = INT32_MAX;
    int32_t most = INT32_MIN;
    for (int64_t i = 0; i < n; i++) {
        least = scores[i] < least ? scores[i] : least;
        most = scores[i] > most ? scores[i] : most;
    }
    int64_t low = p <= n ? least : INT32_MIN; /* reached by p */
    int64_t high = most;
    while (low < high) {
        int64_t middle = high - (high - low) / 2;
        if (count_reaching(scores, n, (int32_t)middle) >= p)
            low = middle;
        else
            high = middle - 1;
    }
    return (int32_t)low;
}

/* A score that p of scores[slots] reach: the p-th largest of the best of groups of tiles, lane by lane. */
static int32_t bound_of(const int32_t *scores, int64_t slots, int64_t p, int32_t *best)
{
    int64_t tiles = slots / IVF_COARSE_LANES;
    int64_t groups = ivf_ceil_div(2 * p, IVF_COARSE_LANES);
    if (groups > tiles / 2)
        return INT32_MIN;
    for (int64_t group = 0; group < groups; group++) {
        int32_t most[IVF_COARSE_LANES];
        memcpy(most, scores + group * IVF_COARSE_LANES, sizeof most);
        for (int64_t tile = group + groups; tile < tiles; tile += groups) {
            const int32_t *other = scores + tile * IVF_COARSE_LANES;
            for (int lane = 0; lane < IVF_COARSE_LANES; lane++)
                most[lane] = other[lane] > most[lane] ? other[lane] : most[lane];
        }
        memcpy(best + group * IVF_COARSE_LANES, most, sizeof most);
    }
    return nth_largest(best, groups * IVF_COARSE_LANES, p);
}

/* See ivf_coarse_choose. */
static void choose(const int32_t *scores, int64_t slots, int p, int32_t *best, void *scratch)
{
    int32_t *slot = scratch;
    int32_t *kept = slot + slots;
    int32_t bound = bound_of(scores, slots, p, kept);
    int64_t count = collect(scores, slots, bound > INT32_MIN ? bound : INT32_MIN + 1, slot, kept);
    int32_t last = nth_largest(kept, count, p);
    int64_t ties = p - count_reaching(kept, count, last + 1);
    int taken = 0;
    for (int64_t i = 0; i < count && taken < p; i++) {
        bool tie = kept[i] == last;
        best[taken] = slot[i];
        taken += (kept[i] > last) | (tie & (ties > 0));
        ties -= tie;
    }
    while (taken < p)
        best[taken++] = -1;
}

#endif
