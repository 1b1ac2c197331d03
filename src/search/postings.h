/* A share of an index's postings, list by list: in memory, or as much of it as there is room for. It is one rank's, or
 * is held together by the ranks of a row (comm/mesh.h), of which each has found, read and arranged a part. */
#ifndef IVF_SEARCH_POSTINGS_H
#define IVF_SEARCH_POSTINGS_H

#include <stdint.h>

#include "comm/context.h"
#include "comm/shared.h"
#include "index/manifest.h"
#include "index/model.h"
#include "search/store.h"
#include "search/view.h"

/* What a rank has: some fragments, and of these some lists. */
typedef struct {
    int64_t from, to;   /* fragments from .. to - 1 */
    int32_t first, end; /* lists first .. end - 1 */
} ivf_postings_share;

typedef struct {
    int32_t nlist;
    size_t block_size;
    ivf_list *lists;   /* [nlist], owned; one that is not in memory has its n alone */
    ivf_store *store;  /* of the lists that are not in memory, owned; NULL: all are */
    ivf_place *places; /* [fragments of the share], owned */
    float *origin;     /* [d], owned: what queries are taken relative to */
    ivf_shared *block; /* what the lists in memory point into, owned; NULL: `own` is */
    void *own;         /* owned */
} ivf_postings;

/* Local. What rank `rank` of `size` holds, in equal shares of bytes. Of fragments by rows it gets whole ones: a
 * fragment belongs to the rank in whose share its middle lies. Of fragments by lists it gets a range of lists, by the
 * same rule, and the fragments that have them. So no rank holds more than its share and one fragment, or list. */
ivf_postings_share ivf_postings_share_of(const ivf_manifest *manifest, int rank, int size);

/* Collective over the ranks of a row. Finds their share of an index with that model: how long its lists are, and where.
 * On failure what was found is let go. Communication: 40 bytes a fragment, 8 bytes a list. */
int ivf_postings_find(const ivf_ctx *row, const char *index, const ivf_manifest *manifest, const ivf_model *model,
                      const ivf_postings_share *share, ivf_postings *postings);

/* How much of a share is in memory, and how the rest is read. */
typedef struct {
    int32_t resident;    /* lists below this number are in memory */
    int64_t group_bytes; /* of lists that are read at once (search/store.h) */
} ivf_postings_room;

/* Collective over the ranks of a row. Room for the lists below `resident`: of several ranks a block that they share,
 * where *reserved says whether they can. */
int ivf_postings_reserve(const ivf_ctx *row, const ivf_model *model, int32_t resident, ivf_postings *postings,
                         bool *reserved);

/* Collective over the ranks of a row, uses the team. Reads the lists that there is room for, each rank some, and opens
 * a store for the others (of a rank alone). On failure everything is let go. `manifest`, `model` and `index` stay
 * borrowed. */
int ivf_postings_load(const ivf_ctx *row, const char *index, const ivf_manifest *manifest, const ivf_model *model,
                      const ivf_postings_share *share, const ivf_postings_room *room, ivf_postings *postings);
void ivf_postings_free(ivf_postings *postings);

/* Local. Bytes of a list of n postings in memory. */
int64_t ivf_postings_list_bytes(const ivf_model *model, int64_t n);

#endif
