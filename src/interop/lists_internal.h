/* What lists.c, which finds out where lists lie, and lists_write.c, which copies them, share. */
#ifndef IVF_INTEROP_LISTS_INTERNAL_H
#define IVF_INTEROP_LISTS_INTERNAL_H

#include "base/hash.h"
#include "interop/lists.h"
#include "io/rawfile.h"

enum { IVF_LISTS_HELD = 256 }; /* files that a rank keeps open */

/* Where a fragment's datasets lie in its file; -1: it has no postings. Plain bytes: travels between ranks. */
typedef struct {
    int64_t offsets, checksums, ids, codes;
    uint64_t skipped; /* digest of the ids that are in no list */
} ivf_lists_place;

struct ivf_lists {
    const char *index;
    const ivf_manifest *manifest;
    int64_t posting_bytes;
    ivf_lists_place *places; /* [fragments], owned */
    ivf_rawfile *files;      /* [IVF_LISTS_HELD], owned; fd -1: not open */
    int64_t *starts;         /* [nlist + 1], owned: of each list in the layout */
    uint64_t digest;         /* of the ids that this rank wrote */
    /* scratch for a group of lists, owned */
    uint8_t *group, *run;
    uint64_t *offsets, *checksums; /* [lists of the group + 1] of one fragment */
    int64_t *filled;               /* [lists of the group]: postings of earlier fragments */
    size_t group_room, run_room;
    int64_t table_room;
    ivf_hasher *hasher;
};

#endif
