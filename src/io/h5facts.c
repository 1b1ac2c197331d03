#include "io/h5facts.h"

#include <stdio.h>

#include "io/h5inflate.h"
#include "io/h5types.h"

/* One by one, which takes their number squared: 30 ms of rank 0 for a file in the latest format. */
enum { CHUNKS_LOOKED_AT = 512 };

hid_t ivf_h5_facts_open(const char *path, ivf_h5_disk *disk)
{
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (access < 0)
        return access;
    hid_t file = ivf_h5_driver_use(access, disk) >= 0 ? H5Fopen(path, H5F_ACC_RDONLY, access) : H5I_INVALID_HID;
    (void)H5Pclose(access);
    return file;
}

static const char *class_words(H5T_class_t class)
{
    static const struct {
        H5T_class_t class;
        const char *words;
    } classes[] = {{H5T_INTEGER, "integers"},   {H5T_FLOAT, "floats of another kind"}, {H5T_STRING, "strings"},
                   {H5T_COMPOUND, "compounds"}, {H5T_ENUM, "enumerations (booleans)"}, {H5T_VLEN, "sequences"},
                   {H5T_ARRAY, "small arrays"}};
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++)
        if (classes[i].class == class)
            return classes[i].words;
    return "elements of another kind";
}

static bool is_wanted(ivf_element element, ivf_contents contents)
{
    const bool is_id = element == IVF_I64 || element == IVF_U64;
    return contents == IVF_ID_LIST ? is_id : !is_id && element != IVF_I32;
}

static bool look_at_type(hid_t dataset, ivf_contents contents, ivf_h5_facts *f)
{
    hid_t in_file = H5Dget_type(dataset);
    hid_t turned = in_file >= 0 ? H5Tcopy(in_file) : H5I_INVALID_HID;
    if (turned >= 0) {
        const H5T_class_t class = H5Tget_class(in_file);
        const size_t size = H5Tget_size(in_file);
        const bool big_endian = (class == H5T_INTEGER || class == H5T_FLOAT) && H5Tget_order(in_file) == H5T_ORDER_BE;
        if (big_endian)
            (void)H5Tset_order(turned, H5T_ORDER_LE);
        f->known = ivf_h5_type_element(turned, &f->type) && is_wanted(f->type, contents);
        f->native = !big_endian || size == 1;
        (void)snprintf(f->type_words, sizeof f->type_words, "%zu-byte %s", size, class_words(class));
        (void)H5Tclose(turned);
    }
    if (in_file >= 0)
        (void)H5Tclose(in_file);
    return turned >= 0;
}

static bool look_at_chunk(hid_t created, ivf_h5_facts *f)
{
    unsigned options = 0;
    f->filters = H5Pget_nfilters(created);
    bool fits = f->filters >= 0 && H5Pget_chunk(created, H5S_MAX_RANK, f->chunk) == f->rank &&
                H5Pget_chunk_opts(created, &options) >= 0;
    f->plain_edges = (options & H5D_CHUNK_DONT_FILTER_PARTIAL_CHUNKS) != 0;
    for (int i = 0; i < f->rank; i++)
        fits = fits && f->chunk[i] > 0;
    return fits;
}

bool ivf_h5_facts_gather_form(hid_t dataset, ivf_h5_facts *f)
{
    hid_t space = H5Dget_space(dataset);
    hid_t created = H5Dget_create_plist(dataset);
    bool done = space >= 0 && created >= 0;
    bool chunked_well = true;
    if (done) {
        f->rank = H5Sget_simple_extent_dims(space, f->dims, NULL);
        f->layout = H5Pget_layout(created);
        f->external = H5Pget_external_count(created) > 0;
        done = f->rank >= 0 && f->layout >= 0;
        chunked_well = f->layout != H5D_CHUNKED || look_at_chunk(created, f);
    }
    if (created >= 0)
        (void)H5Pclose(created);
    if (space >= 0)
        (void)H5Sclose(space);
    if (done && !chunked_well) /* last: each call of HDF5 empties its error stack */
        (void)H5Epush2(H5E_DEFAULT, __FILE__, __func__, __LINE__, H5E_ERR_CLS, H5E_DATASET, H5E_BADVALUE,
                       "its chunks do not have the shape of its rows: it is damaged");
    return done && chunked_well;
}

/* a * b, or the largest number, which no file can hold, beyond that. */
static hsize_t times(hsize_t a, hsize_t b)
{
    hsize_t product = 0;
    return __builtin_mul_overflow(a, b, &product) ? (hsize_t)-1 : product;
}

/* Chunks side by side along a dimension. */
static hsize_t chunks_along(const ivf_h5_facts *f, int dimension)
{
    return f->dims[dimension] / f->chunk[dimension] + (f->dims[dimension] % f->chunk[dimension] != 0);
}

size_t ivf_h5_facts_chunk_row(const ivf_h5_facts *facts)
{
    hsize_t bytes = ivf_element_size(facts->type);
    for (int i = 0; i < facts->rank; i++)
        bytes = times(bytes, facts->chunk[i]);
    for (int i = 1; i < facts->rank; i++)
        bytes = times(bytes, chunks_along(facts, i));
    return (size_t)bytes;
}

