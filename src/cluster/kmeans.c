/* Lloyd's k-means over rows in memory, for the lists of an index and for the codebooks of a product quantizer (which
 * call it inside a task, where it runs on one thread). Plain exact Lloyd, because its quality is the yardstick of every
 * faster scheme and its assignment is one fused product (math/panels.h). No collectives: rows and centroids are this
 * rank's.
 *
 * Order of things: seed; then for each iteration assign, repair empty cells, update. When the last iteration still met
 * empty cells, passes of the same kind follow until an assignment meets none. Memory is in kmeans.h. */
#include "cluster/kmeans.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/memory.h"
#include "base/numbers.h"
#include "base/team.h"
#include "cluster/internal.h"
#include "math/panels.h"

enum {
    ROW_BLOCK = 1024,   /* rows of an assignment task */
    REPAIR_PASSES = 16, /* each can double the cells in use */
};

static int check(const ivf_kmeans_params *params, int64_t n)
{
    if (params->k < 1 || params->d < 1)
        return ivf_fail(MPIVF_USAGE, "k-means: %d centroids of %d values; both must be at least 1", params->k,
                        params->d);
    if (params->iterations < 1 || params->iterations > IVF_KMEANS_ITERATIONS)
        return ivf_fail(MPIVF_USAGE, "k-means: %d iterations; 1 to %d are possible", params->iterations,
                        IVF_KMEANS_ITERATIONS);
    if (n < 1 || n > UINT32_MAX)
        return ivf_fail(MPIVF_BAD_INPUT, "k-means: %lld training rows; 1 to %lld are possible", (long long)n,
                        (long long)UINT32_MAX);
    return MPIVF_OK;
}

static int refuse_few(const ivf_kmeans_work *w)
{
    return ivf_fail(
        MPIVF_BAD_INPUT,
        "k-means: %d cells need as many training rows that differ%s, but only %d of the %lld do; ask for at "
        "most %d",
        w->params->k, w->spherical ? " in direction" : "", w->k, (long long)w->n, w->k);
}

static int64_t row_blocks(const ivf_kmeans_work *w)
{
    return ivf_ceil_div(w->n, ROW_BLOCK);
}

static int make_rows(ivf_kmeans_work *w)
{
    size_t n = (size_t)w->n;
    size_t threads = (size_t)ivf_team_size();
    w->norm = ivf_new(n, sizeof *w->norm);
    w->loss = ivf_new(n, sizeof *w->loss);
    w->cell = ivf_new(n, sizeof *w->cell);
    w->order = ivf_new(n, sizeof *w->order);
    w->block_loss = ivf_new((size_t)row_blocks(w), sizeof *w->block_loss);
    w->sums = ivf_new(threads * w->d, sizeof *w->sums);
    w->direction = ivf_new(threads * w->d, sizeof *w->direction);
    return w->norm == NULL || w->loss == NULL || w->cell == NULL || w->order == NULL || w->block_loss == NULL ||
                   w->sums == NULL || w->direction == NULL
               ? MPIVF_FAILED
               : MPIVF_OK;
}

static int make_cells(ivf_kmeans_work *w)
{
    w->start = ivf_new((size_t)w->k + 2, sizeof *w->start);
    w->spread = ivf_new((size_t)w->k, sizeof *w->spread);
    return w->start == NULL || w->spread == NULL ? MPIVF_FAILED : MPIVF_OK;
}

static void drop(ivf_kmeans_work *w)
{
    ivf_free(w->norm);
    ivf_free(w->loss);
    ivf_free(w->cell);
    ivf_free(w->order);
    ivf_free(w->block_loss);
    ivf_free(w->sums);
    ivf_free(w->direction);
    ivf_free(w->start);
    ivf_free(w->spread);
}

typedef struct {
    ivf_kmeans_work *work;
    const ivf_panels *panels;
} assign_job;

static int assign_block(void *arg, int64_t block, int worker)
{
    (void)worker;
    const assign_job *job = arg;
    const ivf_kmeans_work *w = job->work;
    int64_t first = block * ROW_BLOCK;
    int64_t end = ivf_min_i64(w->n, first + ROW_BLOCK);
    ivf_panels_best(job->panels, w->x + (size_t)first * w->d, end - first, w->cell + first, w->loss + first);
    double sum = 0;
    for (int64_t row = first; row < end; row++) {
        double score = (double)w->loss[row];
        double loss = w->spherical ? -score : fmax(0, (double)w->norm[row] - 2 * score);
        w->loss[row] = (float)loss;
        sum += loss;
    }
    w->block_loss[block] = sum;
    return MPIVF_OK;
}

int ivf_kmeans_assign(ivf_kmeans_work *w, double *objective)
{
    ivf_panels *panels = ivf_panels_new(w->centroids, w->k, w->params->d, w->params->metric);
    if (panels == NULL)
        return MPIVF_FAILED;
    assign_job job = {w, panels};
    int rc = ivf_team_run(row_blocks(w), assign_block, &job);
    ivf_panels_free(panels);
    *objective = 0;
    for (int64_t block = 0; block < row_blocks(w); block++)
        *objective += w->block_loss[block];
    ivf_kmeans_sort(w);
    return rc;
}

