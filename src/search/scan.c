/* Scanning of lists, for the searcher: the order in which queries and lists meet.
 *
 * By query, a task is a query: its probe stays in the cache while its lists stream past, nearest first, so that its
 * bound is low from the second list on. By list, a task is a list and the queries that look into it: the codes stay in
 * the cache, and unpacking them is shared. That is done twice, for the queries' nearest lists and for all others, for
 * the sake of the bounds again. What is read less often is the larger of the two, a list's codes or a query's probe,
 * which decides; and queries that are too few for the threads are scanned by list, because their lists are more.
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
#include "search/scan_list.h"

enum { QUERIES_PER_WORKER = 4, SLICE = 16 * IVF_SCAN_CHUNK, QUERIES_OF_TASK = 16 };

static const ivf_list *list_at(const ivf_scan *scan, int64_t query, int64_t probe, int32_t *number)
{
    *number = scan->probes->list[query * scan->probes->nprobe + probe];
    return &scan->postings->lists[*number];
}

/* By query. */

static void fetch(const ivf_scan *scan, int64_t query, int64_t probe)
{
    enum { LINE = 64, LINES = 16 };
    int32_t number = 0;
    if (probe >= scan->probes->nprobe)
        return;
    const ivf_list *list = list_at(scan, query, probe, &number);
    for (size_t line = 0; list->n > 0 && line < LINES; line++)
        __builtin_prefetch(list->blocks + line * LINE, 0, 2);
}

/* Whether this rank holds postings of a list that the query looks into. */
static bool looks_here(const ivf_scan *scan, int64_t query)
{
    int32_t number = 0;
    for (int probe = 0; probe < scan->probes->nprobe; probe++)
        if (list_at(scan, query, probe, &number)->n > 0)
            return true;
    return false;
}

/* Probes from .. to - 1 of all queries. */
typedef struct {
    ivf_scan_state *state;
    int from;
    int to;
} query_scan;

static void *probe_room(const ivf_scan_state *s, int64_t query, ivf_scan_worker *worker)
{
    return s->probes == NULL ? worker->probe : s->probes + ivf_to_size(query) * s->probe_size;
}

static int scan_query(void *arg, int64_t query, int worker)
{
    const query_scan *part = arg;
    const ivf_scan_state *s = part->state;
    const ivf_scan *scan = s->scan;
    ivf_scan_worker *mine = &s->workers[worker];
    if (!looks_here(scan, query))
        return MPIVF_OK;
    if (part->from == 0)
        ivf_scan_aim(s, query, probe_room(s, query, mine), mine);
    for (int probe = part->from; probe < part->to; probe++) {
        ivf_scan_pair pair = {(int32_t)query, probe};
        ivf_scan_part list = {.pairs = &pair, .count = 1};
        list.view = list_at(scan, query, probe, &list.list);
        list.end = list.view->n;
        fetch(scan, query, probe + 1);
        if (list.end > 0)
            ivf_scan_list(s, &list, mine);
    }
    return MPIVF_OK;
}

static int scan_by_query(ivf_scan_state *s, int from, int to)
{
    query_scan part = {.state = s, .from = from, .to = to};
    return ivf_team_run(s->scan->nq, scan_query, &part);
}

/* By list. */

typedef struct {
    ivf_scan_state *state;
    ivf_scan_pair *pairs; /* [nq * nprobe], by list */
    int64_t *start;       /* [nlist + 1]: the pairs of each list */
    ivf_scan_part *parts; /* the tasks */
    int64_t count;
    int64_t room;
} sorted_scan;

static bool takes_part(const ivf_list *list, bool in_memory)
{
    return list->n > 0 && (list->blocks != NULL) == in_memory;
}

/* The pairs of probes from .. to - 1 with the lists that are in memory, or with the others, sorted by list, within a
 * list by query. */
