/* Scanning of lists, for the searcher: in which order queries and lists meet, and in which passes.
 *
 * By query (scan_by_query.c) a query's probe stays in the cache while its lists stream past. By list (scan_by_list.c) a
 * list's codes do, for all queries that look into it; that is done twice, for the queries' nearest lists and for all
 * others, so that bounds are low for these. What is read less often is the larger of the two, a list's codes or a
 * query's probe, which decides; and queries that are too few for the threads are scanned by list, because their lists
 * are more. One list for some queries: scan_list.c.
 *
 * Lists that are not in memory are scanned by list, after those that are: each is read once for all queries of the
 * batch, in the order of the file, while the group before is scanned.
 *
 * Ranks share a query's bound after its nearest list: who does not hold that list would else compute the keys of many
 * postings that another rank's neighbours beat.
 *
 * A heap belongs to its query. By list it is shared by threads: offers take a lock, of which there are few because
 * offers are rare, and the bound is read without it, since an old one only lets a few postings more pass. The k
 * smallest (key, id) of a set do not depend on the order in which they came. */
#include "search/scan.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "codec/scan.h"
#include "comm/transfer.h"
#include "search/scan_orders.h"

enum { QUERIES_PER_WORKER = 4 };

size_t ivf_scan_query_bytes(const ivf_model *model, int nprobe)
{
    return ivf_codec_probe_size(model->codec) + (size_t)nprobe * sizeof(ivf_scan_pair) + sizeof(float) +
           sizeof(int64_t);
}

/* They stay in the second-level cache with the probes of some queries. */
int64_t ivf_scan_wide_blocks(const ivf_codec *codec)
{
    enum { BYTES = 256 << 10, BLOCKS = IVF_SCAN_CHUNK / IVF_SCAN_BLOCK };
    const int64_t size = ivf_to_i64(ivf_codec_wide_size(codec));
    return size == 0 ? 0 : ivf_max_i64(1, ivf_min_i64(BLOCKS, BYTES / size));
}

static void workers_free(ivf_scan_state *s)
{
    for (int w = 0; s->workers != NULL && w < ivf_team_size(); w++) {
        ivf_free(s->workers[w].probe);
        ivf_free(s->workers[w].table);
        ivf_free(s->workers[w].residual);
        ivf_free(s->workers[w].low);
        ivf_free(s->workers[w].chosen);
        ivf_free(s->workers[w].wide);
        ivf_free(s->workers[w].codes);
    }
    ivf_free(s->workers);
}

static int workers_new(ivf_scan_state *s)
{
    const ivf_model *model = s->scan->model;
    s->workers = ivf_new_zero((size_t)ivf_team_size(), sizeof *s->workers);
    for (int w = 0; s->workers != NULL && w < ivf_team_size(); w++) {
        ivf_scan_worker *worker = &s->workers[w];
        worker->probe = ivf_new(s->probe_size, 1);
        worker->table = ivf_new(ivf_codec_table_size(model->codec), 1);
        worker->residual = ivf_new((size_t)model->d, sizeof *worker->residual);
        worker->low = ivf_new((size_t)IVF_SCAN_QUERIES * IVF_SCAN_CHUNK, sizeof *worker->low);
        worker->chosen = ivf_new(IVF_SCAN_CHUNK, sizeof *worker->chosen);
        worker->wide = s->wide_size == 0 ? NULL : ivf_new(ivf_to_size(s->wide_blocks), s->wide_size);
        worker->codes = ivf_new(IVF_SCAN_KEYS, ivf_codec_code_size(model->codec));
        if (worker->probe == NULL || worker->table == NULL || worker->residual == NULL || worker->low == NULL ||
            worker->chosen == NULL || worker->codes == NULL || (worker->wide == NULL && s->wide_size > 0))
            return MPIVF_FAILED;
    }
    return s->workers == NULL ? MPIVF_FAILED : MPIVF_OK;
}

/* How many postings of how many pairs all queries are compared with. */
static void count_scanned(const ivf_scan *scan, int64_t *postings, int64_t *pairs)
{
    int32_t l = 0;
    *postings = 0;
    *pairs = 0;
    for (int64_t q = 0; q < scan->nq; q++)
        for (int p = 0; p < scan->probes->nprobe; p++) {
            const int64_t n = ivf_scan_list_at(scan, q, p, &l)->n;
            *postings += n;
            *pairs += n > 0;
        }
}

/* Measured: for PQ32 lists of 700 codes are scanned 1.2 times as fast by list as by query, for SQ8 2 to 5 times. */
static bool choose_by_list(const ivf_scan_state *s, int64_t scanned, int64_t pairs)
{
    const ivf_scan *scan = s->scan;
    int64_t lists = 0;
    if (scan->postings->store != NULL)
        return true;
    if (scan->order != IVF_SCAN_AUTO)
        return scan->order == IVF_SCAN_BY_LIST;
    if (scan->nq < (int64_t)QUERIES_PER_WORKER * ivf_team_size() && ivf_team_size() > 1)
        return true;
    for (int32_t l = 0; l < scan->postings->nlist; l++)
        lists += scan->postings->lists[l].n > 0;
    if (pairs == 0 || pairs < 2 * lists)
        return false;
    double list_bytes = (double)scanned / (double)pairs / IVF_SCAN_BLOCK * (double)scan->postings->block_size;
    return list_bytes > (double)s->probe_size;
}

static void start_heaps(const ivf_scan_state *s)
{
    for (int64_t q = 0; q < s->scan->nq; q++) {
        (void)ivf_topk_start(s->out + q * s->scan->k, s->scan->k, s->scan->limit);
        atomic_init(&s->bounds[q], s->scan->limit);
    }
}

