#include "comm/progress.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/text.h"
#include "comm/internal.h"
#include "comm/wait.h"

static const double REPORT_SECONDS = 0.5;
static const double LINE_SECONDS = 5;
static const double BAR_SECONDS = 0.1;

enum { TAG_PROGRESS = 131 };

/* A rank's account to rank 0. */
typedef struct {
    int64_t done;
    int64_t last; /* 1: no other will come */
} account;

struct ivf_progress {
    MPI_Comm comm;
    int rank;
    int size;
    int64_t *done;       /* [size] on rank 0 */
    int finished;        /* on rank 0: ranks whose last account has come */
    account sent;        /* on the other ranks: under way as long as `request` is */
    MPI_Request request; /* of that */
    const char *phase;   /* borrowed */
    const char *unit;    /* borrowed */
    int64_t total;
    int64_t mine;
    double started;
    double last_report;
    double last_print;
};

static int make(const ivf_ctx *ctx, ivf_progress **progress)
{
    *progress = ivf_new_zero(1, sizeof **progress);
    if (*progress == NULL || ivf_fault("progress"))
        return MPIVF_FAILED;
    (*progress)->done = ivf_new_zero(ctx->rank == 0 ? (size_t)ctx->size : 0, sizeof *(*progress)->done);
    return (*progress)->done == NULL ? MPIVF_FAILED : MPIVF_OK;
}

static void drop(ivf_progress *progress)
{
    if (progress != NULL)
        ivf_free(progress->done);
    ivf_free(progress);
}

ivf_progress *ivf_progress_open(const ivf_ctx *ctx, const char *phase, const char *unit, int64_t total)
{
    ivf_progress *p = NULL;
    int rc = ivf_agree(ctx, make(ctx, &p));
    if (p == NULL || rc != MPIVF_OK) {
        drop(p);
        return NULL;
    }
    double now = ivf_clock();
    p->comm = ctx->comm;
    p->rank = ctx->rank;
    p->size = ctx->size;
    p->request = MPI_REQUEST_NULL;
    p->phase = phase;
    p->unit = unit;
    p->total = total;
    p->started = p->last_report = p->last_print = now;
    return p;
}

/* Not rank 0. An account that is still under way, because rank 0 does not look, is not followed by another one. */
static void report(ivf_progress *p, double now)
{
    int arrived = 0;
    MPI_Test(&p->request, &arrived, MPI_STATUS_IGNORE);
    if (!arrived)
        return;
    p->sent = (account){.done = p->mine};
    MPI_Isend(&p->sent, 2, MPI_INT64_T, 0, TAG_PROGRESS, p->comm, &p->request);
    p->last_report = now;
}

/* Rank 0. Takes the accounts that have come, which also lets MPI serve the other ranks' one-sided calls. */
static void receive(ivf_progress *p)
{
    int there = 0;
    MPI_Status status;
    p->done[0] = p->mine;
    while (p->size > 1) {
        account got;
        MPI_Iprobe(MPI_ANY_SOURCE, TAG_PROGRESS, p->comm, &there, &status);
        if (!there)
            return;
        MPI_Recv(&got, 2, MPI_INT64_T, status.MPI_SOURCE, TAG_PROGRESS, p->comm, MPI_STATUS_IGNORE);
        p->done[status.MPI_SOURCE] = got.done;
        p->finished += got.last != 0;
    }
}

/* Rank 0: all that is known to be done, and the rank that has done least. */
static int64_t sum_done(const ivf_progress *p, int *slowest)
{
    int64_t sum = 0;
    *slowest = 0;
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

static void attend(ivf_progress *p, double now)
{
    receive(p);
    if (now - p->last_print >= (ivf_log_is_terminal() ? BAR_SECONDS : LINE_SECONDS))
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

void ivf_progress_close(const ivf_ctx *ctx, ivf_progress *progress)
{
    ivf_progress *p = progress;
    ivf_waiting waiting = {0};
    if (p == NULL)
        return;
    if (ctx->rank != 0) {
        ivf_wait(&p->request);
        p->sent = (account){.done = p->mine, .last = 1};
        MPI_Isend(&p->sent, 2, MPI_INT64_T, 0, TAG_PROGRESS, p->comm, &p->request);
        ivf_wait(&p->request);
    }
    for (; ctx->rank == 0 && p->finished < p->size - 1; ivf_wait_pause(&waiting))
        attend(p, ivf_clock());
    if (ctx->rank == 0)
        ivf_log_status("");
    drop(p);
}
