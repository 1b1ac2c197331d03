/* The p best of many scores, for a few rows at a time: centroids ranked for queries.
 *
 * The scores are cut into 2 p groups; the p-th largest of the groups' best is a bound that at least p scores reach and
 * that, in no particular order, few others do. Both passes over the scores are loops that compilers vectorise; those
 * that reach the bound are sorted by a radix sort. Time is O(k + p) whatever the scores are, unless many are equal. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/numbers.h"
#include "math/kernels.h"
#include "math/panels.h"

enum {
    SCORES = 1 << 21, /* held at once, unless one register tile of rows has more */
    MAX_ROWS = 84,
    LINE = 32, /* scores that loops take at a time: enough for compilers to vectorise them rather than unroll */
    DIGIT_BITS = 8,
    DIGITS = 1 << DIGIT_BITS,
    RANK_BITS = 64,
    SCORE_SHIFT = 32, /* where the score begins in a rank */
};

/* One number for (score, c) that is smaller for the better: descending scores, then ascending c. Both zeros are one
 * score, and NaN counts as -INFINITY. */
static uint64_t rank_of(float score, int64_t c)
{
    float plain = score > -INFINITY ? score + 0.0F : -INFINITY;
    uint32_t bits = 0;
    memcpy(&bits, &plain, sizeof bits);
    uint32_t descending = (bits & 0x80000000) != 0 ? bits : ~bits & 0x7fffffff;
    return (uint64_t)descending << SCORE_SHIFT | (uint32_t)c;
}

static void insertion_sort(uint64_t *ranks, int64_t n)
{
    for (int64_t i = 1; i < n; i++) {
        uint64_t rank = ranks[i];
        int64_t hole = i;
        for (; hole > 0 && ranks[hole - 1] > rank; hole--)
            ranks[hole] = ranks[hole - 1];
        ranks[hole] = rank;
    }
}

/* One stable pass of the radix sort; false, and nothing moved, when all digits are the same. */
static bool sort_by_digit(const uint64_t *from, int64_t n, int shift, uint64_t *to)
{
    uint32_t start[DIGITS] = {0};
    for (int64_t i = 0; i < n; i++)
        start[from[i] >> shift & (DIGITS - 1)]++;
    if (start[from[0] >> shift & (DIGITS - 1)] == n)
        return false;
    uint32_t before = 0;
    for (int digit = 0; digit < DIGITS; digit++) {
        uint32_t count = start[digit];
        start[digit] = before;
        before += count;
    }
    for (int64_t i = 0; i < n; i++)
        to[start[from[i] >> shift & (DIGITS - 1)]++] = from[i];
    return true;
}

/* Sorts ranks whose numbers ascend already, so that only the scores' digits are left to do. */
static void sort_ranks(uint64_t *ranks, int64_t n, uint64_t *spare)
{
    enum { FEW = 48 };
    if (n <= FEW) {
        insertion_sort(ranks, n);
        return;
    }
    uint64_t *from = ranks;
    uint64_t *to = spare;
    for (int shift = SCORE_SHIFT; shift < RANK_BITS; shift += DIGIT_BITS) {
        if (!sort_by_digit(from, n, shift, to))
            continue;
        uint64_t *swap = from;
        from = to;
        to = swap;
    }
    if (from != ranks)
        memcpy(ranks, from, (size_t)n * sizeof *ranks);
}

/* The best of scores g, g + groups, g + 2 groups, ... for LINE neighbours g at once. */
static void best_of_groups(const float *scores, int64_t k, int64_t groups, float best[LINE])
{
    float top[LINE];
    for (int i = 0; i < LINE; i++)
        top[i] = -INFINITY;
    for (int64_t from = 0; from + groups <= k; from += groups) {
        for (int i = 0; i < LINE; i++)
            top[i] = scores[from + i] > top[i] ? scores[from + i] : top[i];
    }
    memcpy(best, top, sizeof top);
}

/* A score that at least p of scores[k] reach. Uses ranks[k] and spare[k]. */
static float bound_of(const float *scores, int64_t k, int p, uint64_t *ranks, uint64_t *spare)
{
    int64_t groups = ivf_round_up(2 * (int64_t)p, LINE);
    if (groups > k / 4)
        return -INFINITY;
    float *best = (float *)spare;
    for (int64_t g = 0; g < groups; g += LINE)
        best_of_groups(scores + g, k - g, groups, best + g);
    for (int64_t g = 0; g < groups; g++)
        ranks[g] = rank_of(best[g], g);
    sort_ranks(ranks, groups, spare + groups);
    return best[(uint32_t)ranks[p - 1]];
}

static bool any_reaches(const float *scores, int n, float bound)
{
    int reached = 0;
    for (int i = 0; i < n; i++)
        reached |= !(scores[i] < bound);
    return reached != 0;
}

/* Ranks of the scores that are not below the bound, NaN among them; returns how many. */
static int64_t collect(const float *scores, int64_t k, float bound, uint64_t *ranks)
{
    int64_t count = 0;
    for (int64_t from = 0; from < k; from += LINE) {
        int64_t end = ivf_min_i64(from + LINE, k);
        if (end - from == LINE && !any_reaches(scores + from, LINE, bound))
            continue;
        for (int64_t c = from; c < end; c++) {
            if (!(scores[c] < bound))
                ranks[count++] = rank_of(scores[c], c);
        }
    }
    return count;
}

static void choose(const float *scores, int64_t k, int p, uint64_t *ranks, uint64_t *spare, int32_t *best, float *score)
{
    float bound = bound_of(scores, k, p, ranks, spare);
    int64_t count = collect(scores, k, bound, ranks);
    sort_ranks(ranks, count, spare);
    for (int i = 0; i < p; i++) {
        best[i] = (int32_t)(uint32_t)ranks[i];
        score[i] = scores[best[i]];
    }
}

/* Rows whose scores are held at once: a multiple of the kernel's tile. */
static int64_t rows_at_once(int64_t k, int tile)
{
    int64_t rows = ivf_min_i64(SCORES / k, MAX_ROWS);
    return ivf_max_i64(rows / tile * tile, tile);
}

static size_t scratch_for(int64_t k, int tile)
{
    size_t scores = (size_t)rows_at_once(k, tile) * sizeof(float);
    return (size_t)k * (2 * sizeof(uint64_t) + scores);
}

size_t ivf_panels_top_memory(int64_t k)
{
    return scratch_for(k, ivf_kernels_panels()->rows);
}

size_t ivf_panels_top_scratch(const ivf_panels *panels)
{
    return scratch_for(panels->k, panels->kernels->rows);
}

void ivf_panels_top(const ivf_panels *panels, const float *x, int64_t n, int p, int32_t *best, float *score,
                    void *scratch)
{
    int64_t k = panels->k;
    int64_t most = rows_at_once(k, panels->kernels->rows);
    uint64_t *ranks = scratch;
    uint64_t *spare = ranks + k;
    float *scores = (float *)(spare + k);
    for (int64_t row = 0; row < n; row += most) {
        int64_t rows = ivf_min_i64(most, n - row);
        ivf_panels_scores(panels, x + row * panels->d, rows, scores);
        for (int64_t i = 0; i < rows; i++)
            choose(scores + i * k, k, p, ranks, spare, best + (row + i) * p, score + (row + i) * p);
    }
}
