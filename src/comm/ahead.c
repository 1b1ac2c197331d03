/* MPI moves what is on its way when somebody calls it, and only the main thread may. So it looks each time it attends
 * (base/pulse.h): between the tasks of a team, and in the waits of comm/. */
#include "comm/ahead.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/pulse.h"
#include "comm/internal.h"
#include "comm/wait.h"

struct ivf_ahead {
    MPI_Request request;
    ivf_pulse_function *before; /* what the main thread did when it attended */
};

static ivf_ahead *current; /* the main thread's */

static void attend(void)
{
    int done = 0;
    if (current->request != MPI_REQUEST_NULL)
        MPI_Test(&current->request, &done, MPI_STATUS_IGNORE);
    if (current->before != NULL)
        current->before();
}

int ivf_ahead_open(const ivf_ctx *ctx, ivf_ahead **ahead)
{
    ivf_ahead *made = ivf_new_zero(1, sizeof *made);
    *ahead = NULL;
    int rc = ivf_agree(ctx, made == NULL ? MPIVF_FAILED : MPIVF_OK);
    if (rc != MPIVF_OK || made == NULL) {
        ivf_free(made);
        return rc;
    }
    made->request = MPI_REQUEST_NULL;
    *ahead = made;
    if (ctx->size == 1)
        return MPIVF_OK;
    current = made;
    made->before = ivf_pulse_hook(attend);
    return MPIVF_OK;
}

void ivf_ahead_bcast(const ivf_ctx *ctx, ivf_ahead *ahead, void *data, size_t bytes)
{
    if (ctx->size > 1 && bytes > 0)
        MPI_Ibcast(data, (int)bytes, MPI_BYTE, 0, ctx->comm, &ahead->request);
}

void ivf_ahead_wait(const ivf_ctx *ctx, ivf_ahead *ahead)
{
    if (ctx->size > 1)
        ivf_wait(&ahead->request);
}

void ivf_ahead_close(const ivf_ctx *ctx, ivf_ahead *ahead)
{
    if (ahead == NULL)
        return;
    ivf_ahead_wait(ctx, ahead);
    if (ctx->size > 1) {
        (void)ivf_pulse_hook(ahead->before);
        current = NULL;
    }
    ivf_free(ahead);
}