void ivf_kmeans_sort(ivf_kmeans_work *w)
{
    int64_t *start = w->start;
    memset(start, 0, ((size_t)w->k + 2) * sizeof *start);
    for (int64_t row = 0; row < w->n; row++)
        start[w->cell[row] + 2]++;
    for (int32_t c = 0; c < w->k; c++)
        start[c + 2] += start[c + 1];
    for (int64_t row = 0; row < w->n; row++)
        w->order[start[w->cell[row] + 1]++] = (uint32_t)row;
}

int64_t ivf_kmeans_empty(const ivf_kmeans_work *w)
{
    int64_t empty = 0;
    for (int32_t c = 0; c < w->k; c++)
        empty += ivf_kmeans_size(w, c) == 0;
    return empty;
}

static double imbalance(const ivf_kmeans_work *w)
{
    double squares = 0;
    for (int32_t c = 0; c < w->k; c++)
        squares += (double)ivf_kmeans_size(w, c) * (double)ivf_kmeans_size(w, c);
    return squares * w->params->k / ((double)w->n * (double)w->n);
}

/* One iteration. *empty: cells without rows after the assignment; *repaired: how many of them were given one. */
static int iterate(ivf_kmeans_work *w, ivf_kmeans_report *report, double *objective, int64_t *empty, int64_t *repaired)
{
    int rc = ivf_kmeans_assign(w, objective);
    if (rc != MPIVF_OK)
        return rc;
    report->imbalance = imbalance(w);
    *repaired = 0;
    *empty = ivf_kmeans_empty(w);
    if (*empty > 0)
        rc = ivf_kmeans_repair(w, repaired);
    report->repairs += *repaired;
    return rc == MPIVF_OK ? ivf_kmeans_update(w) : rc;
}

static const char *reason_to_stop(const ivf_kmeans_work *w, const ivf_kmeans_report *report, int64_t repaired)
{
    int done = report->iterations;
    if (repaired == 0 && !atomic_load(&w->moved))
        return "settled";
    if (done > 1) {
        double before = report->objective[done - 2];
        double fall = before - report->objective[done - 1];
        if (w->params->tolerance > 0 && fall < w->params->tolerance * fabs(before))
            return "tolerance";
    }
    return done == w->params->iterations ? "iterations" : NULL;
}

static int fill_empty(ivf_kmeans_work *w, ivf_kmeans_report *report, int64_t empty)
{
    double objective = 0;
    int64_t repaired = 1;
    for (int pass = 0; pass < REPAIR_PASSES && empty > 0 && repaired > 0; pass++) {
        int rc = iterate(w, report, &objective, &empty, &repaired);
        if (rc != MPIVF_OK)
            return rc;
    }
    if (empty == 0 || w->params->spare)
        return MPIVF_OK;
    return ivf_fail(MPIVF_BAD_INPUT,
                    "k-means: %lld of %d cells stay empty, because the %lld training rows are too close together for "
                    "single precision; ask for fewer cells",
                    (long long)empty, w->k, (long long)w->n);
}

static int run(ivf_kmeans_work *w, ivf_kmeans_report *report)
{
    int64_t empty = 0;
    int64_t repaired = 0;
    while (report->stopped == NULL) {
        int rc = iterate(w, report, &report->objective[report->iterations], &empty, &repaired);
        if (rc != MPIVF_OK)
            return rc;
        report->iterations++;
        report->stopped = reason_to_stop(w, report, repaired);
    }
    return empty > 0 ? fill_empty(w, report, empty) : MPIVF_OK;
}

static int seed_and_run(ivf_kmeans_work *w, ivf_kmeans_report *report)
{
    int rc = make_rows(w);
    if (rc == MPIVF_OK)
        rc = ivf_kmeans_seed(w);
    if (rc != MPIVF_OK)
        return rc;
    if (w->k < w->params->k && (!w->params->spare || w->k == 0))
        return refuse_few(w);
    rc = make_cells(w);
    if (rc == MPIVF_OK)
        rc = run(w, report);
    for (size_t spare = (size_t)w->k; spare < (size_t)w->params->k && rc == MPIVF_OK; spare++)
        memcpy(w->centroids + spare * w->d, w->centroids, w->d * sizeof(float));
    return rc;
}

int ivf_kmeans(const ivf_kmeans_params *params, const float *x, int64_t n, float *centroids, ivf_kmeans_report *report)
{
    memset(report, 0, sizeof *report);
    int rc = check(params, n);
    if (rc != MPIVF_OK)
        return rc;
    ivf_kmeans_work work = {
        .params = params,
        .x = x,
        .n = n,
        .d = (size_t)params->d,
        .spherical = params->metric != IVF_L2,
    };
    work.centroids = centroids;
    rc = seed_and_run(&work, report);
    drop(&work);
    return rc;
}
