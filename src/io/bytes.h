/* Whole reads and writes at an offset of an open file: short transfers and interruptions are carried on. */
#ifndef IVF_IO_BYTES_H
#define IVF_IO_BYTES_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Local. Writes all `bytes` at `offset`; 0 or an errno value. Thread-safe: the file's own position is not used. */
int ivf_bytes_write(int fd, const void *data, size_t bytes, int64_t offset);

/* Local. Reads up to `bytes` at `offset`; 0 or an errno value. *got is less than `bytes` only where the file ends (or
 * after an error). Thread-safe. */
int ivf_bytes_read(int fd, void *data, size_t bytes, int64_t offset, size_t *got);

/* Local. Reads into count pieces from `offset` on, which are used up; 0 or an errno value. *missing: the bytes that the
 * file's end kept back. Thread-safe. */
int ivf_bytes_scatter(int fd, struct iovec *pieces, int count, int64_t offset, size_t *missing);

#endif
