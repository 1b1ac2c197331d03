#include "shard_files.h"

#include <check.h>
#include <hdf5.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/numbers.h"
#include "math/convert.h"
#include "temp.h"

/* Bytes that grow, for a file that is then written whole. */
typedef struct {
    char *data;
    size_t length;
    size_t capacity;
} bytes;

static void append(bytes *b, const void *data, size_t length)
{
    if (b->data == NULL || b->length + length > b->capacity) {
        b->capacity = 2 * (b->length + length) + 64;
        b->data = realloc(b->data, b->capacity);
        ck_assert_ptr_nonnull(b->data);
    }
    if (length > 0)
        memcpy(b->data + b->length, data, length);
    b->length += length;
}

static void write_out(const char *path, bytes *b)
{
    test_write_file(path, b->data, b->length);
    free(b->data);
}

float test_value(ivf_element type, int64_t row, int column)
{
    if (type == IVF_F32 || type == IVF_F64)
        return (float)(row * 64 + column) - 100;
    return (float)((row * 31 + (int64_t)column * 7) % 101 - (type == IVF_U8 ? 0 : 50));
}

bool test_rows_right(ivf_element type, int64_t first, int64_t n, int d, const float *x)
{
    for (int64_t i = 0; i < n; i++)
        for (int c = 0; c < d; c++)
            if (x[i * d + c] != test_value(type, first + i, c))
                return false;
    return true;
}

static void append_value(bytes *b, ivf_element type, float value)
{
    const double f64 = value;
    const uint8_t u8 = type == IVF_U8 ? (uint8_t)value : 0;
    const int8_t i8 = type == IVF_I8 ? (int8_t)value : 0;
    uint16_t f16 = 0;
    ivf_f32_to_f16(&value, 1, &f16);
    const void *from = type == IVF_F64   ? (const void *)&f64
                       : type == IVF_F16 ? (const void *)&f16
                       : type == IVF_U8  ? (const void *)&u8
                       : type == IVF_I8  ? (const void *)&i8
                                         : (const void *)&value;
    append(b, from, ivf_element_size(type));
}

static void append_row(bytes *b, ivf_element type, int64_t row, int d)
{
    for (int c = 0; c < d; c++)
        append_value(b, type, test_value(type, row, c));
}

static bytes matrix(ivf_element type, int64_t first, int64_t rows, int d)
{
    bytes b = {0};
    append(&b, "", 0);
    for (int64_t i = 0; i < rows; i++)
        append_row(&b, type, first + i, d);
    return b;
}

void test_write_npy_raw(const char *path, int version, const char *header, const void *data, uint64_t length)
{
    bytes b = {0};
    const char magic[8] = {'\x93', 'N', 'U', 'M', 'P', 'Y', (char)version, 0};
    const size_t fixed = version == 1 ? 10 : 12;
    const uint32_t padded = (uint32_t)((strlen(header) + 1 + fixed + 63) / 64 * 64 - fixed);
    append(&b, magic, sizeof magic);
    append(&b, &padded, fixed - sizeof magic);
    append(&b, header, strlen(header));
    for (size_t i = strlen(header); i + 1 < padded; i++)
        append(&b, " ", 1);
    append(&b, "\n", 1);
    append(&b, data, length);
    write_out(path, &b);
}

void test_write_npy(const char *path, int version, ivf_element type, int64_t first, int64_t rows, int d)
{
    static const char *const descr[] = {
        [IVF_F32] = "<f4", [IVF_F64] = "<f8", [IVF_F16] = "<f2", [IVF_U8] = "|u1", [IVF_I8] = "|i1"};
    char header[128];
    (void)snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': False, 'shape': (%" PRId64 ", %d), }",
                   descr[type], rows, d);
    bytes b = matrix(type, first, rows, d);
    test_write_npy_raw(path, version, header, b.data, b.length);
    free(b.data);
}

void test_write_vecs(const char *path, ivf_element type, int64_t first, int64_t rows, int d)
{
    bytes b = {0};
    append(&b, "", 0);
    for (int64_t i = 0; i < rows; i++) {
        append(&b, &d, sizeof d);
        append_row(&b, type, first + i, d);
    }
    write_out(path, &b);
}

