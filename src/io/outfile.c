/* Rank 0 creates the file and reserves its space; every rank opens the temporary name and writes its own parts with
 * pwrite, at places that do not depend on who writes them. Each step's outcome is agreed on, and a failure anywhere
 * leaves no file.
 *
 * Independent writes rather than MPI-IO: they are as fast or faster, give the system's reason for a failure, and cannot
 * leave the other ranks waiting inside a collective write. */
#include "io/outfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "comm/transfer.h"
#include "io/bytes.h"
#include "io/publish.h"

struct ivf_outfile {
    char path[IVF_PATH_BYTES];
    char temp[IVF_PATH_BYTES]; /* "" when there is none, or none any more */
    int fd;
    int64_t bytes;
};

static int prepare(const char *path, int64_t bytes, ivf_outfile **file)
{
    *file = NULL;
    if (strlen(path) >= IVF_PATH_BYTES)
        return ivf_fail(MPIVF_USAGE, "%.64s...: the path has %zu characters; at most %d are possible", path,
                        strlen(path), IVF_PATH_BYTES - 1);
    ivf_outfile *made = ivf_new_zero(1, sizeof *made);
    if (made == NULL)
        return MPIVF_FAILED;
    (void)snprintf(made->path, sizeof made->path, "%s", path);
    made->fd = -1;
    made->bytes = bytes;
    *file = made;
    return MPIVF_OK;
}

/* A filesystem that cannot reserve space still makes the file as long as it will be. */
static int reserve(const ivf_outfile *file)
{
    int wrong = 0;
    if (file->bytes == 0)
        return MPIVF_OK;
    do
        wrong = fallocate(file->fd, 0, 0, file->bytes) == 0 ? 0 : errno;
    while (wrong == EINTR);
    if (wrong == EOPNOTSUPP || wrong == ENOSYS)
        wrong = ftruncate(file->fd, file->bytes) == 0 ? 0 : errno;
    return wrong == 0 ? MPIVF_OK
                      : ivf_fail_errno(wrong, "%s: cannot reserve %" PRId64 " bytes", file->path, file->bytes);
}

static int create(ivf_outfile *file)
{
    int rc = ivf_publish_create(file->path, file->temp, &file->fd);
    if (rc == MPIVF_OK)
        return reserve(file);
    file->temp[0] = '\0';
    return rc;
}

