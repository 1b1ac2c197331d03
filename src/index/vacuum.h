/* Taking away what no kept version of an index names: old versions, builds that were given up, and what killed runs
 * have left. */
#ifndef IVF_INDEX_VACUUM_H
#define IVF_INDEX_VACUUM_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    int64_t keep;      /* newest versions that stay, 1 or more */
    double older_than; /* seconds: younger unfinished builds and files that nobody names stay */
    bool deletes;      /* else nothing is changed */
} ivf_vacuum_config;

/* A file, or the folder of an unfinished build. */
typedef struct {
    char *path; /* below the index, owned */
    int64_t bytes;
    const char *why; /* static storage */
} ivf_vacuum_item;

typedef struct {
    ivf_vacuum_item *items; /* what goes, in the order in which it goes, [count], owned */
    int64_t count;
    int64_t bytes;
    int64_t versions; /* that stay */
    int64_t builds;   /* that are running, or too young to go */
} ivf_vacuum_report;

/* Local. Decides what goes and, if wanted, removes it. Files of kept versions, of running builds (those whose lock is
 * held) and of young ones stay; links are not followed, and names that are not ours are left alone. Nobody else begins,
 * ends or gives up a build meanwhile. Manifests go first, the oldest before the others, and durably, so that the index
 * is valid at every moment. MPIVF_CORRUPT: the manifest of a version that would stay is damaged, so that nothing can be
 * said of what it names. MPIVF_CONFLICT: the index is being repaired. Memory: 40 bytes for each fragment of each
 * version, some 100 for each file that goes. */
int ivf_vacuum(const char *index, const ivf_vacuum_config *config, ivf_vacuum_report *report);
void ivf_vacuum_report_free(ivf_vacuum_report *report);

#endif
