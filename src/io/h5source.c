#include "io/h5source.h"

#include <hdf5.h>
#include <inttypes.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "io/formats.h"
#include "io/h5facts.h"
#include "io/h5lock.h"
#include "io/h5types.h"

/* A chunk is held in memory whole; beyond this a file is better rewritten than read. */
static const size_t CHUNKS_MOST = (size_t)256 << 20;

struct ivf_h5source {
    const ivf_rawfile *file; /* borrowed */
    const char *h5_path;     /* borrowed */
    const ivf_layout *layout;
    int rank;
    ivf_h5_disk disk; /* below `handle` */
    hid_t handle;
    hid_t dataset;
    hid_t space;
    hid_t type; /* of rows in memory */
};

static herr_t list_name(hid_t group, const char *name, const H5L_info_t *info, void *arg)
{
    ivf_text *names = arg;
    (void)group;
    (void)info;
    ivf_text_add(names, "%s%s", names->length > 0 ? ", " : "", name);
    return names->length > 300 || names->failed;
}

/* What H5Dopen2 did not open just now. */
static int refuse_name(const ivf_rawfile *file, hid_t handle, const char *h5_path)
{
    char reason[256];
    ivf_text names = {0};
    (void)ivf_h5_reason(reason, sizeof reason);
    if (H5Lexists(handle, h5_path, H5P_DEFAULT) > 0)
        return ivf_fail(MPIVF_BAD_INPUT, "input %s: dataset '%s' cannot be opened: %s", file->path, h5_path, reason);
    (void)H5Literate(handle, H5_INDEX_NAME, H5_ITER_INC, NULL, list_name, &names);
    int rc = ivf_fail(MPIVF_BAD_INPUT, "input %s has no dataset '%s'; at its top it has: %.400s", file->path, h5_path,
                      names.length > 0 ? names.text : "nothing");
    ivf_text_free(&names);
    return rc;
}

/* Under the lock. */
static int gather_facts(const ivf_rawfile *file, const char *h5_path, ivf_contents contents, ivf_h5_facts *f)
{
    char reason[256];
    ivf_h5_disk disk = {.fd = file->fd, .bytes = (haddr_t)file->bytes};
    hid_t handle = ivf_h5_facts_open(file->path, &disk);
    if (handle < 0)
        return ivf_fail(MPIVF_BAD_INPUT, "input %s is no readable HDF5 file: %s", file->path,
                        ivf_h5_reason(reason, sizeof reason));
    int rc = MPIVF_OK;
    hid_t dataset = H5Dopen2(handle, h5_path, H5P_DEFAULT);
    if (dataset < 0)
        rc = refuse_name(file, handle, h5_path);
    else if (!ivf_h5_facts_gather(&disk, dataset, contents, f))
        rc = ivf_fail(MPIVF_BAD_INPUT, "input %s: dataset '%s' cannot be read: %s", file->path, h5_path,
                      ivf_h5_reason(reason, sizeof reason));
    if (dataset >= 0)
        (void)H5Dclose(dataset);
    (void)H5Fclose(handle);
    return rc;
}

/* Datasets whose rows might not be what the user thinks: HDF5 reads what was never written, or lies in a missing other
 * file, as zeros without a word. */
static int check_presence(const ivf_rawfile *file, const char *h5_path, const ivf_h5_facts *f)
{
    if (f->layout == H5D_VIRTUAL || f->external)
        return ivf_fail(MPIVF_BAD_INPUT, "input %s: dataset '%s' lies in other files; name those instead", file->path,
                        h5_path);
    if (!f->written)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "input %s: dataset '%s' was never written, or not to its end; if zeros are meant, rewrite it "
                        "with h5repack",
                        file->path, h5_path);
    if (f->layout == H5D_CHUNKED && f->stored > (hsize_t)file->bytes)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "input %s: the chunks of dataset '%s' claim %" PRIu64 " bytes of the file's %" PRId64
                        ": it is damaged",
                        file->path, h5_path, (uint64_t)f->stored, file->bytes);
    if (!f->fits)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "input %s: the %" PRIu64 " bytes of dataset '%s' are not those of its %" PRIu64
                        " rows: it is damaged",
                        file->path, (uint64_t)f->stored, h5_path, (uint64_t)f->dims[0]);
    if (f->layout == H5D_CHUNKED && ivf_h5_facts_chunk_row(f) > CHUNKS_MOST)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "input %s: a row of chunks of dataset '%s' takes %zu bytes, beyond the limit of %zu; rewrite "
                        "it with h5repack and smaller chunks",
                        file->path, h5_path, ivf_h5_facts_chunk_row(f), CHUNKS_MOST);
    return MPIVF_OK;
}

