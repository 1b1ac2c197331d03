/* How rows will find their lists: the 8-bit grid, and the way through the tree of centroids. */
#ifndef IVF_BUILD_WAY_H
#define IVF_BUILD_WAY_H

#include <stdbool.h>

#include "build/state.h"

/* Local. Rows of a sample that ways are tried on: at least 1024, as many as 2^33 multiply-adds compare with all lists,
 * at most 16384. */
int64_t ivf_way_rows(int64_t sample, int32_t nlist, int d);

/* Collective. From the trained tree and the first ivf_way_rows rows of the sample: sets the model's grid, which rank 0
 * fits to them, the way that the configuration asks for or that agrees well enough with the exact one, and the
 * agreement that was measured by the ranks that hold them, on every rank. */
int ivf_way_fit(const ivf_ctx *ctx, ivf_build_state *build);

/* Local. Whether a broad tree may be tried in place of one of that shape; and whether it should, because rows agree too
 * little with a descent of the model's that has not many more probes than usual. */
bool ivf_way_may_broaden(const ivf_build_config *config, const ivf_tree *shape);
bool ivf_way_wants_broad(const ivf_build_state *build);

/* Local. The log's line about it. */
void ivf_way_tell(const ivf_model *model);

/* Local. Bytes that this takes on rank 0 for n rows, beside the model; *way: of those that it may yield, the one that
 * takes most. */
int64_t ivf_way_memory(const ivf_build_config *config, const ivf_tree *shape, int64_t n, int threads,
                       ivf_nearest_way *way);

#endif
