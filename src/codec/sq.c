/* Scalar quantizer: each dimension of the residual in 8, 6 or 4 bits between the smallest and the largest value that
 * training saw. The codes are those of FAISS's ScalarQuantizer (QT_8bit, QT_6bit, QT_4bit with RS_minmax and argument
 * 0), byte for byte: code = trunc(t * max) with t = (x - min) / span kept within [0, 1], decoded as min + (code + 0.5)
 * / max * span; a dimension without span is always code 0.
 *
 * Scanning never decodes: with step = span / max, |q - decoded|^2 is the sum of (offset - step * code)^2, where the
 * offset q - min - step / 2 is per query; an inner product is a constant plus the sum of (q * step) * code. Memory: 3 d
 * floats; training takes 2 d floats for each TRAIN_BLOCK rows. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "codec/bits.h"
#include "codec/internal.h"
#include "codec/kernels.h"
#include "codec/sq.h"
#include "comm/transfer.h"

enum {
    TABLE_HEAD = 16, /* floats that keep the rest of a table aligned */
    TRAIN_BLOCK = 4096,
    TRAIN_ROWS = 100000, /* FAISS's limit for training a residual scalar quantizer */
};

static const ivf_sq_state *state_of(const ivf_codec *codec)
{
    return codec->state;
}

static int padded(int d)
{
    return ivf_to_int(ivf_round_up(d, IVF_BITS_CHUNK));
}

static float largest_code(const ivf_codec *codec)
{
    return (float)((1 << codec->spec.bits) - 1);
}

static void drop(ivf_codec *codec)
{
    ivf_sq_state *s = codec->state;
    if (s != NULL)
        ivf_free(s->min);
    ivf_free(s);
}

static int make(ivf_codec *codec)
{
    if (codec->spec.bits != 8 && codec->spec.bits != 6 && codec->spec.bits != 4)
        return ivf_fail(MPIVF_BAD_INPUT, "SQ%d: a scalar quantizer has 8, 6 or 4 bits", codec->spec.bits);
    size_t d = (size_t)codec->d;
    ivf_sq_state *s = ivf_new_zero(1, sizeof *s);
    codec->state = s;
    if (s == NULL)
        return MPIVF_FAILED;
    s->min = ivf_new_zero(3 * d, sizeof(float));
    if (s->min == NULL)
        return MPIVF_FAILED;
    s->span = s->min + d;
    s->step = s->span + d;
    return MPIVF_OK;
}

static size_t code_size(const ivf_codec *codec)
{
    return ivf_bits_size(codec->d, codec->spec.bits);
}

static int64_t training_rows(const ivf_codec *codec)
{
    (void)codec;
    return TRAIN_ROWS;
}

typedef struct {
    const float *x; /* [n][d] */
    int64_t n;
    size_t d;
    float *low;  /* [blocks][d] */
    float *high; /* [blocks][d] */
} range_job;

static void widen(float *low, float *high, const float *x, const float *y, size_t d)
{
    for (size_t j = 0; j < d; j++) {
        low[j] = x[j] < low[j] ? x[j] : low[j];
        high[j] = y[j] > high[j] ? y[j] : high[j];
    }
}

static int range_of_block(void *arg, int64_t block, int worker)
{
    (void)worker;
    const range_job *job = arg;
    float *low = job->low + (size_t)block * job->d;
    float *high = job->high + (size_t)block * job->d;
    int64_t first = block * TRAIN_BLOCK;
    int64_t end = ivf_min_i64(job->n, first + TRAIN_BLOCK);
    memcpy(low, job->x + (size_t)first * job->d, job->d * sizeof *low);
    memcpy(high, low, job->d * sizeof *high);
    for (int64_t row = first + 1; row < end; row++) {
        const float *x = job->x + (size_t)row * job->d;
        widen(low, high, x, x, job->d);
    }
    return MPIVF_OK;
}

/* Smallest and largest values of x[n][d], n >= 1, into low[d] and high[d]. */
static int find_range(const float *x, int64_t n, size_t d, float *low, float *high)
{
    int64_t blocks = ivf_ceil_div(n, TRAIN_BLOCK);
    float *ranges = ivf_new(2 * (size_t)blocks * d, sizeof *ranges);
    if (ranges == NULL)
        return MPIVF_FAILED;
    range_job job = {.x = x, .n = n, .d = d, .low = ranges, .high = ranges + (size_t)blocks * d};
    int rc = ivf_team_run_stoppable(blocks, range_of_block, &job);
    for (int64_t block = 1; rc == MPIVF_OK && block < blocks; block++)
        widen(job.low, job.high, job.low + (size_t)block * d, job.high + (size_t)block * d, d);
    if (rc == MPIVF_OK) {
        memcpy(low, job.low, d * sizeof *low);
        memcpy(high, job.high, d * sizeof *high);
    }
    ivf_free(ranges);
    return rc;
}

