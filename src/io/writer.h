/* Matrices written by all ranks: .npy, .fbin, .f16bin, .u8bin, .i8bin, .fvecs, .bvecs, .h5, .hdf5. Each rank writes its
 * own rows at their offset of one file. */
#ifndef IVF_IO_WRITER_H
#define IVF_IO_WRITER_H

#include <stdint.h>

#include "base/array.h"
#include "comm/context.h"

typedef struct ivf_writer ivf_writer;

/* Collective. Creates `path` (under a temporary name) for rows x d elements of the type that the ending implies (.npy
 * and HDF5: `npy_type`, F32, F16, U8 or I8), and reserves its space where the filesystem can. MPIVF_USAGE for another
 * ending, MPIVF_BAD_INPUT when the format's header cannot hold the shape, MPIVF_FAILED when there is no room; nothing
 * is left then, and *writer is NULL. Memory of a rank: 4 MiB, or one row if that is more. */
int ivf_writer_open(const ivf_ctx *ctx, const char *path, ivf_element npy_type, int64_t rows, int d,
                    ivf_writer **writer);

/* Collective. The same; `h5_path` names the dataset that is written into HDF5, "train" above: contiguous, and the only
 * one. */
int ivf_writer_open_named(const ivf_ctx *ctx, const char *path, const char *h5_path, ivf_element npy_type, int64_t rows,
                          int d, ivf_writer **writer);

/* Local. The type of the elements in the file. */
ivf_element ivf_writer_type(const ivf_writer *writer);

/* Local. f32 rows first..first+n-1 at their place; rounded and clamped for integer types. Each row is put at most once,
 * by one rank; rows that nobody puts are zero. */
int ivf_writer_put(ivf_writer *writer, int64_t first, int64_t n, const float *x);

/* Collective. Makes the file durable and gives it its name; or, when `rc` says that a rank failed, removes it. Returns
 * the agreed code, and frees `writer`, which may be NULL. */
int ivf_writer_close(const ivf_ctx *ctx, ivf_writer *writer, int rc);

#endif
