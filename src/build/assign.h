/* Assign and encode: every fragment's rows become postings, and the fragment is published. */
#ifndef IVF_BUILD_ASSIGN_H
#define IVF_BUILD_ASSIGN_H

#include "build/state.h"

/* Collective. Ranks draw fragments from one ticket counter; reading, computing and publishing of a rank run side by
 * side. No message for any row: a ticket is 8 bytes each way, progress 8 bytes each half second. Memory of a rank:
 * three fragments of postings (one being written, one waiting, one being made) and a staging area of one. */
int ivf_assign_fragments(const ivf_ctx *ctx, ivf_build_state *build);

#endif
