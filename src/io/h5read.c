/* Reading of HDF5 files. They may be damaged or hostile: nothing is believed that the file's size or HDF5's own
 * checksums of its metadata contradict, and only the few forms that h5.c writes are accepted. The bytes of arrays have
 * checksums of ours. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/memory.h"
#include "io/bytes.h"
#include "io/h5internal.h"
#include "io/h5lock.h"
#include "io/h5types.h"

static int open_in_hdf5(ivf_h5 *file)
{
    hid_t access = ivf_h5_internal_access(file);
    if (access >= 0)
        file->id = H5Fopen(file->path, H5F_ACC_RDONLY, access);
    int rc = file->id < 0 ? ivf_h5_internal_fail(file, MPIVF_CORRUPT, "cannot open", "as HDF5") : MPIVF_OK;
    (void)H5Pclose(access);
    return rc;
}

int ivf_h5_open(const char *path, ivf_h5 **file)
{
    struct stat info;
    *file = NULL;
    /* Without O_NONBLOCK a pipe of that name would keep us waiting for somebody to write. */
    int fd = ivf_fault("open") ? -1 : open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return ivf_fail_errno(errno, "%s: cannot open", path);
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        (void)close(fd);
        return ivf_fail(MPIVF_BAD_INPUT, "%s: is not a regular file", path);
    }
    ivf_h5 *made = ivf_h5_internal_new(path, fd);
    if (made == NULL)
        return MPIVF_FAILED;
    made->disk.bytes = (haddr_t)info.st_size;
    ivf_h5_lock();
    int rc = open_in_hdf5(made);
    ivf_h5_unlock();
    if (rc != MPIVF_OK) {
        ivf_h5_release(made);
        return rc;
    }
    *file = made;
    return MPIVF_OK;
}

void ivf_h5_release(ivf_h5 *file)
{
    if (file == NULL)
        return;
    ivf_h5_lock();
    (void)ivf_h5_internal_close(file);
    ivf_h5_unlock();
}

bool ivf_h5_has(ivf_h5 *file, const char *name)
{
    ivf_h5_lock();
    bool has = ivf_h5_internal_has(file->id, name, strlen(name));
    ivf_h5_unlock();
    return has;
}

static int describe_type(const ivf_h5 *file, hid_t dataset, ivf_array *array)
{
    hid_t type = H5Dget_type(dataset);
    bool known = type >= 0 && ivf_h5_type_element(type, &array->type);
    (void)H5Tclose(type);
    return known ? MPIVF_OK
                 : ivf_fail(MPIVF_CORRUPT, "%s: %s has elements of a type that mpivf does not write", file->path,
                            array->name);
}

static int describe_shape(const ivf_h5 *file, hid_t dataset, ivf_array *array)
{
    hsize_t dims[IVF_ARRAY_RANK] = {0};
    hid_t space = H5Dget_space(dataset);
    int rank = space >= 0 ? H5Sget_simple_extent_ndims(space) : -1;
    bool known = rank >= 1 && rank <= IVF_ARRAY_RANK && H5Sget_simple_extent_dims(space, dims, NULL) == rank;
    (void)H5Sclose(space);
    if (!known)
        return ivf_fail(MPIVF_CORRUPT, "%s: %s has %d dimensions; 1 to %d are possible", file->path, array->name, rank,
                        (int)IVF_ARRAY_RANK);
    array->rank = rank;
    for (int i = 0; i < rank; i++) {
        array->dims[i] = (int64_t)dims[i];
        if (dims[i] > INT64_MAX)
            return ivf_fail(MPIVF_CORRUPT, "%s: %s has %" PRIu64 " rows", file->path, array->name, (uint64_t)dims[i]);
    }
    return MPIVF_OK;
}

/* Bytes of an array whose dimensions nobody has checked; false when they exceed 63 bits. */
static bool count_bytes(const ivf_array *array, int64_t *bytes)
{
    *bytes = (int64_t)ivf_element_size(array->type);
    for (int i = 0; i < array->rank; i++)
        if (array->dims[i] == 0) {
            *bytes = 0;
            return true;
        }
    for (int i = 0; i < array->rank; i++)
        if (__builtin_mul_overflow(*bytes, array->dims[i], bytes))
            return false;
    return true;
}

