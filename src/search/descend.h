/* The lists to probe, found by descending the tree of centroids: a few nodes of the top, then only their children. */
#ifndef IVF_SEARCH_DESCEND_H
#define IVF_SEARCH_DESCEND_H

#include <stddef.h>
#include <stdint.h>

#include "index/model.h"
#include "math/panels.h"

typedef struct ivf_descent ivf_descent;

/* Local. Packs the upper levels of a model's tree, which has some; the model and its packed lists are borrowed. NULL
 * with a failure recorded. */
ivf_descent *ivf_descent_new(const ivf_model *model, const ivf_panels *lists);
void ivf_descent_free(ivf_descent *descent);

/* The numbers of one search. */
typedef struct {
    int32_t take[IVF_LEVELS];   /* nodes of each upper level that a query descends into; of lists, how many it gets */
    int32_t ranked[IVF_LEVELS]; /* of them, how many are ranked: as many as it may take to have enough below */
} ivf_route;

/* Local. nodes[l] (1..count) for each upper level l, and nprobe lists; both clamped by the caller. */
int ivf_descent_plan(const ivf_descent *descent, const int32_t *nodes, int nprobe, ivf_route *route);

/* Local, one thread. nprobe lists for each of x[n][d], in descending order of score (ties: the lower number first):
 * list[n][nprobe], score[n][nprobe], as ivf_panels_top has them. A query descends into the best take[l] nodes of the
 * level, and into more while those have too few children for the level below. The outcome for a query depends on the
 * query alone. `scratch` holds ivf_descent_scratch bytes, for n queries at most. */
void ivf_descent_run(const ivf_descent *descent, const ivf_route *route, const float *x, int64_t n, int32_t *list,
                     float *score, void *scratch);
size_t ivf_descent_scratch(const ivf_descent *descent, const ivf_route *route, int64_t n);

#endif
