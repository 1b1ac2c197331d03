/* Why a thread: a rank that is stuck in a system call, or in a long computation, cannot look at the clock itself. And
 * why it ends the whole process: nobody else can wake such a rank, and a build is made to be killed at any moment. The
 * launcher then ends the other ranks and hands the code on.
 *
 * Times are graded so that one rank speaks. A rank that is stuck says so itself, at once. One that is silent, because
 * it was suspended or its host is gone, is named by rank 0 a third later; a silent rank 0 by rank 1 two thirds later,
 * and by each further rank 2 seconds after the one before it. A watchdog that was itself not run for a while starts
 * anew. */
#include "comm/watchdog.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/pulse.h"
#include "base/stop.h"
#include "base/text.h"
#include "comm/internal.h"

static const double TICK_SECONDS = 0.1;
static const double ASLEEP_SECONDS = 1; /* a tick that took longer than this was no tick */
static const double PATIENCE = 7.5;     /* seconds from the wish to stop until rank 0 ends the run by force, at most, */
static const double GRACE = 1.5;        /* how much later the others do, */
static const double NEXT_GRACE = 0.1;   /* and one after another */
static const double EARLY_SECONDS = 20; /* that a stop begins before the time limit, */
static const double EARLY_SHARE = 0.25; /* unless this share of the limit is less */
static const double NEXT_RANK = 2;      /* seconds */

static struct {
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool closing; /* under the lock */

    ivf_watch_settings settings;
    int rank;
    int size;
    char host[IVF_WATCH_HOST];
    const char *hosts;
    atomic_bool root_knows;
    atomic_int_fast64_t attended; /* microseconds on ivf_clock: when the main thread last looked for messages, */
    atomic_int_fast64_t *heard;   /* [size]: and last heard of each rank */
    atomic_int_fast64_t listens;  /* since when it has looked often enough to hear */
    double anew;                  /* when this thread, or a stop, last began to count from zero */
    uint64_t beats;
    double beaten; /* when they last changed */
} dog = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int64_t microseconds(double seconds)
{
    return (int64_t)(1e6 * seconds);
}

static double seconds_of(atomic_int_fast64_t *time)
{
    return 1e-6 * (double)atomic_load(time);
}

/* Silence means something only to who has listened, and asked. */
static bool is_away(double now)
{
    return now - seconds_of(&dog.attended) > dog.settings.stall / 3;
}

void ivf_watchdog_attended(double now)
{
    if (is_away(now))
        atomic_store(&dog.listens, microseconds(now));
    atomic_store(&dog.attended, microseconds(now));
}

void ivf_watchdog_heard(int rank, double now)
{
    atomic_store(&dog.heard[rank], microseconds(now));
}

/* The launcher reads what a rank says through a pipe, and may throw it away once the rank is gone. */
static _Noreturn void end_process(void)
{
    const struct timespec while_it_is_read = {.tv_nsec = 300000000};
    (void)nanosleep(&while_it_is_read, NULL);
    ivf_stop_end_process();
}

/* One line, unless somebody else has said why the run ends. */
static _Noreturn void say_and_end(const char *format, ...) __attribute__((format(printf, 1, 2)));
static _Noreturn void say_and_end(const char *format, ...)
{
    char text[512];
    char line[640];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    int length =
        snprintf(line, sizeof line, "mpivf: %s: %s; the same command continues it\n", dog.settings.command, text);
    if (length > 0 && ivf_stop_claim_line() && write(STDERR_FILENO, line, (size_t)length) < 0)
        errno = 0; /* nobody listens */
    end_process();
}

void ivf_watchdog_root_knows(void)
{
    atomic_store(&dog.root_knows, true);
}

/* Seconds from the stop until rank 0 ends the run by force: half of what a time limit leaves, whichever rank noticed it
 * and whatever the stop is for. */
static double patience(void)
{
    const double limit = dog.settings.time_limit;
    double left = dog.settings.started + limit - ivf_stop_since();
    if (limit == 0 || left / 2 > PATIENCE)
        return PATIENCE;
    return left > 0 ? left / 2 : 0;
}

/* Asked to stop, but still here. Rank 0 first, for all; unless it cannot know. */
static void see_to_the_stop(double now)
{
    char why[IVF_STOP_WHY];
    double grace = dog.rank == 0 ? 0 : GRACE + NEXT_GRACE * (dog.rank < 5 ? dog.rank - 1 : 4);
    if (now - ivf_stop_since() < patience() + grace)
        return;
    if (dog.rank > 0 && atomic_load(&dog.root_knows))
        end_process();
    bool located = ivf_stop_reason(why);
    if (located || dog.size == 1)
        say_and_end("stopped by %s in the phase %s, which did not end in time", why, ivf_pulse_phase());
    say_and_end("stopped by %s in the phase %s, which did not end in time (rank %d on %s)", why, ivf_pulse_phase(),
                dog.rank, dog.host);
}