/* Which of two zeros is the smaller one depends on their order: both count as the positive one. */
static void keep_range(const ivf_sq_state *s, const float *low, const float *high, size_t d)
{
    for (size_t j = 0; j < d; j++) {
        s->min[j] = low[j] + 0.0F;
        s->span[j] = (high[j] + 0.0F) - s->min[j];
    }
}

static int train(ivf_codec *codec, const float *x, int64_t n, const ivf_codec_training *training)
{
    (void)training;
    size_t d = (size_t)codec->d;
    float *range = ivf_new(2 * d, sizeof *range);
    if (range == NULL)
        return MPIVF_FAILED;
    int rc = find_range(x, n, d, range, range + d);
    if (rc == MPIVF_OK)
        keep_range(codec->state, range, range + d, d);
    ivf_free(range);
    return rc;
}

/* Floats as integers of the same order, and back. */
static int64_t rank_of(float value)
{
    int32_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    return bits < 0 ? -(int64_t)(bits & INT32_MAX) : bits;
}

static float value_of(int64_t rank)
{
    float value = 0;
    int32_t bits = (int32_t)(rank < 0 ? -rank : rank);
    memcpy(&value, &bits, sizeof value);
    return rank < 0 ? -value : value;
}

/* This rank's ranges as ranks[2][d] of which the largest over the ranks is wanted: minus the low ends, the high ends.
 * Infinities, for a rank without rows, never win. */
static int rank_range(const float *x, int64_t n, size_t d, float *range, int64_t *ranks)
{
    for (size_t j = 0; j < d; j++) {
        range[j] = INFINITY;
        range[d + j] = -INFINITY;
    }
    int rc = n > 0 ? find_range(x, n, d, range, range + d) : MPIVF_OK;
    for (size_t j = 0; j < d; j++) {
        ranks[j] = -rank_of(range[j]);
        ranks[d + j] = rank_of(range[d + j]);
    }
    return rc;
}

static int train_dealt(const ivf_ctx *ctx, ivf_codec *codec, const float *x, const ivf_share *share,
                       const ivf_codec_training *training)
{
    (void)training;
    size_t d = (size_t)codec->d;
    float *range = ivf_new(2 * d, sizeof *range);
    int64_t *ranks = ivf_new(2 * d, sizeof *ranks);
    int rc = range == NULL || ranks == NULL ? MPIVF_FAILED : MPIVF_OK;
    if (rc == MPIVF_OK)
        rc = rank_range(x, ivf_share_count(share), d, range, ranks);
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK && range != NULL && ranks != NULL) {
        ivf_allmax_i64(ctx, ranks, 2 * (int64_t)d);
        for (size_t j = 0; j < d; j++) {
            range[j] = value_of(-ranks[j]);
            range[d + j] = value_of(ranks[d + j]);
        }
        keep_range(codec->state, range, range + d, d);
    }
    ivf_free(ranks);
    ivf_free(range);
    return rc;
}

static int64_t memory(const ivf_codec_spec *spec, int d)
{
    (void)spec;
    return 12 * (int64_t)d;
}

static int64_t train_memory(const ivf_codec_spec *spec, int d, const ivf_codec_training *training, int64_t total,
                            int holders, int threads)
{
    (void)spec;
    (void)training;
    (void)threads;
    return 8 * (int64_t)d * (ivf_ceil_div(ivf_ceil_div(total, holders), TRAIN_BLOCK) + 4);
}

static int arrays(ivf_codec *codec, ivf_array out[IVF_CODEC_ARRAYS])
{
    const ivf_sq_state *s = codec->state;
    out[0] = (ivf_array){.name = "sq_min", .type = IVF_F32, .rank = 1, .dims = {codec->d}, .data = s->min};
    out[1] = (ivf_array){.name = "sq_span", .type = IVF_F32, .rank = 1, .dims = {codec->d}, .data = s->span};
    return 2;
}

static int ready(ivf_codec *codec)
{
    const ivf_sq_state *s = codec->state;
    for (int j = 0; j < codec->d; j++)
        s->step[j] = s->span[j] / largest_code(codec);
    return MPIVF_OK;
}

