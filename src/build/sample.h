/* The training sample: distinct rows drawn uniformly with the seed, read by all ranks, held by those that train. */
#ifndef IVF_BUILD_SAMPLE_H
#define IVF_BUILD_SAMPLE_H

#include <stdbool.h>

#include "build/state.h"

/* Collective. Every rank reads the sampled rows (build/draw.h) of its range of the dataset and hands them to the ranks
 * that hold their places: all of them, dealt out by base/share.h, or rank 0 alone (--train-on; which of the two changes
 * no byte of the result). Rows that cannot be indexed fail the build or are left out, by policy; the later ones then
 * move up, so that the sample has no gaps. Sets build->sample, build->share. Bytes sent by a rank: 8 + 4 d for each row
 * that it reads and another holds. Memory: the rows held (twice when some are left out), 16 bytes
 * for each row read, and three pieces of 8 MiB. */
int ivf_sample_draw(const ivf_ctx *ctx, ivf_build_state *build);

/* Local. Whether all ranks are to hold the sample and train, rather than rank 0 alone. */
bool ivf_sample_is_shared(const ivf_build_config *config, const ivf_plan *plan);

#endif
