/* The ranks keep an eye on each other while a long command runs. A communicator of its own carries a few small messages
 * between rank 0 and the others: that the run is to stop (base/stop.h), and whether somebody is still there. Every rank
 * looks for them when it waits (comm/wait.h) and between tasks (base/team.h), about 50 times a second, on its main
 * thread; a thread of its own keeps the times (comm/watchdog.h). */
#ifndef IVF_COMM_WATCH_H
#define IVF_COMM_WATCH_H

#include "comm/context.h"

typedef struct {
    const char *command; /* opens the lines that end the run: "build"; borrowed until the end of the process */
    double time_limit;   /* seconds since `started` after which the run must have ended; 0: none */
    double stall;        /* seconds without a sign of life after which a rank is taken as stuck; 0: never */
    double started;      /* on ivf_clock */
} ivf_watch_settings;

/* Collective. One at a time. From here on a stop that one rank is asked for reaches every rank. Then each rank has 7
 * seconds to end the usual way; one that cannot, since it is stuck in a system call, say, ends the run from its
 * watchdog, with MPIVF_INTERRUPTED and one line. So does a rank that makes no progress for the time that is given, or
 * that is found silent by another one. A message to each other rank at a stop; one there and back each third of
 * `stall`. */
int ivf_watch_start(const ivf_ctx *ctx, const ivf_watch_settings *settings);

/* Collective. Nobody watches any more; NULL settings above or a failed start: nothing happens. */
void ivf_watch_end(const ivf_ctx *ctx);

#endif
