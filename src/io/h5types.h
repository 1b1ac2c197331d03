/* Element types as HDF5 file types: little-endian, IEEE. */
#ifndef IVF_IO_H5TYPES_H
#define IVF_IO_H5TYPES_H

#include <hdf5.h>
#include <stdbool.h>

#include "base/array.h"

/* Local, under the lock of io/h5lock.h. A new type, to be closed with H5Tclose; negative on failure. */
hid_t ivf_h5_type_make(ivf_element element);

/* Local, under the lock. The element that `type` is exactly; false when it is none. */
bool ivf_h5_type_element(hid_t type, ivf_element *element);

#endif
