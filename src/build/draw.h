/* Which rows make the training sample. */
#ifndef IVF_BUILD_DRAW_H
#define IVF_BUILD_DRAW_H

#include <stdint.h>

#include "build/plan.h"

/* A sampled row and its place in the sample. */
typedef struct {
    int64_t row;
    int64_t place;
} ivf_pick;

/* Local, uses the team. Row `permutation(i)` of the dataset is the sample's i-th, for i below the plan's sample_rows:
 * it depends on seed and dataset alone, and any prefix is a uniform sample too. Yields those among the rank's range of
 * rows (a size-th of the dataset), in the order of the files: (*picks)[*count], to be freed. Costs two passes over
 * the range or over the sample, whichever is smaller. */
int ivf_draw_picks(const ivf_plan *plan, uint64_t seed, int rank, int size, ivf_pick **picks, int64_t *count);

#endif
