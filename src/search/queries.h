/* Queries as they are compared: checked, normalised for the cosine, rotated if the model rotates. */
#ifndef IVF_SEARCH_QUERIES_H
#define IVF_SEARCH_QUERIES_H

#include <stdint.h>

#include "base/metric.h"
#include "index/model.h"

typedef struct {
    const float *x; /* [nq][d]: the caller's queries, or the copy */
    float *copy;    /* owned; NULL unless they were changed */
} ivf_queries;

/* Local. MPIVF_BAD_INPUT names the first of queries[nq][d] that has no nearest row (not finite, zero norm for
 * IVF_COSINE), counted from `first` on, and why. The caller's array is borrowed until the close; nq * d * 4 bytes more
 * for IVF_COSINE. */
int ivf_queries_open(const float *queries, int64_t first, int64_t nq, int d, ivf_metric metric, ivf_queries *prepared);

/* Local, uses the team. Replaces them by what the model's rotation makes of them, a copy of [nq][model->d]. */
int ivf_queries_rotate(ivf_queries *prepared, int64_t nq, const ivf_model *model);

void ivf_queries_close(ivf_queries *prepared);

#endif
