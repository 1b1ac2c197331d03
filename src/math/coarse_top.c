/* The p best of each row's integer scores: a few nodes of a tree, the neighbours of a centroid.
 *
 * The p-th largest score is found by halving the range of values, which needs only counts: of at most a few scores,
 * because a bound that p scores surely reach, the p-th largest of the best of groups, leaves few candidates. */
#include <string.h>

#include "base/numbers.h"
#include "math/kernels.h"

enum {
    QUAD = 4,
    LANES = IVF_COARSE_LANES,
    ROWS = 24,    /* whose scores are held at once */
    GROUPING = 2, /* groups, for each of the p */
};

static int64_t slots_of(ivf_tiles tiles)
{
    return (int64_t)(tiles.end - tiles.first) * LANES;
}

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
    int64_t low = INT32_MIN; /* reached by p */
    int64_t high = INT32_MIN;
    for (int64_t i = 0; i < n; i++)
        high = scores[i] > high ? scores[i] : high;
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
    int64_t tiles = slots / LANES;
    int64_t groups = ivf_ceil_div(GROUPING * p, LANES);
    if (groups > tiles / 2)
        return INT32_MIN;
    for (int64_t i = 0; i < groups * LANES; i++)
        best[i] = INT32_MIN;
    for (int64_t tile = 0; tile < tiles; tile++) {
        int32_t *to = best + tile % groups * LANES;
        for (int lane = 0; lane < LANES; lane++)
            to[lane] = scores[tile * LANES + lane] > to[lane] ? scores[tile * LANES + lane] : to[lane];
    }
    return nth_largest(best, groups * LANES, p);
}

/* Slots and scores of those that reach the bound, padding never; how many. */
static int64_t collect(const int32_t *scores, int64_t slots, int32_t bound, int32_t *slot, int32_t *kept)
{
    int64_t count = 0;
    int32_t low = bound > INT32_MIN ? bound : INT32_MIN + 1;
    for (int64_t i = 0; i < slots; i++) {
        slot[count] = (int32_t)i;
        kept[count] = scores[i];
        count += scores[i] >= low;
    }
    return count;
}

size_t ivf_coarse_choose_scratch(int64_t slots)
{
    return ivf_to_size(slots) * 2 * sizeof(int32_t);
}

void ivf_coarse_choose(const int32_t *scores, int64_t slots, int p, int32_t *best, void *scratch)
{
    int32_t *slot = scratch;
    int32_t *kept = slot + slots;
    int32_t bound = bound_of(scores, slots, p, kept);
    int64_t count = collect(scores, slots, bound, slot, kept);
    int32_t last = nth_largest(kept, count, p);
    int64_t ties = p - count_reaching(kept, count, last + 1);
    int taken = 0;
    for (int64_t i = 0; i < count && taken < p; i++) {
        if (kept[i] > last || (kept[i] == last && ties-- > 0))
            best[taken++] = slot[i];
    }
    while (taken < p)
        best[taken++] = -1;
}

/* ROWS rows at once. */
static void top_of_rows(const ivf_coarse *coarse, ivf_tiles tiles, const ivf_coarse_rows *rows, int p, int32_t *best,
                        int32_t *scratch)
{
    int64_t slots = slots_of(tiles);
    const int32_t *number = coarse->number + (int64_t)tiles.first * LANES;
    int32_t *scores[ROWS];
    for (int i = 0; i < ROWS; i++)
        scores[i] = scratch + i * slots;
    coarse->kernels->scores(coarse, tiles, rows, scores);
    for (int64_t i = 0; i < rows->n; i++) {
        int32_t *chosen = best + i * p;
        ivf_coarse_choose(scores[i], slots, p, chosen, scratch + ROWS * slots);
        for (int j = 0; j < p && chosen[j] >= 0; j++)
            chosen[j] = number[chosen[j]];
    }
}

size_t ivf_coarse_top_scratch(ivf_tiles tiles)
{
    return ivf_to_size(slots_of(tiles)) * sizeof(int32_t) * ROWS + ivf_coarse_choose_scratch(slots_of(tiles));
}

void ivf_coarse_top(const ivf_coarse *coarse, ivf_tiles tiles, const ivf_coarse_rows *rows, int p, int32_t *best,
                    void *scratch)
{
    for (int64_t from = 0; from < rows->n; from += ROWS) {
        ivf_coarse_rows block = *rows;
        block.n = ivf_min_i64(ROWS, rows->n - from);
        if (rows->list == NULL)
            block.q += from * coarse->quads * QUAD;
        else
            block.list += from;
        top_of_rows(coarse, tiles, &block, p, best + from * p, scratch);
    }
}

void ivf_coarse_scores(const ivf_coarse *coarse, ivf_tiles tiles, const ivf_coarse_rows *rows, int32_t *const *out)
{
    coarse->kernels->scores(coarse, tiles, rows, out);
}
