#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local ivf_error last;

static void replace_line_ends(char *text)
{
    for (; *text != '\0'; text++)
        if (*text == '\n' || *text == '\r')
            *text = ' ';
}

int ivf_fail(int code, const char *format, ...)
{
    ivf_error made = {.code = code};
    va_list args;
    va_start(args, format);
    (void)vsnprintf(made.text, sizeof made.text, format, args);
    va_end(args);
    replace_line_ends(made.text);
    last = made;
    return code;
}

static const char *remedy(int error_number)
{
    switch (error_number) {
    case ENOSPC:
        return "; free some space or write elsewhere";
    case EDQUOT:
        return "; the quota is used up";
    case EFBIG:
        return "; a file size limit (ulimit -f) stands in the way";
    case EACCES:
    case EPERM:
        return "; the user running mpivf lacks the right";
    case EMFILE:
        return "; raise the limit of open files (ulimit -n)";
    default:
        return "";
    }
}

int ivf_fail_errno(int error_number, const char *format, ...)
{
    ivf_error made = {.code = error_number == ENOENT || error_number == ENOTDIR ? MPIVF_BAD_INPUT : MPIVF_FAILED};
    va_list args;
    va_start(args, format);
    int used = vsnprintf(made.text, sizeof made.text, format, args);
    va_end(args);
    if (used >= 0 && (size_t)used < sizeof made.text) {
        char system[128];
        (void)snprintf(made.text + used, sizeof made.text - (size_t)used, ": %s%s",
                       strerror_r(error_number, system, sizeof system), remedy(error_number));
    }
    replace_line_ends(made.text);
    last = made;
    return made.code;
}

const ivf_error *ivf_error_last(void)
{
    return &last;
}

void ivf_error_set(const ivf_error *error)
{
    last = *error;
}

void ivf_error_clear(void)
{
    last = (ivf_error){.code = MPIVF_OK};
}

const char *mpivf_last_error(void)
{
    return last.text;
}

const char *mpivf_code_name(int code)
{
    switch (code) {
    case MPIVF_OK:
        return "done";
    case MPIVF_FAILED:
        return "failed";
    case MPIVF_USAGE:
        return "usage";
    case MPIVF_BAD_INPUT:
        return "bad input";
    case MPIVF_CONFLICT:
        return "conflict";
    case MPIVF_CORRUPT:
        return "corrupt";
    case MPIVF_INTERRUPTED:
        return "interrupted";
    default:
        return "unknown";
    }
}
