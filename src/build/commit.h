/* The last step: what the ranks published becomes one committed version. */
#ifndef IVF_BUILD_COMMIT_H
#define IVF_BUILD_COMMIT_H

#include "build/state.h"

/* Collective. The ranks' fragment records meet on rank 0 (about 200 bytes each) and must cover every row once; list
 * sizes are summed (8 nlist bytes). */
int ivf_commit_gather(const ivf_ctx *ctx, ivf_build_state *build);

/* Collective. Looks at the input once more (MPIVF_BAD_INPUT when it changed); then rank 0 writes the manifest: from
 * then on the version is the index. MPIVF_CONFLICT when somebody else committed it first. Once the input was looked at,
 * a stop is not heeded any more. */
int ivf_commit_manifest(const ivf_ctx *ctx, ivf_build_state *build);

#endif
