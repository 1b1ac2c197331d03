/* What lists.c, which finds out where lists lie, and lists_write.c, which copies them, share. */
#ifndef IVF_INTEROP_LISTS_INTERNAL_H
#define IVF_INTEROP_LISTS_INTERNAL_H

#include "base/hash.h"
#include "index/reader.h"
#include "interop/lists.h"
#include "io/rawfile.h"

struct ivf_lists {
    const char *index;
    const ivf_manifest *manifest;
    int64_t posting_bytes;
    ivf_place *places; /* [fragments], owned */
    ivf_reader *reader;
    int64_t *starts; /* [nlist + 1], owned: of each list in the layout */
    uint64_t digest; /* of the ids that this rank wrote */
    /* scratch for a group of lists, owned */
    uint8_t *group;
    int32_t *numbers;                /* [room] */
    uint8_t *(*to)[IVF_ALL_COLUMNS]; /* [room] */
    size_t group_room;
    int64_t room;   /* lists */
    uint8_t *piece; /* of a list that is copied in pieces */
    ivf_hasher *hasher;
};

#endif
