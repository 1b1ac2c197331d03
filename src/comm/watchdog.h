/* The thread that keeps the times of comm/watch.h. It calls no MPI: what it knows of other ranks is when the main
 * thread heard from them. */
#ifndef IVF_COMM_WATCHDOG_H
#define IVF_COMM_WATCHDOG_H

#include "comm/watch.h"

/* Local. Starts the thread; `hosts`: [ranks][IVF_WATCH_HOST] names, borrowed until the stop. */
enum { IVF_WATCH_HOST = 64 };
int ivf_watchdog_start(const ivf_ctx *ctx, const ivf_watch_settings *settings, const char *hosts);

/* Local, main thread. It has looked for messages; it has heard of a rank. */
void ivf_watchdog_attended(double now);
void ivf_watchdog_heard(int rank, double now);

/* Local, main thread. Rank 0 wants the run to stop, too: it will speak if somebody must. */
void ivf_watchdog_root_knows(void);

/* Local. Ends the thread, unless the run is being stopped: then it goes on to see to it that the process ends. */
void ivf_watchdog_stop(void);

#endif
