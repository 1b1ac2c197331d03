/* The inner half of a scan: bounds of all postings of a list for a few queries (codec/scan.h), then the keys of those
 * whose bound the query's heap still takes. Where enough queries share a list, its blocks are widened for them, a chunk
 * at a time, if the codec can.
 *
 * No posting is lost to rounding. A sum of n products in any order, fused or not, is off by at most g(n) = n u / (1 - n
 * u), u = 2^-24, times the sum of their magnitudes (Higham, "Accuracy and stability of numerical algorithms", 2nd ed.,
 * section 3.1); what is added up here, for the bound and for the key, has no more than d + 16 terms, of magnitudes that
 * |q - c|^2, |r|^2, |c - o| |r|, |q - o| |r| and the probe's size add up to. 2 g(2 d + 64) of that is taken off a
 * bound, and what decoding rounds by: a few units of the codec's extent, times what it is multiplied by. A bound that
 * is NaN (products overflowed) lets its posting pass.
 *
 * A heap that is not full has no bound but the search's limit. Then the postings with the lowest bounds, about k of
 * them, are offered first, and only then those whose bounds are within what has become the heap's. */
#include "search/scan_list.h"

#include <float.h>
#include <math.h>

#include "base/metric.h"
#include "base/numbers.h"
#include "codec/scan.h"
#include "math/distance.h"
#include "math/rows.h"

/* From so many queries on, by a count of instructions, widening blocks costs less than it saves. */
enum { WIDE_QUERIES = 8 };

/* A query's bounds in a list. */
typedef struct {
    float base;
    float scale;
} aim;

static const float *query_of(const ivf_scan_state *s, int64_t query)
{
    return s->scan->queries + query * s->scan->model->d;
}

/* The probe of a query, for blocks as they are or wide ones. */
static const void *probe_for(const ivf_scan_state *s, int64_t query, const ivf_scan_worker *worker, bool wide)
{
    const void *probe = s->probes == NULL ? worker->probe : s->probes + ivf_to_size(query) * s->probe_size;
    return wide ? ivf_codec_wide_probe(s->scan->model->codec, probe) : probe;
}

static float list_key_of(const ivf_scan_state *s, ivf_scan_pair pair)
{
    const ivf_probes *probes = s->scan->probes;
    return -probes->score[(int64_t)pair.query * probes->nprobe + pair.probe];
}

void ivf_scan_aim(const ivf_scan_state *state, int64_t query, void *probe, ivf_scan_worker *worker)
{
    const ivf_scan *scan = state->scan;
    const float *x = query_of(state, query);
    for (int j = 0; j < scan->model->d; j++)
        worker->residual[j] = x[j] - scan->postings->origin[j];
    ivf_codec_probe(scan->model->codec, scan->model->metric, worker->residual, probe, worker->table);
}

/* For L2: |q - c|^2, the part of a key that is the list's. */
static double distance_to_list(const ivf_scan_state *s, ivf_scan_pair pair, int32_t list, const ivf_probe *probe)
{
    const ivf_model *model = s->scan->model;
    if (!s->residual)
        return (double)probe->norm * (double)probe->norm;
    const float *centroid = ivf_model_centroids(model) + (ptrdiff_t)list * model->d;
    return (double)ivf_l2_sqr(query_of(s, pair.query), centroid, model->d);
}

static aim aim_at(const ivf_scan_state *s, ivf_scan_pair pair, const ivf_scan_part *part, const ivf_probe *probe)
{
    enum { DECODING = 16 };
    const ivf_list *l = part->view;
    const double radius = (double)l->radius;
    const double norm = (double)probe->norm;
    const double shift = (double)l->shift;
    double rounding = 2 * norm * radius + (double)probe->size;
    double base = 0;
    if (s->scan->model->metric == IVF_L2) {
        base = distance_to_list(s, pair, part->list, probe);
        rounding = s->epsilon * (rounding + base + radius * radius + 2 * shift * radius) +
                   DECODING * 0x1p-24 * s->extent * (sqrt(base) + radius + shift + norm);
    } else {
        base = s->residual ? (double)list_key_of(s, pair) : 0;
        rounding = s->epsilon * (rounding + fabs(base)) + DECODING * 0x1p-24 * s->extent * norm;
    }
    rounding += (double)probe->slope * (double)l->spread + (double)FLT_MIN;
    base += (double)probe->constant - rounding;
    return (aim){.base = (float)base, .scale = probe->scale};
}

