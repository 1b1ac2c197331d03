/* The nearest centroids of each centroid: the candidates of the rows of its cell. Every rank finds those of its share
 * of the centroids; then all get them. Costs k * k * d / ranks multiply-adds, 4 k * width bytes from all ranks to all,
 * and about 100 k bytes for each thread meanwhile. */
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "cluster/internal.h"
#include "math/distance.h"
#include "math/panels.h"
#include "math/topk.h"

enum { BLOCK = 48 }; /* centroids of a task */

typedef struct {
    const ivf_kmeans_work *work;
    const ivf_kmeans_lists *lists;
    ivf_panels *panels;            /* NULL: rounded */
    const ivf_kmeans_upper *upper; /* NULL: none; else those of its anchors are wanted */
    bool with_itself;              /* a centroid among its neighbours */
    int64_t first, end;            /* this rank's centroids */
    size_t scratch_bytes;
    char *scratch; /* [threads][scratch_bytes] */
} list_job;

int ivf_kmeans_lists_new(ivf_kmeans_lists *lists, int32_t groups, int32_t width)
{
    *lists = (ivf_kmeans_lists){.groups = groups, .width = width};
    lists->numbers = ivf_new((size_t)groups, (size_t)width * sizeof *lists->numbers);
    lists->wide = ivf_new_zero((size_t)groups, sizeof *lists->wide);
    lists->missed = ivf_new_zero((size_t)groups, sizeof *lists->missed);
    return lists->numbers == NULL || lists->wide == NULL || lists->missed == NULL ? MPIVF_FAILED : MPIVF_OK;
}

void ivf_kmeans_lists_free(ivf_kmeans_lists *lists)
{
    ivf_free(lists->numbers);
    ivf_free(lists->wide);
    ivf_free(lists->missed);
    *lists = (ivf_kmeans_lists){0};
}

static int by_number(const void *a, const void *b)
{
    int32_t left = *(const int32_t *)a;
    int32_t right = *(const int32_t *)b;
    return (left > right) - (left < right);
}

static void list_exact(const list_job *job, const float *c, int64_t count, int32_t *numbers, void *scratch)
{
    const int width = job->lists->width;
    float *score = scratch;
    char *rest = (char *)scratch + ivf_round_up((int64_t)BLOCK * width * (int64_t)sizeof *score, 64);
    ivf_panels_top(job->panels, c, count, width, numbers, score, rest);
    for (int64_t i = 0; i < count; i++)
        qsort(numbers + i * width, (size_t)width, sizeof *numbers, by_number);
}

/* A centroid that the grid does not hold. */
static void list_far(const list_job *job, const float *c, int32_t *numbers, void *scratch)
{
    enum { CHUNK = 128 };
    const ivf_kmeans_work *w = job->work;
    const int width = job->lists->width;
    ivf_neighbor *heap = scratch;
    ivf_topk top = ivf_topk_start(heap, width, INFINITY);
    float keys[CHUNK];
    uint64_t ids[CHUNK];
    for (int32_t from = 0; from < w->k; from += CHUNK) {
        int64_t count = ivf_min_i64(CHUNK, w->k - from);
        ivf_keys_f32(w->spherical ? IVF_IP : IVF_L2, c, w->centroids + (size_t)from * w->d, count, w->params->d, keys);
        for (int64_t i = 0; i < count; i++)
            ids[i] = (uint64_t)(from + i);
        ivf_topk_offer(&top, keys, ids, count);
    }
    for (int i = 0; i < width; i++)
        numbers[i] = heap[i].key < INFINITY ? (int32_t)heap[i].id : 0;
    qsort(numbers, (size_t)width, sizeof *numbers, by_number);
}

