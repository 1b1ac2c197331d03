#include "io/publish.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "io/bytes.h"
#include "io/folder.h"

enum { PIECE_BYTES = 1 << 20, FIRST_TEXT_BYTES = 1 << 16 };

int ivf_publish_random(uint64_t *random)
{
    ssize_t got = 0;
    do
        got = getrandom(random, sizeof *random, 0);
    while (got < 0 && errno == EINTR);
    if (got != (ssize_t)sizeof *random)
        return ivf_fail_errno(got < 0 ? errno : EIO, "no random number for a name");
    return MPIVF_OK;
}

int ivf_publish_name(const char *path, char temp[IVF_PATH_BYTES])
{
    uint64_t random = 0;
    int rc = ivf_publish_random(&random);
    if (rc != MPIVF_OK)
        return rc;
    int length = snprintf(temp, IVF_PATH_BYTES, "%s.%016" PRIx64 ".tmp", path, random);
    if (length < 0 || length >= IVF_PATH_BYTES)
        return ivf_fail(MPIVF_USAGE, "%.64s...: the path has %zu characters; at most %d are possible", path,
                        strlen(path), IVF_PATH_BYTES - 22);
    return MPIVF_OK;
}

int ivf_publish_create(const char *path, char temp[IVF_PATH_BYTES], int *fd)
{
    int rc = ivf_publish_name(path, temp);
    *fd = -1;
    if (rc != MPIVF_OK)
        return rc;
    *fd = ivf_fault("create") ? -1 : open(temp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    return *fd < 0 ? ivf_fail_errno(errno, "%s: cannot create a file of this name", path) : MPIVF_OK;
}

void ivf_publish_discard(const char *temp, int fd)
{
    if (fd >= 0)
        (void)close(fd);
    (void)unlink(temp);
}

/* The folder that holds `path`, which is shorter than IVF_PATH_BYTES. */
static void parent_of(const char *path, char parent[IVF_PATH_BYTES])
{
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    while (length > 0 && path[length - 1] != '/')
        length--;
    while (length > 1 && path[length - 1] == '/')
        length--;
    (void)snprintf(parent, IVF_PATH_BYTES, "%.*s", length > 0 ? (int)length : 1, length > 0 ? path : ".");
}

/* Makes the entries of the folder that holds `path` durable. */
static int sync_parent(const char *path)
{
    char parent[IVF_PATH_BYTES];
    parent_of(path, parent);
    return ivf_folder_sync(parent);
}

/* What of a file is in memory, so that it need not be read. */
typedef struct {
    const ivf_extent *extents;
    int count;
} known;

/* Reads until an extent begins, at most a piece; *ended when the file did before. */
static int add_piece(int fd, const char *path, char *piece, ivf_hasher *hasher, int64_t limit, int64_t *at, bool *ended)
{
    const size_t wanted = (size_t)ivf_min_i64(PIECE_BYTES, limit - *at);
    size_t got = 0;
    const int wrong = ivf_bytes_read(fd, piece, wanted, *at, &got);
    if (wrong != 0)
        return ivf_fail_errno(wrong, "%s: cannot read at byte %" PRId64, path, *at);
    ivf_hasher_add(hasher, piece, got);
    *at += (int64_t)got;
    *ended = got < wanted;
    return MPIVF_OK;
}

static int checksum_open(int fd, const char *path, known k, int64_t *bytes, uint64_t *checksum)
{
    char *piece = ivf_new(PIECE_BYTES, 1);
    ivf_hasher *hasher = ivf_hasher_new();
    int rc = piece != NULL && hasher != NULL ? MPIVF_OK : MPIVF_FAILED;
    int64_t at = 0;
    bool ended = false;
    while (rc == MPIVF_OK && !ended) {
        while (k.count > 0 && k.extents->offset < at)
            k = (known){k.extents + 1, k.count - 1};
        if (k.count > 0 && k.extents->offset == at) {
            ivf_hasher_add(hasher, k.extents->data, k.extents->bytes);
            at += (int64_t)k.extents->bytes;
        } else {
            rc = add_piece(fd, path, piece, hasher, k.count > 0 ? k.extents->offset : INT64_MAX, &at, &ended);
        }
    }
    if (rc == MPIVF_OK && bytes != NULL)
        *bytes = at;
    if (rc == MPIVF_OK && checksum != NULL)
        *checksum = ivf_hasher_end(hasher);
    ivf_hasher_free(hasher);
    ivf_free(piece);
    return rc;
}

int ivf_file_checksum(const char *path, int64_t *bytes, uint64_t *checksum)
{
    int fd = ivf_fault("open") ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ivf_fail_errno(errno, "%s: cannot open", path);
    int rc = checksum_open(fd, path, (known){0}, bytes, checksum);
    (void)close(fd);
    return rc;
}

static int make_durable(const char *temp, const char *path, known k, int64_t *bytes, uint64_t *checksum)
{
    int fd = ivf_fault("open") ? -1 : open(temp, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return ivf_fail_errno(errno, "%s: cannot open", temp);
    /* While its checksum is computed it is written to the disk, which fsync then waits for. */
    (void)sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    int rc = bytes != NULL || checksum != NULL ? checksum_open(fd, temp, k, bytes, checksum) : MPIVF_OK;
    if (rc == MPIVF_OK && (ivf_fault("sync") || fsync(fd) != 0))
        rc = ivf_fail_errno(errno, "%s: cannot make durable", path);
    if (close(fd) != 0 && rc == MPIVF_OK)
        rc = ivf_fail_errno(errno, "%s: cannot close", path);
    return rc;
}

int ivf_publish_rename(const char *temp, const char *path, int64_t *bytes, uint64_t *checksum)
{
    return ivf_publish_rename_known(temp, path, NULL, 0, bytes, checksum);
}

int ivf_publish_rename_known(const char *temp, const char *path, const ivf_extent *extents, int count, int64_t *bytes,
                             uint64_t *checksum)
{
    int rc = make_durable(temp, path, (known){extents, count}, bytes, checksum);
    if (rc == MPIVF_OK && (ivf_fault("rename") || rename(temp, path) != 0))
        rc = ivf_fail_errno(errno, "%s: cannot give the finished file its name", path);
    if (rc != MPIVF_OK) {
        ivf_publish_discard(temp, -1);
        return rc;
    }
    return sync_parent(path);
}

int ivf_publish_again(const char *path, int64_t *bytes, uint64_t *checksum)
{
    int rc = make_durable(path, path, (known){0}, bytes, checksum);
    return rc == MPIVF_OK ? sync_parent(path) : rc;
}

/* NFS can carry out a link and still answer that the name exists, when the first answer was lost: the inode tells. */
static bool is_same_file(const char *a, const char *b)
{
    struct stat at_a;
    struct stat at_b;
    return lstat(a, &at_a) == 0 && lstat(b, &at_b) == 0 && at_a.st_dev == at_b.st_dev && at_a.st_ino == at_b.st_ino;
}

static int link_new(const char *temp, const char *path, bool *taken)
{
    if (!ivf_fault("link") && link(temp, path) == 0)
        return MPIVF_OK;
    int wrong = errno;
    if (is_same_file(temp, path))
        return MPIVF_OK;
    *taken = wrong == EEXIST;
    return *taken ? MPIVF_OK : ivf_fail_errno(wrong, "%s: cannot give the finished file its name by link(2)", path);
}

static int write_durable(int fd, const char *path, const char *text, size_t bytes)
{
    int wrong = ivf_bytes_write(fd, text, bytes, 0);
    if (wrong != 0)
        return ivf_fail_errno(wrong, "%s: cannot write %zu bytes", path, bytes);
    return !ivf_fault("sync") && fsync(fd) == 0 ? MPIVF_OK : ivf_fail_errno(errno, "%s: cannot make durable", path);
}

int ivf_publish_text(const char *path, const char *text, size_t bytes)
{
    char temp[IVF_PATH_BYTES];
    int fd = -1;
    int rc = ivf_publish_create(path, temp, &fd);
    if (rc != MPIVF_OK)
        return rc;
    int wrong = ivf_bytes_write(fd, text, bytes, 0);
    if (wrong != 0) {
        ivf_publish_discard(temp, fd);
        return ivf_fail_errno(wrong, "%s: cannot write %zu bytes", path, bytes);
    }
    (void)close(fd);
    return ivf_publish_rename(temp, path, NULL, NULL);
}

/* A name that might not outlive a power failure is taken back, so that a failure means that nothing was published. */
static int keep_name(const char *path)
{
    int rc = sync_parent(path);
    if (rc != MPIVF_OK)
        (void)unlink(path);
    return rc;
}

int ivf_publish_text_new(const char *path, const char *text, size_t bytes, bool *taken)
{
    char temp[IVF_PATH_BYTES];
    int fd = -1;
    *taken = false;
    int rc = ivf_publish_create(path, temp, &fd);
    if (rc != MPIVF_OK)
        return rc;
    rc = write_durable(fd, path, text, bytes);
    if (rc == MPIVF_OK)
        rc = link_new(temp, path, taken);
    ivf_publish_discard(temp, fd);
    return rc == MPIVF_OK && !*taken ? keep_name(path) : rc;
}

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

static int make_with_parents(const char *path)
{
    if (is_folder(path))
        return MPIVF_OK;
    if (!ivf_fault("folder") && mkdir(path, 0777) == 0)
        return sync_parent(path);
    int wrong = errno;
    if (wrong == EEXIST && is_folder(path))
        return MPIVF_OK;
    if (wrong != ENOENT)
        return ivf_fail_errno(wrong, "%s: cannot make the folder", path);
    char parent[IVF_PATH_BYTES];
    parent_of(path, parent);
    if (strcmp(parent, path) == 0)
        return ivf_fail_errno(wrong, "%s: cannot make the folder", path);
    int rc = make_with_parents(parent);
    if (rc != MPIVF_OK)
        return rc;
    if (mkdir(path, 0777) != 0 && !(errno == EEXIST && is_folder(path)))
        return ivf_fail_errno(errno, "%s: cannot make the folder", path);
    return sync_parent(path);
}

int ivf_make_folder(const char *path)
{
    if (*path == '\0')
        return ivf_fail(MPIVF_USAGE, "the name of a folder is empty");
    if (strlen(path) >= IVF_PATH_BYTES)
        return ivf_fail(MPIVF_USAGE, "%.64s...: the path has %zu characters; at most %d are possible", path,
                        strlen(path), IVF_PATH_BYTES - 1);
    return make_with_parents(path);
}

static int read_open(int fd, const char *path, size_t limit, char **text, size_t *bytes)
{
    size_t capacity = limit < FIRST_TEXT_BYTES ? limit : FIRST_TEXT_BYTES;
    size_t used = 0;
    char *buffer = ivf_new(capacity + 1, 1);
    while (buffer != NULL) {
        /* One byte more than fits tells a file that ends from one that goes on. */
        ssize_t n = read(fd, buffer + used, capacity + 1 - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            ivf_free(buffer);
            return ivf_fail_errno(errno, "%s: cannot read", path);
        }
        used += (size_t)n;
        if (n == 0) {
            buffer[used] = '\0';
            *text = buffer;
            *bytes = used;
            return MPIVF_OK;
        }
        if (used <= capacity)
            continue;
        if (capacity == limit) {
            ivf_free(buffer);
            return ivf_fail(MPIVF_BAD_INPUT, "%s: is longer than the %zu bytes that such a file may have", path, limit);
        }
        capacity = capacity < limit / 2 ? 2 * capacity : limit;
        char *grown = ivf_resize(buffer, capacity + 1, 1);
        if (grown == NULL)
            ivf_free(buffer);
        buffer = grown;
    }
    return MPIVF_FAILED;
}

int ivf_file_read(const char *path, size_t limit, char **text, size_t *bytes)
{
    *text = NULL;
    *bytes = 0;
    int fd = ivf_fault("open") ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ivf_fail_errno(errno, "%s: cannot open", path);
    int rc = read_open(fd, path, limit, text, bytes);
    (void)close(fd);
    return rc;
}
