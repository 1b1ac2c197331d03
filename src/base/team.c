#include "base/team.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/pulse.h"
#include "base/stop.h"

enum { MOST_THREADS = 1024 };

typedef struct {
    ivf_task *task;
    void *arg;
    int64_t tasks;
    bool stoppable;
    atomic_int_fast64_t next;
    atomic_bool ended; /* no further task */
    pthread_mutex_t lock;
    int64_t failed_task; /* lowest so far, guarded by lock */
    ivf_error failure;   /* its record, guarded by lock */
} team_job;

/* The pool. A job has seats for workers; who wakes in time takes one, and when the tasks have run out the seats that
 * are still free are taken away, so that nobody waits for a thread that never came. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t work; /* there are seats */
    pthread_cond_t idle; /* nobody is at work; made with the first threads */
    team_job *job;
    int seats;     /* free ones */
    int next_seat; /* the number of the next worker to sit down */
    int at_work;   /* workers that sit */
    int started;   /* threads of the pool; they live as long as the process */
    bool refused;  /* the system gave no more threads: not asked again */
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .work = PTHREAD_COND_INITIALIZER};

static pthread_mutex_t busy = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int usual_threads; /* decided once, so that scratch space sized by it stays large enough */
static int chosen_threads;
static _Thread_local bool inside;

/* OMP_NUM_THREADS may list a number for each level of nesting; ours is the first. */
static void decide_usual_threads(void)
{
    ivf_pulse_cond(&pool.idle);
    const char *wanted = getenv("OMP_NUM_THREADS");
    cpu_set_t allowed;
    long threads = wanted != NULL ? strtol(wanted, NULL, 10) : 0;
    if (threads < 1 && sched_getaffinity(0, sizeof allowed, &allowed) == 0)
        threads = CPU_COUNT(&allowed);
    if (threads < 1)
        threads = sysconf(_SC_NPROCESSORS_ONLN);
    if (threads < 1)
        threads = 1;
    usual_threads = threads < MOST_THREADS ? (int)threads : MOST_THREADS;
}

int ivf_team_size(void)
{
    pthread_once(&once, decide_usual_threads);
    return chosen_threads > 0 ? chosen_threads : usual_threads;
}

void ivf_team_resize(int threads)
{
    chosen_threads = threads < MOST_THREADS ? threads : MOST_THREADS;
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
    atomic_store(&job->ended, true);
}

static void work(team_job *job, int worker)
{
    inside = true;
    while (!atomic_load(&job->ended)) {
        int64_t task = atomic_fetch_add(&job->next, 1);
        if (task >= job->tasks)
            break;
        ivf_pulse_attend();
        int code = job->stoppable ? ivf_stop_check() : MPIVF_OK;
        if (code == MPIVF_OK)
            code = job->task(job->arg, task, worker);
        if (code != MPIVF_OK)
            record_failure(job, task, code);
        ivf_pulse_beat();
    }
    inside = false;
}

static void *serve(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        while (pool.seats == 0)
            pthread_cond_wait(&pool.work, &pool.lock);
        team_job *job = pool.job;
        int worker = pool.next_seat++;
        pool.seats--;
        pool.at_work++;
        pthread_mutex_unlock(&pool.lock);
        work(job, worker);
        pthread_mutex_lock(&pool.lock);
        if (--pool.at_work == 0)
            pthread_cond_signal(&pool.idle);
    }
    return NULL;
}

/* Threads that cannot be had are done without: the tasks run on those that there are. Called with the pool's lock held.
 */
static void start_threads(int wanted)
{
    while (pool.started < wanted && !pool.refused) {
        pthread_t thread;
        if (ivf_fault("thread") || pthread_create(&thread, NULL, serve, NULL) != 0) {
            pool.refused = true;
            ivf_warn("only %d of %d threads can be started", pool.started + 1, wanted + 1);
            return;
        }
        (void)pthread_detach(thread);
        pool.started++;
    }
}

static void run_in_parallel(team_job *job, int helpers)
{
    pthread_mutex_lock(&pool.lock);
    start_threads(helpers);
    pool.job = job;
    pool.seats = helpers < pool.started ? helpers : pool.started;
    pool.next_seat = 1;
    pthread_cond_broadcast(&pool.work);
    pthread_mutex_unlock(&pool.lock);
    work(job, 0);
    pthread_mutex_lock(&pool.lock);
    pool.seats = 0;
    while (pool.at_work > 0)
        ivf_pulse_wait(&pool.idle, &pool.lock);
    pool.job = NULL;
    pthread_mutex_unlock(&pool.lock);
}

static int run(int64_t tasks, ivf_task *task, void *arg, bool stoppable)
{
    team_job job = {.task = task,
                    .arg = arg,
                    .tasks = tasks,
                    .stoppable = stoppable,
                    .lock = PTHREAD_MUTEX_INITIALIZER,
                    .failed_task = -1};
    int64_t threads = ivf_team_size() < tasks ? ivf_team_size() : tasks;
    bool was_inside = inside;
    if (threads > 1 && !inside && pthread_mutex_trylock(&busy) == 0) {
        run_in_parallel(&job, (int)threads - 1);
        pthread_mutex_unlock(&busy);
    } else {
        work(&job, 0);
    }
    inside = was_inside;
    pthread_mutex_destroy(&job.lock);
    if (job.failed_task < 0)
        return MPIVF_OK;
    ivf_error_set(&job.failure);
    return job.failure.code;
}

int ivf_team_run(int64_t tasks, ivf_task *task, void *arg)
{
    return run(tasks, task, arg, false);
}

int ivf_team_run_stoppable(int64_t tasks, ivf_task *task, void *arg)
{
    return run(tasks, task, arg, true);
}