/* Chosen from the centroids that `from` holds. */
static void list_rounded(const list_job *job, const ivf_coarse *from, const float *c, int64_t count, int32_t *numbers,
                         void *scratch)
{
    const ivf_kmeans_rounded *r = job->work->rounded;
    const int width = job->lists->width;
    int8_t *q = scratch;
    void *rest = q + ivf_round_up(BLOCK * ivf_to_i64(r->stride), 64);
    uint8_t outside[BLOCK];
    const ivf_coarse_rows rows = {.q = q, .n = count};
    int64_t far = ivf_grid_round(&r->grid, c, count, q, outside);
    ivf_coarse_top(from, ivf_coarse_all(from), &rows, width, numbers, rest);
    for (int64_t i = 0; far > 0 && i < count; i++)
        if (outside[i])
            list_far(job, c + i * job->work->params->d, numbers + i * width, rest);
}

/* Rounding may hide a centroid from its own list, copies of it may fill that, and a list may be short (-1). */
static void put_itself(int32_t *numbers, int32_t width, int32_t itself)
{
    int32_t at = 0;
    while (at < width - 1 && numbers[at] >= 0 && numbers[at] < itself)
        at++;
    numbers[at] = itself;
    for (at++; at < width; at++)
        numbers[at] = ivf_to_i32(ivf_max_i64(numbers[at], numbers[at - 1]));
}

/* The lists of centroids first to end - 1. */
static void list_range(const list_job *job, const ivf_coarse *from, int64_t first, int64_t end, int worker)
{
    const ivf_kmeans_work *w = job->work;
    const int32_t width = job->lists->width;
    void *scratch = job->scratch + (size_t)worker * job->scratch_bytes;
    for (int64_t at = first; at < end; at += BLOCK) {
        int64_t count = ivf_min_i64(BLOCK, end - at);
        const float *c = w->centroids + (size_t)at * w->d;
        int32_t *numbers = job->lists->numbers + at * width;
        if (from == NULL)
            list_exact(job, c, count, numbers, scratch);
        else
            list_rounded(job, from, c, count, numbers, scratch);
        for (int64_t i = 0; i < count; i++)
            put_itself(numbers + i * width, width, (int32_t)(at + i));
    }
}

static int list_block(void *arg, int64_t task, int worker)
{
    const list_job *job = arg;
    int64_t first = job->first + task * BLOCK;
    list_range(job, job->panels == NULL ? job->work->rounded->all : NULL, first, ivf_min_i64(first + BLOCK, job->end),
               worker);
    return MPIVF_OK;
}

/* By descent of the anchors. Rounding may have moved a centroid that the grid does not hold. */
static int list_down(void *arg, int64_t task, int worker)
{
    const list_job *job = arg;
    const int32_t width = job->lists->width;
    const int64_t first = job->first + task * BLOCK;
    const int64_t count = ivf_min_i64(BLOCK, job->end - first);
    const int8_t *q = job->upper->anchors + (size_t)first * job->work->rounded->stride;
    int32_t *numbers = job->lists->numbers + first * width;
    ivf_nearest_several(job->upper->nearest, q, count, width, numbers,
                        job->scratch + (size_t)worker * job->scratch_bytes);
    for (int64_t i = 0; i < count * width; i++)
        numbers[i] = numbers[i] >= 0 ? numbers[i] : numbers[i - 1]; /* the first is there */
    for (int64_t i = 0; i < count && job->with_itself; i++)
        put_itself(numbers + i * width, width, (int32_t)(first + i));
    return MPIVF_OK;
}