static int finish_query(void *arg, int64_t query, int worker)
{
    const ivf_scan_state *s = arg;
    ivf_topk top = {.heap = s->out + query * s->scan->k, .k = s->scan->k};
    (void)worker;
    ivf_topk_finish(&top);
    return MPIVF_OK;
}

/* A bound as an integer of the same order. */
static int64_t order_of(float bound)
{
    int32_t bits = 0;
    memcpy(&bits, &bound, sizeof bits);
    return bits < 0 ? -(int64_t)(bits & INT32_MAX) : bits;
}

static float bound_of(int64_t order)
{
    int32_t bits = (int32_t)(order < 0 ? -order : order);
    float bound = 0;
    memcpy(&bound, &bits, sizeof bound);
    return order < 0 ? -bound : bound;
}

/* Collective. The k-th key that any rank has found bounds those of all. */
static void share_bounds(const ivf_ctx *ctx, const ivf_scan_state *s)
{
    for (int64_t q = 0; q < s->scan->nq; q++)
        s->shared[q] = -order_of(atomic_load_explicit(&s->bounds[q], memory_order_relaxed));
    ivf_allmax_i64(ctx, s->shared, s->scan->nq);
    for (int64_t q = 0; q < s->scan->nq; q++)
        atomic_store_explicit(&s->bounds[q], bound_of(-s->shared[q]), memory_order_relaxed);
}

static int state_new(const ivf_ctx *ctx, ivf_scan_state *s)
{
    const size_t nq = ivf_to_size(s->scan->nq);
    s->bounds = ivf_new(nq, sizeof *s->bounds);
    if (s->bounds == NULL)
        return MPIVF_FAILED;
    start_heaps(s);
    if (ivf_ctx_size(ctx) > 1) {
        s->shared = ivf_new(nq, sizeof *s->shared);
        if (s->shared == NULL)
            return MPIVF_FAILED;
    }
    return workers_new(s);
}

static void state_free(ivf_scan_state *s)
{
    workers_free(s);
    ivf_free(s->probes);
    ivf_free(s->shared);
    ivf_free(s->bounds);
}

/* Where the pass that begins with probe `from` ends: by list, and where ranks share bounds, nearer lists come first. */
static int end_of_pass(const ivf_scan_state *s, bool by_list, int from)
{
    const int nprobe = s->scan->probes->nprobe;
    if (s->shared == NULL && !by_list)
        return nprobe;
    return from == 0 ? 1 : nprobe;
}

/* Collective. Pass by pass, each with what all ranks know by then. `rc`: whether this rank is ready. */
static int scan_passes(const ivf_ctx *ctx, ivf_scan_sorted *sorted, bool by_list, int rc)
{
    ivf_scan_state *s = sorted->state;
    const int nprobe = s->scan->probes->nprobe;
    for (int from = 0, to = 0; from < nprobe; from = to) {
        to = end_of_pass(s, by_list, from);
        if (rc == MPIVF_OK)
            rc = by_list ? ivf_scan_by_list(sorted, from, to) : ivf_scan_by_query(s, from, to);
        if (s->shared != NULL && to < nprobe) {
            rc = ivf_agree(ctx, rc);
            if (rc == MPIVF_OK)
                share_bounds(ctx, s);
        }
        if (rc != MPIVF_OK)
            break;
    }
    return rc;
}

/* Collective. */
static int scan_all(const ivf_ctx *ctx, ivf_scan_state *s, bool by_list, int64_t *bytes_read)
{
    ivf_scan_sorted sorted = {.state = s};
    int rc = MPIVF_OK;
    if (by_list || s->shared != NULL) {
        s->probes = ivf_new(ivf_to_size(s->scan->nq), s->probe_size);
        rc = s->probes == NULL ? MPIVF_FAILED : MPIVF_OK;
    }
    if (rc == MPIVF_OK && by_list)
        rc = ivf_scan_sorted_new(s, &sorted);
    rc = scan_passes(ctx, &sorted, by_list, rc);
    if (rc == MPIVF_OK && by_list && s->scan->postings->store != NULL)
        rc = ivf_scan_stored(&sorted, bytes_read);
    ivf_scan_sorted_free(&sorted);
    return rc;
}

int ivf_scan_run(const ivf_ctx *ctx, const ivf_scan *scan, ivf_neighbor *out, ivf_scan_counts *counts)
{
    const ivf_codec *codec = scan->model->codec;
    int64_t compared = 0;
    int64_t pairs = 0;
    if (scan->nq == 0)
        return MPIVF_OK;
    ivf_scan_state s = {.scan = scan,
                        .residual = ivf_codec_is_residual(codec),
                        .probe_size = ivf_codec_probe_size(codec),
                        .wide_size = ivf_codec_wide_size(codec),
                        .extent = (double)ivf_codec_extent(codec),
                        .epsilon = (2.0 * scan->model->d + 64) * 0x1p-23,
                        .out = out};
    s.wide_blocks = ivf_scan_wide_blocks(codec);
    int rc = ivf_agree(ctx, state_new(ctx, &s));
    if (rc == MPIVF_OK) {
        count_scanned(scan, &compared, &pairs);
        rc = scan_all(ctx, &s, choose_by_list(&s, compared, pairs), &counts->bytes_read);
    }
    if (rc == MPIVF_OK)
        rc = ivf_team_run(scan->nq, finish_query, &s);
    counts->postings += compared;
    state_free(&s);
    return ivf_agree(ctx, rc);
}
