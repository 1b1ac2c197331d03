/* The headers of the known formats: each function looks at an open file and fills in rows, d, type, offset and prefix
 * of its layout. For io/source alone, which has set bytes and mtime_ns. */
#ifndef IVF_IO_FORMATS_H
#define IVF_IO_FORMATS_H

#include "io/source.h"

/* Local. NumPy's format, versions 1.0, 2.0 and 3.0 (numpy.lib.format): little-endian, C order. */
int ivf_npy_probe(const ivf_rawfile *file, ivf_contents contents, ivf_layout *layout);

/* Local. The same for an array of f32, as it is, with `rank` dimensions (at most IVF_ARRAY_RANK) of 1 or more; the file
 * is as long as they say. */
int ivf_npy_probe_floats(const ivf_rawfile *file, int rank, int64_t *dims, int64_t *offset);

/* Local. .fvecs and .bvecs (corpus-texmex.irisa.fr): each row is its d as i32, then d elements of layout->type. Checks
 * the first row; reading checks the others. */
int ivf_vecs_probe(const ivf_rawfile *file, ivf_layout *layout);

/* Local. u32 n, u32 d, then n x d elements of layout->type (big-ann-benchmarks). */
int ivf_bin_probe(const ivf_rawfile *file, ivf_layout *layout);

/* Local. Takes what a header says, type and offset being set: d within 1..IVF_D_MOST, and the file exactly as long as
 * rows and d say. */
int ivf_layout_fit(const ivf_rawfile *file, int64_t rows, int64_t d, ivf_layout *layout);

#endif