static hsize_t chunk_count(const ivf_h5_facts *f)
{
    hsize_t count = 1;
    for (int i = 0; i < f->rank; i++)
        count = times(count, chunks_along(f, i));
    return count;
}

/* HDF5's own status compares bytes in the file with bytes of the rows, which says nothing of compressed chunks. */
static bool all_chunks_written(hid_t dataset, const ivf_h5_facts *f)
{
    const hsize_t wanted = chunk_count(f);
    hsize_t there = 0;
    hid_t space = H5Dget_space(dataset);
    bool counted = space >= 0 && H5Dget_num_chunks(dataset, space, &there) >= 0;
    if (space >= 0)
        (void)H5Sclose(space);
    return counted && there == wanted;
}

/* Of the type in the file; 0: unknown. */
static hsize_t element_bytes(hid_t dataset)
{
    hid_t type = H5Dget_type(dataset);
    if (type < 0)
        return 0;
    const hsize_t bytes = H5Tget_size(type);
    (void)H5Tclose(type);
    return bytes;
}

/* Whether a chunk goes through no filter because it reaches beyond the rows, which HDF5 says of the dataset alone. */
static bool is_plain_edge(const ivf_h5_facts *f, const hsize_t *at)
{
    bool reaches_beyond = false;
    for (int i = 0; i < f->rank; i++)
        reaches_beyond = reaches_beyond || f->dims[i] - at[i] < f->chunk[i];
    return f->plain_edges && reaches_beyond;
}

/* Each chunk that no filter changed has the bytes of its shape. HDF5 walks the index up to the one that is asked for.
 */
static bool each_chunk_fits(hid_t dataset, const ivf_h5_facts *f, hsize_t wanted)
{
    const unsigned none = (unsigned)((1ULL << f->filters) - 1);
    const hsize_t count = chunk_count(f);
    hid_t space = H5Dget_space(dataset);
    bool fits = space >= 0;
    for (hsize_t i = 0; fits && i < count; i++) {
        hsize_t at[H5S_MAX_RANK];
        unsigned passed_over = 0;
        hsize_t bytes = 0;
        fits = H5Dget_chunk_info(dataset, space, i, at, &passed_over, NULL, &bytes) >= 0 &&
               (((passed_over & none) != none && !is_plain_edge(f, at)) || bytes == wanted);
    }
    if (space >= 0)
        (void)H5Sclose(space);
    return fits;
}

static bool chunks_fit(const ivf_h5_disk *disk, hid_t dataset, const ivf_h5_facts *f, hsize_t wanted)
{
    static const hsize_t first[H5S_MAX_RANK];
    const hsize_t count = chunk_count(f);
    if (f->filters == 0 && f->stored != times(wanted, count))
        return false;
    if (f->filters > 0 && wanted > 0 && count > 0 && !is_plain_edge(f, first) &&
        !ivf_h5_inflates_to(disk->fd, dataset, f->rank, wanted))
        return false;
    return count > CHUNKS_LOOKED_AT || each_chunk_fits(dataset, f, wanted);
}

/* HDF5 reads a compact dataset, and a chunk, from a block of its stored bytes, and however far beyond as the shape
 * says. */
static bool shape_fits(const ivf_h5_disk *disk, hid_t dataset, const ivf_h5_facts *f)
{
    const bool chunked = f->layout == H5D_CHUNKED;
    const hsize_t *shape = chunked ? f->chunk : f->dims;
    hsize_t wanted = element_bytes(dataset);
    for (int i = 0; i < f->rank; i++)
        wanted = times(wanted, shape[i]);
    return chunked ? chunks_fit(disk, dataset, f, wanted) : f->stored == wanted;
}

void ivf_h5_facts_gather_storage(const ivf_h5_disk *disk, hid_t dataset, ivf_h5_facts *f)
{
    H5D_space_status_t status = H5D_SPACE_STATUS_NOT_ALLOCATED;
    f->offset = H5Dget_offset(dataset);
    f->stored = H5Dget_storage_size(dataset);
    if (f->layout == H5D_CHUNKED)
        f->written = all_chunks_written(dataset, f);
    else if (f->layout == H5D_CONTIGUOUS)
        f->written = H5Dget_space_status(dataset, &status) >= 0 && status == H5D_SPACE_STATUS_ALLOCATED;
    else
        f->written = f->layout == H5D_COMPACT;
    f->fits = f->written && shape_fits(disk, dataset, f);
}

bool ivf_h5_facts_gather(const ivf_h5_disk *disk, hid_t dataset, ivf_contents contents, ivf_h5_facts *facts)
{
    if (!look_at_type(dataset, contents, facts) || !ivf_h5_facts_gather_form(dataset, facts))
        return false;
    if (facts->known)
        ivf_h5_facts_gather_storage(disk, dataset, facts);
    return true;
}