static int open_created(ivf_outfile *file)
{
    file->fd = open(file->temp, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    return file->fd >= 0
               ? MPIVF_OK
               : ivf_fail_errno(errno, "%s: rank 0 has made the file, but it cannot be opened here", file->temp);
}

/* Lets go of everything; rank 0 also of a file that has not got its name. */
static void discard(const ivf_ctx *ctx, ivf_outfile *file)
{
    if (file == NULL)
        return;
    if (file->fd >= 0)
        (void)close(file->fd);
    if (ivf_ctx_is_root(ctx) && file->temp[0] != '\0')
        ivf_publish_discard(file->temp, -1);
    ivf_free(file);
}

static int take_up(ivf_outfile *file)
{
    struct stat now;
    int rc = open_created(file);
    if (rc == MPIVF_OK && fstat(file->fd, &now) != 0)
        rc = ivf_fail_errno(errno, "%s: cannot look at it", file->temp);
    if (rc != MPIVF_OK)
        return rc;
    if (now.st_size > file->bytes)
        file->bytes = now.st_size;
    return reserve(file);
}

/* With a temporary name already that is the file to take. */
static int create_everywhere(const ivf_ctx *ctx, ivf_outfile *file)
{
    int rc = MPIVF_OK;
    if (ivf_ctx_is_root(ctx))
        rc = file->temp[0] != '\0' ? take_up(file) : create(file);
    rc = ivf_agree(ctx, rc);
    if (rc != MPIVF_OK)
        return rc;
    ivf_bcast(ctx, file->temp, sizeof file->temp);
    return ivf_agree(ctx, ivf_ctx_is_root(ctx) ? MPIVF_OK : open_created(file));
}

int ivf_outfile_open(const ivf_ctx *ctx, const char *path, int64_t bytes, ivf_outfile **file)
{
    return ivf_outfile_adopt(ctx, path, "", bytes, file);
}

int ivf_outfile_adopt(const ivf_ctx *ctx, const char *path, const char *temp, int64_t bytes, ivf_outfile **file)
{
    ivf_outfile *made = NULL;
    int rc = prepare(path, bytes, &made);
    if (made != NULL && ivf_ctx_is_root(ctx))
        (void)snprintf(made->temp, sizeof made->temp, "%s", temp);
    else if (ivf_ctx_is_root(ctx) && temp[0] != '\0')
        ivf_publish_discard(temp, -1);
    rc = ivf_agree(ctx, rc);
    if (rc == MPIVF_OK && made != NULL)
        rc = create_everywhere(ctx, made);
    *file = rc == MPIVF_OK ? made : NULL;
    if (rc != MPIVF_OK)
        discard(ctx, made);
    return rc;
}

void ivf_outfile_hurry(const ivf_outfile *file, int64_t offset, int64_t bytes)
{
    (void)sync_file_range(file->fd, offset, bytes, SYNC_FILE_RANGE_WRITE);
}

int ivf_outfile_put(const ivf_outfile *file, const void *data, size_t bytes, int64_t offset)
{
    int wrong = ivf_bytes_write(file->fd, data, bytes, offset);
    return wrong == 0 ? MPIVF_OK
                      : ivf_fail_errno(wrong, "%s: cannot write %zu bytes at %" PRId64, file->path, bytes, offset);
}

int ivf_outfile_get(const ivf_outfile *file, void *data, size_t bytes, int64_t offset)
{
    size_t got = 0;
    int wrong = ivf_bytes_read(file->fd, data, bytes, offset, &got);
    if (wrong != 0 || got < bytes)
        return ivf_fail_errno(wrong != 0 ? wrong : EIO, "%s: cannot read back", file->temp);
    return MPIVF_OK;
}

int ivf_outfile_size(const ivf_outfile *file, int64_t *bytes)
{
    struct stat now;
    if (fstat(file->fd, &now) != 0)
        return ivf_fail_errno(errno, "%s: cannot look at it", file->temp);
    *bytes = now.st_size;
    return MPIVF_OK;
}

static int make_durable(const ivf_outfile *file)
{
    return fsync(file->fd) == 0 ? MPIVF_OK : ivf_fail_errno(errno, "%s: cannot make durable", file->path);
}

int ivf_outfile_sync(const ivf_ctx *ctx, const ivf_outfile *file, int rc)
{
    return ivf_agree(ctx, rc == MPIVF_OK && file != NULL ? make_durable(file) : rc);
}

static int close_own(ivf_outfile *file)
{
    int fd = file->fd;
    file->fd = -1;
    return close(fd) == 0 ? MPIVF_OK : ivf_fail_errno(errno, "%s: cannot close", file->path);
}

/* Gives the file its name, which ends the temporary one either way. */
static int publish(ivf_outfile *file)
{
    int rc = ivf_publish_rename(file->temp, file->path, NULL, NULL);
    file->temp[0] = '\0';
    return rc;
}

int ivf_outfile_close(const ivf_ctx *ctx, ivf_outfile *file, int rc)
{
    rc = ivf_outfile_sync(ctx, file, rc);
    if (file == NULL)
        return rc;
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, close_own(file));
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_ctx_is_root(ctx) ? publish(file) : MPIVF_OK);
    discard(ctx, file);
    return rc;
}

void ivf_outfile_drop(const ivf_ctx *ctx, ivf_outfile *file)
{
    ivf_barrier(ctx); /* nobody writes any more */
    discard(ctx, file);
}
