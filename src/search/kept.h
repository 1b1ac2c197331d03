/* Vectors that an index keeps in its fragments, each rank those of its share. For search/vectors. */
#ifndef IVF_SEARCH_KEPT_H
#define IVF_SEARCH_KEPT_H

#include <stdint.h>

#include "index/manifest.h"
#include "search/idmap.h"

typedef struct ivf_kept_share ivf_kept_share;

/* Local. The vectors of the manifest, which says that there are some, in so many equal parts, of which this is number
 * `part`; index and manifest are borrowed. Holds 16 bytes for each list of each fragment that the part has postings of.
 * NULL with a failure recorded: MPIVF_CORRUPT when a file is not the fragment that the manifest names. */
ivf_kept_share *ivf_kept_share_open(const char *index, const ivf_manifest *manifest, int part, int parts);
void ivf_kept_share_close(ivf_kept_share *share);

/* Local. Bytes that finding and reading take at most, beside what they are handed. */
int64_t ivf_kept_share_memory(const ivf_manifest *manifest);

/* Local, uses the team. Where the share has the ids of the map: places[number], left as it is for ids that it has not.
 * lists[number] is the list of an id, -1 when that is not known and all ids are read: 8 bytes for each posting of
 * the lists that are named. */
int ivf_kept_share_find(const ivf_kept_share *share, const ivf_idmap *map, const int32_t *lists, int64_t *places);

/* Local, uses the team. The vectors at ascending distinct places into x[n][d], those that lie close together at once.
 * MPIVF_CORRUPT names file and list where a list that is read whole has not its checksum, or a vector is none that is
 * indexed. Holds 8 bytes for each beside the above. */
int ivf_kept_share_read(const ivf_kept_share *share, const int64_t *places, int64_t n, float *x);

#endif
