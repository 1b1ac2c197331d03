/* The nearest rows of many queries by brute force, rows coming a few at a time: blocked products sieve out the few that
 * could be near enough, and only those are compared exactly. */
#ifndef IVF_SEARCH_SIEVE_H
#define IVF_SEARCH_SIEVE_H

#include <stdint.h>

#include "base/metric.h"
#include "math/topk.h"

typedef struct ivf_sieve ivf_sieve;

/* Local. Empties heaps[nq][k]; queries[nq][d] (normalised for IVF_COSINE) and heaps are borrowed. Takes about
 * nq * (d + 7) * 4 bytes and 128 KiB for each thread of the team. NULL with a failure recorded. */
ivf_sieve *ivf_sieve_new(ivf_metric metric, const float *queries, int64_t nq, int d, ivf_neighbor *heaps, int k);
void ivf_sieve_free(ivf_sieve *sieve);

/* Local. Bytes that ivf_sieve_new takes. */
int64_t ivf_sieve_memory(int64_t nq, int d);

/* Local, uses the team. Offers x[n][d] (checked, and normalised for IVF_COSINE) with their ids[n] and squared norms
 * norm[n] as ivf_dot gives them. What the heaps hold afterwards does not depend on the order of the rows. n * nq * d
 * multiply-adds. */
int ivf_sieve_offer(ivf_sieve *sieve, const float *x, const float *norm, const uint64_t *ids, int64_t n);

/* Local. Sorts the heaps by (key, id). */
void ivf_sieve_finish(ivf_sieve *sieve);

#endif
