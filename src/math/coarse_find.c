/* Searches among packed centroids: what the lanes of the kernels have found comes together, and is checked in f32.
 *
 * Rounding moves each coordinate by up to half a step, in effect at random, so that the difference of two scores of a
 * row is off by a sum of d small independent errors: of standard deviation sqrt(2 / 12) |q - mean| from the centroids,
 * and of at most as much again from the row (nothing where rows are integers). MARGIN * |q - mean| is 2.2 to 3 of them.
 */
#include <math.h>

#include "base/numbers.h"
#include "math/kernels.h"

enum {
    QUAD = 4,
    LANES = IVF_COARSE_LANES,
    CHAINS = IVF_COARSE_CHAINS,
    BLOCK = 120, /* rows whose lanes are on the stack */
};

static const float MARGIN = 1.25F;

void ivf_coarse_start(ivf_coarse_found *found, int64_t n)
{
    for (int64_t row = 0; row < n; row++) {
        for (int lane = 0; lane < LANES; lane++) {
            found[row].score[lane] = INT32_MIN;
            found[row].tile[lane] = 0;
        }
    }
}

void ivf_coarse_scan(const ivf_coarse *coarse, ivf_tiles tiles, const ivf_coarse_rows *rows, ivf_coarse_found *found)
{
    coarse->kernels->scan(coarse, tiles, rows, rows->list, found);
}

static int32_t number_at(const ivf_coarse *coarse, const ivf_coarse_found *found, int lane)
{
    return coarse->number[(ptrdiff_t)found->tile[lane] * LANES + lane];
}

/* By how much the integer scores of a row may be wrong. */
static int32_t margin_of(const ivf_coarse *coarse, const int8_t *q)
{
    return 1 + (int32_t)(MARGIN * sqrtf((float)coarse->kernels->distance(q, coarse->source->mean, coarse->quads)));
}

/* Pairs of a row and a centroid whose score in f32 is wanted; worked on several at a time, because each is one long
 * chain of additions. */
typedef struct {
    const ivf_coarse *source;
    int32_t *best; /* -1: none so far */
    float *score;
    int count;
    int64_t row[CHAINS];
    int32_t number[CHAINS];
    const float *x[CHAINS];
    const float *c[CHAINS];
    float chain[CHAINS];
} pairs;

static void settle(pairs *p)
{
    if (p->count == 0)
        return;
    p->source->kernels->rescore(p->x, p->c, p->count, p->source->d, p->chain);
    for (int i = 0; i < p->count; i++) {
        int32_t *best = p->best + p->row[i];
        float *score = p->score + p->row[i];
        if (*best >= 0 && !(p->chain[i] > *score || (p->chain[i] == *score && p->number[i] < *best)))
            continue;
        *best = p->number[i];
        *score = p->chain[i];
    }
    p->count = 0;
}

static void add_pair(pairs *p, int64_t row, const float *x, int32_t number)
{
    int at = p->count++;
    p->row[at] = row;
    p->number[at] = number;
    p->x[at] = x;
    p->c[at] = p->source->c + (int64_t)number * p->source->d;
    p->chain[at] = p->source->f32_bias[number];
    if (p->count == CHAINS)
        settle(p);
}

/* At most BLOCK rows. */
static int64_t finish_block(const ivf_coarse *coarse, const float *x, const int8_t *q, const ivf_coarse_found *found,
                            int64_t n, int32_t *best, float *score)
{
    float unwanted[BLOCK];
    pairs p = {.source = coarse->source};
    p.best = best;
    p.score = score != NULL ? score : unwanted;
    int64_t taken = 0;
    for (int64_t row = 0; row < n; row++) {
        const ivf_coarse_found *f = found + row;
        uint32_t lanes = coarse->kernels->near(f->score, margin_of(coarse, q + row * coarse->quads * QUAD));
        best[row] = -1;
        if (score == NULL && lanes != 0 && (lanes & (lanes - 1)) == 0) {
            best[row] = number_at(coarse, f, __builtin_ctz(lanes));
            continue;
        }
        for (; lanes != 0; lanes &= lanes - 1, taken++)
            add_pair(&p, row, x + row * coarse->d, number_at(coarse, f, __builtin_ctz(lanes)));
    }
    settle(&p);
    return taken;
}

int64_t ivf_coarse_finish(const ivf_coarse *coarse, const float *x, const int8_t *q, const ivf_coarse_found *found,
                          int64_t n, int32_t *best, float *score)
{
    int64_t taken = 0;
    for (int64_t row = 0; row < n; row += BLOCK)
        taken += finish_block(coarse, x + row * coarse->d, q + row * coarse->quads * QUAD, found + row,
                              ivf_min_i64(BLOCK, n - row), best + row, score != NULL ? score + row : NULL);
    return taken;
}

void ivf_coarse_exact(const ivf_coarse *coarse, const float *x, int32_t first, int32_t end, int32_t *best, float *score)
{
    pairs p = {.source = coarse->source};
    p.best = best;
    p.score = score;
    for (int32_t number = first; number < end; number++)
        add_pair(&p, 0, x, number);
    settle(&p);
}

ivf_coarse_rows ivf_coarse_rows_from(const ivf_coarse *coarse, const ivf_coarse_rows *rows, int64_t from, int64_t most)
{
    ivf_coarse_rows block = *rows;
    block.n = ivf_min_i64(most, rows->n - from);
    if (rows->list == NULL)
        block.q += from * coarse->quads * QUAD;
    else
        block.list += from;
    return block;
}

int64_t ivf_coarse_best(const ivf_coarse *coarse, const float *x, const int8_t *q, int64_t n, int32_t *best,
                        float *score)
{
    _Alignas(64) ivf_coarse_found found[BLOCK];
    ivf_coarse_rows rows = {.q = q, .list = NULL, .n = n};
    int64_t taken = 0;
    for (int64_t from = 0; from < n; from += BLOCK) {
        ivf_coarse_rows block = ivf_coarse_rows_from(coarse, &rows, from, BLOCK);
        ivf_coarse_start(found, block.n);
        ivf_coarse_scan(coarse, ivf_coarse_all(coarse), &block, found);
        taken += ivf_coarse_finish(coarse, x + from * coarse->d, block.q, found, block.n, best + from,
                                   score != NULL ? score + from : NULL);
    }
    return taken;
}

static int32_t best_of_lanes(const ivf_coarse *coarse, const ivf_coarse_found *found)
{
    int32_t best = -1;
    for (uint32_t lanes = coarse->kernels->near(found->score, 0); lanes != 0; lanes &= lanes - 1) {
        int32_t number = number_at(coarse, found, __builtin_ctz(lanes));
        best = best < 0 || number < best ? number : best;
    }
    return best;
}

void ivf_coarse_nearest(const ivf_coarse *coarse, ivf_tiles tiles, const ivf_coarse_rows *rows, int32_t *best)
{
    _Alignas(64) ivf_coarse_found found[BLOCK];
    for (int64_t from = 0; from < rows->n; from += BLOCK) {
        ivf_coarse_rows block = ivf_coarse_rows_from(coarse, rows, from, BLOCK);
        ivf_coarse_start(found, block.n);
        coarse->kernels->scan(coarse, tiles, &block, NULL, found);
        for (int64_t i = 0; i < block.n; i++)
            best[from + i] = best_of_lanes(coarse, found + i);
    }
}
