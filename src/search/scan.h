/* The nearest of the postings that this rank holds, in the lists that the queries look into. */
#ifndef IVF_SEARCH_SCAN_H
#define IVF_SEARCH_SCAN_H

#include <stdint.h>

#include "comm/context.h"
#include "index/model.h"
#include "math/topk.h"
#include "search/postings.h"
#include "search/probe.h"

/* In which order queries meet lists; those that are not in memory meet them by list. */
typedef enum {
    IVF_SCAN_AUTO,     /* whichever reads less memory */
    IVF_SCAN_BY_LIST,  /* a list is scanned for all queries that look into it */
    IVF_SCAN_BY_QUERY, /* a query looks into all of its lists, nearest first */
} ivf_scan_order;

typedef struct {
    const ivf_model *model;
    const ivf_postings *postings;
    const float *queries; /* [nq][d], normalised for IVF_COSINE */
    const ivf_probes *probes;
    int64_t nq;
    int k;
    float limit; /* keys above are not wanted; INFINITY: all are */
    ivf_scan_order order;
} ivf_scan;

typedef struct {
    int64_t postings;   /* compared here, over all queries */
    int64_t bytes_read; /* of lists that were not in memory */
} ivf_scan_counts;

/* Collective, uses the team. out[nq][k], each row sorted by (key, id): the nearest that this rank holds, but for those
 * that k postings of another rank beat; *counts grow. A posting's key depends on the
 * query, the model and its code alone. Memory: for each thread 100 KiB, a table of the codec, 64 codes and 256 KiB of
 * wide blocks (codec/scan.h); by list, or with several ranks, also ivf_scan_query_bytes for each query. Between ranks,
 * once: 8 bytes for each query. */
int ivf_scan_run(const ivf_ctx *ctx, const ivf_scan *scan, ivf_neighbor *out, ivf_scan_counts *counts);
size_t ivf_scan_query_bytes(const ivf_model *model, int nprobe);

#endif
