/* Scans of scalar codes in integers: codec/weights.h. */
#include <math.h>

#include "base/numbers.h"
#include "codec/bits.h"
#include "codec/sq.h"
#include "codec/weights.h"

static const ivf_sq_state *state_of(const ivf_codec *codec)
{
    return codec->state;
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

size_t ivf_sq_probe_size(const ivf_codec *codec)
{
    return ivf_to_size(ivf_round_up(codec->d, IVF_SCAN_GROUP));
}

void ivf_sq_probe(const ivf_codec *codec, ivf_metric metric, const float *query, ivf_probe *probe, void *payload,
                  void *table)
{
    const ivf_sq_state *s = state_of(codec);
    const ivf_codec_grid grid = {
        .min = s->min, .step = s->step, .shift = 0.5F, .d = codec->d, .bits = codec->spec.bits};
    ivf_codec_weigh(&grid, metric, query, probe, payload, table);
}

void ivf_sq_bounds(const ivf_codec *codec, const ivf_scan_job *job)
{
    ivf_scan_numbers(job, codec->d, codec->spec.bits);
}
