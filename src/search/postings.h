/* A rank's share of an index's postings, in memory. */
#ifndef IVF_SEARCH_POSTINGS_H
#define IVF_SEARCH_POSTINGS_H

#include <stdint.h>

#include "index/fragment.h"
#include "index/manifest.h"

/* The postings of one list in one fragment. */
typedef struct {
    const uint8_t *codes; /* [n][code_size] */
    const uint64_t *ids;  /* [n] */
    int64_t n;
} ivf_segment;

typedef struct {
    int64_t count;
    ivf_fragment **fragments; /* [count], owned */
    int64_t *first;           /* [nlist + 1]: list l is segments first[l] .. first[l + 1] - 1; owned */
    ivf_segment *segments;    /* none is empty; owned, views into the fragments */
} ivf_postings;

/* Local. Which fragments, from .. to - 1, rank `rank` of `size` holds. The fragments in row order are cut into one run
 * for each rank: a fragment belongs to the rank in whose equal share of all bytes its middle lies. So every fragment
 * belongs to one rank, and no rank holds more than its share and one fragment. */
void ivf_postings_share(const ivf_manifest *manifest, int rank, int size, int64_t *from, int64_t *to);

/* Local. Reads fragments from .. to - 1. On failure what was read is let go. */
int ivf_postings_load(const char *index, const ivf_manifest *manifest, int64_t from, int64_t to,
                      ivf_postings *postings);
void ivf_postings_free(ivf_postings *postings);

#endif
