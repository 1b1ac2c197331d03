/* What coding and training of the product quantizer share. Private to codec/. */
#ifndef IVF_CODEC_PQ_H
#define IVF_CODEC_PQ_H

#include "codec/internal.h"
#include "math/panels.h"
#include "math/words.h"

typedef struct ivf_pq_wide ivf_pq_wide;

typedef struct {
    int dsub;
    int words;           /* 2^bits */
    float *codebooks;    /* [m][words][dsub] */
    float *transposed;   /* [m][dsub][words] */
    ivf_panels **panels; /* [m]: of the codebooks; NULL until ready */
    ivf_words *integers; /* the codebooks in integers; NULL when sub-vectors are too long, and until ready */
    ivf_pq_wide *wide;   /* pq_wide.c; NULL until ready, and where there is no such form */
    bool *exact;         /* [m]: the sub-vector has no use for integers */
} ivf_pq_state;

/* Coding: what it needs of the codebooks, made anew each time, and given back; and coding itself. */
int ivf_pq_ready_coding(const ivf_codec *codec);
void ivf_pq_drop_coding(const ivf_codec *codec);
size_t ivf_pq_encode_scratch(const ivf_codec *codec, int64_t n);
void ivf_pq_encode(const ivf_codec *codec, const float *x, int64_t n, uint8_t *codes, void *scratch);

/* The codebooks from rows: see ivf_codec_functions. */
int ivf_pq_train(ivf_codec *codec, const float *x, int64_t n, const ivf_codec_training *training);
int ivf_pq_train_dealt(const ivf_ctx *ctx, ivf_codec *codec, const float *x, const ivf_share *share,
                       const ivf_codec_training *training);

/* Behind a table's entries: [m]. */
float *ivf_pq_table_spare(const ivf_codec *codec, void *table);

/* pq_scan.c: see ivf_codec_functions. */
size_t ivf_pq_block_size(const ivf_codec *codec);
void ivf_pq_block_put(const ivf_codec *codec, const uint8_t *code, int64_t slot, uint8_t *blocks);
void ivf_pq_block_get(const ivf_codec *codec, const uint8_t *blocks, int64_t slot, uint8_t *code);
size_t ivf_pq_probe_size(const ivf_codec *codec);
void ivf_pq_probe(const ivf_codec *codec, ivf_metric metric, const float *query, ivf_probe *probe, void *payload,
                  void *table);
void ivf_pq_bounds(const ivf_codec *codec, const ivf_scan_job *job);
int ivf_pq_few(const ivf_codec *codec);
void ivf_pq_keys_of_few(const ivf_codec *codec, ivf_metric metric, const float *query, const uint8_t *codes, int64_t n,
                        float *keys);

/* pq_wide.c. Makes *out of the codebooks, anew; what it takes; and see ivf_codec_functions. */
int ivf_pq_wide_new(const ivf_codec *codec, ivf_pq_wide **out);
void ivf_pq_wide_free(ivf_pq_wide *wide);
int64_t ivf_pq_wide_memory(const ivf_codec_spec *spec, int d);
float ivf_pq_spread(const ivf_codec *codec, const uint8_t *code);
size_t ivf_pq_wide_size(const ivf_codec *codec);
void ivf_pq_widen(const ivf_codec *codec, const uint8_t *blocks, int64_t count, uint8_t *wide);
void ivf_pq_wide_probe(const ivf_codec *codec, ivf_metric metric, const float *query, ivf_probe *probe, void *payload,
                       void *table);
void ivf_pq_wide_bounds(const ivf_codec *codec, const ivf_scan_job *job);

/* Local. See ivf_codec_train_memory and ivf_codec_scratch_memory. */
int64_t ivf_pq_scratch_memory(const ivf_codec_spec *spec, int d, int64_t n);
int64_t ivf_pq_train_memory(const ivf_codec_spec *spec, int d, const ivf_codec_training *training, int64_t total,
                            int holders, int threads);

#endif
