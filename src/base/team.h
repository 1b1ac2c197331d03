/* The threads of a rank. The only user of OpenMP: loops are written as tasks, so that their errors, their scratch space
 * and the thread sanitizer are looked after in one place. Results may not depend on which worker ran a task. */
#ifndef IVF_BASE_TEAM_H
#define IVF_BASE_TEAM_H

#include <stdint.h>

/* Runs one task; returns a code (with its failure recorded). `worker` is in [0, ivf_team_size()): no two tasks that run
 * at the same time share it, so it picks scratch space. */
typedef int ivf_task(void *arg, int64_t task, int worker);

/* Local. Threads that ivf_team_run uses: OMP_NUM_THREADS, or the processors this process may use. */
int ivf_team_size(void);
void ivf_team_resize(int threads);

/* Local. Runs tasks 0..tasks-1, handed out in order to whoever is free. After a failure no further task is started; the
 * code and record returned are those of the lowest failed task that ran. A call from inside a task, or while another
 * thread's call is under way, runs serially with worker 0: do not share scratch across such calls. */
int ivf_team_run(int64_t tasks, ivf_task *task, void *arg);

#endif
