/* The k nearest of a stream of candidates, ordered by (key, id): both smaller first, so that results do not depend on
 * the order of arrival. */
#ifndef IVF_MATH_TOPK_H
#define IVF_MATH_TOPK_H

#include <stdint.h>

typedef struct {
    float key;    /* base/metric.h; INFINITY where there is no entry */
    int32_t list; /* in which it was found; of no account in the order */
    uint64_t id;  /* UINT64_MAX where there is no entry */
} ivf_neighbor;

/* A max-heap on borrowed memory. */
typedef struct {
    ivf_neighbor *heap; /* [k], borrowed */
    int k;
    int32_t list; /* that candidates are offered from */
} ivf_topk;

/* Local. Empties heap[k]; keys above `limit` (INFINITY: none) will not enter. */
ivf_topk ivf_topk_start(ivf_neighbor *heap, int k, float limit);

/* Local. Keys above this cannot enter any more (equal ones may, by id). */
float ivf_topk_bound(const ivf_topk *top);

/* Local. Offers n candidates. NaN keys never enter. O(log k) for each that does. */
void ivf_topk_offer(ivf_topk *top, const float *keys, const uint64_t *ids, int64_t n);

/* Local. Sorts the heap ascending; entries that were never filled come last. */
void ivf_topk_finish(ivf_topk *top);

/* Local. Folds the sorted from[rows][k] into the sorted into[rows][k], keeping the k best of each row; scratch[k]. */
void ivf_topk_merge(ivf_neighbor *into, const ivf_neighbor *from, int64_t rows, int k, ivf_neighbor *scratch);

#endif
