/* Training: the sample becomes the model. */
#ifndef IVF_BUILD_TRAIN_H
#define IVF_BUILD_TRAIN_H

#include "build/state.h"

/* Collective. Rank 0 trains centroids and codec on the sample with all its threads, while the others sleep; then the
 * model is published and broadcast, and the sample given back. */
int ivf_train_model(const ivf_ctx *ctx, ivf_build_state *build);

#endif
