/* Lloyd's k-means over rows in memory, for the lists of an index and for the codebooks of a product quantizer (which
 * call it inside a task, where it runs on one thread). The yardstick of every faster scheme: its assignment is one
 * fused product (math/panels.h). One engine for one rank and for many: whatever ranks tell each other is made of
 * integers (counts, fixed-point sums, maxima), so that neither the number of ranks nor their order shows in a result.
 *
 * Order of things: seed; then for each iteration assign, repair empty cells, update. When the last iteration still met
 * empty cells, passes of the same kind follow until an assignment meets none. Collectives and memory: kmeans.h. */
#include "cluster/kmeans.h"

#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "cluster/internal.h"
#include "math/panels.h"

enum { SUM_BYTES = 32 << 20 }; /* that sums take, or one cell's */

/* Cells whose sums are held at once. */
static int32_t slice_of(const ivf_kmeans_params *params, int32_t k)
{
    int64_t bytes = params->sum_bytes > 0 ? params->sum_bytes : SUM_BYTES;
    return (int32_t)ivf_max_i64(1, ivf_min_i64(k, bytes / ((int64_t)sizeof(int64_t) * params->d)));
}

static int check(const ivf_kmeans_params *params, int64_t n)
{
    if (params->k < 1 || params->d < 1)
        return ivf_fail(MPIVF_USAGE, "k-means: %d centroids of %d values; both must be at least 1", params->k,
                        params->d);
    if (params->iterations < 1 || params->iterations > IVF_KMEANS_ITERATIONS)
        return ivf_fail(MPIVF_USAGE, "k-means: %d iterations; 1 to %d are possible", params->iterations,
                        IVF_KMEANS_ITERATIONS);
    if (n < 1 || n > INT32_MAX)
        return ivf_fail(MPIVF_BAD_INPUT, "k-means: %lld training rows; 1 to %lld are possible", (long long)n,
                        (long long)INT32_MAX);
    return MPIVF_OK;
}

static int refuse_few(const ivf_kmeans_work *w)
{
    return ivf_fail(
        MPIVF_BAD_INPUT,
        "k-means: %d cells need as many training rows that differ%s, but only %d of the %lld do; ask for at "
        "most %d",
        w->params->k, w->spherical ? " in direction" : "", w->k, (long long)w->share.total, w->k);
}

static int make_rows(ivf_kmeans_work *w)
{
    size_t n = (size_t)w->rows;
    w->norm = ivf_new(n, sizeof *w->norm);
    w->cell = ivf_new(n, sizeof *w->cell);
    w->order = ivf_new(n, sizeof *w->order);
    w->direction = ivf_new((size_t)ivf_team_size() * w->d, sizeof *w->direction);
    return w->norm == NULL || w->cell == NULL || w->order == NULL || w->direction == NULL ? MPIVF_FAILED : MPIVF_OK;
}

static int make_cells(ivf_kmeans_work *w)
{
    size_t k = (size_t)w->k;
    w->slice = slice_of(w->params, w->k);
    w->sums = ivf_new((size_t)w->slice * w->d, sizeof *w->sums);
    w->start = ivf_new(k + 2, sizeof *w->start);
    w->largest = ivf_new(k, sizeof *w->largest);
    w->size = ivf_new(2 * k + 1, sizeof *w->size);
    w->spread = ivf_new(k, sizeof *w->spread);
    w->scatter = ivf_new(k, sizeof *w->scatter);
    w->founded = ivf_new_zero(k, sizeof *w->founded);
    w->share_of_objective = ivf_new(k, sizeof *w->share_of_objective);
    return w->sums == NULL || w->start == NULL || w->largest == NULL || w->size == NULL || w->founded == NULL ||
                   w->share_of_objective == NULL || w->spread == NULL || w->scatter == NULL
               ? MPIVF_FAILED
               : MPIVF_OK;
}

static void drop(ivf_kmeans_work *w)
{
    ivf_free(w->norm);
    ivf_free(w->founded);
    ivf_free(w->spread);
    ivf_free(w->scatter);
    ivf_free(w->share_of_objective);
    ivf_free(w->cell);
    ivf_free(w->order);
    ivf_free(w->direction);
    ivf_free(w->sums);
    ivf_free(w->start);
    ivf_free(w->largest);
    ivf_free(w->size);
    ivf_free(w->picked);
    ivf_kmeans_drop_kept(w);
    ivf_kmeans_rounded_free(w->rounded);
}

