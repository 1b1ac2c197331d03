/* The training sample: distinct rows drawn uniformly with the seed, read by all ranks, held by those that train. */
#ifndef IVF_BUILD_SAMPLE_H
#define IVF_BUILD_SAMPLE_H

#include <stdbool.h>

#include "build/state.h"

enum { IVF_SAMPLE_PIECE = 8 << 20 }; /* bytes of a piece, usually: they stay in the cache while they are copied */

/* Collective. Every rank reads the sampled rows (build/draw.h) of its range of the dataset and hands them to the ranks
 * that hold their places: all of them, dealt out by base/share.h, or rank 0 alone (--train-on; which of the two changes
 * no byte of the result). Rows that cannot be indexed fail the build or are left out, by policy; the later ones then
 * move up in place, so that the sample has no gaps. Sets build->sample, build->share. Bytes sent by a rank: 8 + 4 d for
 * each row that it reads and another holds. Memory: the rows held, 16 bytes for each row read, and up to three pieces.
 */
int ivf_sample_draw(const ivf_ctx *ctx, ivf_build_state *build);

/* Local. Whether all ranks are to hold the sample and train, rather than rank 0 alone. */
bool ivf_sample_is_shared(const ivf_build_config *config, const ivf_plan *plan);

/* Local. Bytes that drawing takes on rank 0 beside the rows held, with pieces of so many bytes, each of which takes
 * `reading` bytes to be read. */
int64_t ivf_sample_memory(const ivf_build_config *config, const ivf_plan *plan, int ranks, int64_t piece_bytes,
                          int64_t reading);

#endif
