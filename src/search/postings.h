/* A rank's share of an index's postings, in memory, list by list. */
#ifndef IVF_SEARCH_POSTINGS_H
#define IVF_SEARCH_POSTINGS_H

#include <stdint.h>

#include "index/fragment.h"
#include "index/manifest.h"
#include "index/model.h"

/* A list, in the order of the input rows. With r the decoded codes, c the list's centroid (0 unless the codec is
 * residual) and o the origin (codec/scan.h). Views into the postings. */
typedef struct {
    int64_t n;
    uint8_t *blocks; /* [n rounded up to a block] */
    float *terms;    /* the same; L2: |r|^2 + 2 <c - o, r>; NULL for inner products */
    uint64_t *ids;   /* [n] */
    float radius;    /* the largest |r| */
    float spread;    /* of a code, at most */
    float shift;     /* |c - o|; 0 for inner products */
} ivf_list;

typedef struct {
    int32_t nlist;
    size_t block_size;
    ivf_list *lists; /* [nlist], owned */
    float *origin;   /* [d], owned: what queries are taken relative to */
    uint8_t *blocks; /* of all lists, owned */
    float *terms;    /* owned */
    uint64_t *ids;   /* owned */
} ivf_postings;

/* Local. Which fragments, from .. to - 1, rank `rank` of `size` holds. The fragments in row order are cut into one run
 * for each rank: a fragment belongs to the rank in whose equal share of all bytes its middle lies. So every fragment
 * belongs to one rank, and no rank holds more than its share and one fragment. */
void ivf_postings_share(const ivf_manifest *manifest, int rank, int size, int64_t *from, int64_t *to);

/* Local, uses the team. Reads fragments from .. to - 1 of an index with that model. On failure what was read is let go.
 */
int ivf_postings_load(const char *index, const ivf_manifest *manifest, const ivf_model *model, int64_t from, int64_t to,
                      ivf_postings *postings);
void ivf_postings_free(ivf_postings *postings);

#endif
