/* What the files of compaction share. */
#ifndef IVF_BUILD_COMPACT_INTERNAL_H
#define IVF_BUILD_COMPACT_INTERNAL_H

#include "build/compact.h"
#include "build/merge.h"
#include "index/manifest.h"
#include "io/lock.h"

/* Ranges of lists: part p is lists starts[p] to starts[p + 1] - 1. What a rank merges at once, and, but for a single
 * file, a fragment. */
typedef struct {
    int32_t *starts; /* [count + 1], owned */
    int64_t count;
    int32_t most_lists;    /* of a part */
    int64_t most_postings; /* of a part */
} ivf_compact_parts;

typedef struct {
    const ivf_compact_config *config;
    ivf_manifest *manifest; /* of what is compacted, owned */
    ivf_place *places;      /* [its fragments], owned */
    ivf_compact_parts parts;
    int held;     /* parts of a single file in memory: one is written while the next is merged, unless only one fits */
    int64_t base; /* bytes that the process held at first */
    int64_t planned; /* that it takes at most */
    int64_t version; /* to commit */
    char build_id[IVF_ID_BYTES];
    char folder[IVF_PATH_BYTES];
    int64_t *pending; /* [pending_count]: parts that are to be made, ascending; owned; on every rank */
    int64_t pending_count;
    ivf_fragment_record *records; /* [record_count] of the fragments that this rank made or, on rank 0, kept; owned */
    int64_t record_count;
    int64_t kept;
    const ivf_fragment_record
        *expected;  /* what the one file must come out as, or it is not published; NULL: as it does */
    ivf_lock *lock; /* on rank 0: of the folder */
    bool committed;
    double started;
} ivf_compact_state;

/* Local. Cuts the lists of a version into parts: of at most fragment_bytes of postings, or one list; for a single file,
 * whose bytes do not depend on it, of half as much, so that two in memory are no more than was asked for. */
int ivf_compact_cut(const ivf_manifest *manifest, const ivf_compact_config *config, ivf_compact_parts *parts);

/* Local. The cut that the options ask for, and what it needs of a rank's memory; MPIVF_USAGE when that is more than the
 * limit, with a number of bytes that fits, if there is one. */
int ivf_compact_plan(ivf_compact_state *s, int ranks);

/* Local. The id of part p's fragment. */
void ivf_compact_name(const ivf_compact_state *s, int64_t part, char id[IVF_ID_BYTES]);

/* Local, rank 0. Decides version and id, takes the folder, and finds what an earlier run has left: records[kept]. */
int ivf_compact_claim(ivf_compact_state *s);

/* Local, rank 0, after all ranks have ended: lets the folder go, and takes away what no later run can use. */
void ivf_compact_release(ivf_compact_state *s);

/* Collective. The one file; its record becomes records[0] of rank 0. Where it comes out otherwise than expected, the
 * record alone tells. */
int ivf_compact_file(const ivf_ctx *ctx, ivf_compact_state *s);

#endif
