#include "base/clock.h"

#include <time.h>

static double seconds_of(clockid_t id)
{
    struct timespec now;
    (void)clock_gettime(id, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double ivf_clock(void)
{
    return seconds_of(CLOCK_MONOTONIC);
}

double ivf_clock_cpu(void)
{
    return seconds_of(CLOCK_PROCESS_CPUTIME_ID);
}

void ivf_clock_utc(char text[24])
{
    time_t now = time(NULL);
    struct tm parts;
    (void)gmtime_r(&now, &parts);
    (void)strftime(text, 24, "%Y-%m-%dT%H:%M:%SZ", &parts);
}
