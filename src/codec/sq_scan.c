/* Scans of scalar codes in integers. With number[j] of a code and the values min + (number + 0.5) step,
 *
 *   -2 <q, r> = constant + sum of w[j] number[j],   w[j] = -2 q[j] step[j]
 *
 * and w is rounded to scale * weight, weights of 8 bits. What that leaves, the sum of e[j] number[j] with e = w - scale
 * * weight, is (largest / 2) * sum of e[j], which is added to the constant, and the product of e with the number's
 * distances from the middle, largest / 2: at most |e| (the slope) times their norm, which is the code's spread (Cauchy
 * and Schwarz). For inner products 1 takes the place of 2. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/numbers.h"
#include "codec/bits.h"
#include "codec/sq.h"

static const ivf_sq_state *state_of(const ivf_codec *codec)
{
    return codec->state;
}

static float largest_code(const ivf_codec *codec)
{
    return (float)((1 << codec->spec.bits) - 1);
}

size_t ivf_sq_block_size(const ivf_codec *codec)
{
    return ivf_scan_numbers_size(codec->d, codec->spec.bits);
}

/* Where a chunk of a code begins. Chunks of a code are whole groups of numbers in a block, too: IVF_BITS_CHUNK is a
 * multiple of 16. */
static size_t chunk_of(const ivf_codec *codec, int64_t slot, int at)
{
    size_t block = (size_t)(slot / IVF_SCAN_BLOCK) * ivf_sq_block_size(codec);
    return block + ivf_scan_numbers_size(at, codec->spec.bits);
}

void ivf_sq_block_put(const ivf_codec *codec, const uint8_t *code, int64_t slot, uint8_t *blocks)
{
    uint8_t numbers[IVF_BITS_CHUNK];
    for (int at = 0; at < codec->d; at += IVF_BITS_CHUNK) {
        int count = codec->d - at < IVF_BITS_CHUNK ? codec->d - at : IVF_BITS_CHUNK;
        ivf_bits_unpack(code, count, codec->spec.bits, numbers);
        code += ivf_bits_size(count, codec->spec.bits);
        ivf_scan_numbers_put(numbers, count, codec->spec.bits, slot % IVF_SCAN_BLOCK,
                             blocks + chunk_of(codec, slot, at));
    }
}

void ivf_sq_block_get(const ivf_codec *codec, const uint8_t *blocks, int64_t slot, uint8_t *code)
{
    uint8_t numbers[IVF_BITS_CHUNK];
    for (int at = 0; at < codec->d; at += IVF_BITS_CHUNK) {
        int count = codec->d - at < IVF_BITS_CHUNK ? codec->d - at : IVF_BITS_CHUNK;
        ivf_scan_numbers_get(blocks + chunk_of(codec, slot, at), count, codec->spec.bits, slot % IVF_SCAN_BLOCK,
                             numbers);
        ivf_bits_pack(numbers, count, codec->spec.bits, code);
        code += ivf_bits_size(count, codec->spec.bits);
    }
}

/* The squares are whole quarters, and exact. */
float ivf_sq_spread(const ivf_codec *codec, const uint8_t *code)
{
    const int largest = (1 << codec->spec.bits) - 1;
    uint8_t numbers[IVF_BITS_CHUNK];
    int64_t quarters = 0;
    for (int at = 0; at < codec->d; at += IVF_BITS_CHUNK) {
        int count = codec->d - at < IVF_BITS_CHUNK ? codec->d - at : IVF_BITS_CHUNK;
        ivf_bits_unpack(code, count, codec->spec.bits, numbers);
        code += ivf_bits_size(count, codec->spec.bits);
        for (int j = 0; j < count; j++)
            quarters += (int64_t)(2 * numbers[j] - largest) * (2 * numbers[j] - largest);
    }
    return (float)(sqrt((double)quarters / 4) * (1 + 1e-6));
}

float ivf_sq_extent(const ivf_codec *codec)
{
    const ivf_sq_state *s = state_of(codec);
    double sum = 0;
    for (int j = 0; j < codec->d; j++) {
        double most = fabs((double)s->min[j]) + 2 * (double)s->span[j];
        sum += most * most;
    }
    return (float)sqrt(sum);
}

/* The largest weight with which no sum of products leaves 32 bits. */
static float largest_weight(const ivf_codec *codec)
{
    const int64_t numbers = ((int64_t)1 << codec->spec.bits) - 1;
    return (float)ivf_min_i64(ivf_scan_weight_max(), INT32_MAX / (numbers * codec->d));
}

size_t ivf_sq_probe_size(const ivf_codec *codec)
{
    return ivf_to_size(ivf_round_up(codec->d, IVF_SCAN_GROUP));
}

/* w[d], the sum of their magnitudes, and the constant without rounding; returns the largest magnitude. */
static float products_with_steps(const ivf_codec *codec, float factor, const float *query, float *w, double *constant,
                                 double *size)
{
    const ivf_sq_state *s = state_of(codec);
    float most = 0;
    *constant = 0;
    *size = 0;
    for (int j = 0; j < codec->d; j++) {
        float q = factor * query[j];
        float middle = s->min[j] + 0.5F * s->step[j];
        w[j] = q * s->step[j];
        *constant += (double)q * (double)middle;
        *size += fabs((double)q) * fabs((double)middle) + fabs((double)w[j]) * (double)largest_code(codec);
        most = fmaxf(most, fabsf(w[j]));
    }
    return most;
}

void ivf_sq_probe(const ivf_codec *codec, ivf_metric metric, const float *query, ivf_probe *probe, void *payload,
                  void *table)
{
    int8_t *weight = payload;
    float *w = table;
    double constant = 0;
    double size = 0;
    double rest = 0;
    double squares = 0;
    float most = products_with_steps(codec, metric == IVF_L2 ? -2.0F : -1.0F, query, w, &constant, &size);
    memset(weight, 0, ivf_sq_probe_size(codec));
    if (!(size < FLT_MAX)) {
        probe->constant = -INFINITY;
        return;
    }
    float scale = most / largest_weight(codec);
    float inverse = scale > FLT_MIN ? 1 / scale : 0;
    for (int j = 0; j < codec->d; j++) {
        float rounded = rintf(w[j] * inverse);
        double left = (double)w[j] - (double)scale * (double)rounded;
        weight[j] = (int8_t)rounded;
        rest += left;
        squares += left * left;
    }
    probe->scale = scale;
    probe->constant = (float)(constant + rest * (double)largest_code(codec) / 2);
    probe->slope = (float)(sqrt(squares) * (1 + 1e-6));
    probe->size = (float)size;
}

void ivf_sq_bounds(const ivf_codec *codec, const ivf_scan_job *job)
{
    ivf_scan_numbers(job, codec->d, codec->spec.bits);
}
