/* Damage to HDF5 files at known places, which HDF5 itself would not write: "HDF5 File Format Specification
 * Version 3.0", IV.A.2.b (dataspace message, version 1) and IV.A.2.i (data layout message, version 3). Neither has a
 * checksum. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "shard_files.h"

enum { FILE_MOST = 1 << 16, SPACE_HEAD = 8, CHUNK_HEAD = 11 };

/* In place: file systems flush a file that was cut to nothing and written again. */
static void put_back(const char *path, const char *data, size_t bytes)
{
    FILE *file = fopen(path, "r+be");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(data, 1, bytes, file), bytes);
    ck_assert_int_eq(fclose(file), 0);
}

/* A whole small file, and where `dims` lie in it, `head` bytes behind the beginning of their message. */
static unsigned char *find(const char *path, char *data, size_t *bytes, const void *dims, size_t dims_bytes,
                           size_t head)
{
    FILE *file = fopen(path, "rbe");
    ck_assert_ptr_nonnull(file);
    *bytes = fread(data, 1, FILE_MOST, file);
    ck_assert_int_eq(fclose(file), 0);
    unsigned char *found = memmem(data, *bytes, dims, dims_bytes);
    ck_assert_ptr_nonnull(found);
    return found - head;
}

void test_patch_h5_space(const char *path, int rank, const uint64_t dims[], int new_rank, const uint64_t new_dims[])
{
    static char data[FILE_MOST];
    size_t bytes = 0;
    unsigned char *message = find(path, data, &bytes, dims, (size_t)rank * sizeof *dims, SPACE_HEAD);
    ck_assert(message[0] == 1 && message[1] == rank);
    message[1] = (unsigned char)new_rank;
    message[2] = 0; /* no greatest dims behind the dims */
    memcpy(message + SPACE_HEAD, new_dims, (size_t)new_rank * sizeof *new_dims);
    put_back(path, data, bytes);
}

void test_patch_h5_chunk(const char *path, const uint32_t chunk[3], int new_rank, const uint32_t new_chunk[3])
{
    static char data[FILE_MOST];
    size_t bytes = 0;
    unsigned char *message = find(path, data, &bytes, chunk, 3 * sizeof *chunk, CHUNK_HEAD);
    ck_assert(message[0] == 3 && message[1] == 2 && message[2] == 3);
    message[2] = (unsigned char)(new_rank + 1);
    memcpy(message + CHUNK_HEAD, new_chunk, 3 * sizeof *new_chunk);
    put_back(path, data, bytes);
}

/* III.A.1, version 1 B-trees: a node of chunks is 24 bytes and then the first chunk's size and the filters that it
 * passed over. */
static void patch_first_chunk(const char *path, size_t offset, uint32_t value)
{
    static const char node[] = {'T', 'R', 'E', 'E', 1};
    static char data[FILE_MOST];
    size_t bytes = 0;
    unsigned char *found = find(path, data, &bytes, node, sizeof node, 0);
    memcpy(found + offset, &value, sizeof value);
    put_back(path, data, bytes);
}

void test_patch_h5_chunk_bytes(const char *path, uint32_t claimed)
{
    patch_first_chunk(path, 24, claimed);
}

void test_patch_h5_chunk_filters(const char *path, uint32_t passed_over)
{
    patch_first_chunk(path, 28, passed_over);
}
