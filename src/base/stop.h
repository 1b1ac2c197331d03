/* The wish to end a run before it is done, so that it can be taken up again: by a signal, by a limit of time, or
 * because another rank was asked to. Long loops look whether there is one and then fail with MPIVF_INTERRUPTED, which
 * unwinds every rank the way of any other failure. So nothing that is half done is ever published. */
#ifndef IVF_BASE_STOP_H
#define IVF_BASE_STOP_H

#include <stdbool.h>

enum { IVF_STOP_WHY = 160 };

/* Local. From here on SIGUSR1, SIGTERM and SIGINT ask for a stop, SIGINT unless it was ignored; a second one ends the
 * process at once with MPIVF_INTERRUPTED. Half a second must lie between the two, since a launcher may deliver one
 * signal twice. `command` opens the lines that end a process. Until ivf_stop_heed nobody looks whether a stop is
 * wanted, since MPI is starting, which may wait for ranks that never come: so many seconds (1 or more) after a
 * signal the process ends all the same. Without this call these signals have their usual effect. */
void ivf_stop_on_signals(const char *command, unsigned seconds);

/* Local. From here on somebody looks. */
void ivf_stop_heed(void);

/* Local, any thread. Asks for a stop; `why` completes "stopped by ...". The first reason stays. `located`: it says
 * where. */
void ivf_stop_request(const char *why, bool located);

/* Local, any thread. MPIVF_OK, or MPIVF_INTERRUPTED with a failure recorded once a stop is wanted. */
bool ivf_stop_wanted(void);
int ivf_stop_check(void);

/* Local. The same in a long loop that is no team's: shows that it gets on, and attends (base/pulse.h). */
int ivf_stop_point(void);

/* Local. The reason as ivf_stop_request took it ("SIGTERM", "SIGTERM on rank 2 (node7)"), into why[IVF_STOP_WHY];
 * whether it says where; and when that was, on ivf_clock. Only once a stop is wanted. */
bool ivf_stop_reason(char *why);
double ivf_stop_since(void);

/* Local. From here on no stop is wanted any more: what has begun will be finished. ivf_stop_allow: it has been, and
 * there is more to do. */
void ivf_stop_forbid(void);
void ivf_stop_allow(void);

/* Local. Whether the caller is the one to say why the run was stopped: true once for each process, so that no two
 * threads say it. */
bool ivf_stop_claim_line(void);

/* Local, any thread, does not return, safe in a handler. Ends this process at once with MPIVF_INTERRUPTED, as a kill
 * would: for where no failure can be returned. */
_Noreturn void ivf_stop_end_process(void);

#endif
