/* Training of a rotation: see opq.h. Rows stay on their ranks: what travels are sums of a size that does not depend on
 * their number. Rank 0 decomposes, and every rank gets its result, so that different CPUs agree. */
#include "codec/opq.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/rng.h"
#include "base/team.h"
#include "codec/opq_work.h"
#include "comm/transfer.h"
#include "math/distance.h"
#include "math/lapack.h"

enum {
    LEAST_ROWS = 1024,   /* that iterations make sense for; all of them are in the first block, which rank 0 holds */
    PART = 4,            /* early iterations take one row in so many */
    LEAST_PER_WORD = 64, /* if that leaves so many for each codeword */
    FIRST_PASSES = 4,    /* of k-means before the rotation turns */
    VALUE_BITS = 40,     /* of the largest value, and product of two, that can come */
};

static const double LARGEST_NORM = 1e17; /* squares of it, a block of them, fit single precision */
static const double NUDGE = 0x1p-7;      /* how far the halves of a divided codeword are moved, in its own size */
static const double SETTLED = 1e-4;      /* a smaller share of the error gained by an iteration ends its stage */

static int check(const ivf_opq_params *params, const ivf_share *share)
{
    if (params->m < 1 || params->d < 1 || params->d_out < 1 || params->d_out % params->m != 0)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "OPQ%d_%d: rotated rows of %d values cannot be cut into %d equal parts; use a multiple of %d",
                        params->m, params->d_out, params->d_out, params->m, params->m);
    if (params->d > IVF_OPQ_VALUES || params->d_out > IVF_OPQ_VALUES)
        return ivf_fail(MPIVF_BAD_INPUT, "OPQ%d_%d: rows of %d values; a rotation takes and gives %d at most",
                        params->m, params->d_out, params->d, IVF_OPQ_VALUES);
    if (params->iterations < 0 || params->iterations > IVF_OPQ_ITERATIONS)
        return ivf_fail(MPIVF_USAGE, "OPQ%d: %d iterations; 0 to %d are possible", params->m, params->iterations,
                        IVF_OPQ_ITERATIONS);
    if (share->total < 1)
        return ivf_fail(MPIVF_BAD_INPUT, "OPQ%d: no rows to train on", params->m);
    return MPIVF_OK;
}

static int make_codec(ivf_opq_work *w)
{
    const ivf_codec_spec spec = {.kind = IVF_CODEC_PQ, .m = w->params->m, .bits = 8};
    ivf_array arrays[IVF_CODEC_ARRAYS];
    int rc = ivf_codec_new(&spec, w->params->d_out, &w->codec);
    if (rc != MPIVF_OK)
        return rc;
    (void)ivf_codec_arrays(w->codec, arrays);
    w->books = arrays[0].data;
    rc = ivf_codec_ready(w->codec);
    w->scratch_bytes = ivf_codec_encode_scratch(w->codec, IVF_OPQ_BLOCK);
    return rc;
}

static int make(ivf_opq_work *w)
{
    const size_t workers = (size_t)w->workers;
    const size_t wider = w->d > w->d_out ? w->d : w->d_out;
    const size_t cells = (w->d_out + w->m) * IVF_OPQ_WORDS + 1;
    int rc = make_codec(w);
    if (rc != MPIVF_OK)
        return rc;
    w->sums_length = w->d * (wider + 1) > cells ? w->d * (wider + 1) : cells;
    w->codes = ivf_new(ivf_to_size(ivf_share_count(&w->share)), w->m);
    w->rotated = ivf_new(workers * IVF_OPQ_BLOCK * wider, sizeof *w->rotated);
    w->product = ivf_new(workers * w->d * wider, sizeof *w->product);
    w->scratch = ivf_new(workers, w->scratch_bytes);
    w->sums = ivf_new(workers * w->sums_length, sizeof *w->sums);
    return w->codes == NULL || w->rotated == NULL || w->product == NULL || w->scratch == NULL || w->sums == NULL
               ? MPIVF_FAILED
               : MPIVF_OK;
}

static void drop(ivf_opq_work *w)
{
    ivf_codec_free(w->codec);
    ivf_free(w->other);
    ivf_free(w->codes);
    ivf_free(w->rotated);
    ivf_free(w->product);
    ivf_free(w->scratch);
    ivf_free(w->sums);
}

