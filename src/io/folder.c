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

enum { DEEPEST = 16 }; /* ours are two deep; each level holds a file open */

static int remove_in(int parent, const char *name, const char *path, int depth);

static int remove_contents(int fd, const char *path, int depth)
{
    DIR *folder = fdopendir(fd);
    int rc = MPIVF_OK;
    if (folder == NULL) {
        (void)close(fd);
        return ivf_fail_errno(errno, "%s", path);
    }
    errno = 0;
    for (const struct dirent *entry = readdir(folder); rc == MPIVF_OK && entry != NULL; entry = readdir(folder)) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rc = remove_in(fd, entry->d_name, path, depth);
        errno = 0;
    }
    if (rc == MPIVF_OK && errno != 0)
        rc = ivf_fail_errno(errno, "%s", path);
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
