/* Ground truth in HDF5 files as ann-benchmarks has them. For io/groundtruth. */
#ifndef IVF_IO_H5TRUTH_H
#define IVF_IO_H5TRUTH_H

#include "io/groundtruth.h"
#include "io/rawfile.h"

/* Local. "neighbors" [queries][k] of any integers and, when there, "distances" of the same shape and any floats; both
 * contiguous, or chunked with any filter that HDF5 has. On failure what *truth got is still the caller's. */
int ivf_h5truth_read(const ivf_rawfile *file, ivf_groundtruth *truth);

/* Local. Bytes that it takes and that *truth then holds; 0 where it will fail. */
int64_t ivf_h5truth_memory(const ivf_rawfile *file);

#endif
