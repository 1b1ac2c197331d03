/* Writing of HDF5 files, for models, fragments and results. HDF5 is asked for names, shapes and places only; arrays are
 * written at their place by pwrite, so that a full disk shows as such, no buffer copies them, and the lock is not held
 * meanwhile. Memory: HDF5's cache of metadata, a few KiB. */
#include "io/h5.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/bytes.h"
#include "io/h5internal.h"
#include "io/h5lock.h"
#include "io/h5types.h"

enum { ALIGNMENT = 4096, HURRY_BYTES = 1 << 20 };

ivf_h5 *ivf_h5_internal_new(const char *path, int fd)
{
    ivf_h5 *file = ivf_new_zero(1, sizeof *file);
    char *copy = file != NULL ? ivf_text_copy(path) : NULL;
    if (copy == NULL) {
        ivf_free(file);
        (void)close(fd);
        return NULL;
    }
    file->path = copy;
    file->id = H5I_INVALID_HID;
    file->disk.fd = fd;
    return file;
}

hid_t ivf_h5_internal_access(ivf_h5 *file)
{
    hid_t fapl = H5Pcreate(H5P_FILE_ACCESS);
    if (ivf_h5_driver_use(fapl, &file->disk) < 0 || H5Pset_libver_bounds(fapl, H5F_LIBVER_V18, H5F_LIBVER_V18) < 0 ||
        H5Pset_alignment(fapl, 1, ALIGNMENT) < 0) {
        (void)H5Pclose(fapl);
        return H5I_INVALID_HID;
    }
    return fapl;
}

int ivf_h5_internal_close(ivf_h5 *file)
{
    /* HDF5 never sees a write fail, so this fails only when HDF5 itself is broken: it may then still look at the disk
     * when the program ends, and the small block has to stay. */
    bool closed = file->id < 0 || H5Fclose(file->id) >= 0;
    int wrong = closed || file->disk.wrong != 0 ? file->disk.wrong : EIO;
    if (close(file->disk.fd) != 0 && wrong == 0)
        wrong = errno;
    file->disk.fd = -1;
    file->disk.wrong = ECANCELED;
    ivf_free(file->path);
    file->path = NULL;
    if (closed)
        ivf_free(file);
    return wrong;
}

int ivf_h5_internal_fail(const ivf_h5 *file, int code, const char *what, const char *name)
{
    char reason[256];
    if (file->disk.wrong != 0)
        return ivf_fail_errno(file->disk.wrong, "%s: %s %s", file->path, what, name);
    if (H5Eget_num(H5E_DEFAULT) <= 0)
        return ivf_fail(code, "%s: %s %s", file->path, what, name);
    return ivf_fail(code, "%s: %s %s: %s", file->path, what, name, ivf_h5_reason(reason, sizeof reason));
}

bool ivf_h5_internal_has(hid_t id, const char *name, size_t length)
{
    char *part = ivf_new(length + 1, 1);
    bool has = part != NULL && length > 0 && name[0] != '/';
    for (size_t end = 1; has && end <= length; end++) {
        H5L_info_t info;
        if (end < length && name[end] != '/')
            continue;
        memcpy(part, name, end);
        part[end] = '\0';
        has = H5Lexists(id, part, H5P_DEFAULT) > 0 && H5Lget_info(id, part, &info, H5P_DEFAULT) >= 0 &&
              info.type == H5L_TYPE_HARD;
    }
    ivf_free(part);
    return has;
}

/* A creation list without the time stamps that HDF5 gives new objects; negative on failure. */
static hid_t list_without_times(hid_t class_id)
{
    hid_t list = H5Pcreate(class_id);
    if (list >= 0 && H5Pset_obj_track_times(list, false) < 0) {
        (void)H5Pclose(list);
        return H5I_INVALID_HID;
    }
    return list;
}

static int create_in_hdf5(ivf_h5 *file)
{
    hid_t access = ivf_h5_internal_access(file);
    hid_t creation = list_without_times(H5P_FILE_CREATE);
    int rc = MPIVF_OK;
    if (access >= 0 && creation >= 0 && !ivf_fault("hdf5-file"))
        file->id = H5Fcreate(file->path, H5F_ACC_TRUNC, creation, access);
    if (file->id < 0 || file->disk.wrong != 0)
        rc = ivf_h5_internal_fail(file, MPIVF_FAILED, "cannot create", "the HDF5 file");
    (void)H5Pclose(creation);
    (void)H5Pclose(access);
    return rc;
}

int ivf_h5_create(const char *path, ivf_h5 **file)
{
    *file = NULL;
    int fd = ivf_fault("create") ? -1 : open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0)
        return ivf_fail_errno(errno, "%s: cannot create", path);
    ivf_h5 *made = ivf_h5_internal_new(path, fd);
    if (made == NULL) {
        (void)unlink(path);
        return MPIVF_FAILED;
    }
    ivf_h5_lock();
    int rc = create_in_hdf5(made);
    ivf_h5_unlock();
    if (rc != MPIVF_OK) {
        ivf_h5_abandon(made);
        return rc;
    }
    *file = made;
    return MPIVF_OK;
}

