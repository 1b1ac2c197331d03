#include "io/h5driver.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#if H5_VERSION_GE(1, 13, 0)
#include <H5FDdevelop.h>
#endif

#include "base/memory.h"
#include "io/bytes.h"

/* What HDF5 holds for an open file. */
typedef struct {
    H5FD_t head; /* HDF5's own, must come first */
    ivf_h5_disk *disk;
    haddr_t end; /* of the addresses that HDF5 has given out */
} handle;

static const haddr_t last_address = INT64_MAX;

static const handle *const_handle_of(const H5FD_t *file)
{
    return (const handle *)(const void *)file;
}

static handle *handle_of(H5FD_t *file)
{
    return (handle *)(void *)file;
}

static H5FD_t *open_handle(const char *name, unsigned flags, hid_t fapl, haddr_t maxaddr)
{
    (void)name;
    (void)flags;
    (void)maxaddr;
    ivf_h5_disk *const *disk = H5Pget_driver_info(fapl);
    handle *made = disk != NULL ? ivf_new_zero(1, sizeof *made) : NULL;
    if (made == NULL)
        return NULL;
    made->disk = *disk;
    return &made->head;
}

static herr_t close_handle(H5FD_t *file)
{
    ivf_free(handle_of(file));
    return 0;
}

/* No feature is asked for: above all no buffers that gather small writes, which would move arrays off their
 * boundaries. */
static herr_t query(const H5FD_t *file, unsigned long *flags)
{
    (void)file;
    *flags = 0;
    return 0;
}

static haddr_t get_eoa(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return const_handle_of(file)->end;
}

static herr_t set_eoa(H5FD_t *file, H5FD_mem_t type, haddr_t address)
{
    (void)type;
    handle_of(file)->end = address;
    return 0;
}

static haddr_t get_eof(const H5FD_t *file, H5FD_mem_t type)
{
    (void)type;
    return const_handle_of(file)->disk->bytes;
}

static herr_t get_handle(H5FD_t *file, hid_t fapl, void **out)
{
    (void)fapl;
    *out = &handle_of(file)->disk->fd;
    return 0;
}

static int is_in_range(haddr_t address, size_t bytes)
{
    return address <= last_address && bytes <= last_address - address;
}

/* Beyond the end of the file there are zeros, as in sec2: HDF5 looks for the superblock with such reads. */
static herr_t read_bytes(H5FD_t *file, H5FD_mem_t type, hid_t dxpl, haddr_t address, size_t bytes, void *buffer)
{
    (void)type;
    (void)dxpl;
    ivf_h5_disk *disk = handle_of(file)->disk;
    size_t got = 0;
    if (!is_in_range(address, bytes))
        return -1;
    int wrong = ivf_bytes_read(disk->fd, buffer, bytes, (int64_t)address, &got);
    if (wrong != 0) {
        disk->wrong = wrong;
        return -1;
    }
    memset((char *)buffer + got, 0, bytes - got);
    return 0;
}

static herr_t write_bytes(H5FD_t *file, H5FD_mem_t type, hid_t dxpl, haddr_t address, size_t bytes, const void *buffer)
{
    (void)type;
    (void)dxpl;
    ivf_h5_disk *disk = handle_of(file)->disk;
    if (!is_in_range(address, bytes))
        return -1;
    if (disk->wrong == 0)
        disk->wrong = ivf_bytes_write(disk->fd, buffer, bytes, (int64_t)address);
    if (address + bytes > disk->bytes)
        disk->bytes = address + bytes;
    return 0;
}

static herr_t set_size(H5FD_t *file, hid_t dxpl, hbool_t closing)
{
    (void)dxpl;
    (void)closing;
    const handle *h = handle_of(file);
    if (h->end == h->disk->bytes)
        return 0;
    if (h->disk->wrong == 0 && ftruncate(h->disk->fd, (off_t)h->end) != 0)
        h->disk->wrong = errno;
    h->disk->bytes = h->end;
    return 0;
}

static const H5FD_class_t driver = {
#if H5_VERSION_GE(1, 13, 0)
    .version = H5FD_CLASS_VERSION,
    .value = 256, /* the first of those that HDF5 leaves to drivers that are not registered with its makers */
#endif
    .name = "mpivf",
    .maxaddr = INT64_MAX,
    .fc_degree = H5F_CLOSE_STRONG,
    .fapl_size = sizeof(ivf_h5_disk *),
    .open = open_handle,
    .close = close_handle,
    .query = query,
    .get_eoa = get_eoa,
    .set_eoa = set_eoa,
    .get_eof = get_eof,
    .get_handle = get_handle,
    .read = read_bytes,
    .write = write_bytes,
    .truncate = set_size,
    .fl_map = H5FD_FLMAP_SINGLE,
};

herr_t ivf_h5_driver_use(hid_t fapl, ivf_h5_disk *disk)
{
    static hid_t id = H5I_INVALID_HID;
    /* A host program may have called H5close, which forgets drivers. */
    if (H5Iget_type(id) != H5I_VFL)
        id = H5FDregister(&driver);
    return id < 0 ? -1 : H5Pset_driver(fapl, id, &disk);
}
