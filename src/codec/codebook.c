/* Codebooks by integer k-means: see codebook.h. Sums of integers do not depend on their order, so neither do results on
 * threads. Order: fit the grid to the bulk of the rows and round them; take `words` distinct rows; then for each
 * iteration assign, sum, move the words. */
#include "codec/codebook.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "base/team.h"
#include "cluster/kmeans.h"
#include "math/words.h"

enum {
    ROW_BLOCK = 4096,    /* rows of a task */
    LOOKED_AT = 1023,    /* rows that the grid is fitted to */
    BULK_PERCENT = 99,   /* of their values, and */
    BULK_REACH = 4,      /* how many times as far from the centre the grid goes */
    MOST_OUTSIDE = 64,   /* one row in so many may be beyond the grid */
    LEAST_PER_WORD = 32, /* rows of a part */
};

static const double FARTHEST = 0x1p40; /* units of the grid: what a row beyond it counts for at most */

typedef struct {
    const ivf_codebook_params *params;
    const float *x; /* [n][dsub] */
    int64_t n;
    size_t dsub;
    size_t width; /* of a rounded row */
    ivf_words *integers;
    float centre[IVF_WORDS_VALUES];
    int16_t *q;       /* [n][width] */
    uint8_t *outside; /* [n] */
    uint8_t *best;    /* [n]: the row's word */
    double *word;     /* [words][width], in units of the grid */
    int workers;
    int64_t *sums;   /* [workers][words][width] */
    int64_t *counts; /* [workers][words] */
    int64_t *moved;  /* [workers]: rows that changed their word */
    int64_t rows;    /* that the iteration takes: the first ones */
} work;

static size_t words_of(const work *w)
{
    return (size_t)w->params->words;
}

static int make(work *w)
{
    const size_t n = (size_t)w->n;
    const size_t values = words_of(w) * w->width;
    w->q = ivf_new(n * w->width, sizeof *w->q);
    w->outside = ivf_new(n, 1);
    w->best = ivf_new_zero(n, 1);
    w->word = ivf_new_zero(values, sizeof *w->word);
    w->sums = ivf_new((size_t)w->workers * values, sizeof *w->sums);
    w->counts = ivf_new((size_t)w->workers * words_of(w), sizeof *w->counts);
    w->moved = ivf_new((size_t)w->workers, sizeof *w->moved);
    return w->q == NULL || w->outside == NULL || w->best == NULL || w->word == NULL || w->sums == NULL ||
                   w->counts == NULL || w->moved == NULL
               ? MPIVF_FAILED
               : MPIVF_OK;
}

static void drop(work *w)
{
    ivf_words_free(w->integers);
    ivf_free(w->q);
    ivf_free(w->outside);
    ivf_free(w->best);
    ivf_free(w->word);
    ivf_free(w->sums);
    ivf_free(w->counts);
    ivf_free(w->moved);
}

