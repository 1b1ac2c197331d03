#include "io/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/stop.h"
#include "io/publish.h"

struct ivf_lock {
    int file;
    bool is_real;
    char path[IVF_PATH_BYTES];
};

static void warn_of_none(const char *path, int wrong)
{
    static atomic_flag warned = ATOMIC_FLAG_INIT;
    if (!atomic_flag_test_and_set(&warned))
        ivf_warn("%s: no locks here (%s); make sure that nobody else works on this index now", path, strerror(wrong));
}

static int lock_file(ivf_lock *lock, double deadline, const char *holder)
{
    static const struct timespec pause = {.tv_nsec = 20000000};
    bool told = false;
    lock->is_real = true;
    while (flock(lock->file, LOCK_EX | LOCK_NB) != 0) {
        if (errno == EINTR)
            continue;
        if (errno != EWOULDBLOCK) {
            warn_of_none(lock->path, errno);
            lock->is_real = false;
            return MPIVF_OK;
        }
        if (ivf_clock() >= deadline)
            return ivf_fail(MPIVF_CONFLICT, "%s is locked: %s; wait for it to end", lock->path, holder);
        if (!told)
            ivf_info("%s is locked: %s; waiting", lock->path, holder);
        told = true;
        int rc = ivf_stop_point();
        if (rc != MPIVF_OK)
            return rc;
        (void)nanosleep(&pause, NULL);
    }
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

int ivf_lock_take(const char *path, double patience, const char *holder, ivf_lock **lock)
{
    const double deadline = ivf_clock() + patience;
    *lock = NULL;
    ivf_lock *made = ivf_new_zero(1, sizeof *made);
    if (made == NULL)
        return MPIVF_FAILED;
    (void)snprintf(made->path, sizeof made->path, "%s", path);
    int rc = MPIVF_OK;
    for (bool held = false; rc == MPIVF_OK && !held;) {
        made->file = ivf_fault("lock") ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (made->file < 0) {
            rc = ivf_fail_errno(errno, "%s", path);
            break;
        }
        rc = lock_file(made, deadline, holder);
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

bool ivf_lock_is_real(const ivf_lock *lock)
{
    return lock->is_real;
}

void ivf_lock_release(ivf_lock *lock)
{
    if (lock == NULL)
        return;
    (void)unlink(lock->path);
    (void)close(lock->file);
    ivf_free(lock);
}
