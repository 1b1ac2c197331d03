/* One list, or part of one, scanned for some queries. What the tasks of a scan share. Private to search/. */
#ifndef IVF_SEARCH_SCAN_LIST_H
#define IVF_SEARCH_SCAN_LIST_H

#include <pthread.h>
#include <stdatomic.h>

#include "search/scan.h"

enum {
    IVF_SCAN_CHUNK = 1024, /* postings whose bounds are held at once: whole blocks */
    IVF_SCAN_QUERIES = 8,  /* queries that a kernel sees at once */
    IVF_SCAN_PAIRS = 128,  /* queries of a task, at most */
    IVF_SCAN_KEYS = 64,    /* keys that are computed at once */
    IVF_SCAN_LOCKS = 64,
};

/* A query and which of its probes. */
typedef struct {
    int32_t query;
    int32_t probe;
} ivf_scan_pair;

/* A worker's scratch. */
typedef struct {
    void *probe;     /* of the one query that it serves, where tasks are queries */
    void *table;     /* of the codec */
    float *residual; /* [d] */
    float *low;      /* [IVF_SCAN_QUERIES][IVF_SCAN_CHUNK] */
    int32_t *chosen; /* [IVF_SCAN_CHUNK] */
    uint8_t *wide;   /* [wide_blocks][wide_size] of the state; NULL where that is 0 */
    uint8_t *codes;  /* [IVF_SCAN_KEYS][code_size] */
} ivf_scan_worker;

typedef struct {
    const ivf_scan *scan;
    bool residual;
    size_t probe_size;
    size_t wide_size;       /* of the codec's wide blocks, 0: has none */
    int64_t wide_blocks;    /* that are made at once */
    double extent;          /* of the codec */
    double epsilon;         /* of rounding */
    char *probes;           /* [nq][probe_size]; NULL where a task begins and ends a query */
    int64_t *shared;        /* [nq]: bounds on their way between ranks; NULL: there is one rank */
    ivf_neighbor *out;      /* [nq][k]: heaps */
    _Atomic float *bounds;  /* [nq]: keys above are not wanted any more */
    pthread_mutex_t *locks; /* [IVF_SCAN_LOCKS]; NULL where a query belongs to one task */
    ivf_scan_worker *workers;
} ivf_scan_state;

/* Postings first to end - 1 of a list (first a multiple of IVF_SCAN_BLOCK) against pairs[count]. */
typedef struct {
    int32_t list;         /* its number */
    const ivf_list *view; /* where it is, borrowed */
    int64_t first;
    int64_t end;
    const ivf_scan_pair *pairs;
    int count; /* <= IVF_SCAN_PAIRS */
} ivf_scan_part;

/* Local. Wide blocks (codec/scan.h) that a thread makes at once; 0 where there are none. */
int64_t ivf_scan_wide_blocks(const ivf_codec *codec);

/* Local, one thread. The probe of a query, for ivf_scan_list. */
void ivf_scan_aim(const ivf_scan_state *state, int64_t query, void *probe, ivf_scan_worker *worker);

/* Local, one thread. Offers what is near enough to the queries' heaps. */
void ivf_scan_list(const ivf_scan_state *state, const ivf_scan_part *part, ivf_scan_worker *worker);

#endif
