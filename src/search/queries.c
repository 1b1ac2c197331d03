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
#include "math/rows.h"

enum { CHECK_ROWS = 1024 };

static int check(const float *queries, int64_t number, int64_t nq, int d, ivf_metric metric)
{
    uint8_t reason[CHECK_ROWS];
    for (int64_t first = 0; first < nq; first += CHECK_ROWS) {
        int64_t n = ivf_min_i64(CHECK_ROWS, nq - first);
        if (ivf_rows_check(queries + first * d, n, d, metric, INFINITY, reason) == 0)
            continue;
        int64_t i = 0;
        while (reason[i] == IVF_ROW_OK)
            i++;
        return ivf_fail(MPIVF_BAD_INPUT, "query %" PRId64 " cannot be searched for by %s: %s", number + first + i,
                        ivf_metric_name(metric), ivf_row_reason_text((ivf_row_reason)reason[i]));
    }
    return MPIVF_OK;
}

int ivf_queries_open(const float *queries, int64_t first, int64_t nq, int d, ivf_metric metric, ivf_queries *prepared)
{
    *prepared = (ivf_queries){.x = queries};
    int rc = check(queries, first, nq, d, metric);
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

int ivf_queries_rotate(ivf_queries *prepared, int64_t nq, const ivf_model *model)
{
    float *rotated = ivf_new(ivf_to_size(nq) * (size_t)model->d, sizeof *rotated);
    int rc = rotated == NULL ? MPIVF_FAILED : ivf_model_rotate(model, prepared->x, nq, rotated);
    ivf_free(prepared->copy);
    prepared->copy = rotated;
    prepared->x = rotated;
    return rc;
}

void ivf_queries_close(ivf_queries *prepared)
{
    ivf_free(prepared->copy);
    *prepared = (ivf_queries){0};
}
