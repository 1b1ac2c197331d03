/* Compressed chunks of datasets in strangers' files. HDF5 1.10 believes that a chunk inflates to what its shape asks
 * for, and takes the rest from whatever lies behind it in memory. */
#ifndef IVF_IO_H5INFLATE_H
#define IVF_IO_H5INFLATE_H

#include <hdf5.h>
#include <stdbool.h>

/* Local, under the lock of io/h5lock.h. Whether the first chunk of a dataset of so many dimensions, in the file `fd`,
 * inflates to `wanted` bytes: a wrong shape or type is wrong for all chunks. True as well where that cannot be told:
 * other filters than deflate, shuffle and fletcher32, chunks that deflate passed over, and files that begin with a
 * block of the user's. */
bool ivf_h5_inflates_to(int fd, hid_t dataset, int rank, hsize_t wanted);

#endif
