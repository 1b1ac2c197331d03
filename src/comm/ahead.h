/* A broadcast that goes on while the ranks compute: what they need next is there when they are done with the last. */
#ifndef IVF_COMM_AHEAD_H
#define IVF_COMM_AHEAD_H

#include <stddef.h>

#include "comm/context.h"

typedef struct ivf_ahead ivf_ahead;

enum { IVF_AHEAD_BYTES = 32 << 20 }; /* of a broadcast, at most */

/* Collective. One at a time in a process that MPI connects with others. The same outcome on every rank. */
int ivf_ahead_open(const ivf_ctx *ctx, ivf_ahead **ahead);

/* Collective. Rank 0's `bytes` bytes begin to reach every rank's `data`, which nobody touches (rank 0: changes) until
 * ivf_ahead_wait. One at a time. They move while this rank waits in comm/ or its main thread runs tasks of the team. */
void ivf_ahead_bcast(const ivf_ctx *ctx, ivf_ahead *ahead, void *data, size_t bytes);

/* Collective. Until they are there; at once when none are on their way. */
void ivf_ahead_wait(const ivf_ctx *ctx, ivf_ahead *ahead);

/* Collective. Waits as well; NULL is allowed. */
void ivf_ahead_close(const ivf_ctx *ctx, ivf_ahead *ahead);

#endif
