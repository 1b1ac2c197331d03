/* The few HDF5 operations that the format needs: files of contiguous named arrays and text attributes. Byte-identical
 * for identical contents: no time stamps, one library version bound, arrays at 4 KiB boundaries. Thread-safe through
 * one lock (Debian's parallel HDF5 is not). */
#ifndef IVF_IO_H5_H
#define IVF_IO_H5_H

#include <stdbool.h>
#include <stdint.h>

#include "base/array.h"

typedef struct ivf_h5 ivf_h5;

/* Local. Creates a new file (fails if it exists). */
int ivf_h5_create(const char *path, ivf_h5 **file);

/* Local. Writes a whole array as a contiguous dataset; intermediate groups in its name are made. After a failure only
 * ivf_h5_abandon may follow. */
int ivf_h5_write(ivf_h5 *file, const ivf_array *array);

/* Local. Attributes of the root group. */
int ivf_h5_write_text(ivf_h5 *file, const char *name, const char *value);
int ivf_h5_write_i64(ivf_h5 *file, const char *name, int64_t value);

/* Local. Closes a written file; its contents are with the kernel, not yet durable (io/publish.h makes them so). */
int ivf_h5_close(ivf_h5 *file);

/* Local. Lets go of a file after a failure without another HDF5 call that could fail or hang; NULL is allowed. */
void ivf_h5_abandon(ivf_h5 *file);

/* Local. Opens for reading. MPIVF_CORRUPT when it is no HDF5 file or its metadata is damaged, MPIVF_BAD_INPUT when
 * missing. */
int ivf_h5_open(const char *path, ivf_h5 **file);
void ivf_h5_release(ivf_h5 *file);

/* Local. Shape and type of a dataset (data NULL), and where its bytes lie in the file (-1 if not contiguous).
 * MPIVF_CORRUPT when there is none. */
int ivf_h5_describe(ivf_h5 *file, const char *name, ivf_array *array, int64_t *offset);
bool ivf_h5_has(ivf_h5 *file, const char *name);

/* Local. Reads a whole dataset into array->data, whose name, type and dims must be what the file holds (MPIVF_CORRUPT
 * otherwise, naming both). */
int ivf_h5_read(ivf_h5 *file, const ivf_array *array);

/* Local. A root attribute; *value through ivf_new, to be freed with ivf_free. */
int ivf_h5_read_text(ivf_h5 *file, const char *name, char **value);
int ivf_h5_read_i64(ivf_h5 *file, const char *name, int64_t *value);

#endif