static int describe_place(const ivf_h5 *file, hid_t dataset, const ivf_array *array, int64_t *offset)
{
    int64_t bytes = 0;
    hid_t list = H5Dget_create_plist(dataset);
    bool plain = list >= 0 && H5Pget_layout(list) == H5D_CONTIGUOUS && H5Pget_external_count(list) == 0 &&
                 H5Pget_nfilters(list) == 0;
    (void)H5Pclose(list);
    if (!plain)
        return ivf_fail(MPIVF_CORRUPT, "%s: %s is not one contiguous piece of the file", file->path, array->name);
    bool fits = count_bytes(array, &bytes);
    *offset = -1;
    if (fits && bytes == 0)
        return MPIVF_OK;
    haddr_t place = H5Dget_offset(dataset);
    if (!fits || place == HADDR_UNDEF || place > file->disk.bytes || (haddr_t)bytes > file->disk.bytes - place)
        return ivf_fail(MPIVF_CORRUPT, "%s: %s goes beyond the end of the file, which has %" PRIu64 " bytes",
                        file->path, array->name, (uint64_t)file->disk.bytes);
    *offset = (int64_t)place;
    return MPIVF_OK;
}

static int describe(ivf_h5 *file, const char *name, ivf_array *array, int64_t *offset)
{
    *array = (ivf_array){.name = name};
    if (!ivf_h5_internal_has(file->id, name, strlen(name)))
        return ivf_h5_internal_fail(file, MPIVF_CORRUPT, "there is no dataset", name);
    hid_t dataset = H5Dopen2(file->id, name, H5P_DEFAULT);
    if (dataset < 0)
        return ivf_h5_internal_fail(file, MPIVF_CORRUPT, "cannot open", name);
    int rc = describe_type(file, dataset, array);
    if (rc == MPIVF_OK)
        rc = describe_shape(file, dataset, array);
    if (rc == MPIVF_OK)
        rc = describe_place(file, dataset, array, offset);
    (void)H5Dclose(dataset);
    return rc;
}

int ivf_h5_describe(ivf_h5 *file, const char *name, ivf_array *array, int64_t *offset)
{
    ivf_h5_lock();
    int rc = ivf_fault("hdf5-read") ? MPIVF_FAILED : describe(file, name, array, offset);
    ivf_h5_unlock();
    return rc;
}

/* "f32[10][4]" */
static const char *shape_text(const ivf_array *array, char *text, size_t bytes)
{
    int used = snprintf(text, bytes, "%s", ivf_element_name(array->type));
    for (int i = 0; i < array->rank && used > 0 && (size_t)used < bytes; i++)
        used += snprintf(text + used, bytes - (size_t)used, "[%" PRId64 "]", array->dims[i]);
    return text;
}

static bool is_same_shape(const ivf_array *a, const ivf_array *b)
{
    bool same = a->type == b->type && a->rank == b->rank;
    for (int i = 0; same && i < a->rank; i++)
        same = a->dims[i] == b->dims[i];
    return same;
}

/* A scalar attribute of a group or dataset, and its type; negative when there is none. */
static hid_t open_attribute(hid_t object, const char *name, hid_t *type)
{
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    hid_t space = H5Aget_space(attribute);
    bool scalar = space >= 0 && H5Sget_simple_extent_npoints(space) == 1;
    *type = scalar ? H5Aget_type(attribute) : H5I_INVALID_HID;
    (void)H5Sclose(space);
    if (*type >= 0)
        return attribute;
    (void)H5Aclose(attribute);
    return H5I_INVALID_HID;
}

static int read_checksum(const ivf_h5 *file, const char *name, uint64_t *checksum)
{
    hid_t type = H5I_INVALID_HID;
    if (!ivf_h5_internal_has(file->id, name, strlen(name)))
        return ivf_h5_internal_fail(file, MPIVF_CORRUPT, "there is no dataset", name);
    hid_t dataset = H5Dopen2(file->id, name, H5P_DEFAULT);
    hid_t attribute = open_attribute(dataset, IVF_H5_CHECKSUM, &type);
    int rc = MPIVF_OK;
    if (attribute < 0 || H5Tequal(type, H5T_STD_U64LE) <= 0 || H5Aread(attribute, H5T_NATIVE_UINT64, checksum) < 0)
        rc = ivf_h5_internal_fail(file, MPIVF_CORRUPT, "cannot read the checksum of", name);
    (void)H5Tclose(type);
    (void)H5Aclose(attribute);
    (void)H5Dclose(dataset);
    return rc;
}

int ivf_h5_read_checksum(ivf_h5 *file, const char *name, uint64_t *checksum)
{
    ivf_h5_lock();
    int rc = read_checksum(file, name, checksum);
    ivf_h5_unlock();
    return rc;
}

