/* Scans of product codes by tables of 8 bits: entry = what the float entry exceeds its table's smallest by, in steps,
 * rounded down, so that the sum of the entries is below that of the floats by m steps at most. Numbers of 5 to 8 bits
 * take a byte in a block, those of 4 bits half a one. Entries for these are what the largest exceeds them by, because
 * the kernel rounds up. The keys of a few codes are summed without a table, from the codewords, in the order of
 * codec/kernels_body.h. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "base/numbers.h"
#include "codec/bits.h"
#include "codec/kernels.h"
#include "codec/pq.h"

enum { BYTE_WORDS = 256, BYTE_LARGEST = 255, NIBBLE_WORDS = 16 };

static const ivf_pq_state *state_of(const ivf_codec *codec)
{
    return codec->state;
}

static bool in_nibbles(const ivf_codec *codec)
{
    return codec->spec.bits == 4;
}

size_t ivf_pq_block_size(const ivf_codec *codec)
{
    return in_nibbles(codec) ? ivf_scan_nibbles_size(codec->spec.m) : (size_t)codec->spec.m * IVF_SCAN_BLOCK;
}

/* The first number of a slot's code, of a byte each. */
static ptrdiff_t first_byte(const ivf_codec *codec, int64_t slot)
{
    return (ptrdiff_t)(slot / IVF_SCAN_BLOCK * codec->spec.m * IVF_SCAN_BLOCK + slot % IVF_SCAN_BLOCK);
}

void ivf_pq_block_put(const ivf_codec *codec, const uint8_t *code, int64_t slot, uint8_t *blocks)
{
    uint8_t numbers[IVF_BITS_CHUNK];
    uint8_t *to = blocks + first_byte(codec, slot);
    if (in_nibbles(codec)) {
        ivf_scan_nibbles_put(code, codec->spec.m, slot, blocks);
        return;
    }
    for (int at = 0; at < codec->spec.m; at += IVF_BITS_CHUNK) {
        int count = codec->spec.m - at < IVF_BITS_CHUNK ? codec->spec.m - at : IVF_BITS_CHUNK;
        ivf_bits_unpack(code, count, codec->spec.bits, numbers);
        code += ivf_bits_size(count, codec->spec.bits);
        for (int j = 0; j < count; j++, to += IVF_SCAN_BLOCK)
            *to = numbers[j];
    }
}

void ivf_pq_block_get(const ivf_codec *codec, const uint8_t *blocks, int64_t slot, uint8_t *code)
{
    uint8_t numbers[IVF_BITS_CHUNK];
    const uint8_t *from = blocks + first_byte(codec, slot);
    if (in_nibbles(codec)) {
        ivf_scan_nibbles_get(blocks, codec->spec.m, slot, code);
        return;
    }
    for (int at = 0; at < codec->spec.m; at += IVF_BITS_CHUNK) {
        int count = codec->spec.m - at < IVF_BITS_CHUNK ? codec->spec.m - at : IVF_BITS_CHUNK;
        for (int j = 0; j < count; j++, from += IVF_SCAN_BLOCK)
            numbers[j] = *from;
        ivf_bits_pack(numbers, count, codec->spec.bits, code);
        code += ivf_bits_size(count, codec->spec.bits);
    }
}

size_t ivf_pq_probe_size(const ivf_codec *codec)
{
    return in_nibbles(codec) ? ivf_scan_nibbles_size(codec->spec.m) : (size_t)codec->spec.m * BYTE_WORDS;
}

/* The sum of the tables' smallest entries (which go to lows[m]), the largest difference within one, and the sum of the
 * largest magnitudes. */
typedef struct {
    double lowest;
    float widest;
    double size;
} extremes;

static extremes find_extremes(const ivf_codec *codec, const float *entries, float *lows)
{
    extremes found = {0};
    const int words = state_of(codec)->words;
    for (int sub = 0; sub < codec->spec.m; sub++, entries += words) {
        float low = 0;
        float high = 0;
        ivf_codec_kernels_now()->range(entries, words, &low, &high);
        lows[sub] = low;
        found.lowest += (double)low;
        found.widest = fmaxf(found.widest, high - low);
        found.size += fmax(fabs((double)low), fabs((double)high));
    }
    return found;
}