static int by_value(const void *a, const void *b)
{
    const float x = *(const float *)a;
    const float y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The medians of the first rows' values; how far from them the grid must go. 0 when those values are all the same. */
static float fit_range(work *w)
{
    const int64_t rows = ivf_min_i64(w->n, LOOKED_AT);
    float *value = ivf_new((size_t)rows * w->dsub, sizeof *value);
    if (value == NULL)
        return NAN;
    for (size_t j = 0; j < w->dsub; j++) {
        for (int64_t i = 0; i < rows; i++)
            value[i] = w->x[(size_t)i * w->dsub + j];
        qsort(value, (size_t)rows, sizeof *value, by_value);
        w->centre[j] = value[rows / 2];
    }
    for (size_t i = 0; i < (size_t)rows * w->dsub; i++)
        value[i] = fabsf(w->x[i] - w->centre[i % w->dsub]);
    qsort(value, (size_t)rows * w->dsub, sizeof *value, by_value);
    const float bulk = (float)BULK_REACH * value[(size_t)rows * w->dsub * BULK_PERCENT / 100];
    float largest = 0;
    for (size_t row = 0; row < (size_t)w->n; row++) {
        for (size_t j = 0; j < w->dsub; j++) {
            const float from = fabsf(w->x[row * w->dsub + j] - w->centre[j]);
            largest = from > largest ? from : largest;
        }
    }
    ivf_free(value);
    return bulk > 0 && bulk < largest ? bulk : largest;
}

/* Whether integers suit the rows, which are rounded then. */
static int round_rows(work *w, bool *suited)
{
    const float range = fit_range(w);
    *suited = false;
    if (isnan(range))
        return MPIVF_FAILED;
    w->integers = ivf_words_new(1, (int)w->dsub, w->params->words);
    if (w->integers == NULL)
        return MPIVF_FAILED;
    w->width = ivf_words_width(w->integers);
    if (!ivf_words_set_grid(w->integers, 0, w->centre, range))
        return MPIVF_OK;
    int rc = make(w);
    if (rc == MPIVF_OK)
        *suited = ivf_words_round(w->integers, w->x, w->n, w->q, w->outside) <= w->n / MOST_OUTSIDE;
    return rc;
}

/* A value of a row in units of the grid, wherever it lies. */
static double unit_value(const work *w, int64_t row, size_t j)
{
    const double from = (double)w->x[(size_t)row * w->dsub + j] - (double)w->centre[j];
    return fmax(-FARTHEST, fmin(FARTHEST, nearbyint(from * (double)ivf_words_scale(w->integers, 0))));
}

static void place_word(const work *w, size_t word, int64_t row)
{
    for (size_t j = 0; j < w->dsub; j++)
        w->word[word * w->width + j] = unit_value(w, row, j);
}

/* Distinct rows inside the grid, in the order of a seeded permutation; false when there are too few. */
static bool seed_words(work *w)
{
    enum { SLOTS = 1024 };
    int64_t taken[SLOTS];
    const size_t bytes = w->width * sizeof *w->q;
    const ivf_permutation order = ivf_permutation_make((uint64_t)w->n, w->params->seed, IVF_RNG_PQ);
    size_t count = 0;
    for (size_t i = 0; i < SLOTS; i++)
        taken[i] = -1;
    for (int64_t i = 0; i < w->n && count < words_of(w); i++) {
        const int64_t row = (int64_t)ivf_permutation_at(&order, (uint64_t)i);
        const int16_t *q = w->q + (size_t)row * w->width;
        size_t slot = ivf_hash64(q, bytes) % SLOTS;
        while (taken[slot] >= 0 && memcmp(q, w->q + (size_t)taken[slot] * w->width, bytes) != 0)
            slot = (slot + 1) % SLOTS;
        if (taken[slot] >= 0 || w->outside[row])
            continue;
        taken[slot] = row;
        place_word(w, count++, row);
    }
    return count == words_of(w);
}

static void warm_words(const work *w, const float *words)
{
    const double scale = (double)ivf_words_scale(w->integers, 0);
    for (size_t i = 0; i < words_of(w); i++)
        for (size_t j = 0; j < w->dsub; j++)
            w->word[i * w->width + j] = ((double)words[i * w->dsub + j] - (double)w->centre[j]) * scale;
}

/* The nearest word of a row beyond the grid. */
static uint8_t nearest_of_far(const work *w, int64_t row)
{
    double least = INFINITY;
    size_t nearest = 0;
    for (size_t i = 0; i < words_of(w); i++) {
        double squares = 0;
        for (size_t j = 0; j < w->dsub; j++) {
            const double from = unit_value(w, row, j) - w->word[i * w->width + j];
            squares += from * from;
        }
        if (squares < least) {
            least = squares;
            nearest = i;
        }
    }
    return (uint8_t)nearest;
}

static void add_far(const work *w, int64_t row, uint8_t best, int64_t *sums, int64_t *counts)
{
    counts[best]++;
    for (size_t j = 0; j < w->dsub; j++)
        sums[best * w->width + j] += (int64_t)unit_value(w, row, j);
}

/* Rows between those beyond the grid are summed together. */
static void add_rows(const work *w, int64_t first, int64_t end, int64_t *sums, int64_t *counts)
{
    while (first < end) {
        const uint8_t *far = memchr(w->outside + first, 1, (size_t)(end - first));
        const int64_t stop = far == NULL ? end : far - w->outside;
        ivf_words_add(w->integers, w->q + (size_t)first * w->width, w->best + first, stop - first, sums, counts);
        if (far != NULL)
            add_far(w, stop, w->best[stop], sums, counts);
        first = stop + 1;
    }
}

static int assign_block(void *arg, int64_t block, int worker)
{
    work *w = arg;
    uint8_t found[ROW_BLOCK];
    const int64_t first = block * ROW_BLOCK;
    const int64_t end = ivf_min_i64(w->rows, first + ROW_BLOCK);
    const size_t cells = (size_t)worker * words_of(w);
    ivf_words_best(w->integers, 0, w->q + (size_t)first * w->width, end - first, found, 1);
    int64_t moved = 0;
    for (int64_t row = first; row < end; row++) {
        if (w->outside[row])
            found[row - first] = nearest_of_far(w, row);
        moved += found[row - first] != w->best[row];
    }
    w->moved[worker] += moved;
    memcpy(w->best + first, found, (size_t)(end - first));
    add_rows(w, first, end, w->sums + cells * w->width, w->counts + cells);
    return MPIVF_OK;
}

/* best, and the sums and counts of all workers in those of the first. */
static int assign(work *w, bool *moved)
{
    const size_t cells = words_of(w);
    memset(w->sums, 0, (size_t)w->workers * cells * w->width * sizeof *w->sums);
    memset(w->counts, 0, (size_t)w->workers * cells * sizeof *w->counts);
    memset(w->moved, 0, (size_t)w->workers * sizeof *w->moved);
    ivf_words_set(w->integers, 0, w->word);
    int rc = ivf_team_run_stoppable(ivf_ceil_div(w->rows, ROW_BLOCK), assign_block, w);
    for (size_t worker = 1; worker < (size_t)w->workers; worker++) {
        for (size_t i = 0; i < cells * w->width; i++)
            w->sums[i] += w->sums[worker * cells * w->width + i];
        for (size_t i = 0; i < cells; i++)
            w->counts[i] += w->counts[worker * cells + i];
        w->moved[0] += w->moved[worker];
    }
    *moved = w->moved[0] > 0;
    return rc;
}

/* An empty word takes the row in the middle of the largest cell: as good as a random one, rows being in random order.
 */
static void refill(work *w, size_t word)
{
    size_t largest = 0;
    for (size_t i = 1; i < words_of(w); i++)
        if (w->counts[i] > w->counts[largest])
            largest = i;
    int64_t left = w->counts[largest] / 2;
    for (int64_t row = 0; row < w->rows; row++)
        if (w->best[row] == largest && left-- == 0)
            place_word(w, word, row);
    w->counts[word] = w->counts[largest] / 2;
    w->counts[largest] -= w->counts[word];
}

static void move_words(work *w)
{
    for (size_t i = 0; i < words_of(w); i++)
        for (size_t j = 0; j < w->dsub && w->counts[i] > 0; j++)
            w->word[i * w->width + j] = (double)w->sums[i * w->width + j] / (double)w->counts[i];
    for (size_t i = 0; i < words_of(w); i++)
        if (w->counts[i] == 0)
            refill(w, i);
}

static int iterate(work *w, int64_t rows, int iterations)
{
    bool moved = true;
    int rc = MPIVF_OK;
    w->rows = rows;
    for (int i = 0; i < iterations && moved && rc == MPIVF_OK; i++) {
        rc = assign(w, &moved);
        if (rc == MPIVF_OK)
            move_words(w);
    }
    return rc;
}

/* The means of the rows' own values, summed in the order of the rows. Words without rows stay where they are. */
static void finish(const work *w, float *words)
{
    const double scale = (double)ivf_words_scale(w->integers, 0);
    double *sum = w->word;
    for (size_t i = 0; i < words_of(w); i++)
        for (size_t j = 0; j < w->dsub; j++)
            words[i * w->dsub + j] = (float)(sum[i * w->width + j] / scale + (double)w->centre[j]);
    memset(sum, 0, words_of(w) * w->width * sizeof *sum);
    memset(w->counts, 0, words_of(w) * sizeof *w->counts);
    for (int64_t row = 0; row < w->n; row++) {
        w->counts[w->best[row]]++;
        for (size_t j = 0; j < w->dsub; j++)
            sum[w->best[row] * w->width + j] += (double)w->x[(size_t)row * w->dsub + j];
    }
    for (size_t i = 0; i < words_of(w); i++)
        for (size_t j = 0; j < w->dsub && w->counts[i] > 0; j++)
            words[i * w->dsub + j] = (float)(sum[i * w->width + j] / (double)w->counts[i]) + 0.0F;
}

/* Of 25 iterations 8 take an eighth of the rows, 10 a half and 7 all. */
static int run(work *w, float *words)
{
    enum { PARTS = 2 };
    static const int part[PARTS] = {8, 2}, share[PARTS] = {32, 40}; /* one row in so many; of 100 iterations */
    int left = w->params->iterations;
    int rc = MPIVF_OK;
    for (int i = 0; i < PARTS && !w->params->warm && rc == MPIVF_OK; i++) {
        const int64_t rows = w->n / part[i];
        const bool enough = rows >= (int64_t)LEAST_PER_WORD * w->params->words;
        const int iterations = enough ? w->params->iterations * share[i] / 100 : 0;
        rc = iterate(w, rows, iterations);
        left -= iterations;
    }
    if (rc == MPIVF_OK)
        rc = iterate(w, w->n, left);
    if (rc == MPIVF_OK)
        finish(w, words);
    return rc;
}

static ivf_kmeans_params exact_params(const ivf_codebook_params *params)
{
    return (ivf_kmeans_params){
        .k = params->words,
        .d = params->dsub,
        .metric = IVF_L2,
        .mode = IVF_KMEANS_EXACT,
        .iterations = params->iterations,
        .seed = params->seed,
        .stream = IVF_RNG_PQ,
        .spare = true,
    };
}

static int train_exactly(const ivf_codebook_params *params, const float *x, int64_t n, float *words)
{
    const ivf_kmeans_params kmeans = exact_params(params);
    ivf_kmeans_report *report = ivf_new(1, sizeof *report);
    if (report == NULL)
        return MPIVF_FAILED;
    int rc = ivf_kmeans(&kmeans, x, n, words, report);
    ivf_free(report);
    return rc;
}

int ivf_codebook_train(const ivf_codebook_params *params, const float *x, int64_t n, float *words)
{
    if (params->iterations < 1 || params->iterations > IVF_KMEANS_ITERATIONS)
        return ivf_fail(MPIVF_USAGE, "codebook: %d iterations; 1 to %d are possible", params->iterations,
                        IVF_KMEANS_ITERATIONS);
    if (params->exact || params->dsub > IVF_WORDS_VALUES || n < params->words)
        return train_exactly(params, x, n, words);
    bool suited = false;
    work w = {.params = params,
              .x = x,
              .n = n,
              .dsub = (size_t)params->dsub,
              .workers = params->in_task ? 1 : ivf_team_size()};
    int rc = round_rows(&w, &suited);
    if (suited && params->warm)
        warm_words(&w, words);
    else if (suited)
        suited = seed_words(&w);
    if (rc == MPIVF_OK)
        rc = suited ? run(&w, words) : train_exactly(params, x, n, words);
    drop(&w);
    return rc;
}

/* Rows that turn out not to suit integers are trained on exactly while their integers are still held. */
int64_t ivf_codebook_memory(const ivf_codebook_params *params, int64_t n, int threads)
{
    const ivf_kmeans_params kmeans = exact_params(params);
    const int64_t exactly = ivf_kmeans_memory(&kmeans, n, 1, threads) + (int64_t)sizeof(ivf_kmeans_report);
    if (params->exact || params->dsub > IVF_WORDS_VALUES || n < params->words)
        return exactly;
    const int64_t width = ivf_round_up(params->dsub, 2);
    const int64_t values = params->words * width;
    return n * (2 * width + 2) + 10 * values + threads * (8 * values + 8 * (int64_t)params->words + 8) + exactly;
}
