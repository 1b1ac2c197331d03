#include "io/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "io/publish.h"

struct ivf_lock {
    int file;
    char path[IVF_PATH_BYTES];
};

static int lock_file(int file, const char *path)
{
    if (flock(file, LOCK_EX | LOCK_NB) == 0)
        return MPIVF_OK;
    if (errno == EWOULDBLOCK)
        return ivf_fail(MPIVF_CONFLICT, "%s is locked: another build of this index is running; wait for it to end",
                        path);
    ivf_warn("%s: no locks here (%s); make sure that nobody else builds this index now", path, strerror(errno));
    return MPIVF_OK;
}

/* The holder before may have removed the file between our open and our lock: then the lock is on a file that nobody
 * else will find. */
static bool still_there(int file, const char *path)
{
    struct stat mine;
    struct stat named;
    return fstat(file, &mine) == 0 && stat(path, &named) == 0 && mine.st_ino == named.st_ino &&
           mine.st_dev == named.st_dev;
}

int ivf_lock_take(const char *path, ivf_lock **lock)
{
    *lock = NULL;
    ivf_lock *made = ivf_new_zero(1, sizeof *made);
    if (made == NULL)
        return MPIVF_FAILED;
    (void)snprintf(made->path, sizeof made->path, "%s", path);
    int rc = MPIVF_OK;
    for (bool held = false; rc == MPIVF_OK && !held;) {
        made->file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (made->file < 0) {
            rc = ivf_fail_errno(errno, "%s", path);
            break;
        }
        rc = lock_file(made->file, path);
        held = rc == MPIVF_OK && still_there(made->file, path);
        if (!held)
            (void)close(made->file);
    }
    if (rc != MPIVF_OK) {
        ivf_free(made);
        return rc;
    }
    *lock = made;
    return MPIVF_OK;
}

void ivf_lock_release(ivf_lock *lock)
{
    if (lock == NULL)
        return;
    (void)unlink(lock->path);
    (void)close(lock->file);
    ivf_free(lock);
}