/* Collective. The units from the largest norm of a row. */
static int choose_units(ivf_opq_work *w)
{
    int64_t bits = 0;
    float largest = 0;
    for (int64_t row = 0; row < ivf_share_count(&w->share); row++) {
        const float *x = w->x + (size_t)row * w->d;
        largest = fmaxf(largest, ivf_dot(x, x, w->params->d));
    }
    const double mine = (double)largest;
    memcpy(&bits, &mine, sizeof bits);
    ivf_allmax_i64(w->ctx, &bits, 1); /* doubles that are not negative are in the order of their bits */
    double squared = 0;
    memcpy(&squared, &bits, sizeof squared);
    if (!(squared <= LARGEST_NORM * LARGEST_NORM))
        return ivf_fail(MPIVF_BAD_INPUT, "OPQ%d: a row's norm is %g; at most %g can be rotated", w->params->m,
                        sqrt(squared), LARGEST_NORM);
    squared = fmax(squared, (double)FLT_MIN);
    /* Values of all rows are added up in 64 bits; a block's product is below 2^51 before (ivf_opq_fixed). */
    const double room = ldexp(1, VALUE_BITS);
    w->value_unit = room / sqrt(squared);
    w->product_unit = room / squared;
    return MPIVF_OK;
}

/* Collective. What rank 0 has computed reaches every rank, unless that failed. */
static int spread(const ivf_opq_work *w, int rc, float *values, size_t count)
{
    rc = ivf_agree(w->ctx, rc);
    if (rc == MPIVF_OK)
        ivf_bcast(w->ctx, values, count * sizeof *values);
    return rc;
}

static int start(ivf_opq_work *w, const ivf_opq_report *report)
{
    int rc = ivf_opq_sum_squares(w, w->share.total);
    if (rc != MPIVF_OK)
        return rc;
    rc = ivf_ctx_is_root(w->ctx) ? ivf_opq_start(w, w->share.total) : MPIVF_OK;
    return spread(w, ivf_opq_keep(w, report, rc), w->rotation, w->d * w->d_out);
}

/* Collective. The first codewords: rotated rows of the first block, in the order of a seeded permutation. */
static int seed_words(ivf_opq_work *w)
{
    if (ivf_ctx_is_root(w->ctx)) {
        const ivf_permutation order = ivf_permutation_make(LEAST_ROWS, w->params->seed, IVF_RNG_OPQ);
        for (size_t word = 0; word < IVF_OPQ_WORDS; word++) {
            const float *x = w->x + (size_t)ivf_permutation_at(&order, word) * w->d;
            for (size_t j = 0; j < w->d_out; j++)
                w->books[(j / w->dsub * IVF_OPQ_WORDS + word) * w->dsub + j % w->dsub] =
                    ivf_dot(w->rotation + j * w->d, x, w->params->d);
        }
    }
    int rc = spread(w, MPIVF_OK, w->books, w->d_out * IVF_OPQ_WORDS);
    return rc == MPIVF_OK ? ivf_agree(w->ctx, ivf_codec_ready(w->codec)) : rc;
}

/* Words without rows take half of the largest cell, as in FAISS: both copies of its word, moved apart. */
static void divide_cells(float *book, size_t dsub, int64_t *counts)
{
    for (size_t word = 0; word < IVF_OPQ_WORDS; word++) {
        if (counts[word] > 0)
            continue;
        size_t largest = 0;
        for (size_t i = 1; i < IVF_OPQ_WORDS; i++)
            largest = counts[i] > counts[largest] ? i : largest;
        for (size_t j = 0; j < dsub; j++) {
            const double value = (double)book[largest * dsub + j];
            const double move = j % 2 == 0 ? value * NUDGE : -value * NUDGE;
            book[word * dsub + j] = (float)(value + move);
            book[largest * dsub + j] = (float)(value - move);
        }
        counts[word] = counts[largest] / 2;
        counts[largest] -= counts[word];
    }
}

/* Codewords from the sums of their cells. Returns the mean squared error of a row: what is left of its norm. */
static double move_words(ivf_opq_work *w, int64_t rows)
{
    int64_t *counts = w->sums + w->d_out * IVF_OPQ_WORDS;
    double kept = 0;
    const double squares = (double)counts[w->m * IVF_OPQ_WORDS] / w->product_unit;
    for (size_t cell = 0; cell < w->m * IVF_OPQ_WORDS; cell++) {
        for (size_t j = 0; j < w->dsub && counts[cell] > 0; j++) {
            const double mean = (double)w->sums[cell * w->dsub + j] / w->value_unit / (double)counts[cell];
            w->books[cell * w->dsub + j] = (float)mean;
            kept += (double)counts[cell] * mean * mean;
        }
    }
    for (size_t sub = 0; sub < w->m; sub++)
        divide_cells(w->books + sub * IVF_OPQ_WORDS * w->dsub, w->dsub, counts + sub * IVF_OPQ_WORDS);
    return fmax(0, squares - kept) / (double)rows;
}

