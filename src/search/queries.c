/* Queries as they are compared, for the searcher and for exact search. They pass the checks that rows pass before they
 * are indexed (math/rows.h): a query that fails them would get neighbours in an order that means nothing. No
 * collectives. */
#include "search/queries.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "math/rows.h"

enum { CHECK_ROWS = 1024 };

static int check(const float *queries, int64_t nq, int d, ivf_metric metric)
{
    uint8_t reason[CHECK_ROWS];
    for (int64_t first = 0; first < nq; first += CHECK_ROWS) {
        int64_t n = ivf_min_i64(CHECK_ROWS, nq - first);
        if (ivf_rows_check(queries + first * d, n, d, metric, INFINITY, reason) == 0)
            continue;
        int64_t i = 0;
        while (reason[i] == IVF_ROW_OK)
            i++;
        return ivf_fail(MPIVF_BAD_INPUT, "query %" PRId64 " cannot be searched for by %s: %s", first + i,
                        ivf_metric_name(metric), ivf_row_reason_text((ivf_row_reason)reason[i]));
    }
    return MPIVF_OK;
}

int ivf_queries_open(const float *queries, int64_t nq, int d, ivf_metric metric, ivf_queries *prepared)
{
    *prepared = (ivf_queries){.x = queries};
    int rc = check(queries, nq, d, metric);
    if (rc != MPIVF_OK || metric != IVF_COSINE)
        return rc;
    prepared->copy = ivf_new(ivf_to_size(nq) * (size_t)d, sizeof *prepared->copy);
    if (prepared->copy == NULL)
        return MPIVF_FAILED;
    if (nq > 0)
        memcpy(prepared->copy, queries, ivf_to_size(nq) * (size_t)d * sizeof *queries);
    ivf_rows_normalise(prepared->copy, nq, d);
    prepared->x = prepared->copy;
    return MPIVF_OK;
}

typedef struct {
    const ivf_panels *rotation;
    const float *x; /* [nq][d] */
    int d;
    float *out; /* [nq][rotated] */
    int rotated;
    int64_t nq;
} rotate_job;

static int rotate_task(void *arg, int64_t task, int worker)
{
    const rotate_job *job = arg;
    int64_t first = task * CHECK_ROWS;
    (void)worker;
    ivf_panels_scores(job->rotation, job->x + first * job->d, ivf_min_i64(CHECK_ROWS, job->nq - first),
                      job->out + first * job->rotated);
    return MPIVF_OK;
}

int ivf_queries_rotate(ivf_queries *prepared, int64_t nq, int d, const ivf_panels *rotation, int rotated)
{
    rotate_job job = {.rotation = rotation, .x = prepared->x, .d = d, .rotated = rotated, .nq = nq};
    job.out = ivf_new(ivf_to_size(nq) * (size_t)rotated, sizeof *job.out);
    if (job.out == NULL)
        return MPIVF_FAILED;
    int rc = ivf_team_run(ivf_ceil_div(nq, CHECK_ROWS), rotate_task, &job);
    ivf_free(prepared->copy);
    prepared->copy = job.out;
    prepared->x = job.out;
    return rc;
}

void ivf_queries_close(ivf_queries *prepared)
{
    ivf_free(prepared->copy);
    *prepared = (ivf_queries){0};
}
