/* Queries as they are compared: checked, and normalised for the cosine. */
#ifndef IVF_SEARCH_QUERIES_H
#define IVF_SEARCH_QUERIES_H

#include <stdint.h>

#include "base/metric.h"

typedef struct {
    const float *x; /* [nq][d]: the caller's queries, or the copy */
    float *copy;    /* owned; NULL unless the metric needs one */
} ivf_queries;

/* Local. MPIVF_BAD_INPUT names the first of queries[nq][d] that has no nearest row (not finite, zero norm for
 * IVF_COSINE) and why. The caller's array is borrowed until the close; nq * d * 4 bytes more for IVF_COSINE. */
int ivf_queries_open(const float *queries, int64_t nq, int d, ivf_metric metric, ivf_queries *prepared);
void ivf_queries_close(ivf_queries *prepared);

#endif
