#include "search/measure.h"

#include <stdlib.h>

#include "base/error.h"

enum { MOST_RUNS = 3 };
static const double ENOUGH_SECONDS = 0.5;

static int compare_seconds(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* The slowest rank's time is the same on every rank, so all stop together. */
int ivf_measure(const ivf_ctx *ctx, ivf_searcher *searcher, const float *queries, int64_t nq,
                const ivf_search_params *params, ivf_neighbor *out, ivf_measured *measured)
{
    double seconds[MOST_RUNS];
    double sum = 0;
    *measured = (ivf_measured){0};
    while (measured->runs < MOST_RUNS && sum < ENOUGH_SECONDS) {
        ivf_search_stats stats = {0};
        int rc = ivf_search(ctx, searcher, queries, nq, params, out, &stats);
        if (rc != MPIVF_OK)
            return rc;
        seconds[measured->runs++] = stats.seconds;
        sum += stats.seconds;
        measured->postings_scanned = stats.postings_scanned;
    }
    qsort(seconds, (size_t)measured->runs, sizeof seconds[0], compare_seconds);
    measured->seconds = (seconds[(measured->runs - 1) / 2] + seconds[measured->runs / 2]) / 2;
    return MPIVF_OK;
}
