/* Progress of a phase that is counted in rows. Rank 0 speaks: a bar on a terminal, a
 * line every few seconds elsewhere. */
#ifndef IVF_COMM_PROGRESS_H
#define IVF_COMM_PROGRESS_H

#include <stdint.h>

#include "comm/context.h"

typedef struct ivf_progress ivf_progress;

/* Collective. Counts towards `total` rows (or whatever `unit` names) under the name of a phase; `phase` and `unit` are
 * borrowed. NULL on every rank, with a failure recorded, when one cannot. */
ivf_progress *ivf_progress_open(const ivf_ctx *ctx, const char *phase, const char *unit, int64_t total);

/* Local. This rank has done `units` more. Sends at most one 16-byte message each half second to rank 0, which prints
 * when due. */
void ivf_progress_add(ivf_progress *progress, int64_t units);

/* Collective. A last account from every rank, for all of which rank 0 waits, printing meanwhile; the others do not
 * wait. */
void ivf_progress_close(const ivf_ctx *ctx, ivf_progress *progress);

#endif
