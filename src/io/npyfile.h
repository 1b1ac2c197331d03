/* Whole .npy files of f32: trained parts that were made elsewhere. */
#ifndef IVF_IO_NPYFILE_H
#define IVF_IO_NPYFILE_H

#include <stdint.h>

#include "base/array.h"

/* Local. Reads `path`, which must have `rank` dimensions, into *values (through ivf_new), unchanged. MPIVF_BAD_INPUT:
 * missing, not .npy, another type or rank, a shape that its size contradicts, a value that is not finite. *values is
 * NULL on failure. */
int ivf_npyfile_read(const char *path, int rank, int64_t dims[IVF_ARRAY_RANK], float **values);

#endif