static int check_shape(const ivf_rawfile *file, const char *h5_path, ivf_contents contents, const ivf_h5_facts *f)
{
    const int rank = contents == IVF_VECTORS ? 2 : 1;
    if (!f->known)
        return ivf_fail(MPIVF_BAD_INPUT, "input %s: dataset '%s' holds %s; %s", file->path, h5_path, f->type_words,
                        rank == 2 ? "vectors need float32, float64, float16, uint8 or int8"
                                  : "ids need int64 or uint64");
    if (f->rank != rank)
        return ivf_fail(MPIVF_BAD_INPUT, "input %s: dataset '%s' has %d dimensions; %s", file->path, h5_path, f->rank,
                        rank == 2 ? "vectors need 2, [rows][d]" : "ids need 1, [rows]");
    if (f->dims[0] > INT64_MAX / 8)
        return ivf_fail(MPIVF_BAD_INPUT, "input %s: dataset '%s' claims %" PRIu64 " rows: it is damaged", file->path,
                        h5_path, (uint64_t)f->dims[0]);
    if (rank == 2 && f->dims[0] > 0 && (f->dims[1] < 1 || f->dims[1] > IVF_D_MOST))
        return ivf_fail(MPIVF_BAD_INPUT, "input %s: dataset '%s' has d = %" PRIu64 ", beyond 1..%d", file->path,
                        h5_path, (uint64_t)f->dims[1], IVF_D_MOST);
    return MPIVF_OK;
}

/* Contiguous: all rows inside the file; where pread finds them, if they are native. */
static int find_offset(const ivf_rawfile *file, const char *h5_path, const ivf_h5_facts *f, ivf_layout *layout)
{
    layout->offset = -1;
    if (f->layout != H5D_CONTIGUOUS || f->offset == HADDR_UNDEF)
        return MPIVF_OK;
    if (f->offset > (haddr_t)file->bytes || f->stored > (hsize_t)file->bytes - f->offset)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "input %s: dataset '%s' of %" PRId64 " rows of d = %" PRId32 " does not fit the file's %" PRId64
                        " bytes: it was cut short, or is damaged",
                        file->path, h5_path, layout->rows, layout->d, file->bytes);
    if (f->native)
        layout->offset = (int64_t)f->offset;
    return MPIVF_OK;
}

int ivf_h5source_probe(const ivf_rawfile *file, const char *h5_path, ivf_contents contents, ivf_layout *layout)
{
    ivf_h5_facts f = {0};
    if (h5_path == NULL)
        return ivf_fail(MPIVF_BAD_INPUT, "input %s is HDF5, so that the name of a dataset inside it is needed",
                        file->path);
    ivf_h5_lock();
    int rc = gather_facts(file, h5_path, contents, &f);
    ivf_h5_unlock();
    if (rc == MPIVF_OK)
        rc = check_shape(file, h5_path, contents, &f);
    if (rc != MPIVF_OK)
        return rc;
    layout->type = f.type;
    layout->rows = (int64_t)f.dims[0];
    if (layout->rows == 0)
        return MPIVF_OK;
    layout->d = f.rank == 2 ? (int32_t)f.dims[1] : 1;
    rc = check_presence(file, h5_path, &f);
    if (rc == MPIVF_OK && f.layout == H5D_CHUNKED) {
        layout->chunks = (int64_t)ivf_h5_facts_chunk_row(&f);
        layout->held = layout->chunks <= (int64_t)(CHUNKS_MOST / 2) ? 2 : 1;
    }
    return rc == MPIVF_OK ? find_offset(file, h5_path, &f, layout) : rc;
}

/* A dataset with a cache for one or two rows of its chunks, so that pieces which begin inside a chunk do not decompress
 * it again. */
static hid_t open_dataset(hid_t handle, const char *h5_path, const ivf_layout *layout)
{
    ivf_h5_facts f = {0};
    hid_t dataset = H5Dopen2(handle, h5_path, H5P_DEFAULT);
    if (dataset < 0)
        return dataset;
    const bool known = ivf_h5_facts_gather_form(dataset, &f);
    if (known && f.layout != H5D_CHUNKED)
        return dataset;
    (void)H5Dclose(dataset);
    if (!known)
        return H5I_INVALID_HID;
    const size_t cache = (size_t)ivf_source_kept(layout);
    hid_t access = H5Pcreate(H5P_DATASET_ACCESS);
    if (access < 0)
        return access;
    dataset = H5I_INVALID_HID;
    if (H5Pset_chunk_cache(access, 4099, cache > 1 << 20 ? cache : 1 << 20, 1.0) >= 0)
        dataset = H5Dopen2(handle, h5_path, access);
    (void)H5Pclose(access);
    return dataset;
}

