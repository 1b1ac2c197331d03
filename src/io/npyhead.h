/* The head of the .npy files that are written: NumPy's format version 1.0 (numpy.lib.format), little-endian, C order.
 */
#ifndef IVF_IO_NPYHEAD_H
#define IVF_IO_NPYHEAD_H

#include <stdint.h>

#include "base/array.h"

enum { IVF_NPY_HEAD_BYTES = 128 }; /* a multiple of 64 that holds any shape */

/* Local. The bytes before the elements of a matrix [rows][d]. */
void ivf_npyhead_make(ivf_element type, int64_t rows, int64_t d, char head[IVF_NPY_HEAD_BYTES]);

/* Local. The same for an array of any rank. */
void ivf_npyhead_make_array(const ivf_array *array, char head[IVF_NPY_HEAD_BYTES]);

#endif
