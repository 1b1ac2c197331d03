/* Queries against codes that are numbers on a grid, for the integer products of math/scan.h. With the values min +
 * (number + shift) step,
 *
 *   -factor <q, r> = constant + sum of w[j] number[j],   w[j] = -factor q[j] step[j]
 *
 * and w is rounded to scale * weight, weights of 8 bits. What that leaves, the sum of e[j] number[j] with e = w - scale
 * * weight, is (largest / 2) * sum of e[j], which is added to the constant, and the product of e with the number's
 * distances from the middle, largest / 2: at most |e| (the slope) times their norm, which is the code's spread (Cauchy
 * and Schwarz). factor is 2 for L2 and 1 for inner products. Private to codec/. */
#ifndef IVF_CODEC_WEIGHTS_H
#define IVF_CODEC_WEIGHTS_H

#include "codec/internal.h"

typedef struct {
    const float *min;  /* [d] */
    const float *step; /* [d] */
    float shift;
    int d;
    int bits;
} ivf_codec_grid;

/* Local. Weights of query[d] into weight[d rounded up to IVF_SCAN_GROUP] and the probe's figures but its norm; scratch
 * [d]. Products that overflow give a constant of -INFINITY. */
void ivf_codec_weigh(const ivf_codec_grid *grid, ivf_metric metric, const float *query, ivf_probe *probe,
                     int8_t *weight, float *scratch);

#endif