/* Collective. One pass of k-means over the first `prefix` rows; what it returns is yet to be agreed on. */
static int move(ivf_opq_work *w, int64_t prefix, double *error)
{
    int rc = ivf_opq_sum_cells(w, prefix);
    if (rc != MPIVF_OK)
        return rc;
    *error = move_words(w, prefix);
    return ivf_codec_ready(w->codec);
}

/* The best rotation for the codes that the rows have: rank 0's part. */
static int turn_root(const ivf_opq_work *w)
{
    const size_t values = w->d * w->d_out;
    double *product = ivf_new(2 * values, sizeof *product);
    if (product == NULL)
        return MPIVF_FAILED;
    double *turned = product + values;
    for (size_t i = 0; i < values; i++)
        product[i] = (double)w->sums[i] / w->product_unit;
    int rc = ivf_procrustes(w->params->d, w->params->d_out, product, turned);
    for (size_t i = 0; i < values && rc == MPIVF_OK; i++)
        w->rotation[i] = (float)turned[i];
    ivf_free(product);
    return rc;
}

/* Collective. The end of an iteration. */
static int turn(ivf_opq_work *w, int64_t prefix, const ivf_opq_report *report)
{
    int rc = ivf_opq_sum_decoded(w, prefix);
    if (rc != MPIVF_OK)
        return rc;
    rc = ivf_ctx_is_root(w->ctx) ? turn_root(w) : MPIVF_OK;
    return spread(w, ivf_opq_keep(w, report, rc), w->rotation, w->d * w->d_out);
}

static void enter(ivf_opq_work *w, ivf_opq_stage stage)
{
    w->at = (ivf_opq_progress){.stage = stage, .before = INFINITY};
}

/* Collective. Iterations on the first `prefix` rows. */
static int run_stage(ivf_opq_work *w, int64_t prefix, int iterations, ivf_opq_report *report)
{
    ivf_opq_progress *at = &w->at;
    while (at->passes < iterations && !at->settled) {
        int rc = ivf_agree(w->ctx, move(w, prefix, &report->error));
        if (rc != MPIVF_OK)
            return rc;
        at->settled = at->before - report->error < SETTLED * at->before;
        at->before = report->error;
        at->passes++;
        report->iterations++;
        rc = turn(w, prefix, report);
        if (rc != MPIVF_OK)
            return rc;
    }
    return MPIVF_OK;
}

/* Collective. k-means from new codewords, with the rotation as it is. */
static int first_passes(ivf_opq_work *w, int64_t prefix, const ivf_opq_report *report, double *error)
{
    int rc = w->at.passes == 0 ? seed_words(w) : MPIVF_OK;
    while (w->at.passes < FIRST_PASSES && rc == MPIVF_OK) {
        rc = move(w, prefix, error);
        w->at.passes++;
        rc = ivf_agree(w->ctx, ivf_opq_keep(w, report, rc));
    }
    return rc;
}

/* Exchanges values with others. */
static void swap(float *a, float *b, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const float other = a[i];
        a[i] = b[i];
        b[i] = other;
    }
}

/* Collective. Puts aside the start that was tried, for one with the rows as they are. */
static int put_aside(ivf_opq_work *w)
{
    const size_t turned = w->d * w->d;
    int rc = ivf_agree(w->ctx, ivf_opq_make_other(w));
    if (rc != MPIVF_OK)
        return rc;
    memset(w->other, 0, turned * sizeof *w->other);
    for (size_t i = 0; i < w->d; i++)
        w->other[i * w->d + i] = 1;
    swap(w->other, w->rotation, turned);
    memcpy(w->other + turned, w->books, w->d * IVF_OPQ_WORDS * sizeof *w->other);
    enter(w, IVF_OPQ_PLAIN);
    return MPIVF_OK;
}

/* Collective. Rows as they are may be the better start: neighbouring dimensions of some data (SIFT) belong together. */
static int choose_start(ivf_opq_work *w, int64_t prefix, ivf_opq_report *report)
{
    int rc = MPIVF_OK;
    if (w->at.stage == IVF_OPQ_PRINCIPAL) {
        rc = first_passes(w, prefix, report, &report->start);
        if (rc == MPIVF_OK && w->d == w->d_out)
            rc = put_aside(w);
    }
    if (rc == MPIVF_OK && w->at.stage == IVF_OPQ_PLAIN) {
        rc = first_passes(w, prefix, report, &w->at.plain);
        if (rc == MPIVF_OK && report->start <= w->at.plain) {
            swap(w->other, w->rotation, w->d * w->d);
            swap(w->other + w->d * w->d, w->books, w->d * IVF_OPQ_WORDS);
            rc = ivf_agree(w->ctx, ivf_codec_ready(w->codec));
        }
        report->start = fmin(report->start, w->at.plain);
        ivf_free(w->other);
        w->other = NULL;
    }
    enter(w, IVF_OPQ_PART);
    return rc;
}