int ivf_h5_read_bytes(ivf_h5 *file, int64_t offset, size_t bytes, void *to)
{
    size_t got = 0;
    int wrong = ivf_bytes_read(file->disk.fd, to, bytes, offset, &got);
    if (wrong != 0)
        return ivf_fail_errno(wrong, "%s: cannot read %zu bytes from byte %" PRId64, file->path, bytes, offset);
    if (got < bytes)
        return ivf_fail(MPIVF_CORRUPT, "%s: ends after %zu of the %zu bytes from byte %" PRId64, file->path, got, bytes,
                        offset);
    return MPIVF_OK;
}

int ivf_h5_locate(ivf_h5 *file, const ivf_array *array, int64_t *offset)
{
    char is[128];
    char should[128];
    ivf_array found;
    int rc = ivf_h5_describe(file, array->name, &found, offset);
    if (rc != MPIVF_OK || is_same_shape(&found, array))
        return rc;
    return ivf_fail(MPIVF_CORRUPT, "%s: %s is %s; it should be %s", file->path, array->name,
                    shape_text(&found, is, sizeof is), shape_text(array, should, sizeof should));
}

int ivf_h5_read(ivf_h5 *file, const ivf_array *array)
{
    int64_t offset = -1;
    uint64_t checksum = 0;
    int rc = ivf_h5_locate(file, array, &offset);
    size_t bytes = rc == MPIVF_OK ? ivf_array_bytes(array) : 0;
    if (rc == MPIVF_OK)
        rc = ivf_h5_read_checksum(file, array->name, &checksum);
    if (rc == MPIVF_OK && bytes > 0)
        rc = ivf_h5_read_bytes(file, offset, bytes, array->data);
    if (rc == MPIVF_OK && ivf_hash64(array->data, bytes) != checksum)
        rc = ivf_fail(MPIVF_CORRUPT, "%s: the contents of %s do not have its checksum; they were changed", file->path,
                      array->name);
    return rc;
}

/* A string of fixed length that fits in the file; 0 is returned for anything else. */
static size_t text_size(const ivf_h5 *file, hid_t type)
{
    if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0)
        return 0;
    size_t bytes = H5Tget_size(type);
    return bytes <= file->disk.bytes ? bytes : 0;
}

static int read_text(const ivf_h5 *file, const char *name, char **value)
{
    hid_t type = H5I_INVALID_HID;
    hid_t attribute = open_attribute(file->id, name, &type);
    if (attribute < 0)
        return ivf_h5_internal_fail(file, MPIVF_CORRUPT, "there is no attribute", name);
    int rc = MPIVF_OK;
    size_t bytes = text_size(file, type);
    char *text = bytes > 0 ? ivf_new_zero(bytes + 1, 1) : NULL;
    if (bytes == 0)
        rc = ivf_fail(MPIVF_CORRUPT, "%s: the attribute %s is no text of fixed length", file->path, name);
    else if (text == NULL)
        rc = MPIVF_FAILED;
    else if (H5Aread(attribute, type, text) < 0)
        rc = ivf_h5_internal_fail(file, MPIVF_CORRUPT, "cannot read the attribute", name);
    if (rc == MPIVF_OK)
        *value = text;
    else
        ivf_free(text);
    (void)H5Tclose(type);
    (void)H5Aclose(attribute);
    return rc;
}

int ivf_h5_read_text(ivf_h5 *file, const char *name, char **value)
{
    *value = NULL;
    ivf_h5_lock();
    int rc = read_text(file, name, value);
    ivf_h5_unlock();
    return rc;
}

static int read_i64(const ivf_h5 *file, const char *name, int64_t *value)
{
    hid_t type = H5I_INVALID_HID;
    hid_t attribute = open_attribute(file->id, name, &type);
    if (attribute < 0)
        return ivf_h5_internal_fail(file, MPIVF_CORRUPT, "there is no attribute", name);
    int rc = MPIVF_OK;
    if (H5Tequal(type, H5T_STD_I64LE) <= 0)
        rc = ivf_fail(MPIVF_CORRUPT, "%s: the attribute %s is no 64-bit integer", file->path, name);
    else if (H5Aread(attribute, H5T_NATIVE_INT64, value) < 0)
        rc = ivf_h5_internal_fail(file, MPIVF_CORRUPT, "cannot read the attribute", name);
    (void)H5Tclose(type);
    (void)H5Aclose(attribute);
    return rc;
}

int ivf_h5_read_i64(ivf_h5 *file, const char *name, int64_t *value)
{
    ivf_h5_lock();
    int rc = read_i64(file, name, value);
    ivf_h5_unlock();
    return rc;
}
