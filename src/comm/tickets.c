#include "comm/tickets.h"

#include "base/error.h"
#include "base/memory.h"
#include "comm/internal.h"

struct ivf_tickets {
    MPI_Win window;
    int64_t *next; /* on rank 0, inside the window */
    int64_t total;
};

ivf_tickets *ivf_tickets_open(const ivf_ctx *ctx, int64_t total)
{
    ivf_tickets *tickets = ivf_new_zero(1, sizeof *tickets);
    int rc = ivf_agree(ctx, tickets == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (tickets == NULL || rc != MPIVF_OK) {
        ivf_free(tickets);
        return NULL;
    }
    tickets->total = total;
    MPI_Aint bytes = ctx->rank == 0 ? (MPI_Aint)sizeof(int64_t) : 0;
    MPI_Win_allocate(bytes, (int)sizeof(int64_t), MPI_INFO_NULL, ctx->comm, &tickets->next, &tickets->window);
    MPI_Win_lock_all(0, tickets->window);
    if (ctx->rank == 0) {
        *tickets->next = 0;
        MPI_Win_sync(tickets->window);
    }
    MPI_Barrier(ctx->comm);
    return tickets;
}

static int64_t fetch_and_add(ivf_tickets *tickets, int64_t step)
{
    int64_t before = 0;
    MPI_Fetch_and_op(&step, &before, MPI_INT64_T, 0, 0, MPI_SUM, tickets->window);
    MPI_Win_flush(0, tickets->window);
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
    MPI_Barrier(ctx->comm);
    MPI_Win_unlock_all(tickets->window);
    MPI_Win_free(&tickets->window);
    ivf_free(tickets);
}
