/* The file driver below io/h5.c: what HDF5's own sec2 driver does, with two differences that it needs.
 *
 * A failed write is remembered and hidden from HDF5, which afterwards writes nothing more. HDF5 1.10 cannot close a
 * file whose last writes fail: H5Fclose, or the library's end at exit, crashes. So it never learns; io/h5.c looks at
 * `wrong` after each step instead, and has the system's error number for its message.
 *
 * No file locks: published files never change, files being written have names of their own, and many parallel
 * filesystems have no flock. */
#ifndef IVF_IO_H5DRIVER_H
#define IVF_IO_H5DRIVER_H

#include <hdf5.h>
#include <stdint.h>

/* The open file that HDF5 works on; owned by the caller, who keeps it until H5Fclose has returned. */
typedef struct {
    int fd;
    int wrong;     /* errno of the first read or write that failed; then nothing more is written. Set it to stop HDF5
                      writing. */
    haddr_t bytes; /* of the file, as far as HDF5 knows */
} ivf_h5_disk;

/* Local, under the lock of io/h5lock.h. Has files that are created or opened with the access list `fapl` work on
 * `disk`, whatever their name. Negative on failure, with HDF5's reason on its stack. */
herr_t ivf_h5_driver_use(hid_t fapl, ivf_h5_disk *disk);

#endif
