/* Known true neighbours: ann-benchmarks HDF5 (neighbors, distances), big-ann .bin, .ivecs. */
#ifndef IVF_IO_GROUNDTRUTH_H
#define IVF_IO_GROUNDTRUTH_H

#include <stdint.h>

typedef struct {
    int64_t queries;
    int k;
    int64_t *ids;     /* [queries][k], owned */
    float *distances; /* [queries][k] as the file has them, ascending or descending; NULL when it has none; owned */
} ivf_groundtruth;

/* Local. MPIVF_BAD_INPUT with one line when it cannot be read. */
int ivf_groundtruth_read(const char *path, ivf_groundtruth *truth);
void ivf_groundtruth_free(ivf_groundtruth *truth);

#endif
