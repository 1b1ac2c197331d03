/* Recall against ground truth. */
#ifndef IVF_SEARCH_RECALL_H
#define IVF_SEARCH_RECALL_H

#include <stdint.h>

#include "io/groundtruth.h"
#include "math/topk.h"

typedef struct {
    double by_id;       /* share of the true k nearest ids that were found */
    double by_distance; /* the same, where any row as near as the true k-th counts (ties); -1 when the ground truth has
                           no distances */
} ivf_recall;

/* Local. Recall@k of the first k of each row of found[nq][width] (1 <= k <= width, k <= truth's k, nq <= truth's
 * queries). The true neighbours of all queries are counted together; ids below 0 in the ground truth stand for none and
 * count on neither side. Ties beyond the ground truth's last entry cannot be seen. 0 when there is nothing to find.
 * nq * k * k comparisons, no memory. */
ivf_recall ivf_recall_at(const ivf_groundtruth *truth, const ivf_neighbor *found, int64_t nq, int width, int k);

#endif
