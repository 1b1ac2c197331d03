/* A counter that all ranks draw from, so that a slow rank takes fewer pieces of work: an MPI window on rank 0, drawn
 * from with MPI_Rget_accumulate, whose
 * completion can be waited for without being stuck in MPI. Two processes never get the same ticket, and none is left
 * out. */
#ifndef IVF_COMM_TICKETS_H
#define IVF_COMM_TICKETS_H

#include <stdint.h>

#include "comm/context.h"

typedef struct ivf_tickets ivf_tickets;

/* Collective. Tickets 0..total-1. NULL on every rank, with a failure recorded, when one cannot. */
ivf_tickets *ivf_tickets_open(const ivf_ctx *ctx, int64_t total);

/* Local (one-sided). The next ticket, or -1 when none is left. 8 bytes there, 8 back. */
int64_t ivf_tickets_draw(ivf_tickets *tickets);

/* Local (one-sided). Nobody draws any more: for a rank that has failed. */
void ivf_tickets_withdraw(ivf_tickets *tickets);

/* Collective. */
void ivf_tickets_close(const ivf_ctx *ctx, ivf_tickets *tickets);

#endif
