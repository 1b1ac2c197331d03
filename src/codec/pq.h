/* What coding and training of the product quantizer share. Private to codec/. */
#ifndef IVF_CODEC_PQ_H
#define IVF_CODEC_PQ_H

#include "codec/internal.h"
#include "math/panels.h"

typedef struct {
    int dsub;
    int words;           /* 2^bits */
    float *codebooks;    /* [m][words][dsub] */
    float *transposed;   /* [m][dsub][words] */
    ivf_panels **panels; /* [m]: of the codebooks; NULL until ready */
} ivf_pq_state;

/* The codebooks from rows: see ivf_codec_functions. */
int ivf_pq_train(ivf_codec *codec, const float *x, int64_t n, const ivf_codec_training *training);
int ivf_pq_train_dealt(const ivf_ctx *ctx, ivf_codec *codec, const float *x, const ivf_share *share,
                       const ivf_codec_training *training);

#endif