static int iterate(ivf_opq_work *w, ivf_opq_report *report)
{
    const int64_t all = w->share.total;
    const bool early = !w->params->exact && all / PART >= (int64_t)LEAST_PER_WORD * IVF_OPQ_WORDS;
    const int64_t first = early ? all / PART : all;
    const int first_iterations = early ? w->params->iterations * 2 / 3 : 0;
    int rc = MPIVF_OK;
    if (w->at.stage <= IVF_OPQ_PLAIN)
        rc = choose_start(w, first, report);
    if (rc == MPIVF_OK && w->at.stage == IVF_OPQ_PART) {
        rc = run_stage(w, first, first_iterations, report);
        enter(w, IVF_OPQ_ALL);
    }
    return rc == MPIVF_OK ? run_stage(w, all, w->params->iterations - first_iterations, report) : rc;
}

/* Collective. From what was kept, or from the start. */
static int run(ivf_opq_work *w, ivf_opq_report *report)
{
    bool recalled = false;
    enter(w, IVF_OPQ_PRINCIPAL);
    int rc = ivf_opq_recall(w, report, &recalled);
    if (rc != MPIVF_OK || w->at.stage == IVF_OPQ_DONE)
        return rc;
    if (!recalled)
        rc = start(w, report);
    if (rc == MPIVF_OK && w->share.total >= LEAST_ROWS)
        rc = iterate(w, report);
    if (rc != MPIVF_OK || w->params->keeper == NULL)
        return rc;
    enter(w, IVF_OPQ_DONE);
    return ivf_agree(w->ctx, ivf_opq_keep(w, report, rc));
}

int ivf_opq_train(const ivf_ctx *ctx, const ivf_opq_params *params, const float *x, const ivf_share *share,
                  float *rotation, ivf_opq_report *report)
{
    *report = (ivf_opq_report){0};
    int rc = ivf_agree(ctx, check(params, share));
    if (rc != MPIVF_OK)
        return rc;
    ivf_opq_work w = {
        .ctx = ctx,
        .params = params,
        .x = x,
        .share = *share,
        .d = (size_t)params->d,
        .d_out = (size_t)params->d_out,
        .m = (size_t)params->m,
        .dsub = (size_t)(params->d_out / params->m),
        .workers = ivf_team_size(),
    };
    w.rotation = rotation;
    w.share.total = ivf_min_i64(share->total, IVF_OPQ_ROWS);
    rc = ivf_agree(ctx, make(&w));
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, choose_units(&w));
    if (rc == MPIVF_OK)
        rc = run(&w, report);
    drop(&w);
    return rc;
}

int64_t ivf_opq_memory(const ivf_opq_params *params, int64_t total, int holders, int threads)
{
    const ivf_share share = {.total = ivf_min_i64(total, IVF_OPQ_ROWS), .rank = 0, .size = holders};
    const int64_t d = params->d;
    const int64_t d_out = params->d_out;
    const int64_t wider = ivf_max_i64(d, d_out);
    const ivf_codec_spec spec = {.kind = IVF_CODEC_PQ, .m = params->m, .bits = 8};
    const int64_t cells = (d_out + params->m) * IVF_OPQ_WORDS + 1;
    const int64_t books = d_out * IVF_OPQ_WORDS * 4;
    const int64_t codec = ivf_codec_memory(&spec, params->d_out);
    const int64_t coding = ivf_codec_scratch_memory(&spec, params->d_out, IVF_OPQ_BLOCK);
    const int64_t worker = IVF_OPQ_BLOCK * wider * 4 + d * wider * 4 + coding + 8 * ivf_max_i64(d * (wider + 1), cells);
    const int64_t turning = 16 * d * d_out + ivf_procrustes_memory(params->d, params->d_out);
    const int64_t starting = 8 * d * d + ivf_eigenvectors_memory(params->d);
    return codec + ivf_share_count(&share) * params->m + threads * worker + ivf_max_i64(turning, starting) +
           (d == d_out ? 4 * d * d + books : 0);
}
