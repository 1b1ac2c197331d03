/* Datasets inside HDF5 files as shards. Contiguous ones of a native type become plain layouts that are read with pread;
 * the others (chunked, compressed, compact, big-endian) are read by hyperslab under the lock of io/h5lock. */
#ifndef IVF_IO_H5SOURCE_H
#define IVF_IO_H5SOURCE_H

#include "io/source.h"

/* Local. As the functions of io/formats.h. */
int ivf_h5source_probe(const ivf_rawfile *file, const char *h5_path, ivf_contents contents, ivf_layout *layout);

typedef struct ivf_h5source ivf_h5source;

/* Local. Opens the dataset for reading by hyperslab. HDF5 keeps as many rows of chunks in memory as
 * the layout says. `file`,
 * `h5_path` and `layout` are borrowed until the close. */
int ivf_h5source_open(const ivf_rawfile *file, const char *h5_path, const ivf_layout *layout, ivf_h5source **source);
void ivf_h5source_close(ivf_h5source *source);

/* Local, thread-safe. Rows first..first+n-1 in the native form of the layout's type. */
int ivf_h5source_read(ivf_h5source *source, int64_t first, int64_t n, void *raw);

#endif
