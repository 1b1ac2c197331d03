/* Some lists of a version, put together from the fragments that have postings of them. For who merges lists, or reads
 * only those that are looked into. */
#ifndef IVF_INDEX_READER_H
#define IVF_INDEX_READER_H

#include "index/place.h"

enum { IVF_READER_FILES = 256 }; /* that are kept open */

typedef struct ivf_reader ivf_reader;

/* What for. */
typedef struct {
    bool held;    /* the tables of lists stay in memory, for jobs whose lists lie far apart; else a job reads what it
                     needs of them */
    bool vectors; /* those that the version keeps are read as well, if there are any */
} ivf_reader_use;

/* Local. Reads from fragments from .. to - 1, whose places are places[to - from]; all borrowed. NULL with a failure
 * recorded. */
ivf_reader *ivf_reader_open(const char *index, const ivf_manifest *manifest, const ivf_place *places, int64_t from,
                            int64_t to, ivf_reader_use use);
void ivf_reader_close(ivf_reader *reader);

/* Local. Bytes that a reader takes, for jobs of lists within a range of `span`. */
int64_t ivf_reader_memory(const ivf_manifest *manifest, int64_t from, int64_t to, int32_t span, ivf_reader_use use);

/* What is read: lists[count], ascending. Column c's data of lists[i], sizes[i] postings, go to to[i][c]: fragment after
 * fragment, and so in the order of the input rows. */
typedef struct {
    const int32_t *lists;
    int32_t count;
    const int64_t *sizes;            /* [count] */
    uint8_t *(*to)[IVF_ALL_COLUMNS]; /* [count] */
    int64_t first, whole; /* whole > 0: count is 1, and of the list, which has so many postings, sizes[0] from
                             `first` on are read */
} ivf_reader_job;

/* Local, one job at a time. Every list of every fragment is held against its checksum: MPIVF_CORRUPT names fragment and
 * list. Reads what lies between two lists as well where that is less than a page or so, and asks for all of a job
 * before it waits for any. Pieces of a list are read by jobs that follow each other, from its first posting on, without
 * kept vectors; whether it has its checksum shows with the last piece. MPIVF_INTERRUPTED when the run is to stop. */
int ivf_reader_run(ivf_reader *reader, const ivf_reader_job *job);

#endif