/* Under the lock. */
static void close_handles(ivf_h5source *source)
{
    if (source->type >= 0)
        (void)H5Tclose(source->type);
    if (source->space >= 0)
        (void)H5Sclose(source->space);
    if (source->dataset >= 0)
        (void)H5Dclose(source->dataset);
    if (source->handle >= 0)
        (void)H5Fclose(source->handle);
}

/* Under the lock. */
static int open_handles(ivf_h5source *source)
{
    source->handle = ivf_h5_facts_open(source->file->path, &source->disk);
    if (source->handle >= 0)
        source->dataset = open_dataset(source->handle, source->h5_path, source->layout);
    if (source->dataset >= 0)
        source->space = H5Dget_space(source->dataset);
    if (source->space >= 0)
        source->type = ivf_h5_type_make(source->layout->type);
    hsize_t dims[H5S_MAX_RANK] = {0};
    if (source->type >= 0)
        source->rank = H5Sget_simple_extent_dims(source->space, dims, NULL);
    const bool alike = (source->rank == 1 || (source->rank == 2 && dims[1] == (hsize_t)source->layout->d)) &&
                       dims[0] == (hsize_t)source->layout->rows;
    if (alike)
        return MPIVF_OK;
    char reason[256];
    (void)ivf_h5_reason(reason, sizeof reason);
    close_handles(source);
    return ivf_fail(MPIVF_BAD_INPUT, "input %s: dataset '%s' cannot be opened again, or has changed: %s",
                    source->file->path, source->h5_path, reason);
}

int ivf_h5source_open(const ivf_rawfile *file, const char *h5_path, const ivf_layout *layout, ivf_h5source **source)
{
    ivf_h5source *made = ivf_new(1, sizeof *made);
    *source = NULL;
    if (made == NULL)
        return MPIVF_FAILED;
    *made = (ivf_h5source){.file = file,
                           .h5_path = h5_path,
                           .layout = layout,
                           .disk = {.fd = file->fd, .bytes = (haddr_t)file->bytes},
                           .handle = H5I_INVALID_HID,
                           .dataset = H5I_INVALID_HID,
                           .space = H5I_INVALID_HID,
                           .type = H5I_INVALID_HID};
    ivf_h5_lock();
    int rc = open_handles(made);
    ivf_h5_unlock();
    if (rc == MPIVF_OK)
        *source = made;
    else
        ivf_free(made);
    return rc;
}

void ivf_h5source_close(ivf_h5source *source)
{
    if (source == NULL)
        return;
    ivf_h5_lock();
    close_handles(source);
    ivf_h5_unlock();
    ivf_free(source);
}

/* Under the lock. */
static bool read_slab(const ivf_h5source *source, int64_t first, int64_t n, void *raw)
{
    const hsize_t start[2] = {(hsize_t)first, 0};
    const hsize_t count[2] = {(hsize_t)n, (hsize_t)source->layout->d};
    hid_t memory = H5Screate_simple(source->rank, count, NULL);
    if (memory < 0)
        return false;
    bool done = H5Sselect_hyperslab(source->space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
                H5Dread(source->dataset, source->type, memory, source->space, H5P_DEFAULT, raw) >= 0;
    (void)H5Sclose(memory);
    return done;
}

int ivf_h5source_read(ivf_h5source *source, int64_t first, int64_t n, void *raw)
{
    char reason[256] = "";
    if (n == 0)
        return MPIVF_OK;
    ivf_h5_lock();
    source->disk.wrong = 0;
    bool done = read_slab(source, first, n, raw);
    const int wrong = source->disk.wrong;
    if (!done)
        (void)ivf_h5_reason(reason, sizeof reason);
    ivf_h5_unlock();
    /* HDF5 reads zeros where a file has lost its end. */
    struct stat now;
    if (fstat(source->file->fd, &now) != 0 || now.st_size < source->layout->bytes)
        return ivf_fail(MPIVF_BAD_INPUT,
                        "input %s had %" PRId64 " bytes when the run began, and has %" PRId64
                        " now; do not change the input during a run",
                        source->file->path, source->layout->bytes, (int64_t)now.st_size);
    if (done)
        return MPIVF_OK;
    if (wrong != 0)
        return ivf_fail_errno(wrong, "input %s: reading dataset '%s'", source->file->path, source->h5_path);
    return ivf_fail(MPIVF_BAD_INPUT, "input %s: rows %" PRId64 " to %" PRId64 " of dataset '%s' cannot be read: %s",
                    source->file->path, first, first + n - 1, source->h5_path, reason);
}
