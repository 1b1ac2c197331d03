#include "comm/watch.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/pulse.h"
#include "base/stop.h"
#include "comm/internal.h"
#include "comm/transfer.h"
#include "comm/wait.h"
#include "comm/watchdog.h"

enum { TAG_WATCH = 141 };

static const double LOOK_SECONDS = 0.02;
static const double PINGS = 3; /* in the time after which a silent rank is taken as stuck */

/* STOP travels to rank 0 and from there to all; PING from rank 0, ANSWER to it; END is the last of each pair. */
typedef enum { STOP, PING, ANSWER, END, KINDS } message_kind;

typedef struct {
    int32_t kind;
    char why[IVF_STOP_WHY]; /* of STOP */
} message;

enum { SHORT = sizeof(int32_t) }; /* bytes of the other kinds */

typedef struct {
    message message;
    MPI_Request request;
} letter;

/* The main thread's. */
static struct {
    const ivf_ctx *ctx; /* NULL: nobody watches */
    MPI_Comm comm;
    letter (*letters)[KINDS]; /* [peers]: what is on its way; rank 0 has all others as peers, they have rank 0 */
    char *hosts;              /* [ranks][IVF_WATCH_HOST] */
    bool told;                /* the others know of the stop */
    bool ending;              /* END has been sent: nothing may follow it */
    int ended;                /* peers that have sent theirs */
    double next_look;
    double ping_seconds; /* 0: none */
    double next_ping;
} watch;

static int peers(void)
{
    return watch.ctx->rank == 0 ? watch.ctx->size - 1 : 1;
}

static int rank_of(int peer)
{
    return watch.ctx->rank == 0 ? peer + 1 : 0;
}

/* One that is still under way is not followed by another. */
static void post(int peer, message_kind kind, const char *why)
{
    letter *l = &watch.letters[peer][kind];
    int arrived = 0;
    MPI_Test(&l->request, &arrived, MPI_STATUS_IGNORE);
    if (!arrived)
        return;
    l->message.kind = (int32_t)kind;
    if (why != NULL)
        (void)snprintf(l->message.why, sizeof l->message.why, "%.*s", IVF_STOP_WHY - 1, why);
    MPI_Isend(&l->message, why != NULL ? (int)sizeof l->message : (int)SHORT, MPI_BYTE, rank_of(peer), TAG_WATCH,
              watch.comm, &l->request);
}

/* Rank 0 tells all, the others tell rank 0. */
static void tell_stop(void)
{
    char why[IVF_STOP_WHY];
    char where[IVF_STOP_WHY];
    if (ivf_stop_reason(why))
        (void)snprintf(where, sizeof where, "%s", why);
    else
        (void)snprintf(where, sizeof where, "%.64s on rank %d (%.63s)", why, watch.ctx->rank, watch.ctx->host);
    for (int peer = 0; peer < peers(); peer++)
        post(peer, STOP, where);
    watch.told = true;
}

static void take(const message *m, int from)
{
    switch ((message_kind)m->kind) {
    case STOP:
        ivf_stop_request(m->why, true);
        if (from == 0)
            ivf_watchdog_root_knows();
        break;
    case PING:
        if (!watch.ending)
            post(0, ANSWER, NULL);
        break;
    case END:
        watch.ended++;
        break;
    default:
        break;
    }
    ivf_watchdog_heard(from, ivf_clock());
}

static void receive(void)
{
    int there = 0;
    MPI_Status status;
    for (;;) {
        message got;
        MPI_Iprobe(MPI_ANY_SOURCE, TAG_WATCH, watch.comm, &there, &status);
        if (!there)
            return;
        MPI_Recv(&got, (int)sizeof got, MPI_BYTE, status.MPI_SOURCE, TAG_WATCH, watch.comm, MPI_STATUS_IGNORE);
        take(&got, status.MPI_SOURCE);
    }
}

static void look(double now)
{
    ivf_watchdog_attended(now);
    if (watch.ctx->size == 1)
        return;
    receive();
    if (!watch.told && ivf_stop_wanted())
        tell_stop();
    if (watch.ctx->rank != 0 || watch.ping_seconds == 0 || now < watch.next_ping)
        return;
    watch.next_ping = now + watch.ping_seconds;
    for (int peer = 0; peer < peers(); peer++)
        post(peer, PING, NULL);
}

static void attend(void)
{
    double now = ivf_clock();
    if (now < watch.next_look)
        return;
    watch.next_look = now + LOOK_SECONDS;
    look(now);
}

/* Every rank may have to name any other. */
static int gather_hosts(const ivf_ctx *ctx)
{
    int64_t *offsets = ivf_new((size_t)ctx->size + 1, sizeof *offsets);
    watch.hosts = ivf_new_zero((size_t)ctx->size, IVF_WATCH_HOST);
    int rc = ivf_agree(ctx, offsets == NULL || watch.hosts == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc == MPIVF_OK && offsets != NULL) {
        for (int r = 0; r <= ctx->size; r++)
            offsets[r] = (int64_t)r * IVF_WATCH_HOST;
        (void)snprintf(watch.hosts + offsets[ctx->rank], IVF_WATCH_HOST, "%.63s", ctx->host);
        rc = ivf_allgather_bytes(ctx, watch.hosts, offsets);
    }
    ivf_free(offsets);
    return rc;
}

static int make_letters(void)
{
    watch.letters = ivf_new_zero((size_t)peers(), sizeof *watch.letters);
    for (int peer = 0; watch.letters != NULL && peer < peers(); peer++)
        for (int kind = 0; kind < KINDS; kind++)
            watch.letters[peer][kind].request = MPI_REQUEST_NULL;
    return watch.letters == NULL ? MPIVF_FAILED : MPIVF_OK;
}

static void drop(void)
{
    ivf_free(watch.letters);
    ivf_free(watch.hosts);
    memset(&watch, 0, sizeof watch);
}

int ivf_watch_start(const ivf_ctx *ctx, const ivf_watch_settings *settings)
{
    double now = ivf_clock();
    memset(&watch, 0, sizeof watch);
    watch.ctx = ctx;
    watch.ping_seconds = settings->stall / PINGS;
    watch.next_ping = now + watch.ping_seconds;
    int rc = gather_hosts(ctx);
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, make_letters());
    if (rc == MPIVF_OK)
        rc = ivf_agree(ctx, ivf_watchdog_start(ctx, settings, watch.hosts));
    if (rc != MPIVF_OK) {
        ivf_watchdog_stop();
        drop();
        return rc;
    }
    if (ctx->size > 1)
        MPI_Comm_dup(ctx->comm, &watch.comm);
    (void)ivf_pulse_hook(attend);
    ivf_stop_heed();
    return MPIVF_OK;
}

void ivf_watch_end(const ivf_ctx *ctx)
{
    ivf_waiting waiting = {0};
    if (watch.ctx != ctx)
        return;
    (void)ivf_pulse_hook(NULL);
    if (ctx->size > 1) {
        watch.ending = true;
        for (int peer = 0; peer < peers(); peer++)
            post(peer, END, NULL);
        for (; watch.ended < peers(); ivf_wait_pause(&waiting))
            receive();
        for (int peer = 0; peer < peers(); peer++)
            for (int kind = 0; kind < KINDS; kind++)
                ivf_wait(&watch.letters[peer][kind].request);
        MPI_Comm_free(&watch.comm);
    }
    ivf_watchdog_stop();
    drop();
}
