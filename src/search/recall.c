/* Recall against ground truth, for the eval command.
 *
 * Membership is asked from the side of the truth: an id that was found twice cannot count twice. Each question is a
 * plain walk over the k found entries, which needs no memory and cannot fail; k^2 comparisons a query (a millisecond
 * for k = 1000) are little beside the search that found them. No collectives. */
#include "search/recall.h"

#include <stdbool.h>
#include <stddef.h>

static bool is_found(const ivf_neighbor *found, int k, int64_t id)
{
    bool hit = false;
    for (int i = 0; i < k; i++)
        hit |= found[i].id == (uint64_t)id;
    return hit;
}

typedef struct {
    int64_t wanted;   /* true neighbours that exist */
    int64_t by_id;    /* of them found */
    int64_t by_place; /* found, rows tied with the k-th included */
} tally;

/* One query's ids[depth], and distances[depth] or NULL. Ids below 0 stand for "no such neighbour". */
static tally count_query(const int64_t *ids, const float *distances, int depth, const ivf_neighbor *found, int k)
{
    tally t = {0};
    for (int j = 0; j < k; j++) {
        t.wanted += ids[j] >= 0;
        t.by_id += ids[j] >= 0 && is_found(found, k, ids[j]);
    }
    t.by_place = t.by_id;
    for (int j = k; distances != NULL && j < depth && t.by_place < t.wanted; j++)
        t.by_place += ids[j] >= 0 && distances[j] == distances[k - 1] && is_found(found, k, ids[j]);
    return t;
}

ivf_recall ivf_recall_at(const ivf_groundtruth *truth, const ivf_neighbor *found, int64_t nq, int width, int k)
{
    tally sum = {0};
    for (int64_t q = 0; q < nq; q++) {
        const float *distances = truth->distances == NULL ? NULL : truth->distances + q * truth->k;
        tally t = count_query(truth->ids + q * truth->k, distances, truth->k, found + q * width, k);
        sum.wanted += t.wanted;
        sum.by_id += t.by_id;
        sum.by_place += t.by_place;
    }
    double wanted = sum.wanted > 0 ? (double)sum.wanted : 1;
    return (ivf_recall){.by_id = (double)sum.by_id / wanted,
                        .by_distance = truth->distances == NULL ? -1 : (double)sum.by_place / wanted};
}
