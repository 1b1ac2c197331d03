#include "base/pulse.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

enum { WAIT_NANOSECONDS = 20000000, SECOND = 1000000000 };

static atomic_uint_fast64_t beats;
static _Atomic(const char *) current = "start";
static ivf_pulse_function *hook; /* of the main thread */
static _Thread_local bool is_main;

void ivf_pulse_beat(void)
{
    atomic_fetch_add_explicit(&beats, 1, memory_order_relaxed);
}

uint64_t ivf_pulse_beats(void)
{
    return atomic_load_explicit(&beats, memory_order_relaxed);
}

void ivf_pulse_enter(const char *phase)
{
    atomic_store(&current, phase);
    ivf_pulse_beat();
}

const char *ivf_pulse_phase(void)
{
    return atomic_load(&current);
}

ivf_pulse_function *ivf_pulse_hook(ivf_pulse_function *attend)
{
    ivf_pulse_function *before = hook;
    hook = attend;
    is_main = attend != NULL;
    return before;
}

void ivf_pulse_attend(void)
{
    if (is_main)
        hook();
}

void ivf_pulse_cond(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(condition, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

void ivf_pulse_wait(pthread_cond_t *condition, pthread_mutex_t *lock)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += WAIT_NANOSECONDS;
    if (until.tv_nsec >= SECOND) {
        until.tv_nsec -= SECOND;
        until.tv_sec++;
    }
    (void)pthread_cond_timedwait(condition, lock, &until);
    if (!is_main)
        return;
    (void)pthread_mutex_unlock(lock);
    hook();
    (void)pthread_mutex_lock(lock);
}