static void sort_pairs(const sorted_scan *sorted, int from, int to, bool in_memory)
{
    const ivf_scan *scan = sorted->state->scan;
    const int32_t nlist = scan->postings->nlist;
    int64_t *start = sorted->start;
    int32_t l = 0;
    for (int32_t i = 0; i <= nlist; i++)
        start[i] = 0;
    for (int64_t q = 0; q < scan->nq; q++)
        for (int p = from; p < to; p++)
            if (takes_part(list_at(scan, q, p, &l), in_memory))
                start[l + 1]++;
    for (int32_t i = 0; i < nlist; i++)
        start[i + 1] += start[i];
    for (int64_t q = 0; q < scan->nq; q++)
        for (int p = from; p < to; p++)
            if (takes_part(list_at(scan, q, p, &l), in_memory))
                sorted->pairs[start[l]++] = (ivf_scan_pair){(int32_t)q, p};
    for (int32_t i = nlist; i > 0; i--)
        start[i] = start[i - 1];
    start[0] = 0;
}

static int add_part(sorted_scan *sorted, const ivf_scan_part *part)
{
    if (sorted->count == sorted->room) {
        int64_t room = 2 * sorted->room + 1024;
        ivf_scan_part *grown = ivf_resize(sorted->parts, ivf_to_size(room), sizeof *grown);
        if (grown == NULL)
            return MPIVF_FAILED;
        sorted->parts = grown;
        sorted->room = room;
    }
    sorted->parts[sorted->count++] = *part;
    return MPIVF_OK;
}

/* Tasks of a size that the team can share: slices of long lists, some of a list's many queries. */
static int add_list(sorted_scan *sorted, int32_t l, const ivf_list *view)
{
    int rc = MPIVF_OK;
    for (int64_t pair = sorted->start[l]; pair < sorted->start[l + 1]; pair += IVF_SCAN_PAIRS) {
        ivf_scan_part part = {.list = l, .view = view, .pairs = sorted->pairs + pair};
        part.count = (int)ivf_min_i64(IVF_SCAN_PAIRS, sorted->start[l + 1] - pair);
        for (; rc == MPIVF_OK && part.first < view->n; part.first = part.end) {
            part.end = ivf_min_i64(part.first + SLICE, view->n);
            rc = add_part(sorted, &part);
        }
    }
    return rc;
}

static int scan_part(void *arg, int64_t task, int worker)
{
    const sorted_scan *sorted = arg;
    ivf_scan_list(sorted->state, &sorted->parts[task], &sorted->state->workers[worker]);
    return MPIVF_OK;
}

static int aim_queries(void *arg, int64_t task, int worker)
{
    const sorted_scan *sorted = arg;
    const ivf_scan_state *s = sorted->state;
    int64_t end = ivf_min_i64(s->scan->nq, (task + 1) * QUERIES_OF_TASK);
    for (int64_t q = task * QUERIES_OF_TASK; q < end; q++)
        if (looks_here(s->scan, q))
            ivf_scan_aim(s, q, s->probes + ivf_to_size(q) * s->probe_size, &s->workers[worker]);
    return MPIVF_OK;
}

/* Lists in memory. */
static int scan_probes(sorted_scan *sorted, int from, int to)
{
    const ivf_postings *postings = sorted->state->scan->postings;
    int rc = MPIVF_OK;
    sort_pairs(sorted, from, to, true);
    sorted->count = 0;
    for (int32_t l = 0; rc == MPIVF_OK && l < postings->nlist; l++)
        rc = add_list(sorted, l, &postings->lists[l]);
    return rc == MPIVF_OK ? ivf_team_run(sorted->count, scan_part, sorted) : rc;
}

static int scan_group(void *arg, ivf_store *store, const ivf_reader_job *group)
{
    sorted_scan *sorted = arg;
    const ivf_list *views = NULL;
    int rc = ivf_store_arrange(store, group, &views);
    sorted->count = 0;
    for (int32_t i = 0; rc == MPIVF_OK && i < group->count; i++)
        rc = add_list(sorted, group->lists[i], &views[i]);
    return rc == MPIVF_OK ? ivf_team_run(sorted->count, scan_part, sorted) : rc;
}

