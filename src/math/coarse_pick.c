/* Nearly the p best of many centroids: the lanes of a scan are buckets that keep the best of what they see for nothing,
 * so that few scores are left to choose from. */
#include <string.h>

#include "base/numbers.h"
#include "math/kernels.h"

enum {
    LANES = IVF_COARSE_LANES,
    BLOCK = 120, /* rows at once */
    WORTH = 4,   /* tiles in a share from which scanning it costs less than keeping its scores */
};

/* What is left to choose from: the winners of the lanes of each share of the tiles. */
typedef struct {
    int32_t shares;
    int64_t slots;  /* of a row: LANES of each share */
    int32_t *score; /* [BLOCK][slots] */
    int32_t *tile;  /* where each stood */
} winners;

/* 0: there are too few tiles. */
static int32_t shares_of(ivf_tiles tiles, int p)
{
    return (int64_t)p * WORTH <= tiles.end - tiles.first ? p : 0;
}

int64_t ivf_coarse_picked_among(ivf_tiles tiles, int p)
{
    const int32_t shares = shares_of(tiles, p);
    return (int64_t)LANES * (shares > 0 ? shares : tiles.end - tiles.first);
}

size_t ivf_coarse_pick_scratch(ivf_tiles tiles, int p)
{
    const int64_t slots = (int64_t)shares_of(tiles, p) * LANES;
    if (slots == 0)
        return ivf_coarse_top_scratch(tiles);
    return 2 * (size_t)BLOCK * ivf_to_size(slots) * sizeof(int32_t) + ivf_coarse_choose_scratch(slots);
}

static ivf_tiles share_of(ivf_tiles tiles, int32_t share, int32_t shares)
{
    const int64_t count = tiles.end - tiles.first;
    return (ivf_tiles){tiles.first + (int32_t)(count * share / shares),
                       tiles.first + (int32_t)(count * (share + 1) / shares)};
}

/* The p best of a row's winners. */
static void choose(const ivf_coarse *coarse, const winners *w, int64_t row, int p, int32_t *chosen)
{
    const int32_t *tile = w->tile + row * w->slots;
    ivf_coarse_choose(w->score + row * w->slots, w->slots, p, chosen, w->tile + BLOCK * w->slots);
    for (int j = 0; j < p && chosen[j] >= 0; j++)
        chosen[j] = coarse->number[(ptrdiff_t)tile[chosen[j]] * LANES + chosen[j] % LANES];
}

static void find_winners(const ivf_coarse *coarse, ivf_tiles tiles, const ivf_coarse_rows *rows, const winners *w)
{
    _Alignas(64) ivf_coarse_found found[BLOCK];
    for (int32_t share = 0; share < w->shares; share++) {
        ivf_coarse_start(found, rows->n);
        coarse->kernels->scan(coarse, share_of(tiles, share, w->shares), rows, NULL, found);
        for (int64_t i = 0; i < rows->n; i++) {
            int64_t at = i * w->slots + (int64_t)share * LANES;
            memcpy(w->score + at, found[i].score, sizeof found[i].score);
            memcpy(w->tile + at, found[i].tile, sizeof found[i].tile);
        }
    }
}

void ivf_coarse_pick(const ivf_coarse *coarse, ivf_tiles tiles, const ivf_coarse_rows *rows, int p, int32_t *best,
                     void *scratch)
{
    if (shares_of(tiles, p) == 0) {
        ivf_coarse_top(coarse, tiles, rows, p, best, scratch);
        return;
    }
    winners w = {.shares = shares_of(tiles, p), .score = scratch};
    w.slots = (int64_t)w.shares * LANES;
    w.tile = w.score + BLOCK * w.slots;
    for (int64_t from = 0; from < rows->n; from += BLOCK) {
        const ivf_coarse_rows block = ivf_coarse_rows_from(coarse, rows, from, BLOCK);
        find_winners(coarse, tiles, &block, &w);
        for (int64_t i = 0; i < block.n; i++)
            choose(coarse, &w, i, p, best + (from + i) * p);
    }
}
