/* What the parts of the search for the nearest list share. Private to cluster/. */
#ifndef IVF_CLUSTER_NEAREST_WORK_H
#define IVF_CLUSTER_NEAREST_WORK_H

#include <stdbool.h>

#include "cluster/nearest.h"
#include "math/coarse.h"
#include "math/panels.h"

enum { IVF_NEAREST_ROWS = 1024 }; /* looked up at once */

struct ivf_nearest {
    const ivf_tree *tree; /* borrowed */
    const ivf_grid *grid; /* borrowed */
    ivf_metric metric;
    ivf_nearest_way way;
    ivf_panels *panels;             /* of the lists; for trees of the nodes above them */
    ivf_coarse *coarse[IVF_LEVELS]; /* nodes in groups of siblings; NULL where the way does without */
};

enum { IVF_NEAREST_UPPER_ROWS = 128 }; /* at once, where scores of a middle level are kept */

/* Where a call's work is, for IVF_NEAREST_ROWS rows. What only trees need is NULL without one, and `upper` and on
 * without a middle level. */
typedef struct {
    int8_t *q;        /* [rows][stride] */
    uint8_t *outside; /* [rows] */
    ivf_coarse_found *found;
    int32_t *probe;        /* [rows][probes of level 1]: nodes; -1 at the end where there are fewer */
    int32_t *start;        /* [most nodes of a level + 2] */
    int32_t *row;          /* [rows][probes]: by node; node i has row[start[i]] to row[start[i + 1] - 1] */
    void *top;             /* scratch of ivf_coarse_pick or ivf_coarse_top, or of ivf_panels_top and its outcome */
    int32_t *upper;        /* [upper rows][probes of level 2] */
    int64_t slots;         /* of the children of a row's probed nodes, at most */
    int32_t *scores;       /* [upper rows][slots] */
    int32_t *cursor;       /* [upper rows]: slots that have scores */
    const int8_t *q_upper; /* of the upper rows in work */
    void *choice;          /* scratch of ivf_coarse_choose */
    size_t bytes;          /* of all */
    bool scored;           /* scores are wanted; else there is room for them all the same */
} ivf_nearest_work;

/* Local. The work in a call's scratch, or, without scratch, only the bytes that it takes. */
ivf_nearest_work ivf_nearest_work_in(const ivf_nearest *nearest, void *scratch);

/* Local, one thread. At most IVF_NEAREST_ROWS rows, rounded into w->q, down the tree. */
void ivf_nearest_descend(const ivf_nearest *nearest, const float *x, int64_t n, ivf_nearest_work *w, int32_t *best,
                         float *score);

#endif