/* Groups are made one by one: those that HDF5 makes on its own for a long name carry time stamps. */
static herr_t make_group(hid_t file, const char *name, size_t length)
{
    char *group = ivf_new(length + 1, 1);
    hid_t creation = list_without_times(H5P_GROUP_CREATE);
    hid_t made = H5I_INVALID_HID;
    if (group != NULL && creation >= 0) {
        memcpy(group, name, length);
        group[length] = '\0';
        made = H5Gcreate2(file, group, H5P_DEFAULT, creation, H5P_DEFAULT);
    }
    ivf_free(group);
    (void)H5Pclose(creation);
    return made < 0 ? -1 : H5Gclose(made);
}

static herr_t make_groups(hid_t file, const char *name)
{
    for (const char *end = strchr(name, '/'); end != NULL; end = strchr(end + 1, '/')) {
        size_t length = (size_t)(end - name);
        if (!ivf_h5_internal_has(file, name, length) && make_group(file, name, length) < 0)
            return -1;
    }
    return 0;
}

static hid_t make_space(const ivf_array *array)
{
    hsize_t dims[IVF_ARRAY_RANK] = {0};
    for (int i = 0; i < array->rank; i++)
        dims[i] = (hsize_t)array->dims[i];
    return H5Screate_simple(array->rank, dims, NULL);
}

/* Contiguous, its place given out at once, and never filled: all of it is going to be written. */
static hid_t make_layout(void)
{
    hid_t list = list_without_times(H5P_DATASET_CREATE);
    if (H5Pset_layout(list, H5D_CONTIGUOUS) < 0 || H5Pset_alloc_time(list, H5D_ALLOC_TIME_EARLY) < 0 ||
        H5Pset_fill_time(list, H5D_FILL_TIME_NEVER) < 0) {
        (void)H5Pclose(list);
        return H5I_INVALID_HID;
    }
    return list;
}