/* The products are rounded as FAISS's are: in single precision for 8 bits, in double for 6 and 4. */
static uint8_t code_of(float x, float min, float span, int bits)
{
    if (span == 0)
        return 0;
    float t = (x - min) / span;
    if (t < 0)
        t = 0;
    if (t > 1)
        t = 1;
    if (bits == 8)
        return (uint8_t)(255 * t);
    return (uint8_t)((double)t * ((1 << bits) - 1));
}

static void encode(const ivf_codec *codec, const float *x, int64_t n, uint8_t *codes, void *scratch)
{
    (void)scratch;
    const ivf_sq_state *s = state_of(codec);
    const int bits = codec->spec.bits;
    for (int64_t row = 0; row < n; row++, x += codec->d) {
        for (int at = 0; at < codec->d; at += IVF_BITS_CHUNK) {
            uint8_t values[IVF_BITS_CHUNK];
            int count = codec->d - at < IVF_BITS_CHUNK ? codec->d - at : IVF_BITS_CHUNK;
            for (int j = 0; j < count; j++)
                values[j] = code_of(x[at + j], s->min[at + j], s->span[at + j], bits);
            ivf_bits_pack(values, count, bits, codes);
            codes += ivf_bits_size(count, bits);
        }
    }
}

static void decode(const ivf_codec *codec, const uint8_t *codes, int64_t n, float *x)
{
    const ivf_sq_state *s = state_of(codec);
    const int bits = codec->spec.bits;
    const float largest = largest_code(codec);
    for (int64_t row = 0; row < n; row++, x += codec->d) {
        for (int at = 0; at < codec->d; at += IVF_BITS_CHUNK) {
            uint8_t values[IVF_BITS_CHUNK];
            int count = codec->d - at < IVF_BITS_CHUNK ? codec->d - at : IVF_BITS_CHUNK;
            ivf_bits_unpack(codes, count, bits, values);
            codes += ivf_bits_size(count, bits);
            for (int j = 0; j < count; j++)
                x[at + j] = s->min[at + j] + ((float)values[j] + 0.5F) / largest * s->span[at + j];
        }
    }
}

/* A table: TABLE_HEAD floats of which the first is the constant of an inner product, then offset[padded(d)] and
 * slope[padded(d)], zero beyond d. */
static size_t table_size(const ivf_codec *codec)
{
    return (TABLE_HEAD + 2 * (size_t)padded(codec->d)) * sizeof(float);
}

static void prepare(const ivf_codec *codec, ivf_metric metric, const float *query, void *table)
{
    const ivf_sq_state *s = state_of(codec);
    float *constant = table;
    float *offset = constant + TABLE_HEAD;
    float *slope = offset + padded(codec->d);
    double sum = 0;
    memset(table, 0, table_size(codec));
    for (int j = 0; j < codec->d; j++) {
        float middle = s->min[j] + 0.5F * s->step[j];
        if (metric == IVF_L2) {
            offset[j] = query[j] - middle;
            slope[j] = s->step[j];
        } else {
            sum += (double)query[j] * (double)middle;
            slope[j] = query[j] * s->step[j];
        }
    }
    constant[0] = (float)sum;
}

static void scan(const ivf_codec *codec, ivf_metric metric, const void *table, const uint8_t *codes, int64_t n,
                 float *keys)
{
    const float *constant = table;
    const float *offset = constant + TABLE_HEAD;
    const float *slope = offset + padded(codec->d);
    const int bits = codec->spec.bits;
    if (metric == IVF_L2) {
        ivf_codec_kernels_now()->sum_squares(offset, slope, codec->d, bits, codes, n, keys);
        return;
    }
    ivf_codec_kernels_now()->sum_products(slope, codec->d, bits, codes, n, keys);
    for (int64_t row = 0; row < n; row++)
        keys[row] = -(constant[0] + keys[row]);
}

const ivf_codec_functions ivf_sq_functions = {
    .residual = true,
    .value_limit = INFINITY,
    .make = make,
    .drop = drop,
    .code_size = code_size,
    .table_size = table_size,
    .training_rows = training_rows,
    .train = train,
    .train_dealt = train_dealt,
    .memory = memory,
    .train_memory = train_memory,
    .arrays = arrays,
    .ready = ready,
    .encode = encode,
    .decode = decode,
    .prepare = prepare,
    .scan = scan,
    .block_size = ivf_sq_block_size,
    .block_put = ivf_sq_block_put,
    .block_get = ivf_sq_block_get,
    .spread = ivf_sq_spread,
    .extent = ivf_sq_extent,
    .probe_size = ivf_sq_probe_size,
    .probe = ivf_sq_probe,
    .bounds = ivf_sq_bounds,
};
