/* The unfinished build's folder (index/building.h), from the claim to the end. */
#ifndef IVF_BUILD_CLAIM_H
#define IVF_BUILD_CLAIM_H

#include "build/state.h"

/* Local. MPIVF_CONFLICT when the index cannot get a new version by this build: it exists and `replace` was not given
 * (unless a build was left unfinished there, which the claim looks into), or the folder is none of ours. *version is
 * the one to commit. */
int ivf_claim_look(const ivf_build_config *config, int64_t *version);

/* Collective. Settles the id of a build whose identity is known, makes its folder, or takes over the one that an
 * earlier run has left, and locks it. Sets build->committed when that run got as far as its commit. MPIVF_CONFLICT:
 * this build is running; another one was left unfinished; or as ivf_claim_look says. */
int ivf_claim_begin(const ivf_ctx *ctx, ivf_build_state *build);

/* Collective. Removes the folder after a commit, or when it holds nothing that a later run can use; else it stays, and
 * the log says so. Folders of the index that are empty go as well. */
void ivf_claim_end(const ivf_ctx *ctx, ivf_build_state *build);

#endif
