/* Re-ranking: the best candidates of a search, by their exact distances. */
#ifndef IVF_SEARCH_RERANK_H
#define IVF_SEARCH_RERANK_H

#include <stdint.h>

#include "base/metric.h"
#include "comm/context.h"
#include "math/topk.h"
#include "search/vectors.h"

typedef struct {
    ivf_vectors *vectors;
    ivf_metric metric;
    const float *queries; /* [nq][d], d as rows are read: normalised for IVF_COSINE, not rotated */
    int64_t nq;
    int d;
    int width;     /* candidates of each */
    int k;         /* <= width: neighbours that are kept */
    float limit;   /* keys above are not wanted */
    int64_t piece; /* bytes of vectors that are read at once; changes no key */
} ivf_rerank;

/* Collective. Rank 0's candidates found[nq][width], which elsewhere are overwritten, with the keys of math/distance.h
 * for their vectors, and the k best in order of (key, id) to rank 0's out[nq][k] (not looked at elsewhere). A
 * candidate's key is its vector's and the query's alone, so the outcome does not depend on the ranks. Memory:
 * IVF_RERANK_BYTES for each candidate, a piece, and ivf_vectors_memory; communication: 16 bytes for each to every rank,
 * 4 back, and what ivf_vectors_locate needs. */
enum { IVF_RERANK_BYTES = 16 + 8 + 32 + 4 + 52, IVF_RERANK_PIECE = 16 << 20 };
/* Local. The least that a piece may be: a vector. */
int64_t ivf_rerank_least_piece(int d);

int ivf_rerank_run(const ivf_ctx *ctx, const ivf_rerank *job, ivf_neighbor *found, ivf_neighbor *out);

#endif
