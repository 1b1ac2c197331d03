/* The training sample: distinct rows drawn uniformly with the seed. */
#ifndef IVF_BUILD_SAMPLE_H
#define IVF_BUILD_SAMPLE_H

#include "build/state.h"

/* Collective. Row `permutation(i)` is the sample's i-th, for i below the plan's sample_rows: it depends on seed and
 * dataset alone. Every rank reads those that fall into its range of rows and sends them to rank 0, which holds them in
 * the order of i, so that any prefix is a uniform sample too. Rows that cannot be indexed are left out (or fail the
 * build, by policy). Rank 0: sample_rows * d * 4 bytes; the others: 16 bytes for each row of theirs and a buffer of 4
 * MiB. */
int ivf_sample_draw(const ivf_ctx *ctx, ivf_build_state *build);

#endif
