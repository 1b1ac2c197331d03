#include "io/h5truth.h"

#include <inttypes.h>
#include <limits.h>

#include "base/error.h"
#include "base/memory.h"
#include "io/h5facts.h"
#include "io/h5lock.h"

/* The strongest compression of HDF5's own filters, deflate, makes one byte of 1032: what claims more elements than this
 * for each byte of its file is damaged. */
static const hsize_t ELEMENTS_PER_BYTE = 1024;

/* HDF5 holds a chunk in memory whole. */
static const hsize_t CHUNK_ELEMENTS_MOST = 1 << 25;

static int check_form(const ivf_rawfile *file, const char *name, const ivf_h5_facts *f)
{
    if (f->rank != 2)
        return ivf_fail(MPIVF_BAD_INPUT, "ground truth %s: dataset '%s' has %d dimensions; it needs 2, [queries][k]",
                        file->path, name, f->rank);
    if (f->dims[0] < 1 || f->dims[1] < 1 || f->dims[1] > INT_MAX)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "ground truth %s: dataset '%s' has %" PRIu64 " queries with %" PRIu64 " neighbours each",
                        file->path, name, (uint64_t)f->dims[0], (uint64_t)f->dims[1]);
    if (f->layout == H5D_VIRTUAL || f->external)
        return ivf_fail(MPIVF_BAD_INPUT, "ground truth %s: dataset '%s' lies in other files", file->path, name);
    if (f->dims[0] > ELEMENTS_PER_BYTE * (hsize_t)file->bytes / f->dims[1])
        return ivf_fail(MPIVF_BAD_INPUT,
                        "ground truth %s: dataset '%s' claims %" PRIu64 " queries with %" PRIu64
                        " neighbours each, which its %" PRId64 " bytes cannot hold: it is damaged",
                        file->path, name, (uint64_t)f->dims[0], (uint64_t)f->dims[1], file->bytes);
    if (f->layout == H5D_CHUNKED && f->chunk[0] > CHUNK_ELEMENTS_MOST / f->chunk[1])
        return ivf_fail(MPIVF_BAD_INPUT,
                        "ground truth %s: dataset '%s' has chunks of %" PRIu64 " by %" PRIu64
                        " elements; rewrite it with h5repack and smaller chunks",
                        file->path, name, (uint64_t)f->chunk[0], (uint64_t)f->chunk[1]);
    return MPIVF_OK;
}

static bool has_class(hid_t dataset, H5T_class_t wanted)
{
    hid_t type = H5Dget_type(dataset);
    bool has = type >= 0 && H5Tget_class(type) == wanted;
    (void)H5Tclose(type);
    return has;
}

static int fail_reading(const ivf_rawfile *file, const ivf_h5_disk *disk, const char *name)
{
    char reason[256];
    if (disk->wrong != 0)
        return ivf_fail_errno(disk->wrong, "ground truth %s: reading dataset '%s'", file->path, name);
    return ivf_fail(MPIVF_BAD_INPUT, "ground truth %s: dataset '%s' cannot be read: %s", file->path, name,
                    ivf_h5_reason(reason, sizeof reason));
}

/* What is read, and as what. */
typedef struct {
    const char *name;
    H5T_class_t class;
    const char *wanted; /* the class in words */
    hid_t memory_type;
    size_t size; /* of an element in memory */
} column;

static int check_dataset(const ivf_rawfile *file, const ivf_h5_disk *disk, hid_t dataset, const column *c,
                         ivf_h5_facts *f)
{
    if (!has_class(dataset, c->class))
        return ivf_fail(MPIVF_BAD_INPUT, "ground truth %s: dataset '%s' does not hold %s", file->path, c->name,
                        c->wanted);
    if (!ivf_h5_facts_gather_form(dataset, f))
        return fail_reading(file, disk, c->name);
    int rc = check_form(file, c->name, f);
    if (rc != MPIVF_OK)
        return rc;
    ivf_h5_facts_gather_storage(disk, dataset, f);
    if (!f->written)
        return ivf_fail(MPIVF_BAD_INPUT, "ground truth %s: dataset '%s' was never written, or not to its end",
                        file->path, c->name);
    if (f->layout == H5D_CHUNKED && f->stored > (hsize_t)file->bytes)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "ground truth %s: the chunks of dataset '%s' claim %" PRIu64 " bytes of the file's %" PRId64
                        ": it is damaged",
                        file->path, c->name, (uint64_t)f->stored, file->bytes);
    if (!f->fits)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "ground truth %s: the %" PRIu64 " bytes of dataset '%s' are not those of %" PRIu64
                        " queries with %" PRIu64 " neighbours each: it is damaged",
                        file->path, (uint64_t)f->stored, c->name, (uint64_t)f->dims[0], (uint64_t)f->dims[1]);
    return MPIVF_OK;
}

