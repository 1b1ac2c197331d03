/* Failure records: the step that fails words its message where it happens, and callers pass the code on unchanged. */
#ifndef IVF_BASE_ERROR_H
#define IVF_BASE_ERROR_H

#include "mpivf/error.h"

enum { IVF_ERROR_TEXT = 1024 };

typedef struct {
    int code;    /* mpivf_code, MPIVF_OK when there is none */
    int located; /* the text says already on which rank it happened */
    char text[IVF_ERROR_TEXT];
} ivf_error;

/* Local. Records a failure for this thread and returns `code`. The text is one line: what, where, value, limit, remedy.
 */
int ivf_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Local. The same, ending in the system's words for `error_number` and, for a full disk or a missing right, the remedy.
 */
int ivf_fail_errno(int error_number, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Local. The record of this thread's last failure; valid until the next ivf_fail of the same thread. */
const ivf_error *ivf_error_last(void);

/* Local. Replaces this thread's record: used where a failure moves between threads or ranks. */
void ivf_error_set(const ivf_error *error);
void ivf_error_clear(void);

#endif
