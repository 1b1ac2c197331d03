/* The p best of each row's integer scores: a few nodes of a tree, the neighbours of a centroid. How they are chosen is
 * in coarse_choose.h. */
#include <string.h>

#include "base/numbers.h"
#include "math/kernels.h"

enum {
    LANES = IVF_COARSE_LANES,
    ROWS = 24, /* whose scores are held at once */
};

static int64_t slots_of(ivf_tiles tiles)
{
    return (int64_t)(tiles.end - tiles.first) * LANES;
}

size_t ivf_coarse_choose_scratch(int64_t slots)
{
    return ivf_to_size(slots) * 2 * sizeof(int32_t);
}

void ivf_coarse_choose(const int32_t *scores, int64_t slots, int p, int32_t *best, void *scratch)
{
    ivf_kernels_coarse()->choose(scores, slots, p, best, scratch);
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
        const ivf_coarse_rows block = ivf_coarse_rows_from(coarse, rows, from, ROWS);
        top_of_rows(coarse, tiles, &block, p, best + from * p, scratch);
    }
}

void ivf_coarse_scores(const ivf_coarse *coarse, ivf_tiles tiles, const ivf_coarse_rows *rows, int32_t *const *out)
{
    coarse->kernels->scores(coarse, tiles, rows, out);
}
