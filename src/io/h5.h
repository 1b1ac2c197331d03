/* The few HDF5 operations that the format needs: files of contiguous named arrays and text attributes. Byte-identical
 * for identical contents: no time stamps, one library version bound, arrays at 4 KiB boundaries. Different files may be
 * used by different threads at once: HDF5, which keeps the names and shapes, runs under one lock (Debian's parallel
 * build is not thread-safe); the bytes of arrays go past it with pread and pwrite.
 *
 * Names are paths without a leading slash: "ids", "columns/price". Files in the filesystem need no flock. */
#ifndef IVF_IO_H5_H
#define IVF_IO_H5_H

#include <stdbool.h>
#include <stdint.h>

#include "base/array.h"

typedef struct ivf_h5 ivf_h5;

/* Local. Creates a new file (fails if it exists) with the user's umask. */
int ivf_h5_create(const char *path, ivf_h5 **file);

/* Local. Writes a whole array as a contiguous dataset, with the XXH3-64 of its bytes as its attribute "checksum";
 * intermediate groups in its name are made. After a failure only ivf_h5_abandon may follow. */
int ivf_h5_write(ivf_h5 *file, const ivf_array *array);

/* Local. The same, and tells where in the file its bytes are (-1: it has none). */
int ivf_h5_write_told(ivf_h5 *file, const ivf_array *array, int64_t *offset);

/* Local. Makes a dataset of that name, type and dims, whose data is not looked at, without a checksum, and gives it a
 * place in the file (*offset; -1: it has no bytes), for those that write there past this file. */
int ivf_h5_reserve(ivf_h5 *file, const ivf_array *array, int64_t *offset);

/* Local. Notes the checksum of such a dataset, before the file is closed. */
int ivf_h5_seal(ivf_h5 *file, const char *name, uint64_t checksum);

/* Local. Attributes of the root group. */
int ivf_h5_write_text(ivf_h5 *file, const char *name, const char *value);
int ivf_h5_write_i64(ivf_h5 *file, const char *name, int64_t value);

/* Local. Closes a written file; its contents are with the kernel, not yet durable (io/publish.h makes them so). Frees
 * `file`, and removes what was written when it fails: no ivf_h5_abandon after it. */
int ivf_h5_close(ivf_h5 *file);

/* Local. Closes and removes a file that failed, or is not wanted any more; nothing more is written to it. NULL is
 * allowed. */
void ivf_h5_abandon(ivf_h5 *file);

/* Local. Opens for reading. MPIVF_CORRUPT when it is no HDF5 file or its metadata is damaged, MPIVF_BAD_INPUT when
 * missing. */
int ivf_h5_open(const char *path, ivf_h5 **file);
void ivf_h5_release(ivf_h5 *file);

/* Local. Shape and type of a dataset (name borrowed, data NULL), and where its bytes lie in the file, -1 when it has
 * none (a dimension is 0). MPIVF_CORRUPT when there is none, or one that ivf_h5_write would not write: chunked, outside
 * the file, of an unknown type, beyond the file's end. So its bytes are never more than the file's. */
int ivf_h5_describe(ivf_h5 *file, const char *name, ivf_array *array, int64_t *offset);
bool ivf_h5_has(ivf_h5 *file, const char *name);

/* Local. Where the bytes of a dataset of this name, type and dims lie in the file, as above; MPIVF_CORRUPT, naming
 * both, when the file holds another one. */
int ivf_h5_locate(ivf_h5 *file, const ivf_array *array, int64_t *offset);

/* Local. Reads a whole dataset into array->data, whose name, type and dims must be what the file holds (MPIVF_CORRUPT
 * otherwise, naming both), and whose bytes must have the dataset's checksum (MPIVF_CORRUPT). */
int ivf_h5_read(ivf_h5 *file, const ivf_array *array);

/* Local. What ivf_h5_write noted as the checksum of a dataset's bytes; MPIVF_CORRUPT when there is none. */
int ivf_h5_read_checksum(ivf_h5 *file, const char *name, uint64_t *checksum);

/* Local, thread-safe. `bytes` bytes of the file from `offset`, where ivf_h5_describe found a dataset: for those that
 * read it in pieces, and look at its checksum themselves. */
int ivf_h5_read_bytes(ivf_h5 *file, int64_t offset, size_t bytes, void *to);

/* Local. A root attribute; *value through ivf_new, to be freed with ivf_free. */
int ivf_h5_read_text(ivf_h5 *file, const char *name, char **value);
int ivf_h5_read_i64(ivf_h5 *file, const char *name, int64_t *value);

#endif