static void see_to_the_limit(double now)
{
    const double limit = dog.settings.time_limit;
    double early = EARLY_SHARE * limit < EARLY_SECONDS ? EARLY_SHARE * limit : EARLY_SECONDS;
    char text[24];
    char why[IVF_STOP_WHY];
    if (limit == 0 || now - dog.settings.started < limit - early || ivf_stop_wanted())
        return;
    (void)snprintf(why, sizeof why, "--time-limit %s", ivf_text_duration(limit, text));
    ivf_stop_request(why, dog.size == 1);
}

static void name_silent(int rank, double seconds)
{
    char text[24];
    say_and_end("rank %d on %s has not answered for %s in the phase %s: its process or host is stuck or gone", rank,
                dog.hosts + (ptrdiff_t)rank * IVF_WATCH_HOST, ivf_text_duration(seconds, text), ivf_pulse_phase());
}

static double silence_of(int rank, double now)
{
    const double heard = seconds_of(&dog.heard[rank]);
    const double listens = seconds_of(&dog.listens);
    const double last = heard > listens ? heard : listens;
    return now - (last > dog.anew ? last : dog.anew);
}

static void see_to_the_others(double now)
{
    const double stall = dog.settings.stall;
    if (is_away(now))
        return;
    if (dog.rank == 0) {
        for (int r = 1; r < dog.size; r++)
            if (silence_of(r, now) > stall * 4 / 3)
                name_silent(r, silence_of(r, now));
    } else if (silence_of(0, now) > stall * 5 / 3 + NEXT_RANK * (dog.rank - 1)) {
        name_silent(0, silence_of(0, now));
    }
}

static void see_to_itself(double now)
{
    char text[24];
    uint64_t beats = ivf_pulse_beats();
    if (beats != dog.beats || dog.beaten < dog.anew) {
        dog.beats = beats;
        dog.beaten = now;
    }
    if (now - dog.beaten > dog.settings.stall)
        say_and_end("rank %d on %s has made no progress for %s in the phase %s: a read, a write or its host is stuck",
                    dog.rank, dog.host, ivf_text_duration(now - dog.beaten, text), ivf_pulse_phase());
}

static void tick(double now)
{
    see_to_the_limit(now);
    if (ivf_stop_wanted()) {
        see_to_the_stop(now);
        return;
    }
    if (dog.settings.stall == 0)
        return;
    see_to_itself(now);
    see_to_the_others(now);
}

static void sleep_a_tick(void)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)(1e9 * TICK_SECONDS);
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    (void)pthread_cond_timedwait(&dog.changed, &dog.lock, &until);
}

static void *watch(void *arg)
{
    (void)arg;
    double before = ivf_clock();
    (void)pthread_mutex_lock(&dog.lock);
    while (!dog.closing) {
        sleep_a_tick();
        double now = ivf_clock();
        if (now - before > TICK_SECONDS + ASLEEP_SECONDS)
            dog.anew = now;
        before = now;
        (void)pthread_mutex_unlock(&dog.lock);
        tick(now);
        (void)pthread_mutex_lock(&dog.lock);
    }
    (void)pthread_mutex_unlock(&dog.lock);
    return NULL;
}

int ivf_watchdog_start(const ivf_ctx *ctx, const ivf_watch_settings *settings, const char *hosts)
{
    sigset_t all;
    sigset_t before;
    double now = ivf_clock();
    dog.settings = *settings;
    dog.rank = ctx->rank;
    dog.size = ctx->size;
    dog.hosts = hosts;
    dog.anew = now;
    dog.closing = false;
    atomic_store(&dog.root_knows, false);
    (void)snprintf(dog.host, sizeof dog.host, "%.63s", ctx->host);
    dog.heard = ivf_new_zero((size_t)ctx->size, sizeof *dog.heard);
    if (dog.heard == NULL)
        return MPIVF_FAILED;
    ivf_pulse_cond(&dog.changed);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    int error = ivf_fault("watchdog-thread") ? EAGAIN : pthread_create(&dog.thread, NULL, watch, NULL);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    dog.running = error == 0;
    return error == 0 ? MPIVF_OK : ivf_fail_errno(error, "the thread that watches this rank cannot be started");
}

void ivf_watchdog_stop(void)
{
    if (dog.running && ivf_stop_wanted())
        return;
    if (dog.running) {
        (void)pthread_mutex_lock(&dog.lock);
        dog.closing = true;
        (void)pthread_cond_signal(&dog.changed);
        (void)pthread_mutex_unlock(&dog.lock);
        (void)pthread_join(dog.thread, NULL);
        (void)pthread_cond_destroy(&dog.changed);
        dog.running = false;
    }
    ivf_free(dog.heard);
    dog.heard = NULL;
}
