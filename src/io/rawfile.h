/* A regular file that is read at offsets, with failures that say what and where. */
#ifndef IVF_IO_RAWFILE_H
#define IVF_IO_RAWFILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

typedef struct {
    const char *path; /* borrowed */
    int fd;
    int64_t bytes;
    int64_t mtime_ns;
    dev_t device; /* device and inode name the file whatever the path */
    ino_t inode;
} ivf_rawfile;

/* Local. Records why a path cannot be used: MPIVF_BAD_INPUT when the user's choice is at fault (missing, not readable),
 * MPIVF_FAILED when the system is. */
int ivf_rawfile_refuse(int error_number, const char *path);

/* Local. Opens a regular file for reading; refuses everything else before it could block (a pipe, a device). */
int ivf_rawfile_open(const char *path, ivf_rawfile *file);
void ivf_rawfile_close(ivf_rawfile *file);

/* Local, thread-safe. Exactly `bytes` bytes from `offset`: MPIVF_BAD_INPUT when the file ends before, MPIVF_FAILED for
 * an I/O error, MPIVF_INTERRUPTED when the run is to stop. */
int ivf_rawfile_read(const ivf_rawfile *file, int64_t offset, size_t bytes, void *to);

/* Local, thread-safe. The same into count pieces, one after the other in the file; their array is used up. */
int ivf_rawfile_scatter(const ivf_rawfile *file, int64_t offset, struct iovec *pieces, int count);

/* Local, thread-safe. Asks the system to read these bytes ahead; returns before they are there. */
void ivf_rawfile_expect(const ivf_rawfile *file, int64_t offset, int64_t bytes);

#endif