static int make(list_job *job)
{
    const ivf_kmeans_work *w = job->work;
    const size_t threads = (size_t)ivf_team_size();
    if (w->rounded == NULL) {
        job->panels = ivf_panels_new(w->centroids, w->k, w->params->d, w->params->metric);
        if (job->panels == NULL)
            return MPIVF_FAILED;
        job->scratch_bytes = ivf_panels_top_scratch(job->panels) + BLOCK * sizeof(float) * (size_t)job->lists->width;
    } else if (job->upper != NULL) {
        job->scratch_bytes = ivf_nearest_several_scratch(job->upper->nearest);
    } else {
        const ivf_tiles tiles = {.end = (int32_t)ivf_ceil_div(w->k, IVF_COARSE_LANES)};
        job->scratch_bytes = ivf_coarse_top_scratch(tiles) + BLOCK * w->rounded->stride +
                             (size_t)job->lists->width * sizeof(ivf_neighbor);
    }
    job->scratch_bytes = (size_t)ivf_round_up(ivf_to_i64(job->scratch_bytes) + 64, 64);
    job->scratch = ivf_new(threads, job->scratch_bytes);
    return job->scratch == NULL ? MPIVF_FAILED : MPIVF_OK;
}

int ivf_kmeans_share(const ivf_ctx *ctx, void *data, int64_t count, size_t bytes)
{
    if (ctx == NULL)
        return MPIVF_OK;
    int ranks = ivf_ctx_size(ctx);
    int64_t *offsets = ivf_new((size_t)ranks + 1, sizeof *offsets);
    int rc = ivf_agree(ctx, offsets == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc == MPIVF_OK && offsets != NULL) {
        for (int r = 0; r <= ranks; r++)
            offsets[r] = ivf_kmeans_first_of(count, r, ranks) * ivf_to_i64(bytes);
        rc = ivf_allgather_bytes(ctx, data, offsets);
    }
    ivf_free(offsets);
    return rc;
}

/* Collective. */
static int run(const ivf_ctx *ctx, list_job *job)
{
    const int rank = ivf_kmeans_rank(ctx);
    const int ranks = ivf_kmeans_ranks(ctx);
    const ivf_kmeans_lists *lists = job->lists;
    const int32_t k = job->work->k;
    job->first = ivf_kmeans_first_of(k, rank, ranks);
    job->end = ivf_kmeans_first_of(k, rank + 1, ranks);
    int rc = make(job);
    if (rc == MPIVF_OK)
        rc = ivf_team_run_stoppable(ivf_ceil_div(job->end - job->first, BLOCK),
                                    job->upper != NULL ? list_down : list_block, job);
    rc = ivf_kmeans_agree(ctx, rc);
    if (rc == MPIVF_OK)
        rc = ivf_kmeans_share(ctx, lists->numbers, k, (size_t)lists->width * sizeof *lists->numbers);
    ivf_panels_free(job->panels);
    ivf_free(job->scratch);
    return rc;
}

int ivf_kmeans_neighbours(const ivf_ctx *ctx, const ivf_kmeans_work *w, ivf_kmeans_upper *upper,
                          ivf_kmeans_lists *lists)
{
    list_job job = {.work = w, .lists = lists, .upper = upper, .with_itself = true};
    if (upper != NULL) {
        ivf_kmeans_set_anchors(w, upper);
        ivf_nearest_repack(upper->nearest, w->centroids);
    }
    return run(ctx, &job);
}

int ivf_kmeans_neighbours_of_anchors(const ivf_ctx *ctx, const ivf_kmeans_work *w, const ivf_kmeans_upper *upper,
                                     ivf_kmeans_lists *lists)
{
    list_job job = {.work = w, .lists = lists, .upper = upper};
    return run(ctx, &job);
}

int64_t ivf_kmeans_lists_memory(int64_t groups, int64_t width)
{
    return groups * (4 * width + 1 + 8);
}

int64_t ivf_kmeans_neighbours_memory(const ivf_kmeans_extent *e, int64_t width, int64_t candidates)
{
    const ivf_tiles tiles = {.end = (int32_t)ivf_ceil_div(candidates, IVF_COARSE_LANES)};
    const int64_t top = (int64_t)ivf_coarse_top_scratch(tiles) + BLOCK * ivf_grid_stride(e->params->d);
    return e->threads * (top + width * (int64_t)sizeof(ivf_neighbor) + 128);
}
