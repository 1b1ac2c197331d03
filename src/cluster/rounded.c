/* Rows on an 8-bit grid for the fast passes, and whether they suit one. Memory: d bytes a row and one that marks those
 * that the grid does not hold; about 3 d bytes a centroid. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "cluster/internal.h"
#include "math/distance.h"
#include "math/panels.h"

enum {
    FIT_ROWS = 4096,    /* that the grid is fitted to: the first places */
    TRIAL_ROWS = 1024,  /* that are assigned both ways */
    OUTSIDE_LIMIT = 50, /* one in so many rows may be outside */
};

/* Of the objective of the trial rows, that rounding may add. */
static const double TRIAL_LIMIT = 0.005;

static ivf_kmeans_rounded *make(const ivf_kmeans_work *w, int64_t width)
{
    ivf_kmeans_rounded *r = ivf_new_zero(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->threads = ivf_team_size();
    r->stride = (size_t)ivf_grid_stride(w->params->d);
    r->q = ivf_new((size_t)w->rows, r->stride);
    r->outside = ivf_new((size_t)w->rows, 1);
    r->parts = ivf_new((size_t)r->threads * w->d, sizeof *r->parts);
    r->all = ivf_coarse_new(w->k, 1, w->params->d);
    r->near = ivf_new_zero((size_t)r->threads, sizeof(ivf_coarse *));
    bool made = r->q != NULL && r->parts != NULL && r->outside != NULL && r->all != NULL && r->near != NULL;
    for (int t = 0; t < r->threads && made; t++) {
        r->near[t] = ivf_coarse_new(width, 1, w->params->d);
        made = r->near[t] != NULL;
    }
    if (made)
        return r;
    ivf_kmeans_rounded_free(r);
    return NULL;
}

void ivf_kmeans_rounded_free(ivf_kmeans_rounded *r)
{
    if (r == NULL)
        return;
    for (int t = 0; r->near != NULL && t < r->threads; t++)
        ivf_coarse_free(r->near[t]);
    ivf_free(r->near);
    ivf_coarse_free(r->all);
    ivf_grid_free(&r->grid);
    ivf_free(r->q);
    ivf_free(r->parts);
    ivf_free(r->outside);
    ivf_free(r);
}

static int fit(const ivf_ctx *ctx, const ivf_kmeans_work *w, ivf_kmeans_rounded *r)
{
    int64_t places[FIT_ROWS];
    int64_t n = ivf_min_i64(ivf_min_i64(FIT_ROWS, w->share.total), ivf_kmeans_fetch_most(w));
    for (int64_t i = 0; i < n; i++)
        places[i] = i;
    float *rows = ivf_new((size_t)n, w->d * sizeof *rows);
    int rc = ivf_kmeans_agree(ctx, rows == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc == MPIVF_OK)
        rc = ivf_kmeans_fetch(ctx, w, places, n, rows);
    if (rc == MPIVF_OK && rows != NULL) {
        ivf_kmeans_bcast(ctx, rows, (size_t)n * w->d * sizeof *rows);
        rc = ivf_kmeans_agree(ctx, ivf_grid_fit(&r->grid, rows, n, w->params->d));
    }
    ivf_free(rows);
    return rc;
}

typedef struct {
    const ivf_kmeans_work *work;
    ivf_kmeans_rounded *rounded;
    atomic_int_fast64_t outside;
} round_job;

static int round_block(void *arg, int64_t block, int worker)
{
    (void)worker;
    round_job *job = arg;
    const ivf_kmeans_work *w = job->work;
    ivf_kmeans_rounded *r = job->rounded;
    size_t first = (size_t)block * IVF_SHARE_BLOCK;
    int64_t count = ivf_min_i64(IVF_SHARE_BLOCK, w->rows - (int64_t)first);
    int64_t outside =
        ivf_grid_round(&r->grid, w->x + first * w->d, count, r->q + first * r->stride, r->outside + first);
    atomic_fetch_add(&job->outside, outside);
    return MPIVF_OK;
}

static bool holds(const ivf_ctx *ctx, const ivf_kmeans_work *w, ivf_kmeans_rounded *r)
{
    round_job job = {.work = w, .rounded = r};
    (void)ivf_team_run(ivf_ceil_div(w->rows, IVF_SHARE_BLOCK), round_block, &job);
    int64_t outside = atomic_load(&job.outside);
    r->some_outside = outside > 0;
    ivf_kmeans_allsum(ctx, &outside, 1);
    return outside <= w->share.total / OUTSIDE_LIMIT;
}

/* Objective of the trial's rows with the centroids that the rounded form and the exact one choose. */
static void try_rows(const ivf_kmeans_work *w, const ivf_kmeans_rounded *r, const ivf_panels *panels, int64_t n,
                     double loss[2])
{
    int32_t best[2][TRIAL_ROWS];
    float score[TRIAL_ROWS];
    const ivf_coarse_rows rows = {.q = r->q, .n = n};
    ivf_coarse_nearest(r->all, ivf_coarse_all(r->all), &rows, best[0]);
    ivf_panels_best(panels, w->x, n, best[1], score);
    for (int64_t row = 0; row < n; row++)
        for (int way = 0; way < 2 && !r->outside[row]; way++) {
            const float *x = w->x + (size_t)row * w->d;
            const float *c = w->centroids + (size_t)best[way][row] * w->d;
            loss[way] += w->spherical ? -(double)ivf_dot(x, c, w->params->d) : (double)ivf_l2_sqr(x, c, w->params->d);
        }
}

/* The rank that holds the first block of rows tries it with the centroids of the start. */
static int suits(const ivf_ctx *ctx, const ivf_kmeans_work *w, ivf_kmeans_rounded *r, bool *suited)
{
    int64_t refused = 0;
    int rc = MPIVF_OK;
    ivf_coarse_pack(r->all, &r->grid, w->params->metric, w->centroids, w->k, NULL, 1);
    if (ivf_share_owner(&w->share, 0) == w->share.rank) {
        double loss[2] = {0};
        ivf_panels *panels = ivf_panels_new(w->centroids, w->k, w->params->d, w->params->metric);
        if (panels == NULL)
            rc = MPIVF_FAILED;
        else
            try_rows(w, r, panels, ivf_min_i64(TRIAL_ROWS, w->rows), loss);
        ivf_panels_free(panels);
        refused = loss[0] > loss[1] + TRIAL_LIMIT * fabs(loss[1]);
    }
    rc = ivf_kmeans_agree(ctx, rc);
    if (rc == MPIVF_OK)
        ivf_kmeans_allsum(ctx, &refused, 1);
    *suited = refused == 0;
    return rc;
}

int ivf_kmeans_round(const ivf_ctx *ctx, ivf_kmeans_work *w, int64_t width, bool known)
{
    if (w->params->d > IVF_COARSE_MAX_D)
        return MPIVF_OK;
    bool suited = known;
    ivf_kmeans_rounded *r = make(w, width);
    int rc = ivf_kmeans_agree(ctx, r == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc == MPIVF_OK && r != NULL)
        rc = fit(ctx, w, r);
    if (rc == MPIVF_OK && r != NULL && holds(ctx, w, r) && !known)
        rc = suits(ctx, w, r, &suited);
    if (rc == MPIVF_OK && suited)
        w->rounded = r;
    else
        ivf_kmeans_rounded_free(r);
    return rc;
}

enum { PACKED_TILES = 64 }; /* of a task */

static int pack_tiles(void *arg, int64_t task, int worker)
{
    (void)worker;
    const ivf_kmeans_work *w = arg;
    const ivf_tiles all = ivf_coarse_all(w->rounded->all);
    const int32_t first = all.first + (int32_t)task * PACKED_TILES;
    const ivf_tiles tiles = {first, (int32_t)ivf_min_i64(all.end, first + PACKED_TILES)};
    ivf_coarse_pack_tiles(w->rounded->all, tiles);
    return MPIVF_OK;
}

void ivf_kmeans_pack(ivf_kmeans_work *w)
{
    ivf_kmeans_rounded *r = w->rounded;
    ivf_coarse_pack_begin(r->all, &r->grid, w->params->metric, w->centroids, w->k, NULL, 1);
    const ivf_tiles all = ivf_coarse_all(r->all);
    (void)ivf_team_run(ivf_ceil_div(all.end - all.first, PACKED_TILES), pack_tiles, w);
}

int64_t ivf_kmeans_rounded_memory(const ivf_kmeans_extent *e, int64_t width)
{
    const int d = e->params->d;
    return e->rows * (ivf_grid_stride(d) + 1) + ivf_coarse_memory(e->params->k, 1, d) +
           e->threads * (4 * e->d + ivf_coarse_memory(width, 1, d));
}

int64_t ivf_kmeans_round_memory(const ivf_kmeans_extent *e)
{
    const int64_t n = ivf_min_i64(FIT_ROWS, e->total);
    const int64_t fitting = n * 4 * e->d + ivf_max_i64(ivf_kmeans_fetch_memory(e, n), 8 * n + 8 * e->d);
    return ivf_max_i64(fitting, ivf_panels_memory(e->params->k, e->params->d));
}
