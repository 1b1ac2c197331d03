/* What h5.c (writing) and h5read.c share. */
#ifndef IVF_IO_H5INTERNAL_H
#define IVF_IO_H5INTERNAL_H

#include <hdf5.h>
#include <stddef.h>

#include "io/h5.h"
#include "io/h5driver.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "arrays go to files as they lie in memory: little-endian");

#define IVF_H5_CHECKSUM "checksum" /* attribute of each dataset */

struct ivf_h5 {
    char *path; /* owned */
    hid_t id;
    ivf_h5_disk disk; /* its fd is owned; arrays are read and written through it, past HDF5 */
};

/* Local, under the lock. A file for an open descriptor, which it takes over also when it fails; `id` is not set. NULL
 * with a failure recorded. */
ivf_h5 *ivf_h5_internal_new(const char *path, int fd);

/* Local, under the lock. An access list for the file; negative on failure. */
hid_t ivf_h5_internal_access(ivf_h5 *file);

/* Local, under the lock. Closes what HDF5 holds and then the rest; an errno value when a write has failed. */
int ivf_h5_internal_close(ivf_h5 *file);

/* Local, under the lock. Words a failure of HDF5 or of the disk below it: "PATH: WHAT NAME: reason". Right after the
 * call that failed: the next call of HDF5 forgets the reason. */
int ivf_h5_internal_fail(const ivf_h5 *file, int code, const char *what, const char *name);

/* Local, under the lock. Whether every part of the path `name` is there as a hard link: a link into another file, or
 * under another name, is none. */
bool ivf_h5_internal_has(hid_t id, const char *name, size_t length);

#endif
