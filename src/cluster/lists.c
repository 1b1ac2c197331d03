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
    ivf_panels *panels; /* NULL: rounded */
    int64_t first, end; /* this rank's centroids */
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
    ivf_topk top = ivf_topk_start(heap, width);
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

static void list_rounded(const list_job *job, const float *c, int64_t count, int32_t *numbers, void *scratch)
{
    const ivf_kmeans_rounded *r = job->work->rounded;
    const int width = job->lists->width;
    int8_t *q = scratch;
    void *rest = q + ivf_round_up(BLOCK * ivf_to_i64(r->stride), 64);
    uint8_t outside[BLOCK];
    const ivf_coarse_rows rows = {.q = q, .n = count};
    int64_t far = ivf_grid_round(&r->grid, c, count, q, outside);
    ivf_coarse_top(r->all, ivf_coarse_all(r->all), &rows, width, numbers, rest);
    for (int64_t i = 0; far > 0 && i < count; i++)
        if (outside[i])
            list_far(job, c + i * job->work->params->d, numbers + i * width, rest);
}

/* Rounding may hide a centroid from its own list, or copies of it may fill that. */
static void put_itself(int32_t *numbers, int32_t width, int32_t itself)
{
    int32_t at = 0;
    while (at < width - 1 && numbers[at] < itself)
        at++;
    numbers[at] = itself;
}

static int list_block(void *arg, int64_t task, int worker)
{
    const list_job *job = arg;
    const ivf_kmeans_work *w = job->work;
    int64_t first = job->first + task * BLOCK;
    int64_t count = ivf_min_i64(BLOCK, job->end - first);
    const float *c = w->centroids + (size_t)first * w->d;
    int32_t *numbers = job->lists->numbers + first * job->lists->width;
    void *scratch = job->scratch + (size_t)worker * job->scratch_bytes;
    (job->panels == NULL ? list_rounded : list_exact)(job, c, count, numbers, scratch);
    for (int64_t i = 0; i < count; i++)
        put_itself(numbers + i * job->lists->width, job->lists->width, (int32_t)(first + i));
    return MPIVF_OK;
}

static int make(list_job *job)
{
    const ivf_kmeans_work *w = job->work;
    if (w->rounded == NULL) {
        job->panels = ivf_panels_new(w->centroids, w->k, w->params->d, w->params->metric);
        if (job->panels == NULL)
            return MPIVF_FAILED;
        job->scratch_bytes = ivf_panels_top_scratch(job->panels) + BLOCK * sizeof(float) * (size_t)job->lists->width;
    } else {
        const ivf_coarse *all = w->rounded->all;
        job->scratch_bytes = ivf_coarse_top_scratch(ivf_coarse_all(all)) + BLOCK * w->rounded->stride;
    }
    job->scratch_bytes = (size_t)ivf_round_up(ivf_to_i64(job->scratch_bytes) + 64, 64);
    job->scratch = ivf_new((size_t)ivf_team_size(), job->scratch_bytes);
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

int ivf_kmeans_neighbours(const ivf_ctx *ctx, const ivf_kmeans_work *w, ivf_kmeans_lists *lists)
{
    const int rank = ivf_kmeans_rank(ctx);
    const int ranks = ivf_kmeans_ranks(ctx);
    list_job job = {.work = w,
                    .lists = lists,
                    .first = ivf_kmeans_first_of(w->k, rank, ranks),
                    .end = ivf_kmeans_first_of(w->k, rank + 1, ranks)};
    int rc = make(&job);
    if (rc == MPIVF_OK)
        rc = ivf_team_run(ivf_ceil_div(job.end - job.first, BLOCK), list_block, &job);
    rc = ivf_kmeans_agree(ctx, rc);
    if (rc == MPIVF_OK)
        rc = ivf_kmeans_share(ctx, lists->numbers, w->k, (size_t)lists->width * sizeof *lists->numbers);
    ivf_panels_free(job.panels);
    ivf_free(job.scratch);
    return rc;
}
