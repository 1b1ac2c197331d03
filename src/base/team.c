#include "base/team.h"

#include <omp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

typedef struct {
    ivf_task *task;
    void *arg;
    int64_t tasks;
    atomic_int_fast64_t next;
    atomic_bool stop;
    atomic_int
        finished; /* workers that are done: joins their writes to the caller, in a way the thread sanitizer sees */
    pthread_mutex_t lock;
    int64_t failed_task; /* lowest so far, guarded by lock */
    ivf_error failure;   /* its record, guarded by lock */
} team_job;

/* libgomp is not instrumented, so the job travels through an atomic rather than through the region's captured
 * variables. */
static _Atomic(team_job *) current;
static pthread_mutex_t busy = PTHREAD_MUTEX_INITIALIZER;
static int chosen_threads;

int ivf_team_size(void)
{
    return chosen_threads > 0 ? chosen_threads : omp_get_max_threads();
}

void ivf_team_resize(int threads)
{
    chosen_threads = threads;
}

static void record_failure(team_job *job, int64_t task, int code)
{
    pthread_mutex_lock(&job->lock);
    if (job->failed_task < 0 || task < job->failed_task) {
        job->failed_task = task;
        job->failure = *ivf_error_last();
        job->failure.code = code;
    }
    pthread_mutex_unlock(&job->lock);
    atomic_store(&job->stop, true);
}

static void work(team_job *job, int worker)
{
    while (!atomic_load(&job->stop)) {
        int64_t task = atomic_fetch_add(&job->next, 1);
        if (task >= job->tasks)
            break;
        int code = job->task(job->arg, task, worker);
        if (code != MPIVF_OK)
            record_failure(job, task, code);
    }
}

static void run_in_parallel(team_job *job, int threads)
{
    atomic_store(&current, job);
#pragma omp parallel num_threads(threads)
    {
        team_job *mine = atomic_load(&current);
        work(mine, omp_get_thread_num());
        atomic_fetch_add(&mine->finished, 1);
    }
    (void)atomic_load(&job->finished);
}

int ivf_team_run(int64_t tasks, ivf_task *task, void *arg)
{
    team_job job = {.task = task, .arg = arg, .tasks = tasks, .lock = PTHREAD_MUTEX_INITIALIZER, .failed_task = -1};
    int64_t threads = ivf_team_size() < tasks ? ivf_team_size() : tasks;
    if (threads > 1 && !omp_in_parallel() && pthread_mutex_trylock(&busy) == 0) {
        run_in_parallel(&job, (int)threads);
        pthread_mutex_unlock(&busy);
    } else {
        work(&job, 0);
    }
    pthread_mutex_destroy(&job.lock);
    if (job.failed_task < 0)
        return MPIVF_OK;
    ivf_error_set(&job.failure);
    return job.failure.code;
}
