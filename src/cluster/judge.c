/* Whether a centroid's neighbours are all that its rows need. In most data a row that leaves its cell goes next door.
 * But where many clusters are equally far from each other, a centroid in their middle collects the rows of those that
 * have none of their own, and these may go anywhere. So a full pass counts, for each cell, the rows that went to a
 * centroid that was not on its list; the cells that lose the largest shares of their rows so become wide, as long as
 * restricted passes stay cheap: their rows meet all centroids in every pass. */
#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"
#include "cluster/internal.h"

enum {
    LEAST_MISSED = 200, /* one in so many rows makes a cell a candidate */
    MOST_WIDE = 5,      /* hundredths of all rows may be in wide cells */
};

typedef struct {
    int64_t missed;
    int64_t size;
    int32_t cell;
} missing;

/* The largest share first. */
static int by_share(const void *left, const void *right)
{
    const missing *a = left;
    const missing *b = right;
    int64_t one = a->missed * b->size;
    int64_t other = b->missed * a->size;
    if (one != other)
        return one > other ? -1 : 1;
    return (a->cell > b->cell) - (a->cell < b->cell);
}

int ivf_kmeans_judge(const ivf_ctx *ctx, const ivf_kmeans_work *w, ivf_kmeans_lists *lists)
{
    missing *cells = ivf_new((size_t)lists->groups, sizeof *cells);
    int64_t *missed = w->largest; /* free between an update and the next tally */
    int64_t rows = 0;
    int64_t wide = 0;
    size_t count = 0;
    int rc = ivf_kmeans_agree(ctx, cells == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc != MPIVF_OK || cells == NULL) {
        ivf_free(cells);
        return rc;
    }
    for (int32_t c = 0; c < lists->groups; c++)
        missed[c] = atomic_exchange(&lists->missed[c], 0);
    ivf_kmeans_allsum(ctx, missed, lists->groups);
    for (int32_t c = 0; c < lists->groups; c++) {
        lists->wide[c] = false;
        rows += w->size[c];
        if (missed[c] * LEAST_MISSED > w->size[c])
            cells[count++] = (missing){.missed = missed[c], .size = w->size[c], .cell = c};
    }
    qsort(cells, count, sizeof *cells, by_share);
    for (size_t i = 0; i < count && wide + cells[i].size <= rows / 100 * MOST_WIDE; i++) {
        wide += cells[i].size;
        lists->wide[cells[i].cell] = true;
    }
    ivf_free(cells);
    return MPIVF_OK;
}
