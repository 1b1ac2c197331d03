/* Known true neighbours: ann-benchmarks HDF5 (neighbors, distances), .ivecs (ids alone), and big-ann's form (with or
 * without distances) for every other name. */
#ifndef IVF_IO_GROUNDTRUTH_H
#define IVF_IO_GROUNDTRUTH_H

#include <stdint.h>

typedef struct {
    int64_t queries;
    int k;
    int64_t *ids;     /* [queries][k], owned; -1 stands for "no such neighbour" */
    float *distances; /* [queries][k] as the file has them, ascending or descending; NULL when it has none; owned */
} ivf_groundtruth;

/* Local. MPIVF_BAD_INPUT with one line when it cannot be read: sizes that contradict each other (all are named), no
 * queries, k = 0, ids below -1. *truth is empty then. */
int ivf_groundtruth_read(const char *path, ivf_groundtruth *truth);

/* Local. Bytes that reading it takes and *truth then holds, at most; 0 where there is no such file. */
int64_t ivf_groundtruth_memory(const char *path);
void ivf_groundtruth_free(ivf_groundtruth *truth);

#endif
