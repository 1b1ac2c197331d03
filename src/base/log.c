#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool speaking;
static ivf_log_level threshold = IVF_LOG_INFO;
static char status[256];

void ivf_log_set(bool speaks, ivf_log_level level)
{
    speaking = speaks;
    threshold = level;
}

bool ivf_log_enabled(ivf_log_level level)
{
    return speaking && level <= threshold;
}

bool ivf_log_is_terminal(void)
{
    return isatty(STDERR_FILENO) == 1;
}

static void wipe_status(void)
{
    if (status[0] != '\0')
        (void)fputs("\r\033[K", stderr);
}

void ivf_log_status(const char *line)
{
    if (!ivf_log_enabled(IVF_LOG_INFO))
        return;
    wipe_status();
    (void)snprintf(status, sizeof status, "%s", line);
    (void)fputs(status, stderr);
    (void)fflush(stderr);
}

static void print(ivf_log_level level, const char *prefix, const char *format, va_list args)
{
    if (!ivf_log_enabled(level))
        return;
    char line[2048];
    (void)vsnprintf(line, sizeof line, format, args);
    wipe_status();
    (void)fprintf(stderr, "%s%s\n%s", prefix, line, status);
    (void)fflush(stderr);
}

void ivf_warn(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print(IVF_LOG_WARN, "mpivf: warning: ", format, args);
    va_end(args);
}

void ivf_info(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print(IVF_LOG_INFO, "mpivf: ", format, args);
    va_end(args);
}

void ivf_debug(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print(IVF_LOG_DEBUG, "mpivf: debug: ", format, args);
    va_end(args);
}