/* Collective. From what was kept, or from the seeds. */
static int start(const ivf_ctx *ctx, ivf_kmeans_work *w, ivf_kmeans_report *report)
{
    bool recalled = false;
    int rc = ivf_kmeans_agree(ctx, make_rows(w));
    if (rc == MPIVF_OK)
        rc = ivf_kmeans_recall(ctx, w, report, &recalled);
    if (rc == MPIVF_OK && !recalled)
        rc = ivf_kmeans_seed(ctx, w);
    if (rc == MPIVF_OK && w->k < w->params->k && (!w->params->spare || w->k == 0))
        rc = refuse_few(w);
    return rc;
}

static int iterate(const ivf_ctx *ctx, ivf_kmeans_work *w, ivf_kmeans_report *report)
{
    ivf_kmeans_norms(w);
    int rc = ivf_kmeans_agree(ctx, make_cells(w));
    if (rc == MPIVF_OK)
        rc = (w->params->mode == IVF_KMEANS_FAST ? ivf_kmeans_run_fast : ivf_kmeans_run_exact)(ctx, w, report);
    return rc == MPIVF_OK ? ivf_kmeans_keep_outcome(ctx, w, report) : rc;
}

static int run(const ivf_ctx *ctx, ivf_kmeans_work *w, ivf_kmeans_report *report)
{
    int rc = start(ctx, w, report);
    if (rc == MPIVF_OK && w->at.stage != IVF_KMEANS_DONE)
        rc = iterate(ctx, w, report);
    for (size_t spare = (size_t)w->k; spare < (size_t)w->params->k && rc == MPIVF_OK; spare++)
        memcpy(w->centroids + spare * w->d, w->centroids, w->d * sizeof(float));
    return rc;
}

static int train(const ivf_ctx *ctx, const ivf_kmeans_params *params, const float *x, const ivf_share *share,
                 float *centroids, ivf_kmeans_report *report)
{
    memset(report, 0, sizeof *report);
    int rc = check(params, share->total);
    if (rc != MPIVF_OK)
        return rc;
    ivf_kmeans_work work = {
        .params = params,
        .share = *share,
        .x = x,
        .rows = ivf_share_count(share),
        .d = (size_t)params->d,
        .spherical = params->metric != IVF_L2,
        .exact_sums = true,
    };
    work.centroids = centroids;
    rc = run(ctx, &work, report);
    drop(&work);
    return rc;
}

int ivf_kmeans(const ivf_kmeans_params *params, const float *x, int64_t n, float *centroids, ivf_kmeans_report *report)
{
    const ivf_share all = {.total = n, .rank = 0, .size = 1};
    return train(NULL, params, x, &all, centroids, report);
}

int ivf_kmeans_all(const ivf_ctx *ctx, const ivf_kmeans_params *params, const float *x, const ivf_share *share,
                   float *centroids, ivf_kmeans_report *report)
{
    return ivf_agree(ctx, train(ctx, params, x, share, centroids, report));
}

/* make_rows and make_cells. */
static int64_t room_of(const ivf_kmeans_extent *e)
{
    const int64_t cell = 6 * 8 + 2 * 8 + 1; /* start to share_of_objective */
    return e->rows * 12 + (int64_t)e->threads * 4 * e->d + (int64_t)slice_of(e->params, e->params->k) * 8 * e->d +
           e->params->k * cell;
}

int64_t ivf_kmeans_memory(const ivf_kmeans_params *params, int64_t total, int ranks, int threads)
{
    const ivf_share share = {.total = total, .rank = 0, .size = ranks};
    const ivf_kmeans_extent e = {.params = params,
                                 .total = total,
                                 .rows = ivf_share_count(&share),
                                 .d = params->d,
                                 .ranks = ranks,
                                 .threads = threads};
    int64_t run =
        params->mode == IVF_KMEANS_FAST ? ivf_kmeans_fast_memory(&e) : ivf_panels_memory(params->k, params->d);
    return ivf_max_i64(e.rows * 12 + ivf_kmeans_seed_memory(&e), room_of(&e) + run);
}
