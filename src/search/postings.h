/* A rank's share of an index's postings, list by list: in memory, or as much of it as there is room for. */
#ifndef IVF_SEARCH_POSTINGS_H
#define IVF_SEARCH_POSTINGS_H

#include <stdint.h>

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
    uint8_t *blocks;   /* of all lists in memory, owned */
    float *terms;      /* owned */
    uint64_t *ids;     /* owned */
} ivf_postings;

/* Local. What rank `rank` of `size` holds, in equal shares of bytes. Of fragments by rows it gets whole ones: a
 * fragment belongs to the rank in whose share its middle lies. Of fragments by lists it gets a range of lists, by the
 * same rule, and the fragments that have them. So no rank holds more than its share and one fragment, or list. */
ivf_postings_share ivf_postings_share_of(const ivf_manifest *manifest, int rank, int size);

/* Local, uses the team. Finds a share of an index with that model: how long its lists are, and where. On failure what
 * was found is let go. */
int ivf_postings_find(const char *index, const ivf_manifest *manifest, const ivf_model *model,
                      const ivf_postings_share *share, ivf_postings *postings);

/* How much of a share is in memory, and how the rest is read. */
typedef struct {
    int32_t resident;    /* lists below this number are in memory */
    int64_t group_bytes; /* of lists that are read at once (search/store.h) */
} ivf_postings_room;

/* Local, uses the team. Reads the lists that are to be in memory, and opens a store for the others. On failure
 * everything is let go. `manifest`, `model` and `index` stay borrowed. */
int ivf_postings_load(const char *index, const ivf_manifest *manifest, const ivf_model *model,
                      const ivf_postings_share *share, const ivf_postings_room *room, ivf_postings *postings);
void ivf_postings_free(ivf_postings *postings);

/* Local. Bytes of a list of n postings in memory. */
int64_t ivf_postings_list_bytes(const ivf_model *model, int64_t n);

#endif
