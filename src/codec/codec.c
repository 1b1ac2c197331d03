/* The one interface to all codecs: checks a spec, then hands each call to the codec's own functions. For build (train,
 * encode) and search (prepare, scan). Knows no file: a model stores and sends the named arrays. Training alone is
 * collective, in one form for all codecs where one rank holds the rows, and in the codec's own where several do. */
#include "codec/codec.h"

#include <stdio.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "codec/internal.h"
#include "comm/transfer.h"

enum { D_MAX = 1 << 20 };

static const ivf_codec_functions *const functions_of[] = {
    [IVF_CODEC_FLAT] = &ivf_flat_functions,       [IVF_CODEC_FLAT16] = &ivf_flat16_functions,
    [IVF_CODEC_SQ] = &ivf_sq_functions,           [IVF_CODEC_PQ] = &ivf_pq_functions,
    [IVF_CODEC_PQ_ROWS] = &ivf_pq_rows_functions,
};

int ivf_codec_new(const ivf_codec_spec *spec, int d, ivf_codec **codec)
{
    *codec = NULL;
    if (d < 1 || d > D_MAX)
        return ivf_fail(MPIVF_BAD_INPUT, "codec: rows of %d values; 1 to %d can be coded", d, D_MAX);
    ivf_codec *made = ivf_new_zero(1, sizeof *made);
    if (made == NULL)
        return MPIVF_FAILED;
    *made = (ivf_codec){.spec = *spec, .d = d, .functions = functions_of[spec->kind]};
    made->residual = made->functions->residual;
    int rc = made->functions->make == NULL ? MPIVF_OK : made->functions->make(made);
    if (rc != MPIVF_OK) {
        ivf_codec_free(made);
        return rc;
    }
    *codec = made;
    return MPIVF_OK;
}

void ivf_codec_free(ivf_codec *codec)
{
    if (codec == NULL)
        return;
    if (codec->functions->drop != NULL)
        codec->functions->drop(codec);
    ivf_free(codec);
}

void ivf_codec_name(const ivf_codec_spec *spec, char text[32])
{
    switch (spec->kind) {
    case IVF_CODEC_FLAT:
        (void)snprintf(text, 32, "Flat");
        break;
    case IVF_CODEC_FLAT16:
        (void)snprintf(text, 32, "SQfp16");
        break;
    case IVF_CODEC_SQ:
        (void)snprintf(text, 32, "SQ%d", spec->bits);
        break;
    case IVF_CODEC_PQ:
        (void)snprintf(text, 32, spec->bits == 8 ? "PQ%d" : "PQ%dx%d", spec->m, spec->bits);
        break;
    case IVF_CODEC_PQ_ROWS:
        (void)snprintf(text, 32, "PQ%dx%dfs", spec->m, spec->bits);
        break;
    }
}

bool ivf_codec_is_residual(const ivf_codec *codec)
{
    return codec->residual;
}

bool ivf_codec_is_usually_residual(const ivf_codec *codec)
{
    return codec->functions->residual;
}

void ivf_codec_set_residual(ivf_codec *codec, bool residual)
{
    codec->residual = residual;
}

size_t ivf_codec_code_size(const ivf_codec *codec)
{
    return codec->functions->code_size(codec);
}

float ivf_codec_value_limit(const ivf_codec *codec)
{
    return codec->functions->value_limit;
}

int64_t ivf_codec_training_rows(const ivf_codec *codec)
{
    return codec->functions->training_rows == NULL ? 0 : codec->functions->training_rows(codec);
}

static int refuse_no_rows(const ivf_codec *codec)
{
    char name[32];
    ivf_codec_name(&codec->spec, name);
    return ivf_fail(MPIVF_BAD_INPUT, "%s: no rows to train on", name);
}

int ivf_codec_train_local(ivf_codec *codec, const float *x, int64_t n, const ivf_codec_training *training)
{
    if (codec->functions->train == NULL)
        return MPIVF_OK;
    if (n < 1)
        return refuse_no_rows(codec);
    int rc = codec->functions->train(codec, x, ivf_min_i64(n, ivf_codec_training_rows(codec)), training);
    return rc == MPIVF_OK ? ivf_codec_ready(codec) : rc;
}

