/* One iteration, whatever its kind, and when to stop. */
#include <math.h>

#include "base/error.h"
#include "base/fault.h"
#include "cluster/internal.h"

enum { REPAIR_PASSES = 16 }; /* each can double the cells in use */

enum { GOING_ON, SETTLED, TOLERANCE, ITERATIONS };
const char *const ivf_kmeans_reasons[IVF_KMEANS_REASONS] = {
    [SETTLED] = "settled", [TOLERANCE] = "tolerance", [ITERATIONS] = "iterations"};

static double imbalance(const ivf_kmeans_work *w)
{
    double squares = 0;
    for (int32_t c = 0; c < w->k; c++)
        squares += (double)w->size[c] * (double)w->size[c];
    return squares * w->params->k / ((double)w->places * (double)w->places);
}

static int assign(const ivf_kmeans_work *w, const ivf_kmeans_step *step)
{
    if (ivf_fault("iteration"))
        return MPIVF_FAILED;
    int rc = step->near > 0 ? ivf_kmeans_assign_near(w, step) : MPIVF_OK;
    if (rc != MPIVF_OK)
        return rc;
    return step->upper != NULL ? ivf_kmeans_assign_down(w, step) : ivf_kmeans_assign_full(w, step);
}

/* Whether empty cells are to be given rows now, which means to look at all rows twice more. */
static bool is_repaired(const ivf_kmeans_work *w, const ivf_kmeans_step *step)
{
    enum { FEW = 256 }; /* one in so many */
    return w->empty > 0 && !step->moving && !(step->patient && w->empty <= w->k / FEW);
}

int ivf_kmeans_iterate(const ivf_ctx *ctx, ivf_kmeans_work *w, const ivf_kmeans_step *step, ivf_kmeans_report *report)
{
    int rc = ivf_kmeans_agree(ctx, assign(w, step));
    if (rc != MPIVF_OK)
        return rc;
    if (step->judge)
        rc = ivf_kmeans_judge(ctx, w, step->lists);
    if (rc != MPIVF_OK)
        return rc;
    ivf_kmeans_sort(w);
    ivf_kmeans_tally(ctx, w);
    report->imbalance = imbalance(w);
    w->repaired = 0;
    w->empty = ivf_kmeans_empty(w);
    if (is_repaired(w, step))
        rc = ivf_kmeans_repair(ctx, w, &w->repaired);
    if (rc != MPIVF_OK)
        return rc;
    report->repairs += w->repaired;
    ivf_kmeans_update(ctx, w);
    return MPIVF_OK;
}

void ivf_kmeans_record(const ivf_kmeans_work *w, char letter, ivf_kmeans_report *report)
{
    report->steps[report->iterations] = letter;
    report->objective[report->iterations++] = w->objective * ((double)w->share.total / (double)w->places);
}

const char *ivf_kmeans_reason_to_stop(const ivf_kmeans_work *w, const ivf_kmeans_report *report, int since)
{
    int done = report->iterations;
    if (w->repaired == 0 && !w->moved)
        return ivf_kmeans_reasons[SETTLED];
    if (done > since + 1) {
        double before = report->objective[done - 2];
        double fall = before - report->objective[done - 1];
        if (w->params->tolerance > 0 && fall < w->params->tolerance * fabs(before))
            return ivf_kmeans_reasons[TOLERANCE];
    }
    return ivf_kmeans_reasons[done - since >= w->params->iterations ? ITERATIONS : GOING_ON];
}

int ivf_kmeans_fill_empty(const ivf_ctx *ctx, ivf_kmeans_work *w, ivf_kmeans_report *report)
{
    const ivf_kmeans_step full = {0};
    int rc = MPIVF_OK;
    if (w->at.stage != IVF_KMEANS_LAST) {
        w->at.stage = IVF_KMEANS_LAST;
        w->at.passes = 0;
        w->repaired = 1;
    }
    while (w->at.passes < REPAIR_PASSES && w->empty > 0 && w->repaired > 0 && rc == MPIVF_OK) {
        rc = ivf_kmeans_iterate(ctx, w, &full, report);
        w->at.passes++;
        if (rc == MPIVF_OK)
            rc = ivf_kmeans_keep(ctx, w, NULL, NULL, report);
    }
    return rc != MPIVF_OK || w->empty == 0 || w->params->spare ? rc : ivf_kmeans_refuse_close(w);
}

int ivf_kmeans_run_exact(const ivf_ctx *ctx, ivf_kmeans_work *w, ivf_kmeans_report *report)
{
    const ivf_kmeans_step full = {0};
    int rc = MPIVF_OK;
    ivf_kmeans_use(w, w->share.total);
    while (w->at.stage < IVF_KMEANS_LAST && report->stopped == NULL && rc == MPIVF_OK) {
        w->at.stage = IVF_KMEANS_ALL;
        rc = ivf_kmeans_iterate(ctx, w, &full, report);
        if (rc != MPIVF_OK)
            break;
        ivf_kmeans_record(w, 'F', report);
        report->stopped = ivf_kmeans_reason_to_stop(w, report, 0);
        rc = ivf_kmeans_keep(ctx, w, NULL, NULL, report);
    }
    return rc == MPIVF_OK && w->empty > 0 ? ivf_kmeans_fill_empty(ctx, w, report) : rc;
}

int ivf_kmeans_refuse_close(const ivf_kmeans_work *w)
{
    return ivf_fail(MPIVF_BAD_INPUT,
                    "k-means: %lld of %d cells stay empty, because the %lld training rows are too close together for "
                    "single precision; ask for fewer cells",
                    (long long)w->empty, w->k, (long long)w->share.total);
}
