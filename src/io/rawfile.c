#include "io/rawfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/stop.h"
#include "io/bytes.h"

/* A stop is noticed after so many bytes, however slow the disk. */
static const size_t PIECE_BYTES = 4 << 20;

int ivf_rawfile_refuse(int error_number, const char *path)
{
    int code = ivf_fail_errno(error_number, "input %s cannot be read", path);
    switch (error_number) {
    case EACCES:
    case EPERM:
    case ELOOP:
    case ENAMETOOLONG:
    case EISDIR: {
        ivf_error error = *ivf_error_last();
        error.code = MPIVF_BAD_INPUT;
        ivf_error_set(&error);
        return error.code;
    }
    default:
        return code;
    }
}

static int refuse_kind(const char *path)
{
    return ivf_fail(MPIVF_BAD_INPUT, "input %s is not a regular file; copy what a pipe or a device gives to one", path);
}

int ivf_rawfile_open(const char *path, ivf_rawfile *file)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return ivf_rawfile_refuse(errno, path);
    if (!S_ISREG(info.st_mode))
        return refuse_kind(path);
    int fd = ivf_fault("open-input") ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ivf_rawfile_refuse(errno, path);
    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        (void)close(fd);
        return refuse_kind(path);
    }
    *file = (ivf_rawfile){.path = path,
                          .fd = fd,
                          .bytes = info.st_size,
                          .mtime_ns = (int64_t)info.st_mtim.tv_sec * 1000000000 + info.st_mtim.tv_nsec,
                          .device = info.st_dev,
                          .inode = info.st_ino};
    return MPIVF_OK;
}

void ivf_rawfile_close(ivf_rawfile *file)
{
    (void)close(file->fd);
    file->fd = -1;
}

static int refuse_end(const ivf_rawfile *file, int64_t end, size_t missing)
{
    return ivf_fail(MPIVF_BAD_INPUT,
                    "input %s ends at byte %" PRId64 ", where %zu more are needed: it had %" PRId64
                    " bytes when it was opened; do not change the input during a run",
                    file->path, end, missing, file->bytes);
}

static int read_piece(const ivf_rawfile *file, int64_t offset, size_t bytes, void *to)
{
    size_t got = 0;
    int error = ivf_bytes_read(file->fd, to, bytes, offset, &got);
    if (error != 0)
        return ivf_fail_errno(error, "input %s: reading %zu bytes at %" PRId64, file->path, bytes, offset);
    if (got < bytes)
        return refuse_end(file, offset + (int64_t)got, bytes - got);
    return MPIVF_OK;
}

int ivf_rawfile_read(const ivf_rawfile *file, int64_t offset, size_t bytes, void *to)
{
    int rc = MPIVF_OK;
    for (size_t done = 0; rc == MPIVF_OK && done < bytes; done += PIECE_BYTES) {
        size_t piece = bytes - done < PIECE_BYTES ? bytes - done : PIECE_BYTES;
        rc = ivf_stop_check();
        if (rc == MPIVF_OK)
            rc = read_piece(file, offset + (int64_t)done, piece, (char *)to + done);
    }
    return rc;
}

int ivf_rawfile_scatter(const ivf_rawfile *file, int64_t offset, struct iovec *pieces, int count)
{
    size_t missing = 0;
    int rc = ivf_stop_check();
    if (rc != MPIVF_OK)
        return rc;
    int error = ivf_bytes_scatter(file->fd, pieces, count, offset, &missing);
    if (error != 0)
        return ivf_fail_errno(error, "input %s: reading from byte %" PRId64, file->path, offset);
    return missing == 0 ? MPIVF_OK : refuse_end(file, file->bytes, missing);
}

void ivf_rawfile_expect(const ivf_rawfile *file, int64_t offset, int64_t bytes)
{
    /* Linux reads no more ahead for one call than it does for a file that is read in order: 128 KiB, usually. */
    enum { AHEAD = 128 << 10 };
    for (int64_t done = 0; done < bytes; done += AHEAD)
        (void)posix_fadvise(file->fd, offset + done, bytes - done < AHEAD ? bytes - done : AHEAD, POSIX_FADV_WILLNEED);
}