/* The largest entry of a table. */
static int largest_of(const ivf_codec *codec)
{
    const int m = codec->spec.m;
    return in_nibbles(codec) ? ivf_scan_nibble_max(m) : (int)ivf_min_i64(BYTE_LARGEST, IVF_SCAN_SUM_MAX / m);
}

/* Entries in steps, where the kernels look for them. */
static void fill(const ivf_codec *codec, const float *entries, const float *lows, float inverse, uint8_t *payload)
{
    const int largest = largest_of(codec);
    const int words = state_of(codec)->words;
    uint8_t steps[BYTE_WORDS] = {0};
    memset(payload, 0, ivf_pq_probe_size(codec));
    for (size_t sub = 0; sub < (size_t)codec->spec.m; sub++, entries += words) {
        ivf_codec_kernels_now()->steps(entries, words, lows[sub], inverse, (float)largest, steps);
        for (ptrdiff_t w = 0; in_nibbles(codec) && w < NIBBLE_WORDS; w++)
            payload[ivf_scan_nibbles_at(sub, 0) + (size_t)w] = (uint8_t)(largest - steps[w]);
        if (!in_nibbles(codec))
            ivf_codec_kernels_now()->interleave(steps, payload + ivf_scan_bytes_at(sub, 0));
    }
}

void ivf_pq_probe(const ivf_codec *codec, ivf_metric metric, const float *query, ivf_probe *probe, void *payload,
                  void *table)
{
    const int m = codec->spec.m;
    const float factor = metric == IVF_L2 ? 2 : 1;
    ivf_codec_prepare(codec, IVF_IP, query, table); /* minus the products */
    float *lows = ivf_pq_table_spare(codec, table);
    extremes found = find_extremes(codec, table, lows);
    if (!((double)factor * found.size < FLT_MAX)) {
        memset(payload, 0, ivf_pq_probe_size(codec));
        probe->constant = -INFINITY;
        return;
    }
    const float largest = (float)largest_of(codec);
    const float step = largest > 0 ? found.widest / largest : 0;
    const float scale = step > FLT_MIN ? factor * step : 0;
    const double turned = in_nibbles(codec) ? (double)scale * (double)largest * m : 0; /* what all entries are from */
    fill(codec, table, lows, step > FLT_MIN ? 1 / step : 0, payload);
    probe->scale = in_nibbles(codec) ? -(float)IVF_SCAN_MEAN_OF * scale : scale;
    probe->constant = (float)((double)factor * found.lowest + turned);
    probe->size = (float)((double)factor * found.size + turned);
}

void ivf_pq_bounds(const ivf_codec *codec, const ivf_scan_job *job)
{
    (in_nibbles(codec) ? ivf_scan_nibbles : ivf_scan_bytes)(job, codec->spec.m);
}

int ivf_pq_few(const ivf_codec *codec)
{
    enum { WORDS_OF_A_KEY = 8 }; /* by a count of operations */
    return state_of(codec)->words / WORDS_OF_A_KEY;
}

static float key_of(const ivf_codec *codec, ivf_metric metric, const float *query, const uint8_t *code)
{
    const ivf_pq_state *s = state_of(codec);
    const ivf_codec_kernels *kernels = ivf_codec_kernels_now();
    const size_t dsub = (size_t)s->dsub;
    const float *books = s->codebooks;
    float sum[4] = {0};
    for (int at = 0; at < codec->spec.m; at += IVF_BITS_CHUNK) {
        uint8_t numbers[IVF_BITS_CHUNK];
        float entries[IVF_BITS_CHUNK];
        int count = codec->spec.m - at < IVF_BITS_CHUNK ? codec->spec.m - at : IVF_BITS_CHUNK;
        ivf_bits_unpack(code, count, codec->spec.bits, numbers);
        code += ivf_bits_size(count, codec->spec.bits);
        (metric == IVF_L2 ? kernels->squares_of : kernels->products_of)(query, books, s->dsub, s->words, numbers, count,
                                                                        entries);
        for (int i = 0; i < count; i++)
            sum[i % 4] += entries[i];
        query += (size_t)count * dsub;
        books += (size_t)count * dsub * (size_t)s->words;
    }
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

void ivf_pq_keys_of_few(const ivf_codec *codec, ivf_metric metric, const float *query, const uint8_t *codes, int64_t n,
                        float *keys)
{
    const size_t size = ivf_codec_code_size(codec);
    for (int64_t i = 0; i < n; i++)
        keys[i] = key_of(codec, metric, query, codes + (size_t)i * size);
}
