/* The postings of a range of lists from all fragments of a version, as one fragment in memory. */
#ifndef IVF_BUILD_MERGE_H
#define IVF_BUILD_MERGE_H

#include "index/fragment.h"
#include "index/reader.h"

typedef struct ivf_merger ivf_merger;

/* Local. Merges at most `most` lists at once; index, manifest and places are borrowed. NULL with a failure recorded. */
ivf_merger *ivf_merger_open(const char *index, const ivf_manifest *manifest, const ivf_place *places, int32_t most);
void ivf_merger_close(ivf_merger *merger);

/* Local. Bytes that it takes, beside the fragments. */
int64_t ivf_merger_memory(const ivf_manifest *manifest, int32_t most);

/* Local. Rows of the version that were skipped. */
int64_t ivf_merger_skipped(const ivf_manifest *manifest);

/* Local. Lists first to first + count - 1 into a fragment that has room for them; what was skipped as well, if it has
 * room for that. Fills in the record, but for its number and id. MPIVF_CORRUPT when a list does not have its checksum.
 */
int ivf_merger_run(ivf_merger *merger, int32_t first, int32_t count, ivf_fragment *fragment,
                   ivf_fragment_record *record);

#endif
