/* Result codes of the library; the program's exit codes are the same numbers. */
#ifndef MPIVF_ERROR_H
#define MPIVF_ERROR_H

#include "mpivf/export.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    MPIVF_OK = 0,           /* done */
    MPIVF_FAILED = 1,       /* the system refused: I/O error, no space, no memory, no permission */
    MPIVF_USAGE = 2,        /* unknown option, value out of its range, options that exclude each other */
    MPIVF_BAD_INPUT = 3,    /* an input file or its rows cannot be used as they are */
    MPIVF_CONFLICT = 4,     /* the index exists already, or somebody else committed first */
    MPIVF_CORRUPT = 5,      /* a file of the index is damaged or missing */
    MPIVF_INTERRUPTED = 75, /* stopped on request; the same command continues the work */
} mpivf_code;

/* Local. The name of a code, "done" to "interrupted"; "unknown" for any other number. Static storage. */
MPIVF_API const char *mpivf_code_name(int code);

/* Local. What the last call of this thread said that failed, in one line: what, where, which value, and what can be
 * done about it. "" after a call that succeeded. Valid until the thread's next call. */
MPIVF_API const char *mpivf_last_error(void);

#ifdef __cplusplus
}
#endif
#endif
