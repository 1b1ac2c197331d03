/* How comm/ waits: the one place where a rank does so for others. Nothing blocks inside MPI, so that a wait can watch
 * for messages that stop the run (comm/watch.h), leaves the processor to others when it becomes long, and shows that
 * this rank is alive. */
#ifndef IVF_COMM_WAIT_H
#define IVF_COMM_WAIT_H

#include <mpi.h>
#include <stdbool.h>

/* Local, at the start of a program of ours: the calling thread's sleeps end when they should. A library does not change
 * that for its caller's thread. */
void ivf_wait_settle(void);

/* Local. Until all of requests[count] are complete; they become null. What others answer at once is seen at once; after
 * that the wait sleeps for an eighth of the time that it has lasted, a quarter of a millisecond at most. */
void ivf_wait_all(MPI_Request *requests, int count);
void ivf_wait(MPI_Request *request);

/* One look after another at something that MPI does not wait for. Start with {0}; ivf_wait_pause lies between two. */
typedef struct {
    int looks;
    double since;
} ivf_waiting;

void ivf_wait_pause(ivf_waiting *waiting);

#endif
