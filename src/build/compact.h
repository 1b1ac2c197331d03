/* Compaction: the postings of a version's fragments merged into fragments that have all postings of a range of lists
 * each, as one more version of the index. */
#ifndef IVF_BUILD_COMPACT_H
#define IVF_BUILD_COMPACT_H

#include <stdbool.h>
#include <stdint.h>

#include "comm/account.h"
#include "comm/context.h"

typedef struct {
    const char *index;
    int64_t fragment_bytes; /* of postings in a fragment, at most, unless a list alone is longer */
    bool single_file;       /* one fragment, written by all ranks; fragment_bytes are then what a rank holds of it */
    int64_t memory;         /* bytes that a rank may take; 0: no limit. Changes no byte of the result */
} ivf_compact_config;

typedef struct {
    int64_t version; /* that was committed, or that is compacted like this already */
    int64_t from;    /* the version that it was made from */
    bool already;    /* nothing was done */
    int64_t fragments, postings, bytes;
    int64_t kept; /* fragments that an earlier run had left */
    double seconds;
    int64_t planned; /* bytes of memory that a rank was expected to take at most */
    int64_t peak;    /* that one took */
} ivf_compact_result;

/* Collective. Compacts the newest version and commits; or goes on with what an earlier run of the same has left. The
 * version before stays. What a fragment holds follows from the version and the options alone: not from ranks, threads
 * or memory. Ranks draw fragments by ticket; a rank merges one while the one before is written. MPIVF_USAGE, with what
 * would fit, when the limit is less than what is needed; MPIVF_CORRUPT when the version is damaged: nothing that fails
 * a checksum is copied. On failure readers see nothing of it. */
int ivf_compact(const ivf_ctx *ctx, const ivf_compact_config *config, ivf_compact_result *result);

#endif
