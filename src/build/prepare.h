/* The beginning and the end of a build: opening what it reads, claiming where it writes, and putting everything back.
 */
#ifndef IVF_BUILD_PREPARE_H
#define IVF_BUILD_PREPARE_H

#include "build/state.h"

/* Collective. Opens the input and the ids and decides the plan; changes nothing. MPIVF_CONFLICT: the index exists and
 * `replace` was not given. */
int ivf_prepare_plan(const ivf_ctx *ctx, ivf_build_state *build);

/* Collective. Then makes the index folder and takes the lock of this build. MPIVF_CONFLICT: as above, or the same build
 * is running. */
int ivf_prepare_build(const ivf_ctx *ctx, ivf_build_state *build);

/* Collective. Gives everything back. Unless the version was committed, removes what this build published and the
 * folders that it leaves empty; the thread's failure record stays as it is. */
void ivf_prepare_end(const ivf_ctx *ctx, ivf_build_state *build);

#endif