/* Lists that are read for it: each once, for all of its queries. */
static int scan_stored(sorted_scan *sorted, int64_t *bytes_read)
{
    const ivf_postings *postings = sorted->state->scan->postings;
    int32_t *wanted = ivf_new((size_t)postings->nlist, sizeof *wanted);
    int32_t count = 0;
    if (wanted == NULL)
        return MPIVF_FAILED;
    sort_pairs(sorted, 0, sorted->state->scan->probes->nprobe, false);
    for (int32_t l = 0; l < postings->nlist; l++) {
        if (sorted->start[l + 1] == sorted->start[l])
            continue;
        wanted[count++] = l;
        *bytes_read += postings->lists[l].n * ivf_store_posting_bytes(postings->store);
    }
    const int rc = ivf_store_read(postings->store, wanted, count, scan_group, sorted);
    ivf_free(wanted);
    return rc;
}

static int sorted_new(sorted_scan *sorted)
{
    ivf_scan_state *s = sorted->state;
    sorted->pairs = ivf_new(ivf_to_size(s->scan->nq), (size_t)s->scan->probes->nprobe * sizeof *sorted->pairs);
    sorted->start = ivf_new((size_t)s->scan->postings->nlist + 1, sizeof *sorted->start);
    s->locks = ivf_new(IVF_SCAN_LOCKS, sizeof(pthread_mutex_t));
    for (int i = 0; s->locks != NULL && i < IVF_SCAN_LOCKS; i++)
        (void)pthread_mutex_init(&s->locks[i], NULL);
    if (sorted->pairs == NULL || sorted->start == NULL || s->locks == NULL)
        return MPIVF_FAILED;
    return ivf_team_run(ivf_ceil_div(s->scan->nq, QUERIES_OF_TASK), aim_queries, sorted);
}

static void sorted_free(sorted_scan *sorted)
{
    ivf_scan_state *s = sorted->state;
    for (int i = 0; s->locks != NULL && i < IVF_SCAN_LOCKS; i++)
        (void)pthread_mutex_destroy(&s->locks[i]);
    ivf_free(s->locks);
    s->locks = NULL;
    ivf_free(sorted->pairs);
    ivf_free(sorted->start);
    ivf_free(sorted->parts);
}

/* Both. */

size_t ivf_scan_query_bytes(const ivf_model *model, int nprobe)
{
    return ivf_codec_probe_size(model->codec) + (size_t)nprobe * sizeof(ivf_scan_pair) + sizeof(float) +
           sizeof(int64_t);
}

static void workers_free(ivf_scan_state *s)
{
    for (int w = 0; s->workers != NULL && w < ivf_team_size(); w++) {
        ivf_free(s->workers[w].probe);
        ivf_free(s->workers[w].table);
        ivf_free(s->workers[w].residual);
        ivf_free(s->workers[w].low);
        ivf_free(s->workers[w].chosen);
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
        worker->codes = ivf_new(IVF_SCAN_KEYS, ivf_codec_code_size(model->codec));
        if (worker->probe == NULL || worker->table == NULL || worker->residual == NULL || worker->low == NULL ||
            worker->chosen == NULL || worker->codes == NULL)
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
            const int64_t n = list_at(scan, q, p, &l)->n;
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
static int scan_passes(const ivf_ctx *ctx, sorted_scan *sorted, bool by_list, int rc)
{
    ivf_scan_state *s = sorted->state;
    const int nprobe = s->scan->probes->nprobe;
    for (int from = 0, to = 0; from < nprobe; from = to) {
        to = end_of_pass(s, by_list, from);
        if (rc == MPIVF_OK)
            rc = by_list ? scan_probes(sorted, from, to) : scan_by_query(s, from, to);
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
    sorted_scan sorted = {.state = s};
    int rc = MPIVF_OK;
    if (by_list || s->shared != NULL) {
        s->probes = ivf_new(ivf_to_size(s->scan->nq), s->probe_size);
        rc = s->probes == NULL ? MPIVF_FAILED : MPIVF_OK;
    }
    if (rc == MPIVF_OK && by_list)
        rc = sorted_new(&sorted);
    rc = scan_passes(ctx, &sorted, by_list, rc);
    if (rc == MPIVF_OK && by_list && s->scan->postings->store != NULL)
        rc = scan_stored(&sorted, bytes_read);
    sorted_free(&sorted);
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
                        .extent = (double)ivf_codec_extent(codec),
                        .epsilon = (2.0 * scan->model->d + 64) * 0x1p-23,
                        .out = out};
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
