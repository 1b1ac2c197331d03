/* Ranks that finish together, as they do in iterations, wait for microseconds: these are spent looking. Longer waits
 * are given to whoever shares the processor, by sleep and not by sched_yield(2): who yields gets the processor back
 * when the other's time slice is over, milliseconds later, even if the other is of the lowest class; who sleeps gets
 * it back when he wakes. Sleep grows with the time that has gone by, so that it never adds more than a share of it to a
 * wait; nor would a transfer in pieces, which only moves when somebody looks, stand still for long. */
#include "comm/wait.h"

#include <sys/prctl.h>
#include <time.h>

#include "base/clock.h"
#include "base/pulse.h"

enum { SPINS = 64 }; /* looks before the clock is asked: some 10 microseconds */

static const double LOOKING = 20e-6; /* seconds of a wait before it sleeps */
static const double LONGEST_SLEEP = 250e-6;
static const double SLEEP_SHARE = 0.125;

/* What the kernel may add to a sleep in order to wake several sleepers at once is 50 microseconds by default. */
void ivf_wait_settle(void)
{
    enum { SLACK_NANOSECONDS = 1000 };
    (void)prctl(PR_SET_TIMERSLACK, (unsigned long)SLACK_NANOSECONDS, 0UL, 0UL, 0UL);
}

static void sleep_for(double seconds)
{
    const struct timespec pause = {.tv_nsec = (long)(1e9 * seconds)};
    (void)nanosleep(&pause, NULL);
}

void ivf_wait_pause(ivf_waiting *waiting)
{
    if (waiting->looks++ < SPINS)
        return;
    double now = ivf_clock();
    if (waiting->since == 0)
        waiting->since = now;
    double waited = now - waiting->since;
    if (waited < LOOKING)
        return;
    ivf_pulse_beat();
    ivf_pulse_attend();
    sleep_for(SLEEP_SHARE * waited < LONGEST_SLEEP ? SLEEP_SHARE * waited : LONGEST_SLEEP);
}

void ivf_wait_all(MPI_Request *requests, int count)
{
    ivf_waiting waiting = {0};
    int done = 0;
    for (;;) {
        MPI_Testall(count, requests, &done, MPI_STATUSES_IGNORE);
        if (done)
            return;
        ivf_wait_pause(&waiting);
    }
}

void ivf_wait(MPI_Request *request)
{
    ivf_wait_all(request, 1);
}
