/* Codes in blocks, for search: hands each call to the codec's own functions (flat.c, sq_scan.c, pq_scan.c). */
#include "codec/scan.h"

#include <math.h>
#include <string.h>

#include "base/numbers.h"
#include "codec/internal.h"
#include "math/distance.h"

_Static_assert(sizeof(ivf_probe) <= IVF_PROBE_HEAD, "a probe's head");

size_t ivf_codec_block_size(const ivf_codec *codec)
{
    return codec->functions->block_size(codec);
}

void ivf_codec_blocks_put(const ivf_codec *codec, const uint8_t *codes, int64_t n, int64_t first, uint8_t *blocks)
{
    const size_t size = ivf_codec_code_size(codec);
    for (int64_t i = 0; i < n; i++)
        codec->functions->block_put(codec, codes + (size_t)i * size, first + i, blocks);
}

void ivf_codec_blocks_get(const ivf_codec *codec, const uint8_t *blocks, int64_t slot, uint8_t *code)
{
    codec->functions->block_get(codec, blocks, slot, code);
}

float ivf_codec_spread(const ivf_codec *codec, const uint8_t *code)
{
    return codec->functions->spread == NULL ? 0 : codec->functions->spread(codec, code);
}

float ivf_codec_extent(const ivf_codec *codec)
{
    return codec->functions->extent == NULL ? 0 : codec->functions->extent(codec);
}

size_t ivf_codec_wide_size(const ivf_codec *codec)
{
    return codec->functions->wide_size == NULL ? 0 : codec->functions->wide_size(codec);
}

/* Bytes of a probe but for its part for wide blocks, which follows. */
static size_t narrow_size(const ivf_codec *codec)
{
    return ivf_to_size(ivf_round_up(ivf_to_i64(IVF_PROBE_HEAD + codec->functions->probe_size(codec)), 64));
}

size_t ivf_codec_probe_size(const ivf_codec *codec)
{
    const size_t wide =
        ivf_codec_wide_size(codec) == 0 ? 0 : (size_t)IVF_PROBE_HEAD + ivf_to_size(ivf_round_up(codec->d, 64));
    return narrow_size(codec) + wide;
}

void ivf_codec_probe(const ivf_codec *codec, ivf_metric metric, const float *query, void *probe, void *table)
{
    ivf_probe *head = probe;
    *head = (ivf_probe){.norm = sqrtf(ivf_dot(query, query, codec->d))};
    codec->functions->probe(codec, metric, query, head, (char *)probe + IVF_PROBE_HEAD, table);
    if (ivf_codec_wide_size(codec) == 0)
        return;
    char *wide = (char *)probe + narrow_size(codec);
    *(ivf_probe *)(void *)wide = (ivf_probe){.norm = head->norm};
    codec->functions->wide_probe(codec, metric, query, (void *)wide, wide + IVF_PROBE_HEAD, table);
}

void ivf_codec_widen(const ivf_codec *codec, const uint8_t *blocks, int64_t count, uint8_t *wide)
{
    codec->functions->widen(codec, blocks, count, wide);
}

const void *ivf_codec_wide_probe(const ivf_codec *codec, const void *probe)
{
    return (const char *)probe + narrow_size(codec);
}

void ivf_codec_wide_bounds(const ivf_codec *codec, const ivf_scan_job *job)
{
    codec->functions->wide_bounds(codec, job);
}

void ivf_codec_bounds(const ivf_codec *codec, const ivf_scan_job *job)
{
    codec->functions->bounds(codec, job);
}

void ivf_codec_keys(const ivf_codec *codec, ivf_metric metric, const float *query, const uint8_t *codes, int64_t n,
                    float *keys, void *table, bool *prepared)
{
    if (codec->functions->few != NULL && !*prepared && n <= codec->functions->few(codec)) {
        codec->functions->keys_of_few(codec, metric, query, codes, n, keys);
        return;
    }
    if (!*prepared)
        ivf_codec_prepare(codec, metric, query, table);
    *prepared = true;
    ivf_codec_scan(codec, metric, table, codes, n, keys);
}
