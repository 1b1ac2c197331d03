/* What coding and scanning in blocks of the scalar quantizer share. Private to codec/. */
#ifndef IVF_CODEC_SQ_H
#define IVF_CODEC_SQ_H

#include "codec/internal.h"

typedef struct {
    float *min;  /* [d] */
    float *span; /* [d] */
    float *step; /* [d]: span / largest code */
} ivf_sq_state;

/* sq_scan.c: see ivf_codec_functions. */
size_t ivf_sq_block_size(const ivf_codec *codec);
void ivf_sq_block_put(const ivf_codec *codec, const uint8_t *code, int64_t slot, uint8_t *blocks);
void ivf_sq_block_get(const ivf_codec *codec, const uint8_t *blocks, int64_t slot, uint8_t *code);
float ivf_sq_spread(const ivf_codec *codec, const uint8_t *code);
float ivf_sq_extent(const ivf_codec *codec);
size_t ivf_sq_probe_size(const ivf_codec *codec);
void ivf_sq_probe(const ivf_codec *codec, ivf_metric metric, const float *query, ivf_probe *probe, void *payload,
                  void *table);
void ivf_sq_bounds(const ivf_codec *codec, const ivf_scan_job *job);

#endif
