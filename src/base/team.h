/* The threads of a rank: loops are written as tasks, so that their errors and their scratch space are looked after in
 * one place. A pool of our own rather than OpenMP: its threads sleep as soon as there is no task, where OpenMP's spin
 * and take the processor from the threads that read and publish (measured: two spinning threads on two busy cores took
 * four times as long as one). Results may not depend on which worker ran a task. */
#ifndef IVF_BASE_TEAM_H
#define IVF_BASE_TEAM_H

#include <stdint.h>

/* Runs one task; returns a code (with its failure recorded). `worker` is in [0, ivf_team_size()): no two tasks that run
 * at the same time share it, so it picks scratch space. */
typedef int ivf_task(void *arg, int64_t task, int worker);

/* Local. Threads that ivf_team_run uses: what ivf_team_resize said last, else OMP_NUM_THREADS (the name that every
 * cluster's scripts set), else the processors that this process may run on. At most 1024. */
int ivf_team_size(void);

/* Local. Sets that number; 0: back to the default. Not while tasks run. */
void ivf_team_resize(int threads);

/* Local. Runs tasks 0..tasks-1, handed out in order to whoever is free; the calling thread takes part as worker 0.
 * After a failure no further task is started; the code and record returned are those of the lowest failed task that
 * ran. A call from inside a task, or while another thread's call is under way, runs serially with worker 0: do not
 * share scratch across such calls. */
int ivf_team_run(int64_t tasks, ivf_task *task, void *arg);

/* Local. The same, but no further task is started either once the run is to stop (base/stop.h): MPIVF_INTERRUPTED. For
 * callers that pass a failure on; what a loop made whose result nobody looks at must be whole. */
int ivf_team_run_stoppable(int64_t tasks, ivf_task *task, void *arg);

#endif