/* A whole dataset into a new block. */
static int read_column(const ivf_rawfile *file, const ivf_h5_disk *disk, hid_t handle, const column *c, hsize_t dims[2],
                       void **values)
{
    ivf_h5_facts f = {0};
    *values = NULL;
    hid_t dataset = H5Dopen2(handle, c->name, H5P_DEFAULT);
    if (dataset < 0)
        return fail_reading(file, disk, c->name);
    int rc = check_dataset(file, disk, dataset, c, &f);
    dims[0] = f.dims[0];
    dims[1] = f.dims[1];
    if (rc == MPIVF_OK) {
        *values = ivf_new(f.dims[0] * f.dims[1], c->size);
        rc = *values != NULL ? MPIVF_OK : MPIVF_FAILED;
    }
    if (rc == MPIVF_OK && H5Dread(dataset, c->memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, *values) < 0)
        rc = fail_reading(file, disk, c->name);
    (void)H5Dclose(dataset);
    return rc;
}

static int read_columns(const ivf_rawfile *file, const ivf_h5_disk *disk, hid_t handle, ivf_groundtruth *truth)
{
    const column neighbors = {"neighbors", H5T_INTEGER, "integers", H5T_NATIVE_INT64, sizeof *truth->ids};
    const column distances = {"distances", H5T_FLOAT, "floats", H5T_NATIVE_FLOAT, sizeof *truth->distances};
    hsize_t dims[2] = {0};
    hsize_t other[2] = {0};
    void *values = NULL;
    int rc = read_column(file, disk, handle, &neighbors, dims, &values);
    truth->ids = values;
    truth->queries = (int64_t)dims[0];
    truth->k = (int)dims[1];
    if (rc != MPIVF_OK || H5Lexists(handle, distances.name, H5P_DEFAULT) <= 0)
        return rc;
    rc = read_column(file, disk, handle, &distances, other, &values);
    truth->distances = values;
    if (rc == MPIVF_OK && (other[0] != dims[0] || other[1] != dims[1]))
        rc = ivf_fail(MPIVF_BAD_INPUT,
                      "ground truth %s: neighbors are [%" PRIu64 "][%" PRIu64 "], but distances are [%" PRIu64
                      "][%" PRIu64 "]",
                      file->path, (uint64_t)dims[0], (uint64_t)dims[1], (uint64_t)other[0], (uint64_t)other[1]);
    return rc;
}

/* Of a dataset, as its elements are in memory, and of its chunks: HDF5 holds one as it is in the file, and inflated. */
static int64_t memory_of(hid_t handle, const char *name, hsize_t size)
{
    enum { LARGEST_ELEMENT = 8 };
    ivf_h5_facts f = {0};
    hsize_t bytes = 0;
    hsize_t chunk = 0;
    if (H5Lexists(handle, name, H5P_DEFAULT) <= 0)
        return 0;
    hid_t dataset = H5Dopen2(handle, name, H5P_DEFAULT);
    bool fits = dataset >= 0 && ivf_h5_facts_gather_form(dataset, &f) && f.rank == 2 && f.dims[1] <= INT_MAX &&
                !__builtin_mul_overflow(f.dims[0], f.dims[1] * size, &bytes);
    if (fits && f.layout == H5D_CHUNKED)
        fits = f.chunk[1] <= INT_MAX && !__builtin_mul_overflow(f.chunk[0], f.chunk[1] * 2 * LARGEST_ELEMENT, &chunk);
    if (dataset >= 0)
        (void)H5Dclose(dataset);
    return fits && bytes < INT64_MAX / 4 && chunk < INT64_MAX / 4 ? (int64_t)(bytes + chunk) : 0;
}

int64_t ivf_h5truth_memory(const ivf_rawfile *file)
{
    enum { BUFFERS = 2 << 20 }; /* HDF5's own, of a chunk cache and for conversions */
    int64_t bytes = 0;
    ivf_h5_disk disk = {.fd = file->fd, .bytes = (haddr_t)file->bytes};
    ivf_h5_lock();
    hid_t handle = ivf_h5_facts_open(file->path, &disk);
    if (handle >= 0) {
        bytes =
            BUFFERS + memory_of(handle, "neighbors", sizeof(int64_t)) + memory_of(handle, "distances", sizeof(float));
        (void)H5Fclose(handle);
    }
    ivf_h5_unlock();
    return bytes;
}

int ivf_h5truth_read(const ivf_rawfile *file, ivf_groundtruth *truth)
{
    char reason[256];
    int rc = MPIVF_OK;
    ivf_h5_disk disk = {.fd = file->fd, .bytes = (haddr_t)file->bytes};
    ivf_h5_lock();
    hid_t handle = ivf_h5_facts_open(file->path, &disk);
    if (handle < 0)
        rc = ivf_fail(MPIVF_BAD_INPUT, "ground truth %s is no readable HDF5 file: %s", file->path,
                      ivf_h5_reason(reason, sizeof reason));
    else
        rc = read_columns(file, &disk, handle, truth);
    if (handle >= 0)
        (void)H5Fclose(handle);
    ivf_h5_unlock();
    return rc;
}