/* Rank 0 holds all rows. */
static int train_on_root(const ivf_ctx *ctx, ivf_codec *codec, const float *x, const ivf_share *share,
                         const ivf_codec_training *training)
{
    ivf_array arrays[IVF_CODEC_ARRAYS];
    int rc = ivf_agree(ctx, share->rank == 0 ? codec->functions->train(codec, x, share->total, training) : MPIVF_OK);
    if (rc != MPIVF_OK)
        return rc;
    int count = ivf_codec_arrays(codec, arrays);
    for (int i = 0; i < count; i++)
        ivf_bcast(ctx, arrays[i].data, ivf_array_bytes(&arrays[i]));
    return MPIVF_OK;
}

int ivf_codec_train(const ivf_ctx *ctx, ivf_codec *codec, const float *x, const ivf_share *share,
                    const ivf_codec_training *training)
{
    if (codec->functions->train == NULL)
        return MPIVF_OK;
    if (share->total < 1)
        return ivf_agree(ctx, refuse_no_rows(codec));
    ivf_share used = *share;
    used.total = ivf_min_i64(share->total, ivf_codec_training_rows(codec));
    int rc = used.size == 1 ? train_on_root(ctx, codec, x, &used, training)
                            : codec->functions->train_dealt(ctx, codec, x, &used, training);
    return rc == MPIVF_OK ? ivf_agree(ctx, ivf_codec_ready(codec)) : rc;
}

int ivf_codec_arrays(ivf_codec *codec, ivf_array arrays[IVF_CODEC_ARRAYS])
{
    return codec->functions->arrays == NULL ? 0 : codec->functions->arrays(codec, arrays);
}

int ivf_codec_ready(ivf_codec *codec)
{
    return codec->functions->ready == NULL ? MPIVF_OK : codec->functions->ready(codec);
}

void ivf_codec_encode(const ivf_codec *codec, const float *x, int64_t n, uint8_t *codes, void *scratch)
{
    codec->functions->encode(codec, x, n, codes, scratch);
}

size_t ivf_codec_encode_scratch(const ivf_codec *codec, int64_t n)
{
    return codec->functions->encode_scratch == NULL ? 0 : codec->functions->encode_scratch(codec, n);
}

void ivf_codec_decode(const ivf_codec *codec, const uint8_t *codes, int64_t n, float *x)
{
    codec->functions->decode(codec, codes, n, x);
}

size_t ivf_codec_table_size(const ivf_codec *codec)
{
    return codec->functions->table_size(codec);
}

void ivf_codec_prepare(const ivf_codec *codec, ivf_metric metric, const float *query, void *table)
{
    codec->functions->prepare(codec, metric, query, table);
}

void ivf_codec_scan(const ivf_codec *codec, ivf_metric metric, const void *table, const uint8_t *codes, int64_t n,
                    float *keys)
{
    codec->functions->scan(codec, metric, table, codes, n, keys);
}

int64_t ivf_codec_memory(const ivf_codec_spec *spec, int d)
{
    const ivf_codec_functions *functions = functions_of[spec->kind];
    return functions->memory != NULL ? functions->memory(spec, d) : 0;
}

int64_t ivf_codec_train_memory(const ivf_codec_spec *spec, int d, const ivf_codec_training *training, int64_t total,
                               int holders, int threads)
{
    const ivf_codec_functions *functions = functions_of[spec->kind];
    return functions->train_memory != NULL ? functions->train_memory(spec, d, training, total, holders, threads) : 0;
}

int64_t ivf_codec_scratch_memory(const ivf_codec_spec *spec, int d, int64_t n)
{
    const ivf_codec_functions *functions = functions_of[spec->kind];
    return functions->scratch_memory != NULL ? functions->scratch_memory(spec, d, n) : 0;
}
