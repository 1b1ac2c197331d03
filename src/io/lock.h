/* An advisory lock on a file (flock(2)): held by a process until it lets go or dies. */
#ifndef IVF_IO_LOCK_H
#define IVF_IO_LOCK_H

#include <stdbool.h>

typedef struct ivf_lock ivf_lock;

/* Local. Creates `path` if needed and takes its lock, waiting up to `patience` seconds. MPIVF_CONFLICT when another
 * process holds it (MPIVF_INTERRUPTED when a stop is wanted meanwhile); `holder` says who that is: "another build of
 * this index is running". Where the file system has no locks, warns once and goes on. */
int ivf_lock_take(const char *path, double patience, const char *holder, ivf_lock **lock);

/* Local. Whether the file system has locks: else it is not known whether anybody else holds this one. */
bool ivf_lock_is_real(const ivf_lock *lock);

/* Local. Removes the file and lets go; NULL is allowed. */
void ivf_lock_release(ivf_lock *lock);

#endif