/* HDF5 has checksums for its metadata, but none for the contents of arrays. */
static herr_t note_checksum(hid_t dataset, uint64_t checksum)
{
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(dataset, IVF_H5_CHECKSUM, H5T_STD_U64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    herr_t written = attribute < 0 ? -1 : H5Awrite(attribute, H5T_NATIVE_UINT64, &checksum);
    (void)H5Aclose(attribute);
    (void)H5Sclose(space);
    return written;
}

/* *place is HADDR_UNDEF when the array has no bytes. *dataset is left open. */
static int make_dataset(ivf_h5 *file, const ivf_array *array, hid_t *dataset, haddr_t *place)
{
    hid_t type = ivf_h5_type_make(array->type);
    hid_t space = make_space(array);
    hid_t layout = make_layout();
    *dataset = H5I_INVALID_HID;
    if (type >= 0 && space >= 0 && layout >= 0 && make_groups(file->id, array->name) >= 0)
        *dataset = H5Dcreate2(file->id, array->name, type, space, H5P_DEFAULT, layout, H5P_DEFAULT);
    int rc = MPIVF_OK;
    if (*dataset < 0 || ivf_fault("hdf5-dataset") || file->disk.wrong != 0)
        rc = ivf_h5_internal_fail(file, MPIVF_FAILED, "cannot create", array->name);
    else
        *place = H5Dget_offset(*dataset);
    (void)H5Pclose(layout);
    (void)H5Sclose(space);
    (void)H5Tclose(type);
    return rc;
}

/* A dataset, left open, and where its bytes go: -1 when it has none. */
static int begin_dataset(ivf_h5 *file, const ivf_array *array, hid_t *dataset, int64_t *offset)
{
    haddr_t place = HADDR_UNDEF;
    const size_t bytes = ivf_array_bytes(array);
    *offset = -1;
    ivf_h5_lock();
    int rc = make_dataset(file, array, dataset, &place);
    ivf_h5_unlock();
    if (rc != MPIVF_OK || bytes == 0)
        return rc;
    if (place == HADDR_UNDEF || place > (haddr_t)INT64_MAX - bytes)
        return ivf_fail(MPIVF_FAILED, "%s: HDF5 gave %s no place in the file", file->path, array->name);
    *offset = (int64_t)place;
    return MPIVF_OK;
}

/* With its checksum, unless that is NULL or `rc` says that something failed. */
static int end_dataset(ivf_h5 *file, const char *name, hid_t dataset, const uint64_t *checksum, int rc)
{
    ivf_h5_lock();
    if (rc == MPIVF_OK && checksum != NULL && (note_checksum(dataset, *checksum) < 0 || file->disk.wrong != 0))
        rc = ivf_h5_internal_fail(file, MPIVF_FAILED, "cannot note the checksum of", name);
    (void)H5Dclose(dataset);
    ivf_h5_unlock();
    return rc;
}

/* Each slice is written while it is in the cache for its checksum. */
static int write_bytes(ivf_h5 *file, const ivf_array *array, int64_t offset, uint64_t *checksum)
{
    enum { SLICE = 512 << 10 };
    const size_t bytes = ivf_array_bytes(array);
    const char *data = array->data;
    ivf_hasher *hasher = ivf_hasher_new();
    if (hasher == NULL)
        return MPIVF_FAILED;
    for (size_t done = 0; file->disk.wrong == 0 && done < bytes; done += SLICE) {
        const size_t n = bytes - done < SLICE ? bytes - done : SLICE;
        ivf_hasher_add(hasher, data + done, n);
        file->disk.wrong = ivf_bytes_write(file->disk.fd, data + done, n, offset + (int64_t)done);
    }
    *checksum = ivf_hasher_end(hasher);
    ivf_hasher_free(hasher);
    if (file->disk.wrong != 0)
        return ivf_fail_errno(file->disk.wrong, "%s: cannot write %s, %zu bytes", file->path, array->name, bytes);
    if (bytes >= HURRY_BYTES) /* on its way to the disk while the rest is prepared: it will be made durable */
        (void)sync_file_range(file->disk.fd, offset, (off64_t)bytes, SYNC_FILE_RANGE_WRITE);
    return MPIVF_OK;
}

int ivf_h5_write(ivf_h5 *file, const ivf_array *array)
{
    int64_t place = -1;
    return ivf_h5_write_told(file, array, &place);
}

int ivf_h5_write_told(ivf_h5 *file, const ivf_array *array, int64_t *offset)
{
    uint64_t checksum = 0;
    hid_t dataset = H5I_INVALID_HID;
    int rc = begin_dataset(file, array, &dataset, offset);
    if (rc == MPIVF_OK)
        rc = write_bytes(file, array, *offset, &checksum);
    return end_dataset(file, array->name, dataset, &checksum, rc);
}

int ivf_h5_reserve(ivf_h5 *file, const ivf_array *array, int64_t *offset)
{
    hid_t dataset = H5I_INVALID_HID;
    const int rc = begin_dataset(file, array, &dataset, offset);
    return end_dataset(file, array->name, dataset, NULL, rc);
}

int ivf_h5_seal(ivf_h5 *file, const char *name, uint64_t checksum)
{
    ivf_h5_lock();
    const hid_t dataset = H5Dopen2(file->id, name, H5P_DEFAULT);
    ivf_h5_unlock();
    return end_dataset(file, name, dataset, &checksum, MPIVF_OK);
}

/* A scalar attribute of the root group; takes over `type`. */
static int write_attribute(ivf_h5 *file, const char *name, hid_t type, const void *value)
{
    hid_t attribute = H5I_INVALID_HID;
    ivf_h5_lock();
    hid_t space = H5Screate(H5S_SCALAR);
    if (type >= 0 && space >= 0)
        attribute = H5Acreate2(file->id, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    int rc = MPIVF_OK;
    if (attribute < 0 || ivf_fault("hdf5-attribute") || H5Awrite(attribute, type, value) < 0 || file->disk.wrong != 0)
        rc = ivf_h5_internal_fail(file, MPIVF_FAILED, "cannot write the attribute", name);
    (void)H5Aclose(attribute);
    (void)H5Sclose(space);
    (void)H5Tclose(type);
    ivf_h5_unlock();
    return rc;
}

int ivf_h5_write_text(ivf_h5 *file, const char *name, const char *value)
{
    ivf_h5_lock();
    hid_t type = H5Tcopy(H5T_C_S1);
    if (H5Tset_size(type, strlen(value) + 1) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0) {
        (void)H5Tclose(type);
        type = H5I_INVALID_HID;
    }
    ivf_h5_unlock();
    return write_attribute(file, name, type, value);
}

int ivf_h5_write_i64(ivf_h5 *file, const char *name, int64_t value)
{
    ivf_h5_lock();
    hid_t type = H5Tcopy(H5T_STD_I64LE);
    ivf_h5_unlock();
    return write_attribute(file, name, type, &value);
}

int ivf_h5_close(ivf_h5 *file)
{
    char *path = ivf_text_copy(file->path);
    if (path == NULL) {
        ivf_h5_abandon(file);
        return MPIVF_FAILED;
    }
    ivf_h5_lock();
    int wrong = ivf_h5_internal_close(file);
    ivf_h5_unlock();
    int rc = MPIVF_OK;
    if (wrong != 0) {
        rc = ivf_fail_errno(wrong, "%s: cannot finish the file", path);
        (void)unlink(path);
    }
    ivf_free(path);
    return rc;
}

void ivf_h5_abandon(ivf_h5 *file)
{
    if (file == NULL)
        return;
    (void)unlink(file->path);
    file->disk.wrong = ECANCELED;
    ivf_h5_lock();
    (void)ivf_h5_internal_close(file);
    ivf_h5_unlock();
}
