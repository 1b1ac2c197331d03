/* The beginning and the end of a build: opening what it reads, claiming where it writes, and putting everything back.
 */
#ifndef IVF_BUILD_PREPARE_H
#define IVF_BUILD_PREPARE_H

#include "build/state.h"

/* Collective. Opens the input and the ids and decides the plan; changes nothing. MPIVF_CONFLICT as ivf_claim_look. */
int ivf_prepare_plan(const ivf_ctx *ctx, ivf_build_state *build);

/* Collective. Then names the build by what it is of, and claims its folder (build/claim.h). */
int ivf_prepare_build(const ivf_ctx *ctx, ivf_build_state *build);

/* Collective. Gives everything back; what the index's folder keeps of a build that was not committed, ivf_claim_end
 * says. The thread's failure record stays as it is. */
void ivf_prepare_end(const ivf_ctx *ctx, ivf_build_state *build);

#endif
