/* Training: the sample becomes the model. */
#ifndef IVF_BUILD_TRAIN_H
#define IVF_BUILD_TRAIN_H

#include "build/state.h"
#include "cluster/kmeans.h"

enum { IVF_TRAIN_SUM_BYTES = 32 << 20 }; /* that sums of k-means take, usually */

/* Local. How the lists are trained. */
ivf_kmeans_params ivf_train_params(const ivf_build_config *config, const ivf_plan *plan);

/* Collective. The ranks that hold the sample train centroids and codec on it with all their threads; rank 0, which owns
 * the model, publishes it and broadcasts it, and the sample is given back. The model is the same whoever trains.
 * Memory: the sample, what cluster/kmeans.h and codec/codec.h say, and the residuals of the codec's rows. */
int ivf_train_model(const ivf_ctx *ctx, ivf_build_state *build);

#endif
