/* Names are looked up in the open folder above them, and never through a link (openat(2), O_NOFOLLOW), so that no
 * change beside us can lead out of the tree. */
#include "io/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"

enum { DEEPEST = 16 }; /* ours are two deep; each level holds a file open */

static int walk(DIR *folder, const char *path, ivf_folder_visit *visit, void *arg)
{
    int rc = MPIVF_OK;
    errno = 0;
    for (const struct dirent *entry = readdir(folder); rc == MPIVF_OK && entry != NULL; entry = readdir(folder)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = visit(arg, entry->d_name);
        errno = 0;
    }
    if (rc == MPIVF_OK && errno != 0)
        rc = ivf_fail_errno(errno, "%s", path);
    return rc;
}

int ivf_folder_walk(const char *path, ivf_folder_visit *visit, void *arg)
{
    DIR *folder = ivf_fault("list") ? NULL : opendir(path);
    if (folder == NULL)
        return errno == ENOENT ? MPIVF_OK : ivf_fail_errno(errno, "%s", path);
    int rc = walk(folder, path, visit, arg);
    (void)closedir(folder);
    return rc;
}

/* Filesystems that cannot sync a folder say EINVAL. */
int ivf_folder_sync(const char *path)
{
    int fd = ivf_fault("open-folder") ? -1 : open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return ivf_fail_errno(errno, "%s: cannot open the folder to make it durable", path);
    int wrong = (!ivf_fault("sync-folder") && fsync(fd) == 0) || errno == EINVAL ? 0 : errno;
    (void)close(fd);
    return wrong != 0 ? ivf_fail_errno(wrong, "%s: cannot make the folder durable", path) : MPIVF_OK;
}

/* Where a walk that removes is. */
typedef struct {
    int fd; /* of the folder */
    const char *path;
    int depth;
} removal;

static int remove_in(int parent, const char *name, const char *path, int depth);

static int remove_entry(void *arg, const char *name)
{
    const removal *r = arg;
    return remove_in(r->fd, name, r->path, r->depth);
}

static int remove_contents(int fd, const char *path, int depth)
{
    DIR *folder = fdopendir(fd);
    if (folder == NULL) {
        (void)close(fd);
        return ivf_fail_errno(errno, "%s", path);
    }
    removal r = {.fd = fd, .path = path, .depth = depth};
    int rc = walk(folder, path, remove_entry, &r);
    (void)closedir(folder);
    return rc;
}

static int remove_folder(int parent, const char *name, const char *path, int depth)
{
    int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? MPIVF_OK : ivf_fail_errno(errno, "%s in %s: cannot open the folder", name, path);
    if (depth == DEEPEST) {
        (void)close(fd);
        return ivf_fail(MPIVF_CONFLICT, "%s: folders lie more than %d deep in it, which are not ours; look at it", path,
                        DEEPEST);
    }
    int rc = remove_contents(fd, path, depth + 1);
    if (rc == MPIVF_OK && unlinkat(parent, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        rc = ivf_fail_errno(errno, "%s in %s: cannot remove the folder", name, path);
    return rc;
}

/* What unlink(2) refuses as a folder is one: Linux says EISDIR, POSIX EPERM. */
static int remove_in(int parent, const char *name, const char *path, int depth)
{
    if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
        return MPIVF_OK;
    if (errno != EISDIR && errno != EPERM)
        return ivf_fail_errno(errno, "%s in %s: cannot remove", name, path);
    return remove_folder(parent, name, path, depth);
}

int ivf_folder_remove(const char *path)
{
    return remove_in(AT_FDCWD, path, path, 0);
}
