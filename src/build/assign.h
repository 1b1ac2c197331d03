/* Assign and encode: every fragment's rows become postings, and the fragment is published. */
#ifndef IVF_BUILD_ASSIGN_H
#define IVF_BUILD_ASSIGN_H

#include "build/state.h"

/* Collective. Ranks draw fragments from one ticket counter; reading, computing and publishing of a rank run side by
 * side. No message for any row: a ticket is 8 bytes each way, progress 8 bytes each half second. Memory of a rank: two
 * fragments of postings (one being written, one being made or waiting) and a staging area of one. */
int ivf_assign_fragments(const ivf_ctx *ctx, ivf_build_state *build);

/* Local. Rows of a block of the input, usually: some tasks for every thread; and the blocks that are held. */
enum { IVF_ASSIGN_DEPTH = 3 };
int64_t ivf_assign_block_rows(const ivf_plan *plan, const ivf_nearest_way *way, int threads);

/* Local. Bytes of a rank with fragments of so many rows, beside the model, what encodes rows, and the blocks. Where
 * rows may be skipped, a fragment of postings alone and one of skipped rows alone may take turns in one place. */
int64_t ivf_assign_memory(const ivf_build_config *config, const ivf_plan *plan, int64_t rows);

#endif
