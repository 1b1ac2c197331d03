#include "build/publisher.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/memory.h"
#include "base/pulse.h"
#include "base/stop.h"
#include "index/done.h"

struct ivf_publisher {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    ivf_publisher_step step;
    void *arg;
    const char *index; /* borrowed */
    ivf_done_log *done;
    const ivf_fragment_record *expected; /* borrowed */
    ivf_fragment *held[IVF_PUBLISHER_HELD];
    bool busy[IVF_PUBLISHER_HELD]; /* handed over and not written yet */
    int count;                     /* of held */
    int next;                      /* of held, to be taken */
    ivf_fragment *waiting;
    ivf_fragment_record *record;
    bool closing;
    bool ended; /* the thread is about to */
    ivf_publisher_times times;
    ivf_error failure;
};

/* Waits for work; false when there will be none. Called and left with the lock held. */
static bool wait_for_work(ivf_publisher *p)
{
    while (p->waiting == NULL && !p->closing)
        pthread_cond_wait(&p->changed, &p->lock);
    return p->waiting != NULL;
}

/* The usual step. */
static int publish_one(void *arg, const ivf_fragment *fragment, ivf_fragment_record *record)
{
    ivf_publisher *p = arg;
    if (p->expected != NULL)
        return ivf_fragment_rewrite(fragment, p->index, &p->expected[record->number], record);
    int rc = ivf_fragment_write(fragment, p->index, record);
    return rc == MPIVF_OK ? ivf_done_add(p->done, record) : rc;
}

static void *publish(void *arg)
{
    ivf_publisher *p = arg;
    pthread_mutex_lock(&p->lock);
    while (wait_for_work(p)) {
        ivf_fragment *fragment = p->waiting;
        ivf_fragment_record *record = p->record;
        bool failed = p->failure.code != MPIVF_OK;
        p->waiting = NULL;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
        double started = ivf_clock();
        int rc = MPIVF_OK;
        if (!failed)
            rc = ivf_fault("publication") ? MPIVF_FAILED : p->step(p->arg, fragment, record);
        double ended = ivf_clock();
        pthread_mutex_lock(&p->lock);
        p->times.writing += ended - started;
        if (rc != MPIVF_OK)
            p->failure = *ivf_error_last();
        for (int i = 0; i < IVF_PUBLISHER_HELD; i++)
            p->busy[i] = p->busy[i] && p->held[i] != fragment;
        pthread_cond_broadcast(&p->changed);
    }
    p->ended = true;
    pthread_cond_broadcast(&p->changed);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static void release(ivf_publisher *p)
{
    for (int i = 0; i < IVF_PUBLISHER_HELD; i++)
        ivf_fragment_free(p->held[i]);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    ivf_done_close(p->done);
    ivf_free(p);
}

static int make_room(const ivf_publisher_room *room, ivf_fragment **fragment)
{
    int rc = ivf_fragment_new(room->nlist, room->code_size, room->most, 0, fragment);
    return rc == MPIVF_OK && room->kept.d > 0 ? ivf_fragment_keep(*fragment, room->kept) : rc;
}

static int start(ivf_publisher *p, const ivf_publisher_room *room)
{
    for (int i = 0; i < p->count; i++) {
        const int rc = make_room(room, &p->held[i]);
        if (rc != MPIVF_OK)
            return rc;
    }
    const int failed = ivf_fault("publishing-thread") ? EAGAIN : pthread_create(&p->thread, NULL, publish, p);
    return failed == 0 ? MPIVF_OK : ivf_fail_errno(failed, "cannot start the publishing thread");
}

static ivf_publisher *new_publisher(ivf_publisher_step step, int held)
{
    ivf_publisher *p = ivf_new_zero(1, sizeof *p);
    if (p == NULL)
        return NULL;
    p->step = step;
    p->count = held;
    pthread_mutex_init(&p->lock, NULL);
    ivf_pulse_cond(&p->changed);
    return p;
}

ivf_publisher *ivf_publisher_open(const char *index, const char *folder, const ivf_fragment_record *expected,
                                  const ivf_publisher_room *room)
{
    ivf_publisher *p = new_publisher(publish_one, IVF_PUBLISHER_HELD);
    if (p == NULL)
        return NULL;
    p->arg = p;
    p->index = index;
    p->expected = expected;
    p->done = expected == NULL ? ivf_done_open(folder) : NULL;
    if ((expected != NULL || p->done != NULL) && start(p, room) == MPIVF_OK)
        return p;
    release(p);
    return NULL;
}

ivf_publisher *ivf_publisher_open_step(ivf_publisher_step step, void *arg, int held, const ivf_publisher_room *room)
{
    ivf_publisher *p = new_publisher(step, held);
    if (p == NULL)
        return NULL;
    p->arg = arg;
    if (start(p, room) == MPIVF_OK)
        return p;
    release(p);
    return NULL;
}

/* The failure so far, made this thread's own. Called with the lock held. */
static int failure_of(const ivf_publisher *p)
{
    if (p->failure.code != MPIVF_OK)
        ivf_error_set(&p->failure);
    return p->failure.code;
}

int ivf_publisher_take(ivf_publisher *publisher, int64_t postings, int64_t skipped, ivf_fragment **fragment)
{
    ivf_publisher *p = publisher;
    pthread_mutex_lock(&p->lock);
    double started = ivf_clock();
    int rc = MPIVF_OK;
    while (p->busy[p->next] && rc == MPIVF_OK) {
        ivf_pulse_wait(&p->changed, &p->lock);
        rc = ivf_stop_check();
    }
    p->times.waiting += ivf_clock() - started;
    *fragment = p->held[p->next];
    if (rc == MPIVF_OK)
        rc = failure_of(p);
    pthread_mutex_unlock(&p->lock);
    return rc == MPIVF_OK ? ivf_fragment_reuse(*fragment, postings, skipped) : rc;
}

int ivf_publisher_put(ivf_publisher *publisher, ivf_fragment *fragment, ivf_fragment_record *record)
{
    ivf_publisher *p = publisher;
    pthread_mutex_lock(&p->lock);
    double started = ivf_clock();
    int rc = MPIVF_OK;
    while (p->waiting != NULL && rc == MPIVF_OK) {
        ivf_pulse_wait(&p->changed, &p->lock);
        rc = ivf_stop_check();
    }
    p->times.waiting += ivf_clock() - started;
    if (rc == MPIVF_OK)
        rc = failure_of(p);
    if (rc == MPIVF_OK) {
        p->waiting = fragment;
        p->record = record;
        p->busy[p->next] = true;
        p->next = (p->next + 1) % p->count;
        pthread_cond_broadcast(&p->changed);
    }
    pthread_mutex_unlock(&p->lock);
    return rc;
}

int ivf_publisher_close(ivf_publisher *publisher, ivf_publisher_times *times)
{
    ivf_publisher *p = publisher;
    *times = (ivf_publisher_times){0};
    if (p == NULL)
        return MPIVF_OK;
    double started = ivf_clock();
    pthread_mutex_lock(&p->lock);
    p->closing = true;
    pthread_cond_broadcast(&p->changed);
    while (!p->ended)
        ivf_pulse_wait(&p->changed, &p->lock);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    p->times.closing = ivf_clock() - started;
    *times = p->times;
    int rc = failure_of(p);
    release(p);
    return rc;
}
