/* The rows themselves, in f32 ("Flat") or in half precision ("SQfp16"). Nothing to train and no state; a table is the
 * query. Scanning is math/distance.h on the stored rows, so its keys are those of exact search over the same rows, bit
 * for bit. Codes must be aligned to their values (4 or 2 bytes), as they are in any array of whole codes that ivf_new
 * made. FAISS: IndexIVFFlat, ScalarQuantizer QT_fp16. */
#include <math.h>
#include <string.h>

#include "codec/internal.h"
#include "math/convert.h"
#include "math/distance.h"
#include "math/scan.h"

static size_t values(const ivf_codec *codec, int64_t n)
{
    return (size_t)n * (size_t)codec->d;
}

static size_t table_size(const ivf_codec *codec)
{
    return values(codec, 1) * sizeof(float);
}

static void prepare(const ivf_codec *codec, ivf_metric metric, const float *query, void *table)
{
    (void)metric;
    memcpy(table, query, table_size(codec));
}

static size_t code_size_f32(const ivf_codec *codec)
{
    return values(codec, 1) * sizeof(float);
}

static void encode_f32(const ivf_codec *codec, const float *x, int64_t n, uint8_t *codes, void *scratch)
{
    (void)scratch;
    memcpy(codes, x, values(codec, n) * sizeof(float));
}

static void decode_f32(const ivf_codec *codec, const uint8_t *codes, int64_t n, float *x)
{
    memcpy(x, codes, values(codec, n) * sizeof(float));
}

static void scan_f32(const ivf_codec *codec, ivf_metric metric, const void *table, const uint8_t *codes, int64_t n,
                     float *keys)
{
    ivf_keys_f32(metric, table, (const float *)(const void *)codes, n, codec->d, keys);
}

static size_t code_size_f16(const ivf_codec *codec)
{
    return values(codec, 1) * sizeof(uint16_t);
}

static void encode_f16(const ivf_codec *codec, const float *x, int64_t n, uint8_t *codes, void *scratch)
{
    (void)scratch;
    ivf_f32_to_f16(x, n * codec->d, (uint16_t *)(void *)codes);
}

static void decode_f16(const ivf_codec *codec, const uint8_t *codes, int64_t n, float *x)
{
    ivf_f16_to_f32((const uint16_t *)(const void *)codes, n * codec->d, x);
}

static void scan_f16(const ivf_codec *codec, ivf_metric metric, const void *table, const uint8_t *codes, int64_t n,
                     float *keys)
{
    ivf_keys_f16(metric, table, (const uint16_t *)(const void *)codes, n, codec->d, keys);
}

/* In blocks a row is a column. */
static size_t block_size_f32(const ivf_codec *codec)
{
    return code_size_f32(codec) * IVF_SCAN_BLOCK;
}

static size_t column_of(const ivf_codec *codec, int64_t slot)
{
    return (size_t)(slot / IVF_SCAN_BLOCK) * values(codec, IVF_SCAN_BLOCK) + (size_t)(slot % IVF_SCAN_BLOCK);
}

static void block_put_f32(const ivf_codec *codec, const uint8_t *code, int64_t slot, uint8_t *blocks)
{
    const float *row = (const float *)(const void *)code;
    float *column = (float *)(void *)blocks + column_of(codec, slot);
    for (int64_t j = 0; j < codec->d; j++)
        column[j * IVF_SCAN_BLOCK] = row[j];
}

static void block_get_f32(const ivf_codec *codec, const uint8_t *blocks, int64_t slot, uint8_t *code)
{
    const float *column = (const float *)(const void *)blocks + column_of(codec, slot);
    float *row = (float *)(void *)code;
    for (int64_t j = 0; j < codec->d; j++)
        row[j] = column[j * IVF_SCAN_BLOCK];
}

static size_t block_size_f16(const ivf_codec *codec)
{
    return code_size_f16(codec) * IVF_SCAN_BLOCK;
}

static void block_put_f16(const ivf_codec *codec, const uint8_t *code, int64_t slot, uint8_t *blocks)
{
    const uint16_t *row = (const uint16_t *)(const void *)code;
    uint16_t *column = (uint16_t *)(void *)blocks + column_of(codec, slot);
    for (int64_t j = 0; j < codec->d; j++)
        column[j * IVF_SCAN_BLOCK] = row[j];
}

static void block_get_f16(const ivf_codec *codec, const uint8_t *blocks, int64_t slot, uint8_t *code)
{
    const uint16_t *column = (const uint16_t *)(const void *)blocks + column_of(codec, slot);
    uint16_t *row = (uint16_t *)(void *)code;
    for (int64_t j = 0; j < codec->d; j++)
        row[j] = column[j * IVF_SCAN_BLOCK];
}

static void probe_of(const ivf_codec *codec, ivf_metric metric, const float *query, ivf_probe *probe, void *payload,
                     void *table)
{
    (void)table;
    memcpy(payload, query, table_size(codec));
    probe->scale = metric == IVF_L2 ? -2.0F : -1.0F;
}

static void bounds_f32(const ivf_codec *codec, const ivf_scan_job *job)
{
    ivf_scan_rows(job, codec->d);
}

static void bounds_f16(const ivf_codec *codec, const ivf_scan_job *job)
{
    ivf_scan_halves(job, codec->d);
}

const ivf_codec_functions ivf_flat_functions = {
    .residual = false,
    .value_limit = INFINITY,
    .code_size = code_size_f32,
    .table_size = table_size,
    .encode = encode_f32,
    .decode = decode_f32,
    .prepare = prepare,
    .scan = scan_f32,
    .block_size = block_size_f32,
    .block_put = block_put_f32,
    .block_get = block_get_f32,
    .probe_size = table_size,
    .probe = probe_of,
    .bounds = bounds_f32,
};

const ivf_codec_functions ivf_flat16_functions = {
    .residual = false,
    .value_limit = 65504,
    .code_size = code_size_f16,
    .table_size = table_size,
    .encode = encode_f16,
    .decode = decode_f16,
    .prepare = prepare,
    .scan = scan_f16,
    .block_size = block_size_f16,
    .block_put = block_put_f16,
    .block_get = block_get_f16,
    .probe_size = table_size,
    .probe = probe_of,
    .bounds = bounds_f16,
};
