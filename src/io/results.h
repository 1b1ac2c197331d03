/* Search results to files: .h5/.hdf5 (neighbors i64, distances f32), .npy (NAME.ids.npy and NAME.distances.npy), .ibin
 * (with NAME.fbin beside it), and ground truth as big-ann .bin. The name decides. */
#ifndef IVF_IO_RESULTS_H
#define IVF_IO_RESULTS_H

#include <stdint.h>

/* Local. Checks a name before any work is done: MPIVF_USAGE when its ending is not known. */
int ivf_results_check_name(const char *path);

/* Local. Whether so many queries and ids up to `largest` can go to such a file, which .ibin and .bin limit to 32 bits:
 * MPIVF_BAD_INPUT. For who can tell before any work is done. */
int ivf_results_check_numbers(const char *path, int64_t nq, int64_t largest);

/* Local. ids[nq][k] (-1 where there is none) and distances[nq][k], each file whole or not at all. Ids beyond 2^31 - 1
 * cannot go to .ibin or .bin: MPIVF_BAD_INPUT. */
int ivf_results_write(const char *path, const int64_t *ids, const float *distances, int64_t nq, int k);

#endif
