/* What an earlier run of the same build has left, taken over. */
#ifndef IVF_BUILD_RESUME_H
#define IVF_BUILD_RESUME_H

#include "build/state.h"

/* Collective. Takes over model and fragments of the claimed folder, and decides which fragments are pending. The
 * model's file is read whole by rank 0; of each fragment the file's size is looked at and its list sizes and skipped
 * rows are read, by one rank of all. A model that is missing or damaged is trained again, and all fragments are redone;
 * so is a fragment that is missing or damaged. Messages: the model; fragments * 8 bytes and the kept ones' records, to
 * all. */
int ivf_resume_build(const ivf_ctx *ctx, ivf_build_state *build);

/* Local, on rank 0. What the folder of a build holds: a model, and how many different fragments. */
int ivf_resume_count(const ivf_build_state *build, bool *has_model, int64_t *done);

#endif