void test_write_bin(const char *path, ivf_element type, int64_t first, int64_t rows, int d)
{
    const uint32_t head[2] = {(uint32_t)rows, (uint32_t)d};
    bytes values = matrix(type, first, rows, d);
    bytes b = {0};
    append(&b, head, sizeof head);
    append(&b, values.data, values.length);
    free(values.data);
    write_out(path, &b);
}

/* The type in memory, and in the file. */
static hid_t h5_type(ivf_element type, bool big_endian)
{
    static const size_t sizes[] = {[IVF_F32] = 4, [IVF_F64] = 8, [IVF_F16] = 2, [IVF_U8] = 1, [IVF_I8] = 1};
    hid_t made = H5Tcopy(type == IVF_U8    ? H5T_STD_U8LE
                         : type == IVF_I8  ? H5T_STD_I8LE
                         : type == IVF_F64 ? H5T_IEEE_F64LE
                                           : H5T_IEEE_F32LE);
    if (type == IVF_F16) {
        ck_assert(H5Tset_fields(made, 15, 10, 5, 0, 10) >= 0);
        ck_assert(H5Tset_size(made, sizes[type]) >= 0);
        ck_assert(H5Tset_ebias(made, 15) >= 0);
    }
    ck_assert(H5Tset_order(made, big_endian ? H5T_ORDER_BE : H5T_ORDER_LE) >= 0);
    return made;
}

/* A fixed dataset's chunks may not be larger than itself. */
static hid_t h5_properties(const test_h5_form *form, int rank, int64_t rows, int d)
{
    hid_t made = H5Pcreate(H5P_DATASET_CREATE);
    const bool narrow = form->chunk_columns > 0 && form->chunk_columns < d;
    const hsize_t chunk[2] = {(hsize_t)ivf_min_i64(form->chunk_rows, rows),
                              (hsize_t)(narrow ? form->chunk_columns : d)};
    if (form->chunk_rows > 0)
        ck_assert(H5Pset_chunk(made, rank, chunk) >= 0);
    if (form->compressed)
        ck_assert(H5Pset_deflate(made, 4) >= 0);
    return made;
}

static void write_h5(const char *path, const char *name, hid_t file_type, hid_t memory_type, int rank,
                     const hsize_t *dims, hid_t properties, const void *data)
{
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    hid_t space = H5Screate_simple(rank, dims, NULL);
    hid_t links = H5Pcreate(H5P_LINK_CREATE);
    ck_assert(H5Pset_create_intermediate_group(links, 1) >= 0);
    hid_t dataset = H5Dcreate2(file, name, file_type, space, links, properties, H5P_DEFAULT);
    ck_assert(dataset >= 0);
    if (data != NULL)
        ck_assert(H5Dwrite(dataset, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    (void)H5Dclose(dataset);
    (void)H5Pclose(links);
    (void)H5Sclose(space);
    ck_assert(H5Fclose(file) >= 0);
}

void test_write_h5(const char *path, const char *name, ivf_element type, int64_t first, int64_t rows, int d,
                   test_h5_form form)
{
    const int rank = d > 0 ? 2 : 1;
    const hsize_t dims[2] = {(hsize_t)rows, (hsize_t)d};
    bytes b = matrix(type, first, rows, d > 0 ? d : 1);
    hid_t file_type = h5_type(type, form.big_endian);
    hid_t memory_type = h5_type(type, false);
    hid_t properties = h5_properties(&form, rank, rows, d);
    write_h5(path, name, file_type, memory_type, rank, dims, properties, b.data);
    (void)H5Pclose(properties);
    (void)H5Tclose(memory_type);
    (void)H5Tclose(file_type);
    free(b.data);
}

void test_write_h5_ids(const char *path, const char *name, bool is_signed, const uint64_t *ids, int64_t n)
{
    const hsize_t dims[1] = {(hsize_t)n};
    hid_t type = is_signed ? H5T_STD_I64LE : H5T_STD_U64LE;
    write_h5(path, name, type, type, 1, dims, H5P_DEFAULT, ids);
}
