#include "base/stop.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/pulse.h"

enum { TWICE_MILLISECONDS = 500, SIGNALS = 3 };

static const struct {
    int number;
    const char *name;
} signals[SIGNALS] = {{SIGUSR1, "SIGUSR1"}, {SIGTERM, "SIGTERM"}, {SIGINT, "SIGINT"}};

typedef enum { NONE, BEING_WORDED, BY_WORDS, BY_SIGNAL } stop_state;

static atomic_int state = NONE;
static atomic_bool forbidden;
static atomic_bool line_claimed;
static atomic_int signal_number;
static atomic_int_fast64_t signalled; /* milliseconds of the first signal; 0: none */
static atomic_int_fast64_t since;     /* milliseconds */
static char words[IVF_STOP_WHY];      /* BY_WORDS */
static bool words_located;
static atomic_bool heeded;
static unsigned patience;              /* seconds */
static char second_line[IVF_STOP_WHY]; /* what a second signal prints, */
static char early_line[IVF_STOP_WHY];  /* and one that nobody heeded */

/* Safe in a handler. */
static int64_t milliseconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool take(stop_state becomes)
{
    int none = NONE;
    return atomic_compare_exchange_strong(&state, &none, (int)becomes);
}

static _Noreturn void end_with(const char *line)
{
    if (!atomic_exchange(&line_claimed, true) && write(STDERR_FILENO, line, strlen(line)) < 0)
        errno = 0; /* nobody listens */
    ivf_stop_end_process();
}

static _Noreturn void end_at_once(void)
{
    if (ivf_log_enabled(IVF_LOG_WARN))
        end_with(second_line);
    ivf_stop_end_process();
}

static void on_alarm(int number)
{
    (void)number;
    if (!atomic_load(&heeded))
        end_with(early_line);
}

static void on_signal(int number)
{
    const int before = errno;
    const int64_t now = milliseconds();
    int_fast64_t none = 0;
    if (atomic_compare_exchange_strong(&signalled, &none, now)) {
        atomic_store(&signal_number, number);
        atomic_store(&since, now);
        (void)take(BY_SIGNAL);
        if (!atomic_load(&heeded))
            (void)alarm(patience);
    } else if (now - none > TWICE_MILLISECONDS) {
        end_at_once();
    }
    errno = before;
}

void ivf_stop_on_signals(const char *command, unsigned seconds)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    const struct sigaction at_alarm = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
    patience = seconds;
    (void)snprintf(early_line, sizeof early_line,
                   "mpivf: %s: stopped by a signal before all ranks had started; the same command continues it\n",
                   command);
    (void)snprintf(second_line, sizeof second_line,
                   "mpivf: %s: ended at once by a second signal; the same command continues it\n", command);
    (void)sigemptyset(&action.sa_mask);
    (void)sigaction(SIGALRM, &at_alarm, NULL);
    for (int i = 0; i < SIGNALS; i++) {
        struct sigaction before;
        /* Shells start what runs in the background with SIGINT ignored. */
        if (signals[i].number == SIGINT && sigaction(SIGINT, NULL, &before) == 0 && before.sa_handler == SIG_IGN)
            continue;
        (void)sigaction(signals[i].number, &action, NULL);
    }
}

void ivf_stop_heed(void)
{
    atomic_store(&heeded, true);
    (void)alarm(0);
}

void ivf_stop_request(const char *why, bool located)
{
    if (!take(BEING_WORDED))
        return;
    (void)snprintf(words, sizeof words, "%s", why);
    words_located = located;
    atomic_store(&since, milliseconds());
    atomic_store(&state, (int)BY_WORDS);
}

bool ivf_stop_wanted(void)
{
    return atomic_load_explicit(&state, memory_order_acquire) >= (int)BY_WORDS && !atomic_load(&forbidden);
}

bool ivf_stop_reason(char *why)
{
    const char *name = words;
    if (atomic_load(&state) == (int)BY_SIGNAL)
        for (int i = 0; i < SIGNALS; i++)
            if (signals[i].number == atomic_load(&signal_number))
                name = signals[i].name;
    (void)snprintf(why, IVF_STOP_WHY, "%s", name);
    return name == words && words_located;
}

int ivf_stop_check(void)
{
    char why[IVF_STOP_WHY];
    if (!ivf_stop_wanted())
        return MPIVF_OK;
    bool located = ivf_stop_reason(why);
    (void)ivf_fail(MPIVF_INTERRUPTED, "stopped by %s in the phase %s; the same command continues it", why,
                   ivf_pulse_phase());
    ivf_error error = *ivf_error_last();
    error.located = located;
    ivf_error_set(&error);
    return MPIVF_INTERRUPTED;
}

int ivf_stop_point(void)
{
    ivf_pulse_beat();
    ivf_pulse_attend();
    return ivf_stop_check();
}

double ivf_stop_since(void)
{
    return 1e-3 * (double)atomic_load(&since);
}

void ivf_stop_forbid(void)
{
    atomic_store(&forbidden, true);
}

void ivf_stop_allow(void)
{
    atomic_store(&forbidden, false);
}

bool ivf_stop_claim_line(void)
{
    return !atomic_exchange(&line_claimed, true);
}

_Noreturn void ivf_stop_end_process(void)
{
    _exit(MPIVF_INTERRUPTED);
}
