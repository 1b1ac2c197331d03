/* The log: lines on stderr, from the rank that was told to speak. Errors go through base/error.h instead. */
#ifndef IVF_BASE_LOG_H
#define IVF_BASE_LOG_H

#include <stdbool.h>

typedef enum { IVF_LOG_QUIET, IVF_LOG_WARN, IVF_LOG_INFO, IVF_LOG_DEBUG } ivf_log_level;

/* Local. Who speaks (rank 0 only, in the program) and how much. Starts as: silent, for
 * the library prints nothing in the programs of others. */
void ivf_log_set(bool speaks, ivf_log_level level);
bool ivf_log_enabled(ivf_log_level level);

void ivf_warn(const char *format, ...) __attribute__((format(printf, 1, 2)));
void ivf_info(const char *format, ...) __attribute__((format(printf, 1, 2)));
void ivf_debug(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Local. A line that replaces itself on a terminal (the progress bar); "" wipes it. Log lines in between keep it
 * intact. */
void ivf_log_status(const char *line);
bool ivf_log_is_terminal(void);

#endif
