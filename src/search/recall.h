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

/* Local. Recall@k of found[nq][width] (k <= width, k <= truth's k). */
ivf_recall ivf_recall_at(const ivf_groundtruth *truth, const ivf_neighbor *found, int64_t nq, int width, int k);

#endif
