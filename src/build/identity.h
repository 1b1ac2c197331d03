/* What is built, from what: everything that changes a byte of the result, and so what a build is known by when it is
 * continued. Where it goes, who works at it and how many are left out. */
#ifndef IVF_BUILD_IDENTITY_H
#define IVF_BUILD_IDENTITY_H

#include <jansson.h>

#include "base/text.h"
#include "build/state.h"

/* Collective. Takes the stamps of the input files (and of the file of ids) into build->stamps, on every rank. */
int ivf_identity_stamp(const ivf_ctx *ctx, ivf_build_state *build);

/* Local. The identity of a stamped build; NULL with a failure recorded. */
json_t *ivf_identity_describe(const ivf_build_state *build);

/* Local. The build's id: a hash of the identity and of the generation, which counts committed builds of the same. */
int ivf_identity_name(const json_t *identity, int generation, char id[IVF_ID_BYTES]);

/* Local. Adds the first differences to the text: "seed: 1 before, 2 now; ...". */
void ivf_identity_compare(const json_t *before, const json_t *now, ivf_text *text);

#endif
