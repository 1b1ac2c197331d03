/* What codec.c and the codecs behind it share. */
#ifndef IVF_CODEC_INTERNAL_H
#define IVF_CODEC_INTERNAL_H

#include "codec/codec.h"
#include "codec/scan.h"

/* A codec's functions; those that mirror codec.h keep its contracts. A codec owns `state`, made by `make` and given
 * back by `drop`; a member that is NULL has nothing to do. */
typedef struct {
    bool residual;
    float value_limit;
    int (*make)(ivf_codec *codec);
    void (*drop)(ivf_codec *codec);
    size_t (*code_size)(const ivf_codec *codec);
    size_t (*table_size)(const ivf_codec *codec);
    size_t (*encode_scratch)(const ivf_codec *codec, int64_t n);
    int64_t (*training_rows)(const ivf_codec *codec);
    int (*train)(ivf_codec *codec, const float *x, int64_t n, const ivf_codec_training *training);
    int (*train_dealt)(const ivf_ctx *ctx, ivf_codec *codec, const float *x, const ivf_share *share,
                       const ivf_codec_training *training); /* more than one holder */
    int64_t (*memory)(const ivf_codec_spec *spec, int d);
    int64_t (*train_memory)(const ivf_codec_spec *spec, int d, const ivf_codec_training *training, int64_t total,
                            int holders, int threads);
    int64_t (*scratch_memory)(const ivf_codec_spec *spec, int d, int64_t n);
    int (*arrays)(ivf_codec *codec, ivf_array arrays[IVF_CODEC_ARRAYS]);
    int (*ready)(ivf_codec *codec);
    void (*encode)(const ivf_codec *codec, const float *x, int64_t n, uint8_t *codes, void *scratch);
    void (*decode)(const ivf_codec *codec, const uint8_t *codes, int64_t n, float *x);
    void (*prepare)(const ivf_codec *codec, ivf_metric metric, const float *query, void *table);
    void (*scan)(const ivf_codec *codec, ivf_metric metric, const void *table, const uint8_t *codes, int64_t n,
                 float *keys);

    /* Codes in blocks: codec/scan.h. */
    size_t (*block_size)(const ivf_codec *codec);
    void (*block_put)(const ivf_codec *codec, const uint8_t *code, int64_t slot, uint8_t *blocks);
    void (*block_get)(const ivf_codec *codec, const uint8_t *blocks, int64_t slot, uint8_t *code);
    float (*spread)(const ivf_codec *codec, const uint8_t *code);
    float (*extent)(const ivf_codec *codec);
    size_t (*probe_size)(const ivf_codec *codec); /* behind the head */
    void (*probe)(const ivf_codec *codec, ivf_metric metric, const float *query, ivf_probe *probe, void *payload,
                  void *table);
    void (*bounds)(const ivf_codec *codec, const ivf_scan_job *job);
    size_t (*wide_size)(const ivf_codec *codec); /* NULL: there are no wide blocks */
    void (*widen)(const ivf_codec *codec, const uint8_t *blocks, int64_t count, uint8_t *wide);
    void (*wide_probe)(const ivf_codec *codec, ivf_metric metric, const float *query, ivf_probe *probe, void *payload,
                       void *table); /* probe->norm is there */
    void (*wide_bounds)(const ivf_codec *codec, const ivf_scan_job *job);
    int (*few)(const ivf_codec *codec); /* keys at most for which no table should be made; NULL: none */
    void (*keys_of_few)(const ivf_codec *codec, ivf_metric metric, const float *query, const uint8_t *codes, int64_t n,
                        float *keys);
} ivf_codec_functions;

struct ivf_codec {
    ivf_codec_spec spec;
    int d;
    bool residual; /* as its kind usually is, unless it was set */
    const ivf_codec_functions *functions;
    void *state;
};

extern const ivf_codec_functions ivf_flat_functions;
extern const ivf_codec_functions ivf_flat16_functions;
extern const ivf_codec_functions ivf_sq_functions;
extern const ivf_codec_functions ivf_pq_functions;
extern const ivf_codec_functions ivf_pq_rows_functions;

#endif
