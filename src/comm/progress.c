#include "comm/progress.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "comm/internal.h"

static const double REPORT_SECONDS = 0.5;
static const double LINE_SECONDS = 5;
static const double BAR_SECONDS = 0.1;

struct ivf_progress {
    MPI_Win window; /* rank 0 holds done[size] */
    int64_t *done;
    MPI_Comm comm;
    int rank;
    int size;
    const char *phase; /* borrowed */
    const char *unit;  /* borrowed */
    int64_t total;
    int64_t mine;
    double started;
    double last_report;
    double last_print;
};

ivf_progress *ivf_progress_open(const ivf_ctx *ctx, const char *phase, const char *unit, int64_t total)
{
    ivf_progress *progress = ivf_new_zero(1, sizeof *progress);
    int rc = ivf_agree(ctx, progress == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (progress == NULL || rc != MPIVF_OK) {
        ivf_free(progress);
        return NULL;
    }
    double now = ivf_clock();
    MPI_Win window = MPI_WIN_NULL;
    int64_t *done = NULL;
    MPI_Aint bytes = ctx->rank == 0 ? (MPI_Aint)sizeof(int64_t) * ctx->size : 0;
    MPI_Win_allocate(bytes, (int)sizeof(int64_t), MPI_INFO_NULL, ctx->comm, &done, &window);
    MPI_Win_lock_all(0, window);
    for (int r = 0; ctx->rank == 0 && r < ctx->size; r++)
        done[r] = 0;
    *progress = (ivf_progress){.window = window,
                               .done = done,
                               .comm = ctx->comm,
                               .rank = ctx->rank,
                               .size = ctx->size,
                               .phase = phase,
                               .unit = unit,
                               .total = total,
                               .started = now,
                               .last_report = now,
                               .last_print = now};
    MPI_Win_sync(window);
    MPI_Barrier(ctx->comm);
    return progress;
}

static void report(ivf_progress *p, double now)
{
    MPI_Accumulate(&p->mine, 1, MPI_INT64_T, 0, p->rank, 1, MPI_INT64_T, MPI_REPLACE, p->window);
    MPI_Win_flush(0, p->window);
    p->last_report = now;
}

/* Rank 0: all that is known to be done, and the rank that has done least. */
static int64_t sum_done(const ivf_progress *p, int *slowest)
{
    int64_t sum = 0;
    *slowest = 0;
    MPI_Win_sync(p->window);
    for (int r = 0; r < p->size; r++) {
        sum += p->done[r];
        if (p->done[r] < p->done[*slowest])
            *slowest = r;
    }
    return sum;
}

static void draw_bar(double share, char bar[32])
{
    for (int i = 0; i < 30; i++)
        bar[i] = i < (int)(share * 30) ? '#' : '.';
    bar[30] = '\0';
}

static void print(ivf_progress *p, double now)
{
    int slowest = 0;
    int64_t done = sum_done(p, &slowest);
    double rate = (double)done / (now - p->started);
    double share = p->total > 0 ? (double)done / (double)p->total : 1;
    char rate_text[24];
    char eta[24] = "?";
    char line[256];
    char bar[32] = "";
    if (rate > 0)
        (void)ivf_text_duration((double)(p->total - done) / rate, eta);
    if (ivf_log_is_terminal())
        draw_bar(share, bar);
    int used = snprintf(line, sizeof line, "%s %s%s%" PRId64 " of %" PRId64 " %s (%.0f %%), %s %s/s, ETA %s", p->phase,
                        bar, bar[0] == '\0' ? "" : " ", done, p->total, p->unit, 100 * share,
                        ivf_text_count(rate, rate_text), p->unit, eta);
    if (p->size > 1 && used > 0 && (size_t)used < sizeof line)
        (void)snprintf(line + used, sizeof line - (size_t)used, ", slowest rank %d", slowest);
    if (ivf_log_is_terminal())
        ivf_log_status(line);
    else
        ivf_info("%s", line);
    p->last_print = now;
}

/* Prints when due; the probe gives MPI a chance to serve the others' one-sided calls while this rank computes. */
static void attend(ivf_progress *p, double now)
{
    int flag = 0;
    MPI_Iprobe(MPI_ANY_SOURCE, MPI_ANY_TAG, p->comm, &flag, MPI_STATUS_IGNORE);
    if (now - p->last_print < (ivf_log_is_terminal() ? BAR_SECONDS : LINE_SECONDS))
        return;
    report(p, now);
    print(p, now);
}

void ivf_progress_add(ivf_progress *progress, int64_t units)
{
    double now = ivf_clock();
    progress->mine += units;
    if (progress->rank == 0)
        attend(progress, now);
    else if (now - progress->last_report >= REPORT_SECONDS)
        report(progress, now);
}

static void wait_for_all(ivf_progress *p)
{
    const struct timespec pause = {.tv_nsec = 200000};
    MPI_Request request;
    int finished = 0;
    MPI_Ibarrier(p->comm, &request);
    MPI_Test(&request, &finished, MPI_STATUS_IGNORE);
    while (!finished) {
        if (p->rank == 0)
            attend(p, ivf_clock());
        (void)nanosleep(&pause, NULL);
        MPI_Test(&request, &finished, MPI_STATUS_IGNORE);
    }
}

void ivf_progress_close(const ivf_ctx *ctx, ivf_progress *progress)
{
    if (progress == NULL)
        return;
    report(progress, ivf_clock());
    wait_for_all(progress);
    if (ctx->rank == 0)
        ivf_log_status("");
    MPI_Win_unlock_all(progress->window);
    MPI_Win_free(&progress->window);
    ivf_free(progress);
}
