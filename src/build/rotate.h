/* The rotation of rows before lists and codec see them (OPQ). */
#ifndef IVF_BUILD_ROTATE_H
#define IVF_BUILD_ROTATE_H

#include "build/state.h"

/* Collective. Without OPQ in the factory string: nothing. Else trains the model's rotation on the sample (codec/opq.h),
 * and replaces this rank's rows of the sample by their rotated form, [rows][d_rotated]: in place, unless that is wider.
 * Memory: that of codec/opq.h, then (if it is) the sample twice. */
int ivf_rotate_train(const ivf_ctx *ctx, ivf_build_state *build);

/* Local. Bytes that this takes on rank 0 beside sample and model; and of the sample's `own` rows afterwards. */
int64_t ivf_rotate_memory(const ivf_build_config *config, const ivf_plan *plan, int holders, int threads);
int64_t ivf_rotate_sample_memory(const ivf_plan *plan, int64_t own);

#endif