/* The postings of a chunk that a query has chosen. */
typedef struct {
    const ivf_scan_state *state;
    ivf_scan_worker *worker;
    const ivf_list *list;
    int32_t number; /* of the list */
    int64_t first;  /* of the chunk */
    ivf_scan_pair pair;
    bool relative; /* worker->residual is the query as the codec takes it */
    bool prepared; /* worker->table is that query's */
} choice;

/* Keys of n chosen postings. */
static void compute_keys(choice *c, const int32_t *chosen, int64_t n, float *keys, uint64_t *ids)
{
    const ivf_scan_state *s = c->state;
    const ivf_model *model = s->scan->model;
    const size_t code_size = ivf_codec_code_size(model->codec);
    const float *query = query_of(s, c->pair.query);
    bool list_in_query = s->residual && model->metric == IVF_L2;
    if (list_in_query && !c->relative)
        ivf_rows_residual(query, 1, model->d, ivf_model_centroids(model), &c->number, c->worker->residual);
    c->relative = true;
    for (int64_t i = 0; i < n; i++) {
        ivf_codec_blocks_get(model->codec, c->list->blocks, c->first + chosen[i],
                             c->worker->codes + (size_t)i * code_size);
        ids[i] = c->list->ids[c->first + chosen[i]];
    }
    ivf_codec_keys(model->codec, model->metric, list_in_query ? c->worker->residual : query, c->worker->codes, n, keys,
                   c->worker->table, &c->prepared);
    if (s->residual && !list_in_query) {
        const float list_key = list_key_of(s, c->pair);
        for (int64_t i = 0; i < n; i++)
            keys[i] += list_key;
    }
}

/* Offers them; returns the query's new bound. */
static float offer(const ivf_scan_state *s, int64_t query, int32_t list, const float *keys, const uint64_t *ids,
                   int64_t n)
{
    ivf_topk top = {.heap = s->out + query * s->scan->k, .k = s->scan->k, .list = list};
    pthread_mutex_t *lock = s->locks == NULL ? NULL : &s->locks[query % IVF_SCAN_LOCKS];
    if (lock != NULL)
        (void)pthread_mutex_lock(lock);
    ivf_topk_offer(&top, keys, ids, n);
    /* Other ranks may have found nearer ones than this heap holds. */
    const float bound = fminf(ivf_topk_bound(&top), atomic_load_explicit(&s->bounds[query], memory_order_relaxed));
    atomic_store_explicit(&s->bounds[query], bound, memory_order_relaxed);
    if (lock != NULL)
        (void)pthread_mutex_unlock(lock);
    return bound;
}

/* Postings by their bounds: those that are not above `most`, which falls with the query's bound; without those that are
 * not above `done`, if anything has been done. */
typedef struct {
    float most;
    float done;
    bool any_done;
} range;

/* The chosen ones that are in the range, at most IVF_SCAN_KEYS, from *at on. */
static int64_t next_batch(const float *low, const int32_t *chosen, int64_t count, const range *r, int64_t *at,
                          int32_t batch[IVF_SCAN_KEYS])
{
    int64_t n = 0;
    for (; *at < count && n < IVF_SCAN_KEYS; (*at)++) {
        const float bound = low[chosen[*at]];
        batch[n] = chosen[*at];
        n += !(bound > r->most) && (!r->any_done || bound > r->done);
    }
    return n;
}

static void offer_range(choice *c, const float *low, int64_t n, range r)
{
    float keys[IVF_SCAN_KEYS];
    uint64_t ids[IVF_SCAN_KEYS];
    int32_t batch[IVF_SCAN_KEYS];
    int64_t count = ivf_scan_choose(low, n, r.most, c->worker->chosen);
    for (int64_t at = 0; at < count;) {
        int64_t taken = next_batch(low, c->worker->chosen, count, &r, &at, batch);
        if (taken == 0)
            break;
        compute_keys(c, batch, taken, keys, ids);
        r.most = fminf(r.most, offer(c->state, c->pair.query, c->number, keys, ids, taken));
    }
}

