/* Checkpoints of training, in the folder of the unfinished build: what k-means, OPQ and PQ keep of themselves goes
 * through build->keeper; what is finished of the tree and the way is kept here. Rank 0 reads and writes, except that
 * PQ's codebooks are written by whoever trains them. */
#ifndef IVF_BUILD_CHECKPOINT_H
#define IVF_BUILD_CHECKPOINT_H

#include <stdbool.h>

#include "build/state.h"

/* Collective. From here on build->keeper keeps; where the build has no folder it stays NULL. */
int ivf_checkpoint_begin(const ivf_ctx *ctx, ivf_build_state *build);

/* Local. The checkpoints stay. */
void ivf_checkpoint_end(ivf_build_state *build);

/* Collective. Keeps the tree if that is worth it, and takes it up: the lists with it, renumbered as they were. Without
 * a checkpoint that fits *recalled is false and the tree is as it was. Taking it up broadcasts 24 bytes and the tree.
 */
int ivf_checkpoint_keep_tree(const ivf_ctx *ctx, const ivf_build_state *build);
int ivf_checkpoint_recall_tree(const ivf_ctx *ctx, ivf_build_state *build, bool *recalled);

/* Collective. The same for the way, its agreement and the grid: 72 + 4 d bytes. */
int ivf_checkpoint_keep_way(const ivf_ctx *ctx, const ivf_build_state *build);
int ivf_checkpoint_recall_way(const ivf_ctx *ctx, ivf_build_state *build, bool *recalled);

#endif
