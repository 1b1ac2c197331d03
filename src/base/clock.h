#ifndef IVF_BASE_CLOCK_H
#define IVF_BASE_CLOCK_H

#include <stddef.h>

/* Local. Seconds of a clock that never goes back; only differences mean something. */
double ivf_clock(void);

/* Local. Seconds of processor time used by all threads of this process. */
double ivf_clock_cpu(void);

/* Local. The wall-clock time as "2026-01-31T12:00:00Z" into text[24]. */
void ivf_clock_utc(char text[24]);

#endif
