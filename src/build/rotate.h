/* The rotation of rows before lists and codec see them (OPQ). */
#ifndef IVF_BUILD_ROTATE_H
#define IVF_BUILD_ROTATE_H

#include "build/state.h"

/* Collective. Without OPQ in the factory string: nothing. Else trains the model's rotation on the sample (codec/opq.h),
 * and replaces this rank's rows of the sample by their rotated form, [rows][d_rotated]. Memory: that of codec/opq.h,
 * then the sample twice. */
int ivf_rotate_train(const ivf_ctx *ctx, ivf_build_state *build);

#endif
