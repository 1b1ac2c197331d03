#include "comm/tickets.h"

#include "base/error.h"
#include "base/fault.h"
#include "base/memory.h"
#include "comm/internal.h"
#include "comm/transfer.h"
#include "comm/wait.h"

struct ivf_tickets {
    MPI_Win window; /* MPI_WIN_NULL of one rank */
    int64_t *next;  /* on rank 0, inside the window */
    int64_t alone;  /* of one rank: the next ticket */
    int64_t total;
};

ivf_tickets *ivf_tickets_open(const ivf_ctx *ctx, int64_t total)
{
    ivf_tickets *tickets = ivf_new_zero(1, sizeof *tickets);
    int rc = ivf_agree(ctx, tickets == NULL || ivf_fault("tickets") ? MPIVF_FAILED : MPIVF_OK);
    if (tickets == NULL || rc != MPIVF_OK) {
        ivf_free(tickets);
        return NULL;
    }
    tickets->total = total;
    tickets->window = MPI_WIN_NULL;
    if (ctx->size == 1)
        return tickets;
    MPI_Aint bytes = ctx->rank == 0 ? (MPI_Aint)sizeof(int64_t) : 0;
    MPI_Win_allocate(bytes, (int)sizeof(int64_t), MPI_INFO_NULL, ctx->comm, &tickets->next, &tickets->window);
    MPI_Win_lock_all(0, tickets->window);
    if (ctx->rank == 0) {
        *tickets->next = 0;
        MPI_Win_sync(tickets->window);
    }
    ivf_barrier(ctx);
    return tickets;
}

static int64_t fetch_and_add(ivf_tickets *tickets, int64_t step)
{
    int64_t before = tickets->alone;
    MPI_Request request;
    if (tickets->window == MPI_WIN_NULL) {
        tickets->alone += step;
        return before;
    }
    MPI_Rget_accumulate(&step, 1, MPI_INT64_T, &before, 1, MPI_INT64_T, 0, 0, 1, MPI_INT64_T, MPI_SUM, tickets->window,
                        &request);
    ivf_wait(&request);
    return before;
}

int64_t ivf_tickets_draw(ivf_tickets *tickets)
{
    int64_t ticket = fetch_and_add(tickets, 1);
    return ticket < tickets->total ? ticket : -1;
}

void ivf_tickets_withdraw(ivf_tickets *tickets)
{
    (void)fetch_and_add(tickets, tickets->total);
}

void ivf_tickets_close(const ivf_ctx *ctx, ivf_tickets *tickets)
{
    if (tickets == NULL)
        return;
    ivf_barrier(ctx);
    if (tickets->window != MPI_WIN_NULL) {
        MPI_Win_unlock_all(tickets->window);
        MPI_Win_free(&tickets->window);
    }
    ivf_free(tickets);
}
