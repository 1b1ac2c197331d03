/* Planted faults, for tests: places in the program where a step may fail are named, and one of them can be told to do
 * so. Only in builds for debugging and with sanitizers (MPIVF_FAULTS); elsewhere nothing of it is compiled.
 *
 *     MPIVF_FAULT=SITE,PASS[,RANK]   the PASS-th time, counted from 1, that this process passes the site, it fails; on
 *                                    all ranks, or on that one
 *     MPIVF_FAULT_LIST=FILE          at its end each process adds a line "RANK SITE PASSES" for each site that it
 * passed */
#ifndef IVF_BASE_FAULT_H
#define IVF_BASE_FAULT_H

#include <stdbool.h>

#ifdef MPIVF_FAULTS

/* Local, any thread. Whether the step at `site` (static storage, no spaces) is to fail this time; then errno is EIO,
 * and a failure is recorded for callers that word none. */
bool ivf_fault(const char *site);

#else

static inline bool ivf_fault(const char *site)
{
    (void)site;
    return false;
}

#endif

#endif
