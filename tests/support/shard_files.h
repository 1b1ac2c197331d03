/* Small shard files of every format, with rows that can be told apart. */
#ifndef TEST_SHARD_FILES_H
#define TEST_SHARD_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/array.h"

/* Local. Component `column` of row `row`, exact in `type`; f32 and f64 rows all differ. */
float test_value(ivf_element type, int64_t row, int column);

/* Local. Whether x[n][d] holds rows first..first+n-1. */
bool test_rows_right(ivf_element type, int64_t first, int64_t n, int d, const float *x);

/* Local. Writes rows first..first+rows-1. .npy headers are version `version`. */
void test_write_npy(const char *path, int version, ivf_element type, int64_t first, int64_t rows, int d);
void test_write_vecs(const char *path, ivf_element type, int64_t first, int64_t rows, int d);
void test_write_bin(const char *path, ivf_element type, int64_t first, int64_t rows, int d);

/* Local. A .npy file with this header text, and `bytes` bytes of data behind it. */
void test_write_npy_raw(const char *path, int version, const char *header, const void *data, uint64_t bytes);

typedef struct {
    int64_t chunk_rows; /* 0: contiguous */
    int chunk_columns;  /* 0: as wide as the rows */
    bool compressed;
    bool big_endian;
} test_h5_form;

/* Local. Writes dataset `name` (rank 2, or rank 1 when d = 0) of a new HDF5 file. */
void test_write_h5(const char *path, const char *name, ivf_element type, int64_t first, int64_t rows, int d,
                   test_h5_form form);

/* Local. Damages an HDF5 file in HDF5's oldest format: its first dataspace of these dims gets others, and a rank. */
void test_patch_h5_space(const char *path, int rank, const uint64_t dims[], int new_rank, const uint64_t new_dims[]);

/* Local. Its first 2-dimensional chunks of this shape get another, and a rank; an element's bytes are the last extent.
 */
void test_patch_h5_chunk(const char *path, const uint32_t chunk[3], int new_rank, const uint32_t new_chunk[3]);

/* Local. The first chunk of an HDF5 file in HDF5's oldest format claims so many bytes. */
void test_patch_h5_chunk_bytes(const char *path, uint32_t claimed);

/* Local. The same chunk claims to have passed over the filters of this mask. */
void test_patch_h5_chunk_filters(const char *path, uint32_t passed_over);

/* Local. ids[n] as dataset `name` of a new HDF5 file. */
void test_write_h5_ids(const char *path, const char *name, bool is_signed, const uint64_t *ids, int64_t n);

#endif