static float bound_of(const choice *c)
{
    return atomic_load_explicit(&c->state->bounds[c->pair.query], memory_order_relaxed);
}

static void choose(choice *c, const float *low, int64_t n)
{
    const float limit = c->state->scan->limit;
    range r = {.most = bound_of(c)};
    if (r.most == limit) {
        r.most = fminf(limit, ivf_scan_kth(low, n, c->state->scan->k));
        offer_range(c, low, n, r);
        r = (range){.most = bound_of(c), .done = r.most, .any_done = true};
    }
    if (!r.any_done || r.done < limit)
        offer_range(c, low, n, r);
}

/* Blocks of a part that a kernel sees at once. */
typedef struct {
    const uint8_t *blocks;
    int64_t first; /* posting */
    int64_t n;
    bool wide;
} chunk;

/* Some of the part's queries against a chunk. */
static void scan_chunk(const ivf_scan_state *s, const ivf_scan_part *part, ivf_scan_worker *worker, const aim *aims,
                       int first_pair, const chunk *here)
{
    const ivf_list *list = part->view;
    const ivf_codec *codec = s->scan->model->codec;
    const void *probes[IVF_SCAN_QUERIES];
    float base[IVF_SCAN_QUERIES];
    float scale[IVF_SCAN_QUERIES];
    float *low[IVF_SCAN_QUERIES];
    ivf_scan_job job = {.blocks = here->blocks,
                        .count = ivf_ceil_div(here->n, IVF_SCAN_BLOCK),
                        .terms = list->terms == NULL ? NULL : list->terms + here->first,
                        .nq = (int)ivf_min_i64(IVF_SCAN_QUERIES, part->count - first_pair),
                        .probe = probes,
                        .base = base,
                        .scale = scale,
                        .low = low};
    for (int q = 0; q < job.nq; q++) {
        const char *probe = probe_for(s, part->pairs[first_pair + q].query, worker, here->wide);
        probes[q] = probe + IVF_PROBE_HEAD;
        base[q] = aims[first_pair + q].base;
        scale[q] = aims[first_pair + q].scale;
        low[q] = worker->low + (ptrdiff_t)q * IVF_SCAN_CHUNK;
    }
    (here->wide ? ivf_codec_wide_bounds : ivf_codec_bounds)(codec, &job);
    for (int q = 0; q < job.nq; q++) {
        choice c = {.state = s,
                    .worker = worker,
                    .list = list,
                    .number = part->list,
                    .first = here->first,
                    .pair = part->pairs[first_pair + q]};
        choose(&c, low[q], here->n);
    }
}

/* The part's next chunk, widened if there are enough queries for that. */
static chunk chunk_at(const ivf_scan_state *s, const ivf_scan_part *part, const ivf_scan_worker *worker, int64_t first,
                      bool wide)
{
    const size_t block = ivf_to_size(first / IVF_SCAN_BLOCK);
    const int64_t most = wide ? s->wide_blocks * IVF_SCAN_BLOCK : IVF_SCAN_CHUNK;
    chunk next = {.blocks = part->view->blocks + block * s->scan->postings->block_size, .first = first, .wide = wide};
    next.n = ivf_min_i64(most, part->end - first);
    if (wide) {
        ivf_codec_widen(s->scan->model->codec, next.blocks, ivf_ceil_div(next.n, IVF_SCAN_BLOCK), worker->wide);
        next.blocks = worker->wide;
    }
    return next;
}

void ivf_scan_list(const ivf_scan_state *state, const ivf_scan_part *part, ivf_scan_worker *worker)
{
    const bool wide = state->wide_size > 0 && part->count >= WIDE_QUERIES;
    aim aims[IVF_SCAN_PAIRS];
    for (int i = 0; i < part->count; i++)
        aims[i] = aim_at(state, part->pairs[i], part, probe_for(state, part->pairs[i].query, worker, wide));
    for (int64_t first = part->first; first < part->end;) {
        const chunk next = chunk_at(state, part, worker, first, wide);
        for (int pair = 0; pair < part->count; pair += IVF_SCAN_QUERIES)
            scan_chunk(state, part, worker, aims, pair, &next);
        first += next.n;
    }
}
